"""Augmentation of depth and color samples."""
