"""The teacher's person detector, trained on synthetic color images: data, losses, scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.data import Dataset

from orpose_core.checkpoints.history import earlier_trainings, inherited_licence
from orpose_core.checkpoints.small_detectors import load_small_detector, save_small_detector
from orpose_core.metrics.coco_ap import ap_of_poses
from orpose_core.models.small_detectors import SMALL_DETECTORS
from orpose_core.simulation import StreamConfig, simulate_frame
from orpose_core.skeleton import COCO17
from orpose_core.teacher.detector import PERSON, DetectorConfig, TorchvisionDetector
from orpose_core.teacher.stages import PersonBoxes
from orpose_core.training.augment.clutter import ClutterConfig, cluttered
from orpose_core.training.augment.color import ColorAugmentConfig, random_affine, random_colors
from orpose_core.training.engine.distributed import Processes
from orpose_core.training.engine.engine import Trainer
from orpose_core.training.engine.recipe_run import TrainedKind, header_of
from orpose_core.training.engine.run_folder import RunFolder
from orpose_core.training.engine.settings import EngineConfig, OptimConfig
from orpose_core.training.stages.frames import SplitConfig, SplitScores
from orpose_core.types import Poses

View = tuple[NDArray[np.uint8], NDArray[np.float32]]


@dataclass(frozen=True)
class DetectorDataConfig:
    """Training data of the detector.

    Attributes:
        domain: domain of the synthetic room. The teacher is trained on ``"everyday"``, so that it never sees
            the rooms that it will label.
        render_hw: (height, width) of the rendered images, px.
        crowd: number of additional people in each image.
        seed: seed of the simulation and the augmentation.
        views: number of augmented images from each rendered image; rendering costs as much as training.
        min_area_px: people with fewer visible pixels in the augmented image are left out.
        largest_person: images in which the box of a person has a larger share are shrunk. From images filled
            by a person, a detector learns to detect any large object.
        clutter: clutter behind and in front of people.
        augment: settings of the augmentation.
    """

    domain: str = "everyday"
    render_hw: tuple[int, int] = (240, 320)
    crowd: int = 1
    seed: int = 1
    views: int = 2
    min_area_px: int = 40
    largest_person: float = 1.0
    clutter: ClutterConfig = field(default_factory=ClutterConfig)
    augment: ColorAugmentConfig = field(default_factory=ColorAugmentConfig)

    def __post_init__(self) -> None:
        if not 0.01 <= self.largest_person <= 1:
            raise ValueError(
                f"data.largest_person: expected a share of at least 0.01, got {self.largest_person}"
            )
        if self.views < 1:
            raise ValueError(f"data.views: expected 1 or more, got {self.views}")
        self.stream()

    def stream(self) -> StreamConfig:
        """Return the synthetic recording to train on."""
        return StreamConfig(self.domain, self.render_hw, "color", self.seed, crowd=self.crowd)


@dataclass(frozen=True)
class DetectorRecipe:
    """A training run of the person detector.

    Attributes:
        network: one of ``models.small_detectors.SMALL_DETECTORS``.
        init: weights file of an earlier training to start from; None = random weights.
        data: the training data.
        optim: the optimizer.
        engine: settings of the engine; ``batch`` counts rendered images, each used ``data.views`` times.
        validation: settings of the validation.
    """

    network: str = "fcos_small"
    init: Path | None = None
    data: DetectorDataConfig = field(default_factory=DetectorDataConfig)
    optim: OptimConfig = field(default_factory=OptimConfig)
    engine: EngineConfig = field(default_factory=EngineConfig)
    validation: SplitConfig = field(default_factory=SplitConfig)

    def __post_init__(self) -> None:
        if self.network not in SMALL_DETECTORS:
            raise ValueError(f"network: expected one of {sorted(SMALL_DETECTORS)}, got {self.network!r}")


def seen_boxes_of(people: NDArray[np.int16], min_area_px: int) -> NDArray[np.float32]:
    """Return the boxes of the visible part of each person, float32 (k, 4), continuous px.

    Args:
        people: int16 (H, W), number of the person that each pixel shows, -1 = nobody.
        min_area_px: people with fewer pixels are left out.
    """
    boxes = []
    for number in range(int(people.max(initial=-1)) + 1):
        rows, columns = np.nonzero(people == number)
        if len(rows) >= max(min_area_px, 1):
            boxes.append([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1])
    return np.array(boxes, np.float32).reshape(-1, 4)


class DetectorSamples(Dataset[list[View]]):
    """Samples by number: ``views`` augmentations of a rendered image, with the boxes of its people."""

    def __init__(self, data: DetectorDataConfig) -> None:
        self.data, self.stream = data, data.stream()

    def __getitem__(self, index: int) -> list[View]:
        simulated = simulate_frame(self.stream, index)
        assert simulated.frame.rgb is not None
        rng = np.random.default_rng([self.data.seed, index])
        return [self._changed(simulated.frame.rgb, simulated.people, rng) for _ in range(self.data.views)]

    def _changed(self, rgb: NDArray[np.uint8], people: NDArray[np.int16], rng: np.random.Generator) -> View:
        height, width = self.data.render_hw
        matrix, _ = random_affine(rng, self.data.augment, (height, width))
        labels = _moved_people(people, matrix)
        while self._largest(labels) > self.data.largest_person:
            matrix = _shrunk(matrix, (height, width))
            labels = _moved_people(people, matrix)
        border = [float(value) for value in rng.uniform(0, 255, 3)]
        moved = cv2.warpAffine(rgb, matrix, (width, height), flags=cv2.INTER_LINEAR, borderValue=border)
        image, seen = cluttered(np.asarray(moved, np.uint8), labels, rng, self.data.clutter)
        boxes = seen_boxes_of(seen, self.data.min_area_px)
        return random_colors(image, rng, self.data.augment), boxes

    def _largest(self, people: NDArray[np.int16]) -> float:
        """Return the largest box as a share of the image."""
        boxes = seen_boxes_of(people, self.data.min_area_px)
        return float((boxes[:, 2:] - boxes[:, :2]).prod(axis=1).max(initial=0)) / people.size


def _moved_people(people: NDArray[np.int16], matrix: NDArray[np.float64]) -> NDArray[np.int16]:
    height, width = people.shape
    moved = cv2.warpAffine(
        people, matrix, (width, height), flags=cv2.INTER_NEAREST, borderMode=cv2.BORDER_CONSTANT,
        borderValue=-1,
    )  # fmt: skip
    return np.asarray(moved, np.int16)


def _shrunk(matrix: NDArray[np.float64], size_hw: tuple[int, int]) -> NDArray[np.float64]:
    """Return a map that shrinks the image by a quarter about its center."""
    middle = (np.array(size_hw[::-1]) - 1) / 2
    smaller = 0.75 * matrix
    smaller[:, 2] += 0.25 * middle
    return smaller


def collate_views(samples: Sequence[Sequence[View]]) -> dict[str, Any]:
    """Make a batch: ``images`` uint8 (B, 3, H, W) and ``targets``, one of boxes and labels per image."""
    views = [view for sample in samples for view in sample]
    images = torch.from_numpy(np.stack([image for image, _ in views])).permute(0, 3, 1, 2)
    targets = [
        {"boxes": torch.from_numpy(boxes), "labels": torch.full((len(boxes),), PERSON, dtype=torch.int64)}
        for _, boxes in views
    ]
    return {"images": images.contiguous(), "targets": targets}


class DetectorTask:
    """The network's own losses; box AP on a split."""

    def __init__(self, recipe: DetectorRecipe) -> None:
        self.scores = SplitScores(recipe.validation, detector_scores)

    def losses(self, model: nn.Module, batch: Mapping[str, Any]) -> dict[str, Tensor]:
        """Return the terms of torchvision's loss."""
        images = batch["images"].float() / 255.0
        return dict(model(list(images), batch["targets"]))

    def validate(self, model: nn.Module) -> dict[str, float]:
        """Return box AP on the fixed frames of the split."""
        return self.scores.while_training(model)


