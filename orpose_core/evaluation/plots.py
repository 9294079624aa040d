"""Plots for error analysis: PCK curves, errors against distance and occlusion, the worst frames."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from numpy.typing import NDArray

from orpose_core.evaluation.scores import Evaluation
from orpose_core.files import replacing
from orpose_core.metrics.pck import PARTS, PckResult
from orpose_core.metrics.people import People, mean_or_nan
from orpose_core.skeleton import MVOR10, Skeleton

matplotlib.use("Agg")
from matplotlib import pyplot as plt

_CURVE_THRESHOLDS = np.linspace(0.0, 0.5, 51)
_COLOURS = dict(zip(PARTS, ("#1b6ca8", "#d1495b", "#2e933c", "#edae49", "#7b4fa3"), strict=True))
_LEAST_IN_BIN = 5  # people; a mean of fewer says nothing
_WORST = 12
_TRUTH_COLOUR, _FOUND_COLOUR = "white", "#ff5a36"

PictureOf = Callable[[int], NDArray | None]
"""Image number -> gray (H, W) or color (H, W, 3) image at the resolution of the model's input, or None."""


def plot_evaluation(
    evaluation: Evaluation,
    folder: str | os.PathLike,
    picture: PictureOf | None = None,
    sizes_hw: Sequence[tuple[int, int]] | None = None,
    names: Sequence[str] | None = None,
) -> list[Path]:
    """Draw the plots of an evaluation; return the files written.

    Args:
        evaluation: an evaluation with PCK, 3D errors, or both.
        folder: folder of the plots; it is created if necessary.
        picture: returns the images of the worst frames; None = skeletons are drawn on a blank background.
        sizes_hw: (height, width) of the images of the joints, px; 480 x 640 by default.
        names: names of the images, if the evaluation has none.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    figures = evaluation_figures(evaluation, picture, sizes_hw, names)
    return [_save(figure, folder / f"{name}.png") for name, figure in figures]


def evaluation_figures(
    evaluation: Evaluation,
    picture: PictureOf | None = None,
    sizes_hw: Sequence[tuple[int, int]] | None = None,
    names: Sequence[str] | None = None,
) -> Iterator[tuple[str, Any]]:
    """Yield the name and the figure of each plot; the arguments are those of :func:`plot_evaluation`.

    The caller closes the figures.
    """
    result = evaluation.pck
    if result is not None and len(result.persons):
        yield "pck_curves", _curves(result)
        distance, visibility = evaluation.distance_m, evaluation.visibility
        if distance is not None and np.isfinite(distance[result.persons]).any():
            yield "pck_by_distance", _by_distance(result, distance[result.persons])
        if visibility is not None:
            yield "pck_by_occlusion", _by_occlusion(result, visibility[result.persons])
        if evaluation.gt is not None and evaluation.dt is not None:
            names = evaluation.image_names or names
            figure = _worst_frames(evaluation.gt, evaluation.dt, result, picture, sizes_hw, names)
            yield "worst_frames", figure
    errors, distance_3d = evaluation.mpjpe, evaluation.distance_3d_m
    if errors is not None and distance_3d is not None and np.isfinite(errors.error_mm).any():
        figure = _error_3d_by_distance(errors.error_mm, errors.joints, distance_3d[errors.persons])
        yield "error_3d_by_distance", figure


def _save(figure: Any, path: Path) -> Path:
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=110, bbox_inches="tight")
    plt.close(figure)
    return path


def _relative_errors(result: PckResult) -> NDArray:
    """Return float64 (g, n), distances as shares of the person's size, inf = missing, NaN = not counted."""
    relative = result.distance_px / np.maximum(result.size_px, 1e-6)[:, None]
    return np.where(result.counted, np.where(np.isnan(relative), np.inf, relative), np.nan)


def _correct_share(relative: NDArray, threshold: float) -> float:
    """Return the percentage of the counted joints within a threshold."""
    counted = relative[~np.isnan(relative)]
    return 100.0 * mean_or_nan(1.0 * (counted <= threshold))


