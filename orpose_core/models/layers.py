"""Convolutions as Fig. 2 of DepthPose writes them, their widths and their initial values.

On the meta device nothing is initialised: random numbers there make torch import its compiler, which takes as
long as importing torch itself.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Literal

from torch import Tensor, nn

TrunkInit = Literal["he", "normal"]


def scaled(channels: int, width: float) -> int:
    """Return a hidden channel count of the paper times ``width``, rounded to a multiple of 8, at least 8.

    Multiples of 8 fill the vector registers, and a network of width 1.0 keeps the paper's numbers exactly.
    """
    return max(8, 8 * round(channels * width / 8))


def c1(n1: int, n2: int) -> nn.Conv2d:
    """A 1x1 convolution from ``n1`` to ``n2`` channels."""
    return nn.Conv2d(n1, n2, kernel_size=1)


def c3(n1: int, n2: int, dilation: int = 1) -> nn.Conv2d:
    """A 3x3 convolution that keeps the size of the image."""
    return nn.Conv2d(n1, n2, kernel_size=3, padding=dilation, dilation=dilation)


def c7(n1: int, n2: int) -> nn.Conv2d:
    """A 7x7 convolution with padding 3."""
    return nn.Conv2d(n1, n2, kernel_size=7, padding=3)


def with_relu(*convolutions: nn.Conv2d) -> list[nn.Module]:
    """Return the convolutions in order, each followed by a ReLU."""
    return [layer for conv in convolutions for layer in (conv, nn.ReLU(inplace=True))]


def check_images(name: str, images: Tensor, channels: int) -> None:
    """Raise ValueError unless ``images`` is a batch (B, channels, H, W)."""
    if images.ndim != 4 or images.shape[1] != channels:
        raise ValueError(f"{name}: expected images (B, {channels}, H, W), got {tuple(images.shape)}")


def init_orthogonal(modules: Iterable[nn.Module], linear: Iterable[nn.Module] = ()) -> None:
    """Orthogonal weights (Saxe et al. 2013) scaled for ReLU, zero biases; gain 1 for those in ``linear``."""
    without_relu = {id(conv) for conv in linear}
    for conv in modules:
        if isinstance(conv, nn.Conv2d) and not conv.weight.is_meta:
            nn.init.orthogonal_(conv.weight, 1.0 if id(conv) in without_relu else math.sqrt(2.0))
            assert conv.bias is not None
            nn.init.zeros_(conv.bias)


def init_trunk(module: nn.Module, method: TrunkInit) -> None:
    """Fill the convolutions of the pose part, biases with zeros.

    ``"he"`` keeps the variance of the activations through ReLUs (He et al. 2015), so that a network without
    pre-trained weights learns from its first step. ``"normal"`` is N(0, 0.01²), what the released RTPose and
    DepthPose code uses; it relies on pre-trained weights written over it.
    """
    for conv in module.modules():
        if isinstance(conv, nn.Conv2d) and not conv.weight.is_meta:
            if method == "he":
                nn.init.kaiming_normal_(conv.weight, nonlinearity="relu")
            else:
                nn.init.normal_(conv.weight, std=0.01)
            if conv.bias is not None:
                nn.init.zeros_(conv.bias)


def init_map_layers(*convolutions: nn.Module) -> None:
    """N(0, 0.01²) for the layers that give the maps: every stage starts near "nobody"."""
    for conv in convolutions:
        assert isinstance(conv, nn.Conv2d)
        if not conv.weight.is_meta:
            nn.init.normal_(conv.weight, std=0.01)
