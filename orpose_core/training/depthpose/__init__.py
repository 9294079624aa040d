"""Training of DepthPose and the other networks of its paper."""
