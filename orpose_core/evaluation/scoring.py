"""Files of results, or a model on a data set, to scores, tables, JSON and plots."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from orpose_core.evaluation.datasets import open_dataset
from orpose_core.evaluation.evaluation_sets import EvaluationSet
from orpose_core.evaluation.run import Estimator, evaluate_model
from orpose_core.evaluation.scores import PUBLISHED, STRICT, Protocol, evaluate_files
from orpose_core.evaluation.tables import report
from orpose_core.files import write_json
from orpose_core.image_ops import low_resolution_frame


def protocol_of(strict: bool, threshold: float, usual: Protocol = PUBLISHED) -> Protocol:
    """Return the strict protocol or the usual one, with a threshold of PCK."""
    base = STRICT if strict else usual
    return replace(base, pck=replace(base.pck, thresholds=(threshold,)))


def score_files(
    gt: str,
    dt: str,
    metric: str | None,
    protocol: Protocol,
    json_path: str | None = None,
    plot_folder: str | None = None,
) -> str:
    """Score a results file against an annotation file; return the tables."""
    evaluation = evaluate_files(gt, dt, (metric,) if metric else None, protocol)
    text = report(evaluation.scores)
    if json_path:
        write_json(json_path, {"gt": str(gt), "dt": str(dt), **evaluation.scores})
    if plot_folder:
        from orpose_core.evaluation.plots import plot_evaluation

        text += _named(plot_evaluation(evaluation, plot_folder))
    return text


def score_model(
    dataset_name: str,
    model: str,
    *,
    strict: bool = False,
    threshold: float = 0.2,
    root: str | None = None,
    annotations: str | None = None,
    metric: str | None = None,
    scale: int = 1,
    flip: bool = False,
    limit: int | None = None,
    batch: int = 8,
    device: str = "auto",
    backend: str = "auto",
    out: str | None = None,
    json_path: str | None = None,
    plot_folder: str | None = None,
    load: Callable[[str, str], Estimator] | None = None,
) -> str:
    """Run a model over a data set and score it; return the tables.

    ``load`` makes an estimator of a model's name and a device; without it, weights are loaded.
    """
    dataset = open_dataset(dataset_name, root, limit, annotations)
    if load is None:
        from orpose_core.estimators import EstimatorConfig, load_estimator  # torch is slow to import

        settings = EstimatorConfig(device=device, backend=backend, flip_test=flip)
        estimator: Estimator = load_estimator(model, settings)
    else:
        estimator = load(model, device)
    variant = f"{dataset_name}-{Path(model).stem.replace(':', '-')}-{scale}x{'-flip' if flip else ''}"
    folder = Path(out) if out else Path("runs") / "evaluation" / variant
    finished = evaluate_model(
        estimator,
        dataset,
        folder,
        scale=scale,
        batch=batch,
        metrics=(metric,) if metric else None,
        protocol=protocol_of(strict, threshold, dataset.protocol),
        settings={"flip": flip, "backend": str(getattr(estimator.info, "backend", ""))},
    )
    scores = finished.evaluation.scores
    text = f"{model} on {dataset_name}, {scale}x{', flip test' if flip else ''}: "
    text += f"{report(scores, scale)}\n\nwritten to {folder}"
    if not getattr(estimator.info, "trained", True):
        text = f"THE MODEL IS NOT TRAINED: these are the scores of random weights.\n{text}"
    if json_path:
        write_json(json_path, {**finished.settings, **scores})
    if plot_folder:
        from orpose_core.evaluation.plots import plot_evaluation

        seen = pictures_of(dataset, str(estimator.info.modality), scale)
        names = [f"{dataset_name} {image_id}" for image_id in dataset.image_ids]
        text += _named(plot_evaluation(finished.evaluation, plot_folder, seen, dataset.sizes_hw(), names))
    return text


def pictures_of(dataset: EvaluationSet, modality: str, scale: int) -> Callable[[int], NDArray]:
    """Return a function that gives an image as the model saw it (depth: near is bright), at most 80x60."""

    def picture(index: int) -> NDArray:
        frame, _ = dataset.frame(index, modality)
        height, width = (int(side / max(scale, frame.size_hw[0] / 60)) for side in frame.size_hw)
        small = low_resolution_frame(frame, (height, width))
        if small.rgb is not None:
            return small.rgb
        assert small.depth_m is not None
        return np.nan_to_num(1.0 - np.clip(small.depth_m / 8.0, 0, 1)) * 0.8

    return picture


def _named(paths: list[Path]) -> str:
    return "".join(f"\nwritten {os.fspath(path)}" for path in paths)
