"""The joints in which fused skeletons are compared with the ground truth, and their errors."""

from __future__ import annotations

import numpy as np

from orpose_core.types import Float64Array

PARTS = ("shoulder", "hip", "elbow", "wrist")
JOINTS = tuple(f"{side}_{part}" for part in PARTS for side in ("left", "right"))
"""The eight joints that are compared."""
HIPS = [JOINTS.index("left_hip"), JOINTS.index("right_hip")]


def body_axes(xyz: Float64Array) -> tuple[Float64Array, Float64Array]:
    """Return the axes forward, left, up of bodies as rows, (m, 3, 3), and the lengths of the torsos, (m,) m.

    Up is from the hips to the shoulders, left from the right shoulder to the left one.

    Args:
        xyz: float64 (m, 8, 3), :data:`JOINTS`.
    """
    up = (xyz[:, 0] + xyz[:, 1] - xyz[:, 2] - xyz[:, 3]) / 2
    length = np.linalg.norm(up, axis=1)
    up = up / length[:, None]
    left = xyz[:, 0] - xyz[:, 1]
    left = left - (left * up).sum(axis=1, keepdims=True) * up
    left /= np.linalg.norm(left, axis=1, keepdims=True)
    return np.stack([np.cross(left, up), left, up], axis=1), length


def fit_hips(fused: Float64Array, true: Float64Array) -> Float64Array:
    """Return the offset of the left hip, (3,) forward, left, up in torso lengths; the right is mirrored."""
    axes, length = body_axes(fused)
    offsets = []
    for hip, sign in zip(HIPS, (1.0, -1.0), strict=True):
        local = np.einsum("mij,mj->mi", axes, true[:, hip] - fused[:, hip]) / length[:, None]
        offsets.append(local * [1.0, sign, 1.0])
    return np.nanmedian(np.concatenate(offsets), axis=0) if len(fused) else np.zeros(3)


def move_hips(fused: Float64Array, offset: Float64Array) -> Float64Array:
    """Return the joints with hips as MVOR annotates them, if a person has shoulders and hips."""
    axes, length = body_axes(fused)
    moved = fused.copy()
    for hip, sign in zip(HIPS, (1.0, -1.0), strict=True):
        move = np.einsum("mji,j->mi", axes, offset * [1.0, sign, 1.0]) * length[:, None]
        moved[:, hip] += np.nan_to_num(move)
    return moved


def errors_of(fused: Float64Array, true: Float64Array) -> dict[str, float | int]:
    """Return the mean error of each part and of all joints, and the median, cm; and the number of joints."""
    error = 100 * np.linalg.norm(fused - true, axis=-1)
    parts = [error[:, 2 * i : 2 * i + 2] for i in range(len(PARTS))]
    means = [float(part[np.isfinite(part)].mean()) if np.isfinite(part).any() else np.nan for part in parts]
    known = error[np.isfinite(error)]
    return {
        "people": len(fused),
        "joints": len(known),
        **dict(zip(PARTS, means, strict=True)),
        "mean": float(np.mean(means)),
        "median": float(np.median(known)) if len(known) else np.nan,
    }
