"""What is remembered of a person, and how like it a person of the next frame is."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from orpose_core.tracking.config import TrackerConfig
from orpose_core.tracking.smoothing import OneEuro
from orpose_core.types import FloatArray, Poses, box_ious


@dataclass
class Motion:
    """Where a person's joints were, (n, d) in px or m with NaN = absent, and how the whole person moves.

    Attributes:
        joints: float32 (n, d), when they were last seen.
        velocity: float32 (d,), px/s or m/s.
        seen_ns: when that was. A person may be seen in the image at times when depth gives no joint.
    """

    joints: FloatArray
    velocity: FloatArray
    seen_ns: int

    def gap_s(self, stamp_ns: int) -> float:
        """Return how long the joints have not been seen."""
        return (stamp_ns - self.seen_ns) * 1e-9

    def predicted(self, stamp_ns: int, config: TrackerConfig) -> FloatArray:
        """Return the joints at a moment: the velocity dies away, so that a lost track does not run off."""
        tau = config.velocity_time_s
        return self.joints + self.velocity * np.float32(tau * (1 - math.exp(-self.gap_s(stamp_ns) / tau)))

    def update(self, joints: FloatArray, stamp_ns: int, config: TrackerConfig) -> None:
        """Take the newly seen joints; by the median, one wrong joint cannot move the person."""
        dt_s = self.gap_s(stamp_ns)
        there = ~np.isnan(joints + self.joints).any(axis=-1)
        if dt_s > 0 and there.any():
            measured = np.median(joints[there] - self.joints[there], axis=0) / dt_s
            share = 1 - math.exp(-dt_s / config.velocity_time_s)
            self.velocity = (self.velocity + share * (measured - self.velocity)).astype(np.float32)
        if not np.isnan(joints).all():
            self.joints, self.seen_ns = joints, stamp_ns


@dataclass(eq=False)
class Track:
    """One person over time."""

    track_id: int
    last_ns: int
    image: Motion
    space: Motion | None
    box: FloatArray
    hits: int = 1
    filters: dict[str, OneEuro] = field(default_factory=dict)

    def gap_s(self, stamp_ns: int) -> float:
        """Return how long the person has not been seen."""
        return (stamp_ns - self.last_ns) * 1e-9

    def recent_space(self, stamp_ns: int, max_gap_s: float) -> Motion | None:
        """Return the motion in space; None if depth has given no joint for so long that it tells nothing."""
        recent = self.space is not None and self.space.gap_s(stamp_ns) <= max_gap_s
        return self.space if recent else None


def body_sizes(boxes_px: FloatArray) -> NDArray[np.float64]:
    """Return the body size, px, of each box (m, 4): the square root of its area, at least one px."""
    sides = np.nan_to_num(boxes_px[:, 2:] - boxes_px[:, :2]).astype(np.float64)
    return np.sqrt(np.maximum(sides.clip(min=0).prod(axis=1), 1.0))


def similarity_of(
    tracks: list[Track], poses: Poses, stamp_ns: int, config: TrackerConfig
) -> NDArray[np.float64]:
    """Return float64 (t, m) in [0, 1]: the mean of those of OKS, IoU and 3D closeness that can be told."""
    dt_s = np.array([t.gap_s(stamp_ns) for t in tracks])
    boxes = np.stack([t.box for t in tracks])
    sizes = body_sizes(boxes)
    xy = np.stack([t.image.predicted(stamp_ns, config) for t in tracks])
    shift = xy - np.stack([t.image.joints for t in tracks])
    moved = boxes + np.tile(np.nan_to_num(_first_known(shift)), 2)
    spread = np.hypot(
        2 * np.asarray(poses.skeleton.sigmas)[None] + config.slack, config.motion_per_s * dt_s[:, None]
    )
    parts = [_closeness(xy, poses.xy_px, spread * sizes[:, None]), box_ious(moved, poses.boxes_px)]
    if poses.xyz_cam_m is not None:
        unknown = np.full((len(poses.skeleton), 3), np.nan, np.float32)
        spaces = [t.recent_space(stamp_ns, config.max_gap_s) for t in tracks]
        xyz = np.stack([unknown if s is None else s.predicted(stamp_ns, config) for s in spaces])
        gap_s = np.array([0.0 if s is None else s.gap_s(stamp_ns) for s in spaces])
        spread_m = np.hypot(config.slack_m, config.motion_m_per_s * gap_s)[:, None]
        parts.append(_closeness(xyz, poses.xyz_cam_m, np.broadcast_to(spread_m, xyz.shape[:2])))
    stacked = np.stack(parts)
    known = ~np.isnan(stacked)
    return np.where(known, stacked, 0).sum(axis=0) / np.maximum(known.sum(axis=0), 1)


def _first_known(shift: FloatArray) -> FloatArray:
    """Return (t, d), the shift of each track; all its joints that are there move alike."""
    there = ~np.isnan(shift).any(axis=-1)
    return shift[np.arange(len(shift)), there.argmax(axis=1)]


def _closeness(predicted: FloatArray, seen: FloatArray, spread: NDArray) -> NDArray[np.float64]:
    """Return (t, m): the mean Gaussian of the joint distances, over joints that both have; NaN = none shared.

    Args:
        predicted: float (t, n, d), NaN = absent.
        seen: float (m, n, d), NaN = absent.
        spread: float (t, n), standard deviation of the distance, in the same unit.
    """
    squared = ((predicted[:, None] - seen[None]) ** 2).sum(axis=-1, dtype=np.float64)
    shared = ~np.isnan(squared)
    value = np.where(shared, np.exp(-np.where(shared, squared, 0) / (2 * spread[:, None] ** 2)), 0)
    count = shared.sum(axis=-1)
    return np.where(count > 0, value.sum(axis=-1) / np.maximum(count, 1), np.nan)
