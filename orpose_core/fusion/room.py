"""A room with unsynchronized cameras: which skeletons are fused together, and when."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from orpose_core.fusion.config import FusionConfig
from orpose_core.fusion.people import RoomPeople
from orpose_core.fusion.rig import RoomCamera, View, check_rig
from orpose_core.fusion.room_tracker import RoomTracker, RoomTrackerConfig
from orpose_core.skeleton import COCO17, Skeleton
from orpose_core.types import Intrinsics, Poses

_LONGEST_GAP_S = 2.0  # between a camera's views, as far as waiting for it goes


@dataclass(frozen=True)
class TimingConfig:
    """Which views belong to a moment.

    Attributes:
        max_age_s: a view older than the newest by more than this is not used.
        wait_s: longest wait for late cameras.
        live_s: a camera that has been silent for longer, and for longer than 2.5 times its usual gap, is not
            waited for.
    """

    max_age_s: float = 0.12
    wait_s: float = 0.10
    live_s: float = 0.5

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not value > 0:
                raise ValueError(f"TimingConfig.{name}: expected a positive number, got {value}")


@dataclass(frozen=True)
class Moment:
    """Everybody at one moment.

    Attributes:
        people: in the room.
        stamp_ns: the newest view's.
        cameras: names of the cameras whose views were used.
    """

    people: RoomPeople
    stamp_ns: int
    cameras: tuple[str, ...]


class Room:
    """Collects the views of the cameras and fuses them into moments.

    ``add`` every camera's skeletons as they come, then ``fuse`` while :meth:`ready` says so. A camera that
    dies or lags reduces the accuracy: the room waits for it for ``wait_s``, and not at all after it has been
    silent for ``live_s``.
    """

    def __init__(
        self,
        rig: Sequence[RoomCamera],
        skeleton: Skeleton,
        fusion: FusionConfig | None = None,
        tracker: RoomTrackerConfig | None = None,
        timing: TimingConfig | None = None,
    ) -> None:
        check_rig(rig)
        self.cameras = {camera.name: camera for camera in rig}
        self.timing = timing or TimingConfig()
        self.tracker = RoomTracker(skeleton, fusion, tracker)
        self._newest: dict[str, View] = {}
        self._used_ns: dict[str, int] = {}
        self._moment_ns: int | None = None
        self._gaps_s: dict[str, float] = {}  # usual time between a camera's views
        self._waiting_ns: int | None = None  # stamp of the first view since the last moment

    def place(self, camera: RoomCamera) -> None:
        """Set a camera: a new one, or one that was moved or sends other images."""
        self.cameras[camera.name] = camera

    def add(self, camera: str, poses: Poses, stamp_ns: int) -> bool:
        """Add the view of a camera; return whether it is used.

        A view is not used if it is not newer than the last one of the same camera, or older than the last
        moment by more than ``max_age_s``. A stamp more than a second before the last moment means that the
        clock was set back (a bag was restarted): everything is forgotten.

        Raises:
            ValueError: there is no such camera.
        """
        if camera not in self.cameras:
            raise ValueError(f"expected one of the cameras {sorted(self.cameras)}, got {camera!r}")
        if self._moment_ns is not None:
            late_s = (self._moment_ns - stamp_ns) * 1e-9
            if late_s > 1.0 and (camera not in self._used_ns or stamp_ns < self._used_ns[camera]):
                self.reset()
            elif late_s > self.timing.max_age_s:
                return False
        if camera in self._newest:
            gap_s = (stamp_ns - self._newest[camera].stamp_ns) * 1e-9
            if gap_s <= 0:
                return False
            self._gaps_s[camera] = min(0.8 * self._gaps_s.get(camera, gap_s) + 0.2 * gap_s, _LONGEST_GAP_S)
        self._newest[camera] = View(self.cameras[camera], poses, stamp_ns)
        self._waiting_ns = stamp_ns if self._waiting_ns is None else min(self._waiting_ns, stamp_ns)
        return True

    def reset(self) -> None:
        """Forget everybody and everything seen."""
        self._newest, self._used_ns, self._moment_ns, self._waiting_ns = {}, {}, None, None
        self._gaps_s = {}
        self.tracker.reset()

    def ready(self) -> bool:
        """Return whether a moment is complete: no live camera is missing, or the wait is over."""
        fresh = self._fresh()
        if not fresh or self._waiting_ns is None:
            return False
        newest_ns = max(view.stamp_ns for view in self._newest.values())
        live = {
            name
            for name, view in self._newest.items()
            if (newest_ns - view.stamp_ns) * 1e-9
            <= max(self.timing.live_s, 2.5 * self._gaps_s.get(name, 0.0))
        }
        return live <= set(fresh) or (newest_ns - self._waiting_ns) * 1e-9 >= self.timing.wait_s

    def pending(self) -> bool:
        """Return whether anything was seen that has not been fused."""
        return bool(self._fresh())

    def fuse(self) -> Moment:
        """Fuse what is there.

        Raises:
            ValueError: nothing new is there.
        """
        fresh = self._fresh()
        if not fresh:
            raise ValueError("expected views that were not fused before, got none")
        newest_ns = max(view.stamp_ns for view in fresh.values())
        if self._moment_ns is not None:
            newest_ns = max(newest_ns, self._moment_ns)
        views = [
            view
            for view in self._newest.values()
            if abs(newest_ns - view.stamp_ns) * 1e-9 <= self.timing.max_age_s
        ]
        for name, view in fresh.items():
            self._used_ns[name] = view.stamp_ns
        self._moment_ns, self._waiting_ns = newest_ns, None
        people = self.tracker.update(views, newest_ns)
        return Moment(people, newest_ns, tuple(view.camera.name for view in views))

    def _fresh(self) -> dict[str, View]:
        return {name: view for name, view in self._newest.items() if view.stamp_ns != self._used_ns.get(name)}


def warm_up() -> None:
    """Compile, or load, what a fusion computes with, so that the first people do not wait for it."""
    intrinsics, poses = Intrinsics(500.0, 500.0, 320.0, 240.0, 640, 480), []
    for x in (-2.0, 2.0):
        pose = np.eye(4)
        pose[:3, :3] = [[0.0, 0.0, -np.sign(x)], [np.sign(x), 0.0, 0.0], [0.0, -1.0, 0.0]]
        pose[:3, 3] = x, 0.0, 1.2
        poses.append(pose)
    rig = [RoomCamera(f"camera_{i}", intrinsics, pose) for i, pose in enumerate(poses)]
    n = len(COCO17)
    somebody = Poses(
        COCO17,
        np.linspace((280, 160), (360, 320), n, dtype=np.float32)[None],
        np.ones((1, n), np.float32),
        np.ones(1, np.float32),
        np.full((1, 4), np.nan, np.float32),
    )
    room = Room(rig, COCO17)
    for stamp_ns in (1, 2, 3):
        for camera in rig:
            room.add(camera.name, somebody, stamp_ns)
        room.fuse()
