"""The graph in a browser: small images with skeletons, the room in 3D, and a time line.

    [camera/]lowres/depth/image_raw or lowres/color/image_raw, [camera/]skeletons_2d, [camera/]skeletons_3d,
    room/skeletons_3d, and a calibration file or tf with [camera/]lowres/camera_info
        -> a page on http://127.0.0.1:8090

An image above the limit is refused before it is decoded. Data older than ``seconds`` are deleted. The process
runs at low priority, so that the page does not slow down the other nodes.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
from rclpy.qos import QoSProfile, qos_profile_sensor_data
from sensor_msgs.msg import CameraInfo, Image

from orpose_core.data import image_messages
from orpose_core.data.skeleton_messages import from_skeletons, joints_in_space, stamp_ns_of
from orpose_core.fusion.rig import RoomCamera
from orpose_core.skeleton import by_name
from orpose_core.types import RgbdFrame
from orpose_core.view.feeding import picture_of
from orpose_core.view.history import History
from orpose_core.view.moments import CameraMoment, RoomMoment, check_private
from orpose_core.view.page import Page
from orpose_ros import conversions
from orpose_ros.msg import Skeleton2DArray, Skeleton3DArray
from orpose_ros.parameters import declaring as parameters
from orpose_ros.parameters.view import ViewParameters
from orpose_ros.running.diagnostics import NodeDiagnostics
from orpose_ros.running.input_watch import InputWatch
from orpose_ros.running.lifecycle import SelfStartingNode, run
from orpose_ros.streams.room_calibration import TransformCalibration, rig_of_file

RELIABLE = QoSProfile(depth=10)
_LOOK_FOR_CAMERAS_S = 1.0
_LONGEST_LATENCY_S = 3600.0  # more is the stamp of a recording
_NICE = 10


class _Camera:
    """Messages of one camera."""

    def __init__(self, namespace: str) -> None:
        self.name = namespace or "camera"
        self.info: CameraInfo | None = None
        self.frame_id = ""
        self.flat: Skeleton2DArray | None = None


class ViewNode(SelfStartingNode):
    """Serves the page; see the module."""

    def __init__(self, **arguments: Any) -> None:
        super().__init__("view_node", **arguments)
        self.parameters = parameters.declare(self, ViewParameters)
        self.watch: InputWatch | None = None
        self.diagnostics: NodeDiagnostics | None = None
        self.history: History | None = None
        self.page: Page | None = None
        self._active = False
        self._cameras: list[_Camera] = []
        self._transforms: TransformCalibration | None = None

    def configure(self) -> None:
        """Serve the page, and subscribe."""
        settings = self.parameters
        self._cameras = [_Camera(namespace) for namespace in settings.cameras]
        self.history = History(settings.history, [camera.name for camera in self._cameras])
        self._place_cameras()
        self.watch = self.own(InputWatch(self, settings.silence_s))
        self.diagnostics = self.own(
            NodeDiagnostics(self, "cpu", values=self._values, problems=self._problems, served="skeletons")
        )
        self.page = self.own(Page(self.history, settings.page, live=True))
        self.get_logger().info(f"the page is at {self.page.url}")
        for namespace, camera in zip(settings.cameras, self._cameras, strict=True):
            self._subscribe(namespace, camera)
        if settings.room:
            topic = f"{settings.room}/skeletons_3d"
            self.watch.subscribe(Skeleton3DArray, topic, self._take_room, RELIABLE)
        self.own_timer(_LOOK_FOR_CAMERAS_S, self._look_for_cameras)

    def _subscribe(self, namespace: str, camera: _Camera) -> None:
        assert self.watch is not None and self.history is not None
        settings, prefix = self.parameters, f"{namespace}/" if namespace else ""
        images = f"{prefix}{settings.images}/" if settings.images else prefix
        for kind, topic, take, qos, missed in (
            (Image, f"{images}{settings.modality}/image_raw", self._take_image, qos_profile_sensor_data,
             partial(self.history.drop, camera.name)),
            (Skeleton2DArray, f"{prefix}skeletons_2d", self._take_flat, RELIABLE, None),
            (Skeleton3DArray, f"{prefix}skeletons_3d", self._take_space, RELIABLE, None),
        ):  # fmt: skip
            self.watch.subscribe(kind, topic, partial(take, camera), qos, missed=missed)
        if self._transforms is not None:
            take_info = partial(setattr, camera, "info")
            topic = f"{images}camera_info"
            self.watch.subscribe(CameraInfo, topic, take_info, qos_profile_sensor_data, required=False)

    def _place_cameras(self) -> None:
        """Update the poses of the cameras from the file or tf."""
        assert self.history is not None
        settings = self.parameters
        if settings.calibration:
            for name, place in rig_of_file(settings.calibration, settings.cameras).items():
                self.history.place(name or "camera", place)
            return
        try:
            self._transforms = self.own(TransformCalibration(self, settings.room_frame))
        except ValueError as error:
            self.get_logger().info(f"the cameras are shown side by side: {error}")

    def activate(self) -> None:
        """Start showing."""
        self._active = True

    def deactivate(self) -> None:
        """Stop adding data to the page."""
        self._active = False

    def clean_up(self) -> None:
        """Close the page and destroy all that :meth:`configure` made."""
        self._active = False
        super().clean_up()
        self.watch = self.diagnostics = self._transforms = self.page = self.history = None
        self._cameras = []

    def _take_image(self, camera: _Camera, message: Image) -> None:
        """Store an image if it is small enough; a ValueError refuses it."""
        if not self._active or self.history is None or self.diagnostics is None:
            return
        size_hw = image_messages.size_of(message)
        try:
            check_private(size_hw, self.parameters.max_pixels)
            picture = picture_of(self._frame(message), self.parameters.modality)
        except ValueError:
            self.diagnostics.refuse()
            raise
        camera.frame_id = message.header.frame_id
        self.history.add(camera.name, CameraMoment(stamp_ns_of(message), size_hw, picture=picture))

    def _frame(self, message: Image) -> RgbdFrame:
        if self.parameters.modality == "color":
            return conversions.frame_of(message, None, None)
        return conversions.frame_of(None, message, None)

    def _take_flat(self, camera: _Camera, message: Skeleton2DArray) -> None:
        camera.flat = message
        self._take_people(camera, message, None)

    def _take_space(self, camera: _Camera, message: Skeleton3DArray) -> None:
        flat = camera.flat
        if flat is not None and stamp_ns_of(flat) == stamp_ns_of(message):
            self._take_people(camera, flat, message)

    def _take_people(self, camera: _Camera, flat: Skeleton2DArray, space: Skeleton3DArray | None) -> None:
        if not self._active or self.history is None or self.diagnostics is None:
            return
        poses = from_skeletons(flat, space)
        stamp_ns = stamp_ns_of(flat)
        latency_s = (self.get_clock().now().nanoseconds - stamp_ns) / 1e9
        known_s = latency_s if 0 <= latency_s < _LONGEST_LATENCY_S and space is None else None
        size_hw = int(flat.image_height), int(flat.image_width)
        self.history.add(camera.name, CameraMoment(stamp_ns, size_hw, poses, latency_s=known_s))
        if space is None:
            assert self.watch is not None
            self.diagnostics.frame(time.monotonic() - self.watch.arrived_s)

    def _take_room(self, message: Skeleton3DArray) -> None:
        if not self._active or self.history is None:
            return
        skeleton = by_name(message.skeleton_model)
        xyz_m, sigma_m = joints_in_space(message, skeleton)
        ids = np.array([person.track_id for person in message.skeletons], np.int64)
        self.history.add_room(RoomMoment(stamp_ns_of(message), skeleton, ids, xyz_m, sigma_m))

    def _look_for_cameras(self) -> None:
        """Look up the poses of the cameras in tf."""
        if self._transforms is None or self.history is None:
            return
        for camera in self._cameras:
            place = self._in_tf(camera)
            if place is not None:
                self.history.place(camera.name, place)

    def _in_tf(self, camera: _Camera) -> RoomCamera | None:
        assert self._transforms is not None
        try:
            return self._transforms.camera(camera.name, camera.frame_id, camera.info)
        except ValueError:  # not known yet, or nobody says it
            return None

    def _values(self) -> Mapping[str, object]:
        if self.page is None or self.history is None:
            return {}
        states = self.history.states()
        begin_ns, end_ns = self.history.span_ns()
        return {
            "page": self.page.url,
            "browsers": self.page.browsers,
            "history (s)": f"{(end_ns - begin_ns) / 1e9:.0f}",
            "limit (px)": self.parameters.max_pixels,
            "images without skeletons": sum(state.dropped for state in states.values()),
        }

    def _problems(self) -> list[str]:
        return [] if self.watch is None else self.watch.problems


def main(args: list[str] | None = None) -> None:
    """Run the node, at low priority: threads that it starts inherit it."""
    os.nice(_NICE)
    run(ViewNode, args)


if __name__ == "__main__":
    main()
