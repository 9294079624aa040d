"""Who of this frame is who of the last one."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from orpose_core.tracking.config import TrackerConfig, TrackState
from orpose_core.tracking.smoothing import OneEuro
from orpose_core.tracking.tracks import Motion, Track, body_sizes, similarity_of
from orpose_core.types import Poses


class Tracker:
    """Gives every person of one camera the same id in every frame.

    The result does not depend on the order in which the people of a frame are listed. Ids begin at 1 and are
    never given twice in a tracker's life, not even after a reset.
    """

    def __init__(self, config: TrackerConfig | None = None) -> None:
        self.config = config or TrackerConfig()
        self.states: NDArray[np.uint8] = np.zeros(0, np.uint8)
        self._tracks: list[Track] = []
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
        tracks: list[Track] = [None] * len(poses)  # type: ignore[list-item]
        for row, owner in zip(order, owners, strict=True):
            tracks[row] = self._take(owner, poses, int(row), stamp_ns)
        self.states = np.array(
            [TrackState.CONFIRMED if t.hits >= config.confirm_hits else TrackState.TENTATIVE for t in tracks],
            np.uint8,
        )
        tracked = replace(poses, track_ids=np.array([t.track_id for t in tracks], np.int64))
        return self._smoothed(tracked, tracks, stamp_ns) if config.smoothing else tracked

    def _forget_unseen(self, owners: list[Track | None], stamp_ns: int) -> None:
        """Drop the tentative tracks that have no detection now and had none for a while."""
        self._tracks = [
            track
            for track in self._tracks
            if track in owners
            or track.hits >= self.config.confirm_hits
            or track.gap_s(stamp_ns) <= self.config.tentative_gap_s
        ]

    def _assign(self, poses: Poses, stamp_ns: int) -> list[Track | None]:
        """Return the track of each person, or None for someone new."""
        owners: list[Track | None] = [None] * len(poses)
        if not self._tracks or not len(poses):
            return owners
        similarity = similarity_of(self._tracks, poses, stamp_ns, self.config)
        # Too dissimilar counts nothing, so that a sure pair is never given up to make two doubtful ones.
        similarity[similarity < self.config.min_similarity] = 0
        for t, p in zip(*linear_sum_assignment(similarity, maximize=True), strict=True):
            if similarity[t, p] > 0:
                owners[p] = self._tracks[t]
        return owners

    def _take(self, track: Track | None, poses: Poses, row: int, stamp_ns: int) -> Track:
        """Enter one detection into its track; None begins a new one."""
        xy, box = poses.xy_px[row], poses.boxes_px[row]
        xyz = None if poses.xyz_cam_m is None else poses.xyz_cam_m[row]
        if track is None:
            space = None if xyz is None else Motion(xyz, np.zeros(3, np.float32), stamp_ns)
            image = Motion(xy, np.zeros(2, np.float32), stamp_ns)
            track = Track(self._next_id, stamp_ns, image, space, box)
            self._next_id += 1
            self._tracks.append(track)
            return track
        track.image.update(xy, stamp_ns, self.config)
        if xyz is not None:
            if track.space is None:
                track.space = Motion(xyz, np.zeros(3, np.float32), stamp_ns)
            else:
                track.space.update(xyz, stamp_ns, self.config)
        track.box, track.last_ns, track.hits = box, stamp_ns, track.hits + 1
        return track

    def _smoothed(self, poses: Poses, tracks: list[Track], stamp_ns: int) -> Poses:
        """Return the poses with every kind of coordinates filtered; scores, boxes and sigmas stay."""
        config = self.config.smoothing
        assert config is not None
        changed: dict[str, Any] = {}
        for name in ("xy_px", "xyz_cam_m", "xyz_root_m"):
            values = getattr(poses, name)
            if values is None:
                continue
            units = body_sizes(poses.boxes_px) if name == "xy_px" else np.ones(len(poses))
            out = np.empty_like(values)
            for row, track in enumerate(tracks):
                one_euro = track.filters.setdefault(name, OneEuro(values[row]))
                out[row] = one_euro.update(
                    values[row], stamp_ns, float(units[row]), self.config.max_gap_s, config
                )
            changed[name] = out
        return replace(poses, **changed)
