"""Frames to poses: the one way that nodes, labeller, evaluator, benchmark and demo all go.

A frame is brought to the network's low resolution, whatever its size; a frame that already has it passes
unchanged. Poses come back in px of the frame that was given; metric 3D is read from the low-resolution depth.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from orpose_core.checkpoints.files import Checkpoint, load_checkpoint
from orpose_core.decoding.flip import merged, with_mirror
from orpose_core.decoding.paf import PafDecoderConfig, decode_paf
from orpose_core.decoding.roi import RoiDecoderConfig, decode_roi
from orpose_core.geometry import Metric3DConfig, anchor_at_root, metric_3d
from orpose_core.image_ops import (
    ColorMethod,
    DepthMethod,
    low_resolution_color,
    low_resolution_depth,
    normalise_depth,
    seen_at_low_resolution,
)
from orpose_core.models.builder import ModelConfig
from orpose_core.models.inference import MapPredictor, bf16_is_fast, choose_device
from orpose_core.models.student.config import StudentConfig
from orpose_core.models.student.network import Student, StudentOutput
from orpose_core.skeleton import OPENPOSE18, Skeleton, by_name
from orpose_core.types import FloatArray, Intrinsics, Poses, RgbdFrame

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class EstimatorConfig:
    """How frames become poses.

    Attributes:
        device: ``"auto"`` (a GPU where there is one), ``"cpu"``, ``"cuda"`` or ``"cuda:1"``.
        flip_test: average over the image and its mirror image: better, twice the work.
        half_precision: bf16 where the processor multiplies it in hardware; of the student only its keypoint
            head.
        threads: CPU threads of the network; None = as torch has it.
        decoder: thresholds of the depth networks' decoder.
        roi_decoder: thresholds of the student's decoder.
        metric_3d: place people in space where depth and intrinsics are there.
        lookup: how joints are looked up in depth.
        depth_method: how larger depth images are brought to the network's resolution.
        color_method: the same for color.
    """

    device: str = "auto"
    flip_test: bool = True
    half_precision: bool = True
    threads: int | None = None
    decoder: PafDecoderConfig = field(default_factory=PafDecoderConfig)
    roi_decoder: RoiDecoderConfig = field(default_factory=RoiDecoderConfig)
    metric_3d: bool = True
    lookup: Metric3DConfig = field(default_factory=Metric3DConfig)
    depth_method: DepthMethod = "median"
    color_method: ColorMethod = "bilinear"

    def __post_init__(self) -> None:
        if self.threads is not None and self.threads < 1:
            raise ValueError(f"EstimatorConfig.threads: expected 1 or more, or None, got {self.threads}")


@dataclass(frozen=True)
class ModelInfo:
    """What estimates, for messages and reports.

    Attributes:
        name: of the weights; begins with "untrained:" where they are random.
        sha256: of the weights.
        licence: of the weights.
        backend: library, device and number format that really run.
        device: the device that is really used.
        modality: "depth" or "color".
        input_hw: (height, width) of the low-resolution image that the network reads.
        skeleton: joint set of the poses.
        trained: False = the poses mean nothing.
        architecture: of the network.
        parameters: how many numbers it has.
    """

    name: str
    sha256: str
    licence: str
    backend: str
    device: str
    modality: str
    input_hw: tuple[int, int]
    skeleton: Skeleton
    trained: bool
    architecture: str
    parameters: int


class _Network(Protocol):
    """What differs between networks: the tensor that enters, and how its answer becomes poses."""

    backend: str
    device: torch.device
    skeleton: Skeleton

    def image_of(self, frame: RgbdFrame, config: EstimatorConfig) -> FloatArray:
        """Return float32 (C, h, w) in [0, 1]."""

    def run(self, images: Tensor, config: EstimatorConfig) -> object:
        """Run the network on float32 (B, C, h, w)."""

    def decode(
        self, answer: object, sizes_hw: Sequence[tuple[int, int]], config: EstimatorConfig
    ) -> list[Poses]:
        """Return the poses of each image, in px of images of these sizes."""

    def place(
        self, poses: Poses, depth_m: FloatArray, intrinsics: Intrinsics, config: EstimatorConfig
    ) -> Poses:
        """Add metric 3D from low-resolution depth; ``intrinsics`` are of the image the poses are in."""


class _MapNetwork:
    """DepthPose, RTPose, SR+RTPose: maps at the resolution of the input."""

    skeleton = OPENPOSE18

    def __init__(self, checkpoint: Checkpoint, config: EstimatorConfig) -> None:
        assert isinstance(checkpoint.config, ModelConfig)
        self._config = checkpoint.config
        self._predictor = MapPredictor(checkpoint.model, config.device, config.half_precision)
        self.backend, self.device = self._predictor.backend, self._predictor.device

    def image_of(self, frame: RgbdFrame, config: EstimatorConfig) -> FloatArray:
        size_hw = self._config.input_hw
        if self._config.modality == "depth":
            assert frame.depth_m is not None  # the estimator saw to it
            small_m = low_resolution_depth(frame.depth_m, size_hw, config.depth_method)
            return (normalise_depth(small_m, self._config.depth_range_m) / np.float32(255))[None]
        assert frame.rgb is not None
        small = low_resolution_color(frame.rgb, size_hw, config.color_method)
        return np.moveaxis(small, -1, 0).astype(np.float32) / np.float32(255)

    def run(self, images: Tensor, config: EstimatorConfig) -> object:
        if not config.flip_test:
            paf_maps, keypoint_maps = self._predictor(images)
            return keypoint_maps, paf_maps
        paf_maps, keypoint_maps = self._predictor(with_mirror(images))
        return merged(keypoint_maps, paf_maps)

    def decode(
        self, answer: object, sizes_hw: Sequence[tuple[int, int]], config: EstimatorConfig
    ) -> list[Poses]:
        assert isinstance(answer, tuple)
        keypoint_maps, paf_maps = (np.ascontiguousarray(maps.numpy(), np.float32) for maps in answer)
        return [
            decode_paf(keypoint_maps[i], paf_maps[i], size_hw, config.decoder)
            for i, size_hw in enumerate(sizes_hw)
        ]

    def place(
        self, poses: Poses, depth_m: FloatArray, intrinsics: Intrinsics, config: EstimatorConfig
    ) -> Poses:
        return metric_3d(poses, depth_m, intrinsics, config.lookup)


class _StudentNetwork:
    """The student of ORPose: color, brought to the size it was trained on; people with lifted 3D.

    Half precision is that of the keypoint head alone. Which of two boxes alike is kept is a choice that any
    rounding can turn over, and with it a whole person's keypoints, so boxes are found in float32.
    """

    def __init__(self, checkpoint: Checkpoint, config: EstimatorConfig) -> None:
        assert isinstance(checkpoint.model, Student)
        self.device = choose_device(config.device)
        self._bf16 = config.half_precision and bf16_is_fast(self.device)
        self._model = checkpoint.model.eval().to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.skeleton = by_name(config.roi_decoder.skeleton)
        precision = "float32, keypoint head bf16" if self._bf16 else "float32"
        self.backend = f"torch {torch.__version__.split('+')[0]} {self.device} {precision}"

    def image_of(self, frame: RgbdFrame, config: EstimatorConfig) -> FloatArray:
        assert frame.rgb is not None
        size_hw, full_hw = self._model.config.input_hw, self._model.config.full_hw
        seen = seen_at_low_resolution(frame.rgb, size_hw, full_hw, config.color_method)
        return np.moveaxis(seen, -1, 0).astype(np.float32) / np.float32(255)

    @torch.inference_mode()
    def run(self, images: Tensor, config: EstimatorConfig) -> object:
        images = images.to(self.device, memory_format=torch.channels_last)
        forward = self._model.forward_with_mirror if config.flip_test else self._model.forward
        head_dtype = torch.bfloat16 if self._bf16 else None
        return forward(images, config.roi_decoder.min_person_score, head_dtype)

    def decode(
        self, answer: object, sizes_hw: Sequence[tuple[int, int]], config: EstimatorConfig
    ) -> list[Poses]:
        assert isinstance(answer, StudentOutput)
        return decode_roi(self._model, answer, sizes_hw, config.roi_decoder, config.flip_test)

    def place(
        self, poses: Poses, depth_m: FloatArray, intrinsics: Intrinsics, config: EstimatorConfig
    ) -> Poses:
        return anchor_at_root(poses, depth_m, intrinsics, config.lookup)


class PoseEstimator:
    """A model ready to estimate.

    Attributes:
        info: what estimates.
        config: may be replaced between calls; device and precision stay as they were at the start.

    Args:
        checkpoint: the network.
        config: how to use it; None = the defaults.

    Raises:
        ValueError: the device is not there, or the network is none that gives poses.
    """

    def __init__(self, checkpoint: Checkpoint, config: EstimatorConfig | None = None) -> None:
        self.config = config or EstimatorConfig()
        model_config = checkpoint.config
        self._network: _Network
        if isinstance(model_config, StudentConfig):
            self._network = _StudentNetwork(checkpoint, self.config)
        elif isinstance(model_config, ModelConfig) and model_config.architecture != "super_resolution":
            self._network = _MapNetwork(checkpoint, self.config)
        else:
            raise ValueError(f"{checkpoint.name}: expected a network that gives poses, got {model_config}")
        self.info = ModelInfo(
            checkpoint.name,
            checkpoint.sha256,
            checkpoint.licence,
            self._network.backend,
            str(self._network.device),
            model_config.modality,
            model_config.input_hw,
            self._network.skeleton,
            checkpoint.trained,
            model_config.architecture,
            sum(p.numel() for p in checkpoint.model.parameters()),
        )

    def estimate(self, frames: Sequence[RgbdFrame]) -> list[Poses]:
        """Find the people in frames, all in one batch.

        Args:
            frames: of any sizes, at least the network's input; low-resolution ones pass unchanged.

        Returns:
            For each frame its people in px of that frame, best first; with ``xyz_cam_m``, ``sigma_m``,
            ``xyz_root_m`` and ``source_3d`` where the frame has depth and intrinsics.

        Raises:
            ValueError: a frame lacks what the model reads, or is smaller than its input.
        """
        if not frames:
            return []
        found = self.decode(self.run(self.prepare(frames)), frames)
        return [self.place(poses, frame) for poses, frame in zip(found, frames, strict=True)]

    def prepare(self, frames: Sequence[RgbdFrame]) -> Tensor:
        """Return the network's input, float32 (B, C, h, w) in [0, 1]; the first step of :meth:`estimate`."""
        for frame in frames:
            self._check(frame)
        return torch.from_numpy(np.stack([self._network.image_of(f, self.config) for f in frames]))

    def run(self, images: Tensor) -> object:
        """Run the network, flip test included; the second step."""
        threads = self.config.threads
        # OpenMP counts threads per calling thread, so whoever calls must set them.
        if threads is not None and torch.get_num_threads() != threads:
            torch.set_num_threads(threads)
        return self._network.run(images, self.config)

    def decode(self, answer: object, frames: Sequence[RgbdFrame]) -> list[Poses]:
        """Turn the network's answer into poses in px of the frames; the third step."""
        return self._network.decode(answer, [frame.size_hw for frame in frames], self.config)

    def place(self, poses: Poses, frame: RgbdFrame) -> Poses:
        """Add metric 3D where the frame has depth and intrinsics; the last step."""
        if not self.config.metric_3d or frame.depth_m is None or frame.intrinsics is None:
            return poses
        size_hw = (
            min(self.info.input_hw[0], frame.size_hw[0]),
            min(self.info.input_hw[1], frame.size_hw[1]),
        )
        small_m = low_resolution_depth(frame.depth_m, size_hw, self.config.depth_method)
        return self._network.place(poses, small_m, frame.intrinsics, self.config)

    def warm_up(self, batch: int = 1, times: int = 2) -> None:
        """Estimate on empty frames, so that the first real one does not pay for memory and compilation."""
        shape = self.info.input_hw
        depth_m = np.full(shape, np.nan, np.float32) if self.info.modality == "depth" else None
        rgb = np.zeros((*shape, 3), np.uint8) if self.info.modality == "color" else None
        for _ in range(times):
            self.estimate([RgbdFrame(rgb, depth_m, None)] * batch)

    def _check(self, frame: RgbdFrame) -> None:
        wanted, name = self.info.modality, self.info.name
        got = frame.depth_m if wanted == "depth" else frame.rgb
        where = f" of {frame.frame_id!r}" if frame.frame_id else ""
        if got is None:
            other = "color" if wanted == "depth" else "depth"
            raise ValueError(f"{name} reads {wanted}, but the frame{where} has {other} alone")
        (height, width), (h, w) = frame.size_hw, self.info.input_hw
        if self.info.architecture != "student" and (height < h or width < w):
            raise ValueError(
                f"{name} reads images of at least {w}x{h}, but the frame{where} is {width}x{height}"
            )


def load_estimator(name_or_path: str | Path, config: EstimatorConfig | None = None) -> PoseEstimator:
    """Load weights and make them ready.

    Args:
        name_or_path: a file, the name of shipped weights, or ``"untrained:depthpose_64x48"``.
        config: None = the defaults.

    Raises:
        ValueError: no such weights, a damaged or foreign file, or a device that is not there.
    """
    checkpoint = load_checkpoint(name_or_path)
    estimator = PoseEstimator(checkpoint, config)
    if not checkpoint.trained:
        logger.warning("%s is not trained: its poses mean nothing", checkpoint.name)
    return estimator
