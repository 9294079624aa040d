"""Visibility maps to the visibility of joints: whether the camera sees a joint or its place was inferred."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from orpose_core.skeleton import OPENPOSE18, Skeleton
from orpose_core.types import FloatArray, Poses, Visibility

_SEEN = 0.5  # probability


def merged_visibility(logits: Tensor, skeleton: Skeleton = OPENPOSE18) -> Tensor:
    """Average the visibility of a batch of images and their mirrors (see :mod:`orpose_core.decoding.flip`).

    Args:
        logits: float (2B, n, h, w), log-odds of the images, then those of their mirrors.
        skeleton: whose joints these are.

    Returns:
        Float (B, n, h, w), probabilities.
    """
    image, mirror = torch.sigmoid(logits).chunk(2)
    return (image + mirror.flip(-1)[:, list(skeleton.flip_permutation)]) / 2


def with_visibility(poses: Poses, maps: FloatArray, source_hw: tuple[int, int]) -> Poses:
    """Return the poses with the visibility of each joint, read in the cell that the joint lies in.

    Args:
        poses: in px of an image of ``source_hw``.
        maps: float32 (n, h, w), the probability that the camera sees the joint of each map, where that joint
            is; they cover the same rectangle as the image.
        source_hw: (height, width) of the image.
    """
    joints, *map_hw = maps.shape
    there = poses.scores > 0
    xy_px = np.where(there[..., None], poses.xy_px, 0)
    column, row = (
        np.clip(np.floor((xy_px[..., axis] + 0.5) * (cells / size)).astype(np.int64), 0, cells - 1)
        for axis, cells, size in zip((0, 1), map_hw[::-1], source_hw[::-1], strict=True)
    )
    seen = maps[np.arange(joints), row, column] > _SEEN
    visibility = np.where(seen, np.uint8(Visibility.VISIBLE), np.uint8(Visibility.OCCLUDED))
    return replace(poses, visibility=np.where(there, visibility, np.uint8(Visibility.ABSENT)))
