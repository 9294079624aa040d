"""The losses of the student on the teacher's soft and hard labels (ORPose Sect. 2.3, "Training")."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from orpose_core.decoding.roi import LIFTER_INPUT, LIFTER_OUTPUT
from orpose_core.models.lifter import LiftingStatistics
from orpose_core.models.student.config import StudentConfig
from orpose_core.models.student.heads import pool_regions
from orpose_core.models.student.network import Student
from orpose_core.skeleton import COCO17, H36M17
from orpose_core.training.student.detection_losses import (
    DetectionLossConfig,
    Regions,
    box_losses,
    proposal_losses,
    sample_regions,
)
from orpose_core.types import Poses, PseudoLabels


@dataclass(frozen=True)
class StudentLossConfig:
    """Weights of the losses. The paper adds the four terms of the keypoint head to those of Faster R-CNN.

    The single-branch rows of Table 3 use a network whose ``branches`` are ``"single"``, with the hard terms,
    the soft terms, or both.

    Attributes:
        soft_2d: weight of the keypoint maps of the soft labels; 0 leaves the term out.
        hard_2d: weight of the keypoint maps of the hard labels; 0 leaves the term out.
        soft_3d: weight of the 3D joints of the soft labels; 0 leaves the term out.
        hard_3d: weight of the 3D joints of the hard labels; 0 leaves the term out.
        detection: weight of the terms of anchors and boxes.
    """

    soft_2d: float = 1.0
    hard_2d: float = 1.0
    soft_3d: float = 1.0
    hard_3d: float = 1.0
    detection: DetectionLossConfig = field(default_factory=DetectionLossConfig)


class LabelSet(NamedTuple):
    """One of the two label sets of an image with m people.

    Attributes:
        keypoints: float32 (m, 17, 3): x and y in continuous px of the network's image, and the confidence (1
            in the hard set); 0 throughout where there is no label.
        lifter_input: float32 (m, 16, 2), continuous px of the lifter's image, NaN = no label.
        lifter_target: float32 (m, 16, 3), metres from the root, NaN = no label.
    """

    keypoints: Tensor
    lifter_input: Tensor
    lifter_target: Tensor

    def to(self, device: torch.device | str) -> LabelSet:
        """Return a copy on another device."""
        return LabelSet(*(t.to(device) for t in self))


class StudentTargets(NamedTuple):
    """The labels of one image: boxes (m, 4) in continuous px of the network's image, soft and hard set."""

    boxes: Tensor
    soft: LabelSet
    hard: LabelSet

    def to(self, device: torch.device | str) -> StudentTargets:
        """Return a copy on another device."""
        return StudentTargets(self.boxes.to(device), self.soft.to(device), self.hard.to(device))


def student_targets(
    labels: PseudoLabels, source_hw: tuple[int, int], config: StudentConfig
) -> StudentTargets:
    """Convert labels to the form that the losses use.

    Args:
        labels: labels in px of an image of ``source_hw``.
        source_hw: (height, width), px.
        config: config of the student.

    Raises:
        ValueError: a box is not valid, or joints are not finite. The message names the image and the person.
    """
    boxes = _rescaled(
        torch.from_numpy(labels.soft.boxes_px).float().view(-1, 2, 2), source_hw, config.full_hw
    )
    boxes = boxes.view(-1, 4)
    height, width = config.full_hw
    boxes = torch.minimum(boxes.clamp(min=0), boxes.new_tensor([width, height, width, height]))
    wrong = torch.nonzero(~(boxes[:, 2:] > boxes[:, :2]).all(dim=1))[:, 0].tolist()
    if wrong:
        raise ValueError(
            f"labels of image {labels.image_id}: person {wrong[0]} has no box inside the image, "
            f"got {labels.soft.boxes_px[wrong[0]].tolist()} in {source_hw[1]}x{source_hw[0]}"
        )
    return StudentTargets(
        boxes,
        _label_set(labels.soft, source_hw, config, confidence=True),
        _label_set(labels.hard, source_hw, config, confidence=False),
    )


