"""Flip test: the image and its mirror in one batch, their maps averaged (DepthPose Sect. 3)."""

from __future__ import annotations

from functools import cache

import numba
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from orpose_core.skeleton import OPENPOSE18, Skeleton
from orpose_core.types import FloatArray


def with_mirror(images: Tensor) -> Tensor:
    """Return (2B, C, H, W): the images (B, C, H, W), then the same images mirrored left to right."""
    return torch.cat([images, images.flip(-1)])


@cache
def keypoint_flip_order(skeleton: Skeleton = OPENPOSE18) -> tuple[int, ...]:
    """Channel order of mirrored keypoint maps: left and right swapped, the background last."""
    return (*skeleton.flip_permutation, len(skeleton))


@cache
def paf_exchange_order(
    skeleton: Skeleton = OPENPOSE18,
) -> tuple[tuple[int, ...], tuple[float, ...]]:
    """Channel order and signs of part affinity fields of people whose left and right are exchanged.

    Every limb becomes the limb between the exchanged joints. One that is stored from the other end, such as
    that from hip to hip, points the opposite way.

    Args:
        skeleton: whose limbs these are.

    Returns:
        ``(order, signs)`` with ``exchanged[c] = signs[c] * original[order[c]]``.
    """
    order, signs = [0] * (2 * len(skeleton.edges)), [1.0] * (2 * len(skeleton.edges))
    swapped = skeleton.flip_permutation
    for (a, b), (x, y) in zip(skeleton.edges, skeleton.paf_channels, strict=True):
        twin = (swapped[a], swapped[b])
        turned = twin not in skeleton.edges  # the edge is stored from the other end
        twin = twin[::-1] if turned else twin
        if twin not in skeleton.edges:
            raise ValueError(f"skeleton {skeleton.name}: limb ({a}, {b}) has no mirror image among its limbs")
        limb = skeleton.edges.index(twin)
        order[x], order[y] = skeleton.paf_channels[limb]
        signs[x] = signs[y] = -1.0 if turned else 1.0
    return tuple(order), tuple(signs)


@cache
def paf_flip_order(
    skeleton: Skeleton = OPENPOSE18,
) -> tuple[tuple[int, ...], tuple[float, ...]]:
    """Channel order and signs of mirrored part affinity fields.

    A mirror exchanges the sides (:func:`paf_exchange_order`) and turns the x component into its opposite.

    Args:
        skeleton: whose limbs these are.

    Returns:
        ``(order, signs)`` with ``mirrored[c] = signs[c] * original[order[c]]``.
    """
    order, exchanged = paf_exchange_order(skeleton)
    signs = list(exchanged)
    for x, _ in skeleton.paf_channels:
        signs[x] = -signs[x]
    return order, tuple(signs)


def merged(
    keypoint_maps: FloatArray,
    paf_maps: FloatArray,
    skeleton: Skeleton = OPENPOSE18,
) -> tuple[FloatArray, FloatArray]:
    """Average the maps of :func:`with_mirror`'s batch.

    Args:
        keypoint_maps: float32 (2B, n + 1, h, w), the images' maps first, then those of their mirrors.
        paf_maps: float32 (2B, 2 l, h, w), likewise.
        skeleton: whose maps these are.

    Returns:
        ``(keypoint_maps, paf_maps)`` of the images, float32 (B, n + 1, h, w) and (B, 2 l, h, w).

    Raises:
        ValueError: the batches are odd, or differ.
    """
    if len(keypoint_maps) % 2 or len(keypoint_maps) != len(paf_maps):
        raise ValueError(
            "merged: expected maps of images and as many mirrors, got batches of "
            f"{len(keypoint_maps)} and {len(paf_maps)}"
        )
    keypoint_order, (paf_order, signs) = keypoint_flip_order(skeleton), paf_flip_order(skeleton)
    keypoint_signs = np.ones(len(keypoint_order), np.float32)
    return (
        _means(np.ascontiguousarray(keypoint_maps, np.float32), np.array(keypoint_order), keypoint_signs),
        _means(np.ascontiguousarray(paf_maps, np.float32), np.array(paf_order), np.array(signs, np.float32)),
    )


# One pass in one thread. PyTorch needs five, and wakes other threads for each.
@numba.njit(cache=True, nogil=True)
def _means(maps: FloatArray, order: NDArray[np.int64], signs: FloatArray) -> FloatArray:
    """Average the first half of maps with the mirrored second half."""
    half = len(maps) // 2
    _, channels, height, width = maps.shape
    means = np.empty((half, channels, height, width), np.float32)
    for i in range(half):
        for c in range(channels):
            there, sign = order[c], signs[c]
            for y in range(height):
                for x in range(width):
                    mirror = sign * maps[half + i, there, y, width - 1 - x]
                    means[i, c, y, x] = (maps[i, c, y, x] + mirror) * np.float32(0.5)
    return means
