"""Training of the teacher's third stage: the residual network of Martinez et al. (ICCV 2017, Sect. 3)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from orpose_core.decoding.roi import LIFTER_OUTPUT
from orpose_core.metrics.mpjpe import UPPER_BODY
from orpose_core.models.lifter import LiftingStatistics
from orpose_core.simulation import SPLITS, split_config
from orpose_core.simulation.people import motion
from orpose_core.simulation.people.kinematics import joints_of
from orpose_core.simulation.stream import scene_of
from orpose_core.skeleton import BODY24, COCO17, H36M17
from orpose_core.teacher.lifting import LiftingModel, ResidualLifter, save_lifting_model
from orpose_core.training.engine.distributed import Processes
from orpose_core.training.engine.engine import Trainer
from orpose_core.training.engine.recipe_run import TrainedKind, header_of
from orpose_core.training.engine.run_folder import RunFolder
from orpose_core.training.engine.settings import EngineConfig, OptimConfig
from orpose_core.training.stages.lifter_samples import (
    JointNoiseConfig,
    LifterDataConfig,
    LifterSamples,
    SeenBodies,
    collate_people,
    detected,
    seen_by,
)
from orpose_core.types import FloatArray, Poses

_OUTPUT = [H36M17.index(j) for j in LIFTER_OUTPUT]
_UPPER = [LIFTER_OUTPUT.index(j) for j in UPPER_BODY]
_LEAST_DEVIATION_M = 1e-3


@dataclass(frozen=True)
class LifterModelConfig:
    """The network; the defaults are the paper's.

    Attributes:
        width: neurons of each layer.
        stages: number of residual stages, of two layers each.
        dropout: probability of dropout.
    """

    width: int = 1024
    stages: int = 2
    dropout: float = 0.5

    def __post_init__(self) -> None:
        if min(self.width, self.stages) < 1 or not 0 <= self.dropout < 1:
            raise ValueError(f"model: expected sizes of 1 or more and a dropout in [0, 1), got {self}")


@dataclass(frozen=True)
class LifterValidationConfig:
    """Settings of the validation, on people of benchmark splits, which no training stream contains.

    Attributes:
        splits: names of the splits.
        frames: number of frames of each, in whole rooms, during training; 0 = none.
        final_frames: number of frames of each at the end of the run.
        noise: noise of the 2D joints.
        seed: seed of the noise.
    """

    splits: tuple[str, ...] = ("or-val-v1", "general-val-v1")
    frames: int = 200
    final_frames: int = 600
    noise: JointNoiseConfig = field(default_factory=JointNoiseConfig)
    seed: int = 0

    def __post_init__(self) -> None:
        unknown = set(self.splits) - set(SPLITS)
        if unknown:
            raise ValueError(f"validation.splits: expected some of {sorted(SPLITS)}, got {self.splits}")
        if min(self.frames, self.final_frames) < 0:
            raise ValueError("validation: frames and final_frames must not be negative")


@dataclass(frozen=True)
class LifterRecipe:
    """A training run of the lifter.

    Attributes:
        model: the network.
        data: the training data.
        optim: the optimizer.
        engine: settings of the engine; ``batch`` counts samples of up to ``data.views`` people each.
        validation: settings of the validation.
    """

    model: LifterModelConfig = field(default_factory=LifterModelConfig)
    data: LifterDataConfig = field(default_factory=LifterDataConfig)
    optim: OptimConfig = field(default_factory=OptimConfig)
    engine: EngineConfig = field(default_factory=EngineConfig)
    validation: LifterValidationConfig = field(default_factory=LifterValidationConfig)


class LifterTask:
    """The mean squared error of standardised joints; MPJPE on the splits."""

    def __init__(self, recipe: LifterRecipe, statistics: LiftingStatistics) -> None:
        self.recipe = recipe
        self.mean_3d, self.std_3d = statistics.mean_3d.clone(), statistics.std_3d.clone()
        self.benchmarks: dict[str, SeenBodies] = {}

    def losses(self, model: nn.Module, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return the loss of the paper."""
        wanted = batch["xyz_root_m"]
        standard = (wanted - self.mean_3d.to(wanted.device)) / self.std_3d.to(wanted.device)
        return {"joints": functional.mse_loss(model(batch["xy_px"]).float(), standard)}

    def validate(self, model: nn.Module) -> dict[str, float]:
        """Return MPJPE in mm on the fixed people of the splits."""
        config = self.recipe.validation
        if not config.frames:
            return {}
        for split in config.splits:
            if split not in self.benchmarks:
                self.benchmarks[split] = split_bodies(split, config.frames, self.recipe.data)
        return lifter_scores(model, self.benchmarks, config)


