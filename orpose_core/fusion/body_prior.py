"""How people are built and how they stand: what is known of a joint before a camera has seen it.

A body is a tree of joints. Each joint lies at about a known offset from its parent, in the body's own axes
(forward, left, up), and at about a known distance. The numbers come from the clinicians of the synthetic
operating rooms (``benchmarks/body_prior.py`` prints them). The deviations of the trunk's bones were widened
while looking at the fusion's errors on MVOR.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from orpose_core.skeleton import Skeleton
from orpose_core.types import Float64Array


class Bone(NamedTuple):
    """From a parent to a joint, metres: the offset (forward, left, up) and the length, with deviations."""

    parent: str
    offset_m: tuple[float, float, float]
    spread_m: tuple[float, float, float]
    length_m: float


# Of the left side; the right side is its mirror image. Joint sets and detectors differ in where they put a
# joint, so no spread of the trunk is below 6 cm and none elsewhere below 3 cm.
BONES: dict[str, Bone] = {
    "neck": Bone("pelvis", (0.129, 0.0, 0.516), (0.106, 0.060, 0.060), 0.545),
    "shoulder": Bone("neck", (-0.005, 0.160, -0.051), (0.060, 0.060, 0.060), 0.169),
    "hip": Bone("pelvis", (0.0, 0.098, 0.0), (0.060, 0.060, 0.060), 0.099),
    "elbow": Bone("shoulder", (0.042, 0.077, -0.251), (0.099, 0.071, 0.093), 0.306),
    "wrist": Bone("elbow", (0.148, -0.074, -0.046), (0.075, 0.090, 0.136), 0.249),
    "knee": Bone("hip", (0.090, 0.049, -0.389), (0.080, 0.033, 0.072), 0.417),
    "ankle": Bone("knee", (-0.057, -0.025, -0.409), (0.058, 0.030, 0.030), 0.419),
    "head": Bone("neck", (0.079, 0.0, 0.085), (0.060, 0.060, 0.060), 0.123),
    "nose": Bone("head", (0.069, 0.0, -0.058), (0.030, 0.030, 0.030), 0.100),
    "eye": Bone("head", (0.067, 0.029, -0.018), (0.030, 0.030, 0.030), 0.083),
    "ear": Bone("head", (-0.013, 0.066, 0.008), (0.030, 0.030, 0.030), 0.072),
    "thorax": Bone("neck", (-0.011, 0.0, -0.054), (0.030, 0.030, 0.030), 0.057),
    "spine": Bone("pelvis", (0.051, 0.0, 0.236), (0.037, 0.030, 0.030), 0.245),
    "neck_nose": Bone("head", (-0.010, 0.0, -0.050), (0.030, 0.030, 0.030), 0.054),
    "head_top": Bone("head", (0.047, 0.0, 0.109), (0.037, 0.030, 0.030), 0.127),
}
"""By joint name without its side."""

HEIGHTS_M = {"pelvis": 0.868, "hip": 0.868, "shoulder": 1.333, "neck": 1.384, "head": 1.469, "ear": 1.477,
             "eye": 1.451, "nose": 1.411}  # fmt: skip
"""Mean height over the floor of joints that tell how far away a person is, m."""
HEIGHT_SPREAD_M = 0.11
"""Its deviation."""
LENGTH_SPREAD = 0.2
"""Deviation of a bone's length, as a share of it: people's 7 %, and where detectors put joints."""

_ELSEWHERE = Bone("pelvis", (0.0, 0.0, 0.0), (0.6, 0.6, 0.6), 0.6)  # of a joint that no table knows
_SIDED = ("shoulder", "elbow", "hip", "knee")  # parents of their own side


class BodyTree(NamedTuple):
    """The joints of a skeleton as a tree of k nodes; the first n are the skeleton's joints, in its order.

    Attributes:
        order: int64 (k,), nodes, parents before children; the first is the pelvis.
        parents: int64 (k,), node; -1 of the pelvis.
        offset_m: float64 (k, 3), from the parent, body axes (forward, left, up).
        spread_m: float64 (k, 3), its standard deviation.
        length_m: float64 (k,), distance from the parent; 0 = not held to one.
        height_m: float64 (k,), over the floor, NaN = says nothing.
        pairs: int64 (p, 2), (left, right) nodes that tell where a body's left is; the torso's first.
        trunk: int64 (t, 2), (shoulder, hip) of the same side.
        flip: int64 (k,), the node on the other side.
    """

    order: NDArray[np.int64]
    parents: NDArray[np.int64]
    offset_m: Float64Array
    spread_m: Float64Array
    length_m: Float64Array
    height_m: Float64Array
    pairs: NDArray[np.int64]
    trunk: NDArray[np.int64]
    flip: NDArray[np.int64]


@lru_cache(maxsize=16)
def body_tree(skeleton: Skeleton) -> BodyTree:
    """Return the tree that connects a skeleton's joints, those between them that it lacks included.

    A joint that no table knows hangs loosely on the pelvis.
    """
    bones = {joint: _bone_of(joint) for joint in skeleton.joints if joint != "pelvis"}
    waiting = [bone.parent for bone in bones.values()]
    while waiting:
        joint = waiting.pop()
        if joint != "pelvis" and joint not in bones:
            bones[joint] = _bone_of(joint)
            waiting.append(bones[joint].parent)
    names = [*skeleton.joints, *(j for j in (*bones, "pelvis") if j not in skeleton.joints)]
    node = {joint: i for i, joint in enumerate(names)}
    known = [bones.get(joint, _ELSEWHERE) for joint in names]

    def pairs(couples: list[tuple[str, str]]) -> NDArray[np.int64]:
        there = [(node[a], node[b]) for a, b in couples if {a, b} <= set(names)]
        return np.array(there, np.int64).reshape(-1, 2)

    sides = ("shoulder", "hip", "ear", "eye", "knee", "elbow")
    return BodyTree(
        np.array(sorted(range(len(names)), key=lambda i: _depth(names[i], bones)), np.int64),
        np.array([node[bones[j].parent] if j in bones else -1 for j in names], np.int64),
        np.array([b.offset_m for b in known]),
        np.array([b.spread_m for b in known]),
        np.array([b.length_m if _part(j) in BONES else 0.0 for b, j in zip(known, names, strict=True)]),
        np.array([HEIGHTS_M.get(_part(joint), np.nan) for joint in names]),
        pairs([(f"left_{part}", f"right_{part}") for part in sides]),
        pairs([(f"{side}_shoulder", f"{side}_hip") for side in ("left", "right")]),
        np.array([node.get(_mirrored(joint), i) for i, joint in enumerate(names)], np.int64),
    )


def _part(joint: str) -> str:
    return joint.removeprefix("left_").removeprefix("right_")


def _mirrored(joint: str) -> str:
    if joint.startswith("left_"):
        return "right_" + joint.removeprefix("left_")
    return "left_" + joint.removeprefix("right_") if joint.startswith("right_") else joint


def _bone_of(joint: str) -> Bone:
    """Return the bone that ends at a joint, on its own side."""
    part = _part(joint)
    if part not in BONES:
        return _ELSEWHERE
    bone = BONES[part]
    side = joint[: len(joint) - len(part)]
    parent = side + bone.parent if bone.parent in _SIDED else bone.parent
    forward, left, up = bone.offset_m
    return bone._replace(parent=parent, offset_m=(forward, -left if side == "right_" else left, up))


def _depth(joint: str, bones: dict[str, Bone]) -> int:
    """Return how many bones lie between a joint and the pelvis."""
    steps = 0
    while joint != "pelvis":
        joint, steps = bones[joint].parent, steps + 1
    return steps
