"""Confidence interval of PCK, and of a difference in PCK, over the rooms of a benchmark, by a bootstrap.

Two networks are scored on the same frames. Rooms are resampled with replacement (Efron 1979; for clusters,
Field and Welsh 2007), identically for both, and the spread of the difference estimates the variation over
other rooms of the same kind. Frames of one room show the same people and furniture, so resampling single
frames would underestimate the interval. Where a network was trained with several seeds, its training runs are
resampled, too; with one run the interval does not include the variation between runs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from orpose_core.metrics.pck import PARTS, PckConfig, pck_of_poses
from orpose_core.metrics.people import People
from orpose_core.skeleton import MVOR10
from orpose_core.types import Poses

_COLUMNS = [[MVOR10.index(joint) for joint in joints] for joints in PARTS.values()]


@dataclass(frozen=True)
class FrameCounts:
    """The counts behind PCK, per frame.

    Attributes:
        correct: int64 (f, 10), correct joints of each kind of MVOR's ten.
        counted: int64 (f, 10), joints in the denominator.
        room: int64 (f,), number of the room that each frame shows.
    """

    correct: NDArray[np.int64]
    counted: NDArray[np.int64]
    room: NDArray[np.int64]

    def values(self) -> dict[str, Any]:
        """Return the counts for JSON."""
        return {
            "correct": self.correct.tolist(),
            "counted": self.counted.tolist(),
            "room": self.room.tolist(),
        }

    @classmethod
    def from_values(cls, values: Any) -> FrameCounts:
        """Read what :meth:`values` gave; ValueError if it is something else."""
        try:
            counts = cls(*(np.array(values[name], np.int64) for name in ("correct", "counted", "room")))
        except (TypeError, KeyError, ValueError) as error:
            raise ValueError(f"expected the counts of PCK per frame, got: {error!r}") from error
        if counts.correct.shape != counts.counted.shape or counts.correct.shape[1:] != (len(MVOR10),):
            raise ValueError(
                f"expected two tables of (frames, {len(MVOR10)}) counts, got {counts.correct.shape} "
                f"and {counts.counted.shape}"
            )
        if counts.room.shape != (len(counts.correct),):
            raise ValueError(f"expected the room of {len(counts.correct)} frames, got {counts.room.shape}")
        return counts

    def average_pct(self, times: NDArray[np.int64] | None = None) -> NDArray[np.float64]:
        """Return PCK's average over the parts, percent.

        Args:
            times: int64 (r, f), how often each frame counts, for r results; None = one result, each once.
        """
        times = np.ones((1, len(self.correct)), np.int64) if times is None else times
        with np.errstate(invalid="ignore"):
            joints = 100.0 * (times @ self.correct) / (times @ self.counted)  # (r, 10)
        return _mean_of_known(np.stack([_mean_of_known(joints[:, columns]) for columns in _COLUMNS], axis=1))


def _mean_of_known(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the mean of each row's numbers, float64 (r,); NaN where a row has none, as PCK has it."""
    known = ~np.isnan(values)
    count = known.sum(axis=1)
    return np.where(count > 0, np.where(known, values, 0.0).sum(axis=1) / np.maximum(count, 1), np.nan)


def frame_counts(
    gt: Sequence[Poses], dt: Sequence[Poses], config: PckConfig, rooms: Sequence[int] | NDArray | None = None
) -> FrameCounts:
    """Return the counts of :func:`orpose_core.metrics.pck.pck_of_poses` at the first threshold, per frame.

    Args:
        gt: ground truth, one entry per frame.
        dt: detections, likewise.
        config: the protocol.
        rooms: number of the room that each frame shows; None = each has one of its own.
    """
    result = pck_of_poses(gt, dt, config)
    correct = result.within(result.thresholds[0]) & result.counted
    image = People.of(gt, MVOR10).image[result.persons]
    counts = np.zeros((2, len(gt), len(MVOR10)), np.int64)
    np.add.at(counts[0], image, correct)
    np.add.at(counts[1], image, result.counted)
    return FrameCounts(counts[0], counts[1], np.array(range(len(gt)) if rooms is None else rooms, np.int64))


def difference_interval(
    a: Sequence[FrameCounts],
    b: Sequence[FrameCounts],
    confidence: float = 0.95,
    resamples: int = 5000,
    seed: int = 0,
) -> tuple[float, float]:
    """Return between which differences of the averages, a - b in points, the middle of the resamples lies.

    Args:
        a: counts of one network, one entry per training run; the mean over the runs is compared.
        b: counts of the other, likewise.
        confidence: share of the resamples between the two.
        resamples: how often as many rooms as there are are drawn.
        seed: of the draws.

    Raises:
        ValueError: the two were not scored on the same frames and people.
    """
    if not (a and b):
        raise ValueError("expected the counts of at least one training run of each network")
    rng = np.random.default_rng(seed)
    times = _drawn_rooms(_room_of_all([*a, *b]), resamples, rng)
    return _middle(_resampled_mean(a, times, rng) - _resampled_mean(b, times, rng), confidence)


def average_interval(
    runs: Sequence[FrameCounts], confidence: float = 0.95, resamples: int = 5000, seed: int = 0
) -> tuple[float, float]:
    """Return between which averages of a network, percent, the middle of the resamples lies.

    Args:
        runs: counts of the network, one entry per training run.
        confidence: see :func:`difference_interval`.
        resamples: likewise.
        seed: likewise.

    Raises:
        ValueError: no runs, or they were not scored on the same frames and people.
    """
    if not runs:
        raise ValueError("expected the counts of at least one training run")
    rng = np.random.default_rng(seed)
    return _middle(_resampled_mean(runs, _drawn_rooms(_room_of_all(runs), resamples, rng), rng), confidence)


def _room_of_all(runs: Sequence[FrameCounts]) -> NDArray[np.int64]:
    """Return the room of each frame; ValueError if the runs were not scored on the same frames and people."""
    first = runs[0]
    for run in runs:
        if not (np.array_equal(run.counted, first.counted) and np.array_equal(run.room, first.room)):
            raise ValueError("expected counts of the same people in the same frames")
    return first.room


def _drawn_rooms(room: NDArray[np.int64], resamples: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Return how often each frame counts if as many rooms as there are are drawn, int64 (resamples, f)."""
    names, room = np.unique(room, return_inverse=True)
    rooms = len(names)
    return np.asarray(rng.multinomial(rooms, np.full(rooms, 1 / rooms), resamples)[:, room], np.int64)


def _middle(values: NDArray[np.float64], confidence: float) -> tuple[float, float]:
    low, high = np.nanquantile(values, [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(low), float(high)


def _resampled_mean(
    runs: Sequence[FrameCounts], times: NDArray[np.int64], rng: np.random.Generator
) -> NDArray[np.float64]:
    """Return the mean average of runs that are drawn with replacement, float64 (r,), percent."""
    averages = np.stack([run.average_pct(times) for run in runs])  # (runs, r)
    drawn = rng.multinomial(len(runs), np.full(len(runs), 1 / len(runs)), len(times))  # (r, runs)
    return np.asarray((averages * drawn.T).sum(axis=0) / len(runs), np.float64)
