"""The training recipe of the student of ORPose: network, labels, resolution and losses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from orpose_core.checkpoints.files import Checkpoint
from orpose_core.checkpoints.history import inherited_licence
from orpose_core.data.coco_file import read_coco_file
from orpose_core.decoding.roi import RoiDecoderConfig
from orpose_core.estimators import EstimatorConfig, PoseEstimator
from orpose_core.estimators.roi_settings import roi_header
from orpose_core.models import build_model
from orpose_core.models.inference import bf16_is_fast
from orpose_core.models.student.config import StudentConfig
from orpose_core.models.student.network import Student
from orpose_core.training.engine.distributed import Processes
from orpose_core.training.engine.engine import Trainer
from orpose_core.training.engine.recipe_run import TrainedKind, write_weights
from orpose_core.training.engine.run_folder import RunFolder
from orpose_core.training.engine.settings import EngineConfig, OptimConfig
from orpose_core.training.student.initialisation import StudentInitConfig, initialise_student
from orpose_core.training.student.losses import StudentLoss, StudentLossConfig
from orpose_core.training.student.samples import (
    LabelFileSamples,
    StudentDataConfig,
    StudentSamples,
    collate,
    student_samples,
    unpacked,
)
from orpose_core.training.student.threshold_choice import StudentReadingConfig, choose_roi_decoder
from orpose_core.training.student.validation import (
    StudentBenchmark,
    StudentValidationConfig,
    validate_student,
)


@dataclass(frozen=True)
class StudentRecipe:
    """A training run of a student. The defaults are those of the paper.

    Attributes:
        row: row of the tables, such as fixed_12x, all or single_soft; "" = none.
        model: the network.
        data: the labels, and the resolution of the images.
        loss: weights of the terms; the single-branch rows of Table 3 leave some out.
        optim: the optimizer.
        engine: settings of the engine.
        validation: settings of the validation.
        init: initial weights.
        reading: frames on which thresholds are chosen for the weights file; ``frames`` 0 = none are chosen.
    """

    data: StudentDataConfig
    row: str = ""
    model: StudentConfig = field(default_factory=StudentConfig)
    loss: StudentLossConfig = field(default_factory=StudentLossConfig)
    optim: OptimConfig = field(default_factory=OptimConfig)
    engine: EngineConfig = field(default_factory=EngineConfig)
    validation: StudentValidationConfig = field(default_factory=StudentValidationConfig)
    init: StudentInitConfig = field(default_factory=StudentInitConfig)
    reading: StudentReadingConfig = field(default_factory=lambda: StudentReadingConfig(frames=0))

    def __post_init__(self) -> None:
        loss = self.loss
        if not (loss.soft_2d or loss.hard_2d):
            raise ValueError("loss: expected soft_2d or hard_2d above 0, got neither: no map would be learnt")
        if self.model.branches == "soft_hard" and not (loss.soft_2d and loss.hard_2d):
            raise ValueError(
                "loss: a network of two branches needs soft_2d and hard_2d; leave one out with "
                "model.branches: single"
            )


class StudentTask:
    """The losses of Sect. 2.3 and the validation of Sect. 3."""

    def __init__(self, recipe: StudentRecipe, half: bool) -> None:
        self.recipe, self.half = recipe, half
        self.benchmark: StudentBenchmark | None = None

    def losses(self, model: nn.Module, batch: Mapping[str, Any]) -> dict[str, Tensor]:
        """Return the terms of the loss; ``model`` is a :class:`StudentLoss`."""
        return model(batch["image"].float() / 255.0, unpacked(batch["targets"]))

    def validate(self, model: nn.Module) -> dict[str, float]:
        """Return the scores on the fixed frames of the validation split."""
        config = self.recipe.validation
        if not config.frames:
            return {}
        if self.benchmark is None:
            self.benchmark = StudentBenchmark(config, config.frames)
        return validate_student(student_of(model), self.benchmark, config, self.half)


def student_of(model: nn.Module) -> Student:
    """Return the network inside the module that the engine trains."""
    assert isinstance(model, StudentLoss)
    return model.model


def _check_3d(data: StudentSamples, recipe: StudentRecipe) -> None:
    wants_3d = recipe.loss.soft_3d or recipe.loss.hard_3d
    if wants_3d and isinstance(data, LabelFileSamples) and not data.file.has_3d:
        raise ValueError(
            f"{recipe.data.labels}: expected labels in space (orpose label --lifter), got only 2D; "
            "set loss.soft_3d and loss.hard_3d to 0 to do without"
        )


def _build(recipe: StudentRecipe) -> nn.Module:
    """Return the student with its losses, ready for the engine."""
    model = build_model(recipe.model, seed=recipe.engine.seed)
    assert isinstance(model, Student)
    samples = student_samples(recipe.data, recipe.model)
    _check_3d(samples, recipe)
    initialise_student(model, recipe.init, samples)
    return StudentLoss(model, recipe.loss)


def _trainer(recipe: StudentRecipe, model: nn.Module, run: RunFolder, mine: Processes) -> Trainer:
    half = recipe.engine.half_precision and bf16_is_fast(mine.device)
    data = student_samples(recipe.data, recipe.model)
    return Trainer(model, StudentTask(recipe, half), data, recipe.optim, recipe.engine, run, mine, collate)


def _score(
    recipe: StudentRecipe, model: nn.Module, reading: RoiDecoderConfig | None, half: bool
) -> dict[str, Any]:
    frames = recipe.validation.final_frames
    if not frames:
        return {}
    benchmark = StudentBenchmark(recipe.validation, frames)
    found = validate_student(student_of(model), benchmark, recipe.validation, half)
    return {"frames": len(benchmark.frames), **found}


def _reading(recipe: StudentRecipe, model: nn.Module) -> RoiDecoderConfig | None:
    if not recipe.reading.frames:
        return None
    student = student_of(model)
    checkpoint = Checkpoint(student, student.config, "trained", "", "", True, {})
    device = str(next(student.parameters()).device)
    decoder, _ = choose_roi_decoder(PoseEstimator(checkpoint, EstimatorConfig(device)), recipe.reading)
    return decoder


def _write(
    model: nn.Module,
    reading: RoiDecoderConfig | None,
    recipe: StudentRecipe,
    facts: Mapping[str, Any],
    path: Path,
) -> None:
    write_weights(student_of(model), path, facts, {} if reading is None else roi_header(reading))


def _facts(recipe: StudentRecipe) -> dict[str, Any]:
    data = recipe.data
    streamed = data.source == "simulation"
    return {
        "row": recipe.row,
        "split": recipe.validation.split,
        "data": "the synthetic room" if streamed else "a label file",
        "domains": list(data.domains) if streamed else [],
        "scale_ranges": seen_scales(data),
        "started_from": recipe.init.weights or "",
        "licence": inherited_licence(recipe.init.weights),
    }


def seen_scales(data: StudentDataConfig) -> list[list[float]]:
    """Return the ranges of scales that a training uses: none is below that of the stored images.

    Images that `orpose label` stored at 80x60 are never seen at 1x, whatever the value of ``data.scale``.
    """
    heights = [data.render_hw[0]]
    if data.source == "labels":
        assert data.labels is not None
        heights = [image.height for image in read_coco_file(data.labels).images if image.height]
    least = max(1.0, data.original_hw[0] / max(heights, default=data.original_hw[0]))
    ranges = [[max(least, low), max(least, high)] for low, high in data.scale.ranges]
    return [r for i, r in enumerate(ranges) if r not in ranges[:i]]


STUDENT = TrainedKind("student", _build, _trainer, _score, _write, _facts, _reading)
"""The student, as `orpose train student` trains it."""