def _columns(skeleton: Skeleton, part: str) -> list[int]:
    return [skeleton.index(j) for j in PARTS[part] if j in skeleton.joints]


def _curves(result: PckResult) -> Any:
    relative = _relative_errors(result)
    figure, axes = plt.subplots(figsize=(6.4, 4.4))
    curves = []
    for part in result.parts_pct:
        columns = relative[:, _columns(result.skeleton, part)]
        curve = np.array([_correct_share(columns, t) for t in _CURVE_THRESHOLDS])
        curves.append(curve)
        axes.plot(_CURVE_THRESHOLDS, curve, color=_COLOURS[part], label=part)
    axes.plot(_CURVE_THRESHOLDS, np.mean(curves, axis=0), color="black", linewidth=2.2, label="Average")
    for threshold in result.thresholds:
        axes.axvline(threshold, color="grey", linewidth=0.8, linestyle=":")
    axes.set(
        xlabel="threshold, share of the person's size",
        ylabel="correct joints [%]",
        ylim=(0, 100),
        xlim=(0, _CURVE_THRESHOLDS[-1]),
        title=f"PCK of {len(result.persons)} people",
    )
    axes.grid(alpha=0.3)
    axes.legend(loc="lower right")
    return figure


def _bins(distance_m: NDArray) -> NDArray:
    """Return bin edges of half a metre (or of a quarter of the range, if that is smaller)."""
    known = distance_m[np.isfinite(distance_m)]
    low, high = np.floor(known.min() * 2) / 2, np.ceil(known.max() * 2) / 2
    return np.arange(low, max(high, low + 0.5) + 0.25, 0.5)


def _by_bin(
    values: NDArray, distance_m: NDArray, edges: NDArray, reduce: Callable[[NDArray], float]
) -> NDArray:
    """Return ``reduce`` of the rows in each bin of distance; NaN where there are too few people."""
    out = np.full(len(edges) - 1, np.nan)
    for k in range(len(out)):
        inside = (distance_m >= edges[k]) & (distance_m < edges[k + 1])
        if inside.sum() >= _LEAST_IN_BIN:
            out[k] = reduce(values[inside])
    return out


def _by_distance(result: PckResult, distance_m: NDArray) -> Any:
    relative, edges = _relative_errors(result), _bins(distance_m)
    middle = (edges[1:] + edges[:-1]) / 2
    figure, (axes, errors) = plt.subplots(1, 2, figsize=(11, 4.2))
    threshold = result.thresholds[0]

    def median_of_found(values: NDArray) -> float:
        found = values[np.isfinite(values)]
        return float(np.median(found)) if len(found) else float("nan")

    for part in result.parts_pct:
        columns = relative[:, _columns(result.skeleton, part)]
        share = _by_bin(columns, distance_m, edges, lambda v: _correct_share(v, threshold))
        axes.plot(middle, share, "o-", color=_COLOURS[part], label=part)
        errors.plot(middle, _by_bin(columns, distance_m, edges, median_of_found), "o-", color=_COLOURS[part])
    people = np.histogram(distance_m[np.isfinite(distance_m)], edges)[0]
    for x, count in zip(middle, people, strict=True):
        axes.annotate(f"{count}", (x, 1), ha="center", fontsize=7, color="grey")
    axes.set(ylabel=f"PCK@{threshold:g} [%]", ylim=(0, 100), title="correct joints (gray: people)")
    errors.set(ylabel="median error, share of the person's size", title="error of the joints that were found")
    errors.set_ylim(bottom=0)
    for a in (axes, errors):
        a.set_xlabel("distance from the camera [m]")
        a.grid(alpha=0.3)
    axes.legend(fontsize=8)
    return figure


