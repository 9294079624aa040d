"""Training of the teacher's own stages: detector, keypoint network, lifter."""
