"""Training of the teacher's stages: detector, keypoint network, lifter."""
