"""RTPose (Cao et al. 2017) for depth: the pose half of DepthPose's Fig. 2, and a baseline on its own.

The released code has no ReLU after C11, C12, C14 and C15, the layers that give the maps, though the caption
of Fig. 2 says that every convolution has one: a PAF must be able to be negative. This file follows the code.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from orpose_core.models.layers import (
    TrunkInit,
    c1,
    c3,
    c7,
    check_images,
    init_map_layers,
    init_trunk,
    scaled,
    with_relu,
)
from orpose_core.models.maps import PoseMaps, StageMaps

FEATURE_STRIDE = 8
"""Image px per cell of F: three 2x2 max-poolings."""


class FeatureExtraction(nn.Sequential):
    """C4 to C7: the VGG trunk that turns an image into F, 128 channels at an eighth of its size."""

    def __init__(self, in_channels: int, width: float) -> None:
        n64, n128, n256, n512 = (scaled(n, width) for n in (64, 128, 256, 512))
        c4 = [c3(in_channels, n64), c3(n64, n64)]
        c5 = [c3(n64, n128), c3(n128, n128)]
        c6 = [c3(n128, n256), c3(n256, n256), c3(n256, n256), c3(n256, n256)]
        c7_ = [c3(n256, n512), c3(n512, n512), c3(n512, n256), c3(n256, n128)]
        super().__init__(
            *with_relu(*c4), nn.MaxPool2d(2),
            *with_relu(*c5), nn.MaxPool2d(2),
            *with_relu(*c6), nn.MaxPool2d(2),
            *with_relu(*c7_),
        )  # fmt: skip
        self.out_channels = n128


class FirstStage(nn.Module):
    """C10 with C11 and C12: the first belief, from F alone."""

    def __init__(self, in_channels: int, paf_channels: int, keypoint_channels: int, width: float) -> None:
        super().__init__()
        n128, n512 = scaled(128, width), scaled(512, width)

        def branch(out_channels: int) -> nn.Sequential:
            c10 = [c3(in_channels, n128), c3(n128, n128), c3(n128, n128), c1(n128, n512)]
            return nn.Sequential(*with_relu(*c10), c1(n512, out_channels))

        self.paf_branch = branch(paf_channels)
        self.keypoint_branch = branch(keypoint_channels)

    def forward(self, features: Tensor) -> StageMaps:
        """Return the maps for F."""
        return StageMaps(self.paf_branch(features), self.keypoint_branch(features))


class RefinementStage(nn.Module):
    """C13 with C14 and C15: a belief refined, from the one before and all features."""

    def __init__(self, in_channels: int, paf_channels: int, keypoint_channels: int, width: float) -> None:
        super().__init__()
        n = scaled(128, width)

        def branch(out_channels: int) -> nn.Sequential:
            c13 = [c7(in_channels, n), c7(n, n), c7(n, n), c7(n, n), c7(n, n), c1(n, n)]
            return nn.Sequential(*with_relu(*c13), c1(n, out_channels))

        self.paf_branch = branch(paf_channels)
        self.keypoint_branch = branch(keypoint_channels)

    def forward(self, x: Tensor) -> StageMaps:
        """Return the maps for the fused features and the maps of the stage before."""
        return StageMaps(self.paf_branch(x), self.keypoint_branch(x))


class PoseEstimation(nn.Module):
    """The pose estimation block: stage 1 and its refinements (the paper cuts RTPose's five to three).

    Args:
        image_channels: channels of what enters C4: 1 for a depth image, 64 for DepthPose's SR feature maps.
        fused_channels: channels of each further feature map that the refinement stages see (S2 and S1).
        paf_channels: two per limb.
        keypoint_channels: one per joint and the background.
        refinement_stages: how often the belief is refined.
        width: scales every hidden channel count.
        init: see :func:`layers.init_trunk`.
    """

    def __init__(
        self,
        image_channels: int,
        fused_channels: Sequence[int] = (),
        paf_channels: int = 38,
        keypoint_channels: int = 19,
        refinement_stages: int = 3,
        width: float = 1.0,
        init: TrunkInit = "he",
    ) -> None:
        super().__init__()
        self.features = FeatureExtraction(image_channels, width)
        f = self.features.out_channels
        # At width 1.0: 38 + 19 + 128 = 185 for RTPose; + 32 + 32 = 249 for DepthPose.
        self.refinement_channels = paf_channels + keypoint_channels + f + sum(fused_channels)
        self.first_stage = FirstStage(f, paf_channels, keypoint_channels, width)
        self.refinement_stages = nn.ModuleList(
            RefinementStage(self.refinement_channels, paf_channels, keypoint_channels, width)
            for _ in range(refinement_stages)
        )
        init_trunk(self, init)
        for stage in (self.first_stage, *self.refinement_stages):
            init_map_layers(stage.paf_branch[-1], stage.keypoint_branch[-1])

    def forward(self, images: Tensor, fused: Sequence[Tensor] = ()) -> tuple[StageMaps, ...]:
        """Return the maps of every stage.

        Args:
            images: float (B, image_channels, 8 h, 8 w).
            fused: further feature maps (B, c, h, w), concatenated after F.
        """
        f = self.features(images)  # (B, 128, h, w)
        stages = [self.first_stage(f)]  # (B, 38, h, w), (B, 19, h, w)
        for stage in self.refinement_stages:
            stages.append(stage(torch.cat([*stages[-1], f, *fused], dim=1)))  # (B, 249, h, w) -> maps
        return tuple(stages)


class RTPose(nn.Module):
    """The baseline of Table 1: RTPose with three refinement stages on a depth image, no super-resolution.

    A low-resolution image is first resampled to ``full_hw`` with bicubic interpolation, as Sect. 3.1 says of
    the 80x60 and 64x48 rows, and clipped to [0, 1], as an 8-bit image would be. A part of an image, which
    training may show, is enlarged as much as a whole one.

    Args:
        in_channels: 1 for depth, 3 for color.
        full_hw: size of the image that C4 sees.
        input_hw: size of the whole image that enters; None = ``full_hw``.
        paf_channels, keypoint_channels, refinement_stages, width, init: see :class:`PoseEstimation`.
    """

    def __init__(
        self,
        in_channels: int = 1,
        full_hw: tuple[int, int] = (480, 640),
        paf_channels: int = 38,
        keypoint_channels: int = 19,
        refinement_stages: int = 3,
        width: float = 1.0,
        init: TrunkInit = "he",
        input_hw: tuple[int, int] | None = None,
    ) -> None:
        super().__init__()
        self.in_channels = in_channels
        self.full_hw = full_hw
        self.input_hw = full_hw if input_hw is None else input_hw
        self.pose = PoseEstimation(
            in_channels, (), paf_channels, keypoint_channels, refinement_stages, width, init
        )

    def forward(self, x: Tensor) -> PoseMaps:
        """Return the maps at an eighth of ``full_hw``, of float images (B, in_channels, H, W) in [0, 1]."""
        check_images("RTPose", x, self.in_channels)
        if self.full_hw not in (self.input_hw, tuple(x.shape[-2:])):
            size = [
                round(int(n) * full / whole)  # a number while a graph is recorded, too
                for n, full, whole in zip(x.shape[-2:], self.full_hw, self.input_hw, strict=True)
            ]
            x = functional.interpolate(x, size=size, mode="bicubic", align_corners=False)
            x = x.clamp(0.0, 1.0)  # (B, 1, 480, 640)
        return PoseMaps(self.pose(x))