def _label_set(poses: Poses, source_hw: tuple[int, int], config: StudentConfig, confidence: bool) -> LabelSet:
    coco, h36m = poses.converted(COCO17), poses.converted(H36M17)
    xy = _rescaled(torch.from_numpy(coco.xy_px), source_hw, config.full_hw)
    scores = torch.from_numpy(coco.scores)[..., None]
    weight = scores if confidence else (scores > 0).float()
    keypoints = torch.cat([torch.nan_to_num(xy), weight], dim=2)
    lifter_xy = _rescaled(torch.from_numpy(h36m.xy_px), source_hw, config.lifter_hw)
    xyz = h36m.xyz_root_m
    target = (
        torch.full((len(poses), len(H36M17), 3), torch.nan) if xyz is None else torch.from_numpy(xyz).clone()
    )
    return LabelSet(
        keypoints * (weight > 0),
        lifter_xy[:, [H36M17.index(j) for j in LIFTER_INPUT]],
        target[:, [H36M17.index(j) for j in LIFTER_OUTPUT]],
    )


def _rescaled(xy_px: Tensor, source_hw: tuple[int, int], target_hw: tuple[int, int]) -> Tensor:
    """Convert integer-centred px of the source image to continuous px of the target image, (..., 2)."""
    scale = xy_px.new_tensor([target_hw[1] / source_hw[1], target_hw[0] / source_hw[0]])
    return (xy_px + 0.5) * scale


def keypoint_cells(xy: Tensor, boxes: Tensor, side: int) -> tuple[Tensor, Tensor]:
    """Return the map cell (row * side + column) of each keypoint, and whether it is inside its box.

    Args:
        xy: (R, K, 2), continuous px.
        boxes: (R, 4).
        side: cells per side of the map.

    Returns:
        int64 (R, K), 0 where outside, and bool (R, K). A keypoint on the right or lower edge is inside.
    """
    size = (boxes[:, None, 2:] - boxes[:, None, :2]).clamp(min=1e-6)
    place = (xy - boxes[:, None, :2]) / size * side
    cell = torch.where(xy == boxes[:, None, 2:], side - 1, place.floor()).long()
    inside = ((cell >= 0) & (cell < side)).all(dim=-1)
    return (cell[..., 1] * side + cell[..., 0]) * inside, inside


def heatmap_loss(maps: Tensor, keypoints: Tensor, boxes: Tensor) -> Tensor:
    """Return the cross-entropy over the cells of each map, with the cell of the keypoint: L_2Dhard, L_2Dsoft.

    L_2Dhard "is obtained by calculating the cross-entropy loss between HM_hard and H_2D": confidences are 1.
    L_2Dsoft "is obtained by first multiplying HM_soft with the corresponding confidence values from the last
    channel of S_2D and then computing its cross-entropy loss with S_2D": a keypoint with low confidence
    flattens its map, which makes the gradient smaller and less sharp.

    Args:
        maps: logits (R, K, S, S).
        keypoints: (R, K, 3), x and y in continuous px and the confidence, 0 = no label.
        boxes: (R, 4) of the regions that the maps cover.

    Returns:
        Mean over the labelled keypoints inside their region; 0 if there are none.
    """
    cells, inside = keypoint_cells(keypoints[..., :2], boxes, maps.shape[-1])
    labelled = inside & (keypoints[..., 2] > 0)
    logits = maps.flatten(2)[labelled] * keypoints[..., 2][labelled][:, None]
    loss = functional.cross_entropy(logits, cells[labelled], reduction="sum")
    return loss / labelled.sum().clamp(min=1) + maps.sum() * 0


