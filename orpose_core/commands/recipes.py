"""Recipes on the command line: a config file, what overrides it, and what to do with the run.

Imported by :mod:`orpose_core.commands.train` when something is trained, since it loads PyTorch.
"""

from __future__ import annotations

import argparse
import importlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from jsonargparse import ArgumentParser

from orpose_core.files import read_yaml, refuse_stranger
from orpose_core.resources import find_recipe
from orpose_core.training.engine.processor import prepare_processor
from orpose_core.training.engine.recipe_run import TrainedKind, export_recipe, train_recipe
from orpose_core.training.engine.run_folder import RunFolder

_USAGE = "{prog} [--config NAME|FILE] [--resume RUN] [--export FILE] [--out DIR] [--SECTION.KEY VALUE ...]"
_DESCRIPTION = (
    "Train a network from a recipe. Values of the recipe replace the defaults below, and options after "
    "--config replace values of the recipe. `{prog} --config NAME --help` lists the options of the "
    "recipe's network."
)
_MARKUP = re.compile(r":[a-z]+:`[~!.]*(?:[\w.]*\.)?(\w+)`|``(.*?)``")


@dataclass(frozen=True)
class Command:
    """What `orpose train` was asked.

    Attributes:
        recipe: the config, checked.
        out: folder of the run.
        resume: whether to resume the run that is there.
        export: file to write the run's weights to instead of training, or None.
    """

    recipe: Any
    out: Path
    resume: bool
    export: Path | None


def parse(prog: str, recipe: type, argv: Sequence[str]) -> Command:
    """Read the command line of one kind of training.

    ``--config`` names a recipe that comes with orpose, or a file. It gives values, and anything after it
    overrides them (``--optim.lr 0.001``); an unknown key is an error. ``--resume RUN`` reads the run's own
    config first.

    Raises:
        ValueError: saying which key or value was not understood.
    """
    if not {word.partition("=")[0] for word in argv} - {"--out", "--max-minutes"} - _values(argv):
        raise ValueError(f"expected a recipe (--config NAME) or --resume RUN; see `{prog} --help`")
    parser = ArgumentParser(
        prog=prog,
        usage=_USAGE.format(prog=prog),
        description=_DESCRIPTION.format(prog=prog),
        exit_on_error=False,
    )
    parser.add_argument("--config", action="config", help="name of a recipe, or a YAML file")
    parser.add_argument("--out", type=str | None, help="folder of the run (default: runs/NAME of the recipe)")
    parser.add_argument("--resume", type=str | None, help="folder of a run to continue with its own settings")
    parser.add_argument("--export", type=str | None, help="only write the weights of --resume to this file")
    parser.add_argument(
        "--max-minutes", type=float | None, help="minutes of training; sets engine.max_minutes"
    )
    words = _with_recipe_found(argv)
    folder = _value_of("--resume", words)
    if folder is not None:
        words = ["--config", str(_config_of(folder)), *words]
    minutes = _value_of("--max-minutes", words)
    if minutes is not None:
        words += ["--engine.max_minutes", minutes]
    parser.add_class_arguments(_for_network(recipe, words))
    _strip_markup(parser)
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


def _strip_markup(parser: ArgumentParser) -> None:
    """Remove the markup of the docstrings that describe the options."""

    def plain(text: str) -> str:
        return _MARKUP.sub(lambda match: match[1] or match[2], text)

    for action in parser._actions:
        if isinstance(action.help, str) and action.help != argparse.SUPPRESS:
            action.help = plain(action.help)
    for group in parser._action_groups:
        title = plain(group.title or "")
        group.title = title[:1].upper() + title[1:] if group.title != "options" else group.title


def _values(argv: Sequence[str]) -> set[str]:
    """Return the words that are values of options."""
    return {word for word in argv if not word.startswith("-")}


