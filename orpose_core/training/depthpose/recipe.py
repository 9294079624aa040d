"""The recipe of DepthPose and the baselines of its Table 1: data, losses and initial weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, make_dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from orpose_core.checkpoints.history import earlier_trainings, inherited_licence
from orpose_core.estimators.map_settings import MapSettings
from orpose_core.models import MapConfig, ModelConfig, NetworkConfig, build_model, network_of
from orpose_core.models.builder import map_config_of
from orpose_core.models.inference import bf16_is_fast
from orpose_core.skeleton import by_name
from orpose_core.training.depthpose.batch_norm import add_batch_norms, keep_answers, without_batch_norms
from orpose_core.training.depthpose.initialisation import InitConfig, initialise
from orpose_core.training.depthpose.losses import LossConfig, hr_loss, pose_losses, visibility_loss
from orpose_core.training.depthpose.samples import DataConfig
from orpose_core.training.depthpose.sigma_calibration import measured_settings
from orpose_core.training.depthpose.streams import samples
from orpose_core.training.depthpose.threshold_choice import ReadingConfig
from orpose_core.training.depthpose.validation import (
    Benchmark,
    ValidationConfig,
    benchmark_of,
    final_scores,
    validate,
)
from orpose_core.training.engine.distributed import Processes
from orpose_core.training.engine.engine import Trainer
from orpose_core.training.engine.recipe_run import TrainedKind, write_weights
from orpose_core.training.engine.run_folder import RunFolder
from orpose_core.training.engine.settings import EngineConfig, OptimConfig

_IMAGES_FOR_NORMS = 64


@dataclass(frozen=True)
class DepthPoseRecipe:
    """A training run of DepthPose or a baseline.

    Attributes:
        row: row of Table 1; "" = none. Several runs may have the same row.
        model: the network, which must predict maps. Its number of channels follows from its skeleton.
        data: the training data.
        loss: the weights of L_P and L_HR.
        optim: the optimizer.
        engine: settings of the engine.
        validation: settings of the validation.
        reading: frames on which thresholds are chosen and sigmas calibrated, for the weights file.
        init: initial weights.
        batch_norm: whether to use batch normalization during training
            (:mod:`~orpose_core.training.depthpose.batch_norm`); the paper does not, because it starts from
            pretrained weights.
    """

    row: str = ""
    model: MapConfig = field(default_factory=ModelConfig)
    data: DataConfig = field(default_factory=DataConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    optim: OptimConfig = field(default_factory=OptimConfig)
    engine: EngineConfig = field(default_factory=EngineConfig)
    validation: ValidationConfig = field(default_factory=ValidationConfig)
    reading: ReadingConfig = field(default_factory=ReadingConfig)
    init: InitConfig = field(default_factory=InitConfig)
    batch_norm: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "model", self.model.with_skeleton(by_name(self.model.skeleton)))
        network = network_of(self.model)
        if network.answer == "image" and not self.loss.hr_weight:
            raise ValueError("loss.hr_weight: a super-resolution network is trained only by L_HR, got 0")
        if self.loss.visibility_weight and not self.model.gives_visibility:
            raise ValueError(
                f"loss.visibility_weight: expected 0 for {network.architecture} as model describes it, which "
                f"gives no visibility, got {self.loss.visibility_weight}"
            )
        sized, wanted = self.data.render_hw, self.model.sr_hw
        compared = self.data.source == "simulation" and self.network_config.gives_sr_image
        if compared and any(a < b for a, b in zip(sized, wanted, strict=True)):
            raise ValueError(
                f"data.render_hw: L_HR compares images of {wanted}, {self.model.sr_scale} times "
                f"model.input_hw, expected at least that, got {sized}; or set loss.hr_weight to 0"
            )
        if network.frozen_sr and self.init.super_resolution is None:
            raise ValueError(
                f"init.super_resolution: {network.architecture} needs a super-resolution network that was "
                "trained on its own"
            )
        if self.data.target.keypoint_sigma_cells != self.validation.decoder.target_sigma_cells:
            raise ValueError(
                "validation.decoder.target_sigma_cells: expected data.target.keypoint_sigma_cells = "
                f"{self.data.target.keypoint_sigma_cells}, got {self.validation.decoder.target_sigma_cells}"
            )

    @property
    def network_config(self) -> MapConfig:
        """Config of the network that is built: without an SR image if L_HR does not train it."""
        return self.model if self.loss.hr_weight else self.model.without_sr_image()

    @classmethod
    def for_network(cls, architecture: str) -> type[DepthPoseRecipe]:
        """Return this class with the config of a network as its ``model``, for the command line.

        Raises:
            ValueError: there is no network of this name, or it does not predict maps.
        """
        config = map_config_of(architecture)
        model = field(default_factory=lambda: config(architecture=architecture))
        names = {"__module__": cls.__module__, "__doc__": cls.__doc__}
        return make_dataclass(
            cls.__name__, [("model", config, model)], bases=(cls,), frozen=True, namespace=names
        )


class DepthPoseTask:
    """The losses of Sect. 2.1 and the validation of Sect. 3."""

    def __init__(self, recipe: DepthPoseRecipe, half: bool) -> None:
        self.recipe, self.half = recipe, half
        self.network = network_of(recipe.model)
        self.trains_sr_image = recipe.network_config.gives_sr_image
        self.skeleton = by_name(recipe.model.skeleton)
        self.channels = torch.tensor(self.skeleton.paf_channels)
        self.benchmark: Benchmark | None = None

    def losses(self, model: nn.Module, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return L_P, L_HR and the loss of visibility, weighted."""
        config = self.recipe.loss
        maps = model(batch["image"])
        parts = {}
        if maps.stages and config.pose_weight:
            pose = pose_losses(maps, batch, self.channels.to(batch["image"].device), config, self.skeleton)
            parts["pose"] = config.pose_weight * pose
        if self.trains_sr_image and maps.sr_image is not None:
            parts["high_resolution"] = config.hr_weight * hr_loss(maps.sr_image, batch["high_resolution"])
        if config.visibility_weight and maps.visibility_logits is not None:
            parts["visibility"] = config.visibility_weight * visibility_loss(maps.visibility_logits, batch)
        return parts

    def validate(self, model: nn.Module) -> dict[str, float]:
        """Return the scores on the validation frames; a super-resolution network has none."""
        config = self.recipe.validation
        if self.network.answer == "image" or not config.frames:
            return {}
        if self.benchmark is None:
            self.benchmark = benchmark_of(config, self.recipe.model, config.frames)
        return validate(model, self.recipe.model, self.benchmark, config, self.half)


