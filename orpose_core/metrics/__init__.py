"""What a set of poses is worth against the ground truth: PCK, COCO AP and MPJPE."""
