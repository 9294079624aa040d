"""Common parts of the launch files.

``ros2 launch`` may run under another Python than the nodes, so these modules do not import PyTorch or the
core.
"""
