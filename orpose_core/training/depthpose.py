"""DepthPose and the baselines of its Table 1: the data, the losses, the weights to start from."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from orpose_core.models import ModelConfig, build_model
from orpose_core.models.checkpoints import load_checkpoint, save_checkpoint
from orpose_core.skeleton import OPENPOSE18_PAF_CHANNELS
from orpose_core.training.config import EngineConfig, OptimConfig
from orpose_core.training.distributed import Processes, processes
from orpose_core.training.engine import Trainer, computes_in_bf16
from orpose_core.training.initialisation import InitConfig, initialise
from orpose_core.training.losses import LossConfig, hr_loss, pose_losses
from orpose_core.training.run_folder import RunFolder, RunState
from orpose_core.training.samples import DataConfig
from orpose_core.training.streams import samples
from orpose_core.training.validation import Benchmark, ValidationConfig, benchmark_of, validate

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class DepthPoseRecipe:
    """A whole training run; every default of the paper's recipe is in the parts.

    Attributes:
        row: of Table 1, "" = none; runs with the same row can be told apart by their folders.
        model: the network.
        data: what it is trained on.
        loss: the weights of L_P and L_HR.
        optim: the optimiser.
        engine: how the run is carried out.
        validation: what is scored.
        init: weights to start from.
    """

    row: str = ""
    model: ModelConfig = field(default_factory=ModelConfig)
    data: DataConfig = field(default_factory=DataConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    optim: OptimConfig = field(default_factory=OptimConfig)
    engine: EngineConfig = field(default_factory=EngineConfig)
    validation: ValidationConfig = field(default_factory=ValidationConfig)
    init: InitConfig = field(default_factory=InitConfig)

    def __post_init__(self) -> None:
        model = self.model
        if model.architecture == "super_resolution" and not self.loss.hr_weight:
            raise ValueError("loss.hr_weight: a super-resolution network is trained by L_HR alone, got 0")
        if model.architecture == "sr_rtpose" and self.init.super_resolution is None:
            raise ValueError(
                "init.super_resolution: SR+RTPose needs a super-resolution network that was trained alone"
            )
        if self.data.target.keypoint_sigma_cells != self.validation.decoder.target_sigma_cells:
            raise ValueError(
                "validation.decoder.target_sigma_cells: expected data.target.keypoint_sigma_cells = "
                f"{self.data.target.keypoint_sigma_cells}, got {self.validation.decoder.target_sigma_cells}"
            )

    def as_dict(self) -> dict[str, Any]:
        """Return the recipe as plain values, for YAML and JSON."""
        return json.loads(json.dumps(asdict(self), default=str))


class DepthPoseTask:
    """The losses of Sect. 2.1 and the validation of Sect. 3."""

    def __init__(self, recipe: DepthPoseRecipe, half: bool) -> None:
        self.recipe, self.half = recipe, half
        self.channels = torch.tensor(OPENPOSE18_PAF_CHANNELS)
        self.benchmark: Benchmark | None = None

    def losses(self, model: nn.Module, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return L_P and L_HR, weighted."""
        config = self.recipe.loss
        maps = model(batch["image"])
        parts = {}
        if maps.stages and config.pose_weight:
            pose = pose_losses(maps, batch, self.channels.to(batch["image"].device), config)
            parts["pose"] = config.pose_weight * pose
        trains_sr = self.recipe.model.architecture in ("depthpose", "super_resolution")
        if config.hr_weight and trains_sr and maps.sr_image is not None:
            parts["high_resolution"] = config.hr_weight * hr_loss(maps.sr_image, batch["high_resolution"])
        return parts

    def validate(self, model: nn.Module) -> dict[str, float]:
        """Return the scores on the fixed frames of the validation split; the SR network alone has none."""
        config = self.recipe.validation
        if self.recipe.model.architecture == "super_resolution" or not config.frames:
            return {}
        if self.benchmark is None:
            self.benchmark = benchmark_of(config, self.recipe.model, config.frames)
        return validate(model, self.benchmark, config, self.half)


def without_unused_parts(recipe: DepthPoseRecipe) -> ModelConfig:
    """Return the network's config, without C16 where L_HR does not train it."""
    values = asdict(recipe.model)
    if recipe.model.architecture == "depthpose" and not recipe.loss.hr_weight:
        values["sr_image"] = False
    return ModelConfig(**values)


