"""Calibration of confidences: the share of correct answers per confidence, and the error against it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.stats import spearmanr

from orpose_core.metrics.people import IndexArray
from orpose_core.types import Float64Array


@dataclass(frozen=True)
class Reliability:
    """Answers in ten groups of equal size, the least confident first.

    Attributes:
        count: int64 (b,), answers in each group.
        confidence: float64 (b,), their mean confidence.
        correct: float64 (b,), share of correct ones.
        error: float64 (b,), median error of those that have one, NaN = none.
        ece: expected calibration error: the mean of ``|correct - confidence|`` over the groups, weighted by
            their counts (Guo et al., ICML 2017, with groups of equal size).
        overall: share of correct answers.
        rank_correlation: Spearman's, of confidence and error; negative where errors fall as confidence rises.
    """

    count: IndexArray
    confidence: Float64Array
    correct: Float64Array
    error: Float64Array
    ece: float
    overall: float
    rank_correlation: float

    def as_dict(self) -> dict[str, list[float | None] | float | None]:
        """Return it as JSON values; NaN is None."""

        def plain(value: float) -> float | None:
            return None if np.isnan(value) else float(value)

        return {
            **{n: [plain(v) for v in getattr(self, n)] for n in ("count", "confidence", "correct", "error")},
            **{name: plain(getattr(self, name)) for name in ("ece", "overall", "rank_correlation")},
        }


def reliability(
    confidence: Float64Array, correct: Float64Array, error: Float64Array | None = None, groups: int = 10
) -> Reliability:
    """Compare confidences with outcomes.

    Args:
        confidence: float (n,), in [0, 1].
        correct: bool or 0/1 (n,).
        error: float (n,), any unit, NaN = unknown; None = all unknown.
        groups: how many; fewer where there are fewer answers.

    Raises:
        ValueError: other lengths, confidences outside [0, 1].
    """
    confidence, correct = np.asarray(confidence, np.float64), np.asarray(correct, np.float64)
    error = np.full(len(confidence), np.nan) if error is None else np.asarray(error, np.float64)
    if not len(confidence) == len(correct) == len(error):
        raise ValueError(
            f"reliability: expected as many outcomes as confidences, got {len(confidence)}, {len(correct)} "
            f"and {len(error)}"
        )
    if len(confidence) and not (confidence.min() >= 0 and confidence.max() <= 1):
        raise ValueError("reliability: expected confidences from 0 to 1")
    order = np.argsort(confidence, kind="stable")
    parts = [rows for rows in np.array_split(order, groups) if len(rows)]
    count = np.array([len(rows) for rows in parts], np.int64)
    means = np.array([confidence[rows].mean() for rows in parts])
    shares = np.array([correct[rows].mean() for rows in parts])
    medians = np.array([_median(error[rows]) for rows in parts])
    ece = float((count * np.abs(shares - means)).sum() / count.sum()) if len(order) else float("nan")
    overall = float(correct.mean()) if len(order) else float("nan")
    return Reliability(count, means, shares, medians, ece, overall, _rank_correlation(confidence, error))


def _median(values: Float64Array) -> float:
    known = values[~np.isnan(values)]
    return float(np.median(known)) if len(known) else float("nan")


def _rank_correlation(confidence: Float64Array, error: Float64Array) -> float:
    known = ~np.isnan(error)
    if known.sum() < 3 or np.ptp(confidence[known]) == 0 or np.ptp(error[known]) == 0:
        return float("nan")
    return float(spearmanr(confidence[known], error[known]).statistic)
