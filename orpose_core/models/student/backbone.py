"""The student's trunk and feature pyramid: ResNet (He et al. 2016) with FPN (Lin et al. 2017)."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial

import torch
from torch import Tensor, nn
from torchvision.models.resnet import BasicBlock, Bottleneck
from torchvision.ops import FeaturePyramidNetwork, FrozenBatchNorm2d
from torchvision.ops.feature_pyramid_network import LastLevelMaxPool

from orpose_core.models.student.config import StudentConfig

NORM_EPS = 1e-5
PYRAMID_STRIDES = (4, 8, 16, 32, 64)
"""Image px per cell of p2 to p6."""


def in_float32(x: Tensor) -> AbstractContextManager:
    """Return a context in which autocast is off on the device of ``x``; the meta device has none."""
    return nullcontext() if x.is_meta else torch.autocast(x.device.type, enabled=False)


_BLOCKS: dict[str, tuple[type[BasicBlock | Bottleneck], Sequence[int]]] = {
    "resnet50": (Bottleneck, (3, 4, 6, 3)),
    "resnet18": (BasicBlock, (2, 2, 2, 2)),
}


class ResNetTrunk(nn.Module):
    """A ResNet of torchvision's blocks without its classifier, of any width, giving all four stages."""

    def __init__(self, config: StudentConfig) -> None:
        super().__init__()
        block, depths = _BLOCKS[config.trunk]
        norm: Callable[[int], nn.Module] = (
            partial(FrozenBatchNorm2d, eps=NORM_EPS) if config.norm == "frozen_batch" else nn.BatchNorm2d
        )
        planes = [8 * round(n * config.trunk_width / 8) for n in (64, 128, 256, 512)]
        channels = planes[0]
        self.stem = nn.Sequential(
            nn.Conv2d(3, channels, kernel_size=7, stride=2, padding=3, bias=False),
            norm(channels),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(kernel_size=3, stride=2, padding=1),
        )
        stages = []
        for n, depth, stride in zip(planes, depths, (1, 2, 2, 2), strict=True):
            blocks = []
            for i in range(depth):
                shortcut, s = None, stride if i == 0 else 1
                if s != 1 or channels != n * block.expansion:
                    shortcut = nn.Sequential(
                        nn.Conv2d(channels, n * block.expansion, kernel_size=1, stride=s, bias=False),
                        norm(n * block.expansion),
                    )
                blocks.append(block(channels, n, s, shortcut, norm_layer=norm))
                if config.stride_in_1x1 and block is Bottleneck:
                    blocks[-1].conv1.stride, blocks[-1].conv2.stride = (s, s), (1, 1)
                channels = n * block.expansion
            stages.append(nn.Sequential(*blocks))
        self.stages = nn.ModuleList(stages)
        self.out_channels = [n * block.expansion for n in planes]
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, images: Tensor) -> list[Tensor]:
        """Return the features at 1/4, 1/8, 1/16 and 1/32 of normalised images (B, 3, H, W)."""
        x = self.stem(images)  # (B, 64, H/4, W/4)
        features = []
        for stage in self.stages:
            x = stage(x)
            features.append(x)
        return features


class PyramidBackbone(nn.Module):
    """The trunk with its feature pyramid, and p6 as every second cell of p5."""

    def __init__(self, config: StudentConfig) -> None:
        super().__init__()
        self.trunk = ResNetTrunk(config)
        self.fpn = FeaturePyramidNetwork(
            self.trunk.out_channels, config.fpn_channels, extra_blocks=LastLevelMaxPool()
        )

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Return p2 to p6, each (B, fpn_channels, ...), of images whose sides are multiples of 32."""
        stages = OrderedDict((f"p{i + 2}", x) for i, x in enumerate(self.trunk(images)))
        return tuple(self.fpn(stages).values())
