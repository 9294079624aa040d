"""Cascade Mask R-CNN (Cai and Vasconcelos, 2019), the person detector of ORPose's teacher (Sect. 2.2).

The network of detectron2's model zoo with its parameter names, called as torchvision's detection models are.
Boxes, and the px they are in, are continuous: pixel i covers [i, i + 1].
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional
from torchvision.ops import batched_nms

from orpose_core.models.cascade.backbone import CascadeBackbone, NormedConv
from orpose_core.models.cascade.config import CascadeConfig
from orpose_core.models.student.heads import pool_regions
from orpose_core.models.student.rpn import (
    AnchorOutput,
    clip_boxes,
    decode_boxes,
    judge_anchors,
    select_proposals,
)

_PADDED_MULTIPLE = 32
"""The deepest features of the trunk are at 1/32, and each pyramid level must be twice the one below."""


class ProposalHead(nn.Module):
    """Which of the anchors hold an object, and where exactly."""

    def __init__(self, config: CascadeConfig) -> None:
        super().__init__()
        ratios, channels = len(config.anchor_ratios), config.pyramid_channels
        self.config = config
        self.conv = nn.Conv2d(channels, channels, kernel_size=3, padding=1)
        self.objectness_logits = nn.Conv2d(channels, ratios, kernel_size=1)
        self.anchor_deltas = nn.Conv2d(channels, 4 * ratios, kernel_size=1)

    def forward(self, features: Sequence[Tensor]) -> AnchorOutput:
        """Return logits and deltas of every anchor of p2 to p6, each (B, c, h, w)."""
        layers = (self.conv, self.objectness_logits, self.anchor_deltas)
        return judge_anchors(features, layers, self.config.anchor_sizes_px, self.config.anchor_ratios)


class ProposalGenerator(nn.Module):
    """The region proposal network."""

    def __init__(self, config: CascadeConfig) -> None:
        super().__init__()
        self.config = config
        self.rpn_head = ProposalHead(config)

    def forward(self, features: Sequence[Tensor], image_hw: tuple[int, int]) -> list[Tensor]:
        """Return the proposals (P, 4) of each image, best first."""
        config = self.config
        return select_proposals(
            self.rpn_head(features),
            image_hw,
            config.proposals_per_level,
            config.proposals,
            config.proposal_nms_iou,
        )


def _head_conv(in_channels: int, channels: int, groups: int) -> NormedConv:
    return NormedConv(in_channels, channels, 3, nn.GroupNorm(groups, channels))


class CascadeBoxHead(nn.Module):
    """What one head of the cascade sees in a region: convolutions, each normalised in groups, and a layer."""

    def __init__(self, config: CascadeConfig) -> None:
        super().__init__()
        channels = config.pyramid_channels
        self.convs = [f"conv{k + 1}" for k in range(config.box_convs)]
        for name in self.convs:
            self.add_module(name, _head_conv(channels, config.box_channels, config.norm_groups))
            channels = config.box_channels
        self.fc1 = nn.Linear(channels * config.box_pool**2, config.box_features)
        nn.init.kaiming_normal_(self.fc1.weight, nonlinearity="relu")

    def forward(self, pooled: Tensor) -> Tensor:
        """Return (R, box_features) of pooled features (R, pyramid_channels, 7, 7)."""
        x = pooled
        for name in self.convs:
            x = functional.relu(self.get_submodule(name)(x))  # (R, box_channels, 7, 7)
        return functional.relu(self.fc1(x.flatten(1)))


class CascadeBoxPredictor(nn.Module):
    """The answer of one head of the cascade for a region: its class, and one refined box for all classes."""

    def __init__(self, config: CascadeConfig) -> None:
        super().__init__()
        self.cls_score = nn.Linear(config.box_features, config.classes + 1)  # background last
        self.bbox_pred = nn.Linear(config.box_features, 4)
        # Nothing is trained from these: they let a random network find people, surer of some than of others.
        nn.init.normal_(self.cls_score.weight, std=4.0 * config.box_features**-0.5)
        with torch.no_grad():
            self.cls_score.bias[0] = 7.0

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits (R, classes + 1) and deltas (R, 4)."""
        return self.cls_score(x), self.bbox_pred(x)


