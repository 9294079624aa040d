"""Fuses the skeletons of several cameras to one per person in the room.

    camera/skeletons_2d, camera/skeletons_3d, and a calibration file or tf with camera/lowres/camera_info
        -> room/skeletons_3d, room/skeleton_info

It never receives images. Each camera may have its own rate; a moment waits briefly for late cameras.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from copy import copy
from functools import partial
from typing import Any

from rclpy.qos import DurabilityPolicy, QoSProfile, qos_profile_sensor_data
from sensor_msgs.msg import CameraInfo

from orpose_core.data.skeleton_messages import from_skeletons, stamp_ns_of, to_skeleton_info
from orpose_core.fusion.messages import to_room_skeletons
from orpose_core.fusion.rig import RoomCamera
from orpose_core.fusion.room import Room, warm_up
from orpose_core.skeleton import Skeleton, by_name
from orpose_ros.messages import RCLPY_TYPES
from orpose_ros.msg import Skeleton2DArray, Skeleton3DArray, SkeletonInfo
from orpose_ros.parameters import declaring as parameters
from orpose_ros.parameters.fusion import FusionParameters
from orpose_ros.running.diagnostics import NodeDiagnostics
from orpose_ros.running.input_watch import InputWatch, overridable_qos
from orpose_ros.running.lifecycle import SelfStartingNode, run
from orpose_ros.streams.clock_agreement import ClockAgreement
from orpose_ros.streams.room_calibration import TransformCalibration, of_image, rig_of_file

LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
RELIABLE = QoSProfile(depth=10)
TOPIC = "room/skeletons_3d"


class _Camera:
    """Messages of one camera that have not been fused yet."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.info: CameraInfo | None = None
        self.flat: Skeleton2DArray | None = None
        self.space: Skeleton3DArray | None = None
        self.heard_s = 0.0  # steady clock, of ``flat``
        self.skeleton: Skeleton | None = None  # of the newest message