def train(recipe: DepthPoseRecipe, folder: Path, resume: bool = False) -> RunFolder:
    """Run a recipe in a folder, from the start or from where a killed run left it.

    The folder gets ``config.yaml``, ``last.ckpt``, and at the end ``weights.safetensors`` (half precision,
    the mean weights) and ``results.json``.

    Raises:
        ValueError: if the folder already holds a run and ``resume`` is False, or the other way round.
    """
    run = RunFolder(folder)
    if run.checkpoint.exists() and not resume:
        raise ValueError(f"{folder}: there is a run already; resume it, or name another folder")
    with processes(recipe.engine.device) as mine:
        trainer = trainer_of(recipe, run, mine)
        if resume:
            trainer.resume()
        elif mine.leads:
            run.write_config(recipe.as_dict())
        if mine.leads and recipe.validation.frames:
            logger.info("training %s in %s", recipe.row or recipe.model.architecture, folder)
        trainer.run()
        if mine.leads:
            _finish(trainer, recipe, run)
        mine.wait_for_all()
    return run


def trainer_of(recipe: DepthPoseRecipe, run: RunFolder, mine: Processes) -> Trainer:
    """Build the network, its first weights and its data, ready to run."""
    model = build_model(without_unused_parts(recipe), seed=recipe.engine.seed)
    initialise(model, recipe.init, recipe.engine.seed)
    torch.manual_seed(recipe.engine.seed)
    half = recipe.engine.half_precision and computes_in_bf16(mine.device)
    task, data = DepthPoseTask(recipe, half), samples(recipe.data, recipe.model)
    return Trainer(model, task, data, recipe.optim, recipe.engine, run, mine)


def _finish(trainer: Trainer, recipe: DepthPoseRecipe, run: RunFolder) -> None:
    """Write what came out: weights, scores on the final frames, facts."""
    model = trainer.mean.model.eval()
    scores: dict[str, float] = {}
    frames = recipe.validation.final_frames
    if frames and recipe.model.architecture != "super_resolution":
        benchmark = benchmark_of(recipe.validation, recipe.model, frames)
        scores = {
            "frames": len(benchmark.truth),
            **validate(model, benchmark, recipe.validation, trainer.half),
        }
    facts = facts_of(recipe, trainer.state, trainer.processes.world)
    write_weights(model, run.weights, facts | {"scores": scores})
    run.write_results({**facts, "scores": scores, "validations": trainer.state.validations,
                       "recipe": recipe.as_dict()})  # fmt: skip


def facts_of(recipe: DepthPoseRecipe, state: RunState, world: int = 1) -> dict[str, Any]:
    """Return what a model card says of a run: steps, images, minutes, data."""
    return {
        "row": recipe.row,
        "steps": state.step,
        "images": state.images,
        "minutes": round(state.spent_s / 60.0, 1),
        "images_per_s": round(state.images / max(state.seconds, 1e-9), 2),
        "share_waiting_for_data": round(state.waited_s / max(state.seconds, 1e-9), 4),
        "processes": world,
        "threads": torch.get_num_threads(),
        "split": recipe.validation.split,
        "data": "the synthetic room" if recipe.data.source == "simulation" else "recordings",
        "domains": list(recipe.data.domains) if recipe.data.source == "simulation" else [],
    }


def write_weights(model: nn.Module, path: Path, facts: Mapping[str, Any]) -> None:
    """Write a network in half precision, with the run's facts in the file's header."""
    metadata = {"training": json.dumps(facts), "licence": "Apache-2.0"}
    path.parent.mkdir(parents=True, exist_ok=True)
    save_checkpoint(path, model, metadata, half=True)


def export(folder: Path, recipe: DepthPoseRecipe, path: Path) -> dict[str, Any]:
    """Write the mean weights of a run's newest checkpoint, also while it goes on; return the run's facts."""
    state, saved = RunFolder(folder).load()
    model = build_model(without_unused_parts(recipe), seed=recipe.engine.seed)
    model.load_state_dict(saved["mean"] if recipe.optim.ema_decay else saved["model"])
    facts = facts_of(recipe, state)
    scores = _scores_at(RunFolder(folder), state)
    write_weights(model.eval(), path, facts | {"scores": scores})
    return facts


def _scores_at(run: RunFolder, state: RunState) -> dict[str, Any]:
    """Return the final scores if the run has ended where its checkpoint is, else the newest validation's."""
    if run.results.is_file():
        results = json.loads(run.results.read_text())
        if results["steps"] == state.step:
            return results["scores"]
    return state.validations[-1] if state.validations else {}


def gflops(config: ModelConfig) -> float:
    """Return the cost of one forward pass of one image without the SR image, in GFLOPs (1 MAC = 2 FLOPs)."""
    with torch.device("meta"):
        model = build_model(config).eval()
        image = torch.zeros(1, config.in_channels, *config.input_hw)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(image)
    return counter.get_total_flops() / 1e9


def trained_parameters(path: Path) -> int:
    """Return how many parameters a weights file holds."""
    return sum(p.numel() for p in load_checkpoint(path).model.parameters())