class CascadeMaskHead(nn.Module):
    """The outline of each region. A detector of people does not run it; the published weights hold it."""

    def __init__(self, config: CascadeConfig) -> None:
        super().__init__()
        channels = config.pyramid_channels
        self.convs = [f"mask_fcn{k + 1}" for k in range(config.mask_convs)]
        for name in self.convs:
            self.add_module(name, _head_conv(channels, config.mask_channels, config.norm_groups))
            channels = config.mask_channels
        self.deconv = nn.ConvTranspose2d(channels, config.mask_channels, kernel_size=2, stride=2)
        self.predictor = nn.Conv2d(config.mask_channels, config.classes, kernel_size=1)

    def forward(self, pooled: Tensor) -> Tensor:
        """Return logits (R, classes, 28, 28) of pooled features (R, pyramid_channels, 14, 14)."""
        x = pooled
        for name in self.convs:
            x = functional.relu(self.get_submodule(name)(x))  # (R, mask_channels, 14, 14)
        return self.predictor(functional.relu(self.deconv(x)))


class Detections(NamedTuple):
    """What was found in an image, best first.

    Attributes:
        boxes: (m, 4), x1 y1 x2 y2, inside the image.
        scores: (m,), in [0, 1].
        classes: int64 (m,), 0 is the person.
    """

    boxes: Tensor
    scores: Tensor
    classes: Tensor


class CascadeHeads(nn.Module):
    """Three box heads in a row, each starting from the boxes of the one before, and the mask head."""

    def __init__(self, config: CascadeConfig) -> None:
        super().__init__()
        self.config = config
        self.box_head = nn.ModuleList(CascadeBoxHead(config) for _ in config.box_weights)
        self.box_predictor = nn.ModuleList(CascadeBoxPredictor(config) for _ in config.box_weights)
        self.mask_head = CascadeMaskHead(config)

    def forward(
        self, features: Sequence[Tensor], proposals: Tensor, image_hw: tuple[int, int]
    ) -> tuple[Tensor, Tensor]:
        """Return where the last head sees each region, and what all heads on average say that it is.

        Args:
            features: p2 to p5 of one image, each (1, c, h, w).
            proposals: (P, 4).
            image_hw: size of the image before it was padded.

        Returns:
            Boxes (P, 4) inside the image, and probabilities (P, classes + 1), background last.
        """
        boxes, probabilities = proposals, []
        for head, predictor, weights in zip(
            self.box_head, self.box_predictor, self.config.box_weights, strict=True
        ):
            logits, deltas = predictor(head(pool_regions(features, [boxes], self.config.box_pool)))
            probabilities.append(functional.softmax(logits, dim=-1))
            boxes = clip_boxes(decode_boxes(deltas, boxes, weights), image_hw)
        return boxes, sum(probabilities[1:], probabilities[0]) * (1.0 / len(probabilities))

    def suppress(self, boxes: Tensor, probabilities: Tensor) -> Detections:
        """Return what is found in the image; a box may be found as several classes.

        Args:
            boxes: (P, 4).
            probabilities: (P, classes + 1), background last.
        """
        config = self.config
        sound = torch.isfinite(boxes).all(dim=1) & torch.isfinite(probabilities).all(dim=1)
        boxes, scores = boxes[sound], probabilities[sound, :-1]
        region, classes = torch.nonzero(scores > config.score_threshold, as_tuple=True)
        boxes, scores = boxes[region], scores[region, classes]
        best = batched_nms(boxes, scores, classes, config.box_nms_iou)[: config.detections]
        return Detections(boxes[best], scores[best], classes[best])


