"""Charts shared by several pages: histograms, and the calibration of scores and sigmas."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from orpose_core.metrics.calibration import Reliability
from orpose_core.metrics.sigma_law import share_within_px
from orpose_core.reports.html.page import Picture, figure_picture, plt

BLUE, RED, GREEN, GREY = "#1b6ca8", "#d1495b", "#3fb68b", "#9aa3b2"
_SIZE_IN = (5.4, 3.4)
_MOST_Z = 4.0
_MOST_LETTERS = 40


def histogram(
    values: Mapping[str, ArrayLike],
    words: tuple[str, str, str],
    bins: int = 20,
    limits: tuple[float, float] | None = (0.0, 1.0),
    threshold: float | None = None,
) -> Picture:
    """Return a stacked histogram.

    Args:
        values: values by name; the name of a single series may be empty.
        words: labels of the axes, and the title.
        bins: number of bins.
        limits: limits of the axis; None = those of the values.
        threshold: position of a vertical line.
    """
    arrays = {name: np.asarray(own, np.float64) for name, own in values.items()}
    if limits is not None:
        arrays = {name: np.clip(own, *limits) for name, own in arrays.items()}
    edges = np.histogram_bin_edges(np.concatenate([np.zeros(0), *arrays.values()]), bins, limits)
    counts = {name: np.histogram(own, edges)[0] for name, own in arrays.items()}
    return counted(counts, words, edges, threshold)


def counted(
    counts: Mapping[str, ArrayLike],
    words: tuple[str, str, str],
    edges: NDArray | None = None,
    threshold: float | None = None,
) -> Picture:
    """Return a histogram of counts; ``edges`` are of equal steps from 0 to 1 unless given."""
    steps = max(len(np.atleast_1d(own)) for own in counts.values())
    edges = np.linspace(0, 1, steps + 1) if edges is None else edges
    figure, axes = plt.subplots(figsize=_SIZE_IN)
    below = np.zeros(steps)
    for (name, own), color in zip(counts.items(), (BLUE, RED, GREEN), strict=False):
        axes.bar(edges[:-1], own, np.diff(edges), below, align="edge", color=color, label=name)
        below = below + np.asarray(own)
    if threshold is not None:
        axes.axvline(
            threshold, color="#1d2430", linestyle="--", linewidth=1, label=f"threshold {threshold:g}"
        )
    if len(counts) > 1 or threshold is not None:
        axes.legend(fontsize=8)
    axes.set(xlabel=words[0], ylabel=words[1], title=words[2], xlim=(edges[0], edges[-1]))
    axes.set_ylim(0, max(1.08 * float(below.max()), 1.0))
    return figure_picture(figure)


def bars(
    names: Sequence[str],
    series: Mapping[str, Sequence[float | None]],
    label: str,
    marks: Sequence[float] = (),
) -> Picture:
    """Return grouped bars of one or two series, percent, with lines at the ``marks``."""
    figure, axes = plt.subplots(figsize=_SIZE_IN)
    width, places = 0.8 / len(series), np.arange(len(names))
    colors = (GREY, BLUE) if len(series) > 1 else (BLUE,)
    for number, ((name, own), color) in enumerate(zip(series.items(), colors, strict=True)):
        heights = [np.nan if value is None else value for value in own]
        axes.bar(places + (number - (len(series) - 1) / 2) * width, heights, width, label=name, color=color)
    for mark in marks:
        axes.axhline(mark, color="#1d2430", linestyle="--", linewidth=0.8)
    axes.set_xticks(places, names)
    if sum(map(len, names)) > _MOST_LETTERS:
        axes.tick_params("x", rotation=25)
    axes.set(ylabel=label, ylim=(0, 100))
    if len(series) > 1:
        axes.legend(
            loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=len(series), frameon=False, fontsize=8
        )
    return figure_picture(figure)


def reliability_picture(groups: Mapping[str, Reliability]) -> Picture:
    """Return the share of correct joints against the score; one curve per name ("" = no legend)."""
    figure, axes = plt.subplots(figsize=(5.4, 4.4))
    axes.plot([0, 1], [0, 1], color="grey", linewidth=0.8, linestyle=":")
    captions = []
    for (name, own), color in zip(groups.items(), (GREY, BLUE) if len(groups) > 1 else (BLUE,), strict=False):
        axes.plot(own.confidence, own.correct, "o-", color=color, label=name)
        joints = int(np.sum(own.count))
        captions.append(f"{name + ': ' if name else ''}{_error_words(own.ece)} over {joints} joints")
    if len(groups) > 1:
        axes.legend(fontsize=8)
    axes.set(xlabel="score", ylabel="share of correct joints", xlim=(0, 1), ylim=(0, 1), title="scores")
    axes.grid(alpha=0.3)
    return figure_picture(figure, f"{'; '.join(captions)}.")


def sigma_picture(ratio: NDArray) -> Picture:
    """Compare errors in the image, divided by their sigmas, with :mod:`orpose_core.metrics.sigma_law`."""
    figure, axes = plt.subplots(figsize=(5.4, 4.4))
    x = np.linspace(0, _MOST_Z, 201)[1:]
    exact = [share_within_px(z) for z in x.tolist()]
    axes.plot([0, *x], [0, *exact], color="grey", linestyle=":", label="if sigmas were exact")
    ordered = np.sort(ratio)
    share = np.arange(1, len(ordered) + 1) / len(ordered)
    axes.plot(ordered, share, color=RED, label="measured")
    axes.set(xlabel="error / sigma", ylabel="share of joints", xlim=(0, _MOST_Z), ylim=(0, 1), title="sigmas")
    axes.grid(alpha=0.3)
    axes.legend(loc="lower right")
    within = float((ratio <= 1).mean())
    words = f"{100 * within:.0f} % of {len(ratio)} errors are below one sigma"
    return figure_picture(figure, f"{words}; exact sigmas give {100 * share_within_px(1):.0f} %.")


def _error_words(ece: float) -> str:
    return f"expected calibration error {ece:.3f}" if np.isfinite(ece) else "nothing to compare"
