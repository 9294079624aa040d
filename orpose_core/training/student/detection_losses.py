"""The loss terms of Faster R-CNN for training the student.

ORPose Sect. 2.3: "the bounding box classification and regression loss, and the region proposal loss".
The settings are those of detectron2, which the paper used. Boxes are in continuous px of the network's image.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional
from torchvision.ops import box_iou

from orpose_core.models.student.heads import BoxHead
from orpose_core.models.student.rpn import AnchorOutput, encode_boxes


@dataclass(frozen=True)
class DetectionLossConfig:
    """Settings that determine how anchors and proposals become training examples.

    Attributes:
        anchors: number of anchors sampled from each image, at most half of them positive.
        negative_iou: an anchor with a lower IoU is background.
        positive_iou: an anchor with at least this IoU is a person, as is the best anchor of each person.
            Anchors in between are not used.
        regions: number of proposals sampled from each image.
        positive_regions: largest share of proposals that are people.
        region_iou: a proposal with at least this IoU is a person.
        box_beta: error at which the smooth L1 loss of the box head changes from quadratic to linear.
    """

    anchors: int = 256
    negative_iou: float = 0.3
    positive_iou: float = 0.7
    regions: int = 512
    positive_regions: float = 0.25
    region_iou: float = 0.5
    box_beta: float = 0.5


class Regions(NamedTuple):
    """The proposals of one image that train its heads.

    Attributes:
        boxes: float32 (P, 4), x1 y1 x2 y2, continuous px.
        person: int64 (P,), index of the labelled person, -1 for background.
    """

    boxes: Tensor
    person: Tensor


def match_anchors(boxes: Tensor, anchors: Tensor, config: DetectionLossConfig) -> Tensor:
    """Return int64 (A,): the index of the person of each anchor, -1 for background, -2 for unused anchors.

    Args:
        boxes: (m, 4), boxes of the labelled people.
        anchors: (A, 4).
        config: thresholds.
    """
    if len(boxes) == 0:
        return torch.full((len(anchors),), -1, device=anchors.device)
    iou = box_iou(boxes, anchors)  # (m, A)
    best, person = iou.max(dim=0)
    result = torch.where(best < config.negative_iou, -1, -2)
    positive = best >= config.positive_iou
    highest = iou.max(dim=1, keepdim=True).values
    positive |= ((iou == highest) & (highest > 0)).any(dim=0)
    return torch.where(positive, person, result)


def sample(person: Tensor, count: int, most_positive: int) -> Tensor:
    """Return the indices of at most ``count`` examples, drawn from the positive ones and the background."""
    positive, negative = torch.nonzero(person >= 0)[:, 0], torch.nonzero(person == -1)[:, 0]
    chosen = positive[torch.randperm(len(positive), device=person.device)[: min(most_positive, count)]]
    rest = torch.randperm(len(negative), device=person.device)[: count - len(chosen)]
    return torch.cat([chosen, negative[rest]])


def proposal_losses(
    output: AnchorOutput, boxes: Sequence[Tensor], config: DetectionLossConfig
) -> dict[str, Tensor]:
    """Return the region proposal loss: cross-entropy of the logits, L1 of the deltas of positive anchors.

    Args:
        output: output of the region proposal network.
        boxes: boxes of the labelled people, (m, 4) for each image.
        config: see :class:`DetectionLossConfig`.
    """
    objectness, location = output.logits.sum() * 0, output.deltas.sum() * 0
    for logits, deltas, people in zip(output.logits, output.deltas, boxes, strict=True):
        person = match_anchors(people, output.anchors, config)
        index = sample(person, config.anchors, config.anchors // 2)
        wanted = (person[index] >= 0).to(logits.dtype)
        objectness = objectness + functional.binary_cross_entropy_with_logits(
            logits[index], wanted, reduction="sum"
        )
        positive = index[person[index] >= 0]
        if len(positive):
            target = encode_boxes(people[person[positive]], output.anchors[positive])
            location = location + functional.l1_loss(deltas[positive], target, reduction="sum")
    examples = config.anchors * len(boxes)
    return {"rpn_objectness": objectness / examples, "rpn_box": location / examples}


@torch.no_grad()
def sample_regions(
    proposals: Sequence[Tensor], boxes: Sequence[Tensor], config: DetectionLossConfig
) -> list[Regions]:
    """Draw the proposals that train the heads; the labelled boxes themselves are added to the proposals."""
    result = []
    for candidates, people in zip(proposals, boxes, strict=True):
        candidates = torch.cat([candidates, people])
        person = torch.full((len(candidates),), -1, device=candidates.device)
        if len(people):
            best, nearest = box_iou(people, candidates).max(dim=0)
            person = torch.where(best >= config.region_iou, nearest, person)
        index = sample(person, config.regions, int(config.regions * config.positive_regions))
        result.append(Regions(candidates[index], person[index]))
    return result


def box_losses(
    logits: Tensor,
    deltas: Tensor,
    regions: Sequence[Regions],
    boxes: Sequence[Tensor],
    config: DetectionLossConfig,
) -> dict[str, Tensor]:
    """Return the box head's losses: cross-entropy over all regions, smooth L1 over those that are people.

    Args:
        logits: (P, 2), person and background, of the regions of all images, concatenated.
        deltas: (P, 4), of the same regions.
        regions: regions from :func:`sample_regions`.
        boxes: boxes of the labelled people, (m, 4) for each image.
        config: see :class:`DetectionLossConfig`.
    """
    person = torch.cat([r.person for r in regions])
    background = (person < 0).long()
    positive = person >= 0
    target_boxes = torch.cat([b[r.person[r.person >= 0]] for r, b in zip(regions, boxes, strict=True)])
    source_boxes = torch.cat([r.boxes[r.person >= 0] for r in regions])
    targets = encode_boxes(target_boxes, source_boxes, BoxHead.weights)
    location = functional.smooth_l1_loss(deltas[positive], targets, reduction="sum", beta=config.box_beta)
    count = max(len(person), 1)
    class_loss = functional.cross_entropy(logits, background, reduction="sum") / count
    return {"box_class": class_loss, "box": location / count}
