"""Multi-person 2D and 3D pose estimation in the operating room from low-resolution images.

The pure-Python core of orpose: models, training, decoding, metrics and the synthetic operating room.
Nothing below this package imports ROS.
"""

__version__ = "0.1.0"
