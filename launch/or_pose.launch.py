"""From the topics of one or several RGB-D cameras to skeletons in RViz.

    ros2 launch orpose_ros or_pose.launch.py cameras:=ceiling_1,ceiling_2 model:=fastpose_64x48
    ros2 launch orpose_ros or_pose.launch.py bag:=/recordings/or_1 depth_topic:=/k4a/depth
    camera_info_topic:=/k4a/info
    ros2 launch orpose_ros or_pose.launch.py namespace:=or_2 cameras:=ceiling_1,ceiling_2 view_port:=8091

Per camera, below its namespace: depth/image_raw, color/image_raw, camera_info -> gateway -> lowres/... ->
pose node -> skeletons_2d, skeletons_3d -> skeleton_markers. With two cameras or more the fusion node makes
room/skeletons_3d of them all. With audit:=FILE the audit node logs what runs. The nodes configure and
activate themselves. They are started again when they die, and end when this launch ends.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from launch import LaunchContext, LaunchDescription
from launch.actions import DeclareLaunchArgument, LogInfo, OpaqueFunction
from launch.logging import launch_config
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue

from orpose_ros.launching.arguments import file_path, number
from orpose_ros.launching.models import needs_color
from orpose_ros.launching.nodes import NAMESPACE, in_namespace, is_installed, orpose_node, room_of
from orpose_ros.launching.overridden import overridden
from orpose_ros.launching.rooms import recorded
from orpose_ros.launching.rviz_file import write_rviz_file

# launch/, config/, rviz/ and weights/ lie side by side, in the checkout as in the installed share folder.
SHARE = Path(__file__).resolve().parent.parent

SWITCH = ["true", "false"]
SWITCH_OR_CONFIG = ["", *SWITCH]  # empty = the value in the configuration
RESOLUTIONS = ["64x48", "80x60", "53x40"]
ROOM = "room"  # the frame of a calibration, and the namespace of the fused skeletons
UNPLACED = "cameras"  # the frame of cameras with unknown poses

# Name, default, what it does, and the only values allowed (None = any).
ARGUMENTS: list[tuple[str, str, str, list[str] | None]] = [
    ("cameras", "", "Namespaces of the cameras, separated by commas; empty = one camera without.", None),
    ("namespace", "", NAMESPACE, None),
    ("model", "fastpose_64x48", "Name of shipped weights, path of a checkpoint, or untrained:NAME.", None),
    ("device", "auto", "auto, cpu, cuda or cuda:N.", None),
    ("resolution", "64x48", "Resolution of the images from the gateway, px.", RESOLUTIONS),
    ("color", "auto", "Publish low-resolution color from the gateway; auto = if the model needs it.",
     ["auto", *SWITCH]),
    ("compressed_color", "", "The gateway takes color from COLOR_TOPIC/compressed.", SWITCH_OR_CONFIG),
    ("compressed_depth", "", "The gateway takes depth from DEPTH_TOPIC/compressedDepth (PNG or RVL).",
     SWITCH_OR_CONFIG),
    ("depth_unit_m", "", "Unit of the cameras' 16-bit depth, m; empty = as configured (1 mm).", None),
    ("rectified", "", "The cameras' images are rectified: use P of camera_info.", SWITCH_OR_CONFIG),
    ("rotation", "", "Clockwise rotation that makes the images upright, degrees: one for all cameras, or one "
     "each, separated by commas.", None),
    ("depth_with_color", "false", "Color models: pair color with depth, so that 3D is metric.", SWITCH),
    ("gateway", "true", "Run the gateways on this machine; false if they run beside the cameras.", SWITCH),
    ("rviz", "false", "Open RViz.", SWITCH),
    ("view", "false", "Show the graph in a browser, at http://127.0.0.1:8090.", SWITCH),
    ("view_port", "", "Port of the page, one for each room; empty = as configured (8090).", None),
    ("bridges", "false", "Publish hri_msgs, vision_msgs and foxglove_msgs, as far as installed.", SWITCH),
    ("calibration", "", "Calibration file (orpose calibrate); empty = tf.", None),
    ("fixed_frame", "", "Fixed frame of RViz; empty = room with a calibration, otherwise a frame with the "
     "cameras side by side.", None),
    ("audit", "", "File of the audit log (orpose audit); empty = no audit.", None),
    ("respawn", "true", "Start a node that has died again after 5 s.", SWITCH),
    ("bag", "", "Folder of a rosbag2 to play; empty = live cameras.", None),
    ("rate", "1.0", "Speed of the bag.", None),
    ("loop", "false", "Play the bag repeatedly.", SWITCH),
    ("use_sim_time", "false", "Take the time from /clock, which a bag given here publishes.", SWITCH),
    ("depth_topic", "depth/image_raw", "Depth topic of a camera, relative to its namespace.", None),
    ("color_topic", "color/image_raw", "Color topic of a camera.", None),
    ("camera_info_topic", "camera_info", "camera_info topic of a camera.", None),
    ("config", str(SHARE / "config" / "or_pose.yaml"), "Parameters; other arguments override them.", None),
]  # fmt: skip

# Arguments that are parameters of the same name, by node.
OVERRIDING = {
    "lowres_gateway": ("resolution", "color", "compressed_color", "compressed_depth", "rectified",
                       "depth_unit_m"),
    "pose_node": ("model", "device", "depth_with_color"),
}  # fmt: skip

# Name that the gateway subscribes to, the argument that says where it is, and what image_transport appends.
INPUTS = [
    ("depth/image_raw", "depth_topic", ""),
    ("depth/image_raw/compressedDepth", "depth_topic", "/compressedDepth"),
    ("color/image_raw", "color_topic", ""),
    ("color/image_raw/compressed", "color_topic", "/compressed"),
    ("camera_info", "camera_info_topic", ""),
]


def _reliable(topics: list[str]) -> dict[str, str]:
    """Return the parameters that make the subscriptions to these topics reliable.

    A replay can be, other than a camera; and full-resolution images in pieces seldom arrive whole otherwise.
    """
    return {f"qos_overrides.{name}.subscription.reliability": "reliable" for name in topics}


class _Given:
    """The arguments of one launch, checked: what can raise does so before a node is started."""

    def __init__(self, context: LaunchContext) -> None:
        self.values = {name: LaunchConfiguration(name).perform(context) for name, *_ in ARGUMENTS}
        self.cameras = [name.strip().strip("/") for name in self["cameras"].split(",")]
        self.rate = number("rate", self["rate"], float)
        self.view_port = number("view_port", self["view_port"], int) if self["view_port"] else None
        self.room = room_of(context, own_clock=bool(self["bag"]) and self.is_set("use_sim_time"))
        for name in ("config", "calibration", "audit"):
            self.values[name] = file_path(self[name])
        for name in ("config", "calibration"):
            if self[name] and not Path(self[name]).is_file():
                raise ValueError(f"{name}:={self[name]}: no such file")
        color_model = needs_color(self["model"], SHARE / "weights")
        self.color = color_model if self["color"] == "auto" else self.is_set("color")
        if color_model and not self.color:
            raise ValueError(f"model:={self['model']} looks at color images: expected color:=true or auto")
        if self.is_set("depth_with_color") and not color_model:
            raise ValueError(
                f"depth_with_color:=true is for color models, but model:={self['model']} looks at depth"
            )

    def __getitem__(self, name: str) -> str:
        return self.values[name]

    def is_set(self, name: str) -> bool:
        return self[name] == "true"

    def texts(self, *names: str) -> dict[str, ParameterValue]:
        """Parameters that are strings, and not whatever YAML takes them for."""
        return {name: ParameterValue(self[name], value_type=str) for name in names if self[name]}

    def switches(self, *names: str) -> dict[str, bool]:
        """Parameters that are switches; an empty one is left to the configuration."""
        return {name: self.is_set(name) for name in names if self[name]}

    @property
    def common(self) -> dict[str, Any]:
        """Arguments of every node that serves cameras; ``parameters`` come in addition."""
        return {"respawn": self.is_set("respawn"), "room": self.room}

    @property
    def time(self) -> dict[str, bool]:
        return {"use_sim_time": self.is_set("use_sim_time")}

    @property
    def fuses(self) -> bool:
        """Whether what several cameras saw is fused."""
        return len(self.cameras) > 1

    @property
    def served(self) -> dict[str, list[str]]:
        """The parameter ``cameras``; an empty namespace is the nodes' default, and no string for launch."""
        return {"cameras": self.cameras} if any(self.cameras) else {}

    def taken(self, camera: str, topic: str) -> str:
        """Return the full name of a camera's topic."""
        return self.room.taken(camera, topic, bool(self["bag"]))

    def replayed(self) -> list[tuple[str, str]]:
        """Return the remappings of a replay, so that two rooms may have the same topics in their bags."""
        topics = [self[argument] + suffix for _, argument, suffix in INPUTS]
        names = sorted({recorded(camera, topic) for camera in self.cameras for topic in topics})
        return [(name, self.room.full(name)) for name in names] if self.room.namespace else []