def _with_recipe_found(argv: Sequence[str]) -> list[str]:
    """Replace the value of every ``--config`` by the path of the recipe that it means."""
    words = list(argv)
    for i, word in enumerate(words):
        if word == "--config" and i + 1 < len(words):
            words[i + 1] = str(_recipe_file(words[i + 1]))
        elif word.startswith("--config="):
            words[i] = f"--config={_recipe_file(word.partition('=')[2])}"
    return words


def _recipe_file(name: str) -> Path:
    """Return the recipe of a name or path; ValueError names a file that holds something else."""
    path = find_recipe(name)
    content = read_yaml(path)
    if not isinstance(content, dict):
        refuse_stranger(path, "a recipe")
        raise ValueError(f"{path}: expected a recipe of keys and values, got {type(content).__name__}")
    return path


def _value_of(option: str, words: Sequence[str]) -> str | None:
    """Return what was given for an option that must be known before the others are read."""
    for i, word in enumerate(words):
        if word == option and i + 1 < len(words):
            return words[i + 1]
        if word.startswith(option + "="):
            return word.partition("=")[2]
    return None


def _for_network(recipe: type, words: Sequence[str]) -> type:
    """Return a recipe whose model has the config of the network that is named, where there are several."""
    choose = getattr(recipe, "for_network", None)
    if choose is None:
        return recipe
    name = "depthpose"
    for i, word in enumerate(words):
        option, _, value = word.partition("=")
        value = value or (words[i + 1] if i + 1 < len(words) else "")
        if option == "--model.architecture":
            name = value
        elif option == "--config" and Path(value).is_file():
            content = read_yaml(value)
            model = content.get("model") if isinstance(content, dict) else None
            name = model.get("architecture", name) if isinstance(model, dict) else name
    return choose(name)


def _config_of(folder: str) -> Path:
    config = RunFolder(folder).config
    if not config.is_file():
        raise ValueError(f"--resume: {config} is missing; is {folder} a training run?")
    return config


def _name_of(words: Sequence[str]) -> str:
    config = _value_of("--config", words)
    return "unnamed" if config is None else Path(config).stem


@dataclass(frozen=True)
class _Trained:
    """Where the trainings that the command line knows are found.

    Attributes:
        module: where the two names are.
        kind: the :class:`TrainedKind`.
        recipe: the dataclass of its settings.
    """

    module: str
    kind: str
    recipe: str


_TRAINED = {
    "depthpose": _Trained("depthpose.recipe", "DEPTHPOSE", "DepthPoseRecipe"),
    "detector": _Trained("stages.detector", "DETECTOR", "DetectorRecipe"),
    "keypoints": _Trained("stages.keypoints", "KEYPOINTS", "KeypointsRecipe"),
    "lifter": _Trained("stages.lifter", "LIFTER", "LifterRecipe"),
    "student": _Trained("student.recipe", "STUDENT", "StudentRecipe"),
}


def trained_kind(name: str) -> tuple[TrainedKind, type]:
    """Return what ``orpose train NAME`` trains, and the dataclass of its recipe."""
    if name not in _TRAINED:
        raise ValueError(f"expected one of {', '.join(_TRAINED)}, got {name!r}")
    entry = _TRAINED[name]
    module = importlib.import_module(f"orpose_core.training.{entry.module}")
    return getattr(module, entry.kind), getattr(module, entry.recipe)


def train(name: str, argv: Sequence[str]) -> int:
    """Carry out ``orpose train NAME``: train, resume, or export the weights of a run."""
    kind, recipe = trained_kind(name)
    prepare_processor()
    command = parse(f"orpose train {name}", recipe, argv)
    if command.export is not None:
        facts = export_recipe(kind, command.out, command.recipe, command.export)
        print(
            f"{command.export}: {facts['steps']} steps, {facts['images']} images, {facts['minutes']} minutes"
        )
        return 0
    run = train_recipe(kind, command.recipe, command.out, command.resume)
    print(f"{run.weights}\n{run.results}")
    return 0
