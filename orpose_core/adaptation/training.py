"""The training of an adaptation: from weights that are there, on the labels of a site."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from math import gcd
from pathlib import Path
from typing import Any

from torch import nn

from orpose_core.adaptation.choice import SiteTask
from orpose_core.adaptation.options import AdaptOptions, SiteFolder
from orpose_core.checkpoints.files import Checkpoint
from orpose_core.checkpoints.history import earlier_trainings
from orpose_core.models import MapConfig, network_of
from orpose_core.training.depthpose.initialisation import InitConfig
from orpose_core.training.depthpose.losses import LossConfig
from orpose_core.training.depthpose.recipe import DEPTHPOSE, DepthPoseRecipe
from orpose_core.training.depthpose.samples import DataConfig
from orpose_core.training.depthpose.validation import ValidationConfig
from orpose_core.training.engine.distributed import Processes
from orpose_core.training.engine.engine import Trainer
from orpose_core.training.engine.recipe_run import train_recipe
from orpose_core.training.engine.run_folder import RunFolder
from orpose_core.training.engine.settings import EngineConfig, OptimConfig
from orpose_core.training.frame_cache import CacheConfig

_MOST_STEPS = 10_000_000  # time ends a run
_FOREGROUND, _ARMS = 4.0, 2.0
_WINDOW = Fraction(2, 3), Fraction(5, 8)
_DOMAINS, _SHARES, _CROWDS = ("or", "general", "anywhere"), (0.15, 0.10, 0.75), (2, 2, 0)
"""Of the synthetic frames, as in the recipe of the shipped network."""
_FRAME_SCALE = 4
"""Frames are kept at so many times the input, where no super-resolved image needs more."""
_VISIBILITY_WEIGHT = 0.01
_VALIDATE_STEPS = 200
_REPLAYED_FRAMES, _REPLAY_SEED = 512, 1
"""Synthetic frames of each domain that are rendered before the training, and their seed."""
_WORTH_KEEPING_MINUTES = 5.0


def adaptable(checkpoint: Checkpoint) -> MapConfig:
    """Return the config of a network that can be adapted.

    Raises:
        ValueError: a network that does not read depth, or has random weights.
    """
    config = checkpoint.config
    if not isinstance(config, MapConfig) or config.modality != "depth":
        raise ValueError(f"{checkpoint.name}: expected a network of depth, got one of {config.modality}")
    if network_of(config).answer != "maps" or not checkpoint.trained:
        raise ValueError(f"{checkpoint.name}: expected trained weights of a network that finds people")
    return config


def recipe_of(site: SiteFolder, options: AdaptOptions, config: MapConfig) -> DepthPoseRecipe:
    """Return the recipe of an adaptation.

    Windows of two thirds of the input around people, as the shipped networks were trained. A teacher of
    color does not say which joints are seen: what says it learns from the synthetic frames alone.
    """
    trains_image = config.gives_sr_image
    height, width = config.input_hw
    recipe = DepthPoseRecipe.for_network(config.architecture)
    visibility = _VISIBILITY_WEIGHT if options.replay and config.gives_visibility else 0.0
    return recipe(
        model=config,
        data=DataConfig(
            source="folder",
            folder=site.labels,
            labels=site.part("train"),
            joint_score=options.joint_score,
            domains=_DOMAINS,
            domain_shares=_SHARES,
            domain_crowds=_CROWDS,
            min_visible_joints=3,
            replay=options.replay,
            people_maps=options.sides == "network",
            cache=_cache(site, options),
            render_hw=config.sr_hw if trains_image else (_FRAME_SCALE * height, _FRAME_SCALE * width),
            crop_hw=_window_hw(config),
            seed=options.seed + 1,
        ),
        loss=LossConfig(
            hr_weight=1.0 if trains_image else 0.0,
            foreground=_FOREGROUND,
            arms=_ARMS,
            visibility_weight=visibility,
        ),
        optim=OptimConfig(
            name="adamw",
            lr=options.learning_rate,
            schedule="cosine",
            warmup_steps=50,
            clip_norm=1.0,
            ema_decay=0.998,
        ),
        engine=EngineConfig(
            steps=_MOST_STEPS,
            batch=16,
            seed=options.seed,
            threads=options.threads,
            workers=options.workers,
            max_minutes=options.minutes,
            progress="time",
            checkpoint_minutes=2.0,
            validate_steps=_VALIDATE_STEPS,
        ),
        validation=ValidationConfig(frames=0, final_frames=0),
        init=InitConfig(weights=options.model),
        batch_norm=True,
    )


def _window_hw(config: MapConfig) -> tuple[int, int] | None:
    """Return two thirds of the height and five eighths of the width; None where it cuts cells of a map."""
    window = []
    for size, cells, part in zip(config.input_hw, config.map_hw, _WINDOW, strict=True):
        side = size * part.numerator // part.denominator
        if side * gcd(size, cells) % size:
            return None
        window.append(side)
    return window[0], window[1]


def train_site(site: SiteFolder, recipe: DepthPoseRecipe) -> Path:
    """Train, or continue a training that was interrupted; return the weights as they were at the end.

    The best of all validations are in ``site.best``.
    """

    def trainer(recipe: DepthPoseRecipe, model: nn.Module, run: RunFolder, mine: Processes) -> Trainer:
        made = DEPTHPOSE.trainer(recipe, model, run, mine)
        made.task = SiteTask(recipe, made.half, site, lambda: made.state.validations)
        return made

    kind = replace(DEPTHPOSE, name="site", facts=_facts, trainer=trainer)
    run = train_recipe(kind, recipe, site.training, (site.training / "last.ckpt").is_file())
    return run.weights


def _cache(site: SiteFolder, options: AdaptOptions) -> CacheConfig:
    """Return where synthetic frames are kept; a training of a few minutes renders those that it asks for."""
    keeps = options.replay and options.minutes >= _WORTH_KEEPING_MINUTES
    return CacheConfig(site.replayed if keeps else None, _REPLAYED_FRAMES, seed=_REPLAY_SEED)


def _facts(recipe: DepthPoseRecipe) -> dict[str, Any]:
    return {
        "batch_norm": recipe.batch_norm,
        "window_hw": recipe.data.crop_hw,
        "data": "recordings of this site",
        "domains": [],
        **earlier_trainings(recipe.init.weights),
    }
