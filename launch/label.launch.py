"""From the topics of one or several RGB-D cameras, or a bag, to the files of `orpose label`.

    ros2 launch orpose_ros label.launch.py out:=/labels/monday cameras:=ceiling_1,ceiling_2
    ros2 launch orpose_ros label.launch.py out:=/labels/or_1 bag:=/recordings/or_1 cameras:=camera_1 ...

A bag is replayed no faster than it is labelled, so that nothing is missed, and all ends with it. Started
again, it skips what is labelled. With live cameras call ~/finish, which writes the files, before Ctrl-C.
Ctrl-C ends the node within two seconds: every label is kept, but where the files take longer than that, the
next start writes them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from launch import LaunchContext, LaunchDescription
from launch.actions import DeclareLaunchArgument, OpaqueFunction, Shutdown
from launch.substitutions import LaunchConfiguration
from launch_ros.parameter_descriptions import ParameterValue

from orpose_ros.launching.arguments import file_path, number
from orpose_ros.launching.nodes import NAMESPACE, in_namespace, orpose_node, room_of
from orpose_ros.launching.rooms import recorded

# launch/ and config/ lie side by side, in the checkout as in the installed share folder.
SHARE = Path(__file__).resolve().parent.parent

SWITCH = ["true", "false"]
SWITCH_OR_CONFIG = ["", *SWITCH]  # empty = the value in the configuration
# Name that the node subscribes to, the argument that says where it is, and what image_transport appends.
TOPICS = (
    ("color/image_raw", "color_topic", ""),
    ("color/image_raw/compressed", "color_topic", "/compressed"),
    ("depth/image_raw", "depth_topic", ""),
    ("depth/image_raw/compressedDepth", "depth_topic", "/compressedDepth"),
    ("camera_info", "camera_info_topic", ""),
)

# Parameters of the node under the same names; empty = the value in the configuration.
TEXTS = {
    "recording": "Name in the labels; empty = the name of the bag.",
    "detector": "movenet_multipose, a detection model of torchvision, or untrained:NAME.",
    "keypoints": "movenet_thunder, a file such as pose_hrnet_w48_384x288.pth, or untrained:NAME.",
    "detector_weights": "File of the detector's weights.",
    "lifter": "File of the 2D-to-3D lifter; empty = labels in 2D.",
    "keep": "Images to store: lowres, depth or none.",
    "low_resolution": "Largest size of stored images, WxH, px.",
    "device": "auto, cpu, cuda or cuda:N.",
}
NUMBERS = {
    "min_box_score": (float, "Lowest score of a person's box."),
    "rate": (float, "Highest number of frames per second and camera."),
    "depth_unit_m": (float, "Unit of 16-bit depth, m."),
    "rotation": (int, "Clockwise rotation that makes the images upright: 0, 90, 180 or 270 degrees."),
    "every": (int, "Use every N-th frame."),
    "limit": (int, "Highest number of frames."),
    "batch": (int, "Frames per batch of the networks."),
}
SWITCHES = {
    "compressed_color": "Take color from COLOR_TOPIC/compressed.",
    "compressed_depth": "Take depth from DEPTH_TOPIC/compressedDepth (PNG or RVL).",
    "rectified": "The cameras' images are rectified: use P of camera_info.",
}

# Name, default (None = must be given), what it does, and the only values allowed (None = any).
ARGUMENTS: list[tuple[str, str | None, str, list[str] | None]] = [
    ("out", None, "Folder for the labels.", None),
    ("cameras", "", "Namespaces of the cameras, separated by commas; empty = one camera without.", None),
    ("namespace", "", NAMESPACE, None),
    ("depth", "true", "Also store registered depth.", SWITCH),
    *((name, "", description, SWITCH_OR_CONFIG) for name, description in SWITCHES.items()),
    *((name, "", description, None) for name, description in TEXTS.items()),
    *((name, "", description, None) for name, (_, description) in NUMBERS.items()),
    ("bag", "", "Folder of a rosbag2 to replay; empty = live topics, or `ros2 bag play`.", None),
    ("speed", "1000.0", "Largest speed of the bag; labeling sets the pace.", None),
    ("color_topic", "color/image_raw", "Color topic of a camera, relative to its namespace.", None),
    ("depth_topic", "depth/image_raw", "Depth topic of a camera.", None),
    ("camera_info_topic", "camera_info", "camera_info topic of a camera.", None),
    ("config", str(SHARE / "config" / "label_node.yaml"), "Parameters; other arguments override them.", None),
]


def _nodes(context: LaunchContext) -> list[Any]:
    """Return the label node, and with a bag the replay that waits for it."""

    def given(name: str) -> str:
        return LaunchConfiguration(name).perform(context)

    bag, cameras = given("bag"), [name.strip().strip("/") for name in given("cameras").split(",")]
    # A launch parameter would otherwise become whatever YAML takes it for.
    texts = {name: given(name) for name in ("out", "keypoints", *TEXTS) if given(name)}
    if bag:
        texts.setdefault("recording", Path(bag).resolve().stem)
    settings: dict[str, object] = {n: ParameterValue(text, value_type=str) for n, text in texts.items()}
    settings |= {n: number(n, given(n), kind) for n, (kind, _) in NUMBERS.items() if given(n)}
    settings |= {name: given(name) == "true" for name in ("depth", *SWITCHES) if given(name)}
    if any(cameras):  # an empty namespace is the node's default; as a launch parameter it would be no string
        settings["cameras"] = cameras
    room, remappings, replayed, reliable = room_of(context), [], {}, {}
    for camera in cameras:
        for ours, argument, transport in TOPICS:
            topic = given(argument) + transport
            theirs = room.taken(camera, topic, bool(bag))
            remappings.append((recorded(camera, ours).lstrip("/"), theirs))
            replayed[recorded(camera, topic)] = theirs
            reliable[f"qos_overrides.{theirs}.subscription.reliability"] = "reliable"
    if bag:  # which can be reliable, other than a camera, and asks for the files at its end itself
        settings |= reliable | {"finish_idle_s": 0.0}
    label = orpose_node(
        "label_node",
        parameters=[file_path(given("config")), settings],
        room=room,
        remappings=remappings,
        on_exit=Shutdown(reason="the label node has ended"),
    )
    if not bag:
        return in_namespace(context, [label])
    playing = {"bag": ParameterValue(bag, value_type=str), "rate": number("speed", given("speed"), float)}
    replay = orpose_node(
        "bag_replay",
        parameters=[playing | {"paced_by": "label_node"}],
        room=room,
        remappings=list(replayed.items()) if room.namespace else [],
        on_exit=Shutdown(reason="the bag has ended"),
    )
    return in_namespace(context, [label, replay])


def generate_launch_description() -> LaunchDescription:
    """Return the arguments and the nodes."""
    arguments = [
        DeclareLaunchArgument(name, default_value=default, description=description, choices=choices)
        for name, default, description, choices in ARGUMENTS
    ]
    return LaunchDescription([*arguments, OpaqueFunction(function=_nodes)])
