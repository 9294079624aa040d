"""How frames become poses, and what makes them so."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from orpose_core.decoding.paf import PafDecoderConfig
from orpose_core.decoding.roi import RoiDecoderConfig
from orpose_core.engines import AUTO, check_backend
from orpose_core.geometry import Metric3DConfig
from orpose_core.image_ops import ColorMethod, DepthMethod
from orpose_core.skeleton import Skeleton


@dataclass(frozen=True)
class EstimatorConfig:
    """How frames become poses.

    Attributes:
        device: ``"auto"`` (a GPU where there is one), ``"cpu"``, ``"cuda"`` or ``"cuda:1"``.
        backend: what runs a network that answers with maps: ``"auto"`` (OpenVINO on a CPU where it is
            installed, else PyTorch), ``"torch"``, ``"openvino"`` or ``"onnxruntime"``.
        flip_test: average over the image and its mirror image: better, twice the work.
        half_precision: bf16 where the processor multiplies it in hardware; of the student only its keypoint
            head.
        threads: CPU threads of the network; None = as torch has it.
        lanes: at most how many threads call :meth:`PoseEstimator.estimate` at the same time, each served by a
            share of ``threads``. OpenVINO has as many lanes as wanted, up to ``threads``; others have one.
        decoder: thresholds of the decoder of maps; None = those that the weights file says, else the
            defaults.
        decoder_changes: settings of the decoder, by name, that replace those of the weights file one by one.
        roi_decoder: thresholds of the decoder of people (the student's); None = those that the weights file
            says, else the defaults.
        roi_changes: settings of that decoder, by name, that replace those of the weights file one by one.
        metric_3d: place people in space where depth and intrinsics are there.
        lookup: how joints are looked up in depth, and the torso of people whose joints are lifted.
        depth_method: how larger depth images are brought to the network's resolution.
        color_method: the same for color.
    """

    device: str = "auto"
    backend: str = AUTO
    flip_test: bool = True
    half_precision: bool = True
    threads: int | None = None
    lanes: int = 1
    decoder: PafDecoderConfig | None = None
    decoder_changes: Mapping[str, Any] = field(default_factory=dict)
    roi_decoder: RoiDecoderConfig | None = None
    roi_changes: Mapping[str, Any] = field(default_factory=dict)
    metric_3d: bool = True
    lookup: Metric3DConfig = field(default_factory=Metric3DConfig)
    depth_method: DepthMethod = "median"
    color_method: ColorMethod = "bilinear"

    def __post_init__(self) -> None:
        check_backend(self.backend)
        if self.threads is not None and self.threads < 1:
            raise ValueError(f"EstimatorConfig.threads: expected 1 or more, or None, got {self.threads}")
        if self.lanes < 1:
            raise ValueError(f"EstimatorConfig.lanes: expected 1 or more, got {self.lanes}")
        known = {f.name for f in fields(PafDecoderConfig)}
        if unknown := sorted(set(self.decoder_changes) - known):
            raise ValueError(f"EstimatorConfig.decoder_changes: unknown {unknown}; there are {sorted(known)}")
        PafDecoderConfig(**self.decoder_changes)  # refuses values
        known = {f.name for f in fields(RoiDecoderConfig)}
        if unknown := sorted(set(self.roi_changes) - known):
            raise ValueError(f"EstimatorConfig.roi_changes: unknown {unknown}; there are {sorted(known)}")
        RoiDecoderConfig(**self.roi_changes)


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
        lifts: whether people have joints relative to their root without any depth.
        enlarges: whether images smaller than ``input_hw`` are read, too.
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
    lifts: bool = False
    enlarges: bool = False