def lifting_loss(lifter: nn.Module, statistics: LiftingStatistics, labels: Sequence[LabelSet]) -> Tensor:
    """Return the smooth L1 loss of the lifter's output for the labelled 2D joints: L_3Dsoft, L_3Dhard.

    L_3Dsoft "is obtained by taking the smooth L1 loss between S_3D and the output of 2Dto3D_soft using the
    input S_2D", L_3Dhard the same of H_3D, 2Dto3D_hard and H_2D. Units are standardised, as in the released
    code. There, a person counts once for each of its regions; here, once. A joint without a label is replaced
    by the mean; a person without labels is left out.

    Args:
        lifter: 2Dto3D_soft or 2Dto3D_hard.
        statistics: means and deviations that standardise its input and output.
        labels: labels of each image.

    Returns:
        Mean over the labelled joints of all images; 0 if there are none.
    """
    joints = statistics.standardise_2d(torch.cat([s.lifter_input for s in labels]))
    wanted = statistics.standardise_3d(torch.cat([s.lifter_target for s in labels]))
    known = ~torch.isnan(wanted).any(dim=-1)  # (m, 16)
    people = known.any(dim=1) & ~torch.isnan(joints).all(dim=-1).all(dim=-1)
    nothing = sum((p.sum() * 0 for p in lifter.parameters()), statistics.mean_3d.sum() * 0)
    if not people.any():
        return nothing
    joints, wanted, known = torch.nan_to_num(joints[people]), wanted[people], known[people]
    learning = lifter.training
    if len(joints) == 1:
        lifter.eval()  # one person has no batch statistics
    found = lifter(joints)
    lifter.train(learning)
    return functional.smooth_l1_loss(found[known], wanted[known]) + nothing


class StudentLoss(nn.Module):
    """Computes the losses of a student. Wrap this module, not the student, for distributed training.

    Args:
        model: the student; set to training mode by the caller.
        config: weights of the terms.
    """

    def __init__(self, model: Student, config: StudentLossConfig | None = None) -> None:
        super().__init__()
        self.model = model
        self.config = config or StudentLossConfig()

    def forward(self, images: Tensor, targets: Sequence[StudentTargets]) -> dict[str, Tensor]:
        """Return the weighted terms by name; their sum is "the overall loss".

        Args:
            images: float32 RGB (B, 3, H, W) in [0, 1], of the student's ``full_hw``.
            targets: labels of each image.
        """
        if len(images) != len(targets):
            raise ValueError(
                f"StudentLoss: expected as many targets as images, got {len(targets)} and {len(images)}"
            )
        model, detection = self.model, self.config.detection
        image_hw = (int(images.shape[-2]), int(images.shape[-1]))
        boxes = [t.boxes for t in targets]
        features = model.features(images)
        anchors = model.rpn(features)
        losses = proposal_losses(anchors, boxes, detection)
        proposals = model.rpn.select(anchors, image_hw, training=True)
        regions = sample_regions(proposals, boxes, detection)
        pooled = pool_regions(features[:4], [r.boxes for r in regions], model.config.box_pool)
        logits, deltas = model.box_head(pooled)
        losses |= box_losses(logits, deltas, regions, boxes, detection)
        return losses | self._keypoint_losses(features, regions, targets)

    def _keypoint_losses(
        self, features: Sequence[Tensor], regions: Sequence[Regions], targets: Sequence[StudentTargets]
    ) -> dict[str, Tensor]:
        """Return the losses of the keypoint head, for regions of people with at least one joint inside."""
        config, model = self.config, self.model
        side = 4 * model.config.keypoint_pool
        kept: list[Regions] = []
        for region, target in zip(regions, targets, strict=True):
            people = Regions(*(t[region.person >= 0] for t in region))
            labels = torch.maximum(
                target.soft.keypoints[people.person, :, 2], target.hard.keypoints[people.person, :, 2]
            )
            _, inside = keypoint_cells(target.soft.keypoints[people.person, :, :2], people.boxes, side)
            visible = (inside & (labels > 0)).any(dim=1)
            kept.append(Regions(people.boxes[visible], people.person[visible]))
        maps = model.keypoint_maps(features, [r.boxes for r in kept])
        flat = torch.cat([r.boxes for r in kept])
        losses = {}
        for name, branch, lifter in (
            ("soft", maps.soft, model.soft_lifter),
            ("hard", maps.hard, model.hard_lifter),
        ):
            sets: list[LabelSet] = [getattr(t, name) for t in targets]
            weight_2d, weight_3d = getattr(config, f"{name}_2d"), getattr(config, f"{name}_3d")
            if weight_2d:
                keypoints = torch.cat([s.keypoints[r.person] for s, r in zip(sets, kept, strict=True)])
                losses[f"{name}_2d"] = weight_2d * heatmap_loss(branch, keypoints, flat)
            if weight_3d:
                losses[f"{name}_3d"] = weight_3d * lifting_loss(lifter, model.statistics, sets)
        return losses
