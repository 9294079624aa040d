"""Stable identities per camera, and optional smoothing: who of this frame is who of the last one.

Detections are assigned to tracks by the Hungarian method on a similarity of up to three parts: an OKS of the
joints that both have (against the position that the track's velocity predicts), the IoU of the boxes, and the
distance in metres where both have 3D joints. Every length is measured in the person's own size and every rate
in seconds, so the same settings hold at 64x48 and at 640x480, at 5 and at 30 frames per second.

The smoother is the 1 Euro filter (Casiez, Roussel, Vogel: "1 Euro Filter: A Simple Speed-based Low-pass
Filter for Noisy Input in Interactive Systems", CHI 2012).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from enum import IntEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from orpose_core.types import FloatArray, Poses


class TrackState(IntEnum):
    """How sure a person's identity is; the values of ``Skeleton2D.track_state``."""

    UNTRACKED = 0
    TENTATIVE = 1
    CONFIRMED = 2
    PREDICTED = 3


@dataclass(frozen=True)
class OneEuroConfig:
    """Settings of the 1 Euro filter. Less ``min_cutoff_hz`` = less jitter at rest, more ``beta`` = less lag.

    Attributes:
        min_cutoff_hz: cutoff frequency of a joint at rest.
        beta: how much the cutoff rises per unit of speed: Hz per body size a second in 2D (the body size is
            the square root of the box's area, about 0.9 m for an adult), Hz per m/s in 3D.
        derivative_cutoff_hz: cutoff frequency of the speed estimate.
    """

    min_cutoff_hz: float = 1.5
    beta: float = 4.0
    derivative_cutoff_hz: float = 1.0

    def __post_init__(self) -> None:
        if self.min_cutoff_hz <= 0 or self.derivative_cutoff_hz <= 0 or self.beta < 0:
            raise ValueError(f"OneEuroConfig: cutoffs must be positive and beta not negative, got {self}")


@dataclass(frozen=True)
class TrackerConfig:
    """Settings of :class:`Tracker`.

    Attributes:
        min_similarity: a detection less similar than this to every track, in [0, 1], begins a new one.
        slack: how far a joint may wander between frames by detection noise alone, in body sizes (added to the
            joint's OKS constant).
        motion_per_s: how fast people may deviate from their predicted way, in body sizes a second.
        motion_m_per_s: the same for the 3D joints, in m/s.
        slack_m: noise of the 3D joints, m.
        velocity_time_s: time constant over which velocities are averaged, and over which a prediction comes
            to rest while its person is not seen.
        confirm_hits: so many detections make a track CONFIRMED.
        tentative_gap_s: a TENTATIVE track that is not seen for longer is forgotten.
        max_gap_s: a CONFIRMED track that is not seen for longer is forgotten; its id is never given again.
        smoothing: settings of the smoother, or None for joints exactly as detected.
    """

    min_similarity: float = 0.2
    slack: float = 0.1
    motion_per_s: float = 1.0
    motion_m_per_s: float = 1.0
    slack_m: float = 0.15
    velocity_time_s: float = 0.3
    confirm_hits: int = 3
    tentative_gap_s: float = 0.3
    max_gap_s: float = 1.0
    smoothing: OneEuroConfig | None = None

    def __post_init__(self) -> None:
        if not 0 < self.min_similarity <= 1:
            raise ValueError(f"TrackerConfig.min_similarity: expected (0, 1], got {self.min_similarity}")
        for name in ("slack", "motion_per_s", "motion_m_per_s", "slack_m", "velocity_time_s"):
            if getattr(self, name) <= 0:
                raise ValueError(
                    f"TrackerConfig.{name}: expected a positive number, got {getattr(self, name)}"
                )
        if self.tentative_gap_s < 0 or self.max_gap_s <= 0 or self.confirm_hits < 1:
            raise ValueError(f"TrackerConfig: expected gaps in seconds and at least 1 hit, got {self}")


@dataclass
class _Motion:
    """Where a person's joints were, (n, d) in px or m with NaN = absent, and how the whole person moves."""

    joints: FloatArray
    velocity: FloatArray

    def predicted(self, dt_s: float, config: TrackerConfig) -> FloatArray:
        """Return the joints after ``dt_s``: the velocity dies away, so that a lost track does not run off."""
        tau = config.velocity_time_s
        return self.joints + self.velocity * np.float32(tau * (1 - math.exp(-dt_s / tau)))

    def update(self, joints: FloatArray, dt_s: float, config: TrackerConfig) -> None:
        """Take the newly seen joints; by the median, one wrong joint cannot move the person."""
        there = ~np.isnan(joints + self.joints).any(axis=-1)
        if dt_s > 0 and there.any():
            measured = np.median(joints[there] - self.joints[there], axis=0) / dt_s
            share = 1 - math.exp(-dt_s / config.velocity_time_s)
            self.velocity = (self.velocity + share * (measured - self.velocity)).astype(np.float32)
        if not np.isnan(joints).all():
            self.joints = joints


