"""The student of ORPose: a Mask R-CNN with a soft and a hard keypoint branch."""
