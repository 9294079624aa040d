"""What has come so far, no longer ago than a limit, so that memory stays flat; any thread may use it."""

from __future__ import annotations

import threading
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Generic, Protocol, TypeVar

import numpy as np

from orpose_core.fusion.rig import RoomCamera
from orpose_core.image_ops import MAX_PRIVATE_PIXELS
from orpose_core.types import Float64Array
from orpose_core.view.leveling import level_pose
from orpose_core.view.moments import CameraMoment, RoomMoment, ShownCamera, check_private

RECENT_S = 1.0
"""What is older than this at a moment is not shown as being there."""

_S = 1_000_000_000
_JUMP_NS = _S
_MOMENTS_TO_LEVEL = 50


@dataclass(frozen=True)
class HistoryConfig:
    """How much is kept.

    Attributes:
        seconds: what is older than the newest by more than this is forgotten.
        moments: at most this many of each camera, and of the room.
        max_pixels: larger images are refused.
    """

    seconds: float = 60.0
    moments: int = 20_000
    max_pixels: int = MAX_PRIVATE_PIXELS

    def __post_init__(self) -> None:
        if not self.seconds > 0 or self.moments < 1:
            raise ValueError(f"HistoryConfig: expected some seconds and moments, got {self}")
        if not 1 <= self.max_pixels <= MAX_PRIVATE_PIXELS:
            raise ValueError(
                f"HistoryConfig.max_pixels: expected 1 to {MAX_PRIVATE_PIXELS}, got {self.max_pixels}"
            )


@dataclass(frozen=True)
class CameraState:
    """How a camera fares.

    Attributes:
        rate_hz: of its images over the last seconds.
        latency_s: median, from exposure to arrival; None = not known.
        dropped: images that came and that nobody looked for people in, so far.
        silent_s: how much older its newest image is than the newest of all.
    """

    rate_hz: float = 0.0
    latency_s: float | None = None
    dropped: int = 0
    silent_s: float = 0.0


@dataclass(frozen=True)
class Snapshot:
    """All that is shown of one moment.

    Attributes:
        stamp_ns: the moment; 0 = nothing has come.
        cameras: which there are.
        views: of each camera that has one the newest moment at or before ``stamp_ns``.
        room: the fused people, or None where nobody fuses.
        before: of each camera (or of the room, by the name "") its moments of the seconds before, oldest
            first, for trails.
    """

    stamp_ns: int = 0
    cameras: tuple[ShownCamera, ...] = ()
    views: dict[str, CameraMoment] = field(default_factory=dict)
    room: RoomMoment | None = None
    before: dict[str, tuple[CameraMoment | RoomMoment, ...]] = field(default_factory=dict)


class _Stamped(Protocol):
    @property
    def stamp_ns(self) -> int: ...


_M = TypeVar("_M", bound=_Stamped)


class _Track(Generic[_M]):
    """Moments in the order of their stamps."""

    def __init__(self) -> None:
        self.stamps: list[int] = []
        self.moments: list[_M] = []

    def put(self, moment: _M) -> None:
        """Add a moment; it takes the place of one of the same stamp."""
        at = bisect_right(self.stamps, moment.stamp_ns)
        if at and self.stamps[at - 1] == moment.stamp_ns:
            self.moments[at - 1] = moment
        else:
            self.stamps.insert(at, moment.stamp_ns)
            self.moments.insert(at, moment)

    def get(self, stamp_ns: int) -> _M | None:
        """Return the moment of exactly this stamp."""
        at = bisect_right(self.stamps, stamp_ns)
        return self.moments[at - 1] if at and self.stamps[at - 1] == stamp_ns else None

    def until(self, stamp_ns: int, seconds: float) -> Sequence[_M]:
        """Return the moments of the seconds up to a stamp, oldest first."""
        end = bisect_right(self.stamps, stamp_ns)
        return self.moments[bisect_right(self.stamps, stamp_ns - int(seconds * _S)) : end]

    def forget(self, before_ns: int, most: int) -> list[_M]:
        """Forget what is older, or too much; return it."""
        count = max(bisect_right(self.stamps, before_ns - 1), len(self.stamps) - most, 0)
        gone = self.moments[:count]
        del self.stamps[:count], self.moments[:count]
        return gone


