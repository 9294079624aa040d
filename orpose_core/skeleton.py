"""Every joint set, limb list, flip pair and mapping of the project; the only place that has them.

A :class:`Skeleton` is data: joint names in order, the limbs that connect them, the left/right pairs that a
mirror swaps, and the OKS constants. Joints are mapped between skeletons by *name*, with a short list of rules
for those that one skeleton has and another only implies (a neck is the mean of the shoulders, say).

Sources of the sets: COCO keypoints (Lin et al. 2014), the 18 keypoints and 19 limbs of RTPose's CVPR 2017
release (Cao et al. 2017, DepthPose Fig. 2), Human3.6M in the 17-joint order of Martinez et al. (2017), and
the 10 upper-body joints of MVOR (Srivastav et al. 2018).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Skeleton:
    """A named, ordered set of joints.

    Attributes:
        name: the skeleton's name, as it appears in messages, files and on the command line.
        joints: joint names in index order.
        edges: limbs as pairs of joint indices; bipartite matching takes them in this order.
        sigmas: one OKS constant per joint (``k_i = 2 sigma_i`` in the COCO keypoint evaluation), as a
            share of the square root of the object's area.
        paf_channels: for each limb, the two of the part affinity fields' channels with its x and its y
            component; empty = in the order of the limbs.
    """

    name: str
    joints: tuple[str, ...]
    edges: tuple[tuple[int, int], ...]
    sigmas: tuple[float, ...] = field(repr=False)
    paf_channels: tuple[tuple[int, int], ...] = field(default=(), repr=False)

    def __post_init__(self) -> None:
        if not self.paf_channels:
            in_order = tuple((2 * i, 2 * i + 1) for i in range(len(self.edges)))
            object.__setattr__(self, "paf_channels", in_order)
        if len(set(self.joints)) != len(self.joints):
            raise ValueError(f"skeleton {self.name}: joint names must differ, got {self.joints}")
        if len(self.sigmas) != len(self.joints):
            raise ValueError(
                f"skeleton {self.name}: expected {len(self.joints)} sigmas, got {len(self.sigmas)}"
            )
        for a, b in self.edges:
            if not (0 <= a < len(self.joints) and 0 <= b < len(self.joints)):
                raise ValueError(f"skeleton {self.name}: edge ({a}, {b}) names a joint that is not there")
        if sorted(c for both in self.paf_channels for c in both) != list(range(2 * len(self.edges))):
            raise ValueError(
                f"skeleton {self.name}: expected each of {2 * len(self.edges)} PAF channels once, "
                f"got {self.paf_channels}"
            )

    def __len__(self) -> int:
        return len(self.joints)

    def index(self, joint: str) -> int:
        """Return the index of ``joint``; ValueError names the skeleton and its joints if it has none."""
        try:
            return self.joints.index(joint)
        except ValueError:
            raise ValueError(f"skeleton {self.name} has no joint {joint!r}; it has {self.joints}") from None

    @cached_property
    def flip_pairs(self) -> tuple[tuple[int, int], ...]:
        """Pairs (left index, right index) that change places when the image is mirrored."""
        return tuple(
            (i, self.index("right_" + joint.removeprefix("left_")))
            for i, joint in enumerate(self.joints)
            if joint.startswith("left_")
        )

    @cached_property
    def flip_permutation(self) -> tuple[int, ...]:
        """The joint order after a mirror: ``mirrored[i] = original[flip_permutation[i]]``."""
        order = list(range(len(self.joints)))
        for left, right in self.flip_pairs:
            order[left], order[right] = right, left
        return tuple(order)


def body_part(joint: str) -> str:
    """Return a joint's name without its side: ``"left_wrist"`` is a ``"wrist"``."""
    return joint.removeprefix("left_").removeprefix("right_")


def _edges(joints: Sequence[str], pairs: Sequence[tuple[str, str]]) -> tuple[tuple[int, int], ...]:
    return tuple((joints.index(a), joints.index(b)) for a, b in pairs)


# OKS sigmas of the COCO keypoint evaluation, by joint; a mirror image has the same.
_SIGMA = {
    "nose": 0.026, "eye": 0.025, "ear": 0.035, "shoulder": 0.079, "elbow": 0.072, "wrist": 0.062,
    "hip": 0.107, "knee": 0.087, "ankle": 0.089,
    # Not in COCO: joints on the body's axis take the sigma of the shoulders or hips they are derived from,
    # points of the head that of the ears.
    "neck": 0.079, "thorax": 0.079, "spine": 0.107, "pelvis": 0.107, "head": 0.035, "head_top": 0.035,
    "neck_nose": 0.035,
}  # fmt: skip


def _sigmas(joints: Sequence[str]) -> tuple[float, ...]:
    return tuple(_SIGMA[body_part(joint)] for joint in joints)


