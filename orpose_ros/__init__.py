"""ROS 2 nodes around :mod:`orpose_core`, one node per module.

The message build generates a package of the same name (``orpose_ros.msg``). In an installation both are in
one folder. In a checkout they are in two folders, and the path is extended so that both are found.
"""

from pkgutil import extend_path

__path__ = extend_path(__path__, __name__)
