"""The topics, services and clients that each node of a room uses, observed in a graph started for this."""

from __future__ import annotations

import dataclasses
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.parameter import Parameter
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from orpose_core.fusion.rig import RoomCamera
from orpose_core.fusion.rig_files import write_rig
from orpose_core.types import Intrinsics
from orpose_ros.graph.deployment import NodeSpec, deployment
from orpose_ros.launching.rooms import NO_ROOM, Room

CAMERA = "camera"
"""Name of the node that represents the driver of a camera, in the camera's namespace."""

_STABLE_S, _STABLE_CALLBACKS = 6.0, 600
_LONGEST_S = 900.0
_MODELS = {False: "untrained:depthpose_64x48@0.0625", True: "untrained:rtpose_color_53x40@0.0625"}
"""Small networks for depth and color: the topics depend only on the modality."""


@dataclass(frozen=True)
class Uses:
    """The topics and services that a node uses, as sorted full names.

    Attributes:
        node: full name of the node.
        publishes: topics that it publishes.
        subscribes: topics that it subscribes to.
        replies: services that it offers.
        requests: services that it calls.
    """

    node: str
    publishes: tuple[str, ...] = ()
    subscribes: tuple[str, ...] = ()
    replies: tuple[str, ...] = ()
    requests: tuple[str, ...] = ()


def observe(
    cameras: Sequence[str],
    *,
    color: bool = False,
    compressed_color: bool = False,
    room: Room = NO_ROOM,
    tick: Callable[[], None] | None = None,
) -> tuple[list[Uses], dict[str, tuple[str, ...]]]:
    """Run all nodes of a room, with cameras that send nothing, until they use nothing new.

    The cameras are silent so that each node requests the state of the others, as it does when an input is
    missing. rclpy must not be initialized.

    Args:
        cameras: namespaces of the cameras.
        color: whether the model is for color instead of depth.
        compressed_color: whether the cameras publish compressed color.
        room: the names of the room; the namespaces of the cameras are below its namespace.
        tick: called repeatedly.

    Returns:
        The uses of each node, including those of the cameras, and the types of all topics.
    """
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="orpose-security-")))
        specs = deployment(
            cameras, _rig(cameras, folder), folder / "audit.log", _given(color, compressed_color), room
        )
        rclpy.init()
        stack.callback(rclpy.try_shutdown)
        executor = SingleThreadedExecutor()
        stack.callback(executor.shutdown)
        nodes = [_camera(room.full(name), color, compressed_color) for name in cameras]
        for spec in specs:
            nodes.append(_made(spec))
            executor.add_node(nodes[-1])
            for _ in range(5):
                executor.spin_once(timeout_sec=0.0)
        for node in nodes:
            stack.callback(_destroy, node)
        # On a busy machine, seconds may pass in which no node does anything. So callbacks count, too.
        seen: list[Uses] | None = None
        since_s, callbacks, end_s = time.monotonic(), 0, time.monotonic() + _LONGEST_S
        while time.monotonic() - since_s < _STABLE_S or callbacks < _STABLE_CALLBACKS:
            if time.monotonic() > end_s:
                raise ValueError(f"the nodes still use something new after {_LONGEST_S:g} s")
            executor.spin_once(timeout_sec=0.05)
            callbacks += 1
            if tick is not None:
                tick()
            now = [_uses(nodes[0], node) for node in nodes]
            both = now if seen is None else [_union(*pair) for pair in zip(seen, now, strict=True)]
            if both != seen:
                seen, since_s, callbacks = both, time.monotonic(), 0
        types = {name: tuple(kinds) for name, kinds in nodes[0].get_topic_names_and_types()}
    return sorted(seen or [], key=lambda uses: uses.node), types


def _given(color: bool, compressed_color: bool) -> dict[str, dict[str, Any]]:
    impatient = {"silence_s": 0.5}
    return {
        "pose_node": {"model": _MODELS[color], "device": "cpu", "half_precision": False} | impatient,
        "lowres_gateway": {"color": color, "compressed_color": compressed_color} | impatient,
        "skeleton_markers": {"place_cameras": True},  # as the launch file has it
        "fusion_node": impatient,
        "audit_node": {"period_s": 0.3},
        "view_node": {"port": 0} | impatient,
        "bridge_node": impatient,
    }


def _rig(cameras: Sequence[str], folder: Path) -> Path:
    rig = []
    for k, name in enumerate(cameras):
        pose = np.eye(4)
        pose[:3, 3] = float(k), 0.0, 2.5
        rig.append(
            RoomCamera(name, Intrinsics(525.0, 525.0, 319.5, 239.5, 640, 480), pose, f"{name}_optical")
        )
    write_rig(folder / "rig.yaml", rig)
    return folder / "rig.yaml"


def _camera(name: str, color: bool, compressed_color: bool) -> Node:
    node = rclpy.create_node(CAMERA, namespace=name)
    node.create_publisher(Image, "depth/image_raw", 1)
    node.create_publisher(CameraInfo, "camera_info", 1)
    if color and compressed_color:
        node.create_publisher(CompressedImage, "color/image_raw/compressed", 1)
    elif color:
        node.create_publisher(Image, "color/image_raw", 1)
    return node


def _made(spec: NodeSpec) -> Node:
    """Create a node and start it."""
    overrides = [
        Parameter(name, value=list(value) if isinstance(value, (list, tuple)) else value)
        for name, value in spec.parameters.items()
    ]
    arguments = ["--ros-args", *spec.names] if spec.names else None
    make: Any = spec.node_class()
    node = make(parameter_overrides=overrides, cli_args=arguments)
    if not node.start():
        raise ValueError(f"{spec.name} did not start; its log says why")
    return node


def _uses(asking: Node, node: Node) -> Uses:
    name, space = node.get_name(), node.get_namespace()
    found = (
        ask(name, space)
        for ask in (
            asking.get_publisher_names_and_types_by_node,
            asking.get_subscriber_names_and_types_by_node,
            asking.get_service_names_and_types_by_node,
            asking.get_client_names_and_types_by_node,
        )
    )
    return Uses(node.get_fully_qualified_name(), *(tuple(sorted(n for n, _ in each)) for each in found))


def _union(first: Uses, second: Uses) -> Uses:
    """Return what a node uses at either of two times."""
    fields = ("publishes", "subscribes", "replies", "requests")
    return Uses(first.node, *(tuple(sorted({*getattr(first, n), *getattr(second, n)})) for n in fields))


def _destroy(node: Any) -> None:
    if hasattr(node, "clean_up"):
        node.clean_up()
    node.destroy_node()


def without(uses: Uses, names: Sequence[str]) -> Uses:
    """Return the uses without these topics."""
    publishes, subscribes = (
        tuple(name for name in topics if name not in names) for topics in (uses.publishes, uses.subscribes)
    )
    return dataclasses.replace(uses, publishes=publishes, subscribes=subscribes)