@dataclass
class _OneEuro:
    """The 1 Euro filter of one person's joints, each with its own clock."""

    values: FloatArray
    rates: FloatArray = field(init=False)
    stamps_ns: NDArray[np.int64] = field(init=False)

    def __post_init__(self) -> None:
        self.values = np.full_like(self.values, np.nan)
        self.rates = np.zeros_like(self.values)
        self.stamps_ns = np.zeros(len(self.values), np.int64)

    def update(
        self, measured: FloatArray, stamp_ns: int, unit: float, longest_s: float, config: OneEuroConfig
    ) -> FloatArray:
        """Return the filtered joints, (n, d); ``unit`` is the length that one unit of speed refers to.

        A joint absent now stays absent (nothing is invented), one absent for longer than ``longest_s`` starts
        afresh. One joint's cutoff follows its speed as a vector, so that the axes have no say in it.
        """
        dt_s = np.maximum(stamp_ns - self.stamps_ns, 0) * 1e-9
        there = np.asarray(~np.isnan(measured).any(axis=-1))
        fresh = there & (np.isnan(self.values).any(axis=-1) | (dt_s > longest_s))
        self.values[fresh], self.rates[fresh] = measured[fresh], 0
        self.stamps_ns[fresh] = stamp_ns
        moves = there & ~fresh & (dt_s > 0)
        dt = dt_s[moves, None].astype(np.float32)
        rates = (measured[moves] - self.values[moves]) / dt
        self.rates[moves] += _share(config.derivative_cutoff_hz, dt) * (rates - self.rates[moves])
        speed = np.linalg.norm(self.rates[moves], axis=-1, keepdims=True) / unit
        cutoff_hz = config.min_cutoff_hz + config.beta * speed
        self.values[moves] += _share(cutoff_hz, dt) * (measured[moves] - self.values[moves])
        self.stamps_ns[moves] = stamp_ns
        return np.where(there[:, None], self.values, np.float32(np.nan)).astype(np.float32)


def _share(cutoff_hz: float | NDArray, dt_s: NDArray) -> NDArray:
    """Return what a new measurement weighs in a first-order low-pass filter (Casiez et al., eq. 5)."""
    return (1 / (1 + 1 / (2 * np.pi * np.asarray(cutoff_hz, np.float32) * dt_s))).astype(np.float32)


@dataclass(eq=False)
class _Track:
    track_id: int
    last_ns: int
    image: _Motion
    space: _Motion | None
    box: FloatArray
    hits: int = 1
    filters: dict[str, _OneEuro] = field(default_factory=dict)

    def gap_s(self, stamp_ns: int) -> float:
        return (stamp_ns - self.last_ns) * 1e-9