def _build(recipe: DepthPoseRecipe) -> nn.Module:
    model = build_model(recipe.network_config, seed=recipe.engine.seed)
    initialise(model, recipe.init, recipe.engine.seed)
    return add_batch_norms(model) if recipe.batch_norm else model


def _trainer(recipe: DepthPoseRecipe, model: nn.Module, run: RunFolder, mine: Processes) -> Trainer:
    half = recipe.engine.half_precision and bf16_is_fast(mine.device)
    task, data = DepthPoseTask(recipe, half), samples(recipe.data, recipe.network_config)
    fresh = not run.checkpoint.exists()  # a resumed run finds its norms in the checkpoint
    if fresh and recipe.batch_norm and recipe.init.weights is not None:
        keep_answers(model, (torch.from_numpy(data[i]["image"])[None] for i in range(_IMAGES_FOR_NORMS)))
    return Trainer(model, task, data, recipe.optim, recipe.engine, run, mine)


def _reading(recipe: DepthPoseRecipe, model: nn.Module) -> MapSettings | None:
    if not recipe.reading.frames or network_of(recipe.model).answer != "maps":
        return None
    plain = without_batch_norms(model)
    return measured_settings(plain, recipe.model, recipe.reading, recipe.validation.decoder)


def _score(
    recipe: DepthPoseRecipe, model: nn.Module, reading: MapSettings | None, half: bool
) -> dict[str, Any]:
    if network_of(recipe.model).answer == "image":
        return {}
    config = recipe.validation
    if reading is not None:  # the scores are those of the file, thresholds included
        config = replace(config, decoder=reading.decoder)
    return final_scores(without_batch_norms(model), recipe.model, config, half)


def _write(
    model: nn.Module,
    reading: MapSettings | None,
    recipe: DepthPoseRecipe,
    facts: Mapping[str, Any],
    path: Path,
) -> None:
    write_weights(without_batch_norms(model), path, facts, {} if reading is None else reading.header())


def _facts(recipe: DepthPoseRecipe) -> dict[str, Any]:
    simulated = recipe.data.source == "simulation"
    return {
        "row": recipe.row,
        "split": recipe.validation.split,
        "batch_norm": recipe.batch_norm,
        "window_hw": recipe.data.crop_hw,
        "data": "the synthetic room" if simulated else "recordings",
        "domains": list(recipe.data.domains) if simulated else [],
        "licence": _licence(recipe.init),
        **earlier_trainings(recipe.init.weights),
    }


def _licence(init: InitConfig) -> str:
    """Return the licence of the initial weights; published files do not contain theirs."""
    own = inherited_licence(init.weights, init.super_resolution)
    return own if init.pose is None else f"unknown, that of {Path(init.pose).name}"


DEPTHPOSE = TrainedKind("depthpose", _build, _trainer, _score, _write, _facts, _reading)
"""DepthPose and the baselines of its Table 1, as `orpose train depthpose` trains them."""


def gflops(config: NetworkConfig) -> float:
    """Return the cost of one forward pass of one image without the SR image, in GFLOPs (1 MAC = 2 FLOPs)."""
    with torch.device("meta"):
        model = build_model(config).eval()
        image = torch.zeros(1, config.in_channels, *config.input_hw)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(image)
    return counter.get_total_flops() / 1e9
