"""A person detector small enough to be trained on a few processor cores, built of torchvision's parts.

FCOS (Tian et al., ICCV 2019) on a narrow residual network. It has no anchors to tune and no second stage, and
its group-normalised heads learn from small batches, so it comes a long way from random weights.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torchvision.models.detection import FCOS
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.backbone_utils import BackboneWithFPN
from torchvision.models.detection.fcos import FCOSHead
from torchvision.models.resnet import BasicBlock
from torchvision.ops.feature_pyramid_network import LastLevelMaxPool

_WIDTHS = (32, 64, 128, 256)
_BLOCKS = (1, 1, 2, 2)
_PYRAMID_CHANNELS = 96
_HEAD_CONVOLUTIONS = 2
_STRIDES = (16, 32, 64)
INPUT_HW = (240, 320)
"""Images are brought to this size, their shape kept."""


class SingleStageDetector(FCOS):
    """FCOS whose losses are computed in float32, also where the network computes in bf16."""

    def compute_loss(
        self,
        targets: list[dict[str, Tensor]],
        head_outputs: dict[str, Tensor],
        anchors: list[Tensor],
        num_anchors_per_level: list[int],
    ) -> dict[str, Tensor]:
        """Return the parts of the loss: classes, boxes, centreness."""
        outputs = {name: value.float() for name, value in head_outputs.items()}
        with torch.autocast(anchors[0].device.type, enabled=False):
            return super().compute_loss(targets, outputs, anchors, num_anchors_per_level)


def _residual(channels_in: int, channels: int, blocks: int, stride: int) -> nn.Sequential:
    shortcut = None
    if stride > 1 or channels_in != channels:
        shortcut = nn.Sequential(
            nn.Conv2d(channels_in, channels, 1, stride, bias=False), nn.BatchNorm2d(channels)
        )
    first = BasicBlock(channels_in, channels, stride, shortcut)
    return nn.Sequential(first, *(BasicBlock(channels, channels) for _ in range(blocks - 1)))


def _body() -> nn.Sequential:
    """Return a residual network with half of ResNet-18's channels; layer k leaves at a stride of 2^(k+1)."""
    body = nn.Sequential()
    body.add_module("stem", nn.Sequential(
        nn.Conv2d(3, _WIDTHS[0], 7, 2, 3, bias=False), nn.BatchNorm2d(_WIDTHS[0]), nn.ReLU(inplace=True),
        nn.MaxPool2d(3, 2, 1),
    ))  # fmt: skip
    channels = _WIDTHS[0]
    for number, (width, blocks) in enumerate(zip(_WIDTHS, _BLOCKS, strict=True), start=1):
        body.add_module(f"layer{number}", _residual(channels, width, blocks, 1 if number == 1 else 2))
        channels = width
    for module in body.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
    return body


def fcos_small(num_classes: int = 2) -> SingleStageDetector:
    """Return the detector with random weights: 3.5 M parameters, images brought to 320x240.

    It looks for people of about 30 px and more of that size: strides 16, 32 and 64.

    Args:
        num_classes: with the background; 2 = people alone.
    """
    backbone = BackboneWithFPN(
        _body(), {"layer3": "0", "layer4": "1"}, list(_WIDTHS[2:]), _PYRAMID_CHANNELS, LastLevelMaxPool()
    )
    anchors = AnchorGenerator(tuple((stride,) for stride in _STRIDES), ((1.0,),) * len(_STRIDES))
    return SingleStageDetector(
        backbone,
        num_classes,
        min_size=min(INPUT_HW),
        max_size=max(INPUT_HW),
        anchor_generator=anchors,
        head=FCOSHead(_PYRAMID_CHANNELS, 1, num_classes, num_convs=_HEAD_CONVOLUTIONS),
        score_thresh=0.05,
        nms_thresh=0.5,  # no more than what the views of one image are merged by
        topk_candidates=300,
    )


SMALL_DETECTORS: dict[str, Callable[..., Any]] = {"fcos_small": fcos_small}
"""By name, as torchvision's own are."""