class Tracker:
    """Gives every person of one camera the same id in every frame.

    The result does not depend on the order in which the people of a frame are listed. Ids begin at 1 and are
    never given twice in a tracker's life, not even after a reset.
    """

    def __init__(self, config: TrackerConfig | None = None) -> None:
        self.config = config or TrackerConfig()
        self.states: NDArray[np.uint8] = np.zeros(0, np.uint8)
        self._tracks: list[_Track] = []
        self._last_ns: int | None = None
        self._next_id = 1

    def reset(self) -> None:
        """Forget everyone: what is seen next begins new tracks."""
        self._tracks, self._last_ns = [], None
        self.states = np.zeros(0, np.uint8)

    def update(self, poses: Poses, stamp_ns: int) -> Poses:
        """Return the same people in the same order with ``track_ids``, smoothed where that is set.

        :attr:`states` then holds their :class:`TrackState`, uint8 (m,), in the same order. A stamp before
        that of the last frame (a bag that starts again) resets the tracker first.

        Args:
            poses: of one frame; NaN = absent joint.
            stamp_ns: time of the frame, nanoseconds.
        """
        if self._last_ns is not None and stamp_ns < self._last_ns:
            self.reset()
        self._last_ns = stamp_ns
        config = self.config
        self._tracks = [t for t in self._tracks if t.gap_s(stamp_ns) <= config.max_gap_s]
        # The order of equals must not depend on the order given: sort by what is seen.
        order = np.lexsort(
            (*np.nan_to_num(poses.xy_px).reshape(len(poses), 2 * len(poses.skeleton)).T, -poses.person_scores)
        )
        sorted_poses = poses.select(order)
        owners = self._assign(sorted_poses, stamp_ns)
        self._forget_unseen(owners, stamp_ns)
        tracks: list[_Track] = [None] * len(poses)  # type: ignore[list-item]
        for row, owner in zip(order, owners, strict=True):
            tracks[row] = self._take(owner, poses, int(row), stamp_ns)
        self.states = np.array(
            [TrackState.CONFIRMED if t.hits >= config.confirm_hits else TrackState.TENTATIVE for t in tracks],
            np.uint8,
        )
        tracked = replace(poses, track_ids=np.array([t.track_id for t in tracks], np.int64))
        return self._smoothed(tracked, tracks, stamp_ns) if config.smoothing else tracked

    def _forget_unseen(self, owners: list[_Track | None], stamp_ns: int) -> None:
        """Drop the tentative tracks that have no detection now and had none for a while."""
        self._tracks = [
            track
            for track in self._tracks
            if track in owners
            or track.hits >= self.config.confirm_hits
            or track.gap_s(stamp_ns) <= self.config.tentative_gap_s
        ]

    def _assign(self, poses: Poses, stamp_ns: int) -> list[_Track | None]:
        """Return the track of each person, or None for someone new."""
        owners: list[_Track | None] = [None] * len(poses)
        if not self._tracks or not len(poses):
            return owners
        similarity = _similarity(self._tracks, poses, stamp_ns, self.config)
        # Too dissimilar counts nothing, so that a sure pair is never given up to make two doubtful ones.
        similarity[similarity < self.config.min_similarity] = 0
        for t, p in zip(*linear_sum_assignment(similarity, maximize=True), strict=True):
            if similarity[t, p] > 0:
                owners[p] = self._tracks[t]
        return owners

    def _take(self, track: _Track | None, poses: Poses, row: int, stamp_ns: int) -> _Track:
        """Enter one detection into its track; None begins a new one."""
        xy, box = poses.xy_px[row], poses.boxes_px[row]
        xyz = None if poses.xyz_cam_m is None else poses.xyz_cam_m[row]
        if track is None:
            space = None if xyz is None else _Motion(xyz, np.zeros(3, np.float32))
            track = _Track(self._next_id, stamp_ns, _Motion(xy, np.zeros(2, np.float32)), space, box)
            self._next_id += 1
            self._tracks.append(track)
            return track
        dt_s = track.gap_s(stamp_ns)
        track.image.update(xy, dt_s, self.config)
        if xyz is not None:
            if track.space is None:
                track.space = _Motion(xyz, np.zeros(3, np.float32))
            else:
                track.space.update(xyz, dt_s, self.config)
        track.box, track.last_ns, track.hits = box, stamp_ns, track.hits + 1
        return track

    def _smoothed(self, poses: Poses, tracks: list[_Track], stamp_ns: int) -> Poses:
        """Return the poses with every kind of coordinates filtered; scores, boxes and sigmas stay."""
        config = self.config.smoothing
        assert config is not None
        changed: dict[str, Any] = {}
        for name in ("xy_px", "xyz_cam_m", "xyz_root_m"):
            values = getattr(poses, name)
            if values is None:
                continue
            units = _sizes(poses.boxes_px) if name == "xy_px" else np.ones(len(poses))
            out = np.empty_like(values)
            for row, track in enumerate(tracks):
                one_euro = track.filters.setdefault(name, _OneEuro(values[row]))
                out[row] = one_euro.update(
                    values[row], stamp_ns, float(units[row]), self.config.max_gap_s, config
                )
            changed[name] = out
        return replace(poses, **changed)


def _sizes(boxes_px: FloatArray) -> NDArray[np.float64]:
    """Return the body size, px, of each box (m, 4): the square root of its area, at least one px."""
    sides = np.nan_to_num(boxes_px[:, 2:] - boxes_px[:, :2]).astype(np.float64)
    return np.sqrt(np.maximum(sides.clip(min=0).prod(axis=1), 1.0))


def _similarity(
    tracks: list[_Track], poses: Poses, stamp_ns: int, config: TrackerConfig
) -> NDArray[np.float64]:
    """Return float64 (t, m) in [0, 1]: the mean of those of OKS, IoU and 3D closeness that can be told."""
    dt_s = np.array([t.gap_s(stamp_ns) for t in tracks])
    boxes = np.stack([t.box for t in tracks])
    sizes = _sizes(boxes)
    xy = np.stack([t.image.predicted(d, config) for t, d in zip(tracks, dt_s, strict=True)])
    shift = np.stack(
        [t.image.predicted(d, config) - t.image.joints for t, d in zip(tracks, dt_s, strict=True)]
    )
    moved = boxes + np.tile(np.nan_to_num(_first_known(shift)), 2)
    spread = np.hypot(
        2 * np.asarray(poses.skeleton.sigmas)[None] + config.slack, config.motion_per_s * dt_s[:, None]
    )
    parts = [_closeness(xy, poses.xy_px, spread * sizes[:, None]), _iou(moved, poses.boxes_px)]
    if poses.xyz_cam_m is not None:
        unknown = np.full((len(poses.skeleton), 3), np.nan, np.float32)
        xyz = np.stack(
            [
                unknown if t.space is None else t.space.predicted(d, config)
                for t, d in zip(tracks, dt_s, strict=True)
            ]
        )
        spread_m = np.hypot(config.slack_m, config.motion_m_per_s * dt_s)[:, None]
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


def _iou(a: FloatArray, b: FloatArray) -> NDArray[np.float64]:
    """Return (t, m), the intersection over union of xyxy boxes; NaN where a box is unknown or empty."""
    a, b = a[:, None].astype(np.float64), b[None].astype(np.float64)
    sides = np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2])
    common = sides.clip(min=0).prod(axis=-1)
    union = (a[..., 2:] - a[..., :2]).prod(axis=-1) + (b[..., 2:] - b[..., :2]).prod(axis=-1) - common
    return np.where(union > 0, common / np.where(union > 0, union, 1), np.nan)
