"""The tree of coordinate frames as tf messages describe it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from orpose_core.fusion.rig_files import transform_of
from orpose_core.types import Float64Array


@dataclass(frozen=True)
class Edge:
    """The place of a frame in its parent.

    Attributes:
        parent: name of the parent.
        parent_from_child: float64 (4, 4), rigid, m.
    """

    parent: str
    parent_from_child: Float64Array


def plain_frame(frame_id: str) -> str:
    """Return a frame id without a leading slash, which frames of ROS 1 have and tf2 strips or refuses."""
    return frame_id.lstrip("/")


class FrameTree:
    """The newest edge to each frame."""

    def __init__(self) -> None:
        self._edges: dict[str, Edge] = {}

    def __contains__(self, frame: str) -> bool:
        return frame in self._edges

    def parent(self, frame: str) -> str:
        """Return the parent of a frame that has one."""
        return self._edges[frame].parent

    def put(self, transform: Any, moves: bool) -> bool:
        """Add a ``TransformStamped``; return whether its child has another parent or place than before.

        Args:
            transform: the message.
            moves: whether it is one of many on /tf. Only the first from a parent is used, because /tf carries
                hundreds per second.

        Raises:
            ValueError: its rotation is not a unit quaternion.
        """
        parent, child = plain_frame(transform.header.frame_id), plain_frame(transform.child_frame_id)
        before = self._edges.get(child)
        if moves and before is not None and before.parent == parent:
            return False
        t, q = transform.transform.translation, transform.transform.rotation
        edge = self._edges[child] = Edge(parent, transform_of((t.x, t.y, t.z), (q.x, q.y, q.z, q.w)))
        return (
            before is None
            or before.parent != edge.parent
            or not np.array_equal(before.parent_from_child, edge.parent_from_child)
        )

    def root_of(self, frame: str, more: Mapping[str, Edge] | None = None) -> Edge:
        """Return the root of the tree that a frame is in, and the place of the frame in it.

        Args:
            frame: name of the frame; one without a parent is a root itself.
            more: further edges by child, which hold where the tree has none.
        """
        root, root_from_frame, seen = frame, np.eye(4), {frame}
        edges = {**(more or {}), **self._edges}
        while (edge := edges.get(root)) is not None and edge.parent not in seen:
            root, root_from_frame = edge.parent, edge.parent_from_child @ root_from_frame
            seen.add(root)
        return Edge(root, root_from_frame)
