"""Training data of the student by sample number, from label files or from the synthetic room."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from orpose_core.models.student.config import StudentConfig
from orpose_core.training.augment.student import (
    ScaleConfig,
    StudentAugmentConfig,
    augmented,
    seen_by_student,
)
from orpose_core.training.domain_streams import DomainStreams, check_domains
from orpose_core.training.student.label_file import StudentLabelFile, exact_labels
from orpose_core.training.student.losses import LabelSet, StudentTargets, student_targets
from orpose_core.types import Picture, PseudoLabels


@dataclass(frozen=True)
class StudentDataConfig:
    """Training data of a student.

    Attributes:
        source: ``"labels"`` reads a label file of `orpose label` or `orpose simulate`, and the images beside
            it; ``"simulation"`` streams frames of the synthetic room, without files.
        labels: for ``"labels"``: the file.
        folder: for ``"labels"``: folder to which ``file_name`` is relative; None = the folder of the file.
        images: for ``"labels"``: number of images to use, the first ones with people; 0 = all.
        empty_images: for ``"labels"``: whether to use images without labeled people.
        domains: for ``"simulation"``: the domains; one is drawn for each frame.
        domain_shares: for ``"simulation"``: relative frequency of each domain; empty = all equally often.
        render_hw: for ``"simulation"``: (height, width) of the frames, px.
        crowd: for ``"simulation"``: number of additional people in a room.
        original_hw: (height, width) of an image at 1x, px; the scales are relative to it.
        scale: factors by which the images are shrunk.
        augment: settings of the augmentation.
        min_side_px: people whose box has a shorter side, in px of the network's image, are left out.
        seed: seed of the simulation, the order and the augmentation.
        statistics_images: number of images whose labels give the means and deviations that standardize the
            joints.
    """

    source: Literal["labels", "simulation"] = "labels"
    labels: Path | None = None
    folder: Path | None = None
    images: int = 0
    empty_images: bool = False
    domains: tuple[str, ...] = ("everyday",)
    domain_shares: tuple[float, ...] = ()
    render_hw: tuple[int, int] = (240, 320)
    crowd: int = 0
    original_hw: tuple[int, int] = (480, 640)
    scale: ScaleConfig = field(default_factory=ScaleConfig)
    augment: StudentAugmentConfig = field(default_factory=StudentAugmentConfig)
    min_side_px: float = 3.0
    seed: int = 1
    statistics_images: int = 1000

    def __post_init__(self) -> None:
        if self.source == "labels" and self.labels is None:
            raise ValueError("data.labels: source 'labels' needs a label file, got none")
        check_domains(self.domains, self.domain_shares)
        if self.images < 0 or self.statistics_images < 2:
            raise ValueError("data: images must not be negative, statistics_images at least 2")


class StudentSample(NamedTuple):
    """The input of the student, uint8 RGB (3, H, W), and its labels."""

    image: Tensor
    targets: StudentTargets


class StudentSamples(Dataset[StudentSample], ABC):
    """Samples by number. The same number always gives the same sample.

    Args:
        data: settings of the data.
        model: config of the network to train.
    """

    def __init__(self, data: StudentDataConfig, model: StudentConfig) -> None:
        self.data, self.model = data, model

    @abstractmethod
    def labelled(self, index: int, rng: np.random.Generator) -> tuple[Picture, PseudoLabels]:
        """Return the image of sample ``index`` and its labels, without augmentation."""

    @abstractmethod
    def labels_alone(self, count: int) -> list[tuple[PseudoLabels, tuple[int, int]]]:
        """Return the labels of ``count`` images, or of all, and the (height, width) of these images."""

    def __getitem__(self, index: int) -> StudentSample:
        rng = np.random.default_rng([self.data.seed, index])
        rgb, labels = self.labelled(index, rng)
        scale = self.data.scale.draw(rng)
        rgb, labels = augmented(rgb, labels, rng, self.data.augment)
        seen = seen_by_student(rgb, scale, self.data.original_hw, self.model.full_hw)
        labels = _large_enough(labels, rgb.shape[:2], self.model.full_hw, self.data.min_side_px)
        image = torch.from_numpy(np.ascontiguousarray(np.moveaxis(seen, -1, 0)))
        return StudentSample(image, student_targets(labels, (rgb.shape[0], rgb.shape[1]), self.model))


class LabelFileSamples(StudentSamples):
    """The images of a label file in a random order, repeated in other orders."""

    def __init__(self, data: StudentDataConfig, model: StudentConfig) -> None:
        super().__init__(data, model)
        assert data.labels is not None
        self.file = StudentLabelFile(data.labels, data.folder, data.empty_images)
        if data.images > len(self.file):
            raise ValueError(
                f"{data.labels}: expected at least data.images = {data.images} images with people, "
                f"got {len(self.file)}"
            )
        self.count = data.images or len(self.file)

    def labelled(self, index: int, rng: np.random.Generator) -> tuple[Picture, PseudoLabels]:
        """Return the image of sample ``index`` and its labels."""
        epoch, place = divmod(index, self.count)
        image = _order(self.data.seed, epoch, self.count)[place]
        return self.file.picture(image), self.file.labels(image)

    def labels_alone(self, count: int) -> list[tuple[PseudoLabels, tuple[int, int]]]:
        """Return the labels of the first ``count`` images."""
        return [(self.file.labels(i), self.file.size_hw(i)) for i in range(min(count, self.count))]


class SimulatedStudentSamples(StudentSamples):
    """An endless stream of synthetic rooms with their ground truth; each sample shows another room."""

    def __init__(self, data: StudentDataConfig, model: StudentConfig) -> None:
        super().__init__(data, model)
        self.streams = DomainStreams(
            data.domains, data.domain_shares, data.render_hw, "color", data.seed, data.crowd
        )

    def labelled(self, index: int, rng: np.random.Generator) -> tuple[Picture, PseudoLabels]:
        """Return frame ``index`` of a domain that is drawn with ``rng``, and its ground truth."""
        frame = self.streams.frame(index, rng)
        assert frame.frame.rgb is not None
        return frame.frame.rgb, exact_labels(frame.poses, index)

    def labels_alone(self, count: int) -> list[tuple[PseudoLabels, tuple[int, int]]]:
        """Return the ground truth of the first ``count`` frames."""
        rngs = (np.random.default_rng([self.data.seed, i]) for i in range(count))
        return [(self.labelled(i, rng)[1], self.data.render_hw) for i, rng in enumerate(rngs)]


def student_samples(data: StudentDataConfig, model: StudentConfig) -> StudentSamples:
    """Return the data set that ``data`` describes."""
    return (LabelFileSamples if data.source == "labels" else SimulatedStudentSamples)(data, model)


@lru_cache(maxsize=4)
def _order(seed: int, epoch: int, count: int) -> list[int]:
    return np.random.default_rng([seed, epoch]).permutation(count).tolist()


def _large_enough(
    labels: PseudoLabels, image_hw: tuple[int, ...], full_hw: tuple[int, int], min_side_px: float
) -> PseudoLabels:
    """Remove people who are almost completely outside the image."""
    boxes = np.clip(labels.soft.boxes_px + 0.5, 0, np.tile(image_hw[1::-1], 2))
    sides = (boxes[:, 2:] - boxes[:, :2]) * (full_hw[1] / image_hw[1], full_hw[0] / image_hw[0])
    kept = np.flatnonzero(sides.min(axis=1) >= min_side_px) if len(sides) else np.zeros(0, np.int64)
    return replace(labels, soft=labels.soft.select(kept), hard=labels.hard.select(kept))


def collate(samples: Sequence[StudentSample]) -> dict[str, Any]:
    """Return a batch: ``image`` uint8 (B, 3, H, W), ``targets`` one per image."""
    return {"image": torch.stack([s.image for s in samples]), "targets": [s.targets for s in samples]}


def unpacked(targets: Sequence[Any]) -> list[StudentTargets]:
    """Return the targets of a batch that the engine has moved to a device, which turns tuples into lists."""
    return [StudentTargets(boxes, LabelSet(*soft), LabelSet(*hard)) for boxes, soft, hard in targets]


class JointStatistics(NamedTuple):
    """Arguments of ``LiftingStatistics.set``: means and deviations, (16, 2) px and (16, 3) metres."""

    mean_2d: Tensor
    std_2d: Tensor
    mean_3d: Tensor
    std_3d: Tensor


_LEAST_STD_PX, _LEAST_STD_M = 1.0, 0.01
"""Smallest deviation: a joint that hardly moves relative to the root, such as a hip, is not amplified."""


def joint_statistics(samples: StudentSamples) -> JointStatistics:
    """Return the statistics of the training labels.

    Raises:
        ValueError: fewer than two people have 3D labels.
    """
    wanted = samples.data.statistics_images
    targets = [
        student_targets(_large_enough(labels, size_hw, samples.model.full_hw, 0.5), size_hw, samples.model)
        for labels, size_hw in samples.labels_alone(wanted)
    ]
    two = torch.cat([t.soft.lifter_input for t in targets])
    three = torch.cat([t.soft.lifter_target for t in targets])
    if (~torch.isnan(three).any(dim=-1)).all(dim=-1).sum() < 2:
        raise ValueError(
            f"expected at least 2 people with 3D labels among {len(targets)} images, got fewer; "
            "give init.h36_statistics, or weights to start from, or set loss.soft_3d and loss.hard_3d to 0"
        )
    mean_2d, std_2d = _moments(two)
    mean_3d, std_3d = _moments(three)
    return JointStatistics(mean_2d, std_2d.clamp(min=_LEAST_STD_PX), mean_3d, std_3d.clamp(min=_LEAST_STD_M))


def _moments(values: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean and standard deviation over the people of (m, 16, d), ignoring NaN."""
    known = ~torch.isnan(values)
    count = known.sum(dim=0).clamp(min=1)
    filled = torch.nan_to_num(values).double()
    mean = filled.sum(dim=0) / count
    variance = ((filled - mean) ** 2 * known).sum(dim=0) / count
    return mean.float(), variance.sqrt().float()
