"""From the topics of one or several RGB-D cameras to skeletons in RViz.

    ros2 launch orpose_ros or_pose.launch.py cameras:=ceiling_1,ceiling_2 model:=depthpose_64x48
    ros2 launch orpose_ros or_pose.launch.py bag:=/recordings/or_1 depth_topic:=/k4a/depth
    camera_info_topic:=/k4a/info

Per camera, below its namespace: depth/image_raw, color/image_raw, camera_info -> gateway -> lowres/... ->
pose node -> skeletons_2d, skeletons_3d -> skeleton_markers. With two cameras or more the fusion node makes
room/skeletons_3d of them all. The nodes configure and activate themselves.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from launch import LaunchContext, LaunchDescription
from launch.actions import DeclareLaunchArgument, OpaqueFunction
from launch.conditions import IfCondition
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node

# launch/, config/ and rviz/ lie side by side, in the checkout as in the installed share folder.
SHARE = Path(__file__).resolve().parent.parent

SWITCH = ["true", "false"]
RESOLUTIONS = ["64x48", "80x60", "53x40"]

# Name, default, what it does, and the only values allowed (None = any).
ARGUMENTS: list[tuple[str, str, str, list[str] | None]] = [
    ("cameras", "", "Namespaces of the cameras, with commas between; empty = one without any.", None),
    ("model", "depthpose_64x48", "Name of shipped weights, path of a checkpoint, or untrained:NAME.", None),
    ("device", "auto", "auto, cpu, cuda or cuda:N.", None),
    ("resolution", "64x48", "Of the images that leave the gateway, px.", RESOLUTIONS),
    ("color", "false", "Let low-resolution color leave the gateway as well (color models).", SWITCH),
    ("gateway", "true", "Run the gateways here; false where they run beside the cameras.", SWITCH),
    (
        "calibration",
        "",
        "File of the cameras' places, of orpose calibrate; empty = tf.",
        None,
    ),
    ("rviz", "false", "Open RViz.", SWITCH),
    ("bag", "", "Folder of a rosbag2 to play; empty = live cameras.", None),
    ("rate", "1.0", "Speed of the bag.", None),
    ("loop", "false", "Play the bag again and again.", SWITCH),
    ("use_sim_time", "false", "Take the time from /clock, which a bag given here publishes.", SWITCH),
    ("depth_topic", "depth/image_raw", "Where a camera's depth is, relative to its namespace.", None),
    ("color_topic", "color/image_raw", "Where a camera's color is.", None),
    ("camera_info_topic", "camera_info", "Where a camera's camera_info is.", None),
    ("config", str(SHARE / "config" / "or_pose.yaml"), "Parameters of the nodes; the above win.", None),
]


def _reliable(topics: list[str]) -> dict[str, str]:
    """Return the parameters that make the subscriptions to these topics reliable.

    A replay can be, other than a camera; and full-resolution images in pieces seldom arrive whole otherwise.
    """
    names = (name[name.rindex("//") + 1 :] if "//" in name else name for name in topics)
    return {f"qos_overrides.{name}.subscription.reliability": "reliable" for name in names}


def _nodes(context: LaunchContext) -> list[Node]:
    """Return the nodes for the cameras that were asked for."""

    def given(name: str) -> str:
        return LaunchConfiguration(name).perform(context)

    def is_set(name: str) -> bool:
        return given(name) == "true"

    config, time = given("config"), {"use_sim_time": is_set("use_sim_time")}
    cameras = [name.strip().strip("/") for name in given("cameras").split(",")]
    # An empty namespace is the nodes' default; as a launch parameter it would be no string.
    served: dict[str, Any] = {"cameras": cameras} if any(cameras) else {}
    # What several cameras saw is fused, and drawn beside what each of them saw.
    shown = {"cameras": [*cameras, "room"]} if len(cameras) > 1 else {}
    model = {"model": given("model"), "device": given("device")}
    ours = {"package": "orpose_ros", "output": "screen"}
    nodes = [
        Node(executable="pose_node", parameters=[config, time, model | served], **ours),
        Node(executable="skeleton_markers", parameters=[config, time, served | shown], **ours),
    ]
    if len(cameras) > 1:
        room = served | {"calibration": given("calibration")}
        nodes.append(Node(executable="fusion_node", parameters=[config, time, room], **ours))
    if is_set("gateway"):
        settings = {"resolution": given("resolution"), "color": is_set("color")}
        inputs = {"depth/image_raw": "depth_topic", "color/image_raw": "color_topic",
                  "camera_info": "camera_info_topic"}  # fmt: skip
        remappings = [(name, given(argument)) for name, argument in inputs.items() if given(argument) != name]
        for camera in cameras:
            topics = [f"/{camera}/{given(argument)}" for argument in inputs.values()] if given("bag") else []
            nodes.append(
                Node(
                    executable="lowres_gateway",
                    namespace=camera,
                    parameters=[config, time, settings, _reliable(topics)],
                    remappings=remappings,
                    **ours,
                )
            )
    if given("bag"):
        playing = {"rate": float(given("rate")), "loop": is_set("loop"), "clock": is_set("use_sim_time")}
        nodes.append(Node(executable="bag_replay", parameters=[{"bag": given("bag")} | playing], **ours))
    return nodes


def generate_launch_description() -> LaunchDescription:
    """Return the arguments, the nodes and RViz."""
    rviz = Node(
        package="rviz2",
        executable="rviz2",
        arguments=["-d", str(SHARE / "rviz" / "or_pose.rviz")],
        parameters=[{"use_sim_time": LaunchConfiguration("use_sim_time")}],
        condition=IfCondition(LaunchConfiguration("rviz")),
    )
    arguments = [
        DeclareLaunchArgument(name, default_value=default, description=description, choices=choices)
        for name, default, description, choices in ARGUMENTS
    ]
    return LaunchDescription([*arguments, OpaqueFunction(function=_nodes), rviz])
