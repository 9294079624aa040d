"""The student of ORPose (Srivastav et al., MICCAI 2020), Sect. 2.3: Mask R-CNN for joint 2D and 3D poses.

Boxes, and the px they are in, are continuous: pixel i of the image that enters covers [i, i + 1].
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional
from torchvision.ops import nms

from orpose_core.models.layers import check_images
from orpose_core.models.lifter import Lifter, LiftingStatistics
from orpose_core.models.student.backbone import PyramidBackbone
from orpose_core.models.student.config import StudentConfig
from orpose_core.models.student.heads import BoxHead, BranchMaps, KeypointHead, pool_regions
from orpose_core.models.student.rpn import RegionProposals, clip_boxes, decode_boxes

PADDED_MULTIPLE = 32
"""The deepest features of the trunk are at 1/32, and each pyramid level must be twice the one below."""


class StudentOutput(NamedTuple):
    """The people found in a batch of B images, R in all, image by image, best box first.

    Attributes:
        boxes: (R, 4), x1 y1 x2 y2.
        scores: (R,), probability that it is a person.
        counts: people of each image.
        maps: HM_soft and HM_hard of each.
        image_hw: size of the images that entered.
    """

    boxes: Tensor
    scores: Tensor
    counts: tuple[int, ...]
    maps: BranchMaps
    image_hw: tuple[int, int]


class Student(nn.Module):
    """Boxes, keypoint maps, and the lifters that turn keypoints into 3D.

    ``decoding.roi`` finds the keypoints in the maps and passes them to :meth:`lift`.
    """

    def __init__(self, config: StudentConfig) -> None:
        super().__init__()
        self.config = config
        self.backbone = PyramidBackbone(config)
        self.rpn = RegionProposals(config)
        self.box_head = BoxHead(config)
        self.keypoint_head = KeypointHead(config)
        names = ("soft", "hard") if config.branches == "soft_hard" else ("single",)
        self.lifters = nn.ModuleDict(
            {
                name: Lifter(
                    config.lifter_joints, config.lifter_width, config.lifter_stages, config.lifter_dropout
                )
                for name in names
            }
        )
        self.statistics = LiftingStatistics(config.lifter_joints, config.lifter_hw)

    @property
    def soft_lifter(self) -> nn.Module:
        """2Dto3D_soft; the only lifter of a single-branch network."""
        return self.lifters["soft" if "soft" in self.lifters else "single"]

    @property
    def hard_lifter(self) -> nn.Module:
        """2Dto3D_hard; the only lifter of a single-branch network."""
        return self.lifters["hard" if "hard" in self.lifters else "single"]

    def features(self, images: Tensor) -> tuple[Tensor, ...]:
        """Return p2 to p6 of float RGB images (B, 3, H, W) in [0, 1], padded to multiples of 32."""
        check_images("Student", images, 3)
        x = images * 255.0
        if self.config.channel_order == "bgr":
            x = x.flip(1)
        mean, std = (x.new_tensor(v).view(3, 1, 1) for v in (self.config.pixel_mean, self.config.pixel_std))
        x = (x - mean) / std
        height, width = x.shape[-2:]
        x = functional.pad(x, (0, -width % PADDED_MULTIPLE, 0, -height % PADDED_MULTIPLE))
        return self.backbone(x)

    def propose(self, features: Sequence[Tensor], image_hw: tuple[int, int]) -> list[Tensor]:
        """Return the region proposals (P, 4) of each image."""
        return self.rpn.select(self.rpn(features), image_hw, self.training)

    def detect(
        self, features: Sequence[Tensor], image_hw: tuple[int, int], min_score: float | None = None
    ) -> list[tuple[Tensor, Tensor]]:
        """Return the people's boxes (m, 4) and scores (m,) of each image, best first."""
        proposals = self.propose(features, image_hw)
        pooled = pool_regions(features[:4], proposals, self.config.box_pool)
        logits, deltas = self.box_head(pooled)
        scores = functional.softmax(logits, dim=-1)[:, 0]
        boxes = decode_boxes(deltas, torch.cat(proposals), self.box_head.weights)
        counts = [len(p) for p in proposals]
        return [
            self.suppress(clip_boxes(b, image_hw), s, min_score)
            for b, s in zip(boxes.split(counts), scores.split(counts), strict=True)
        ]

    def suppress(
        self, boxes: Tensor, scores: Tensor, min_score: float | None = None
    ) -> tuple[Tensor, Tensor]:
        """Return the boxes (m, 4) and scores (m,) that are people, best first.

        Args:
            boxes: (n, 4).
            scores: (n,).
            min_score: threshold; None is the config's.
        """
        least = self.config.score_threshold if min_score is None else min_score
        sound = torch.isfinite(boxes).all(dim=1) & (scores > least)
        boxes, scores = boxes[sound], scores[sound]
        best = nms(boxes, scores, self.config.box_nms_iou)[: self.config.people]
        best = best[(boxes[best, 2:] > boxes[best, :2]).all(dim=1)]  # outside the image nothing is left of it
        return boxes[best], scores[best]

    def keypoint_maps(
        self, features: Sequence[Tensor], boxes: Sequence[Tensor], head_dtype: torch.dtype | None = None
    ) -> BranchMaps:
        """Return the maps of the regions.

        Args:
            features: p2 to p6, see :meth:`features`.
            boxes: (m, 4) for each image.
            head_dtype: that the head's convolutions compute in; None = that of everything around.
        """
        pooled = pool_regions(features[:4], boxes, self.config.keypoint_pool)
        if head_dtype is None:
            return self.keypoint_head(pooled)
        with torch.autocast(pooled.device.type, head_dtype):
            return self.keypoint_head(pooled)

    def lift(self, soft_px: Tensor, hard_px: Tensor) -> Tensor:
        """Return the 3D joints (R, 16, 3) in metres relative to the root: the mean of both lifters.

        Args:
            soft_px: (R, 16, 2) joints found in HM_soft, continuous px of an image of ``config.lifter_hw``.
            hard_px: the same from HM_hard.
        """
        soft = self.soft_lifter(self.statistics.standardise_2d(soft_px))
        hard = self.hard_lifter(self.statistics.standardise_2d(hard_px))
        return self.statistics.metres((hard + soft) / 2.0)

    def forward(
        self, images: Tensor, min_score: float | None = None, head_dtype: torch.dtype | None = None
    ) -> StudentOutput:
        """Find the people in float RGB images.

        Args:
            images: (B, 3, H, W) in [0, 1].
            min_score: see :meth:`suppress`.
            head_dtype: see :meth:`keypoint_maps`.

        Returns:
            See :class:`StudentOutput`.
        """
        image_hw = (int(images.shape[-2]), int(images.shape[-1]))
        features = self.features(images)
        found = self.detect(features, image_hw, min_score)
        boxes = [b for b, _ in found]
        return StudentOutput(
            torch.cat(boxes),
            torch.cat([s for _, s in found]),
            tuple(len(b) for b in boxes),
            self.keypoint_maps(features, boxes, head_dtype),
            image_hw,
        )

    def forward_with_mirror(
        self, images: Tensor, min_score: float | None = None, head_dtype: torch.dtype | None = None
    ) -> StudentOutput:
        """The same from the images and their mirrored copies together (flip test).

        The boxes of both are pooled and suppressed, the maps of each box averaged, so that a mirrored image
        gives the mirrored result (up to rounding).
        """
        image_hw = (int(images.shape[-2]), int(images.shape[-1]))
        n = len(images)
        features = self.features(torch.cat([images, images.flip(-1)]))
        found = self.detect(features, image_hw, min_score)
        both = []
        for (box, score), (m_box, m_score) in zip(found[:n], found[n:], strict=True):
            pooled = torch.cat([box, mirror_boxes(m_box, image_hw[1])])
            both.append(self.suppress(pooled, torch.cat([score, m_score]), min_score))
        boxes = [b for b, _ in both]
        straight = self.keypoint_maps([f[:n] for f in features], boxes, head_dtype)
        mirrored = self.keypoint_maps(
            [f[n:] for f in features], [mirror_boxes(b, image_hw[1]) for b in boxes], head_dtype
        )
        order = list(self.config.flip_permutation)
        soft = (straight.soft + mirrored.soft[:, order].flip(-1)) / 2.0
        shared = straight.soft is straight.hard
        hard = soft if shared else (straight.hard + mirrored.hard[:, order].flip(-1)) / 2.0
        counts = tuple(len(b) for b in boxes)
        return StudentOutput(
            torch.cat(boxes), torch.cat([s for _, s in both]), counts, BranchMaps(soft, hard), image_hw
        )


def mirror_boxes(boxes: Tensor, width: int) -> Tensor:
    """Return boxes (m, 4) as they are in the mirrored image, ``width`` px wide."""
    x1, y1, x2, y2 = boxes.unbind(dim=1)
    return torch.stack([width - x2, y1, width - x1, y2], dim=1)
