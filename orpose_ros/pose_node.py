"""The pose node: low-resolution images of one or several cameras in, 2D and 3D skeletons of everyone out.

One model serves all cameras, in one batch. A callback only stores the newest frame of its camera; a worker
takes what waits, so that latency stays bounded when frames arrive faster than they can be served.

    [camera/]lowres/depth/image_raw or lowres/color/image_raw, lowres/camera_info
        -> [camera/]skeletons_2d, [camera/]skeletons_3d; skeleton_info and model_info (latched)
        -> [camera/]skeletons_3d_root_relative, of a model that lifts joints into space by itself

skeletons_3d is METRIC where there is depth, and for a model that lifts ROOT_RELATIVE where there is none.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from copy import copy
from dataclasses import dataclass
from functools import partial
from typing import Any

from rclpy.clock import JumpThreshold, TimeJump
from rclpy.duration import Duration
from rclpy.lifecycle import LifecyclePublisher
from rclpy.qos import DurabilityPolicy, QoSProfile, qos_profile_sensor_data
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from orpose_core.data.skeleton_messages import (
    to_model_info,
    to_skeleton_info,
    to_skeletons_2d,
    to_skeletons_3d,
)
from orpose_core.estimators import PoseEstimator, load_estimator
from orpose_core.tracking import Tracker
from orpose_core.types import Poses, RgbdFrame
from orpose_ros import conversions, parameters
from orpose_ros.diagnostics import NodeDiagnostics
from orpose_ros.input_watch import InputWatch, overridable_qos
from orpose_ros.lifecycle import SelfStartingNode, run
from orpose_ros.messages import RCLPY_TYPES
from orpose_ros.msg import PoseModelInfo, Skeleton2DArray, Skeleton3DArray, SkeletonInfo
from orpose_ros.newest_wins import Arrived, NewestWins
from orpose_ros.pairing import JUMP_BACK_NS, Pairing, make_pairing
from orpose_ros.pose_parameters import PoseParameters

# Copied for each publisher: rclpy writes QoS overrides into the profile that it is given.
LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
RELIABLE = QoSProfile(depth=10)


@dataclass(frozen=True)
class _Messages:
    """The messages of one moment of one camera."""

    color: Image | CompressedImage | None
    depth: Image | None
    camera_info: CameraInfo | None


class _Camera:
    """What belongs to one camera: its topics, its newest camera_info and its tracker."""

    def __init__(self, node: PoseNode, namespace: str) -> None:
        self.namespace = namespace
        self.camera_info: CameraInfo | None = None
        self.tracker = Tracker(node.parameters.tracker)
        self.last_ns: int | None = None
        self.reset_wanted = False  # set by the executor's thread, done by the worker's
        self.pairing: Pairing | None = None
        options = overridable_qos()
        self.skeletons_2d: LifecyclePublisher = node.create_lifecycle_publisher(
            Skeleton2DArray, self.topic("skeletons_2d"), copy(RELIABLE), qos_overriding_options=options
        )
        self.skeletons_3d: LifecyclePublisher = node.create_lifecycle_publisher(
            Skeleton3DArray, self.topic("skeletons_3d"), copy(RELIABLE), qos_overriding_options=options
        )
        self.relative: LifecyclePublisher | None = None
        if node.lifts:
            self.relative = node.create_lifecycle_publisher(
                Skeleton3DArray,
                self.topic("skeletons_3d_root_relative"),
                copy(RELIABLE),
                qos_overriding_options=options,
            )

    def topic(self, *parts: str) -> str:
        """Return the relative name of a topic of this camera."""
        return "/".join(part for part in (self.namespace, *parts) if part)

    def reset(self) -> None:
        """Ask for new tracks."""
        self.reset_wanted = True


class PoseNode(SelfStartingNode):
    """Finds the people in every camera's images; see the module."""

    def __init__(self, **arguments: Any) -> None:
        super().__init__("pose_node", **arguments)
        self.parameters = parameters.declare(self, PoseParameters)
        parameters.on_change(self, PoseParameters, self._changed)
        self.estimator: PoseEstimator | None = None
        self.watch: InputWatch | None = None
        self.diagnostics: NodeDiagnostics | None = None
        self._worker = NewestWins(self._serve, self._dropped, self._failed)
        self._cameras: dict[str, _Camera] = {}
        self._infos: list[tuple[LifecyclePublisher, Any]] = []
        self._applied = self.parameters
        # Of the node's own clock: with use_sim_time a bag that starts again sets it back.
        self._jump = self.get_clock().create_jump_callback(
            JumpThreshold(
                min_forward=None, min_backward=Duration(nanoseconds=-JUMP_BACK_NS), on_clock_change=False
            ),
            post_callback=self._clock_jumped,
        )

    @property
    def lifts(self) -> bool:
        """Whether the model gives joints relative to the root without any depth."""
        return self.estimator is not None and self.estimator.info.lifts

    def configure(self) -> None:
        """Load and warm up the model, then make publishers, diagnostics and subscriptions."""
        settings = self.parameters
        self.estimator = load_estimator(settings.model, settings.estimator)
        self._announce()
        started_s = time.monotonic()
        self.estimator.warm_up(len(settings.cameras))
        self.get_logger().info(f"warmed up in {time.monotonic() - started_s:.1f} s")
        info = self.estimator.info
        limit = settings.max_pixels if settings.strict else 0
        for message_type, topic, message in (
            (SkeletonInfo, "skeleton_info", to_skeleton_info(info.skeleton, RCLPY_TYPES)),
            (PoseModelInfo, "model_info", to_model_info(info, RCLPY_TYPES, max_pixels=limit)),
        ):
            publisher = self.create_lifecycle_publisher(
                message_type, topic, copy(LATCHED), qos_overriding_options=overridable_qos()
            )
            self._infos.append((publisher, message))
        self.watch = InputWatch(self, settings.silence_s)
        self.diagnostics = NodeDiagnostics(self, info.device, self._values, self._problems)
        for namespace in settings.cameras:
            camera = self._cameras[namespace] = _Camera(self, namespace)
            self._subscribe(camera)

    def activate(self) -> None:
        """Tell of skeleton and model, and start serving."""
        for publisher, message in self._infos:
            publisher.publish(message)
        for camera in self._cameras.values():
            camera.reset()
        self._worker.start()

    def deactivate(self) -> None:
        """Finish the batch at hand and serve no more."""
        self._worker.stop()

    def clean_up(self) -> None:
        """Destroy all that :meth:`configure` made."""
        self._worker.stop()
        if self.watch is not None:
            self.watch.close()
        if self.diagnostics is not None:
            self.diagnostics.close()
        for camera in self._cameras.values():
            self.destroy_lifecycle_publisher(camera.skeletons_2d)
            self.destroy_lifecycle_publisher(camera.skeletons_3d)
            if camera.relative is not None:
                self.destroy_lifecycle_publisher(camera.relative)
        for publisher, _ in self._infos:
            self.destroy_lifecycle_publisher(publisher)
        self._cameras.clear()
        self._infos.clear()
        self.estimator = self.watch = self.diagnostics = None

    def _announce(self) -> None:
        """Say once which model runs where; loudly where it is not trained."""
        assert self.estimator is not None
        info = self.estimator.info
        self.get_logger().info(
            f"model {info.name} ({info.backend} on {info.device}), {info.modality} of "
            f"{info.input_hw[1]}x{info.input_hw[0]} px, sha256 {info.sha256[:12] or 'none'}"
        )
        if not info.trained:
            self.get_logger().warning(
                f"UNTRAINED MODEL {info.name}: its weights are random, the skeletons mean nothing. "
                "Set the parameter model to trained weights."
            )

    def _subscribe(self, camera: _Camera) -> None:
        assert self.watch is not None and self.estimator is not None
        settings, images = self.parameters, self.parameters.images
        color = self.estimator.info.modality == "color"
        depth = not color or settings.depth_with_color
        if color and depth:
            camera.pairing = make_pairing(
                ("color", "depth"), partial(self._store, camera), settings.slop_s, jumped_back=camera.reset
            )
        if depth:
            take = partial(self._take, camera, "depth")
            self.watch.subscribe(
                Image, camera.topic(images, "depth/image_raw"), take, qos_profile_sensor_data
            )
        if color:
            kind, name = Image, "color/image_raw"
            if settings.compressed_color:
                kind, name = CompressedImage, "color/image_raw/compressed"
            take = partial(self._take, camera, "color")
            self.watch.subscribe(kind, camera.topic(images, name), take, qos_profile_sensor_data)
        if depth and settings.metric_3d:
            take = partial(self._take_camera_info, camera)
            self.watch.subscribe(
                CameraInfo, camera.topic(images, "camera_info"), take, qos_profile_sensor_data
            )

    def _take_camera_info(self, camera: _Camera, message: CameraInfo) -> None:
        camera.camera_info = None
        conversions.intrinsics_of(message)  # refuses one that is not calibrated, and says so
        camera.camera_info = message

    def _take(self, camera: _Camera, stream: str, message: Image | CompressedImage) -> None:
        """Store one image if it is small enough to be looked at; ValueError refuses it."""
        if isinstance(message, Image):  # the size of a compressed one is known once it is read
            self._check_size(message.height, message.width)
        if camera.pairing is None:
            self._store(camera, {stream: message})
        else:
            camera.pairing.add(stream, message)

    def _store(self, camera: _Camera, images: Mapping[str, Any]) -> None:
        messages = _Messages(images.get("color"), images.get("depth"), camera.camera_info)
        self._worker.put(camera.namespace, messages)

    def _check_size(self, height: int, width: int) -> None:
        limit = self.parameters.max_pixels
        if self.parameters.strict and height * width > limit:
            self._refused()
            raise ValueError(
                f"strict mode takes images of at most {limit} px, got {width}x{height} = {height * width}: "
                "put lowres_gateway in front"
            )

    # Below: the worker's thread.

    def _serve(self, batch: Mapping[str, Arrived]) -> None:
        """Take one batch the whole way: messages, frames, poses, tracks, messages."""
        self._apply_settings()
        frames: dict[str, RgbdFrame] = {}
        for namespace, arrived in batch.items():
            try:
                frame = self._frame(self._cameras[namespace], arrived.item)
            except ValueError as error:
                self._refused()
                self.warn_seldom(f"{namespace or 'camera'}: frame refused: {error}")
                continue
            if frame is not None:
                frames[namespace] = frame
        for namespace, poses in self._estimate(frames).items():
            self._publish(self._cameras[namespace], frames[namespace], poses)
            assert self.diagnostics is not None  # lives as long as the worker runs
            self.diagnostics.frame(time.monotonic() - batch[namespace].at_s)

    def _apply_settings(self) -> None:
        """Bring parameters that were set meanwhile to the estimator and the trackers."""
        settings = self.parameters
        if settings is self._applied or self.estimator is None:
            return
        self.estimator.config = settings.estimator
        for camera in self._cameras.values():
            camera.tracker.config = settings.tracker
        self._applied = settings

    def _frame(self, camera: _Camera, messages: _Messages) -> RgbdFrame | None:
        """Return the frame of the messages; None where a newer one was already served."""
        frame = conversions.frame_of(messages.color, messages.depth, messages.camera_info)
        self._check_size(*frame.size_hw)
        if camera.last_ns is not None and camera.last_ns - JUMP_BACK_NS <= frame.stamp_ns < camera.last_ns:
            self._dropped()
            return None
        if camera.reset_wanted or (camera.last_ns is not None and frame.stamp_ns < camera.last_ns):
            camera.tracker.reset()
            camera.reset_wanted = False
        camera.last_ns = frame.stamp_ns
        return frame

    def _estimate(self, frames: Mapping[str, RgbdFrame]) -> dict[str, Poses]:
        """Estimate all frames in one batch; if that fails, each alone: one must not spoil the others."""
        assert self.estimator is not None
        if not frames:
            return {}
        try:
            return dict(zip(frames, self.estimator.estimate(list(frames.values())), strict=True))
        except Exception as error:  # whatever torch raises: out of memory, say
            if len(frames) == 1:
                self._failed(error)
                return {}
        poses: dict[str, Poses] = {}
        for namespace, frame in frames.items():
            poses |= self._estimate({namespace: frame})
        return poses

    def _publish(self, camera: _Camera, frame: RgbdFrame, poses: Poses) -> None:
        assert self.estimator is not None
        info, states = self.estimator.info, None
        if self.parameters.track:
            poses = camera.tracker.update(poses, frame.stamp_ns)
            states = camera.tracker.states
        source: dict[str, Any] = {"stamp_ns": frame.stamp_ns, "frame_id": frame.frame_id}
        camera.skeletons_2d.publish(
            to_skeletons_2d(
                poses,
                RCLPY_TYPES,
                image_hw=frame.size_hw,
                network_hw=info.input_hw,
                modality=info.modality,
                states=states,
                **source,
            )
        )
        camera.skeletons_3d.publish(to_skeletons_3d(poses, RCLPY_TYPES, **source))
        if camera.relative is not None:
            camera.relative.publish(to_skeletons_3d(poses, RCLPY_TYPES, relative=True, **source))

    # Of both threads.

    def _changed(self, settings: PoseParameters) -> None:
        self.parameters = settings  # the worker brings it to the estimator before its next batch

    def _clock_jumped(self, jump: TimeJump) -> None:
        for camera in self._cameras.values():
            camera.reset()

    def _dropped(self) -> None:
        if self.diagnostics is not None:
            self.diagnostics.drop()

    def _refused(self) -> None:
        if self.diagnostics is not None:
            self.diagnostics.refuse()

    def _failed(self, error: Exception) -> None:
        self._refused()
        self.warn_seldom(f"frame lost: {type(error).__name__}: {error}")

    def _values(self) -> dict[str, object]:
        if self.estimator is None:
            return {}
        info = self.estimator.info
        limit = self.parameters.max_pixels if self.parameters.strict else "none"
        return {"model": info.name, "trained": info.trained, "backend": info.backend, "device": info.device,
                "cameras": len(self._cameras), "limit (px)": limit}  # fmt: skip

    def _problems(self) -> list[str]:
        assert self.watch is not None and self.estimator is not None
        problems = [] if self.estimator.info.trained else ["untrained model: the skeletons mean nothing"]
        problems += [f"{topic}: {reason}" for topic, reason in self.watch.silent.items()]
        problems += [
            f"{camera.namespace or 'camera'}: {camera.pairing.problem}"
            for camera in self._cameras.values()
            if camera.pairing is not None and camera.pairing.problem
        ]
        return problems


def main(args: list[str] | None = None) -> None:
    """Run the pose node."""
    run(PoseNode, args)


if __name__ == "__main__":
    main()