class ShortestSide:
    """Resizes an image so that its shorter side has a length; named as torchvision's transform.

    Attributes:
        min_size: the length of the shorter side, px, as a tuple of one.
        max_size: the longer side gets no longer than this.
    """

    def __init__(self, min_size: int, max_size: int) -> None:
        self.min_size: tuple[int, ...] = (min_size,)
        self.max_size = max_size

    def size_hw(self, image_hw: tuple[int, int]) -> tuple[int, int]:
        """Return the (height, width) that an image of this size gets; halves are rounded up."""
        scale = self.min_size[0] / min(image_hw)
        sides = [float(self.min_size[0]) if s == min(image_hw) else scale * s for s in image_hw]
        if max(sides) > self.max_size:
            shrink = self.max_size / max(sides)
            sides = [s * shrink for s in sides]
        height, width = (max(1, int(s + 0.5)) for s in sides)
        return height, width

    def __call__(self, image: Tensor) -> Tensor:
        """Return grey levels float32 (3, h, w), 0 to 255, whole, of float (3, H, W) in [0, 1].

        Interpolated by Pillow and rounded to 8 bit after each axis, as in training.
        """
        height, width = self.size_hw((int(image.shape[-2]), int(image.shape[-1])))
        levels = (image * 255.0).round().to(torch.uint8).permute(1, 2, 0).cpu().numpy()
        resized = Image.fromarray(np.ascontiguousarray(levels)).resize(
            (width, height), Image.Resampling.BILINEAR
        )
        return torch.from_numpy(np.array(resized)).to(image.device).permute(2, 0, 1).float()


class CascadeRcnn(nn.Module):
    """Finds 80 kinds of objects; called as a detection model of torchvision, for evaluation only."""

    def __init__(self, config: CascadeConfig) -> None:
        super().__init__()
        self.config = config
        self.transform = ShortestSide(config.short_side_px, config.long_side_px)
        self.backbone = CascadeBackbone(config)
        self.proposal_generator = ProposalGenerator(config)
        self.roi_heads = CascadeHeads(config)

    def features(self, image: Tensor) -> tuple[Tensor, ...]:
        """Return p2 to p6 of an RGB image float (3, h, w) in grey levels, padded to multiples of 32."""
        x = image[None].flip(1)  # (1, 3, h, w), blue first
        mean, std = (x.new_tensor(v).view(3, 1, 1) for v in (self.config.pixel_mean, self.config.pixel_std))
        x = (x - mean) / std
        height, width = x.shape[-2:]
        x = functional.pad(x, (0, -width % _PADDED_MULTIPLE, 0, -height % _PADDED_MULTIPLE))
        return self.backbone(x)

    def detect(self, image: Tensor) -> Detections:
        """Return what is in an RGB image float (3, h, w) in grey levels of 0 to 255, at its own size."""
        image_hw = (int(image.shape[-2]), int(image.shape[-1]))
        features = self.features(image)
        (proposals,) = self.proposal_generator(features, image_hw)
        return self.roi_heads.suppress(*self.roi_heads(features[:4], proposals, image_hw))

    def forward(self, images: Sequence[Tensor]) -> list[dict[str, Tensor]]:
        """Return boxes, scores and labels (1 is the person) of each image, best first.

        One image after the other: what is found does not depend on its neighbours in a batch, and the memory
        is that of one.

        Args:
            images: RGB, each float (3, H, W) in [0, 1].

        Returns:
            For each image ``boxes`` (m, 4) in its own px, ``scores`` (m,) and ``labels`` (m,).
        """
        found = []
        for image in images:
            resized = self.transform(image)
            boxes, scores, classes = self.detect(resized)
            (height, width), (h, w) = image.shape[-2:], resized.shape[-2:]
            boxes = boxes * boxes.new_tensor([width / w, height / h] * 2)
            boxes = clip_boxes(boxes, (int(height), int(width)))
            some = (boxes[:, 2:] > boxes[:, :2]).all(dim=1)
            found.append({"boxes": boxes[some], "scores": scores[some], "labels": classes[some] + 1})
        return found