def _gateways(given: _Given) -> list[Node]:
    """Return the gateway of each camera."""
    settings: dict[str, Any] = {
        "resolution": given["resolution"],
        "color": given.color,
        **given.switches("compressed_color", "compressed_depth", "rectified"),
    }
    if given["depth_unit_m"]:
        settings["depth_unit_m"] = number("depth_unit_m", given["depth_unit_m"], float)
    inputs = [(name, given[argument] + suffix) for name, argument, suffix in INPUTS]
    nodes = []
    for camera in given.cameras:
        remappings = [
            (name, given.taken(camera, topic) if topic.startswith("/") else topic)
            for name, topic in inputs
            if topic != name
        ]
        topics = [given.taken(camera, topic) for _, topic in inputs] if given["bag"] else []
        nodes.append(
            orpose_node(
                "lowres_gateway",
                namespace=camera,
                parameters=[given["config"], given.time, settings, _reliable(topics)],
                remappings=remappings,
                **given.common,
            )
        )
    return nodes


def _markers(given: _Given) -> Node:
    """Return the node that draws the skeletons and says where the cameras are."""
    # Somebody who names a frame has a TF tree, unless there is a calibration file as well.
    placing = {"place_cameras": bool(given["calibration"] or not given["fixed_frame"])}
    shown = {"cameras": [*given.cameras, ROOM]} if given.fuses else given.served
    return orpose_node(
        "skeleton_markers",
        parameters=[given["config"], given.time, shown | placing | given.texts("calibration")],
        **given.common,
    )