class FusionNode(SelfStartingNode):
    """Fuses skeletons; see the module."""

    def __init__(self, **arguments: Any) -> None:
        super().__init__("fusion_node", **arguments)
        self.parameters = parameters.declare(self, FusionParameters)
        self.watch: InputWatch | None = None
        self.diagnostics: NodeDiagnostics | None = None
        self._active = False
        self._clocks = ClockAgreement(self.parameters.max_age_s, self.parameters.silence_s)
        self._cameras: dict[str, _Camera] = {}
        self._file: dict[str, RoomCamera] = {}
        self._transforms: TransformCalibration | None = None
        self._rig: dict[str, RoomCamera] = {}
        self._room: Room | None = None
        self._publishers: list[Any] = []
        self._waiting_s: float | None = None  # steady clock, since when views wait
        self._in_view = 0
        self._last_cameras: tuple[str, ...] = ()

    def configure(self) -> None:
        """Read the calibration, create publishers and subscriptions."""
        settings = self.parameters
        if settings.calibration:
            self._file = rig_of_file(settings.calibration, settings.cameras)
        else:
            self._transforms = self.own(TransformCalibration(self, settings.room_frame))
        options = overridable_qos()
        self._publishers = [
            self.own_publisher(Skeleton3DArray, TOPIC, copy(RELIABLE), qos_overriding_options=options),
            self.own_publisher(SkeletonInfo, "room/skeleton_info", copy(LATCHED)),
        ]
        self.watch = self.own(InputWatch(self, settings.silence_s))
        self.diagnostics = self.own(
            NodeDiagnostics(self, "cpu", values=self._values, problems=self._problems, served="skeletons")
        )
        with self.diagnostics.busy("compiling"):
            warm_up()
        for name in settings.cameras:
            camera = self._cameras[name] = _Camera(name)
            flat, space = partial(self._take_flat, camera), partial(self._take_space, camera)
            self.watch.subscribe(Skeleton2DArray, f"{name}/skeletons_2d", flat, RELIABLE)
            if settings.use_depth:
                self.watch.subscribe(Skeleton3DArray, f"{name}/skeletons_3d", space, RELIABLE, required=False)
            if self._transforms is not None:
                topic = "/".join(part for part in (name, settings.images, "camera_info") if part)
                take = partial(setattr, camera, "info")
                self.watch.subscribe(CameraInfo, topic, take, qos_profile_sensor_data)
        self.own_timer(min(0.02, settings.wait_s / 2), self._look)

    def activate(self) -> None:
        """Start fusing."""
        self._active = True

    def deactivate(self) -> None:
        """Stop, and forget all people."""
        self._active, self._room, self._waiting_s = False, None, None
        self._clocks.clear()
        for camera in self._cameras.values():
            camera.flat = camera.space = None

    def clean_up(self) -> None:
        """Destroy all that :meth:`configure` made."""
        self.deactivate()
        super().clean_up()
        self.watch = self.diagnostics = self._transforms = None
        self._publishers.clear()
        self._cameras.clear()
        self._file.clear()
        self._rig.clear()

    def _values(self) -> Mapping[str, object]:
        return {
            "people in the room": self._in_view,
            "cameras with a known place": f"{len(self._rig)} of {len(self.parameters.cameras)}",
            "cameras in the last moment": ", ".join(self._last_cameras),
        }

    def _problems(self) -> list[str]:
        clocks = [self._clocks.problem] if self._clocks.problem else []
        return [] if self.watch is None else clocks + self.watch.problems

    def _take_flat(self, camera: _Camera, message: Skeleton2DArray) -> None:
        """Store 2D skeletons; they wait briefly for the 3D ones with the same stamp."""
        if not self._active:
            return
        stamp_ns = stamp_ns_of(message)
        if stamp_ns <= 0:
            raise ValueError("expected a stamp, by which the views of a moment are found, got 0")
        self._clocks.saw(camera.name, stamp_ns)
        try:
            self._add(camera)  # the message before, if its 3D skeletons have not come
        finally:  # if that one is refused, this one is stored all the same
            camera.flat, camera.heard_s = message, time.monotonic()
        self._pair(camera)

    def _take_space(self, camera: _Camera, message: Skeleton3DArray) -> None:
        if self._active:
            camera.space = message
            self._pair(camera)

    def _pair(self, camera: _Camera) -> None:
        """Add the people of a camera once their 2D and 3D skeletons are complete."""
        flat, space = camera.flat, camera.space
        if flat is None:
            return
        alone = not self.parameters.use_depth
        if alone or (space is not None and stamp_ns_of(space) == stamp_ns_of(flat)):
            self._add(camera)
            self._fuse_ready()

    def _add(self, camera: _Camera) -> None:
        """Pass the stored messages of a camera to the fusion; a ValueError refuses them."""
        flat, space = camera.flat, camera.space
        if flat is None:
            return
        camera.flat = None
        stamp_ns = stamp_ns_of(flat)
        if space is not None and stamp_ns_of(space) != stamp_ns:
            space = None
        skeleton = self._common(camera, by_name(flat.skeleton_model))
        poses = from_skeletons(flat, space, skeleton)
        self._calibrated(camera, flat)
        if self._room is None or self._room.tracker.skeleton != skeleton:
            self._room = Room(
                list(self._rig.values()), skeleton, self.parameters.fusion, self.parameters.tracker,
                self.parameters.timing,
            )  # fmt: skip
            self._publishers[1].publish(to_skeleton_info(skeleton, RCLPY_TYPES))
        self._room.place(self._rig[camera.name])
        if self._room.add(camera.name, poses, stamp_ns):
            self._waiting_s = self._waiting_s or time.monotonic()
        elif self.diagnostics is not None:
            self.diagnostics.drop()
            if self._clocks.problem:
                self.warn_seldom(self._clocks.problem)

    def _common(self, camera: _Camera, skeleton: Skeleton) -> Skeleton:
        """Return the joint set of a camera's people; ValueError if the other cameras have another."""
        camera.skeleton = skeleton
        known = skeleton if self._room is None else self._room.tracker.skeleton
        since_s = time.monotonic() - self.parameters.silence_s
        for other in self._cameras.values():
            if skeleton != known == other.skeleton and other.heard_s > since_s:
                raise ValueError(
                    f"expected people with the joints of {known.name}, as {other.name} has them, got "
                    f"{skeleton.name}: all cameras need models with the same joints"
                )
        return skeleton

    def _calibrated(self, camera: _Camera, flat: Skeleton2DArray) -> None:
        """Update a camera's pose and intrinsics for images of this size; ValueError names what is missing."""
        size_hw = (int(flat.image_height), int(flat.image_width))
        if min(size_hw) < 1:
            raise ValueError(f"expected the size of the image, got {size_hw[1]}x{size_hw[0]}")
        if self._transforms is not None:  # each time: cameras may be calibrated anew meanwhile
            known = self._transforms.camera(camera.name, flat.header.frame_id, camera.info)
        else:
            known = self._file[camera.name]
        self._rig[camera.name] = of_image(known, size_hw)

    def _fuse_ready(self) -> None:
        while self._room is not None and self._room.ready():
            self._fuse()

    def _look(self) -> None:
        """Stop waiting for late 3D skeletons and cameras."""
        now_s, patience_s = time.monotonic(), self.parameters.wait_s
        for camera in self._cameras.values():
            if camera.flat is not None and now_s - camera.heard_s > patience_s:
                try:
                    self._add(camera)
                except ValueError as error:
                    self.warn_seldom(f"skeletons of {camera.name} refused: {error}")
        self._fuse_ready()
        waited = self._waiting_s is not None and now_s - self._waiting_s > patience_s
        if waited and self._room is not None and self._room.pending():
            self._fuse()

    def _fuse(self) -> None:
        assert self._room is not None and self.diagnostics is not None
        moment = self._room.fuse()
        began_s = self._waiting_s or time.monotonic()
        self._waiting_s = None
        self._in_view, self._last_cameras = len(moment.people), moment.cameras
        self._publishers[0].publish(
            to_room_skeletons(
                moment.people, RCLPY_TYPES, stamp_ns=moment.stamp_ns, frame_id=self.parameters.room_frame
            )
        )
        self.diagnostics.frame(time.monotonic() - began_s)


def main(args: list[str] | None = None) -> None:
    """Run the node."""
    run(FusionNode, args)


if __name__ == "__main__":
    main()
