"""Every number of the teacher's person detector, and the names it goes by."""

from __future__ import annotations

from dataclasses import dataclass, fields

_LEVELS = 5
"""p2 to p6."""

BoxWeights = tuple[float, float, float, float]


@dataclass(frozen=True)
class CascadeConfig:
    """A Cascade Mask R-CNN of detectron2. The defaults are those of the published X-152.

    ``configs/Misc/cascade_mask_rcnn_X_152_32x8d_FPN_IN5k_gn_dconv.yaml`` with what it inherits.

    Attributes:
        depths: residual blocks of res2 to res5.
        groups, group_width: of the 3x3 convolutions of res2; each later stage has twice the width.
        stem_channels, res2_channels: out of the first layer and of res2; each later stage has twice as many.
        deformable: whether the 3x3 convolutions of res2 to res5 are deformable (not modulated).
        pyramid_channels: of p2 to p6.
        norm_groups: of the group normalisation in the heads.
        anchor_sizes_px: side of the square anchor of p2 to p6, px of the image that enters.
        anchor_ratios: height over width.
        proposals_per_level, proposals: kept before and after suppression.
        proposal_nms_iou: boxes overlapping more than this are one proposal.
        classes: of COCO, in the order of their numbers; the person is the first.
        box_pool, box_convs, box_channels, box_features: RoIAlign grid, convolutions, their channels and
            neurons of each box head.
        box_weights: scale of the deltas of each head of the cascade.
        mask_convs, mask_channels: of the mask head.
        score_threshold, box_nms_iou, detections: which boxes are found: above this score, not overlapping
            more than this within a class, and at most this many over all classes.
        pixel_mean, pixel_std: of blue, green and red, in grey levels of 0 to 255.
        short_side_px, long_side_px: images are resized so that the shorter side has this length, unless the
            longer one would get longer than this.
    """

    depths: tuple[int, int, int, int] = (3, 8, 36, 3)
    groups: int = 32
    group_width: int = 8
    stem_channels: int = 64
    res2_channels: int = 256
    deformable: tuple[bool, bool, bool, bool] = (False, True, True, True)
    pyramid_channels: int = 256
    norm_groups: int = 32
    anchor_sizes_px: tuple[float, ...] = (32.0, 64.0, 128.0, 256.0, 512.0)
    anchor_ratios: tuple[float, ...] = (0.5, 1.0, 2.0)
    proposals_per_level: int = 1000
    proposals: int = 1000
    proposal_nms_iou: float = 0.7
    classes: int = 80
    box_pool: int = 7
    box_convs: int = 4
    box_channels: int = 256
    box_features: int = 1024
    box_weights: tuple[BoxWeights, ...] = (
        (10.0, 10.0, 5.0, 5.0),
        (20.0, 20.0, 10.0, 10.0),
        (30.0, 30.0, 15.0, 15.0),
    )
    mask_convs: int = 8
    mask_channels: int = 256
    score_threshold: float = 0.05
    box_nms_iou: float = 0.5
    detections: int = 100
    pixel_mean: tuple[float, float, float] = (103.530, 116.280, 123.675)
    pixel_std: tuple[float, float, float] = (1.0, 1.0, 1.0)
    short_side_px: int = 800
    long_side_px: int = 1333

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, int) and value < 1:
                raise ValueError(f"CascadeConfig.{field.name}: expected 1 or more, got {value}")
        if len(self.anchor_sizes_px) != _LEVELS:
            raise ValueError(
                f"CascadeConfig.anchor_sizes_px: expected {_LEVELS} levels, got {len(self.anchor_sizes_px)}"
            )
        for name in ("box_channels", "mask_channels"):
            if getattr(self, name) % self.norm_groups:
                raise ValueError(
                    f"CascadeConfig.{name}: expected a multiple of norm_groups {self.norm_groups}, "
                    f"got {getattr(self, name)}"
                )


SMALL_CASCADE = CascadeConfig(
    depths=(3, 4, 6, 3),
    groups=4,
    group_width=4,
    stem_channels=16,
    res2_channels=32,
    pyramid_channels=64,
    proposals_per_level=100,
    proposals=60,
    box_channels=64,
    box_features=128,
    mask_convs=2,
    mask_channels=32,
    short_side_px=160,
    long_side_px=320,
)
"""The same parts, narrow, on small images: for tests."""

X152 = "cascade_mask_rcnn_X_152_32x8d_FPN_IN5k_gn_dconv"
CASCADES: dict[str, CascadeConfig] = {X152: CascadeConfig(), "cascade_mask_rcnn_small": SMALL_CASCADE}
"""Detectors by the names of their configs."""

CASCADE_URLS = {
    X152: f"https://dl.fbaipublicfiles.com/detectron2/Misc/{X152}/18131413/model_0039999_e76410.pkl"
}
"""Where their authors publish them."""
