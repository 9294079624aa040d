"""Simulated recordings on disk: MVOR-like folders that resume, bags, statistics, the command."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from orpose_core import cli
from orpose_core.data.image_messages import decode_color, decode_depth, intrinsics_of
from orpose_core.data.mvor import read_mvor
from orpose_core.data.skeleton_messages import from_skeletons, rosbags_types
from orpose_core.geometry import project
from orpose_core.simulation import StreamConfig, arithmetic, simulate_frame, split_config
from orpose_core.simulation.writers import dataset as simulated
from orpose_core.simulation.writers import statistics as simulated_statistics
from orpose_core.simulation.writers.bags import quaternion_of, write_bag
from orpose_core.simulation.writers.dataset import image_id, truth_record, write_dataset
from orpose_core.simulation.writers.pictures import frame_with_truth
from orpose_core.skeleton import COCO17, MVOR10
from orpose_core.types import Intrinsics

pytestmark = pytest.mark.timeout(900)  # the first run compiles for a minute of processor time

CONFIG = StreamConfig("or", (60, 80), "rgbd", seed=5, cameras=2, frames_per_sequence=2)
FRAMES = 6


def contents(folder: Path) -> dict[str, str]:
    files = sorted(p for p in folder.rglob("*") if p.is_file())
    return {p.relative_to(folder).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


@pytest.fixture(scope="module")
def recording(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("recording") / "or"
    write_dataset(CONFIG, FRAMES, folder)
    return folder


def test_folder_holds_exactly_the_stream(recording):
    truth = read_mvor(recording / "annotations.json")
    assert truth.skeleton == COCO17
    assert truth.image_ids.tolist() == [image_id(CONFIG, i) for i in range(FRAMES)]
    row = 0
    for i in range(FRAMES):
        f = simulate_frame(CONFIG, i)
        color = recording / truth.file_names[i]
        depth = recording / truth.file_names[i].replace("color", "depth")
        np.testing.assert_array_equal(cv2.imread(str(color))[..., ::-1], f.frame.rgb)
        millimetres = cv2.imread(str(depth), cv2.IMREAD_UNCHANGED)
        assert millimetres.dtype == np.uint16
        np.testing.assert_array_equal(
            millimetres, np.round(np.nan_to_num(f.frame.depth_m, nan=0) * 1000).astype(np.uint16)
        )
        for m in range(len(f.poses)):
            assert truth.image[row] == i
            assert truth.person_ids[row] == f.poses.track_ids[m]
            flags = f.poses.visibility[m, :17]
            np.testing.assert_array_equal(truth.keypoints[row, :, 2], flags)
            np.testing.assert_array_equal(
                truth.keypoints[row, flags > 0, :2], f.poses.xy_px[m, :17][flags > 0].astype(np.float64)
            )
            order = [f.poses.skeleton.index(j) for j in MVOR10.joints]
            np.testing.assert_array_equal(
                truth.joints_3d.xyz_cam_m[row], f.poses.xyz_cam_m[m, order].astype(np.float64)
            )
            row += 1
    assert row == len(truth.image) > 3


def test_an_image_of_nobody_is_part_of_a_recording(tmp_path):
    config = StreamConfig("or", (60, 80), "depth", seed=5)
    empty = next(i for i in range(200) if not len(simulate_frame(config, i).poses))
    poses = simulate_frame(config, empty).poses
    assert poses.xyz_cam_m.shape == (0, 24, 3)
    assert poses.visibility.shape == (0, 24)
    record = truth_record(config, simulate_frame(config, empty))
    assert simulated._people_of(json.loads(json.dumps(record))) == []


def test_calibration_in_the_folder_projects_the_3d_joints_onto_the_2d_ones(recording):
    content = json.loads((recording / "annotations.json").read_text())
    images = {image["id"]: image for image in content["images"]}
    checked = 0
    for person in content["annotations"]:
        image = images[person["image_id"]]
        k = Intrinsics(**image["intrinsics"], width=image["width"], height=image["height"])
        xyz = np.array(person["body24_cam_m"]).reshape(24, 4)[:17]
        keypoints = np.array(person["keypoints"]).reshape(17, 3)
        there = keypoints[:, 2] > 0
        assert np.abs(project(xyz[:, :3], k) - keypoints[:, :2])[there].max(initial=0) < 0.01
        checked += there.sum()
    assert checked > 30


def test_several_workers_write_the_same_bytes_and_a_second_run_changes_nothing(recording, tmp_path):
    write_dataset(CONFIG, FRAMES, tmp_path / "two", workers=2)
    assert contents(tmp_path / "two") == contents(recording)
    before = {p: p.stat().st_mtime_ns for p in (tmp_path / "two").rglob("*.png")}
    seen: list[int] = []
    write_dataset(CONFIG, FRAMES, tmp_path / "two", progress=seen.append)
    assert seen == [FRAMES]
    assert before == {p: p.stat().st_mtime_ns for p in (tmp_path / "two").rglob("*.png")}


def test_a_run_that_stops_anywhere_resumes_to_the_same_bytes(recording, tmp_path, monkeypatch):
    real, calls = simulated.write_depth, []

    def full_disk(path, *arguments, **options):
        calls.append(path)
        if len(calls) == 3:
            raise OSError(28, "No space left on device", str(path))
        real(path, *arguments, **options)

    monkeypatch.setattr(simulated, "write_depth", full_disk)
    with pytest.raises(OSError, match="No space left"):
        write_dataset(CONFIG, FRAMES, tmp_path)
    assert not (tmp_path / "annotations.json").exists()
    monkeypatch.undo()
    write_dataset(CONFIG, FRAMES, tmp_path)
    assert contents(tmp_path) == contents(recording)


def test_a_killed_run_leaves_only_whole_files(tmp_path):
    code = (
        "from orpose_core.simulation import StreamConfig\n"
        "from orpose_core.simulation.writers.dataset import write_dataset\n"
        "c = StreamConfig('or', (60, 80), 'rgbd', seed=5, cameras=2, frames_per_sequence=2)\n"
        f"write_dataset(c, 4000, {str(tmp_path / 'long')!r})\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code], cwd=Path(cli.__file__).parents[1])
    deadline = time.monotonic() + 100
    while len(list(tmp_path.rglob("truth/*.json"))) < 5 and time.monotonic() < deadline:
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert not (tmp_path / "long" / "annotations.json").exists()
    truths = [p for p in tmp_path.rglob("truth/*.json") if not p.name.startswith(".")]
    assert len(truths) >= 5
    for truth in truths:
        json.loads(truth.read_text())
        for kind in ("color", "depth"):
            assert cv2.imread(str(truth.parents[1] / kind / f"{truth.stem}.png")) is not None


def test_a_folder_of_something_else_is_refused(recording, tmp_path):
    with pytest.raises(ValueError, match=r"simulation\.json: the folder holds another recording"):
        write_dataset(replace(CONFIG, seed=6), FRAMES, recording)
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(ValueError, match="expected an empty folder"):
        write_dataset(CONFIG, FRAMES, tmp_path)
    with pytest.raises(ValueError, match="expected a folder, got a file"):
        write_dataset(CONFIG, FRAMES, tmp_path / "notes.txt")
    for frames, workers in ((0, 1), (1, 0)):
        with pytest.raises(ValueError, match="expected"):
            write_dataset(CONFIG, frames, tmp_path / "none", workers)


def test_a_folder_of_an_earlier_version_with_fewer_settings_is_resumed(tmp_path):
    room = tmp_path / "room"
    write_dataset(CONFIG, FRAMES, room)
    manifest = room / "simulation.json"
    there = json.loads(manifest.read_text())
    del there["config"]["varied_builds"]
    manifest.write_text(json.dumps(there))
    write_dataset(CONFIG, FRAMES, room)
    with pytest.raises(ValueError, match="the folder holds another recording"):
        write_dataset(replace(CONFIG, varied_builds=0.5), FRAMES, room)


@pytest.mark.parametrize("content", ["[]", '"room"', "3", '{"config": 1}', "{}"])
def test_a_manifest_that_is_none_is_refused(content, tmp_path):
    (tmp_path / "simulation.json").write_text(content)
    with pytest.raises(ValueError, match=r"simulation\.json: the folder holds another recording"):
        write_dataset(CONFIG, FRAMES, tmp_path)


@pytest.mark.parametrize("storage", ["mcap", "sqlite3"])
def test_bag_holds_images_calibration_places_and_truth(storage, tmp_path):
    from rosbags.highlevel import AnyReader
    from rosbags.typesys import Stores, get_typestore

    path = write_bag(replace(CONFIG, frames_per_sequence=3), FRAMES, tmp_path / "room", storage)
    assert not list(tmp_path.glob("*.partial"))
    typestore = get_typestore(Stores.ROS2_JAZZY)
    rosbags_types(typestore)
    received: dict[str, list] = {}
    with AnyReader([path], default_typestore=typestore) as bag:
        for connection, stamp, raw in bag.messages():
            received.setdefault(connection.topic, []).append(
                (stamp, bag.deserialize(raw, connection.msgtype))
            )
    for number in (1, 2):
        at = f"/camera_{number}"
        assert all(
            len(received[f"{at}/{t}"]) == 3 for t in ("color/image_raw", "depth/image_raw", "camera_info")
        )
        for moment in range(3):
            f = simulate_frame(replace(CONFIG, frames_per_sequence=3), moment * 2 + number - 1)
            stamp, color = received[f"{at}/color/image_raw"][moment]
            _, depth = received[f"{at}/depth/image_raw"][moment]
            _, info = received[f"{at}/camera_info"][moment]
            _, flat = received[f"{at}/ground_truth/skeletons_2d"][moment]
            _, solid = received[f"{at}/ground_truth/skeletons_3d"][moment]
            assert stamp == f.frame.stamp_ns
            np.testing.assert_array_equal(decode_color(color), f.frame.rgb)
            np.testing.assert_allclose(decode_depth(depth), f.frame.depth_m, rtol=3e-7)  # one float step
            assert intrinsics_of(info) == f.frame.intrinsics
            poses = from_skeletons(flat, solid)
            np.testing.assert_allclose(poses.xy_px, f.poses.xy_px, atol=1e-4)
            np.testing.assert_allclose(poses.xyz_cam_m, f.poses.xyz_cam_m, atol=1e-5)
            assert poses.track_ids.tolist() == f.poses.track_ids.tolist()
    frames = {t.child_frame_id for _, m in received["/tf_static"] for t in m.transforms}
    assert frames == {"camera_1_optical_frame", "camera_2_optical_frame"}
    with pytest.raises(ValueError, match="does not exist yet"):
        write_bag(replace(CONFIG, frames_per_sequence=3), FRAMES, path, storage)


def test_bags_of_several_rooms_or_without_color_are_refused(tmp_path):
    with pytest.raises(ValueError, match="one room: expected at most 4 frames"):
        write_bag(CONFIG, 6, tmp_path / "bag")
    with pytest.raises(ValueError, match="rgbd"):
        write_bag(replace(CONFIG, modality="depth"), 2, tmp_path / "bag")
    with pytest.raises(ValueError, match="mcap, sqlite3"):
        write_bag(CONFIG, 2, tmp_path / "bag", "ros1")


def test_quaternions_turn_as_their_matrices():
    rng = np.random.default_rng(1)
    for _ in range(50):
        angles = rng.uniform(-3.1, 3.1, 3)
        matrix = np.eye(3)
        for axis, angle in enumerate(angles):
            matrix = matrix @ arithmetic.rotation_about(axis, angle)
        x, y, z, w = quaternion_of(matrix)
        assert x * x + y * y + z * z + w * w == pytest.approx(1)
        vector = rng.normal(size=3)
        q = np.array([x, y, z])
        turned = vector + 2 * np.cross(q, np.cross(q, vector) + w * vector)
        np.testing.assert_allclose(turned, matrix @ vector, atol=1e-9)


@pytest.fixture(scope="module")
def sample():
    config = replace(split_config("or-val-v1", (120, 160), "depth"), sensor=False)
    return simulated_statistics.simulated_table(simulate_frame(config, i) for i in range(0, 1200, 4))


def test_or_split_is_like_mvor(sample, realdata):
    """A quarter of the split, so with wider margins than the whole keeps (docs/simulation.md)."""
    real = simulated_statistics.summary(
        simulated_statistics.mvor_table(realdata / "mvor" / "annotations" / "camma_mvor_2018.json")
    )
    ours = simulated_statistics.summary(sample)
    stats = json.loads((realdata / "mvor" / "stats.json").read_text())
    assert real["people per image"] == pytest.approx(stats["persons_per_image"]["mean_all_boxes"], abs=1e-3)
    assert real["box height, median px"] == pytest.approx(187.4, abs=0.1)
    assert real["occluded joints, %"] == pytest.approx(19.86, abs=0.05)
    assert abs(ours["people per image"] - real["people per image"]) < 0.4
    for camera in (1, 2, 3):
        name = f"neck depth, camera {camera}, median m"
        assert ours[name] == pytest.approx(real[name], rel=0.2)
    assert abs(ours["occluded joints, %"] - real["occluded joints, %"]) < 8
    assert ours["box height, median px"] == pytest.approx(real["box height, median px"], rel=0.2)
    assert abs(ours["trunk lean, median deg"] - real["trunk lean, median deg"]) < 8
    for side in ("left", "right"):
        assert abs(ours[f"{side} elbow, median deg"] - real[f"{side} elbow, median deg"]) < 20


def test_comparison_prints_every_line_of_both(sample):
    ours = simulated_statistics.summary(sample)
    text = simulated_statistics.comparison(ours, ours)
    assert all(name in text for name in ours)
    assert "+0.00" in text


def test_a_contact_sheet_shows_color_above_depth():
    cell = frame_with_truth(simulate_frame(replace(CONFIG, modality="rgbd"), 0), width_px=80)
    assert cell.shape == (2 * 60, 80, 3) and cell.std() > 20
    depth = frame_with_truth(simulate_frame(replace(CONFIG, modality="depth"), 0), width_px=80)
    np.testing.assert_array_equal(depth, cell[60:])


def run(*arguments) -> int:
    return cli.main(["simulate", *map(str, arguments)])


def test_command_writes_a_folder_a_bag_and_a_sheet(tmp_path, capsys):
    options = ["--seed", 3, "--size", "80x60", "--workers", 1]
    assert run("--frames", 2, "--out", tmp_path / "coco", *options) == 0
    assert read_mvor(tmp_path / "coco" / "annotations.json").sizes_hw == ((60, 80), (60, 80))
    assert (
        run("--frames", 2, "--out", tmp_path / "bag", "--format", "mcap", "--domain", "general", *options)
        == 0
    )
    assert (tmp_path / "bag" / "bag.mcap").is_file()
    assert run("--frames", 2, "--contact-sheet", tmp_path / "sheet.png", *options) == 0
    assert cv2.imread(str(tmp_path / "sheet.png")) is not None
    assert "2 frames" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--frames", 2), "at least one of --out"),
        (("--out", "x"), "--frames: expected"),
        (("--out", "x", "--frames", 0), "--frames: expected at least 1"),
        (("--out", "x", "--frames", 2, "--size", "big"), "expected WIDTHxHEIGHT"),
        (("--out", "x", "--frames", 2, "--seed", -4), "seed: expected 0"),
        (("--out", "x", "--frames", 2, "--seed", 2**40 + 1, "--domain", "or"), "seed: expected 0"),
        (("--frames", 2, "--compare", "nowhere.json"), "nowhere.json"),
        (("--frames", 2, "--contact-sheet", "sheet.txt"), "named .png or .jpg"),
        (("--out", "x", "--frames", 2, "--domain", "general", "--cameras", 2), "cameras: expected 1 to 1"),
    ],
)
def test_command_names_what_is_wrong(arguments, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run(*arguments) == 2
    assert message in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
