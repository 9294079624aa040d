"""A simulated operating room, live: cameras, network, trackers and fusion in one process, without ROS."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass

from orpose_core.estimation.frames import Trackers
from orpose_core.estimators import PoseEstimator
from orpose_core.fusion.rig import RoomCamera
from orpose_core.image_ops import low_resolution_frame
from orpose_core.simulation import StreamConfig, simulate_frame
from orpose_core.simulation.stream import scene_of
from orpose_core.types import Resize, RgbdFrame
from orpose_core.view.feeding import Feed, picture_of
from orpose_core.view.history import History


@dataclass(frozen=True)
class DemoRoomConfig:
    """The simulated room.

    Attributes:
        seed: of rooms.
        room: number of the room; the people differ.
        cameras: 1 to 3.
        seconds: length of the scene, which then runs backwards, and so on.
        rate_hz: images a second of each camera.
    """

    seed: int = 1
    room: int = 1
    cameras: int = 3
    seconds: float = 12.0
    rate_hz: float = 10.0

    def __post_init__(self) -> None:
        if not (self.seconds > 0 and self.rate_hz > 0 and 1 <= self.cameras <= 3 and self.room >= 0):
            raise ValueError(f"DemoRoomConfig: expected a time, a rate and 1 to 3 cameras, got {self}")

    @property
    def moments(self) -> int:
        """How many moments the scene has."""
        return max(2, round(self.seconds * self.rate_hz))

    def stream(self, modality: str) -> StreamConfig:
        """Return the synthetic recording."""
        return StreamConfig(
            "or", (480, 640), modality, self.seed, cameras=self.cameras, frames_per_sequence=self.moments,
            rate_hz=self.rate_hz, rig="mvor",
        )  # fmt: skip


class DemoRoom:
    """Renders a room for a network: each frame once, at the network's resolution.

    Args:
        estimator: the network.
        config: of the room.
    """

    def __init__(self, estimator: PoseEstimator, config: DemoRoomConfig | None = None) -> None:
        self.config = config or DemoRoomConfig()
        self._estimator = estimator
        self._stream = self.config.stream(estimator.info.modality if self._by_depth else "rgbd")
        self._frames: dict[int, RgbdFrame] = {}
        self._scene = scene_of(self._stream, self.config.room)

    @property
    def _by_depth(self) -> bool:
        return self._estimator.info.modality == "depth"

    def rig(self) -> list[RoomCamera]:
        """Return where the cameras hang."""
        return [
            RoomCamera(camera.name, camera.intrinsics, camera.room_from_camera)
            for camera in self._scene.cameras[: self.config.cameras]
        ]

    def frame(self, moment: int, camera: int) -> RgbdFrame:
        """Return the low-resolution image of a camera at a moment of the scene."""
        number = (self.config.room * self.config.moments + moment) * self.config.cameras + camera
        if number not in self._frames:
            frame = simulate_frame(self._stream, number).frame
            self._frames[number] = low_resolution_frame(frame, self._estimator.info.input_hw)
        return self._frames[number]

    def play(self, history: History, stop: threading.Event, passes: int | None = None) -> None:
        """Play the scene into a history, forth and back, no faster than it would happen.

        Args:
            history: that grows.
            stop: ends it.
            passes: how often the scene is played; None = until ``stop``.
        """
        feed, trackers, rig = Feed(history, self.rig()), Trackers(True), self.rig()
        begin_ns, period_s = time.time_ns(), 1 / self.config.rate_hz
        next_s = time.monotonic()
        for number, moment in enumerate(self._moments(passes)):
            stamp_ns = begin_ns + round(number * period_s * 1e9)
            began_s = time.monotonic()
            frames = [self.frame(moment, k) for k in range(self.config.cameras)]
            seen_s = time.monotonic()
            found = self._estimator.estimate(frames)
            for camera, frame, poses in zip(rig, frames, found, strict=True):
                image_hw = camera.intrinsics.height, camera.intrinsics.width
                poses = trackers.update(camera.name, poses, stamp_ns)
                poses = poses.resized(Resize(frame.size_hw, image_hw))
                picture = picture_of(frame, self._estimator.info.modality)
                feed.add(camera.name, stamp_ns, image_hw, poses, picture, time.monotonic() - seen_s)
            next_s = max(next_s, began_s) + period_s
            if stop.wait(max(next_s - time.monotonic(), 0.0)):
                return

    def _moments(self, passes: int | None) -> Iterator[int]:
        count, number = self.config.moments, 0
        while passes is None or number < passes:
            yield from range(count) if number % 2 == 0 else range(count - 2, 0, -1)
            number += 1
