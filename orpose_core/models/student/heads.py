"""What the student does with a region: the box head and the keypoint head of Sect. 2.3, and RoIAlign."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional
from torchvision.ops import roi_align

from orpose_core.models.student.backbone import PYRAMID_STRIDES, in_float32
from orpose_core.models.student.config import StudentConfig

_CANONICAL_LEVEL, _CANONICAL_SIDE_PX = 4, 224.0
"""A box of ImageNet's size is read from p4 (Lin et al. 2017, eq. 1)."""


def pool_regions(features: Sequence[Tensor], boxes: Sequence[Tensor], grid: int) -> Tensor:
    """Return the features (R, c, grid, grid) under the boxes, each from the level that fits its size.

    RoIAlign with half-pixel correct corners and as many samples as a bin has cells.

    Args:
        features: p2 to p5, each (B, c, h, w).
        boxes: for each image (R_i, 4), continuous px.
        grid: bins per side.
    """
    counts = [len(b) for b in boxes]
    flat = torch.cat(list(boxes)).float()  # (R, 4)
    image = torch.repeat_interleave(
        torch.arange(len(boxes), device=flat.device), torch.tensor(counts, device=flat.device)
    )
    rois = torch.cat([image[:, None].to(flat.dtype), flat], dim=1)  # (R, 5)
    side = torch.sqrt((flat[:, 2] - flat[:, 0]) * (flat[:, 3] - flat[:, 1]))
    level = torch.floor(_CANONICAL_LEVEL + torch.log2(side / _CANONICAL_SIDE_PX + 1e-8))
    level = level.clamp(2, 1 + len(features)).long() - 2  # (R,)
    pooled = flat.new_zeros(len(flat), features[0].shape[1], grid, grid)
    for i, x in enumerate(features):
        here = torch.nonzero(level == i)[:, 0]
        # In float32: a box in half precision would be off by px.
        part = roi_align(
            x.float(), rois[here], grid, 1.0 / PYRAMID_STRIDES[i], sampling_ratio=0, aligned=True
        )
        pooled = pooled.index_put((here,), part)
    return pooled


class BoxHead(nn.Module):
    """Two fully connected layers: is this region a person, and where exactly."""

    weights = (10.0, 10.0, 5.0, 5.0)
    """Scale of the deltas, see :func:`student_rpn.decode_boxes`."""

    def __init__(self, config: StudentConfig) -> None:
        super().__init__()
        self.fc1 = nn.Linear(config.fpn_channels * config.box_pool**2, config.box_channels)
        self.fc2 = nn.Linear(config.box_channels, config.box_channels)
        self.logits = nn.Linear(config.box_channels, 2)  # person, background
        self.deltas = nn.Linear(config.box_channels, 4)
        for layer in (self.fc1, self.fc2):
            nn.init.kaiming_uniform_(layer.weight, a=1)
        nn.init.normal_(self.logits.weight, std=0.01)
        nn.init.normal_(self.deltas.weight, std=0.001)
        for layer in (self.fc1, self.fc2, self.logits, self.deltas):
            nn.init.zeros_(layer.bias)

    def forward(self, pooled: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits (R, 2) of person and background, and deltas (R, 4), both float32."""
        x = functional.relu(self.fc1(pooled.flatten(1)))  # (R, 12544) -> (R, 1024)
        x = functional.relu(self.fc2(x))
        with in_float32(x):
            return self.logits(x.float()), self.deltas(x.float())


class BranchMaps(NamedTuple):
    """HM_soft and HM_hard of each region, logits (R, 17, 56, 56); the same tensor in a single-branch network.

    A map covers its box: its pixel i of S has its centre at ``x1 + (i + 0.5) (x2 - x1) / S``.
    """

    soft: Tensor
    hard: Tensor

    @property
    def mean(self) -> Tensor:
        """The mean of both maps, from which the 2D keypoints come."""
        return self.soft if self.soft is self.hard else (self.hard + self.soft) / 2.0


class KeypointHead(nn.Module):
    """Eight convolutions, then a deconvolution and a bilinear upsampling for each branch."""

    def __init__(self, config: StudentConfig) -> None:
        super().__init__()
        channels = [config.fpn_channels] + [config.keypoint_channels] * config.keypoint_convs
        self.convs = nn.Sequential(
            *(
                layer
                for a, b in pairwise(channels)
                for layer in (nn.Conv2d(a, b, kernel_size=3, padding=1), nn.ReLU(inplace=True))
            )
        )
        names = ("soft", "hard") if config.branches == "soft_hard" else ("single",)
        self.deconvs = nn.ModuleDict(
            {n: nn.ConvTranspose2d(channels[-1], config.keypoints, 4, stride=2, padding=1) for n in names}
        )
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
                assert module.bias is not None
                nn.init.zeros_(module.bias)

    def forward(self, pooled: Tensor) -> BranchMaps:
        """Return the maps of pooled features (R, 256, 14, 14), in float32."""
        x = self.convs(pooled)  # (R, 512, 14, 14)
        with in_float32(x):
            maps = {
                name: functional.interpolate(
                    deconv(x.float()), scale_factor=2, mode="bilinear", align_corners=False
                )  # (R, 17, 28, 28) -> (R, 17, 56, 56)
                for name, deconv in self.deconvs.items()
            }
        single = maps.get("single")
        return BranchMaps(maps["soft"], maps["hard"]) if single is None else BranchMaps(single, single)
