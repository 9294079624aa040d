"""The region proposal network (Ren et al. 2015) on a feature pyramid, with detectron2's conventions.

Boxes are (x1, y1, x2, y2) in continuous px of the image that enters: pixel i covers [i, i + 1].
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional
from torchvision.ops import batched_nms

from orpose_core.models.student.backbone import PYRAMID_STRIDES, in_float32
from orpose_core.models.student.config import StudentConfig

_LARGEST_LOG_SCALE = math.log(1000.0 / 16)
"""A box grows at most this much: exp of more would overflow early in training."""


def decode_boxes(
    deltas: Tensor, boxes: Tensor, weights: tuple[float, float, float, float] = (1.0, 1.0, 1.0, 1.0)
) -> Tensor:
    """Apply deltas (..., 4) to boxes (..., 4): shift of the centre in sides of the box, log of the scale."""
    size = boxes[..., 2:] - boxes[..., :2]
    centre = boxes[..., :2] + 0.5 * size
    shift = deltas[..., :2] / deltas.new_tensor(weights[:2])
    log_scale = (deltas[..., 2:] / deltas.new_tensor(weights[2:])).clamp(max=_LARGEST_LOG_SCALE)
    new_centre = shift * size + centre
    new_size = torch.exp(log_scale) * size
    return torch.cat([new_centre - 0.5 * new_size, new_centre + 0.5 * new_size], dim=-1)


def encode_boxes(
    targets: Tensor, boxes: Tensor, weights: tuple[float, float, float, float] = (1.0, 1.0, 1.0, 1.0)
) -> Tensor:
    """Return the deltas (R, 4) with which :func:`decode_boxes` turns ``boxes`` into ``targets``."""
    size, target_size = boxes[:, 2:] - boxes[:, :2], targets[:, 2:] - targets[:, :2]
    shift = ((targets[:, :2] + 0.5 * target_size) - (boxes[:, :2] + 0.5 * size)) / size
    log_scale = torch.log(target_size / size)
    return torch.cat([shift, log_scale], dim=1) * boxes.new_tensor(weights)


def clip_boxes(boxes: Tensor, image_hw: tuple[int, int]) -> Tensor:
    """Return boxes (..., 4) cut to the image."""
    height, width = image_hw
    limits = boxes.new_tensor([width, height, width, height])
    return torch.minimum(boxes.clamp(min=0), limits)


class AnchorOutput(NamedTuple):
    """The network's answer for every anchor, all levels in a row (finest first; then row, column, ratio).

    Attributes:
        anchors: (A, 4) px.
        logits: (B, A), is there an object.
        deltas: (B, A, 4), see :func:`decode_boxes`.
        level_counts: anchors of each level.
    """

    anchors: Tensor
    logits: Tensor
    deltas: Tensor
    level_counts: tuple[int, ...]


def pyramid_anchors(
    features: Sequence[Tensor], sizes_px: Sequence[float], ratios: Sequence[float]
) -> list[Tensor]:
    """Return the anchors (h w ratios, 4) of each level: centred on cell corners, sides not rounded.

    Args:
        features: p2 to p6, each (B, c, h, w).
        sizes_px: side of the square anchor of each level.
        ratios: height over width.
    """
    levels = []
    for x, stride, side in zip(features, PYRAMID_STRIDES, sizes_px, strict=True):
        widths = [math.sqrt(side**2 / ratio) for ratio in ratios]
        halves = [(-w / 2, -r * w / 2, w / 2, r * w / 2) for w, r in zip(widths, ratios, strict=True)]
        cell = torch.tensor(halves, dtype=torch.float32, device=x.device)  # (ratios, 4)
        y = torch.arange(x.shape[-2], device=x.device, dtype=torch.float32) * stride
        x_ = torch.arange(x.shape[-1], device=x.device, dtype=torch.float32) * stride
        y, x_ = torch.meshgrid(y, x_, indexing="ij")
        corner = torch.stack([x_, y, x_, y], dim=-1)[:, :, None]  # (h, w, 1, 4)
        levels.append((corner + cell).view(-1, 4))
    return levels


def judge_anchors(
    features: Sequence[Tensor],
    layers: tuple[nn.Module, nn.Module, nn.Module],
    sizes_px: Sequence[float],
    ratios: Sequence[float],
) -> AnchorOutput:
    """Return the layers' answer for every anchor, in float32.

    Args:
        features: p2 to p6, each (B, c, h, w).
        layers: the shared 3x3 convolution, and the 1x1 ones for logits and deltas.
        sizes_px: see :func:`pyramid_anchors`.
        ratios: the same.
    """
    conv, to_logits, to_deltas = layers
    logits, deltas = [], []
    for x in features:
        t = functional.relu(conv(x))
        with in_float32(t):  # a box needs more digits than a bfloat16 has
            logits.append(to_logits(t.float()).permute(0, 2, 3, 1).flatten(1))  # (B, h w ratios)
            d = to_deltas(t.float())  # (B, ratios 4, h, w)
        deltas.append(d.permute(0, 2, 3, 1).reshape(len(d), -1, 4))  # (B, h w ratios, 4)
    anchors = pyramid_anchors(features, sizes_px, ratios)
    return AnchorOutput(
        torch.cat(anchors), torch.cat(logits, dim=1), torch.cat(deltas, dim=1), tuple(len(a) for a in anchors)
    )


@torch.no_grad()
def select_proposals(
    output: AnchorOutput, image_hw: tuple[int, int], per_level: int, most: int, nms_iou: float
) -> list[Tensor]:
    """Return the proposals (P, 4) of each image, best first.

    The best of each level are suppressed within the level, and the best of all are kept. No gradient
    flows through their coordinates, as in Faster R-CNN.

    Args:
        output: the network's answer for the anchors.
        image_hw: (height, width) that proposals are cut to.
        per_level: anchors of a level that are looked at.
        most: proposals kept.
        nms_iou: boxes overlapping more than this are one proposal.
    """
    chosen, level = [], []
    start = 0
    for i, count in enumerate(output.level_counts):
        top = output.logits[:, start : start + count].topk(min(count, per_level), dim=1).indices + start
        chosen.append(top)  # (B, k)
        level += [i] * top.shape[1]
        start += count
    levels = torch.tensor(level, device=output.logits.device)
    index = torch.cat(chosen, dim=1)  # (B, K)
    result = []
    for logits, deltas, kept in zip(output.logits, output.deltas, index, strict=True):
        boxes = clip_boxes(decode_boxes(deltas[kept], output.anchors[kept]), image_hw)
        fine = torch.isfinite(boxes).all(dim=1) & torch.isfinite(logits[kept])
        fine &= (boxes[:, 2:] > boxes[:, :2]).all(dim=1)
        boxes, scores, of_level = boxes[fine], logits[kept][fine], levels[fine]
        best = batched_nms(boxes, scores, of_level, nms_iou)[:most]
        result.append(boxes[best])
    return result


class RegionProposals(nn.Module):
    """Which of the anchors hold an object, and where exactly."""

    def __init__(self, config: StudentConfig) -> None:
        super().__init__()
        ratios, channels = len(config.anchor_ratios), config.fpn_channels
        self.config = config
        self.conv = nn.Conv2d(channels, channels, kernel_size=3, padding=1)
        self.logits = nn.Conv2d(channels, ratios, kernel_size=1)
        self.deltas = nn.Conv2d(channels, 4 * ratios, kernel_size=1)
        for layer in (self.conv, self.logits, self.deltas):
            nn.init.normal_(layer.weight, std=0.01)
            assert layer.bias is not None
            nn.init.zeros_(layer.bias)

    def forward(self, features: Sequence[Tensor]) -> AnchorOutput:
        """Return logits and deltas in float32 for p2 to p6, each (B, c, h, w)."""
        layers = (self.conv, self.logits, self.deltas)
        return judge_anchors(features, layers, self.config.anchor_sizes_px, self.config.anchor_ratios)

    def select(self, output: AnchorOutput, image_hw: tuple[int, int], training: bool) -> list[Tensor]:
        """Return the proposals (P, 4) of each image, best first; see :func:`select_proposals`."""
        config = self.config
        per_level = config.train_proposals_per_level if training else config.proposals_per_level
        most = config.train_proposals if training else config.proposals
        return select_proposals(output, image_hw, per_level, most, config.proposal_nms_iou)