def _by_occlusion(result: PckResult, visibility: NDArray[np.uint8]) -> Any:
    relative = _relative_errors(result)
    figure, axes = plt.subplots(figsize=(9, 4.2))
    positions = np.arange(len(result.skeleton))
    states = (("visible", 2, "#1b6ca8"), ("occluded", 1, "#edae49"), ("not annotated", 0, "#bbbbbb"))
    for offset, (name, flag, color) in zip((-0.27, 0.0, 0.27), states, strict=True):
        chosen = [relative[visibility[:, j] == flag, j] for j in positions]
        share = [_correct_share(v, result.thresholds[0]) for v in chosen]
        axes.bar(positions + offset, np.nan_to_num(share), 0.25, color=color, label=name)
        for x, v, s in zip(positions + offset, chosen, share, strict=True):
            count = int((~np.isnan(v)).sum())
            if count:
                axes.annotate(f"{count}", (x, s + 1), ha="center", fontsize=6, color="grey")
    axes.set_xticks(positions, [j.replace("_", "\n") for j in result.skeleton.joints], fontsize=8)
    axes.set(ylabel=f"PCK@{result.thresholds[0]:g} [%]", ylim=(0, 105), title="by visibility (gray: joints)")
    axes.grid(alpha=0.3, axis="y")
    axes.legend(fontsize=8)
    return figure


def _error_3d_by_distance(error_mm: NDArray, joints: Sequence[str], distance_m: NDArray) -> Any:
    figure, axes = plt.subplots(figsize=(6.4, 4.2))
    edges = _bins(distance_m)
    middle = (edges[1:] + edges[:-1]) / 2
    for part, members in PARTS.items():
        columns = [joints.index(j) for j in members if j in joints]
        if columns:
            mean = _by_bin(error_mm[:, columns], distance_m, edges, mean_or_nan)
            axes.plot(middle, mean, "o-", color=_COLOURS[part], label=part)
    axes.set(xlabel="distance from the camera [m]", ylabel="3D error [mm]", title="root-relative 3D error")
    axes.set_ylim(bottom=0)
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)
    return figure


def worst_images(gt: People, result: PckResult, count: int) -> list[tuple[int, float]]:
    """Return (image, percentage of wrong joints) of the worst images, the worst first.

    Images are ranked by the number of wrong joints, because a percentage would hide one bad person of many.
    """
    relative = _relative_errors(result)
    wrong = (relative > result.thresholds[0]).sum(axis=1)
    counted = (~np.isnan(relative)).sum(axis=1)
    image = gt.image[result.persons]
    wrong_in = np.bincount(image, wrong)
    counted_in = np.bincount(image, counted)
    order = np.argsort(-wrong_in, kind="stable")[:count]
    return [(int(i), float(100.0 * wrong_in[i] / counted_in[i])) for i in order if wrong_in[i] > 0]


def _worst_frames(
    gt: People,
    dt: People,
    result: PckResult,
    picture: PictureOf | None,
    sizes_hw: Sequence[tuple[int, int]] | None,
    names: Sequence[str] | None,
) -> Any:
    worst = worst_images(gt, result, _WORST)
    figure, grid = plt.subplots(3, 4, figsize=(14, 8.4))
    for axes in grid.flat:
        axes.set_axis_off()
    for axes, (image, share) in zip(grid.flat, worst, strict=False):
        height, width = sizes_hw[image] if sizes_hw is not None else (480, 640)
        shown = picture(image) if picture is not None else None
        if shown is None:
            shown = np.full((2, 2), 0.25)
        extent = (-0.5, width - 0.5, height - 0.5, -0.5)
        axes.imshow(shown, cmap="gray", extent=extent, interpolation="nearest", vmin=0, vmax=1)
        _draw(axes, gt, image, _TRUTH_COLOUR)
        _draw(axes, dt.converted(MVOR10), image, _FOUND_COLOUR)
        axes.set(xlim=extent[:2], ylim=extent[2:])
        title = names[image] if names is not None else f"image {image}"
        axes.set_title(f"{title}: {share:.0f} % wrong", fontsize=8)
    figure.suptitle("The worst frames: annotated white, detected red", fontsize=11)
    figure.tight_layout()
    return figure


def _draw(axes: Any, people: People, image: int, color: str) -> None:
    for xy_px in people.xy_px[people.image == image]:
        for a, b in people.skeleton.edges:
            axes.plot(*xy_px[[a, b]].T, color=color, linewidth=1.4, alpha=0.9)
        axes.plot(*xy_px.T, ".", color=color, markersize=3.5)
