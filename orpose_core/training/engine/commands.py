"""The command line of `orpose train`: a config file, what overrides it, and what to do with the run."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jsonargparse import ArgumentParser

from orpose_core.training.engine.processor import prepare_processor
from orpose_core.training.engine.run_folder import RunFolder

if TYPE_CHECKING:
    from orpose_core.training.engine.recipe_run import TrainedKind


@dataclass(frozen=True)
class Command:
    """What `orpose train` was asked.

    Attributes:
        recipe: the config, checked.
        out: folder of the run.
        resume: whether to go on with the run that is there.
        export: file to write the run's weights to instead of training, or None.
    """

    recipe: Any
    out: Path
    resume: bool
    export: Path | None


def parse(prog: str, recipe: type, argv: Sequence[str]) -> Command:
    """Read the command line of one kind of training.

    ``--config FILE`` gives values, anything after it overrides them (``--optim.lr 0.001``); an unknown key
    is an error. ``--resume RUN`` reads the run's own config first.

    Raises:
        ValueError: saying which key or value was not understood.
    """
    parser = ArgumentParser(
        prog=prog, description=(recipe.__doc__ or "").splitlines()[0], exit_on_error=False
    )
    parser.add_argument("--config", action="config", help="recipe, YAML")
    parser.add_class_arguments(recipe)
    parser.add_argument("--out", type=str | None, help="folder of the run; default: runs/NAME of the recipe")
    parser.add_argument("--resume", type=str | None, help="folder of a run to go on with; its config is read")
    parser.add_argument("--export", type=str | None, help="only write the weights of --resume")
    parser.add_argument("--max-minutes", type=float | None, help="the same as --engine.max_minutes")
    words = list(argv)
    folder = _value_of("--resume", words)
    if folder is not None:
        words = ["--config", str(_config_of(folder)), *words]
    minutes = _value_of("--max-minutes", words)
    if minutes is not None:
        words += ["--engine.max_minutes", minutes]
    try:
        parsed = parser.parse_args(words)
        made = parser.instantiate(parsed)
    except argparse.ArgumentError as error:
        raise ValueError(str(error).strip()) from error
    if parsed.export is not None and folder is None:
        raise ValueError("--export: expected --resume RUN with it")
    values = {name: getattr(made, name) for name in (f.name for f in fields(recipe))}
    out = folder or parsed.out or str(Path("runs") / _name_of(words))
    export = Path(parsed.export) if parsed.export is not None else None
    return Command(recipe(**values), Path(out), folder is not None, export)


def _value_of(option: str, words: Sequence[str]) -> str | None:
    """Return what was given for an option that must be known before the others are read."""
    for i, word in enumerate(words):
        if word == option and i + 1 < len(words):
            return words[i + 1]
        if word.startswith(option + "="):
            return word.partition("=")[2]
    return None


def _config_of(folder: str) -> Path:
    config = RunFolder(folder).config
    if not config.is_file():
        raise ValueError(f"--resume: {config} is missing; is {folder} a training run?")
    return config


def _name_of(words: Sequence[str]) -> str:
    config = _value_of("--config", words)
    return "unnamed" if config is None else Path(config).stem


def _train_kind(kind: TrainedKind, recipe: type, argv: Sequence[str]) -> int:
    """Train, go on with, or export one of the kinds that share :mod:`recipe_run`."""
    from orpose_core.training.engine.recipe_run import export_recipe, train_recipe

    prepare_processor()
    command = parse(f"orpose train {kind.name}", recipe, argv)
    if command.export is not None:
        facts = export_recipe(kind, command.out, command.recipe, command.export)
        print(
            f"{command.export}: {facts['steps']} steps, {facts['images']} images, {facts['minutes']} minutes"
        )
        return 0
    run = train_recipe(kind, command.recipe, command.out, command.resume)
    print(f"{run.weights}\n{run.results}")
    return 0


def train_depthpose(argv: Sequence[str]) -> int:
    """`orpose train depthpose`: a network of the low-resolution depth paper."""
    from orpose_core.training.depthpose.recipe import DEPTHPOSE, DepthPoseRecipe

    return _train_kind(DEPTHPOSE, DepthPoseRecipe, argv)


def train_detector(argv: Sequence[str]) -> int:
    """`orpose train detector`: the teacher's first stage."""
    from orpose_core.training.stages.detector import DETECTOR, DetectorRecipe

    return _train_kind(DETECTOR, DetectorRecipe, argv)


def train_keypoints(argv: Sequence[str]) -> int:
    """`orpose train keypoints`: the teacher's second stage."""
    from orpose_core.training.stages.keypoints import KEYPOINTS, KeypointsRecipe

    return _train_kind(KEYPOINTS, KeypointsRecipe, argv)


def train_lifter(argv: Sequence[str]) -> int:
    """`orpose train lifter`: the teacher's third stage."""
    from orpose_core.training.stages.lifter import LIFTER, LifterRecipe

    return _train_kind(LIFTER, LifterRecipe, argv)


def train_student(argv: Sequence[str]) -> int:
    """`orpose train student`: the student of ORPose, from a teacher's labels or exact ones."""
    from orpose_core.training.student.recipe import STUDENT, StudentRecipe

    return _train_kind(STUDENT, StudentRecipe, argv)