def split_bodies(split: str, frames: int, data: LifterDataConfig) -> SeenBodies:
    """Return the people of rooms spread evenly over a split; without rendering, no joint is hidden."""
    stream = split_config(split)
    bodies, cameras = [], []
    for index in SPLITS[split].subset(frames):
        sequence, moment = divmod(int(index) // stream.cameras, stream.frames_per_sequence)
        scene = scene_of(stream, sequence)
        for person, actor in zip(scene.people, scene.actors, strict=True):
            pose = motion.pose_at(actor, person.dimensions, moment / stream.rate_hz)
            bodies.append(joints_of(pose, person.dimensions)[0])
            cameras.append(scene.cameras[int(index) % stream.cameras])
    seen = seen_by(np.array(bodies).reshape(-1, len(BODY24), 3), cameras, data.image_hw)
    return seen.select(seen.inside.sum(axis=1) >= data.min_joints)


def lifted(lifter: ResidualLifter, xy_px: FloatArray, scores: FloatArray, hw: tuple[int, int]) -> FloatArray:
    """Return the output of the teacher's third stage, float32 (m, 16, 3), LIFTER_OUTPUT, m, NaN = unknown."""
    nowhere = np.zeros((len(xy_px), 4), np.float32)
    poses = Poses(COCO17, xy_px, scores, np.ones(len(xy_px), np.float32), nowhere)
    return lifter.lift(poses, hw)[:, _OUTPUT]


def lifter_scores(
    model: nn.Module, benchmarks: Mapping[str, SeenBodies], config: LifterValidationConfig
) -> dict[str, float]:
    """Return MPJPE in mm, root-relative, of the lifted joints of every split.

    ``true`` lifts the true 2D joints, ``noisy`` joints with the errors of a detector. ``upper`` includes only
    ORPose's eight joints. ``mean_pose`` is the score of the mean pose on the same joints.
    """
    assert isinstance(model, LiftingModel)
    lifter = ResidualLifter(model, "in_training", "", True)
    mean_pose = model.statistics.mean_3d.cpu().numpy()
    scores: dict[str, float] = {}
    for split, bodies in benchmarks.items():
        name, truth = split.split("-")[0], bodies.targets_m()
        scores[f"{name}_people"] = float(len(truth))
        for kind, noise in (("true", None), ("noisy", config.noise)):
            xy, there = detected(bodies, np.random.default_rng(config.seed), noise)
            answer = lifted(lifter, xy, there, bodies.image_hw)
            error_mm = 1000 * np.linalg.norm(answer - truth, axis=-1)
            mean_mm = 1000 * np.linalg.norm(mean_pose - truth, axis=-1)
            trivial_mm = np.where(np.isnan(error_mm), np.nan, mean_mm)
            scores |= {
                f"{name}_{kind}_mpjpe": float(np.nanmean(error_mm)),
                f"{name}_{kind}_upper_mpjpe": float(np.nanmean(error_mm[:, _UPPER])),
                f"{name}_{kind}_mean_pose_mpjpe": float(np.nanmean(trivial_mm)),
                f"{name}_{kind}_known_pct": 100 * float(np.isfinite(error_mm).mean()),
            }
    return scores


def _build(recipe: LifterRecipe) -> nn.Module:
    """Return the network with the statistics of the first samples."""
    config, data = recipe.model, LifterSamples(recipe.data)
    torch.manual_seed(recipe.engine.seed)
    model = LiftingModel(config.width, config.stages, recipe.data.image_hw, config.dropout)
    people = collate_people([data[index] for index in range(_STATISTICS_SAMPLES)])
    xy, xyz = people["xy_px"].numpy(), people["xyz_root_m"].numpy()
    model.statistics.set(
        torch.from_numpy(np.nanmean(xy, axis=0)),
        torch.from_numpy(np.nanstd(xy, axis=0)),
        torch.from_numpy(xyz.mean(axis=0)),
        torch.from_numpy(np.maximum(xyz.std(axis=0), _LEAST_DEVIATION_M)),
    )
    return model


_STATISTICS_SAMPLES = 100


def _trainer(recipe: LifterRecipe, model: nn.Module, run: RunFolder, mine: Processes) -> Trainer:
    assert isinstance(model, LiftingModel)
    task, data = LifterTask(recipe, model.statistics), LifterSamples(recipe.data)
    return Trainer(model, task, data, recipe.optim, recipe.engine, run, mine, collate_people)


def _score(recipe: LifterRecipe, model: nn.Module, reading: None, half: bool) -> dict[str, Any]:
    config = recipe.validation
    if not config.final_frames:
        return {}
    benchmarks = {s: split_bodies(s, config.final_frames, recipe.data) for s in config.splits}
    return {"frames": config.final_frames, **lifter_scores(model, benchmarks, config)}


def _write(
    model: nn.Module, reading: None, recipe: LifterRecipe, facts: Mapping[str, Any], path: Path
) -> None:
    assert isinstance(model, LiftingModel)
    save_lifting_model(path, model, header_of(facts), half=True)


def _facts(recipe: LifterRecipe) -> dict[str, Any]:
    simulated = recipe.data.source == "simulation"
    return {
        "source": "the synthetic room" if simulated else "Human3.6M",
        "domains": list(recipe.data.domains) if simulated else [],
        "views": recipe.data.views,
        "splits": list(recipe.validation.splits),
    }


LIFTER = TrainedKind("lifter", _build, _trainer, _score, _write, _facts)
"""The lifter, as `orpose train lifter` trains it."""
