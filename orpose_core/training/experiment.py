"""Several trainings and what follows from them as one command that can be killed and started again."""

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
    word stands for the experiment's folder. With ``seeds``, a list of further values to set, each training is
    repeated for each of its entries in a folder of its own (``NAME_1``, ``NAME_2``, ...): what it reads from
    another training is that of the same entry, and a command that reads ``{out}/NAME`` gets all of them.

    Raises:
        ValueError: naming the file, the step and what was expected there.
    """
    content = read_yaml(path)
    if not isinstance(content, dict) or not isinstance(content.get("steps"), list) or not content["steps"]:
        raise ValueError(f"{path}: expected a list of 'steps'")
    odd = set(content) - {"steps", "set", "seeds"}
    if odd:
        raise ValueError(f"{path}: expected the keys steps, set and seeds, got {sorted(odd)}")
    steps = tuple(
        _step(f"{path}: step {i + 1}", values, content.get("set") or {})
        for i, values in enumerate(content["steps"])
    )
    if "seeds" in content:
        steps = _repeated(steps, _checked_seeds(path, content["seeds"]))
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


def _checked_seeds(path: Path, seeds: Any) -> list[Mapping[str, Any]]:
    """Return the entries of ``seeds``; ValueError if they are no list of values to set."""
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
    """Return the words after `orpose` that carry out a step now: a training that was begun is resumed."""
    if not step.train:
        return [word.replace("{out}", str(out)) for word in step.words]
    folder = out / step.name
    if RunFolder(folder).checkpoint.is_file():
        return ["train", step.train, "--resume", str(folder)]
    words = (word.replace("{out}", str(out)) for word in step.words)
    return ["train", step.train, *words, "--out", str(folder)]


def _waits_for(step: Step, earlier: Step) -> bool:
    """Whether a step can begin only when an earlier one is done.

    Trainings stand side by side, unless one reads from the folder of the other; any other command reads
    whatever the ones before it made.
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


def run_experiment(path: Path, out: Path, only: Sequence[str] = (), jobs: int = 1) -> None:
    """Carry out an experiment's steps in their order, each in a process of its own; leave out what is done.

    Killed and started again, it goes on where it was: finished steps are known by the file that they make, a
    training by its checkpoint.

    Args:
        path: the experiment file, see :func:`read_experiment`.
        out: folder of all runs.
        only: names of steps; empty = all.
        jobs: how many trainings may run at once, where none reads what the other makes. More than 1 writes
            what each step prints to ``out/NAME.log``.

    Raises:
        ValueError: the file is not as expected, a name of ``only`` is no step, or a step failed (named);
            steps that were running are finished first, none is begun any more.
    """
    steps = read_experiment(path)
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
