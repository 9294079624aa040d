"""What the launch file does that `orpose calibrate` writes beside its calibration."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from launch.actions import DeclareLaunchArgument, OpaqueFunction
from launch.launch_context import LaunchContext
from launch.launch_description import LaunchDescription
from launch_ros.parameter_descriptions import ParameterValue

from orpose_ros.launching.nodes import NAMESPACE, in_namespace, orpose_node, room_of


def room_cameras(calibration: Path, room_frame: str) -> LaunchDescription:
    """Return a launch description that places the cameras of a calibration file in the room's frame."""
    texts = {"calibration": str(calibration.resolve()), "room_frame": room_frame}
    settings = {name: ParameterValue(text, value_type=str) for name, text in texts.items()}

    def node(context: LaunchContext) -> list[Any]:
        return in_namespace(
            context, [orpose_node("room_cameras", parameters=[settings], respawn=True, room=room_of(context))]
        )

    argument = DeclareLaunchArgument("namespace", default_value="", description=NAMESPACE)
    return LaunchDescription([argument, OpaqueFunction(function=node)])
