"""Synthetic ground truth as human annotators would annotate it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from orpose_core.skeleton import MVOR10
from orpose_core.types import Poses, Visibility

_MIN_VISIBLE_JOINTS = 4  # MVOR annotates a pose only where at least this many of its ten joints are seen


def as_mvor_annotates(poses: Poses, roles: Sequence[str] | None = None) -> Poses:
    """Return all people, but poses only of those to whom MVOR's annotators would give one.

    A pose is kept, in 2D and 3D, if at least four of MVOR's ten joints are visible and the person is not a
    patient. The other people have boxes only.

    Args:
        poses: people with visibility.
        roles: role of each person, or None.
    """
    if not len(poses):
        return poses
    if poses.visibility is None:
        raise ValueError("as_mvor_annotates: expected poses with visibility")
    own = [poses.skeleton.index(j) for j in MVOR10.joints if j in poses.skeleton.joints]
    keep = (poses.visibility[:, own] == Visibility.VISIBLE).sum(axis=1) >= _MIN_VISIBLE_JOINTS
    if roles is not None:
        keep &= np.array([role != "patient" for role in roles], bool).reshape(-1)

    def hidden(values: np.ndarray | None, missing: float) -> np.ndarray | None:
        if values is None:
            return None
        mask = keep.reshape(-1, *[1] * (values.ndim - 1))
        return np.where(mask, values, missing).astype(values.dtype)

    xy_px = hidden(poses.xy_px, np.nan)
    scores = hidden(poses.scores, 0.0)
    assert xy_px is not None and scores is not None
    return replace(
        poses,
        xy_px=xy_px,
        scores=scores,
        visibility=hidden(poses.visibility, Visibility.ABSENT),
        xyz_cam_m=hidden(poses.xyz_cam_m, np.nan),
        xyz_root_m=hidden(poses.xyz_root_m, np.nan),
    )
