"""Frames whose people were found, brought into a history, and fused where the cameras' places are known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from orpose_core.fusion.rig import RoomCamera
from orpose_core.fusion.room import Room
from orpose_core.image_ops import private_frame
from orpose_core.render import frame_picture
from orpose_core.types import Picture, Poses, RgbdFrame
from orpose_core.view.history import History
from orpose_core.view.moments import CameraMoment, RoomMoment

RANGE_M = 5.0
"""Depth that is darkest in the pictures, so that they do not flicker."""


def picture_of(frame: RgbdFrame, modality: str) -> Picture:
    """Return what a network of this modality reads of a frame, at a size in which nobody is recognised."""
    return frame_picture(private_frame(frame), modality, RANGE_M)


class Feed:
    """Brings found people into a history.

    Args:
        history: that grows.
        rig: where cameras hang; with two or more of them their people are fused. Empty = not known.
    """

    def __init__(self, history: History, rig: Sequence[RoomCamera] = ()) -> None:
        self._history = history
        self._rig: Mapping[str, RoomCamera] = {camera.name: camera for camera in rig}
        self._room: Room | None = None
        for camera in rig:
            history.place(camera.name, camera)

    def add(
        self,
        camera: str,
        stamp_ns: int,
        image_hw: tuple[int, int],
        poses: Poses,
        picture: Picture | None,
        latency_s: float | None = None,
    ) -> None:
        """Add an image of a camera and who is in it (``poses`` in px of an image of size ``image_hw``)."""
        self._history.add(camera, CameraMoment(stamp_ns, image_hw, poses, picture, latency_s))
        known = self._rig.get(camera)
        if known is None or len(self._rig) < 2:
            return
        if (known.intrinsics.height, known.intrinsics.width) != image_hw:
            known = replace(known, intrinsics=known.intrinsics.resized(image_hw))
        if self._room is None or self._room.tracker.skeleton != poses.skeleton:
            self._room = Room(list(self._rig.values()), poses.skeleton)
        self._room.place(known)
        if self._room.add(camera, poses, stamp_ns) and self._room.ready():
            self._fuse()

    def finish(self) -> None:
        """Fuse what still waits for other cameras."""
        if self._room is not None and self._room.pending():
            self._fuse()

    def _fuse(self) -> None:
        assert self._room is not None
        moment = self._room.fuse()
        self._history.add_room(RoomMoment.of_people(moment.people, moment.stamp_ns))
