"""The paired bootstrap of PCK: its sums are PCK's, and its intervals those of a known case."""

from __future__ import annotations

import numpy as np
import pytest

from orpose_core.evaluation.scores import BENCHMARK, STRICT
from orpose_core.metrics.pck import PckConfig, pck_of_poses
from orpose_core.metrics.pck_interval import FrameCounts, average_interval, difference_interval, frame_counts
from orpose_core.skeleton import MVOR10
from orpose_core.types import Poses


def crowd(rng: np.random.Generator, people: int) -> Poses:
    """People 100 px apart and 80 px high, some joints not annotated."""
    xy = rng.uniform(0, 80, (people, 10, 2)) + 100 * np.arange(people)[:, None, None]
    xy[rng.random((people, 10)) < 0.1] = np.nan
    known = ~np.isnan(xy).any(axis=-1)
    corners = np.stack([np.nanmin(xy, axis=1), np.nanmax(xy, axis=1)], axis=1).reshape(people, 4)
    return Poses(
        MVOR10,
        xy.astype(np.float32),
        known.astype(np.float32),
        np.linspace(0.9, 0.5, people).astype(np.float32),
        corners.astype(np.float32),
    )


def moved(rng: np.random.Generator, poses: Poses, px: float) -> Poses:
    xy = poses.xy_px + rng.normal(0, px, poses.xy_px.shape).astype(np.float32)
    return Poses(poses.skeleton, xy, poses.scores, poses.person_scores, poses.boxes_px)


def test_a_joint_that_nobody_has_is_left_out_of_the_mean_as_in_pck() -> None:
    rng = np.random.default_rng(3)
    truth = []
    for people in (2, 3):
        poses = crowd(rng, people)
        xy, scores = poses.xy_px.copy(), poses.scores.copy()
        xy[:, [0, 4, 5]], scores[:, [0, 4, 5]] = np.nan, 0.0  # the head, and both hips: a whole part
        truth.append(Poses(poses.skeleton, xy, scores, poses.person_scores, poses.boxes_px))
    found = [moved(rng, poses, 10.0) for poses in truth]
    (average,) = frame_counts(truth, found, STRICT.pck).average_pct()
    assert average == pytest.approx(pck_of_poses(truth, found, STRICT.pck).mean_pct[0])


@pytest.mark.parametrize("config", [BENCHMARK.pck, STRICT.pck])
def test_the_sums_over_frames_are_the_pck_of_all(config: PckConfig) -> None:
    rng = np.random.default_rng(3)
    truth = [crowd(rng, people) for people in (1, 3, 0, 2, 4)]
    found = [moved(rng, poses, 10.0) for poses in truth]
    counts = frame_counts(truth, found, config)
    assert counts.correct.shape == (5, 10) and not counts.counted[2].any()
    assert counts.average_pct()[0] == pytest.approx(pck_of_poses(truth, found, config).mean_pct[0])
    first = pck_of_poses(truth[:2], found[:2], config).mean_pct[0]
    assert counts.average_pct(np.array([[1, 1, 0, 0, 0]]))[0] == pytest.approx(first)
    counts = frame_counts(truth, found, config, [0, 0, 0, 1, 1])
    again = FrameCounts.from_values(counts.values())
    assert np.array_equal(again.correct, counts.correct) and np.array_equal(again.counted, counts.counted)
    assert again.room.tolist() == [0, 0, 0, 1, 1]


def test_the_interval_is_that_of_a_known_difference() -> None:
    """All joints of a frame right or wrong together: the difference is a mean of independent frames."""
    rng = np.random.default_rng(5)
    counted = np.full((400, 10), 2)
    right = rng.random((2, 400)) < np.array([[0.7], [0.5]])
    rooms = np.arange(400)
    a, b = (FrameCounts(2 * np.repeat(r[:, None], 10, axis=1).astype(int), counted, rooms) for r in right)
    difference = 100.0 * (right[0].astype(float) - right[1])
    low, high = difference_interval([a], [b])
    half = 1.96 * difference.std() / np.sqrt(400)
    assert (low, high) == pytest.approx((difference.mean() - half, difference.mean() + half), abs=0.5)
    assert difference_interval([a], [a]) == (0.0, 0.0)
    assert difference_interval([a], [b]) == (low, high)


def test_frames_of_one_room_say_no_more_than_the_room() -> None:
    """Twelve frames alike in each room: the interval is that of the rooms, 12 ** 0.5 as wide as of frames."""
    rng = np.random.default_rng(6)
    right = np.repeat(rng.random((2, 50)) < np.array([[0.7], [0.5]]), 12, axis=1)
    rows = [np.repeat(r[:, None], 10, axis=1).astype(int) for r in right]
    room, counted = np.repeat(np.arange(50), 12), np.ones((600, 10), int)
    a, b = (FrameCounts(row, counted, room) for row in rows)
    difference = 100.0 * (right[0].astype(float) - right[1])
    half = 1.96 * difference.std() / np.sqrt(50)
    low, high = difference_interval([a], [b])
    assert (low, high) == pytest.approx((difference.mean() - half, difference.mean() + half), abs=2.0)
    frames = [FrameCounts(row, counted, np.arange(600)) for row in rows]
    narrow = difference_interval(frames[:1], frames[1:])
    assert (high - low) / (narrow[1] - narrow[0]) == pytest.approx(12**0.5, rel=0.1)


def test_training_runs_are_resampled_too() -> None:
    """Two runs that differ by 20 points: the interval of their mean reaches from one to the other."""
    counted = np.full((100, 10), 10)
    of = [FrameCounts(np.full((100, 10), n), counted, np.arange(100)) for n in (5, 7)]
    other = FrameCounts(np.full((100, 10), 4), counted, np.arange(100))
    assert difference_interval(of, [other]) == pytest.approx((10.0, 30.0))
    assert difference_interval(of[:1], [other]) == pytest.approx((10.0, 10.0))
    with pytest.raises(ValueError, match="at least one training run"):
        difference_interval([], [other])


def test_what_cannot_be_compared_is_refused() -> None:
    counts = FrameCounts(np.ones((3, 10), int), np.ones((3, 10), int), np.arange(3))
    other = FrameCounts(np.ones((3, 10), int), np.full((3, 10), 2), np.arange(3))
    with pytest.raises(ValueError, match="the same people in the same frames"):
        difference_interval([counts], [other])
    with pytest.raises(ValueError, match="the same people in the same frames"):
        average_interval([counts, other])
    for values in (
        None,
        {"correct": []},
        {"correct": [[1]], "counted": [[1, 2]], "room": [0]},
        {"correct": 1, "counted": 2, "room": 3},
        {"correct": [[1] * 10], "counted": [[1] * 10]},
        {"correct": [[1] * 10], "counted": [[1] * 10], "room": [1, 2]},
    ):
        with pytest.raises(ValueError, match="expected"):
            FrameCounts.from_values(values)
