"""From a recipe to a finished run, for all kinds of networks: start or resume, train, score, export."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from orpose_core.checkpoints.files import save_checkpoint
from orpose_core.checkpoints.history import OWN_LICENCE
from orpose_core.training.engine.distributed import Processes, processes
from orpose_core.training.engine.engine import Trainer
from orpose_core.training.engine.run_folder import RunFolder, RunState

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrainedKind:
    """A kind of network that can be trained: the functions in which the kinds differ.

    Attributes:
        name: name on the command line.
        build: (recipe) -> network with its initial weights.
        trainer: (recipe, network, run folder, process) -> trainer that is ready to run.
        score: (recipe, network in evaluation mode, reading, whether to compute in bf16) -> final scores. The
            entry ``per_frame`` is written to the results, but not into the weights file.
        write: (network, reading, recipe, facts, path): writes the weights in half precision.
        facts: (recipe) -> the facts about the data that the model card lists.
        reading: (recipe, network in evaluation mode) -> settings with which the network's output is decoded
            best, measured once for ``score`` and ``write``; None = nothing is measured.
    """

    name: str
    build: Callable[[Any], nn.Module]
    trainer: Callable[[Any, nn.Module, RunFolder, Processes], Trainer]
    score: Callable[[Any, nn.Module, Any, bool], dict[str, Any]]
    write: Callable[[nn.Module, Any, Any, Mapping[str, Any], Path], None]
    facts: Callable[[Any], dict[str, Any]]
    reading: Callable[[Any, nn.Module], Any] = lambda recipe, model: None


def recipe_values(recipe: Any) -> dict[str, Any]:
    """Return a recipe (a dataclass of dataclasses) as plain values, for YAML and JSON."""
    return json.loads(json.dumps(asdict(recipe), default=str))


def header_of(facts: Mapping[str, Any]) -> dict[str, str]:
    """Return the header of a weights file: the facts of the run and the licence.

    ``facts`` may contain the ``licence`` of the weights that the training started from.
    """
    return {"training": json.dumps(facts), "licence": str(facts.get("licence", OWN_LICENCE))}


def write_weights(
    model: nn.Module, path: Path, facts: Mapping[str, Any], header: Mapping[str, str] | None = None
) -> None:
    """Write a network in half precision, with the facts of the run and ``header`` in the file's header."""
    path.parent.mkdir(parents=True, exist_ok=True)
    save_checkpoint(path, model, {**header_of(facts), **(header or {})}, half=True)


def train_recipe(kind: TrainedKind, recipe: Any, folder: Path, resume: bool = False) -> RunFolder:
    """Train a recipe in a folder, from the start or from the checkpoint of an interrupted run.

    Writes ``config.yaml`` and ``last.ckpt``, and at the end ``weights.safetensors`` (the mean weights in half
    precision) and ``results.json``.

    Raises:
        ValueError: the folder holds a run and ``resume`` is False, or holds none and it is True, or another
            process is training in the folder.
    """
    run = RunFolder(folder)
    if run.checkpoint.exists() and not resume:
        raise ValueError(f"{folder}: there is a run already; resume it, or name another folder")
    with processes(recipe.engine.device) as mine:
        model = kind.build(recipe)
        torch.manual_seed(recipe.engine.seed)
        trainer = kind.trainer(recipe, model, run, mine)
        with run.held() if mine.leads else nullcontext():
            if resume:
                trainer.resume()
            else:
                trainer.state.earlier = kind.facts(recipe).get("earlier")
                if mine.leads:
                    run.write_config(recipe_values(recipe))
            if mine.leads:
                logger.info("training %s in %s", kind.name, folder)
            trainer.run()
            if mine.leads:
                _finish(kind, trainer, recipe, run)
        mine.wait_for_all()
    return run


def _finish(kind: TrainedKind, trainer: Trainer, recipe: Any, run: RunFolder) -> None:
    """Write the weights, the final scores and the facts of a run."""
    model = trainer.mean.model.eval()
    with torch.inference_mode():
        reading = kind.reading(recipe, model)
        scores = kind.score(recipe, model, reading, trainer.half)
    per_frame = {"per_frame": scores.pop("per_frame")} if "per_frame" in scores else {}
    facts = facts_of_run(kind, recipe, trainer.state) | {"scores": scores}
    kind.write(model, reading, recipe, facts, run.weights)
    validations = {"validations": trainer.state.validations, **per_frame}
    run.write_results({**facts, **validations, "recipe": recipe_values(recipe)})


def facts_of_run(kind: TrainedKind, recipe: Any, state: RunState) -> dict[str, Any]:
    """Return the facts of a run for its model card: steps, images, minutes, data."""
    return {
        "kind": kind.name,
        "steps": state.step,
        "images": state.images,
        "minutes": round(state.spent_s / 60.0, 1),
        "images_per_s": round(state.images / max(state.seconds, 1e-9), 2),
        "share_waiting_for_data": round(state.waited_s / max(state.seconds, 1e-9), 4),
        "processes": max(state.processes, 1),
        "threads": torch.get_num_threads(),
        "device": state.device,
        **kind.facts(recipe),
        **({} if state.earlier is None else {"earlier": state.earlier}),
    }


def export_recipe(kind: TrainedKind, folder: Path, recipe: Any, path: Path) -> dict[str, Any]:
    """Write the mean weights of a run's newest checkpoint, even during the run; return the run's facts."""
    run = RunFolder(folder)
    state, saved = run.load()
    model = kind.build(recipe)
    model.load_state_dict(saved["mean"] if recipe.optim.ema_decay else saved["model"])
    facts = facts_of_run(kind, recipe, state)
    scores: dict[str, Any] = state.validations[-1] if state.validations else {}
    if run.results.is_file():
        results = json.loads(run.results.read_text())
        if results["steps"] == state.step:
            scores = results["scores"]
            facts["threads"] = results.get("threads", facts["threads"])
    kind.write(model.eval(), kind.reading(recipe, model), recipe, facts | {"scores": scores}, path)
    return facts
