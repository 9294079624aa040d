"""DepthPose (Srivastav et al., MICCAI 2019), Fig. 2 and Sect. 2.1, and the cascade it is compared with."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from orpose_core.models.layers import TrunkInit, c3, check_images, init_orthogonal, scaled, with_relu
from orpose_core.models.maps import PoseMaps
from orpose_core.models.rtpose import PoseEstimation, RTPose
from orpose_core.models.super_resolution import SuperResolution, SuperResolver, sr_image_layer


class DepthPose(nn.Module):
    """Poses from a low-resolution image, by super-resolution feature maps instead of a super-resolved image.

    C4 reads the 8x feature maps directly, and the refinement stages see the 4x and 2x maps as S2 and S1, so
    that their input is F (128), the PAFs (38), the keypoint maps (19), S2 (32) and S1 (32): 249 channels. The
    maps have the size of the input image. The SR image (C16) is made only for its loss: in training mode, or
    when asked for; a network built without it cannot make one.

    Args:
        in_channels: 1 for depth.
        paf_channels: two per limb.
        keypoint_channels: one per joint and the background.
        refinement_stages: the paper's three.
        width: scales the hidden channels of the pose estimation block and of C8 and C9.
        sr_width: scales those of the super-resolution block, which costs most since it works at 8x.
        sr_image: whether C16 is there.
        init: see :func:`layers.init_trunk`.
    """

    def __init__(
        self,
        in_channels: int = 1,
        paf_channels: int = 38,
        keypoint_channels: int = 19,
        refinement_stages: int = 3,
        width: float = 1.0,
        sr_width: float = 1.0,
        sr_image: bool = True,
        init: TrunkInit = "he",
    ) -> None:
        super().__init__()
        self.in_channels = in_channels
        self.super_resolution = SuperResolution(in_channels, sr_width)
        sr, n32 = self.super_resolution.out_channels, scaled(32, width)
        self.s1 = nn.Sequential(nn.MaxPool2d(2), *with_relu(c3(sr, n32)))  # C8
        self.s2 = nn.Sequential(  # C8 and C9
            nn.MaxPool2d(2), *with_relu(c3(sr, n32)), nn.MaxPool2d(2), *with_relu(c3(n32, n32))
        )
        init_orthogonal([*self.s1, *self.s2])
        self.pose = PoseEstimation(
            sr, (n32, n32), paf_channels, keypoint_channels, refinement_stages, width, init
        )
        self.c16 = sr_image_layer(sr, in_channels) if sr_image else None

    def forward(self, x: Tensor, with_sr_image: bool | None = None) -> PoseMaps:
        """Return the maps of float images (B, in_channels, h, w) in [0, 1], at the same size.

        Args:
            x: the low-resolution images.
            with_sr_image: whether to make the SR image; None = in training mode only.
        """
        check_images("DepthPose", x, self.in_channels)
        features = self.super_resolution(x)  # (B, 64, 2h, 2w), (B, 64, 4h, 4w), (B, 64, 8h, 8w)
        s1 = self.s1(features.x2)  # (B, 32, h, w)
        s2 = self.s2(features.x4)  # (B, 32, h, w)
        stages = self.pose(
            features.x8, fused=(s2, s1)
        )  # 38 + 19 + F 128 + S2 32 + S1 32 = 249 channels inside
        wanted = self.training if with_sr_image is None else with_sr_image
        if with_sr_image and self.c16 is None:
            raise ValueError("DepthPose: an SR image is wanted, but this network was built without C16")
        return PoseMaps(stages, self.c16(features.x8) if wanted and self.c16 is not None else None)


class SrRtPose(nn.Module):
    """SR+RTPose of Table 1: a super-resolution network trained on its own, frozen, in front of RTPose.

    The super-resolved image is 8 times the input (512x384 for 64x48), clipped to [0, 1], so the maps have the
    size of the input. Its parameters never get a gradient; it stays in evaluation mode.
    """

    def __init__(self, super_resolver: SuperResolver, rtpose: RTPose) -> None:
        super().__init__()
        self.super_resolver = super_resolver.requires_grad_(False)
        self.rtpose = rtpose
        self.super_resolver.eval()

    def train(self, mode: bool = True) -> SrRtPose:
        """Set the mode of RTPose; the frozen network stays in evaluation mode."""
        super().train(mode)
        self.super_resolver.eval()
        return self

    def forward(self, x: Tensor) -> PoseMaps:
        """Return the maps of float images (B, in_channels, h, w) in [0, 1], and the clipped SR image."""
        with torch.no_grad():
            sr_image = self.super_resolver(x).sr_image
            assert sr_image is not None
            sr_image = sr_image.clamp(0.0, 1.0)  # (B, 1, 8h, 8w)
        return PoseMaps(self.rtpose(sr_image).stages, sr_image)
