"""Cameras of a simulated room, calibrated from people who walk about in it."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from orpose_core.evaluation.fusion_report import calibration_table
from orpose_core.evaluation.room_calibration import (
    CalibrationOptions,
    CalibrationScore,
    calibration_errors,
    score_walk,
    walk_about,
)
from orpose_core.simulation.frames import SimulatedFrame, frame_of_scene
from orpose_core.simulation.sensing.cameras import aim
from orpose_core.skeleton import COCO17
from orpose_core.types import Resize


class Knows:
    """Answers with the true joints of the frame, in px of the image it is given."""

    info = SimpleNamespace(input_hw=(48, 64), name="truth")

    def __init__(self) -> None:
        self.truth: dict[tuple[str, int], SimulatedFrame] = {}

    def frame(self, *args) -> SimulatedFrame:
        frame = frame_of_scene(*args)
        self.truth[frame.frame.frame_id, frame.frame.stamp_ns] = frame
        return frame

    def estimate(self, frames: list) -> list:
        found = []
        for frame in frames:
            seen = self.truth[frame.frame_id, frame.stamp_ns]
            poses, resize = seen.poses.converted(COCO17), Resize(seen.frame.size_hw, frame.size_hw)
            xy = resize.to_target(poses.xy_px)
            boxes = resize.to_target(poses.boxes_px.reshape(-1, 2, 2)).reshape(-1, 4)
            sigma = np.full(poses.scores.shape, 0.05, np.float32)
            found.append(replace(poses, xy_px=xy, boxes_px=boxes, track_ids=None, sigma_m=sigma))
        return found


def test_people_walk_where_two_cameras_see_them_and_so_these_are_calibrated(monkeypatch) -> None:
    knows = Knows()
    monkeypatch.setattr("orpose_core.evaluation.room_calibration.frame_of_scene", knows.frame)
    options = CalibrationOptions(rooms=1, moments=30, size_hw=(96, 128))
    walk = walk_about(knows, options, 0)
    stamps = [moment.stamp_ns for moment in walk.sightings]
    assert stamps == sorted(set(stamps)) and len(walk.rig) == 3
    for moment in walk.sightings:  # everybody is where two cameras see them
        assert sum(len(poses) > 0 for poses in moment.views.values()) >= 2
    assert set(walk.surfaces) == {camera.name for camera in walk.rig}
    two, three = score_walk(walk)
    assert (two.cameras, three.cameras) == (2, 3) and three.people >= 20 and three.floor == "depth"
    assert max(three.distance_m) < 0.06 and max(three.angle_rad) < np.radians(1.0)


def test_the_table_names_the_camera_that_is_farthest_off() -> None:
    scores = [CalibrationScore(0, 2, 9, "depth", (0.01, 0.02), (0.0, np.pi / 180))]
    assert calibration_table(scores).endswith("farthest 2.0 cm, 1.00 degrees")


def test_a_turn_about_the_vertical_and_a_shift_on_the_floor_are_no_error() -> None:
    true = [
        SimpleNamespace(room_from_camera=aim(p, a, 0.6)) for p, a in (((2, 0, 2.5), 3.1), ((-2, 1, 2.6), 0))
    ]
    free = aim((0.0, 0.0, 0.0), 0.0, 0.0)
    turn = aim((0.0, 0.0, 0.0), 0.7, 0.0) @ np.linalg.inv(free)  # about z
    turn[:2, 3] = 1.0, -2.0
    rig = [SimpleNamespace(room_from_camera=turn @ camera.room_from_camera) for camera in true]
    distance_m, angle_rad = calibration_errors(SimpleNamespace(rig=rig), true)
    assert max(distance_m) < 1e-9 and max(angle_rad) < 1e-6
    rig[0].room_from_camera[2, 3] += 0.1
    distance_m, _ = calibration_errors(SimpleNamespace(rig=rig), true)
    assert distance_m == pytest.approx([0.1, 0.0], abs=1e-9)


def test_a_walk_of_nobody_is_refused() -> None:
    with pytest.raises(ValueError, match=r"CalibrationOptions\.people: expected more than 0"):
        CalibrationOptions(people=0)
