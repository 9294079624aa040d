"""Simple Baselines: a ResNet and three deconvolutions (Xiao et al., ECCV 2018).

The keypoint network of DepthPose's teacher. Parameters are named as in the authors' release, whose files
therefore load strictly.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torchvision.models.resnet import BasicBlock, Bottleneck

_BLOCKS = {
    10: (1, 1, 1, 1),
    18: (2, 2, 2, 2),
    34: (3, 4, 6, 3),
    50: (3, 4, 6, 3),
    101: (3, 4, 23, 3),
    152: (3, 8, 36, 3),
}
_DEEPEST_BASIC = 34
"""Up to here a residual block is two 3x3 convolutions, beyond it a bottleneck."""


@dataclass(frozen=True)
class SimpleBaselinesConfig:
    """Sizes of a Simple Baselines network.

    Attributes:
        layers: of the ResNet: 50, 101 or 152; 18, 34 and (ours) 10 are for machines that must train it.
        input_hw: (height, width) of the crops it was trained on; multiples of 32. Maps are a quarter of it.
        joints: channels that leave it; 17 for COCO.
        caffe: the stride stands in the first convolution of a block, as in the release's ``caffe`` files,
            not in the second. The parameters' names do not tell.
        deconvolution_channels: of the three deconvolutions; 256 in the releases.
    """

    layers: int = 152
    input_hw: tuple[int, int] = (384, 288)
    joints: int = 17
    caffe: bool = False
    deconvolution_channels: int = 256

    def __post_init__(self) -> None:
        if self.layers not in _BLOCKS:
            raise ValueError(f"SimpleBaselinesConfig.layers: expected one of {[*_BLOCKS]}, got {self.layers}")
        for name in ("joints", "deconvolution_channels"):
            if getattr(self, name) < 1:
                raise ValueError(
                    f"SimpleBaselinesConfig.{name}: expected 1 or more, got {getattr(self, name)}"
                )
        if any(side < 32 or side % 32 for side in self.input_hw):
            raise ValueError(f"SimpleBaselinesConfig.input_hw: expected multiples of 32, got {self.input_hw}")


class SimpleBaselines(nn.Module):
    """Crops of people to one map per joint, at a quarter of the crop's size."""

    def __init__(self, config: SimpleBaselinesConfig) -> None:
        super().__init__()
        self.config = config
        self.conv1 = nn.Conv2d(3, 64, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        counts, expansion = _BLOCKS[config.layers], self._block.expansion
        self.layer1 = self._layer(64, 64, counts[0], stride=1)
        self.layer2 = self._layer(64 * expansion, 128, counts[1], stride=2)
        self.layer3 = self._layer(128 * expansion, 256, counts[2], stride=2)
        self.layer4 = self._layer(256 * expansion, 512, counts[3], stride=2)
        self.deconv_layers = nn.Sequential(
            *self._deconvolutions(512 * expansion, config.deconvolution_channels)
        )
        self.final_layer = nn.Conv2d(config.deconvolution_channels, config.joints, 1)

    @property
    def _block(self) -> type[BasicBlock] | type[Bottleneck]:
        return BasicBlock if self.config.layers <= _DEEPEST_BASIC else Bottleneck

    def _layer(self, channels_in: int, channels: int, blocks: int, stride: int) -> nn.Sequential:
        block = self._block
        channels_out = channels * block.expansion
        shortcut = None
        if stride > 1 or channels_in != channels_out:
            shortcut = nn.Sequential(
                nn.Conv2d(channels_in, channels_out, 1, stride=stride, bias=False),
                nn.BatchNorm2d(channels_out),
            )
        first = block(channels_in, channels, stride, shortcut)
        if self.config.caffe and isinstance(first, Bottleneck):
            first.conv1.stride, first.conv2.stride = first.conv2.stride, first.conv1.stride
        return nn.Sequential(first, *(block(channels_out, channels) for _ in range(blocks - 1)))

    @staticmethod
    def _deconvolutions(channels_in: int, channels: int) -> Iterator[nn.Module]:
        for _ in range(3):
            yield nn.ConvTranspose2d(channels_in, channels, 4, stride=2, padding=1, bias=False)
            yield nn.BatchNorm2d(channels)
            yield nn.ReLU(inplace=True)
            channels_in = channels

    def forward(self, crops: Tensor) -> Tensor:
        """Return float (B, joints, H/4, W/4) for float (B, 3, H, W), BLUE first, ImageNet-standardised."""
        x = self.maxpool(torch.relu(self.bn1(self.conv1(crops))))  # (B, 64, H/4, W/4)
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))  # (B, 2048 or 512, H/32, W/32)
        return self.final_layer(self.deconv_layers(x))
