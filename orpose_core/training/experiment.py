"""Several trainings and what follows from them as one command that can be killed and started again."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from orpose_core.training.run_folder import RunFolder

_STEP_KEYS = {"name", "train", "config", "set", "run", "makes"}


@dataclass(frozen=True)
class Step:
    """One command of an experiment.

    Attributes:
        name: unique; the run folder of a training, inside the experiment's folder.
        train: what `orpose train` trains; "" = the step is another command.
        words: of a training: its recipe and the values that override it; else the words after `orpose`.
        makes: file inside the experiment's folder whose existence says that the step is done; "" = the step
            is repeated every time.
    """

    name: str
    train: str
    words: tuple[str, ...]
    makes: str


def read_experiment(path: Path) -> tuple[Step, ...]:
    """Read an experiment file.

    ``steps`` is a list. A training has ``name``, ``train`` (depthpose, ...), ``config`` (a recipe) and
    optionally ``set`` (values that override it); any other command has ``name``, ``run`` (the words after
    `orpose`) and optionally ``makes``. The file's own ``set`` applies to all trainings. ``{out}`` in any
    word stands for the experiment's folder.

    Raises:
        ValueError: naming the file, the step and what was expected there.
    """
    try:
        content = yaml.safe_load(path.read_text())
    except (OSError, yaml.YAMLError) as error:
        raise ValueError(f"{path}: expected an experiment file, got: {error}") from error
    if not isinstance(content, dict) or not isinstance(content.get("steps"), list) or not content["steps"]:
        raise ValueError(f"{path}: expected a list of 'steps'")
    odd = set(content) - {"steps", "set"}
    if odd:
        raise ValueError(f"{path}: expected the keys steps and set, got {sorted(odd)}")
    steps = tuple(
        _step(f"{path}: step {i + 1}", values, content.get("set") or {})
        for i, values in enumerate(content["steps"])
    )
    names = [step.name for step in steps]
    if len(set(names)) != len(names):
        raise ValueError(f"{path}: expected a different name for every step, got {names}")
    return steps


def _step(where: str, values: Any, common: Mapping[str, Any]) -> Step:
    if not isinstance(values, dict) or not set(values) <= _STEP_KEYS or "name" not in values:
        raise ValueError(f"{where}: expected 'name' and some of {sorted(_STEP_KEYS)}, got {values!r}")
    name = str(values["name"])
    if ("train" in values) == ("run" in values):
        raise ValueError(f"{where} ({name}): expected either 'train' or 'run'")
    if "run" in values:
        return Step(name, "", tuple(str(word) for word in values["run"]), str(values.get("makes", "")))
    if "config" not in values:
        raise ValueError(f"{where} ({name}): expected the 'config' of the training")
    words = ["--config", str(values["config"])]
    for key, value in {**common, **(values.get("set") or {})}.items():
        words += [f"--{key}", value if isinstance(value, str) else json.dumps(value)]
    return Step(name, str(values["train"]), tuple(words), f"{name}/results.json")


def words_of(step: Step, out: Path) -> list[str]:
    """Return the words after `orpose` that carry out a step now: a training that was begun is resumed."""
    if not step.train:
        return [word.replace("{out}", str(out)) for word in step.words]
    folder = out / step.name
    if RunFolder(folder).checkpoint.is_file():
        return ["train", step.train, "--resume", str(folder)]
    words = (word.replace("{out}", str(out)) for word in step.words)
    return ["train", step.train, *words, "--out", str(folder)]


def run_experiment(path: Path, out: Path, only: Sequence[str] = ()) -> None:
    """Carry out an experiment's steps in their order, each in a process of its own; leave out what is done.

    Killed and started again, it goes on where it was: finished steps are known by the file that they make, a
    training by its checkpoint.

    Args:
        path: the experiment file, see :func:`read_experiment`.
        out: folder of all runs.
        only: names of steps; empty = all.

    Raises:
        ValueError: the file is not as expected, a name of ``only`` is no step, or a step failed (named).
    """
    steps = read_experiment(path)
    unknown = set(only) - {step.name for step in steps}
    if unknown:
        raise ValueError(f"{path}: no step is called {sorted(unknown)}; there are {[s.name for s in steps]}")
    for step in steps:
        if only and step.name not in only:
            continue
        if step.makes and (out / step.makes).exists():
            print(f"{step.name}: done before ({out / step.makes})", flush=True)
            continue
        words = words_of(step, out)
        print(f"{step.name}: orpose {' '.join(words)}", flush=True)
        status = subprocess.run([sys.executable, "-m", "orpose_core.cli", *words]).returncode
        if status:
            raise ValueError(
                f"{path}: step {step.name!r} ended with status {status}; "
                "started again, the experiment goes on there"
            )
