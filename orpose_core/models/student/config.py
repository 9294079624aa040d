"""Every number of the student network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, get_args

from orpose_core.models.config import from_known_values

Trunk = Literal["resnet50", "resnet18"]
Norm = Literal["frozen_batch", "batch"]
Branches = Literal["soft_hard", "single"]
Place = Literal["peak", "mean"]

_MOST_LAYERS = 64  # far beyond any use; a false config in a file must not make us build for hours

COCO_FLIP = (0, 2, 1, 4, 3, 6, 5, 8, 7, 10, 9, 12, 11, 14, 13, 16, 15)
"""Channel order of the 17 maps after a mirror: ``mirrored[i] = maps[COCO_FLIP[i]]``."""


@dataclass(frozen=True)
class StudentConfig:
    """All that is needed to build a student again; stored in its checkpoint. The defaults are the paper's.

    Attributes:
        architecture: always ``"student"``; tells its checkpoints from those of the depth networks.
        modality: what the image shows.
        input_hw: (height, width) of the low-resolution image that it is meant for.
        full_hw: size to which that is resampled bilinearly before it enters; the network sees this.
        channel_order: order of the color channels inside the network; RGB enters in any case.
        pixel_mean: is subtracted from the channels, in that order; gray levels of 0 to 255.
        pixel_std: the channels are then divided by it.
        trunk: ``"resnet50"`` has bottleneck blocks, ``"resnet18"`` has basic ones.
        trunk_width: scales the trunk's channels.
        norm: ``"frozen_batch"`` keeps the statistics of pretrained weights; ``"batch"`` learns them, for
            training from random weights.
        stride_in_1x1: whether a bottleneck halves the image in its first, 1x1 convolution (as in the
            weights that detectron2 publishes) or in its 3x3 one (torchvision).
        fpn_channels: channels of each level of the feature pyramid p2 to p6.
        anchor_sizes_px: side of the square anchor of each level, px of ``full_hw``.
        anchor_ratios: height over width of the anchors of each cell.
        proposals_per_level: number of proposals of each level that enter suppression, when detecting.
        proposals: number of proposals that suppression leaves, when detecting.
        train_proposals_per_level: ``proposals_per_level`` when training.
        train_proposals: ``proposals`` when training.
        proposal_nms_iou: boxes overlapping more than this are one proposal.
        box_pool: side of the RoIAlign grid of the box head, cells.
        box_channels: neurons of each layer of the box head.
        score_threshold: boxes with a lower score are dropped.
        box_nms_iou: of two boxes overlapping more than this, the one with the lower score is dropped.
        people: largest number of people.
        keypoints: joints, one map each.
        flip_permutation: channel order of the maps after a mirror.
        keypoint_pool: side of the RoIAlign grid of the keypoint head, cells; its maps are four times larger.
        keypoint_channels: channels of the convolutions of the keypoint head.
        keypoint_convs: number of these convolutions.
        branches: ``"soft_hard"`` has HM_soft and HM_hard with a lifter each; ``"single"`` one map and one
            lifter for both (the ablation of Table 3).
        keypoint_place: where in its map a joint is, see ``decoding.roi.heatmaps_to_keypoints``. The paper's
            networks are read at the peak; the maps of small ones are wide, and the mean does not jump between
            two peaks of similar height.
        lifter_joints: number of joints that each lifter reads and gives.
        lifter_width: neurons of each layer of a lifter.
        lifter_stages: number of residual stages of a lifter, of two layers each.
        lifter_dropout: probability of dropout in a lifter.
        lifter_hw: (height, width) of the image in whose px the lifters read the joints.
    """

    architecture: Literal["student"] = "student"
    modality: Literal["color"] = "color"
    input_hw: tuple[int, int] = (40, 53)
    full_hw: tuple[int, int] = (480, 640)
    channel_order: Literal["bgr", "rgb"] = "bgr"
    pixel_mean: tuple[float, float, float] = (103.530, 116.280, 123.675)
    pixel_std: tuple[float, float, float] = (1.0, 1.0, 1.0)
    trunk: Trunk = "resnet50"
    trunk_width: float = 1.0
    norm: Norm = "frozen_batch"
    stride_in_1x1: bool = True
    fpn_channels: int = 256
    anchor_sizes_px: tuple[float, ...] = (32.0, 64.0, 128.0, 256.0, 512.0)
    anchor_ratios: tuple[float, ...] = (0.5, 1.0, 2.0)
    proposals_per_level: int = 1000
    proposals: int = 1000
    train_proposals_per_level: int = 2000
    train_proposals: int = 1500
    proposal_nms_iou: float = 0.7
    box_pool: int = 7
    box_channels: int = 1024
    score_threshold: float = 0.05
    box_nms_iou: float = 0.5
    people: int = 100
    keypoints: int = 17
    flip_permutation: tuple[int, ...] = COCO_FLIP
    keypoint_pool: int = 14
    keypoint_channels: int = 512
    keypoint_convs: int = 8
    branches: Branches = "soft_hard"
    keypoint_place: Place = "peak"
    lifter_joints: int = 16
    lifter_width: int = 1024
    lifter_stages: int = 2
    lifter_dropout: float = 0.5
    lifter_hw: tuple[int, int] = (480, 640)

    def __post_init__(self) -> None:
        choices: tuple[tuple[str, tuple[Any, ...]], ...] = (
            ("architecture", ("student",)),
            ("modality", ("color",)),
            ("channel_order", ("bgr", "rgb")),
            ("trunk", get_args(Trunk)),
            ("norm", get_args(Norm)),
            ("branches", get_args(Branches)),
            ("keypoint_place", get_args(Place)),
        )
        for name, allowed in choices:
            if getattr(self, name) not in allowed:
                raise ValueError(
                    f"StudentConfig.{name}: expected one of {allowed}, got {getattr(self, name)!r}"
                )
        for name in ("input_hw", "full_hw", "lifter_hw"):
            size = getattr(self, name)
            if len(size) != 2 or min(size) <= 0:
                raise ValueError(f"StudentConfig.{name}: expected a positive (height, width), got {size}")
        for name in ("keypoint_convs", "lifter_stages"):
            if not 1 <= getattr(self, name) <= _MOST_LAYERS:
                raise ValueError(
                    f"StudentConfig.{name}: expected 1 to {_MOST_LAYERS}, got {getattr(self, name)}"
                )
        if len(self.anchor_sizes_px) != 5:
            raise ValueError(
                f"StudentConfig.anchor_sizes_px: expected 5 levels, got {len(self.anchor_sizes_px)}"
            )
        if sorted(self.flip_permutation) != list(range(self.keypoints)):
            raise ValueError(
                f"StudentConfig.flip_permutation: expected an order of {self.keypoints} keypoints, "
                f"got {self.flip_permutation}"
            )

    @property
    def in_channels(self) -> int:
        """Channels of the image that enters."""
        return 3

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> StudentConfig:
        """Build a config from parsed JSON or YAML; ValueError names a key that it does not know."""
        return from_known_values(cls, values)


SMALL_STUDENT = StudentConfig(
    full_hw=(240, 320),
    pixel_std=(57.375, 57.12, 58.395),
    trunk="resnet18",
    trunk_width=0.5,
    norm="batch",
    stride_in_1x1=False,
    fpn_channels=64,
    anchor_sizes_px=(16.0, 32.0, 64.0, 128.0, 256.0),
    proposals_per_level=100,
    proposals=100,
    train_proposals_per_level=300,
    train_proposals=300,
    box_channels=256,
    people=20,
    keypoint_channels=64,
    keypoint_convs=4,
    keypoint_place="mean",
    lifter_width=256,
)
"""A student that runs in real time on a processor: half the image, a narrow ResNet-18, light heads."""