def _skeleton(name: str, joints: Sequence[str], pairs: Sequence[tuple[str, str]]) -> Skeleton:
    return Skeleton(name, tuple(joints), _edges(joints, pairs), _sigmas(joints))


_COCO_JOINTS = (
    "nose", "left_eye", "right_eye", "left_ear", "right_ear", "left_shoulder", "right_shoulder",
    "left_elbow", "right_elbow", "left_wrist", "right_wrist", "left_hip", "right_hip",
    "left_knee", "right_knee", "left_ankle", "right_ankle",
)  # fmt: skip

_COCO_PAIRS = (
    ("left_ankle", "left_knee"), ("left_knee", "left_hip"), ("right_ankle", "right_knee"),
    ("right_knee", "right_hip"), ("left_hip", "right_hip"), ("left_shoulder", "left_hip"),
    ("right_shoulder", "right_hip"), ("left_shoulder", "right_shoulder"), ("left_shoulder", "left_elbow"),
    ("right_shoulder", "right_elbow"), ("left_elbow", "left_wrist"), ("right_elbow", "right_wrist"),
    ("left_eye", "right_eye"), ("nose", "left_eye"), ("nose", "right_eye"), ("left_eye", "left_ear"),
    ("right_eye", "right_ear"), ("left_ear", "left_shoulder"), ("right_ear", "right_shoulder"),
)  # fmt: skip

COCO17 = _skeleton("coco17", _COCO_JOINTS, _COCO_PAIRS)
"""The 17 COCO keypoints, in COCO's order."""

_OPENPOSE_JOINTS = (
    "nose", "neck", "right_shoulder", "right_elbow", "right_wrist", "left_shoulder", "left_elbow",
    "left_wrist", "right_hip", "right_knee", "right_ankle", "left_hip", "left_knee", "left_ankle",
    "right_eye", "left_eye", "right_ear", "left_ear",
)  # fmt: skip

# In the order of limbSeq of the CVPR 2017 release: bipartite matching takes the limbs in this order.
_OPENPOSE_PAIRS = (
    ("neck", "right_shoulder"), ("neck", "left_shoulder"), ("right_shoulder", "right_elbow"),
    ("right_elbow", "right_wrist"), ("left_shoulder", "left_elbow"), ("left_elbow", "left_wrist"),
    ("neck", "right_hip"), ("right_hip", "right_knee"), ("right_knee", "right_ankle"),
    ("neck", "left_hip"), ("left_hip", "left_knee"), ("left_knee", "left_ankle"), ("neck", "nose"),
    ("nose", "right_eye"), ("right_eye", "right_ear"), ("nose", "left_eye"), ("left_eye", "left_ear"),
    ("right_shoulder", "right_ear"), ("left_shoulder", "left_ear"),
)  # fmt: skip

# For each limb its x and y channel: mapIdx - 19 of the CVPR 2017 release.
_OPENPOSE_PAF_CHANNELS = (
    (12, 13), (20, 21), (14, 15), (16, 17), (22, 23), (24, 25), (0, 1), (2, 3), (4, 5), (6, 7), (8, 9),
    (10, 11), (28, 29), (30, 31), (34, 35), (32, 33), (36, 37), (18, 19), (26, 27),
)  # fmt: skip

OPENPOSE18 = replace(
    _skeleton("openpose18", _OPENPOSE_JOINTS, _OPENPOSE_PAIRS), paf_channels=_OPENPOSE_PAF_CHANNELS
)
"""The 18 keypoints and 19 limbs of RTPose and DepthPose. The networks add a background map as channel 18."""

_H36M_JOINTS = (
    "pelvis", "right_hip", "right_knee", "right_ankle", "left_hip", "left_knee", "left_ankle", "spine",
    "thorax", "neck_nose", "head_top", "left_shoulder", "left_elbow", "left_wrist", "right_shoulder",
    "right_elbow", "right_wrist",
)  # fmt: skip

_H36M_PAIRS = (
    ("neck_nose", "head_top"), ("thorax", "neck_nose"), ("thorax", "spine"), ("spine", "pelvis"),
    ("pelvis", "right_hip"), ("right_hip", "right_knee"), ("right_knee", "right_ankle"),
    ("pelvis", "left_hip"), ("left_hip", "left_knee"), ("left_knee", "left_ankle"),
    ("thorax", "right_shoulder"), ("right_shoulder", "right_elbow"), ("right_elbow", "right_wrist"),
    ("thorax", "left_shoulder"), ("left_shoulder", "left_elbow"), ("left_elbow", "left_wrist"),
)  # fmt: skip

H36M17 = _skeleton("h36m17", _H36M_JOINTS, _H36M_PAIRS)
"""Human3.6M in the 17-joint order of Martinez et al. (2017)."""

_MVOR_JOINTS = (
    "head", "neck", "left_shoulder", "right_shoulder", "left_hip", "right_hip", "left_elbow",
    "right_elbow", "left_wrist", "right_wrist",
)  # fmt: skip