def detector_scores(
    model: nn.Module, images: Sequence[NDArray[np.uint8]], truth: Sequence[Poses]
) -> dict[str, float]:
    """Return box AP of a detector, without test-time augmentation."""
    device = str(next(model.parameters()).device)
    look = DetectorConfig(min_score=0.05, flip=False)
    detector = TorchvisionDetector(model, "in_training", "", False, look, device)
    found = [boxes_as_poses(detector.detect([image])[0]) for image in images]
    scores = ap_of_poses(truth, found, "box").summary()
    return {f"box_{name}": float(scores[name]) for name in ("AP", "AP50", "AP75")}


def boxes_as_poses(people: PersonBoxes) -> Poses:
    """Return people with boxes only."""
    m, n = len(people), len(COCO17)
    return Poses(
        COCO17,
        np.full((m, n, 2), np.nan, np.float32),
        np.zeros((m, n), np.float32),
        people.scores.astype(np.float32),
        (people.boxes - 0.5).astype(np.float32),  # integer = pixel centre
    )


def _build(recipe: DetectorRecipe) -> nn.Module:
    if recipe.init is not None:
        return load_small_detector(recipe.init, recipe.network)[0]
    torch.manual_seed(recipe.engine.seed)
    return SMALL_DETECTORS[recipe.network]()


def _trainer(recipe: DetectorRecipe, model: nn.Module, run: RunFolder, mine: Processes) -> Trainer:
    data = DetectorSamples(recipe.data)
    return Trainer(model, DetectorTask(recipe), data, recipe.optim, recipe.engine, run, mine, collate_views)


def _score(recipe: DetectorRecipe, model: nn.Module, reading: None, half: bool) -> dict[str, Any]:
    return SplitScores(recipe.validation, detector_scores).at_the_end(model)


def _write(
    model: nn.Module, reading: None, recipe: DetectorRecipe, facts: Mapping[str, Any], path: Path
) -> None:
    save_small_detector(path, model, recipe.network, header_of(facts), half=True)


def _facts(recipe: DetectorRecipe) -> dict[str, Any]:
    return {
        "network": recipe.network,
        "domains": [recipe.data.domain],
        "views": recipe.data.views,
        "split": recipe.validation.split,
        "licence": inherited_licence(recipe.init),
        **earlier_trainings(recipe.init),
    }


DETECTOR = TrainedKind("detector", _build, _trainer, _score, _write, _facts)
"""The detector, as `orpose train detector` trains it."""
