"""Scores of poses against the ground truth: PCK, COCO AP and MPJPE."""
