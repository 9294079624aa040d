"""What is known of the body where a skeleton's joints are looked up in depth."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from orpose_core.skeleton import Skeleton, body_part


class SurfaceOffset(NamedTuple):
    """How far a joint lies behind the surface that the camera sees at it, along the ray.

    A joint that is seen lies half the body's thickness behind its skin or clothes. One that is hidden lies
    behind the surface of something else: the own trunk or another limb, the far side of the head, another
    person, a table. How far depends on where its neighbours are: those of the torso, or its parent.

    Attributes:
        mean_m: of a joint that is seen.
        spread_m: half of the middle 68 % of it.
        hidden_m: of a hidden joint whose neighbours are as far away as the surface.
        hidden_lean: the share of the neighbours' distance beyond the surface that is added to that.
        hidden_spread_m: half of the middle 68 % of what is left.
    """

    mean_m: float
    spread_m: float
    hidden_m: float
    hidden_lean: float
    hidden_spread_m: float


# Measured by `orpose benchmark surface-offsets --frames 200` in the synthetic rooms: joint centers in view,
# seen and hidden, their 2D position disturbed as a network's is.
SURFACE_OFFSETS: dict[str, SurfaceOffset] = {
    "nose": SurfaceOffset(0.023, 0.051, 0.117, 0.698, 0.063),
    "eye": SurfaceOffset(0.028, 0.045, 0.112, 0.506, 0.063),
    "ear": SurfaceOffset(0.031, 0.052, 0.088, 0.472, 0.048),
    "neck": SurfaceOffset(0.087, 0.06, 0.131, 0.784, 0.088),
    "shoulder": SurfaceOffset(0.072, 0.037, 0.202, 0.613, 0.09),
    "elbow": SurfaceOffset(0.054, 0.044, 0.23, 0.812, 0.128),
    "wrist": SurfaceOffset(0.032, 0.045, 0.212, 0.647, 0.163),
    "hip": SurfaceOffset(0.129, 0.076, 0.364, 0.658, 0.175),
    "knee": SurfaceOffset(0.083, 0.047, 0.355, 0.882, 0.174),
    "ankle": SurfaceOffset(0.062, 0.061, 0.449, 1.0, 0.341),
}
"""By joint name without its side."""

_UNKNOWN_OFFSET = SurfaceOffset(0.06, 0.06, 0.2, 0.5, 0.15)
"""Of other parts: about the mean of those measured."""

MOST_BEYOND_M = 0.6
"""Neighbours that lie farther beyond a hidden joint's surface than a limb is long say no more than this."""


class LookupPlan(NamedTuple):
    """In which order a skeleton's joints are looked up, and what each may lean on.

    Attributes:
        order: int64 (n,), parents first.
        parents: int64 (n, p), indices of the joints that a joint hangs on, best first; -1 = none.
        reach_m: float64 (n,), longest distance from the parent.
        torso: int64 (k, 2), pairs of joints between which the torso is sampled.
        offsets: float64 (n, 5), :class:`SurfaceOffset` of each joint.
    """

    order: NDArray[np.int64]
    parents: NDArray[np.int64]
    reach_m: NDArray[np.float64]
    torso: NDArray[np.int64]
    offsets: NDArray[np.float64]


