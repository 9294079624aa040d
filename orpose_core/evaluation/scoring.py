"""Scores, tables, JSON and plots of a results file or of a model on a data set."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from orpose_core.evaluation.datasets import open_dataset
from orpose_core.evaluation.evaluation_sets import EvaluationSet
from orpose_core.evaluation.run import Estimator, evaluate_model, shrunk
from orpose_core.evaluation.scores import PUBLISHED, STRICT, Evaluation, Protocol, evaluate_files
from orpose_core.evaluation.tables import report
from orpose_core.files import write_json
from orpose_core.image_ops import private_frame
from orpose_core.types import Poses


@dataclass(frozen=True)
class Scored:
    """An evaluation with the additional data for its page.

    Attributes:
        title: title of the page: the model and the data set.
        evaluation: the scores and the data from which they were computed.
        detections: detections per image, with scores and sigmas of the joints, or None if they were not kept.
        picture: returns an image as the input of the model, or None.
        sizes_hw: (height, width) of the images, px, or None.
        names: names of the images, or None.
        scale: factor by which the images were shrunk, or None.
    """

    title: str
    evaluation: Evaluation
    detections: tuple[Poses, ...] | None = None
    picture: Callable[[int], NDArray] | None = None
    sizes_hw: tuple[tuple[int, int], ...] | None = None
    names: tuple[str, ...] | None = None
    scale: int | None = None


WritePage = Callable[[Scored], Path]
"""Writes a page about an evaluation and returns its file."""


def protocol_of(strict: bool, threshold: float, usual: Protocol = PUBLISHED) -> Protocol:
    """Return the strict or the default protocol, with a threshold of PCK."""
    base = STRICT if strict else usual
    return replace(base, pck=replace(base.pck, thresholds=(threshold,)))


def score_files(
    gt: str,
    dt: str,
    metric: str | None,
    protocol: Protocol,
    json_path: str | None = None,
    plot_folder: str | None = None,
    page: WritePage | None = None,
) -> str:
    """Score a results file against an annotation file; return the tables."""
    evaluation = evaluate_files(gt, dt, (metric,) if metric else None, protocol)
    text = report(evaluation.scores)
    if json_path:
        write_json(json_path, {"gt": str(gt), "dt": str(dt), **evaluation.scores})
    if plot_folder:
        from orpose_core.evaluation.plots import plot_evaluation

        text += _named(plot_evaluation(evaluation, plot_folder))
    if page is not None:
        text += _named([page(Scored(f"{Path(dt).name} against {Path(gt).name}", evaluation))])
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
    page: WritePage | None = None,
) -> str:
    """Run a model over a data set and score it; return the tables.

    ``load`` returns an estimator for the name of a model and a device; None = load weights. ``page`` writes
    a page about the evaluation.
    """
    dataset = open_dataset(dataset_name, root, limit, annotations)
    if load is None:
        from orpose_core.decoding.roi import RoiDecoderConfig  # torch is slow to import
        from orpose_core.estimators import EstimatorConfig, load_estimator

        # AP ranks all people that a student detects, so the threshold in its weights file does not apply.
        ranked = RoiDecoderConfig()
        settings = EstimatorConfig(device=device, backend=backend, flip_test=flip, roi_decoder=ranked)
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
    seen = pictures_of(dataset, str(estimator.info.modality), scale)
    names = tuple(f"{dataset_name} {image_id}" for image_id in dataset.image_ids)
    if plot_folder:
        from orpose_core.evaluation.plots import plot_evaluation

        text += _named(plot_evaluation(finished.evaluation, plot_folder, seen, dataset.sizes_hw(), names))
    if page is not None:
        title, found = f"{Path(model).stem} on {dataset_name}", tuple(finished.detections)
        scored = Scored(title, finished.evaluation, found, seen, tuple(dataset.sizes_hw()), names, scale)
        text += _named([page(scored)])
    return text


def pictures_of(dataset: EvaluationSet, modality: str, scale: int) -> Callable[[int], NDArray]:
    """Return a function that returns an image as the model sees it, at most 4800 px (near is bright)."""

    def picture(index: int) -> NDArray:
        frame, _ = dataset.frame(index, modality)
        small = private_frame(*shrunk([frame], scale))
        if small.rgb is not None:
            return small.rgb
        assert small.depth_m is not None
        return np.nan_to_num(1.0 - np.clip(small.depth_m / 8.0, 0, 1)) * 0.8

    return picture


def _named(paths: list[Path]) -> str:
    return "".join(f"\nwritten {os.fspath(path)}" for path in paths)
