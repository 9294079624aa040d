"""ROS 2 nodes around :mod:`orpose_core`, one node per module.

The message build makes a package of this same name (``orpose_ros.msg``). Installed, the two lie in one
folder. From a checkout they lie in two, and the path is extended so that both are found.
"""

from pkgutil import extend_path

__path__ = extend_path(__path__, __name__)
