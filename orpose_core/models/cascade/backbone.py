"""ResNeXt (Xie et al. 2017) with deformable convolutions (Dai et al. 2017) and FPN (Lin et al. 2017).

The parameters have the names that detectron2 gives them: a convolution holds its own normalisation, and the
pyramid holds its trunk.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn
from torch.nn import functional
from torchvision.ops import DeformConv2d, FrozenBatchNorm2d

from orpose_core.models.cascade.config import CascadeConfig

_OFFSETS = 2 * 3 * 3
"""y and x for each tap of a 3x3 convolution."""

_BRANCH_SCALE = 0.2
"""Of a random network's residual branches: with 1, 50 blocks would let the features grow beyond float32."""


class FrozenNorm(FrozenBatchNorm2d):
    """torchvision's frozen normalisation in one step, as detectron2 computes it without gradients."""

    def forward(self, x: Tensor) -> Tensor:
        """Return ``x`` (B, c, h, w) with the stored mean, deviation, weight and bias applied."""
        return functional.batch_norm(
            x, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps
        )


class NormedConv(nn.Conv2d):
    """A convolution without bias, followed by its normalisation."""

    def __init__(self, in_channels: int, out_channels: int, kernel: int, norm: nn.Module, **kw: Any) -> None:
        super().__init__(in_channels, out_channels, kernel, padding=kernel // 2, bias=False, **kw)
        self.norm = norm
        nn.init.kaiming_normal_(self.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, out_channels, h, w), normalised."""
        return self.norm(super().forward(x))


class NormedDeformConv(DeformConv2d):
    """A 3x3 deformable convolution without bias, followed by its normalisation."""

    def __init__(self, channels: int, stride: int, groups: int) -> None:
        super().__init__(channels, channels, 3, stride=stride, padding=1, groups=groups, bias=False)
        self.norm = FrozenNorm(channels)
        nn.init.kaiming_normal_(self.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: Tensor, offset: Tensor) -> Tensor:  # type: ignore[override]
        """Return (B, channels, h, w), normalised; ``offset`` (B, 18, h, w) in cells, y before x."""
        return self.norm(super().forward(x, offset))


class Bottleneck(nn.Module):
    """1x1, grouped 3x3 (deformable or not), 1x1, and a shortcut; the stride is in the 3x3 convolution.

    Args:
        in_channels: that enter.
        width: channels of the 3x3 convolution.
        out_channels: that leave.
        stride: 1 or 2.
        groups: of the 3x3 convolution.
        deformable: whether a further 3x3 convolution says where its taps look.
    """

    def __init__(
        self, in_channels: int, width: int, out_channels: int, stride: int, groups: int, deformable: bool
    ) -> None:
        super().__init__()
        self.shortcut: NormedConv | None = None
        if in_channels != out_channels:
            norm = FrozenNorm(out_channels)
            self.shortcut = NormedConv(in_channels, out_channels, 1, norm, stride=stride)
        self.conv1 = NormedConv(in_channels, width, 1, FrozenNorm(width))
        self.conv2_offset: nn.Conv2d | None = None
        self.conv2: nn.Module
        if deformable:
            self.conv2_offset = nn.Conv2d(width, _OFFSETS, 3, stride=stride, padding=1)
            nn.init.zeros_(self.conv2_offset.weight)
            assert self.conv2_offset.bias is not None
            nn.init.zeros_(self.conv2_offset.bias)
            self.conv2 = NormedDeformConv(width, stride, groups)
        else:
            norm = FrozenNorm(width)
            self.conv2 = NormedConv(width, width, 3, norm, stride=stride, groups=groups)
        last = FrozenNorm(out_channels)
        nn.init.constant_(last.weight, _BRANCH_SCALE)
        self.conv3 = NormedConv(width, out_channels, 1, last)

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, out_channels, h / stride, w / stride)."""
        y = functional.relu(self.conv1(x))  # (B, width, h, w)
        y = self.conv2(y) if self.conv2_offset is None else self.conv2(y, self.conv2_offset(y))
        y = self.conv3(functional.relu(y))  # (B, out_channels, h / stride, w / stride)
        return functional.relu(y + (x if self.shortcut is None else self.shortcut(x)))


class Stem(nn.Module):
    """A 7x7 convolution and a max-pooling."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = NormedConv(3, channels, 7, FrozenNorm(channels), stride=2)

    def forward(self, images: Tensor) -> Tensor:
        """Return (B, channels, H/4, W/4) of (B, 3, H, W)."""
        return functional.max_pool2d(functional.relu(self.conv1(images)), 3, stride=2, padding=1)


class ResNeXt(nn.Module):
    """The trunk, giving all four stages."""

    def __init__(self, config: CascadeConfig) -> None:
        super().__init__()
        self.stem = Stem(config.stem_channels)
        channels, width = config.stem_channels, config.groups * config.group_width
        self.out_channels = [config.res2_channels * 2**i for i in range(4)]
        stages = []
        for i, (depth, out) in enumerate(zip(config.depths, self.out_channels, strict=True)):
            blocks = []
            for k in range(depth):
                stride = 2 if i and not k else 1
                blocks.append(
                    Bottleneck(channels, width * 2**i, out, stride, config.groups, config.deformable[i])
                )
                channels = out
            stages.append(nn.Sequential(*blocks))
        self.res2, self.res3, self.res4, self.res5 = stages

    def forward(self, images: Tensor) -> list[Tensor]:
        """Return res2 to res5, at 1/4 to 1/32, of normalised images (B, 3, H, W)."""
        x = self.stem(images)
        features = []
        for stage in (self.res2, self.res3, self.res4, self.res5):
            x = stage(x)
            features.append(x)
        return features


class CascadeBackbone(nn.Module):
    """The trunk with its feature pyramid, and p6 as every second cell of p5."""

    def __init__(self, config: CascadeConfig) -> None:
        super().__init__()
        self.bottom_up = ResNeXt(config)
        channels = config.pyramid_channels
        for level, n in enumerate(self.bottom_up.out_channels, start=2):
            for name, conv in (
                ("lateral", nn.Conv2d(n, channels, 1)),
                ("output", nn.Conv2d(channels, channels, 3, padding=1)),
            ):
                nn.init.kaiming_uniform_(conv.weight, a=1)
                assert conv.bias is not None
                nn.init.zeros_(conv.bias)
                self.add_module(f"fpn_{name}{level}", conv)

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Return p2 to p6, each (B, pyramid_channels, ...), of images whose sides are multiples of 32."""
        levels: list[Tensor] = []
        above: Tensor | None = None
        for level, x in reversed(list(enumerate(self.bottom_up(images), start=2))):
            x = self.get_submodule(f"fpn_lateral{level}")(x)
            above = x if above is None else x + functional.interpolate(above, scale_factor=2.0)
            levels.insert(0, self.get_submodule(f"fpn_output{level}")(above))
        return (*levels, functional.max_pool2d(levels[-1], kernel_size=1, stride=2))
