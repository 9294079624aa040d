"""FastPose: the maps of DepthPose for an eighth of the work, so that a processor keeps up with a camera.

This network is ours; neither paper has it. From them it takes what surrounds it: the low-resolution depth
image that enters, the maps that leave (38 part affinity fields and 19 keypoint maps, Cao et al. 2017), a loss
on the maps of every stage, and a second stage that sees the first one's belief. What is different:

* It works at the resolution of the input and below. DepthPose extracts features from an image eight times as
  large, and its refinement stages see far by 7x7 convolutions: 23.5 GFLOPs at a quarter of its width, where
  FastPose needs 3.0.
* A stage is an hourglass (Newell et al. 2016): features at 1, 1/2, 1/4 and 1/8 of the size, back up with
  lateral connections, so that a cell sees the whole image after few layers.
* Residual blocks (He et al. 2016) in place of VGG's plain convolutions.
* A validity channel beside the depth: 1 where the camera gave a distance. In depth alone "no return" is 0,
  which is also the nearest that a surface can be.
* Where asked for, a map per joint of the probability that the camera sees the joint, rather than that its
  place was inferred.
* Where asked for, a super-resolved image while it is trained, which L_HR compares as in DepthPose. There the
  pose is found in the super-resolved features; here they only teach the features that the pose is found in.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from orpose_core.models.config import MapConfig
from orpose_core.models.layers import c1, c3, check_images, init_map_layers, init_trunk, with_relu
from orpose_core.models.maps import PoseMaps, StageMaps

_MOST_CHANNELS = 4096
_MOST_STAGES = 16
_LARGEST_DILATION = 16
_LARGEST_SR_SCALE = 8
_JOINT_MAPS_BESIDE = 1  # the background has no visibility


@dataclass(frozen=True)
class FastPoseConfig(MapConfig):
    """All that is needed to build a FastPose network again; stored in its checkpoint.

    Attributes:
        architecture: always ``"fastpose"``.
        widths: channels at 1, 1/2, 1/4 ... of the image's size; as many levels as there are numbers.
        stages: hourglasses, each with maps and a loss of its own.
        stem_channels: channels of the first convolution.
        head_channels: channels between an hourglass and its maps.
        validity: whether the network also receives a mask of the pixels that have a depth.
        visibility: whether the last stage gives visibility maps.
        dilations: of the 3x3 convolutions of each level; empty = 1 in all of them.
        sr_scale: how much larger than the input the super-resolved image is that the last stage gives while
            it is trained; 0 = it gives none.
    """

    architecture: Literal["fastpose"] = "fastpose"
    widths: tuple[int, ...] = (48, 96, 160, 192)
    stages: int = 2
    stem_channels: int = 32
    head_channels: int = 64
    validity: bool = True
    visibility: bool = False
    dilations: tuple[int, ...] = ()
    sr_scale: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check_choice("architecture", ("fastpose",))
        if not self.widths or not all(0 < n <= _MOST_CHANNELS for n in self.widths):
            raise ValueError(
                f"FastPoseConfig.widths: expected at least one number of 1 to {_MOST_CHANNELS}, "
                f"got {self.widths}"
            )
        if not 1 <= self.stages <= _MOST_STAGES:
            raise ValueError(f"FastPoseConfig.stages: expected 1 to {_MOST_STAGES}, got {self.stages}")
        if self.dilations and len(self.dilations) != len(self.widths):
            raise ValueError(
                f"FastPoseConfig.dilations: expected one for each of {self.widths}, got {self.dilations}"
            )
        if not all(1 <= n <= _LARGEST_DILATION for n in self.dilations):
            raise ValueError(
                f"FastPoseConfig.dilations: expected 1 to {_LARGEST_DILATION}, got {self.dilations}"
            )
        if not 0 <= self.sr_scale <= _LARGEST_SR_SCALE:
            raise ValueError(
                f"FastPoseConfig.sr_scale: expected 0 to {_LARGEST_SR_SCALE}, got {self.sr_scale}"
            )
        for name in ("stem_channels", "head_channels"):
            if not 0 < getattr(self, name) <= _MOST_CHANNELS:
                raise ValueError(
                    f"FastPoseConfig.{name}: expected 1 to {_MOST_CHANNELS}, got {getattr(self, name)}"
                )

    @property
    def gives_visibility(self) -> bool:
        """Whether the network says of each joint if the camera sees it."""
        return self.visibility

    @property
    def gives_sr_image(self) -> bool:
        """Whether an SR image is made while the network is trained, for L_HR."""
        return self.sr_scale > 0

    def without_sr_image(self) -> FastPoseConfig:
        """Return the config of the same network without the layer that makes the SR image."""
        return replace(self, sr_scale=0)


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions beside a shortcut, which is a 1x1 convolution where the channels change.

    Attributes:
        normed: names of the layers without a ReLU of their own that a training normalises, too (see
            :func:`orpose_core.training.depthpose.batch_norm.add_batch_norms`).
    """

    normed = ("second", "shortcut")

    def __init__(self, n1: int, n2: int, dilation: int = 1) -> None:
        super().__init__()
        self.first = nn.Sequential(*with_relu(c3(n1, n2, dilation)))
        self.second = c3(n2, n2, dilation)
        self.shortcut = nn.Identity() if n1 == n2 else c1(n1, n2)

    def forward(self, x: Tensor) -> Tensor:
        """Return float (B, n2, h, w) of float (B, n1, h, w)."""
        return functional.relu(self.second(self.first(x)) + self.shortcut(x))


