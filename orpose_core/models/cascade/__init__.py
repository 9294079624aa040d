"""Cascade Mask R-CNN X-152, the detector of the paper's teacher."""