class History:
    """The moments of several cameras and of the room, in the order of their stamps.

    A new moment more than a second before the newest of the same camera means that the clock was set back (a
    recording was restarted): everything is forgotten.

    Args:
        config: how much is kept.
        cameras: names, in the order in which they are shown; others follow as they come.
    """

    def __init__(self, config: HistoryConfig | None = None, cameras: Sequence[str] = ()) -> None:
        self.config = config or HistoryConfig()
        self._lock = threading.Lock()
        self._tracks: dict[str, _Track[CameraMoment]] = {name: _Track() for name in cameras}
        self._places: dict[str, RoomCamera] = {}
        self._levels: dict[str, Float64Array] = {}
        self._leveled: dict[str, int] = {}  # of how many moments
        self._room: _Track[RoomMoment] = _Track()
        self._newest_ns = 0
        self._dropped: dict[str, int] = {}
        self._fused = False
        self.version = 0
        """Grows with every change."""

    def add(self, camera: str, moment: CameraMoment) -> None:
        """Add a camera's moment; one of the same stamp is completed by it.

        Raises:
            ValueError: the image is above the limit.
        """
        if moment.picture is not None:
            check_private((moment.picture.shape[0], moment.picture.shape[1]), self.config.max_pixels)
        with self._lock:
            track = self._tracks.setdefault(camera, _Track())
            self._arrive(track, moment.stamp_ns)
            known = track.get(moment.stamp_ns)
            track.put(moment if known is None else _completed(known, moment))
            if camera not in self._places and moment.people:
                self._level(camera, track)

    def add_room(self, moment: RoomMoment) -> None:
        """Add a moment of the room."""
        with self._lock:
            self._arrive(self._room, moment.stamp_ns)
            self._fused = True
            self._room.put(moment)

    def place(self, name: str, camera: RoomCamera) -> None:
        """Say where a camera hangs."""
        with self._lock:
            self._tracks.setdefault(name, _Track())
            known = self._places.get(name)
            if known is None or not _same_place(known, camera):
                self._places[name] = camera
                self.version += 1

    def drop(self, camera: str, count: int = 1) -> None:
        """Count images of a camera that were lost on the way here."""
        with self._lock:
            self._dropped[camera] = self._dropped.get(camera, 0) + count

    def span_ns(self) -> tuple[int, int]:
        """Return the stamps of the oldest and the newest moment; 0, 0 while nothing has come."""
        with self._lock:
            starts = [track.stamps[0] for track in self._all() if track.stamps]
            return (min(starts), self._newest_ns) if starts else (0, 0)

    def at(self, stamp_ns: int, trail_s: float = 0.0, *, whole: bool = False) -> Snapshot:
        """Return what was known at a moment, and the trails of the seconds before.

        Args:
            stamp_ns: the moment.
            trail_s: how long the trails are; 0 = none.
            whole: of each camera rather take an image whose people are known than the newest.
        """
        with self._lock:
            cameras = tuple(
                ShownCamera(name, self._places.get(name), self._levels.get(name)) for name in self._tracks
            )
            views = {
                name: _chosen(recent, whole)
                for name, track in self._tracks.items()
                if (recent := track.until(stamp_ns, RECENT_S))
            }
            rooms = self._room.until(stamp_ns, RECENT_S)
            room = rooms[-1] if rooms else None
            before: dict[str, tuple[CameraMoment | RoomMoment, ...]] = {}
            if trail_s > 0 and self._fused:
                before[""] = tuple(self._room.until(stamp_ns, trail_s))
            elif trail_s > 0:
                before = {name: tuple(t.until(stamp_ns, trail_s)) for name, t in self._tracks.items()}
        return Snapshot(stamp_ns, cameras, views, room, before)

    def stamps(self, camera: str) -> list[tuple[int, bool]]:
        """Return a camera's stamps, and whether people were looked for in that image."""
        with self._lock:
            track = self._tracks.get(camera)
            return [] if track is None else [(m.stamp_ns, m.poses is not None) for m in track.moments]

    def states(self) -> dict[str, CameraState]:
        """Return how each camera fares, over the last five seconds."""
        with self._lock:
            return {name: self._state(name, track) for name, track in self._tracks.items()}

    def _level(self, camera: str, track: _Track[CameraMoment]) -> None:
        """See how a camera hangs, from its people; again when twice as many moments are known."""
        count = len(track.moments)
        if count < 2 * self._leveled.get(camera, 0):
            return
        self._leveled[camera] = max(count, 1)
        pose = level_pose(track.moments[:: max(count // _MOMENTS_TO_LEVEL, 1)])
        if pose is not None:
            self._levels[camera] = pose

    def _all(self) -> list[_Track[Any]]:
        return [*self._tracks.values(), self._room]

    def _state(self, name: str, track: _Track[CameraMoment]) -> CameraState:
        recent = track.until(self._newest_ns, 5.0)
        if not track.stamps:
            return CameraState(dropped=self._dropped.get(name, 0))
        late = sorted(m.latency_s for m in recent if m.latency_s is not None)
        span_s = (recent[-1].stamp_ns - recent[0].stamp_ns) / _S if len(recent) > 1 else 0.0
        unseen = sum(m.poses is None for m in track.moments[:-3])  # the last may still be at work
        return CameraState(
            rate_hz=(len(recent) - 1) / span_s if span_s > 0 else 0.0,
            latency_s=late[len(late) // 2] if late else None,
            dropped=self._dropped.get(name, 0) + unseen,
            silent_s=(self._newest_ns - track.stamps[-1]) / _S,
        )

    def _arrive(self, track: _Track[Any], stamp_ns: int) -> None:
        """Move the end of time, forget what is too old, and everything where time jumped back."""
        keep_ns = int(self.config.seconds * _S)
        if track.stamps and stamp_ns < track.stamps[-1] - _JUMP_NS and track.get(stamp_ns) is None:
            for each in self._all():
                each.forget(self._newest_ns + 1, 0)
            self._newest_ns = 0
        self._newest_ns = max(self._newest_ns, stamp_ns)
        for name, track in self._tracks.items():
            gone = track.forget(self._newest_ns - keep_ns, self.config.moments - 1)
            unseen = sum(moment.poses is None for moment in gone)
            if unseen:
                self._dropped[name] = self._dropped.get(name, 0) + unseen
        self._room.forget(self._newest_ns - keep_ns, self.config.moments - 1)
        self.version += 1


def _same_place(a: RoomCamera, b: RoomCamera) -> bool:
    return a.intrinsics == b.intrinsics and np.array_equal(a.room_from_camera, b.room_from_camera)


def _completed(known: CameraMoment, new: CameraMoment) -> CameraMoment:
    """Return a moment that came in pieces, as far as it is known."""
    return replace(
        new,
        image_hw=new.image_hw if new.poses is not None else known.image_hw,
        poses=known.poses if new.poses is None else new.poses,
        picture=known.picture if new.picture is None else new.picture,
        latency_s=known.latency_s if new.latency_s is None else new.latency_s,
    )


def _chosen(recent: Sequence[CameraMoment], whole: bool) -> CameraMoment:
    known = next((m for m in reversed(recent) if m.poses is not None), None) if whole else None
    return recent[-1] if known is None else known
