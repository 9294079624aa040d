"""How fast a recipe trains."""

from __future__ import annotations

import os
import tempfile
from dataclasses import replace
from typing import Any

from orpose_core.reports.pages import shown_words
from orpose_core.training.engine.distributed import processes
from orpose_core.training.engine.processor import prepare_processor
from orpose_core.training.engine.recipe_run import TrainedKind
from orpose_core.training.engine.run_folder import RunFolder, RunState

_WARM_UP_STEPS = 8


def train(
    kind: TrainedKind,
    recipe: Any,
    steps: int = 30,
    threads: int | None = None,
    workers: int | None = None,
    name: str = "recipe",
) -> str:
    """Measure a recipe's training: images per second, and the share of the time spent waiting for data.

    Real steps on real data, in a folder that is deleted at the end. The first steps, in which the workers
    start and PyTorch finds its kernels, do not count.

    Args:
        kind: what is trained, such as ``DEPTHPOSE``.
        recipe: its settings.
        steps: to measure.
        threads: of PyTorch, None = the recipe's.
        workers: processes that prepare data, None = the recipe's.
        name: of the recipe, for the text.

    Returns:
        A few lines of text.

    Raises:
        ValueError: there is nothing to measure, or the recipe is not understood.
    """
    if steps < 1:
        raise ValueError(f"expected at least 1 step, got {steps}")
    engine = replace(
        recipe.engine,
        steps=steps + _WARM_UP_STEPS,
        validate_steps=0,
        max_minutes=0.0,
        progress="steps",
        threads=recipe.engine.threads if threads is None else threads,
        workers=recipe.engine.workers if workers is None else workers,
    )
    recipe = replace(recipe, engine=engine, validation=replace(recipe.validation, frames=0))
    prepare_processor()
    warm = {"seconds": 0.0, "waited_s": 0.0}

    def after_step(state: RunState) -> None:
        if state.step == _WARM_UP_STEPS:
            warm.update(seconds=state.seconds, waited_s=state.waited_s)

    with tempfile.TemporaryDirectory() as folder, processes(engine.device) as mine:
        trainer = kind.trainer(recipe, kind.build(recipe), RunFolder(folder), mine)
        load = os.getloadavg()[0]
        state = trainer.run(after_step)
    spent, waited = state.seconds - warm["seconds"], state.waited_s - warm["waited_s"]
    shown = shown_words(engine.batch, recipe.data.crop_hw)
    return (
        f"{name}: {shown} a step, {engine.threads} threads, {engine.workers} workers, "
        f"{mine.device.type}, bf16 {'on' if trainer.half else 'off'}, load {load:.1f} before\n"
        f"{steps * engine.batch / spent:.1f} images/s, {100 * waited / spent:.1f} % of the time waiting"
    )
