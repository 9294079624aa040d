"""People of a recording put in the places of others, so that a place does not tell how somebody stands there.

A recording of one room shows few people, each of them in few places, and a network learns these by heart:
whoever is at the table turns his back. Here somebody is cut out of a depth image and put where somebody else
was in another image of the same camera, as large and as far as that place asks.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import cast

import cv2
import numpy as np
from numpy.typing import NDArray

from orpose_core.types import FloatArray, Poses

_TORSO = ("left_shoulder", "right_shoulder", "left_hip", "right_hip")
_FEWEST_TORSO_JOINTS = 3
_STANDS_OUT_M, _STANDS_OUT_SHARE = 0.08, 0.02
"""Somebody is at least this far in front of the background; the share is of the distance."""
_BODY_M = 0.8
"""No part of somebody is nearer or farther than the torso by more than this."""
_BACKGROUND_QUANTILE = 0.85
_LEAST_KNOWN = 0.5
_MOST_SCALE = 1.6
_BOX_MARGIN = 0.1
_LEAST_SHOWN = 0.6
"""Of somebody's joints, how many are at least on the part of the image that is cut out."""
_SPECKLE_PX = 12
"""Smaller pieces of an image that stand out are noise."""


def background_of(frames_m: Iterable[FloatArray]) -> FloatArray:
    """Return the empty room, float32 (H, W), metres, NaN where most frames have no return.

    What lies beyond the range of a camera has a return only while somebody stands in front of it.

    Args:
        frames_m: float32 (H, W) each, of a camera that does not move; people are in front of the room.
    """
    stack = np.stack(list(frames_m))
    with np.errstate(invalid="ignore"):
        ranked = np.sort(stack, axis=0)  # NaN last
    known = np.isfinite(stack).sum(axis=0)
    place = np.clip((_BACKGROUND_QUANTILE * known).astype(int), 0, np.maximum(known - 1, 0))
    farthest = np.take_along_axis(ranked, place[None], axis=0)[0]
    return np.where(known > _LEAST_KNOWN * len(stack), farthest, np.float32(np.nan))


@dataclass(frozen=True)
class Cutout:
    """Somebody in a depth image.

    Attributes:
        depth_m: float32 (H, W) of the whole image, metres; NaN where the person is not.
        torso_px: float32 (2,), x and y of the middle of the torso.
        distance_m: of the torso.
    """

    depth_m: FloatArray
    torso_px: FloatArray
    distance_m: float


def cut_out(depth_m: FloatArray, background_m: FloatArray, poses: Poses, person: int) -> Cutout | None:
    """Return somebody's part of a depth image; None where it misses the torso or too many other joints.

    Args:
        depth_m: float32 (H, W), metres, NaN = no return.
        background_m: float32 (H, W), the empty room.
        poses: in px of the image.
        person: which one.
    """
    torso = [poses.skeleton.index(joint) for joint in _TORSO]
    known = poses.scores[person, torso] > 0
    if known.sum() < _FEWEST_TORSO_JOINTS:
        return None
    torso_px = poses.xy_px[person, torso][known].mean(axis=0)
    box = _window(poses.boxes_px[person], depth_m.shape)
    mask = np.zeros(depth_m.shape, bool)
    with np.errstate(invalid="ignore"):
        limit = background_m[box] - np.maximum(_STANDS_OUT_M, _STANDS_OUT_SHARE * background_m[box])
        mask[box] = (depth_m[box] < limit) | (np.isnan(background_m[box]) & np.isfinite(depth_m[box]))
    distance_m = _distance(depth_m, mask, torso_px, poses.boxes_px[person])
    if distance_m is None:
        return None
    with np.errstate(invalid="ignore"):
        mask[box] &= np.abs(depth_m[box] - distance_m) < _BODY_M
    _, pieces, sizes, _ = cv2.connectedComponentsWithStats(mask[box].astype(np.uint8), connectivity=4)
    mask[box] &= sizes[pieces, cv2.CC_STAT_AREA] >= _SPECKLE_PX
    if _shown(mask, poses.xy_px[person]) < _LEAST_SHOWN:
        return None
    return Cutout(np.where(mask, depth_m, np.float32(np.nan)), torso_px, distance_m)


def _shown(mask: NDArray, joints_px: FloatArray) -> float:
    """Return the share of joints, float32 (n, 2), NaN = absent, that are on a mask or right beside it."""
    columns, rows = np.rint(joints_px[np.isfinite(joints_px).all(axis=1)]).astype(int).T
    inside = (rows >= 0) & (rows < mask.shape[0]) & (columns >= 0) & (columns < mask.shape[1])
    beside = cv2.dilate(mask.astype(np.uint8), np.ones((3, 3), np.uint8))
    return float(beside[rows[inside], columns[inside]].sum() / max(len(rows), 1))


def _distance(depth_m: FloatArray, mask: NDArray, torso_px: FloatArray, box_px: FloatArray) -> float | None:
    """Return the median depth around the torso's middle, metres; None = nothing of the mask is there."""
    reach = 0.15 * float(max(box_px[2] - box_px[0], box_px[3] - box_px[1]))
    around = _window(np.concatenate([torso_px - reach, torso_px + reach]), depth_m.shape, margin=0.0)
    own = depth_m[around][mask[around]]
    return float(np.median(own)) if len(own) else None


def _window(box_px: FloatArray, shape: tuple[int, ...], margin: float = _BOX_MARGIN) -> tuple[slice, slice]:
    """Return the rows and columns of a box and a margin, in parts of its longer side."""
    grown = margin * float(max(box_px[2] - box_px[0], box_px[3] - box_px[1]))
    x1, y1, x2, y2 = (box_px + grown * np.array([-1, -1, 1, 1])).tolist()
    rows = slice(max(0, int(y1)), max(0, min(shape[0], int(y2) + 1)))
    return rows, slice(max(0, int(x1)), max(0, min(shape[1], int(x2) + 1)))


def put_in_place(
    depth_m: FloatArray, background_m: FloatArray, leaves: Cutout, comes: Cutout, poses: Poses
) -> tuple[FloatArray, Poses] | None:
    """Put somebody of another image where somebody was.

    Args:
        depth_m: float32 (H, W), metres, NaN = no return: the image.
        background_m: float32 (H, W), the empty room.
        leaves: who was there.
        comes: who comes there, of another image of the camera.
        poses: of that one person, in px of the other image.

    Returns:
        The image, and the person in px of it; None where the two places are too different.
    """
    scale = comes.distance_m / leaves.distance_m
    if not 1 / _MOST_SCALE <= scale <= _MOST_SCALE:
        return None
    height, width = depth_m.shape
    offset = leaves.torso_px - scale * comes.torso_px
    matrix = np.array([[scale, 0, offset[0]], [0, scale, offset[1]]], np.float64)
    moved = cast(FloatArray, cv2.warpAffine(
        comes.depth_m, matrix, (width, height), flags=cv2.INTER_NEAREST, borderMode=cv2.BORDER_CONSTANT,
        borderValue=(float("nan"),) * 4,
    )) + np.float32(leaves.distance_m - comes.distance_m)  # fmt: skip
    out = np.where(np.isnan(leaves.depth_m), depth_m, background_m)
    with np.errstate(invalid="ignore"):
        in_front = np.isfinite(moved) & ~(out <= moved)
    return np.where(in_front, moved, out), poses.moved(scale, offset, (height, width))
