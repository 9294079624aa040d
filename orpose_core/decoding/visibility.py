"""Visibility maps to the visibility of joints: whether the camera sees a joint or its place was inferred."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy.special import expit

from orpose_core.types import FloatArray, Poses, Visibility

_SEEN = 0.5  # probability


def with_visibility(
    poses: Poses, logits: FloatArray, source_hw: tuple[int, int], mirror_logits: FloatArray | None = None
) -> Poses:
    """Return the poses with the visibility of each joint and its probability, read in the joint's cell.

    With the flip test it is the mean of two probabilities (see :mod:`orpose_core.decoding.flip`). Only the
    joints' own cells are read: the probabilities of whole maps cost more than the rest of the decoding.

    Args:
        poses: in px of an image of ``source_hw``.
        logits: float32 (n, h, w), the log odds that the camera sees the joint of each map, where that joint
            is; they cover the same rectangle as the image.
        source_hw: (height, width) of the image.
        mirror_logits: float32 (n, h, w), the answer to the mirror image, as the network gave it; None = there
            was no flip test.
    """
    joints, *map_hw = logits.shape
    there = poses.scores > 0
    xy_px = np.where(there[..., None], poses.xy_px, 0)
    column, row = (
        np.clip(np.floor((xy_px[..., axis] + 0.5) * (cells / size)).astype(np.int64), 0, cells - 1)
        for axis, cells, size in zip((0, 1), map_hw[::-1], source_hw[::-1], strict=True)
    )
    probability = expit(logits[np.arange(joints), row, column])
    if mirror_logits is not None:
        other_side = np.array(poses.skeleton.flip_permutation)
        mirrored = expit(mirror_logits[other_side, row, map_hw[1] - 1 - column])
        probability = (probability + mirrored) / 2
    seen = probability > _SEEN
    visibility = np.where(seen, np.uint8(Visibility.VISIBLE), np.uint8(Visibility.OCCLUDED))
    return replace(
        poses,
        visibility=np.where(there, visibility, np.uint8(Visibility.ABSENT)),
        hidden_probability=np.where(there, 1 - probability, np.nan).astype(np.float32),
    )
