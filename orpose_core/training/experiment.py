"""Experiments: several training runs and the commands that use them, as one command that can be resumed."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from orpose_core.files import read_yaml
from orpose_core.training.engine.run_folder import RunFolder

_STEP_KEYS = {"name", "train", "config", "set", "run", "makes"}


@dataclass(frozen=True)
class Step:
    """One command of an experiment.

    Attributes:
        name: unique name. A training run is in the folder of this name, inside the experiment's folder.
        train: the kind of network to train, as for `orpose train`; "" = the step is another command.
        words: for a training run, its recipe and the values that override it; otherwise the words after
            `orpose`.
        makes: file inside the experiment's folder that exists once the step is done; "" = the step is
            repeated every time.
    """

    name: str
    train: str
    words: tuple[str, ...]
    makes: str


def read_experiment(path: Path, changes: Mapping[str, str] | None = None) -> tuple[Step, ...]:
    """Read an experiment file.

    ``steps`` is a list. A training has ``name``, ``train`` (depthpose, ...), ``config`` (a recipe) and
    optionally ``set`` (values that override it); any other command has ``name``, ``run`` (the words after
    `orpose`) and optionally ``makes``. The file's own ``set`` applies to all trainings. ``{out}`` in any
    word is replaced by the experiment's folder. ``seeds`` is a list of further values to set: each training
    is repeated for each entry, in a folder of its own (``NAME_1``, ``NAME_2``, ...). A training that reads
    from another training reads from the run of the same entry. A command that reads ``{out}/NAME`` gets all
    runs.

    Args:
        path: the file.
        changes: further values for all trainings, such as ``{"engine.max_minutes": "3"}``. They override
            those of the file, and the file's ``seeds`` override them.

    Raises:
        ValueError: the file is not valid. The message names the file, the step and what was expected.
    """
    content = read_yaml(path)
    if not isinstance(content, dict) or not isinstance(content.get("steps"), list) or not content["steps"]:
        raise ValueError(f"{path}: expected a list of 'steps'")
    odd = set(content) - {"steps", "set", "seeds"}
    if odd:
        raise ValueError(f"{path}: expected the keys steps, set and seeds, got {sorted(odd)}")
    steps = tuple(
        _step(f"{path}: step {i + 1}", values, content.get("set") or {}, changes or {})
        for i, values in enumerate(content["steps"])
    )
    if "seeds" in content:
        steps = _repeated(steps, _checked_seeds(path, content["seeds"]))
    names = [step.name for step in steps]
    if len(set(names)) != len(names):
        raise ValueError(f"{path}: expected a different name for every step, got {names}")
    return steps


def _step(where: str, values: Any, common: Mapping[str, Any], changes: Mapping[str, str]) -> Step:
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
    for key, value in {**common, **(values.get("set") or {}), **changes}.items():
        words += [f"--{key}", value if isinstance(value, str) else json.dumps(value)]
    return Step(name, str(values["train"]), tuple(words), f"{name}/results.json")


def _checked_seeds(path: Path, seeds: Any) -> list[Mapping[str, Any]]:
    """Return the entries of ``seeds``; raise ValueError if they are not a list of values to set."""
    if not (isinstance(seeds, list) and seeds and all(isinstance(entry, dict) and entry for entry in seeds)):
        raise ValueError(f"{path}: expected seeds as a list of values to set, got {seeds!r}")
    return seeds


def _repeated(steps: Sequence[Step], seeds: Sequence[Mapping[str, Any]]) -> tuple[Step, ...]:
    """Return the steps with every training repeated for every entry of ``seeds``."""
    trainings = "|".join(re.escape(step.name) for step in steps if step.train)
    folder = re.compile(r"\{out\}/(" + (trainings or "(?!)") + r")(?=/|$)")
    out = []
    for step in steps:
        if not step.train:
            words = []
            for word in step.words:
                numbers = range(1, len(seeds) + 1) if folder.search(word) else [0]
                words += [folder.sub(rf"{{out}}/\1_{k}", word) for k in numbers]
            out.append(replace(step, words=tuple(words)))
            continue
        for k, values in enumerate(seeds, start=1):
            words = [folder.sub(rf"{{out}}/\1_{k}", word) for word in step.words]
            words += [word for key, value in values.items() for word in (f"--{key}", json.dumps(value))]
            name = f"{step.name}_{k}"
            out.append(Step(name, step.train, tuple(words), f"{name}/results.json"))
    return tuple(out)


def words_of(step: Step, out: Path) -> list[str]:
    """Return the words after `orpose` that run a step now. A training that was started before is resumed."""
    if not step.train:
        return [word.replace("{out}", str(out)) for word in step.words]
    folder = out / step.name
    if RunFolder(folder).checkpoint.is_file():
        return ["train", step.train, "--resume", str(folder)]
    words = (word.replace("{out}", str(out)) for word in step.words)
    return ["train", step.train, *words, "--out", str(folder)]


def _waits_for(step: Step, earlier: Step) -> bool:
    """Return whether a step can start only after an earlier one has finished.

    Training runs are independent unless one reads from the folder of the other. Any other command may read
    the files of all steps before it.
    """
    if not step.train or not earlier.train:
        return True
    folder = re.compile(re.escape(f"{{out}}/{earlier.name}") + r"(/|$)")
    return any(folder.search(word) for word in step.words)


def _carry_out(words: Sequence[str], log: Path | None) -> int:
    command = [sys.executable, "-m", "orpose_core.cli", *words]
    if log is None:
        return subprocess.run(command).returncode
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("a") as stream:
        return subprocess.run(command, stdout=stream, stderr=subprocess.STDOUT).returncode


def run_experiment(
    path: Path,
    out: Path,
    only: Sequence[str] = (),
    jobs: int = 1,
    changes: Mapping[str, str] | None = None,
) -> None:
    """Run the steps of an experiment in order, each in a process of its own, and skip those that are done.

    An experiment that was killed resumes where it stopped: a finished step is recognized by the file that it
    makes, and a training is resumed from its checkpoint.

    Args:
        path: the experiment file, see :func:`read_experiment`.
        out: folder of all runs.
        only: names of the steps to run; empty = all.
        jobs: largest number of independent training runs at the same time. With more than 1, the output of
            each step goes to ``out/NAME.log``.
        changes: see :func:`read_experiment`. A training that was started before keeps its own values.

    Raises:
        ValueError: the file is not valid, a name in ``only`` is not that of a step, or a step failed. After a
            failure, running steps finish and no other step starts.
    """
    steps = read_experiment(path, changes)
    unknown = set(only) - {step.name for step in steps}
    if unknown:
        raise ValueError(f"{path}: no step is called {sorted(unknown)}; there are {[s.name for s in steps]}")
    if jobs < 1:
        raise ValueError(f"expected at least 1 job, got {jobs}")
    waiting = []
    for step in steps:
        if only and step.name not in only:
            continue
        if step.makes and (out / step.makes).exists():
            print(f"{step.name}: done before ({out / step.makes})", flush=True)
        else:
            waiting.append(step)
    running: dict[Future[int], Step] = {}
    failed = ""
    with ThreadPoolExecutor(jobs) as pool:
        while running or (waiting and not failed):
            for step in () if failed else tuple(waiting):
                before = [*running.values(), *waiting[: waiting.index(step)]]
                if len(running) < jobs and not any(_waits_for(step, earlier) for earlier in before):
                    waiting.remove(step)
                    words, log = words_of(step, out), out / f"{step.name}.log" if jobs > 1 else None
                    print(f"{step.name}: orpose {' '.join(words)}" + (f" > {log}" if log else ""), flush=True)
                    running[pool.submit(_carry_out, words, log)] = step
            for done in wait(running, return_when=FIRST_COMPLETED).done:
                step, status = running.pop(done), done.result()
                if status:
                    where = f" (see {out / step.name}.log)" if jobs > 1 else ""
                    failed = failed or f"step {step.name!r} ended with status {status}{where}"
    if failed:
        raise ValueError(f"{path}: {failed}; started again, the experiment goes on there")
