"""The nodes of a room, found by a rule, so that a new node is included automatically.

Every module of ``orpose_ros`` with a ``main`` is a node. Those in :data:`PER_CAMERA` run once for each
camera, all others once for all cameras, with the parameter ``cameras`` if they have it.
"""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rclpy.node import Node

import orpose_ros
from orpose_ros.launching.rooms import NO_ROOM, Room

PER_CAMERA = ("lowres_gateway",)
ROOM = "room"
"""The namespace of the fused skeletons."""

OUTSIDE = {
    "label_node": "it reads full-size images, and has a launch file of its own",
    "room_cameras": "skeleton_markers places the cameras of a room's graph; this is for other programs",
    "bag_replay": "it takes the place of cameras, with whatever topics a recording has",
}
"""Nodes that are not part of a room's graph, and why."""


@dataclass(frozen=True)
class NodeSpec:
    """A node to be started.

    Attributes:
        module: module below ``orpose_ros``; also the name of the node.
        namespace: namespace of the node, without slashes at its ends; "" = none.
        parameters: parameters by name.
        room: the names of its room.
    """

    module: str
    namespace: str
    parameters: Mapping[str, Any]
    room: Room = NO_ROOM

    @property
    def name(self) -> str:
        """Full name of the node."""
        return f"/{self.namespace}/{self.module}" if self.namespace else f"/{self.module}"

    @property
    def names(self) -> list[str]:
        """The arguments after ``--ros-args`` that set its namespace and rename its topics."""
        given = ["-r", f"__ns:=/{self.namespace}"] if self.namespace else []
        for before, after in self.room.remappings:
            given += ["-r", f"{before}:={after}"]
        return given

    @property
    def arguments(self) -> list[str]:
        """The arguments of its process, after ``--ros-args``."""
        given = self.names
        for name, value in self.parameters.items():
            given += ["-p", f"{name}:={json.dumps(value)}"]
        return given

    def node_class(self) -> type[Node]:
        """Return the node's class."""
        return _node_class(self.module)


def node_modules() -> list[str]:
    """Return the modules with a node of a room's graph."""
    folder = Path(next(p for p in orpose_ros.__path__ if Path(p, "pose_node.py").exists()))
    found = [f.stem for f in sorted(folder.glob("*.py")) if "\ndef main(" in f.read_text(encoding="utf-8")]
    return [name for name in found if name not in OUTSIDE]


def deployment(
    cameras: Sequence[str],
    rig: Path,
    audit: Path,
    given: Mapping[str, Mapping[str, Any]] | None = None,
    room: Room = NO_ROOM,
) -> list[NodeSpec]:
    """Return the nodes for a room; those that run once per camera are last.

    Args:
        cameras: namespaces of the cameras.
        rig: calibration file of the cameras.
        audit: file of the audit log.
        given: further parameters, by module.
        room: the names of the room.
    """
    known: dict[str, Any] = {
        "cameras": list(cameras),
        "calibration": str(rig),
        "file": str(audit),
        "room": ROOM,
    }
    everywhere, beside = [], []
    for module in node_modules():
        names = _parameter_names(module)
        parameters = {name: value for name, value in known.items() if name in names}
        if module == "skeleton_markers":
            parameters["cameras"] = [*cameras, ROOM]
        parameters |= (given or {}).get(module, {})
        if module in PER_CAMERA:
            spaces = [room.full(camera).strip("/") for camera in cameras]
            beside += [NodeSpec(module, space, parameters, room) for space in spaces]
        else:
            everywhere.append(NodeSpec(module, room.namespace, parameters, room))
    return [*everywhere, *beside]


def _node_class(module: str) -> type[Node]:
    there = vars(importlib.import_module(f"orpose_ros.{module}")).values()
    own = [c for c in there if inspect.isclass(c) and issubclass(c, Node) and c.__module__.endswith(module)]
    if len(own) != 1:
        raise ValueError(f"orpose_ros.{module}: expected one node, got {len(own)}")
    return own[0]


def _parameter_names(module: str) -> set[str]:
    """Return the names of the parameters that a node declares from the dataclasses in its module."""
    there = vars(importlib.import_module(f"orpose_ros.{module}")).values()
    kinds = [c for c in there if inspect.isclass(c) and dataclasses.is_dataclass(c)]
    return {f.name for kind in kinds for f in dataclasses.fields(kind) if "description" in f.metadata}