# Joints without a parent belong to the torso. The others lie within this distance of the first parent known:
# the bone of a tall person, and 10 cm for clothes and noise.
_TORSO = ("neck", "thorax", "spine", "pelvis", "left_shoulder", "right_shoulder", "left_hip", "right_hip")
_TORSO_SPANS = (
    ("left_shoulder", "left_hip"), ("right_shoulder", "right_hip"), ("left_shoulder", "right_shoulder"),
    ("left_hip", "right_hip"), ("neck", "left_hip"), ("neck", "right_hip"), ("neck", "pelvis"),
)  # fmt: skip
_HEAD_PARENTS = ("neck", "thorax", "left_shoulder", "right_shoulder")
_PARENTS: dict[str, tuple[tuple[str, ...], float]] = {
    "head": (_HEAD_PARENTS, 0.45), "head_top": (_HEAD_PARENTS, 0.55), "neck_nose": (_HEAD_PARENTS, 0.45),
    "nose": (_HEAD_PARENTS, 0.45), "eye": (_HEAD_PARENTS, 0.45), "ear": (_HEAD_PARENTS, 0.45),
    "elbow": (("shoulder",), 0.46), "wrist": (("elbow",), 0.42), "knee": (("hip",), 0.60),
    "ankle": (("knee",), 0.60),
}  # fmt: skip
_LONGEST_REACH_M = 0.60
"""Of a joint whose part of the body is not in the table: it hangs on its neighbour along the limbs."""


@lru_cache(maxsize=16)
def lookup_plan(skeleton: Skeleton) -> LookupPlan:
    """Return the plan of a skeleton: known parts of the body by name, other joints along the limbs."""
    parents: dict[int, list[int]] = {}
    reach_m = np.full(len(skeleton), np.inf)
    for i, joint in enumerate(skeleton.joints):
        if joint in _TORSO:
            parents[i] = []
        elif body_part(joint) in _PARENTS:
            names, reach_m[i] = _PARENTS[body_part(joint)]
            side = joint.removesuffix(body_part(joint))
            sided = [side + p if side + p in skeleton.joints else p for p in names]
            parents[i] = [skeleton.index(p) for p in sided if p in skeleton.joints]
    for i, parent in _along_limbs(skeleton, set(parents)).items():
        parents[i] = [] if parent is None else [parent]
        reach_m[i] = np.inf if parent is None else _LONGEST_REACH_M
    table = np.full((len(skeleton), max(map(len, parents.values()), default=0) + 1), -1, np.int64)
    for i, known in parents.items():
        table[i, : len(known)] = known
    rank = [_rank(i, parents) for i in range(len(skeleton))]
    torso = [
        (skeleton.index(a), skeleton.index(b)) for a, b in _TORSO_SPANS if {a, b} <= set(skeleton.joints)
    ]
    return LookupPlan(
        np.argsort(rank, kind="stable"),
        table,
        reach_m,
        np.array(torso, np.int64).reshape(-1, 2),
        np.array([_offset_of(joint) for joint in skeleton.joints]).reshape(-1, 5),
    )


def _along_limbs(skeleton: Skeleton, known: set[int]) -> dict[int, int | None]:
    """Return the neighbour nearer to a known joint of every joint that is not known, None where none is."""
    neighbours: dict[int, list[int]] = {i: [] for i in range(len(skeleton))}
    for a, b in skeleton.edges:
        neighbours[a].append(b)
        neighbours[b].append(a)
    found: dict[int, int | None] = {}
    while len(known | found.keys()) < len(skeleton):
        reached = known | found.keys()
        rest = [i for i in neighbours if i not in reached]
        ring = {i: next((n for n in neighbours[i] if n in reached), None) for i in rest}
        ring = {i: n for i, n in ring.items() if n is not None}
        # Where no limb leads to a known joint, the one with most limbs stands for the torso.
        found |= ring or {max(rest, key=lambda i: len(neighbours[i])): None}
    return found


def _rank(joint: int, parents: dict[int, list[int]]) -> int:
    """Return how many joints lie between a joint and the torso, by its best parent."""
    rank = 0
    while parents[joint]:
        joint, rank = parents[joint][0], rank + 1
    return rank


_OFFSET_OF_OTHERS = {
    "thorax": "neck", "spine": "hip", "pelvis": "hip", "head": "ear", "head_top": "ear", "neck_nose": "ear",
}  # fmt: skip


def _offset_of(joint: str) -> SurfaceOffset:
    part = _OFFSET_OF_OTHERS.get(body_part(joint), body_part(joint))
    return SURFACE_OFFSETS.get(part, _UNKNOWN_OFFSET)
