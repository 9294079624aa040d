"""Our message classes, and their registration with ``rosbags``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from orpose_core.resources import resource_folders

PACKAGE = "orpose_ros"
MESSAGES = (
    "Keypoint2D", "Keypoint3D", "Skeleton2D", "Skeleton2DArray", "Skeleton3D", "Skeleton3DArray",
    "SkeletonInfo", "PoseModelInfo",
)  # fmt: skip


@dataclass(frozen=True)
class MessageTypes:
    """The message classes to build with.

    Attributes:
        lookup: returns the class of a message by its full name, ``std_msgs/msg/Header``.
        numbers: makes the value of a number-array field from a list and a NumPy dtype.
    """

    lookup: Callable[[str], Any]
    numbers: Callable[[list, type], Any]

    def __getattr__(self, name: str) -> Any:
        if name not in MESSAGES:
            raise AttributeError(name)
        return self.lookup(f"{PACKAGE}/msg/{name}")

    def header(self, stamp_ns: int, frame_id: str) -> Any:
        """Return a ``std_msgs/Header``."""
        stamp = self.lookup("builtin_interfaces/msg/Time")(
            sec=int(stamp_ns // 1_000_000_000), nanosec=int(stamp_ns % 1_000_000_000)
        )
        return self.lookup("std_msgs/msg/Header")(stamp=stamp, frame_id=str(frame_id))

    def point(self, xyz: Sequence[float]) -> Any:
        """Return a ``geometry_msgs/Point`` of three Python floats."""
        return self.lookup("geometry_msgs/msg/Point")(x=xyz[0], y=xyz[1], z=xyz[2])


def rosbags_types(typestore: Any) -> MessageTypes:
    """Return the classes of a ``rosbags`` typestore, ours registered in it."""
    register_messages(typestore)
    return MessageTypes(lambda name: typestore.types[name], lambda values, dtype: np.asarray(values, dtype))


def message_definitions() -> dict[str, str]:
    """Return the text of our message files by full name, from the checkout or the installation.

    Raises:
        ValueError: the installation lacks them.
    """
    return dict(_read_definitions())


def register_messages(typestore: Any) -> None:
    """Add our messages to a ``rosbags`` typestore, so that bags with skeletons can be written and read."""
    from rosbags.typesys import get_types_from_msg

    types: dict = {}
    for name, text in message_definitions().items():
        if name not in typestore.types:
            types.update(get_types_from_msg(text, name))
    typestore.register(types)


@lru_cache(maxsize=1)
def _read_definitions() -> tuple[tuple[str, str], ...]:
    for folder in resource_folders("msg"):
        if all((folder / f"{name}.msg").is_file() for name in MESSAGES):
            return tuple((f"{PACKAGE}/msg/{name}", (folder / f"{name}.msg").read_text()) for name in MESSAGES)
    raise ValueError(f"the message files of {PACKAGE} are missing from this installation; install it again")
