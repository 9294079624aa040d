"""The input of every bridge: the people of one image, or of the room."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from std_msgs.msg import Header

from orpose_core.data.skeleton_messages import joints_in_space
from orpose_core.skeleton import Skeleton
from orpose_core.types import Float64Array, Poses


@dataclass(frozen=True)
class ImagePeople:
    """The people of one image.

    Attributes:
        header: header of the image.
        poses: people in px of the image, integer = pixel centre.
        image_hw: (height, width) of the image.
    """

    header: Header
    poses: Poses
    image_hw: tuple[int, int]


@dataclass(frozen=True)
class SpacePeople:
    """People in space.

    Attributes:
        header: header with the frame of the positions.
        skeleton: the joint set.
        track_ids: track id of each person, -1 = none.
        scores: score of each person, in [0, 1].
        roots_m: float64 (m, 3), position of the pelvis, m, NaN = unknown.
        xyz_m: float64 (m, n, 3), positions of joints, m, NaN = unknown.
        sigma_m: float64 (m, n), standard deviations, m, NaN = unknown.
    """

    header: Header
    skeleton: Skeleton
    track_ids: tuple[int, ...]
    scores: tuple[float, ...]
    roots_m: Float64Array
    xyz_m: Float64Array
    sigma_m: Float64Array


def space_people(message: Any, skeleton: Skeleton) -> SpacePeople:
    """Return the people of a metric ``Skeleton3DArray``.

    Raises:
        ValueError: positions are relative to the pelvis, or the number of joints is wrong.
    """
    if message.kind != message.KIND_METRIC:
        raise ValueError("expected metric skeletons, got ones relative to the pelvis, which have no place")
    xyz_m, sigma_m = joints_in_space(message, skeleton)
    roots = np.array([(p.root.x, p.root.y, p.root.z) for p in message.skeletons], np.float64).reshape(-1, 3)
    return SpacePeople(
        message.header,
        skeleton,
        tuple(int(person.track_id) for person in message.skeletons),
        tuple(float(person.score) for person in message.skeletons),
        roots,
        xyz_m,
        sigma_m,
    )
