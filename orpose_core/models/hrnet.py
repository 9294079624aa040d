"""HRNet: four resolutions side by side that keep exchanging what they see (Sun et al., CVPR 2019).

The second stage of ORPose's teacher. Parameters are named as in the authors' release, whose files therefore
load strictly; W32 has 28.5 M of them, W48 63.6 M.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torchvision.models.resnet import BasicBlock, Bottleneck

_STEM_CHANNELS = 64
_LAYER1_CHANNELS = 256
_MOST_BLOCKS = 64  # far beyond any use; a false config in a file must not make us build for hours


@dataclass(frozen=True)
class HRNetConfig:
    """Sizes of an HRNet; branch k has ``width * 2**k`` channels at 1 / 2**(k + 2) of the input.

    Attributes:
        width: channels of the highest resolution: 32 (W32) or 48 (W48).
        input_hw: (height, width) of the crops it was trained on; multiples of 32. Maps are a quarter of it.
        joints: channels that leave it; 17 for COCO.
        modules: how often stages 2, 3 and 4 exchange.
        blocks: residual blocks of each branch between two exchanges.
    """

    width: int = 48
    input_hw: tuple[int, int] = (384, 288)
    joints: int = 17
    modules: tuple[int, int, int] = (1, 4, 3)
    blocks: int = 4

    def __post_init__(self) -> None:
        if min(self.width, self.joints, self.blocks, *self.modules) < 1:
            raise ValueError(f"HRNetConfig: expected sizes of at least 1, got {self}")
        if max(self.blocks, *self.modules) > _MOST_BLOCKS:
            raise ValueError(f"HRNetConfig: expected up to {_MOST_BLOCKS} modules and blocks, got {self}")
        if any(side < 32 or side % 32 for side in self.input_hw):
            raise ValueError(f"HRNetConfig.input_hw: expected multiples of 32, got {self.input_hw}")


def _conv_norm(channels_in: int, channels_out: int, kernel: int, stride: int = 1) -> list[nn.Module]:
    return [
        nn.Conv2d(channels_in, channels_out, kernel, stride, padding=kernel // 2, bias=False),
        nn.BatchNorm2d(channels_out),
    ]


class _SameResolution(nn.Module):
    """Takes the place of a branch's path to itself, so that the other paths keep the release's numbers."""

    def forward(self, x: Tensor) -> Tensor:
        return x


class Exchange(nn.Module):
    """Residual blocks on each branch, then every branch receives the sum of all, brought to its resolution.

    Args:
        channels: of each branch, highest resolution first.
        blocks: residual blocks of each branch.
        outputs: how many branches leave it: all, or in the last one only the first.
    """

    def __init__(self, channels: Sequence[int], blocks: int, outputs: int) -> None:
        super().__init__()
        self.branches = nn.ModuleList(
            nn.Sequential(*(BasicBlock(c, c) for _ in range(blocks))) for c in channels
        )
        self.fuse_layers = nn.ModuleList(
            nn.ModuleList(self._path(channels, source, target) for source in range(len(channels)))
            for target in range(outputs)
        )

    @staticmethod
    def _path(channels: Sequence[int], source: int, target: int) -> nn.Module:
        """Return what brings branch ``source`` to the size of branch ``target``."""
        if source == target:
            return _SameResolution()
        if source > target:
            up = nn.Upsample(scale_factor=2 ** (source - target), mode="nearest")
            return nn.Sequential(*_conv_norm(channels[source], channels[target], 1), up)
        steps = []
        for step in range(source + 1, target + 1):
            last = step == target
            layers = _conv_norm(channels[source], channels[target if last else source], 3, stride=2)
            steps.append(nn.Sequential(*layers, *([] if last else [nn.ReLU(inplace=True)])))
        return nn.Sequential(*steps)

    def forward(self, branches: list[Tensor]) -> list[Tensor]:
        """Return the branches that leave; branch k is (B, width * 2**k, H / 2**(k+2), W / 2**(k+2))."""
        refined = [branch(x) for branch, x in zip(self.branches, branches, strict=True)]
        outputs = []
        for paths in self.fuse_layers:
            assert isinstance(paths, nn.ModuleList)
            total = paths[0](refined[0])
            for path, x in zip(paths[1:], refined[1:], strict=True):
                total = total + path(x)
            outputs.append(torch.relu(total))
        return outputs


class Stage(nn.Sequential):
    """Several exchanges one after the other; a list of branches goes in and comes out."""

    def forward(self, branches: list[Tensor]) -> list[Tensor]:
        """Return the refined branches."""
        for module in self:
            branches = module(branches)
        return branches


class HRNet(nn.Module):
    """Crops of people to one map per joint, at a quarter of the crop's size."""

    def __init__(self, config: HRNetConfig) -> None:
        super().__init__()
        self.config = config
        width = config.width
        self.conv1 = nn.Conv2d(3, _STEM_CHANNELS, 3, stride=2, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(_STEM_CHANNELS)
        self.conv2 = nn.Conv2d(_STEM_CHANNELS, _STEM_CHANNELS, 3, stride=2, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(_STEM_CHANNELS)
        widening = nn.Sequential(*_conv_norm(_STEM_CHANNELS, _LAYER1_CHANNELS, 1))
        self.layer1 = nn.Sequential(
            Bottleneck(_STEM_CHANNELS, 64, downsample=widening),
            *(Bottleneck(_LAYER1_CHANNELS, 64) for _ in range(3)),
        )
        channels = [width * 2**k for k in range(4)]
        self.transition1 = self._transition([_LAYER1_CHANNELS], channels[:2])
        self.stage2 = self._stage(channels[:2], config.modules[0])
        self.transition2 = self._transition(channels[:2], channels[:3])
        self.stage3 = self._stage(channels[:3], config.modules[1])
        self.transition3 = self._transition(channels[:3], channels)
        self.stage4 = self._stage(channels, config.modules[2], outputs=1)
        self.final_layer = nn.Conv2d(width, config.joints, 1)

    @staticmethod
    def _transition(before: Sequence[int], after: Sequence[int]) -> nn.ModuleList:
        """Return what makes the branches ``after``: changed channels, and one new, lower resolution."""
        layers: list[nn.Module] = []
        for k, channels in enumerate(after):
            if k >= len(before):
                conv = nn.Sequential(*_conv_norm(before[-1], channels, 3, stride=2), nn.ReLU(inplace=True))
                layers.append(nn.Sequential(conv))
            elif channels != before[k]:
                layers.append(nn.Sequential(*_conv_norm(before[k], channels, 3), nn.ReLU(inplace=True)))
            else:
                layers.append(_SameResolution())
        return nn.ModuleList(layers)

    def _stage(self, channels: Sequence[int], modules: int, outputs: int | None = None) -> Stage:
        every = len(channels)
        counts = [every] * (modules - 1) + [outputs or every]
        return Stage(*(Exchange(channels, self.config.blocks, count) for count in counts))

    @staticmethod
    def _entered(transition: nn.ModuleList, branches: list[Tensor]) -> list[Tensor]:
        """Apply a transition; a new branch comes from the lowest resolution there is."""
        return [layer(branches[min(k, len(branches) - 1)]) for k, layer in enumerate(transition)]

    def forward(self, crops: Tensor) -> Tensor:
        """Return float (B, joints, H/4, W/4) for float (B, 3, H, W), red first, ImageNet-standardised."""
        x = torch.relu(self.bn1(self.conv1(crops)))  # (B, 64, H/2, W/2)
        x = torch.relu(self.bn2(self.conv2(x)))  # (B, 64, H/4, W/4)
        branches = [self.layer1(x)]  # (B, 256, H/4, W/4)
        for transition, stage in (
            (self.transition1, self.stage2), (self.transition2, self.stage3), (self.transition3, self.stage4)
        ):  # fmt: skip
            branches = stage(self._entered(transition, branches))
        return self.final_layer(branches[0])