class Hourglass(nn.Module):
    """Down to the coarsest level and back up to the size of the input.

    Halving rounds up, and going up takes the size of the level that is met there, so any size will do.

    Args:
        widths: channels of each level, finest first.
        dilations: of the 3x3 convolutions of each level; empty = 1 in all of them.
    """

    def __init__(self, widths: Sequence[int], dilations: Sequence[int] = ()) -> None:
        super().__init__()
        above = (widths[0], *widths[:-1])
        dilations = dilations or (1,) * len(widths)
        pairs = list(pairwise(widths))
        self.down = nn.ModuleList(
            ResidualBlock(n1, n2, d) for n1, n2, d in zip(above, widths, dilations, strict=True)
        )
        self.lateral = nn.ModuleList(nn.Sequential(*with_relu(c1(n, n))) for n, _ in pairs)
        self.narrow = nn.ModuleList(nn.Sequential(*with_relu(c1(below, n))) for n, below in pairs)
        self.up = nn.ModuleList(
            ResidualBlock(n, n, d) for (n, _), d in zip(pairs, dilations[:-1], strict=True)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return float (B, widths[0], h, w) of the same."""
        levels = []
        for level, block in enumerate(self.down):
            x = block(functional.max_pool2d(x, 2, ceil_mode=True) if level else x)
            levels.append(x)  # (B, 48, h, w), (B, 96, h/2, w/2), (B, 160, h/4, w/4), (B, 192, h/8, w/8)
        for fine, lateral, narrow, block in zip(
            levels[-2::-1], self.lateral[::-1], self.narrow[::-1], self.up[::-1], strict=True
        ):
            coarse = functional.interpolate(
                narrow(x), size=fine.shape[-2:], mode="bilinear", align_corners=False
            )
            x = block(lateral(fine) + coarse)
        return x


class Head(nn.Module):
    """The maps of one stage."""

    def __init__(self, n: int, config: FastPoseConfig) -> None:
        super().__init__()
        self.hidden = nn.Sequential(*with_relu(c1(n, config.head_channels)))
        self.maps = c1(config.head_channels, config.paf_channels + config.keypoint_channels)

    def forward(self, features: Tensor) -> Tensor:
        """Return PAFs and keypoint maps, float (B, 38 + 19, h, w)."""
        return self.maps(self.hidden(features))


class FastPose(nn.Module):
    """Poses from a low-resolution image at its own resolution; see the top of this file.

    Args:
        config: every number of it.
    """

    def __init__(self, config: FastPoseConfig) -> None:
        super().__init__()
        self.config = config
        n, maps = config.widths[0], config.paf_channels + config.keypoint_channels
        sees_validity = config.validity and config.modality == "depth"
        self.stem = nn.Sequential(
            *with_relu(
                c3(config.in_channels + sees_validity, config.stem_channels), c3(config.stem_channels, n)
            )
        )
        self.hourglasses = nn.ModuleList(
            Hourglass(config.widths, config.dilations) for _ in range(config.stages)
        )
        heads = [Head(n, config) for _ in range(config.stages)]
        self.heads = nn.ModuleList(heads)
        self.beliefs = nn.ModuleList(c1(maps + n, n) for _ in range(config.stages - 1))
        joints = config.keypoint_channels - _JOINT_MAPS_BESIDE
        self.visibility = c1(n, joints) if config.visibility else None
        pixels = config.in_channels * config.sr_scale**2
        self.sr_image = c3(n, pixels) if config.sr_scale else None
        init_trunk(self, "he")
        init_map_layers(*(head.maps for head in heads))
        if self.visibility is not None:
            init_map_layers(self.visibility)
        if self.sr_image is not None:
            init_map_layers(self.sr_image)

    def forward(self, x: Tensor) -> PoseMaps:
        """Return the maps of float images (B, in_channels, h, w) in [0, 1], at the same size.

        The SR image, (B, in_channels, sr_scale h, sr_scale w), is made in training mode only.
        """
        check_images("FastPose", x, self.config.in_channels)
        if self.config.validity and self.config.modality == "depth":
            x = torch.cat([x, (x > 0).to(x.dtype)], dim=1)  # (B, 2, h, w)
        x = self.stem(x)  # (B, 48, h, w)
        stages = []
        for i, (hourglass, head) in enumerate(zip(self.hourglasses, self.heads, strict=True)):
            features = hourglass(x)  # (B, 48, h, w)
            maps = head(features)  # (B, 38 + 19, h, w)
            stages.append(
                StageMaps(*maps.split((self.config.paf_channels, self.config.keypoint_channels), 1))
            )
            if i < len(self.beliefs):
                x = x + self.beliefs[i](
                    torch.cat([maps, features], dim=1)
                )  # (B, 57 + 48, h, w) -> (B, 48, h, w)
        visibility = None if self.visibility is None else self.visibility(features)  # (B, 18, h, w)
        sr_image = None
        if self.training and self.sr_image is not None:
            sr_image = functional.pixel_shuffle(self.sr_image(features), self.config.sr_scale)
        return PoseMaps(tuple(stages), sr_image, visibility)
