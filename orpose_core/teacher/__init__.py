"""The three-stage teacher: detector, keypoint network, lifter, and what combines them."""
