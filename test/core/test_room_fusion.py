"""Ids over time, and the fusion in simulated rooms, scored on what is known to be right or wrong."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from orpose_core.benchmarking.fusion import fusion
from orpose_core.evaluation.fusion_report import room_fusion_report
from orpose_core.evaluation.room_fusion import (
    FUSED,
    RoomOptions,
    _Side,
    _summary,
    camera_moments,
    evaluate_rooms,
)
from orpose_core.metrics.identities import IdentityCounts
from orpose_core.simulation import simulate_frame
from orpose_core.simulation.frames import SimulatedFrame
from orpose_core.skeleton import COCO17
from orpose_core.types import Resize


def moments(*pairs: dict[int, int], people: int = 2) -> IdentityCounts:
    """Count moments in which truth i stands where the found person of this id stands."""
    counts = IdentityCounts()
    for pair in pairs:
        distance = np.full((people, len(pair)), 5.0)
        for f, t in enumerate(pair.values()):
            distance[t, f] = 0.1
        counts.add(list(range(people)), list(pair), distance, 0.4)
    return counts


def test_whoever_keeps_the_id_has_idf1_of_one() -> None:
    counts = moments({7: 0, 9: 1}, {9: 1, 7: 0}, {7: 0, 9: 1})
    assert (counts.true, counts.found, counts.matched, counts.switches) == (6, 6, 6, 0)
    assert counts.idf1() == 1.0


def test_an_exchange_of_two_ids_is_two_switches() -> None:
    counts = moments({7: 0, 9: 1}, {7: 0, 9: 1}, {7: 1, 9: 0}, {7: 1, 9: 0})
    assert counts.switches == 2 and counts.idf1() == 0.5


def test_a_gap_is_no_switch_and_a_new_id_after_it_is_one() -> None:
    same = moments({7: 0}, {}, {7: 0}, people=1)
    assert same.switches == 0 and same.idf1() == pytest.approx(2 * 2 / (3 + 2))
    assert moments({7: 0}, {}, {8: 0}, people=1).switches == 1


def test_a_pair_is_kept_while_it_is_near_enough_although_another_is_nearer() -> None:
    counts = IdentityCounts()
    counts.add([0], [7], np.array([[0.1]]), 0.4)
    assert counts.add([0], [7, 8], np.array([[0.3, 0.1]]), 0.4) == [(0, 0)]
    assert counts.add([0], [7, 8], np.array([[0.5, 0.1]]), 0.4) == [(0, 1)]
    assert counts.switches == 1
    assert counts.add([0], [7], np.array([[np.nan]]), 0.4) == []


def test_an_id_that_two_people_had_is_one_of_them_at_a_time() -> None:
    counts = IdentityCounts()
    counts.add([0, 1], [7], np.array([[0.1], [5.0]]), 0.4)
    counts.add([1], [7], np.array([[0.1]]), 0.4)  # the id goes over
    assert counts.add([0, 1], [7], np.array([[0.1], [0.2]]), 0.4) == [(1, 0)]  # both are near it
    assert counts.matched == 3 and counts.found == 3


def test_a_room_where_a_camera_sees_nobody_does_not_count_for_its_idf1() -> None:
    sides = [_Side(counts=moments({7: 0}, {7: 0}, people=1)), _Side()]
    assert _summary(sides, sides)["idf1"] == 1.0
    assert np.isnan(_summary(sides[1:], sides[1:])["idf1"])


class Knows:
    """Answers with the true joints of the frame, in px of the image it is given."""

    info = SimpleNamespace(input_hw=(48, 64), name="truth")

    def __init__(self, truth: dict[tuple[str, int], SimulatedFrame]) -> None:
        self.truth = truth

    def estimate(self, frames: list) -> list:
        found = []
        for frame in frames:
            seen = self.truth[frame.frame_id, frame.stamp_ns]
            poses = seen.poses.converted(COCO17)
            resize = Resize(seen.frame.size_hw, frame.size_hw)
            found.append(
                replace(
                    poses,
                    xy_px=resize.to_target(poses.xy_px),
                    boxes_px=resize.to_target(poses.boxes_px.reshape(-1, 2, 2)).reshape(-1, 4),
                    visibility=None,
                    track_ids=None,
                    sigma_m=np.full(poses.scores.shape, 0.05, np.float32),
                )
            )
        return found


def test_true_detections_give_people_in_the_right_place_with_one_id_each(monkeypatch) -> None:
    truth: dict[tuple[str, int], SimulatedFrame] = {}

    def remembered(config, index: int) -> SimulatedFrame:
        frame = simulate_frame(config, index)
        truth[frame.frame.frame_id, frame.frame.stamp_ns] = frame
        return frame

    monkeypatch.setattr("orpose_core.evaluation.room_fusion.simulate_frame", remembered)
    options = RoomOptions(rooms=1, moments=5, size_hw=(96, 128))
    scores = evaluate_rooms([camera_moments(Knows(truth), options, 0)])
    assert len(scores) == 4 and scores[FUSED]["seen"] >= 5
    assert all(s["seen"] <= scores[FUSED]["seen"] for s in scores.values())
    fused = scores[FUSED]
    assert fused["found"] >= 0.5 * fused["seen"] and fused["switches"] == 0 and fused["error_cm"] < 8
    assert all(
        s["error_cm"] < 3 and s["same_joints_cm"]["joints"] > 10 for s in scores.values() if s is not fused
    )
    table = room_fusion_report(scores)
    assert table.startswith(" ") and table.count("\n") == 8 and "fused" in table


def test_rooms_of_nothing_are_refused() -> None:
    with pytest.raises(ValueError, match=r"RoomOptions\.rooms: expected more than 0"):
        RoomOptions(rooms=0)


def test_the_benchmark_counts_people_and_survives_random_inputs() -> None:
    first, second = fusion(people=2, cameras=2, moments=5, inputs=300).splitlines()
    assert first.startswith("2 people, 2 cameras: median") and "people found" in first
    assert second.startswith("300 random inputs") and second.endswith("every joint has a sigma")
    with pytest.raises(ValueError, match="at least 2 cameras"):
        fusion(cameras=1)