def _view(given: _Given) -> list[Node]:
    """Return the node that serves the page, if it is wanted."""
    if not given.is_set("view"):
        return []
    shown: dict[str, Any] = {"modality": "color" if given.color else "depth"}
    shown |= given.served | given.texts("calibration") | ({"room": ROOM} if given.fuses else {})
    shown |= {"port": given.view_port} if given.view_port is not None else {}
    return [orpose_node("view_node", parameters=[given["config"], given.time, shown], **given.common)]


def _bridges(given: _Given) -> list[Node]:
    """Return the node that speaks other packages' messages, if it is wanted."""
    if not given.is_set("bridges"):
        return []
    shown = given.served | ({"room": ROOM} if given.fuses else {})
    return [orpose_node("bridge_node", parameters=[given["config"], given.time, shown], **given.common)]


def _rviz(given: _Given) -> list[Node | LogInfo]:
    """Return RViz with settings for these cameras, or a line that says why not."""
    if not given.is_set("rviz"):
        return []
    if not is_installed("rviz2"):
        return [LogInfo(msg="rviz:=true, but the package rviz2 is not installed: going on without RViz")]
    file = write_rviz_file(
        SHARE / "rviz" / "or_pose.rviz",
        Path(launch_config.log_dir) / "or_pose.rviz",
        [given.room.full(camera).strip("/") for camera in given.cameras],
        given["fixed_frame"] or (ROOM if given["calibration"] else UNPLACED),
        color=given.color,
        fused=given.room.full(ROOM).strip("/") if given.fuses else "",
    )
    settings: dict[str, Any] = {"parameters": [given.time], "remappings": given.room.remappings}
    return [Node(package="rviz2", executable="rviz2", arguments=["-d", str(file)], **settings)]


def _overridden(given: _Given) -> list[LogInfo]:
    """Return a line for each parameter in a configuration of one's own that an argument overrides."""
    if Path(given["config"]) == SHARE / "config" / "or_pose.yaml":
        return []
    return [LogInfo(msg=line) for line in overridden(Path(given["config"]), OVERRIDING, given.values)]


def _nodes(context: LaunchContext) -> list[Any]:
    """Return the nodes for the cameras that were asked for, in their namespace."""
    given = _Given(context)
    rviz = _rviz(given)
    model: dict[str, Any] = given.texts("model", "device") | given.switches("depth_with_color")
    if given["rotation"]:
        model["rotation"] = [number("rotation", text, int) for text in given["rotation"].split(",")]
    gateways = _gateways(given) if given.is_set("gateway") else []
    nodes: list[Node | LogInfo] = [
        *_overridden(given),
        orpose_node(
            "pose_node", parameters=[given["config"], given.time, model | given.served], **given.common
        ),
        _markers(given),
        *_view(given),
        *_bridges(given),
    ]
    if given.fuses:
        settings = given.served | given.texts("calibration")
        nodes.append(
            orpose_node("fusion_node", parameters=[given["config"], given.time, settings], **given.common)
        )
    if given["audit"]:
        log = {"file": ParameterValue(given["audit"], value_type=str)}
        nodes.append(orpose_node("audit_node", parameters=[given["config"], given.time, log], **given.common))
    nodes += gateways
    if given["bag"]:
        playing = {"rate": given.rate, "loop": given.is_set("loop"), "clock": given.is_set("use_sim_time")}
        settings = {"parameters": [given.texts("bag") | playing], "remappings": given.replayed()}
        nodes.append(orpose_node("bag_replay", room=given.room, **settings))
    return in_namespace(context, [*nodes, *rviz])


def generate_launch_description() -> LaunchDescription:
    """Return the arguments and the nodes."""
    arguments = [
        DeclareLaunchArgument(name, default_value=default, description=description, choices=choices)
        for name, default, description, choices in ARGUMENTS
    ]
    return LaunchDescription([*arguments, OpaqueFunction(function=_nodes)])
