"""The super-resolution block of DepthPose's Fig. 2, and the network that it becomes on its own."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor, nn

from orpose_core.models.layers import c3, check_images, init_orthogonal, scaled, with_relu
from orpose_core.models.maps import PoseMaps

UPSCALE = 8
"""How much larger the SR feature maps are than the image: three pixel shuffles of 2x2."""


class SrFeatures(NamedTuple):
    """Feature maps at 2, 4 and 8 times the size of the image, each (B, 64, ...)."""

    x2: Tensor
    x4: Tensor
    x8: Tensor


class SuperResolution(nn.Module):
    """C1, C2 and C3, each ending in a pixel shuffle that trades four channels for twice the size.

    The convolution right before a pixel shuffle has no ReLU, as in the released code (the caption of Fig. 2
    gives every convolution one). Weights are orthogonal as Sect. 3 says; the released code calls the
    orthogonal initialisation too, but then overwrites every convolution with N(0, 0.01²).

    Args:
        in_channels: channels of the low-resolution image.
        width: scales every hidden channel count.
    """

    def __init__(self, in_channels: int = 1, width: float = 1.0) -> None:
        super().__init__()
        n64, n128, n256 = (scaled(n, width) for n in (64, 128, 256))
        shuffled = 4 * n64  # 256 at width 1.0: a pixel shuffle leaves 64
        self.c1 = nn.Sequential(*with_relu(c3(in_channels, n64), c3(n64, n128)), c3(n128, shuffled))
        self.c2 = nn.Sequential(*with_relu(c3(n64, n64), c3(n64, n128)), c3(n128, shuffled))
        self.c3 = nn.Sequential(*with_relu(c3(n64, n64), c3(n64, n128), c3(n128, n256)), c3(n256, shuffled))
        self.shuffle = nn.PixelShuffle(2)
        self.out_channels = n64
        init_orthogonal(self.modules(), linear=[self.c1[-1], self.c2[-1], self.c3[-1]])

    def forward(self, x: Tensor) -> SrFeatures:
        """Return the feature maps of images (B, in_channels, h, w)."""
        x2 = self.shuffle(self.c1(x))  # (B, 64, 2h, 2w)
        x4 = self.shuffle(self.c2(x2))  # (B, 64, 4h, 4w)
        x8 = self.shuffle(self.c3(x4))  # (B, 64, 8h, 8w)
        return SrFeatures(x2, x4, x8)


def sr_image_layer(in_channels: int, image_channels: int) -> nn.Conv2d:
    """C16: 8x feature maps to an image. No ReLU here: a black pixel would get no gradient."""
    layer = c3(in_channels, image_channels)
    init_orthogonal([layer], linear=[layer])
    return layer


class SuperResolver(nn.Module):
    """The super-resolution block with C16, trained on its own with L_HR for SR+RTPose (Sect. 3.1)."""

    def __init__(self, in_channels: int = 1, width: float = 1.0) -> None:
        super().__init__()
        self.in_channels = in_channels
        self.super_resolution = SuperResolution(in_channels, width)
        self.c16 = sr_image_layer(self.super_resolution.out_channels, in_channels)

    def forward(self, x: Tensor) -> PoseMaps:
        """Return no stages, and the image at 8 times the size of ``x`` (B, in_channels, h, w) in [0, 1]."""
        check_images("SuperResolver", x, self.in_channels)
        return PoseMaps((), self.c16(self.super_resolution(x).x8))  # (B, 1, 8h, 8w)
