"""REP 155 (ROS4HRI): ids, regions and 2D skeletons of bodies, for ``hri_msgs`` 2 and libhri.

Coordinates are normalized: 0 is the left or upper border of the image, 1 the right or lower one. The messages
have no missing value, so an absent joint is (0, 0) with confidence 0.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
from hri_msgs.msg import IdsList, NormalizedPointOfInterest2D, NormalizedRegionOfInterest2D, Skeleton2D
from numpy.typing import NDArray
from std_msgs.msg import Header

from orpose_core.skeleton import Skeleton
from orpose_ros.bridges.people import ImagePeople

BODIES = "humans/bodies"
"""Below the namespace of the node; REP 155 has one list, ``/humans/bodies``: that of a node in none."""

_JOINTS = 18


def body_id(camera: str, track_id: int) -> str:
    """Return the id of a body, which is unique among all cameras and valid in the name of a topic."""
    name = re.sub(r"[^A-Za-z0-9]+", "_", camera).strip("_")
    return f"{name or 'camera'}_{track_id}" if not name[:1].isdigit() else f"camera_{name}_{track_id}"


def to_ids(ids: Sequence[str], header: Header) -> IdsList:
    """Return the list of bodies."""
    return IdsList(header=header, ids=list(ids))


def to_region(people: ImagePeople, row: int) -> NormalizedRegionOfInterest2D:
    """Return the region of a person in the image, clipped to its borders."""
    height, width = people.image_hw
    box = (people.poses.boxes_px[row].astype(np.float64) + 0.5) / [width, height, width, height]
    if not np.isfinite(box).all():
        box = _around_joints(people, row)
    x1, y1, x2, y2 = np.clip(box, 0.0, 1.0).tolist()
    score = min(max(float(people.poses.person_scores[row]), 0.0), 1.0)
    return NormalizedRegionOfInterest2D(header=people.header, xmin=x1, ymin=y1, xmax=x2, ymax=y2, c=score)


def to_skeleton(people: ImagePeople, row: int) -> Skeleton2D:
    """Return a person's joints in the order of ``hri_msgs``; the neck is computed from the shoulders."""
    points = _shares(people, row)
    scores, skeleton = people.poses.scores[row], people.poses.skeleton
    joints = [NormalizedPointOfInterest2D() for _ in range(_JOINTS)]
    for name, index in _indices(skeleton).items():
        place, score = points[skeleton.joints.index(name)], float(scores[skeleton.joints.index(name)])
        joints[index] = _point(place, score)
    if "neck" not in skeleton.joints:
        both = [skeleton.index("left_shoulder"), skeleton.index("right_shoulder")]
        joints[Skeleton2D.NECK] = _point(points[both].mean(axis=0), float(scores[both].min()))
    return Skeleton2D(header=people.header, skeleton=joints)


def _indices(skeleton: Skeleton) -> dict[str, int]:
    """Return the indices in the message of the common joints (its eyes are not in OpenPose's order)."""
    return {
        name: int(getattr(Skeleton2D, name.upper()))
        for name in skeleton.joints
        if hasattr(Skeleton2D, name.upper())
    }


def _shares(people: ImagePeople, row: int) -> NDArray[np.float64]:
    height, width = people.image_hw
    return (people.poses.xy_px[row].astype(np.float64) + 0.5) / [width, height]


def _around_joints(people: ImagePeople, row: int) -> NDArray[np.float64]:
    known = _shares(people, row)
    known = known[np.isfinite(known).all(axis=-1)]
    if not len(known):
        return np.zeros(4)
    return np.concatenate([known.min(axis=0), known.max(axis=0)])


def _point(share: NDArray[np.float64], score: float) -> NormalizedPointOfInterest2D:
    if score <= 0 or not np.isfinite(share).all():
        return NormalizedPointOfInterest2D()
    x, y = np.clip(share, 0.0, 1.0).tolist()
    return NormalizedPointOfInterest2D(x=x, y=y, c=score)
