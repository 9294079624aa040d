"""Poses to skeleton messages and back, over any set of message classes: rclpy's or those of ``rosbags``.

Missing is NaN in a message, never 0. Every number that enters a message is made a plain Python one first: the
classes of rclpy do not check, and a NumPy scalar would arrive as garbage.
"""

from orpose_core.data.skeleton_messages.arrays import (
    UNTRACKED,
    VISIBILITY_UNKNOWN,
    from_skeletons,
    joints_in_space,
    stamp_ns_of,
    states_of,
    to_skeletons_2d,
    to_skeletons_3d,
)
from orpose_core.data.skeleton_messages.info import (
    ModelDescription,
    from_skeleton_info,
    to_model_info,
    to_skeleton_info,
)
from orpose_core.data.skeleton_messages.message_types import (
    MESSAGES,
    PACKAGE,
    MessageTypes,
    message_definitions,
    register_messages,
    rosbags_types,
)

__all__ = [
    "MESSAGES",
    "PACKAGE",
    "UNTRACKED",
    "VISIBILITY_UNKNOWN",
    "MessageTypes",
    "ModelDescription",
    "from_skeleton_info",
    "from_skeletons",
    "joints_in_space",
    "message_definitions",
    "register_messages",
    "rosbags_types",
    "stamp_ns_of",
    "states_of",
    "to_model_info",
    "to_skeleton_info",
    "to_skeletons_2d",
    "to_skeletons_3d",
]
