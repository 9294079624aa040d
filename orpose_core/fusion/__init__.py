"""Fusion of the skeletons of several cameras into one per person."""
