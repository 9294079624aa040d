"""The three-stage teacher: detector, keypoint network and lifter."""
