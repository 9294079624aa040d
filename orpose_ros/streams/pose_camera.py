"""One camera of the pose node: its topics, newest camera_info, tracker and publishers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import copy
from dataclasses import dataclass
from functools import partial
from typing import Any

from rclpy.lifecycle import LifecycleNode, LifecyclePublisher
from rclpy.qos import QoSProfile
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from orpose_core.data import image_messages
from orpose_core.data.skeleton_messages import to_skeletons_2d, to_skeletons_3d
from orpose_core.estimators import ModelInfo
from orpose_core.rotation import turned_back, upright
from orpose_core.tracking import Tracker
from orpose_core.types import Poses, RgbdFrame
from orpose_ros import conversions
from orpose_ros.messages import RCLPY_TYPES
from orpose_ros.msg import Skeleton2DArray, Skeleton3DArray
from orpose_ros.parameters.pose import PoseParameters
from orpose_ros.running.input_watch import NEWEST, InputWatch, overridable_qos
from orpose_ros.running.plausibility import Plausibility
from orpose_ros.streams.image_inputs import subscribe_images
from orpose_ros.streams.pairing import JUMP_BACK_NS, Pairing, make_pairing

# Copied for each publisher: rclpy writes QoS overrides into the profile that it is given.
RELIABLE = QoSProfile(depth=10)


@dataclass(frozen=True)
class CameraMessages:
    """The messages of one moment of one camera."""

    color: Image | CompressedImage | None
    depth: Image | CompressedImage | None
    camera_info: CameraInfo | None


class LateFrame(Exception):
    """A frame is older than one that was already processed."""


class PoseCamera:
    """One camera of the pose node.

    The callbacks of its subscriptions run in the executor's thread, :meth:`frame` and :meth:`publish` in a
    worker's.
    """

    def __init__(
        self,
        node: LifecycleNode,
        settings: PoseParameters,
        namespace: str,
        rotation: int,
        store: Callable[[CameraMessages, float], None],
    ) -> None:
        """Create the publishers.

        Args:
            node: the pose node.
            settings: parameters of the pose node.
            namespace: namespace of the camera.
            rotation: clockwise rotation that makes its images upright, degrees.
            store: called with the messages of a moment, and the arrival of the last one, s of the steady
                clock.
        """
        self.namespace, self.rotation = namespace, rotation
        self.camera_info: CameraInfo | None = None
        self.tracker = Tracker(settings.tracker)
        self.reset_wanted = False  # set by the executor's thread, done by the worker's
        self.pairing: Pairing | None = None
        self.plausibility = Plausibility()
        self._node, self._settings, self._store_messages = node, settings, store
        self._last_ns: int | None = None
        self._wants_camera_info = False
        self._watch: InputWatch | None = None
        self._skeletons_2d = self._publisher(Skeleton2DArray, "skeletons_2d")
        self._skeletons_3d = self._publisher(Skeleton3DArray, "skeletons_3d")
        self._relative: LifecyclePublisher | None = None

    def _publisher(self, kind: type, topic: str) -> LifecyclePublisher:
        return self._node.create_lifecycle_publisher(
            kind, self.topic(topic), copy(RELIABLE), qos_overriding_options=overridable_qos()
        )

    def topic(self, *parts: str) -> str:
        """Return the relative name of a topic of this camera."""
        return "/".join(part for part in (self.namespace, *parts) if part)

    def subscribe(
        self, watch: InputWatch, info: ModelInfo, missed: Callable[[int], None], refused: Callable[[], None]
    ) -> None:
        """Subscribe to the images that the model needs.

        Args:
            watch: creates the subscriptions.
            info: description of the model.
            missed: called with the number of images that were sent but not received.
            refused: called for each image that is refused.
        """
        settings, self._watch, self._refused = self._settings, watch, refused
        if info.lifts:
            self._relative = self._publisher(Skeleton3DArray, "skeletons_3d_root_relative")
        color = info.modality == "color"
        depth = not color or settings.depth_with_color
        if color and depth:
            self.pairing = make_pairing(
                ("color", "depth"), self._store, settings.slop_s, jumped_back=self.reset
            )
        if depth:
            self._subscribe_images("depth", missed)
        if color:
            self._subscribe_images("color", missed if not depth else None)
        self._wants_camera_info = depth and settings.metric_3d
        if self._wants_camera_info:
            topic = self.topic(settings.images, "camera_info")
            watch.subscribe(CameraInfo, topic, self._take_camera_info, NEWEST)

    def _subscribe_images(self, stream: str, missed: Callable[[int], None] | None) -> None:
        assert self._watch is not None
        where = self.namespace, self._settings.images
        take = partial(self._take, stream)
        subscribe_images(self._watch, self._settings, stream, take, *where, missed=missed)

    def _take_camera_info(self, message: CameraInfo) -> None:
        self.camera_info = None  # one that is refused must not leave the one before in use
        reading = self._settings.reading
        conversions.intrinsics_of(message, reading)  # refuses one that is not calibrated, and says so
        model, coefficients = conversions.distortion_of(message, reading)
        if coefficients:
            raise ValueError(
                f"the lens distorts ({model}), so joints would be misplaced in space: expected the "
                "undistorted images of lowres_gateway, or rectified ones with the parameter rectified"
            )
        self.camera_info = message

    def _take(self, stream: str, message: Image | CompressedImage) -> None:
        """Store one image if it is small enough; a ValueError refuses it."""
        try:
            self.check_size(*image_messages.size_of(message))
        except ValueError:
            self._refused()
            raise
        if self.pairing is None:
            self._store({stream: message})
        else:
            self.pairing.add(stream, message)

    def _store(self, images: Mapping[str, Any]) -> None:
        assert self._watch is not None
        messages = CameraMessages(images.get("color"), images.get("depth"), self.camera_info)
        self._store_messages(messages, self._watch.arrived_s)

    def check_size(self, height: int, width: int) -> None:
        """Raise ValueError for an image above the limit of strict mode."""
        limit = self._settings.max_pixels
        if self._settings.strict and height * width > limit:
            raise ValueError(
                f"strict mode takes images of at most {limit} px, got {width}x{height} = {height * width}: "
                "put lowres_gateway in front"
            )

    def reset(self) -> None:
        """Request new tracks."""
        self.reset_wanted = True

    def problems(self) -> list[str]:
        """The current problems as sentences."""
        name = self.namespace or "camera"
        problems = [f"{name}: {self.plausibility.problem}"] if self.plausibility.problem else []
        if self.pairing is not None and self.pairing.problem:
            problems.append(f"{name}: {self.pairing.problem}")
        if self._wants_camera_info and self.camera_info is None and self._last_ns is not None:
            problems.append(f"{name}: no camera_info that can be used, so skeletons have no place in space")
        return problems

    # Below: the worker's thread.

    def frame(self, messages: CameraMessages) -> RgbdFrame:
        """Return the upright frame of the messages.

        Raises:
            ValueError: an image cannot be decoded, or is too large.
            LateFrame: a newer frame was already processed.
        """
        frame = conversions.frame_of(
            messages.color, messages.depth, messages.camera_info, self._settings.reading
        )
        self.check_size(*frame.size_hw)
        last_ns = self._last_ns
        if last_ns is not None and last_ns - JUMP_BACK_NS <= frame.stamp_ns < last_ns:
            raise LateFrame
        if self.reset_wanted or (last_ns is not None and frame.stamp_ns < last_ns):
            self.tracker.reset()
            self.reset_wanted = False
        self._last_ns = frame.stamp_ns
        self.plausibility.see(frame)
        return frame

    def upright(self, frame: RgbdFrame) -> RgbdFrame:
        """Return the frame at the resolution of the network."""
        return upright(frame, self.rotation)

    def publish(self, frame: RgbdFrame, found: Poses, info: ModelInfo, track: bool) -> None:
        """Publish the people in an upright frame, in the coordinates of the camera's image."""
        poses, states = turned_back(found, self.rotation, frame.size_hw), None
        self.plausibility.see_people(poses)
        if track:
            poses = self.tracker.update(poses, frame.stamp_ns)
            states = self.tracker.states
        source: dict[str, Any] = {"stamp_ns": frame.stamp_ns, "frame_id": frame.frame_id}
        flat = to_skeletons_2d(
            poses,
            RCLPY_TYPES,
            image_hw=frame.size_hw,
            network_hw=info.input_hw,
            modality=info.modality,
            states=states,
            **source,
        )
        self._skeletons_2d.publish(flat)
        self._skeletons_3d.publish(to_skeletons_3d(poses, RCLPY_TYPES, **source))
        if self._relative is not None:
            self._relative.publish(to_skeletons_3d(poses, RCLPY_TYPES, relative=True, **source))

    def close(self) -> None:
        """Destroy the publishers."""
        for publisher in (self._skeletons_2d, self._skeletons_3d, self._relative):
            if publisher is not None:
                self._node.destroy_lifecycle_publisher(publisher)
