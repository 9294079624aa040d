"""Weights on disk: the format of orpose, and published files converted to it."""
