"""MoveNet: MobileNetV2 with a feature pyramid and CenterNet heads, as published by Google for TensorFlow.js.

MultiPose finds several people in an image. Thunder finds the one nearest the center of a crop. Both have the
same layers at different widths. Batch normalization is folded into the convolutions, as in the published
files.

Sources: MobileNetV2 (Sandler et al., CVPR 2018), CenterNet (Zhou et al., "Objects as Points", 2019), and the
graphs of the TF Hub models ``movenet/multipose/lightning/1`` and ``movenet/singlepose/thunder/4``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

STRIDE = 4
"""Pixels of the image per cell of the maps."""
MULTIPLE = 32
"""The sides of the image must be multiples of this."""

# Expansion, channels, repeats, stride: MobileNetV2, Table 2.
_BLOCKS = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)
_STEM = 32
_TOP = 1280
# The last inverted residual at strides 4, 8 and 16 from which the pyramid starts.
_PYRAMID_BLOCKS = (2, 5, 9)
# Channels at strides 4, 8, 16 and 32.
_PYRAMID = (24, 32, 64, 64)
_HEAD = 96


@dataclass(frozen=True)
class MoveNetConfig:
    """The size of a MoveNet.

    Attributes:
        width: factor on the channels of MobileNetV2; MultiPose has 1.5, Thunder 1.75.
        boxes: whether it also finds boxes, as MultiPose does.
        joints: number of joints; COCO's 17 in the published files.
    """

    width: float = 1.5
    boxes: bool = True
    joints: int = 17

    def __post_init__(self) -> None:
        if not 0 < self.width <= 4 or not 0 < self.joints <= 1000:
            raise ValueError(f"MoveNetConfig: expected a width in (0, 4] and 1 to 1000 joints, got {self}")


MULTIPOSE = MoveNetConfig(1.5, boxes=True)
THUNDER = MoveNetConfig(1.75, boxes=False)


class MoveNetMaps(NamedTuple):
    """What the heads say for each cell of (B, c, h, w), at a stride of 4 pixels. Distances are in cells.

    Attributes:
        center: (B, 1, h, w), logit that the center of a person lies in the cell.
        heatmaps: (B, 17, h, w), logits of the joints.
        regression: (B, 34, h, w), from the center of a person to its joints: y and x of each.
        offsets: (B, 34, h, w), from a cell to the joint in it: y and x of each.
        box_size: (B, 2, h, w), height and width, or None.
        box_offset: (B, 2, h, w), from a cell to the center of the box in it, y and x, or None.
    """

    center: Tensor
    heatmaps: Tensor
    regression: Tensor
    offsets: Tensor
    box_size: Tensor | None
    box_offset: Tensor | None


def _channels(channels: float) -> int:
    """Round to a multiple of 8, as MobileNet does, never down by more than a tenth."""
    rounded = max(8, int(channels + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * channels else rounded


class _Conv(nn.Module):
    """A convolution with TensorFlow's padding SAME: where it is uneven, the odd pixel is at the end."""

    def __init__(
        self, c_in: int, c_out: int, kernel: int, stride: int = 1, groups: int = 1, bias: bool = True
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(
            c_in, c_out, kernel, stride, kernel // 2 * (stride == 1), groups=groups, bias=bias
        )

    def forward(self, x: Tensor) -> Tensor:
        if self.conv.stride[0] == 2:
            x = F.pad(x, (0, 1, 0, 1))
        return self.conv(x)


class _InvertedResidual(nn.Module):
    def __init__(self, c_in: int, c_out: int, expansion: int, stride: int) -> None:
        super().__init__()
        hidden = c_in * expansion
        self.expand = _Conv(c_in, hidden, 1) if expansion > 1 else None
        self.depthwise = _Conv(hidden, hidden, 3, stride, groups=hidden)
        self.project = _Conv(hidden, c_out, 1)
        self._residual = stride == 1 and c_in == c_out

    def forward(self, x: Tensor) -> Tensor:
        y = x if self.expand is None else F.relu6(self.expand(x))
        y = self.project(F.relu6(self.depthwise(y)))
        return x + y if self._residual else y


class _Separable(nn.Module):
    """A 3x3 convolution per channel, a 1x1 convolution across them, and a ReLU."""

    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__()
        self.depthwise = _Conv(c_in, c_in, 3, groups=c_in, bias=False)
        self.pointwise = _Conv(c_in, c_out, 1)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.pointwise(self.depthwise(x)))


def _head(channels: int) -> nn.Sequential:
    return nn.Sequential(_Separable(_PYRAMID[0], _HEAD), _Conv(_HEAD, channels, 1))


class MoveNet(nn.Module):
    """MobileNetV2, a feature pyramid down to a stride of 4, and one head for each map.

    Args:
        config: its size.
    """

    def __init__(self, config: MoveNetConfig) -> None:
        super().__init__()
        self.config = config
        channels = _channels(_STEM * config.width)
        self.stem = _Conv(3, channels, 3, stride=2)
        self.blocks = nn.ModuleList()
        taps: list[int] = []
        for expansion, base, repeats, stride in _BLOCKS:
            for k in range(repeats):
                c_out = _channels(base * config.width)
                self.blocks.append(_InvertedResidual(channels, c_out, expansion, stride if k == 0 else 1))
                channels = c_out
                if len(self.blocks) - 1 in _PYRAMID_BLOCKS:
                    taps.append(channels)
        self.top = _Conv(channels, _TOP, 1)
        self.laterals = nn.ModuleList(
            _Conv(c_in, c_out, 1) for c_in, c_out in zip([*taps, _TOP], _PYRAMID, strict=True)
        )
        self.smooth = nn.ModuleList(
            _Separable(c_in, c_out)
            for c_in, c_out in zip(_PYRAMID[:3], (_PYRAMID[0], *_PYRAMID[:2]), strict=True)
        )
        self.center = _head(1)
        self.heatmaps = _head(config.joints)
        self.regression = _head(2 * config.joints)
        self.offsets = _head(2 * config.joints)
        self.box_size = _head(2) if config.boxes else None
        self.box_offset = _head(2) if config.boxes else None

    def forward(self, images: Tensor) -> MoveNetMaps:
        """Return the maps.

        Args:
            images: float (B, 3, H, W), red first, 0 to 255; H and W are multiples of 32.
        """
        x = F.relu6(self.stem(images * (2 / 255) - 1))
        taps = []
        for number, block in enumerate(self.blocks):
            x = block(x)
            if number in _PYRAMID_BLOCKS:
                taps.append(x)
        taps.append(F.relu6(self.top(x)))
        x = self.laterals[-1](taps[-1])  # stride 32
        for lateral, tap, smooth in zip(
            reversed(self.laterals[:-1]), reversed(taps[:-1]), reversed(self.smooth), strict=True
        ):
            x = F.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)
            x = smooth(x + lateral(tap))
        return MoveNetMaps(
            self.center(x),
            self.heatmaps(x),
            self.regression(x),
            self.offsets(x),
            None if self.box_size is None else self.box_size(x).clamp(min=0),
            None if self.box_offset is None else self.box_offset(x),
        )


def check_size(images: Tensor) -> None:
    """Raise ValueError unless the sides of (B, 3, H, W) images are multiples of 32."""
    height, width = images.shape[-2:]
    if height % MULTIPLE or width % MULTIPLE:
        raise ValueError(f"MoveNet: expected sides that are multiples of {MULTIPLE}, got {width}x{height}")


def random_movenet(config: MoveNetConfig, seed: int = 0) -> MoveNet:
    """Return a network with seeded random weights, for tests and for measuring time."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return MoveNet(config).eval()
