"""`orpose estimate` on long recordings: killed, resumed, interrupted, at flat memory, into tables."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from orpose_core.cli import main
from orpose_core.data.recordings.recording import RecordedFrame, SkipLog
from orpose_core.estimation.estimate import estimate_recording, is_drawn
from orpose_core.estimation.options import RunOptions
from orpose_core.estimators import EstimatorConfig, PoseEstimator, load_estimator
from orpose_core.files import write_depth, write_picture
from orpose_core.simulation import StreamConfig, simulate_frame
from orpose_core.simulation.writers.bags import write_bag

REPOSITORY = Path(__file__).parents[2]
MODEL = "untrained:depthpose_64x48@0.0625"
QUICK = ["--model", MODEL, "--threads", "1", "--no-flip", "--quiet", "--device", "cpu"]
STREAM = StreamConfig("or", (96, 128), "rgbd", seed=4, frames_per_sequence=30, rate_hz=10)


@pytest.fixture(scope="module")
def bag(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_bag(STREAM, 30, tmp_path_factory.mktemp("recording") / "bag")


class Looped:
    """A small recording again and again, with stamps that go on, as a long one."""

    def __init__(self, frames: int) -> None:
        self.skipped, self.taken = SkipLog(), ("a loop",)
        self._frames = frames
        self._shown = [simulate_frame(STREAM, k) for k in range(4)]

    def __enter__(self) -> Looped:
        return self

    def __exit__(self, *error: object) -> None:
        return None

    def frame_count(self) -> int:
        return self._frames

    def frames(self) -> Iterator[RecordedFrame]:
        for k in range(self._frames):
            frame = replace(self._shown[k % 4].frame, stamp_ns=10**9 + k * 10**8)
            yield RecordedFrame(frame, f"c_{frame.stamp_ns}", "c")


def contents(folder: Path) -> dict[str, bytes]:
    return {f.relative_to(folder).as_posix(): f.read_bytes() for f in folder.rglob("*") if f.is_file()}


def estimator() -> PoseEstimator:
    return load_estimator(MODEL, EstimatorConfig(device="cpu", threads=1, flip_test=False))


def test_a_killed_run_that_is_resumed_ends_as_an_unbroken_one(bag: Path, tmp_path: Path) -> None:
    whole, out = tmp_path / "whole", tmp_path / "out"
    assert main(["estimate", str(bag), "--out", str(whole), *QUICK]) == 0
    words = [sys.executable, "-m", "orpose_core.cli", "estimate", str(bag), "--out", str(out), *QUICK]
    process = subprocess.Popen(words, cwd=REPOSITORY)
    while process.poll() is None:
        if (out / "frames.jsonl").is_file() and (out / "frames.jsonl").read_bytes().count(b"\n") > 4:
            process.send_signal(signal.SIGKILL)
            break
        time.sleep(0.01)
    process.wait()
    log = out / "frames.jsonl"
    lines = log.read_bytes().splitlines(keepends=True)
    log.write_bytes(b"".join(lines[:7]) + lines[-1][:20])  # two frames of a batch, and part of a line
    assert main(["estimate", str(bag), "--out", str(out), "--resume", *QUICK]) == 0
    assert contents(out) == contents(whole)
    before = log.stat().st_mtime_ns
    assert main(["estimate", str(bag), "--out", str(out), "--resume", *QUICK]) == 0
    assert contents(out) == contents(whole) and log.read_bytes().count(b"\n") == 31
    assert log.stat().st_mtime_ns >= before


def test_an_interrupt_keeps_what_was_done_and_says_how_to_go_on(
    bag: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ["estimate", str(bag), "--out", str(tmp_path), *QUICK]
    real, calls = PoseEstimator.estimate, []

    def interrupted(self: PoseEstimator, frames: list) -> list:
        calls.append(len(frames))
        if len(calls) == 3:
            raise KeyboardInterrupt
        return real(self, frames)

    monkeypatch.setattr(PoseEstimator, "estimate", interrupted)
    assert main(words) == 130
    assert "the same command with --resume goes on from there" in capsys.readouterr().err
    run = json.loads((tmp_path / "run.json").read_text())
    assert len(run["images"]) == 8 and run["interrupted"]
    monkeypatch.undo()
    assert main([*words, "--resume"]) == 0
    run = json.loads((tmp_path / "run.json").read_text())
    assert len(run["images"]) == 30 and not run["interrupted"]


def test_a_run_with_other_settings_is_not_resumed(
    bag: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["estimate", str(bag), "--out", str(tmp_path), "--limit", "2", *QUICK]
    assert main(words) == 0
    assert main([*words, "--resume", "--every", "2"]) == 2
    assert "frames.jsonl: of a run with other settings (settings)" in capsys.readouterr().err
    assert main([*words, "--every", "2"]) == 0, "without --resume it begins anew"
    (tmp_path / "frames.jsonl").write_text("something else\n")
    assert main([*words, "--resume"]) == 2


def test_memory_stays_flat(tmp_path: Path) -> None:
    model = estimator()
    options = RunOptions(overlays=2, batch=8)
    estimate_recording(Looped(16), model, tmp_path / "warm", options)
    peaks = []
    for frames in (40, 160):
        recording = Looped(frames)
        tracemalloc.start()
        estimate_recording(recording, model, tmp_path / str(frames), options)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.3 * peaks[0], peaks
    assert len(json.loads((tmp_path / "160" / "run.json").read_text())["images"]) == 160


@pytest.mark.parametrize("step", [50, 51, 59, 60])
def test_pictures_show_every_camera_of_those_that_take_turns(step: int) -> None:
    drawn = [index for index in range(20 * step - 3) if is_drawn(index, step, 20 * step - 3)]
    assert [index // step for index in drawn] == list(range(20))
    for cameras in (2, 3, 4):
        assert {index % cameras for index in drawn} == set(range(cameras))


def test_joints_as_a_table(bag: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    truth = iter([simulate_frame(STREAM, k).poses for k in range(30)])

    def true(self: PoseEstimator, frames: list) -> list:
        return [replace(next(truth), track_ids=None, visibility=None) for _ in frames]

    monkeypatch.setattr(PoseEstimator, "estimate", true)
    words = ["estimate", str(bag), "--out", str(tmp_path), "--low-resolution", "128x96", *QUICK]
    assert main([*words, "--format", "csv", "--no-tracking", "--overlays", "0"]) == 0
    with (tmp_path / "joints.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    expected = [simulate_frame(STREAM, k).poses for k in range(30)]
    assert len({(r["image_id"], r["person"]) for r in rows}) == sum(
        int(((p.scores > 0).any(1) | np.isfinite(p.xyz_cam_m).all(-1).any(1)).sum()) for p in expected
    )
    row = next(r for r in rows if r["x_px"])
    poses = expected[int(row["image_id"]) - 1]
    person, joint = int(row["person"]), poses.skeleton.index(row["joint"])
    assert [float(row["x_px"]), float(row["y_px"])] == pytest.approx(
        poses.xy_px[person, joint].tolist(), abs=1e-3
    )
    assert float(row["z_cam_m"]) == pytest.approx(float(poses.xyz_cam_m[person, joint, 2]))


def test_parquet_holds_what_csv_holds(bag: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parquet = pytest.importorskip("pyarrow.parquet", reason="pyarrow (the extra parquet) is not installed")
    truth = [replace(simulate_frame(STREAM, k).poses, track_ids=None, visibility=None) for k in range(4)]
    words = ["estimate", str(bag), "--limit", "4", "--low-resolution", "128x96", "--overlays", "0", *QUICK]
    for form in ("csv", "parquet"):
        monkeypatch.setattr(PoseEstimator, "estimate", lambda self, frames: truth[: len(frames)])
        assert main([*words, "--out", str(tmp_path / form), "--format", form]) == 0
    with (tmp_path / "csv" / "joints.csv").open(newline="") as file:
        expected = list(csv.DictReader(file))
    table = parquet.read_table(tmp_path / "parquet" / "joints.parquet")
    assert {f.name: str(f.type) for f in table.schema}["stamp_ns"] == "int64" and len(expected) > 50
    rows = [{k: "" if v is None else str(v) for k, v in row.items()} for row in table.to_pylist()]
    assert rows == expected


def test_without_pyarrow_what_to_install_is_said(
    bag: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    words = ["estimate", str(bag), "--out", str(tmp_path), "--limit", "2", "--format", "parquet", *QUICK]
    assert main(words) == 2
    assert "pip install '/path/to/orpose[parquet]'" in capsys.readouterr().err
    assert not (tmp_path / "joints.parquet").exists()


# Notes


def noted(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert main(["estimate", *words, *QUICK]) == 0
    return capsys.readouterr().err


def test_every_run_says_what_was_missing_for_3d(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, out = tmp_path / "ward", str(tmp_path / "out")
    for k in range(3):
        write_depth(source / f"{k}.png", np.full((96, 128), 2.0 + k, np.float32))
    said = noted(capsys, str(source), "--out", out)
    assert "note: no metric 3D in all 3 frames: no calibration of the camera; give --intrinsics" in said
    assert "read: depth: 3 images (png), such as 0.png (depth of 16 bits, mm)" in said
    said = noted(capsys, str(source), "--out", out, "--intrinsics", "100,100,63.5,47.5")
    assert "no calibration" not in said
    images = json.loads((tmp_path / "out" / "run.json").read_text())["images"]
    assert all(image["metric_3d"] for image in images)
    assert main(["estimate", str(source), "--out", out, "--intrinsics", "1,2,3", *QUICK]) == 2
    assert "--intrinsics: expected FX,FY,CX,CY" in capsys.readouterr().err
    assert main(["estimate", str(source), "--out", out, "--intrinsics", "nan,1,1,1", *QUICK]) == 2


def test_depths_that_no_room_has_are_noticed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_depth(tmp_path / "ward" / "1.png", np.full((96, 128), 0.02, np.float32))
    said = noted(capsys, str(tmp_path / "ward"), "--out", str(tmp_path / "out"))
    assert "the median depth is 0.02 m, which no room has" in said


def test_people_upside_down_are_noticed(
    bag: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    truth = iter([simulate_frame(STREAM, k).poses for k in range(30)])

    def turned(self: PoseEstimator, frames: list) -> list:
        found = []
        for frame in frames:
            poses = replace(next(truth).select([1]), track_ids=None, visibility=None)  # who stands
            size = np.array(frame.size_hw[::-1], np.float32)
            found.append(replace(poses, xy_px=size - 1 - poses.xy_px))
        return found

    monkeypatch.setattr(PoseEstimator, "estimate", turned)
    said = noted(capsys, str(bag), "--out", str(tmp_path), "--low-resolution", "128x96", "--overlays", "0")
    assert "skeletons are upside down: does the camera hang upside down? Try --rotate 180" in said


# Output inside input


def test_output_inside_the_input(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = tmp_path / "ward"
    for k in range(3):
        write_depth(source / f"{k}_depth.png", np.full((96, 128), 2.0 + k, np.float32))
    for _ in range(2):
        noted(capsys, str(source), "--out", str(source / "results"))
    out = source / "results"
    assert len(json.loads((out / "run.json").read_text())["images"]) == 3
    assert {f.name for f in (out / "overlays").glob("*.png")} == {"0.png", "1.png", "2.png"}
    noted(capsys, str(source), "--out", str(source), "--limit", "1")
    assert {f.name for f in (source / "overlays").glob("*.png")} == {"0.png"}


def test_stale_overlays_go_and_those_of_others_stay(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, out = tmp_path / "ward", tmp_path / "out"
    for k in range(3):
        write_depth(source / f"{k}_depth.png", np.full((96, 128), 2.0, np.float32))
    noted(capsys, str(source), "--out", str(out))
    noted(capsys, str(source / "1_depth.png"), "--out", str(out))
    assert [f.name for f in (out / "overlays").glob("*.png")] == ["1.png"]
    write_picture(tmp_path / "mine" / "overlays" / "holiday.png", np.zeros((4, 4, 3), np.uint8))
    assert main(["estimate", str(source), "--out", str(tmp_path / "mine"), *QUICK]) == 2
    assert "overlays: holds files that orpose did not write" in capsys.readouterr().err
    assert (tmp_path / "mine" / "overlays" / "holiday.png").is_file()


def test_a_name_too_long_costs_no_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = tmp_path / "ward"
    for k in "ab":
        write_depth(source / ("x" * 120) / ("y" * 120) / f"{'z' * 100}{k}.png", np.full((96, 128), 2.0))
    noted(capsys, str(source), "--out", str(tmp_path / "out"))
    names = [f.name for f in (tmp_path / "out" / "overlays").glob("*.png")]
    assert len(names) == 2 and all(len(os.fsencode(name)) < 200 for name in names)


@pytest.mark.parametrize("rotation", [90, 180, 270])
def test_a_turned_camera_gives_poses_in_its_own_image(
    rotation: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a network finds at a place of the upright image is found at that place of the recorded one."""
    from orpose_core.rotation import upright
    from orpose_core.skeleton import COCO17
    from orpose_core.types import Poses, RgbdFrame

    size_hw = (96, 128)
    depth_m = np.full(size_hw, 3.0, np.float32)
    depth_m[24:40, 88:104] = 1.0  # a near spot, off every axis of symmetry
    write_depth(tmp_path / "ward" / "1.png", depth_m)

    def spot(self: PoseEstimator, frames: list) -> list:
        found = []
        for frame in frames:
            y, x = (float(v.mean()) for v in np.nonzero(frame.depth_m < 2))
            xy_px = np.full((1, 17, 2), [x, y], np.float32)
            box = np.array([[x - 1, y - 1, x + 1, y + 1]], np.float32)
            found.append(Poses(COCO17, xy_px, np.ones((1, 17), np.float32), np.ones(1, np.float32), box))
        return found

    monkeypatch.setattr(PoseEstimator, "estimate", spot)
    words = ["estimate", str(tmp_path / "ward"), "--out", str(tmp_path / "out"), "--rotate", str(rotation)]
    assert main([*words, *QUICK]) == 0
    (result,) = json.loads((tmp_path / "out" / "results.json").read_text())
    assert result["keypoints"][:2] == pytest.approx([95.5, 31.5], abs=1.0)
    assert upright(RgbdFrame(None, depth_m, None, "", 0), rotation).depth_m is not None
    assert (tmp_path / "out" / "overlays" / "1.png").is_file()


def test_depth_units_on_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_depth(tmp_path / "ward" / "1.png", np.full((96, 128), 8.0, np.float32))
    words = ["estimate", str(tmp_path / "ward"), "--out", str(tmp_path / "out"), *QUICK]
    assert main([*words, "--depth-unit", "0.25mm"]) == 0
    line = json.loads((tmp_path / "out" / "frames.jsonl").read_text().splitlines()[1])
    assert line["median_depth_m"] == 2.0
    for unit in ("1", "mm", "1km", "0mm", "-1m", "nanm"):
        assert main([*words, f"--depth-unit={unit}"]) == 2
