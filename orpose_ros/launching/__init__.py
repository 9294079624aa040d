"""What the launch files share.

``ros2 launch`` may run under another Python than the nodes, so nothing here imports PyTorch or the core.
"""
