"""Which frames `orpose label` takes and keeps: every k-th, those with motion, and a balance."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from label_runs import COUNTS, PICKED

from orpose_core.cli import build_parser
from orpose_core.data.recordings.recording import RecordedFrame, uniquely_named
from orpose_core.labelling.labelling import label_recordings
from orpose_core.labelling.options import LabelOptions
from orpose_core.labelling.picking import Balance, chosen_frames, in_motion, moved_share
from orpose_core.teacher.teacher import Teacher
from orpose_core.types import RgbdFrame


def test_images_of_each_number_of_people_are_kept_equally_often(
    sources: list[Path], teacher: Teacher, tmp_path: Path
) -> None:
    summary = label_recordings(sources[:1], teacher, tmp_path, replace(PICKED, motion=None))
    content = json.loads((tmp_path / "labels.json").read_text())
    people = [sum(a["image_id"] == i["id"] for a in content["annotations"]) for i in content["images"]]
    # 9 of one, 6 of two, 3 of three, 4 of four or more
    assert sorted(min(p, 4) for p in people) == [1] * 3 + [2] * 3 + [3] * 3 + [4] * 3
    assert summary.frames == len(COUNTS)
    assert any("found 8 of one person, 6 of two, 3 of three, 4 of four or more" in s for s in summary.skipped)
    kept = {i["file_name"] for i in content["images"]}
    assert {f"images/{f.relative_to(tmp_path / 'images')}" for f in tmp_path.rglob("images/*/*.png")} == kept


def test_a_balance_spreads_evenly_and_can_have_a_limit() -> None:
    people = [1] * 100 + [2] * 7 + [0] * 5 + [11] * 10
    kept = np.flatnonzero(list(Balance(people).kept(people)))
    of_one = kept[kept < 100]
    assert len(of_one) == 7 and set(np.diff(of_one)) <= {14, 15}
    assert list(kept[(kept >= 100) & (kept < 107)]) == list(range(100, 107))
    assert not set(kept) & set(range(107, 112)) and (kept >= 112).sum() == 7
    limited = Balance(people, most=3)
    assert limited.quota == 3 and sum(limited.kept(people)) == 9
    nobody = Balance([0, 0])
    assert list(nobody.kept([0, 0])) == [False, False]


def _frame(image: np.ndarray, name: str = "0", camera: str = "") -> RecordedFrame:
    return RecordedFrame(RgbdFrame(image.astype(np.uint8), None, None, stamp_ns=int(name) + 1), name, camera)


def _scene(noise: int, light: int = 0, moved: int = 0) -> np.ndarray:
    """Return noise about grey, light, and a bright block of 12 x 6 px that may have moved."""
    image = 90 + np.random.default_rng(noise).integers(-6, 7, (60, 80, 3))
    image[20:32, 10 + moved : 16 + moved] = 180
    return np.clip(image + light, 0, 255)


def test_noise_and_light_are_no_motion() -> None:
    still, noisy, brighter, moved = (_scene(*a).astype(np.uint8) for a in ((1,), (2,), (3, 30), (4, 0, 6)))
    assert moved_share(still, noisy, 12) == 0
    assert moved_share(still, brighter, 12) < 0.001
    assert moved_share(still, moved, 12) == pytest.approx(2 * 72 / 4800, abs=1e-3)


def test_motion_is_measured_from_the_last_frame_taken_of_each_camera() -> None:
    """Someone who creeps is seen at last; cameras do not disturb each other."""
    frames = [_frame(_scene(k, moved=k), str(k), f"cam{k % 2}") for k in range(12)]
    taken = [f.name for f in in_motion(iter(frames), 0.02, 12, (60, 80))]
    # A block of 12 rows that creeps 2 px a frame has changed 96 of 4800 px after two frames.
    assert taken == ["0", "1", "4", "5", "8", "9"]
    for_all = LabelOptions(motion=0.03, limit=4, every=2)
    left_out: dict[str, int] = {}
    assert [f.name for f in chosen_frames(iter(frames), for_all, left_out)] == ["0", "1", "8", "9"]
    assert left_out == {"between others": 4, "in which nothing moved": 2}


@pytest.mark.parametrize("cameras", [1, 2, 4])
def test_every_kth_frame_is_taken_of_each_camera(cameras) -> None:
    frames = [_frame(np.zeros((2, 2, 3)), str(k), f"cam{k % cameras}") for k in range(48)]
    taken = list(chosen_frames(iter(frames), LabelOptions(every=4)))
    assert len(taken) == 12
    assert {sum(f.camera == f"cam{c}" for f in taken) for c in range(cameras)} == {12 // cameras}


def test_frames_that_change_size_are_taken() -> None:
    frames = [_frame(np.zeros((h, 8, 3)), str(h)) for h in (8, 8, 6, 6)]
    assert [f.name for f in in_motion(iter(frames), 0.5, 12, (60, 80))] == ["8", "6"]


def test_a_moment_that_comes_twice_keeps_both_names() -> None:
    def at(stamp: int, camera: str) -> RecordedFrame:
        return RecordedFrame(
            RgbdFrame(np.zeros((2, 2, 3), np.uint8), None, None, "", stamp), str(stamp), camera
        )

    frames = [at(s, "a") for s in (5, 6, 6, 7, 5)] + [at(0, "b"), at(0, "b"), at(5, "c")]
    names = [(f.camera, f.name) for f in uniquely_named(iter(frames))]
    assert [n for _, n in names] == ["5", "6", "6_1", "7_1", "5_2", "0", "0", "5"]


def test_wrong_options_are_refused() -> None:
    for options, words in (({"motion": 0.0}, "share above 0"), ({"balance": -1}, "balance: expected 0")):
        with pytest.raises(ValueError, match=words):
            LabelOptions(**options)


def test_the_command_line_has_defaults_for_both() -> None:
    args = build_parser().parse_args(
        ["label", "x", "--out", "y", "--keypoints", "z", "--balance", "--motion"]
    )
    assert (args.balance, args.motion, args.motion_step) == (0, 0.01, LabelOptions().motion_step)
