"""What the launch file does that `orpose calibrate` writes beside its calibration."""

from __future__ import annotations

from pathlib import Path

from launch.launch_description import LaunchDescription
from launch_ros.parameter_descriptions import ParameterValue

from orpose_ros.launching.nodes import orpose_node


def room_cameras(calibration: Path, room_frame: str) -> LaunchDescription:
    """Return a launch description that places the cameras of a calibration file in the room's frame."""
    texts = {"calibration": str(calibration.resolve()), "room_frame": room_frame}
    settings = {name: ParameterValue(text, value_type=str) for name, text in texts.items()}
    return LaunchDescription([orpose_node("room_cameras", parameters=[settings], respawn=True)])
