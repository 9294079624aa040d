"""The pose node: low-resolution images of one or several cameras in, 2D and 3D skeletons of everyone out.

One model serves all cameras: in batches as large as is efficient or, with OpenVINO, in several lanes, at most
one per camera and thread. A callback only stores the newest frame of its camera; a worker thread per lane
processes stored frames, so that latency stays bounded when frames arrive faster than they can be processed.

    [camera/]lowres/depth/image_raw or lowres/color/image_raw (or compressed), lowres/camera_info
        -> [camera/]skeletons_2d, [camera/]skeletons_3d; skeleton_info and model_info (latched)
        -> [camera/]skeletons_3d_root_relative, from a model that lifts joints to 3D

skeletons_3d is METRIC with depth. Without depth, a model that lifts joints publishes ROOT_RELATIVE.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Mapping
from copy import copy
from functools import partial
from typing import Any

from rclpy.clock import JumpThreshold, TimeJump
from rclpy.duration import Duration
from rclpy.lifecycle import LifecyclePublisher
from rclpy.qos import DurabilityPolicy, QoSProfile

from orpose_core.data.skeleton_messages import to_model_info, to_skeleton_info
from orpose_core.estimators import PoseEstimator, load_estimator
from orpose_core.types import Poses, RgbdFrame
from orpose_ros.messages import RCLPY_TYPES
from orpose_ros.msg import PoseModelInfo, SkeletonInfo
from orpose_ros.parameters import declaring as parameters
from orpose_ros.parameters.pose import PoseParameters
from orpose_ros.running.diagnostics import NodeDiagnostics
from orpose_ros.running.input_watch import InputWatch, overridable_qos
from orpose_ros.running.lifecycle import SelfStartingNode, run
from orpose_ros.streams.image_inputs import compile_decoders
from orpose_ros.streams.newest_wins import Arrived, NewestWins
from orpose_ros.streams.pairing import JUMP_BACK_NS
from orpose_ros.streams.pose_camera import CameraMessages, LateFrame, PoseCamera

# Copied for each publisher: rclpy writes QoS overrides into the profile that it is given.
LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)

FLIP_SHARE = "with flip test (%)"
"""Key of the diagnostics: share of the images answered in the last 10 s that had the flip test."""


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
        self._cameras: dict[str, PoseCamera] = {}
        self._infos: list[tuple[LifecyclePublisher, Any]] = []
        # Time of the node's clock: with use_sim_time, a bag that starts again sets it back.
        self._jump = self.get_clock().create_jump_callback(
            JumpThreshold(
                min_forward=None, min_backward=Duration(nanoseconds=-JUMP_BACK_NS), on_clock_change=False
            ),
            post_callback=self._clock_jumped,
        )

    def configure(self) -> None:
        """Create publishers and diagnostics, load and warm up the model, then subscribe.

        The publishers are created first, so that other nodes can discover them early.
        """
        settings = self.parameters
        if settings.privacy_problem:
            self.get_logger().warning(f"PRIVACY: {settings.privacy_problem}")
        for namespace in settings.cameras:
            rotation, store = settings.rotation_of(namespace), partial(self._store, namespace)
            self._cameras[namespace] = self.own(PoseCamera(self, settings, namespace, rotation, store))
        self.diagnostics = self.own(NodeDiagnostics(self, "", self._values, self._problems))
        with self.diagnostics.busy(f"loading {settings.model}"):
            self.get_logger().info(f"loading {settings.model}; the first time it is also compiled")
            self.estimator = load_estimator(settings.model, settings.estimator)
            self._announce(self.estimator)
            began_s = time.monotonic()
            compile_decoders(settings)
            self.estimator.warm_up(math.ceil(len(settings.cameras) / self.estimator.lanes))  # a lane's share
            self.get_logger().info(f"warmed up in {time.monotonic() - began_s:.1f} s")
        info = self.estimator.info
        self.diagnostics.hardware_id = info.device
        limit = settings.max_pixels if settings.strict else 0
        for message_type, topic, message in (
            (SkeletonInfo, "skeleton_info", to_skeleton_info(info.skeleton, RCLPY_TYPES)),
            (PoseModelInfo, "model_info", to_model_info(info, RCLPY_TYPES, max_pixels=limit)),
        ):
            publisher = self.own_publisher(
                message_type, topic, copy(LATCHED), qos_overriding_options=overridable_qos()
            )
            self._infos.append((publisher, message))
        self.watch = self.own(InputWatch(self, settings.silence_s))
        for camera in self._cameras.values():
            camera.subscribe(self.watch, info, partial(self._missed, camera.namespace), self._refused)

    def activate(self) -> None:
        """Publish skeleton_info and model_info, and start processing."""
        for publisher, message in self._infos:
            publisher.publish(message)
        for camera in self._cameras.values():
            camera.reset()
        assert self.estimator is not None
        self._worker.flips.mode = self.parameters.flip_test
        self._worker.start(self.estimator.lanes)

    def deactivate(self) -> None:
        """Finish the current batches and stop processing."""
        self._worker.stop()

    def clean_up(self) -> None:
        """Destroy all that :meth:`configure` made."""
        self._worker.stop()
        super().clean_up()
        self._cameras.clear()
        self._infos.clear()
        self.estimator = self.watch = self.diagnostics = None

    def _announce(self, estimator: PoseEstimator) -> None:
        """Log the model and its device, with a warning if it is not trained."""
        info = estimator.info
        self.get_logger().info(
            f"model {info.name} ({info.backend} on {info.device}), {info.modality} of "
            f"{info.input_hw[1]}x{info.input_hw[0]} px, sha256 {info.sha256[:12] or 'none'}"
        )
        if not info.trained:
            self.get_logger().warning(
                f"UNTRAINED MODEL {info.name}: its weights are random, the skeletons mean nothing. "
                "Set the parameter model to trained weights."
            )

    def _store(self, namespace: str, messages: CameraMessages, arrived_s: float) -> None:
        self._worker.put(namespace, messages, arrived_s)

    # Below: the worker's threads. No two of them have the same camera at the same time.

    def _serve(self, batch: Mapping[str, Arrived], flip_test: bool) -> int:
        """Process one batch: messages, frames, poses, tracks, messages. Return how many were published."""
        self._apply_settings(batch)
        read = {namespace: self._frame(namespace, arrived.item) for namespace, arrived in batch.items()}
        frames = {namespace: frame for namespace, frame in read.items() if frame is not None}
        upright = {namespace: self._cameras[namespace].upright(frame) for namespace, frame in frames.items()}
        published = 0
        assert self.estimator is not None and self.diagnostics is not None  # they live while the worker runs
        for namespace, poses in self._estimate(upright, flip_test).items():
            try:
                self._cameras[namespace].publish(
                    frames[namespace], poses, self.estimator.info, self.parameters.track
                )
            except Exception as error:  # a stamp that no message can hold, say
                self._lost(namespace, error)
                continue
            self.diagnostics.frame(time.monotonic() - batch[namespace].at_s)
            published += 1
        return published

    def _frame(self, namespace: str, messages: CameraMessages) -> RgbdFrame | None:
        """Return the frame of a camera's messages; None if it is late or invalid."""
        try:
            return self._cameras[namespace].frame(messages)
        except LateFrame:
            self._dropped()
        except Exception as error:
            self._lost(namespace, error)
        return None

    def _apply_settings(self, cameras: Iterable[str]) -> None:
        """Give the estimator and the trackers of these cameras the current parameters."""
        settings = self.parameters
        if self.estimator is not None:
            self.estimator.config = settings.estimator
        for namespace in cameras:
            self._cameras[namespace].tracker.config = settings.tracker

    def _estimate(self, frames: Mapping[str, RgbdFrame], flip_test: bool) -> dict[str, Poses]:
        """Estimate all frames in one batch; if that fails, each separately, so that only bad ones fail."""
        assert self.estimator is not None
        if not frames:
            return {}
        try:
            found = self.estimator.estimate(list(frames.values()), flip_test=flip_test)
            return dict(zip(frames, found, strict=True))
        except Exception as error:  # whatever torch raises: out of memory, say
            if len(frames) == 1:
                self._failed(error)
                return {}
        poses: dict[str, Poses] = {}
        for namespace, frame in frames.items():
            poses |= self._estimate({namespace: frame}, flip_test)
        return poses

    def _lost(self, namespace: str, error: Exception) -> None:
        self._refused()
        why = str(error) if isinstance(error, ValueError) else f"{type(error).__name__}: {error}"
        self.warn_seldom(f"{namespace or 'camera'}: frame refused: {why}")

    # Of all threads.

    def _changed(self, settings: PoseParameters) -> None:
        self.parameters = settings  # the worker gives them to the estimator before its next batch
        self._worker.flips.mode = settings.flip_test

    def _clock_jumped(self, jump: TimeJump) -> None:
        for camera in self._cameras.values():
            camera.reset()

    def _dropped(self) -> None:
        if self.diagnostics is not None:
            self.diagnostics.drop()

    def _missed(self, namespace: str, count: int) -> None:
        if self.diagnostics is not None:
            self.diagnostics.drop(count)
        self._worker.missed(namespace, count)

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
        share, batch = self._worker.flip_share(), max(s.limit for s in self._worker.batch_sizes.values())
        flipped = {} if share is None else {FLIP_SHARE: f"{100 * share:.0f}"}
        return {"model": info.name, "trained": info.trained, "backend": info.backend, "device": info.device,
                "cameras": len(self._cameras), "limit (px)": limit,
                "lanes": self.estimator.lanes, "batch, at most": batch, **flipped}  # fmt: skip

    def _problems(self) -> list[str]:
        if self.watch is None or self.estimator is None:
            return []
        problems = [] if self.estimator.info.trained else ["untrained model: the skeletons mean nothing"]
        problems += [self.parameters.privacy_problem] if self.parameters.privacy_problem else []
        problems += self.watch.problems
        for camera in self._cameras.values():
            problems += camera.problems()
        return problems


def main(args: list[str] | None = None) -> None:
    """Run the pose node."""
    run(PoseNode, args)


if __name__ == "__main__":
    main()