_MVOR_PAIRS = (
    ("head", "neck"), ("neck", "left_shoulder"), ("neck", "right_shoulder"), ("left_shoulder", "left_hip"),
    ("right_shoulder", "right_hip"), ("left_shoulder", "left_elbow"), ("right_shoulder", "right_elbow"),
    ("left_elbow", "left_wrist"), ("right_elbow", "right_wrist"),
)  # fmt: skip

MVOR10 = _skeleton("mvor10", _MVOR_JOINTS, _MVOR_PAIRS)
"""The 10 upper-body joints of MVOR, in the order of its annotation file."""

_BODY_JOINTS = (*_COCO_JOINTS, "neck", "head", "pelvis", "spine", "thorax", "neck_nose", "head_top")

BODY24 = _skeleton("body24", _BODY_JOINTS, _COCO_PAIRS)
"""All joints that any of the other skeletons has; what the synthetic operating room knows of a person."""

SKELETONS: dict[str, Skeleton] = {s.name: s for s in (COCO17, OPENPOSE18, H36M17, MVOR10, BODY24)}
"""Every skeleton there is; a new one is one more entry (docs/extending.md)."""


def by_name(name: str) -> Skeleton:
    """Return the skeleton called ``name``; ValueError lists those there are."""
    try:
        return SKELETONS[name]
    except KeyError:
        raise ValueError(f"no skeleton is called {name!r}; there are {sorted(SKELETONS)}") from None


# A joint the source lacks is the mean of the joints of the first rule that are all present there.
_SHOULDER_RULES = (("left_shoulder", "right_shoulder"), ("left_shoulder",), ("right_shoulder",))
_RULES: dict[str, tuple[tuple[str, ...], ...]] = {
    # MVOR's evaluator: mean of the eyes, else of the ears, else the first of these that is there.
    "head": (
        ("left_eye", "right_eye"), ("left_ear", "right_ear"), ("nose",), ("right_eye",), ("left_eye",),
        ("right_ear",), ("left_ear",),
    ),
    "neck": _SHOULDER_RULES,
    # ORPose, COCOtoH36 of the released code. There a lone hip or shoulder stands for the pair.
    "pelvis": (("left_hip", "right_hip"), ("left_hip",), ("right_hip",)),
    "thorax": _SHOULDER_RULES,
    "spine": (("left_hip", "right_hip", "left_shoulder", "right_shoulder"),),
    "neck_nose": (("left_ear", "right_ear"),),
    "head_top": (("left_ear", "right_ear"),),
}  # fmt: skip


@lru_cache(maxsize=64)
def joint_rules(source: Skeleton, target: Skeleton) -> tuple[tuple[tuple[int, ...], ...], ...]:
    """For each target joint, the rules that give it: tuples of source joints to average, best first.

    A joint of the same name comes first. A joint that the source cannot give has no rule.
    """
    rules = []
    for joint in target.joints:
        own = ((source.index(joint),),) if joint in source.joints else ()
        derived = tuple(
            tuple(source.index(j) for j in rule)
            for rule in _RULES.get(joint, ())
            if all(j in source.joints for j in rule)
        )
        rules.append(own or derived)
    return tuple(rules)


def convert_joints(
    values: NDArray, scores: NDArray, source: Skeleton, target: Skeleton
) -> tuple[NDArray, NDArray]:
    """Map joints from one skeleton to another, by name.

    Args:
        values: float (m, n_source, d), any unit; NaN where the joint is absent.
        scores: float (m, n_source); 0 where the joint is absent.
        source: skeleton of ``values``.
        target: skeleton wanted.

    Returns:
        ``(values, scores)``, (m, n_target, d) and (m, n_target), of the arguments' dtypes (metrics work in
        float64). A derived joint is the mean of its parents and has the lowest of their scores; one that
        cannot be derived is NaN with score 0.
    """
    m, d = values.shape[0], values.shape[2]
    out = np.full((m, len(target), d), np.nan, dtype=values.dtype)
    out_scores = np.zeros((m, len(target)), dtype=scores.dtype)
    everyone = joint_rules(source, target)
    copied = {j: rules[0][0] for j, rules in enumerate(everyone) if len(rules) == 1 and len(rules[0]) == 1}
    if copied:  # nearly all of them, in one go
        to, come = list(copied), list(copied.values())
        there = scores[:, come] > 0
        out[:, to] = np.where(there[..., None], values[:, come], np.nan)
        out_scores[:, to] = np.where(there, scores[:, come], 0)
    for j, rules in enumerate(everyone):
        if j in copied:
            continue
        for rule in reversed(rules):  # the best rule writes last
            parents = list(rule)
            present = np.all(scores[:, parents] > 0, axis=1)
            out[present, j] = values[present][:, parents].mean(axis=1)
            out_scores[present, j] = scores[present][:, parents].min(axis=1)
    return out, out_scores
