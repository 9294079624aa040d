"""`orpose estimate`, `orpose demo`, `orpose benchmark estimate`: recordings in, files out, no ROS graph."""

from __future__ import annotations

import json
from dataclasses import replace

import cv2
import numpy as np
import pytest

from orpose_core.benchmarking.estimation import cases_of
from orpose_core.benchmarking.estimation_report import shipped_networks
from orpose_core.checkpoints.files import load_checkpoint
from orpose_core.cli import main
from orpose_core.data.recordings.opening import open_recording
from orpose_core.demo import DemoOptions, SimulatedRecording, run_demo
from orpose_core.estimation.estimate import estimate_recording
from orpose_core.estimation.options import RunOptions
from orpose_core.estimators import EstimatorConfig, PoseEstimator
from orpose_core.geometry import metric_3d
from orpose_core.simulation import StreamConfig, simulate_frame
from orpose_core.simulation.writers.bags import write_bag
from orpose_core.skeleton import COCO17
from orpose_core.types import Resize

_MODEL = "untrained:depthpose_64x48@0.0625"
_QUICK = ["--model", _MODEL, "--threads", "1", "--no-flip", "--quiet"]
_STREAM = StreamConfig("or", (480, 640), "rgbd", seed=4, frames_per_sequence=6, rate_hz=10)


@pytest.fixture(scope="module")
def bag(tmp_path_factory):
    return write_bag(_STREAM, 6, tmp_path_factory.mktemp("recording") / "bag", "mcap")


def _run(folder):
    return json.loads((folder / "run.json").read_text())


class _KnowsTheTruth(PoseEstimator):
    """Answers with the true poses, told apart by the stamp, in px of the frame that it is given."""

    def __init__(self, stream):
        super().__init__(load_checkpoint(_MODEL), EstimatorConfig(device="cpu", threads=1))
        self.info = replace(self.info, name="truth", trained=True)
        self._stream, self.seen = stream, []

    def estimate(self, frames):
        found = []
        for frame in frames:
            self.seen.append(frame.size_hw)
            index = round(frame.stamp_ns * self._stream.rate_hz / 1e9) % self._stream.frames_per_sequence
            truth = simulate_frame(self._stream, index).poses.converted(COCO17)
            resize = Resize(self._stream.size_hw, frame.size_hw)
            poses = replace(
                truth,
                xy_px=resize.to_target(truth.xy_px),
                boxes_px=resize.to_target(truth.boxes_px.reshape(-1, 2, 2)).reshape(-1, 4),
                track_ids=None,
            )
            found.append(metric_3d(poses, frame.depth_m, frame.intrinsics))
        return found


def test_a_bag_becomes_files_with_its_stamps_and_frames(bag, tmp_path, capsys):
    assert main(["estimate", str(bag), "--out", str(tmp_path), "--overlays", "2", *_QUICK]) == 0
    run = _run(tmp_path)
    assert [i["id"] for i in run["images"]] == [1, 2, 3, 4, 5, 6]
    assert [i["stamp_ns"] for i in run["images"]] == sorted(i["stamp_ns"] for i in run["images"])
    assert {(i["width"], i["height"], i["seen_width"], i["seen_height"]) for i in run["images"]} == {
        (640, 480, 64, 48)
    }
    assert run["images"][0]["frame_id"] and all(i["metric_3d"] for i in run["images"])
    assert run["model"]["trained"] is False and run["model"]["name"].startswith("untrained:")
    skeletons = json.loads((tmp_path / "skeletons_3d.json").read_text())
    assert [s["stamp_ns"] for s in skeletons] == [i["stamp_ns"] for i in run["images"]]
    assert isinstance(json.loads((tmp_path / "results.json").read_text()), list)
    assert len(list((tmp_path / "overlays").glob("*.png"))) == 2
    assert [f.name for f in tmp_path.rglob(".*")] == [".orpose_output"]
    assert "6 frames" in capsys.readouterr().out


def test_what_is_written_is_what_was_found(bag, tmp_path):
    estimator = _KnowsTheTruth(_STREAM)
    summary = estimate_recording(open_recording(bag), estimator, tmp_path, RunOptions(overlays=1))
    assert set(estimator.seen) == {(48, 64)}  # nothing larger ever reaches the model
    results = json.loads((tmp_path / "results.json").read_text())
    skeletons = json.loads((tmp_path / "skeletons_3d.json").read_text())
    assert summary.frames == 6 and summary.people == len(results) > 6
    errors_m = []
    for k in range(6):
        truth = simulate_frame(_STREAM, k).poses.converted(COCO17)
        mine = [r for r in results if r["image_id"] == k + 1]
        assert len(mine) == len(truth) == len(skeletons[k]["people"])
        for m, result in enumerate(mine):
            keypoints = np.array(result["keypoints"]).reshape(17, 3)
            present = truth.scores[m] > 0
            np.testing.assert_allclose(keypoints[present, :2], truth.xy_px[m, present], atol=1e-3)
            assert (keypoints[~present] == 0).all()
            x1, y1, x2, y2 = truth.boxes_px[m]
            np.testing.assert_allclose(result["bbox"], [x1 + 0.5, y1 + 0.5, x2 - x1, y2 - y1], atol=1e-3)
            joints = skeletons[k]["people"][m]["joints"]
            errors_m += [
                np.linalg.norm(np.array(joint["xyz_cam_m"]) - truth.xyz_cam_m[m, COCO17.index(name)])
                for name, joint in joints.items()
                if truth.visibility[m, COCO17.index(name)] == 2
            ]
            assert all(j["sigma_m"] > 0 and j["source"] == "depth" for j in joints.values())
    # Over all people: who stands at a border or behind a table shows few joints, beside other things.
    assert len(errors_m) > 40 and np.median(errors_m) < 0.1
    tracks = [tuple(p["track_id"] for p in s["people"]) for s in skeletons]
    assert len(set(tracks[0])) == len(tracks[0]) and tracks[-1] == tracks[1]
    picture = cv2.imread(str(next((tmp_path / "overlays").glob("*.png"))))
    assert picture.shape == (480, 640, 3)


def test_the_way_through_both_storages_and_a_folder_is_the_same(bag, tmp_path):
    sqlite = write_bag(_STREAM, 6, tmp_path / "bag", "sqlite3")
    folder = tmp_path / "images"
    (folder / "depth").mkdir(parents=True)
    with open_recording(bag) as recording:
        for k, recorded in enumerate(recording.frames()):
            depth_mm = np.nan_to_num(recorded.frame.depth_m * 1000).round().astype(np.uint16)
            cv2.imwrite(str(folder / "depth" / f"{k}.png"), depth_mm)
            camera = recorded.frame.intrinsics
    (folder / "camera_info.json").write_text(json.dumps(vars(camera)))
    written = []
    for source, out in ((bag, "a"), (sqlite, "b"), (folder, "c")):
        options = ["--out", str(tmp_path / out), "--overlays", "0", "--no-tracking", *_QUICK]
        assert main(["estimate", str(source), *options]) == 0
        written.append((tmp_path / out / "results.json").read_text())
        assert all(i["metric_3d"] for i in _run(tmp_path / out)["images"])
    assert written[0] == written[1] == written[2]


def test_every_limit_overlays_and_low_resolution(bag, tmp_path):
    options = ["--every", "2", "--limit", "2", "--overlays", "1", "--low-resolution", "80x60", *_QUICK]
    assert main(["estimate", str(bag), "--out", str(tmp_path), *options]) == 0
    images = _run(tmp_path)["images"]
    assert len(images) == 2 and images[1]["stamp_ns"] - images[0]["stamp_ns"] == 200_000_000
    assert (images[0]["seen_width"], images[0]["seen_height"]) == (80, 60)
    assert len(list((tmp_path / "overlays").glob("*.png"))) == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["missing.mcap"], "nothing is there"),
        (["BAG", "--every", "0"], "every: expected 1 or more, got 0"),
        (["BAG", "--low-resolution", "small"], "expected WIDTHxHEIGHT"),
        (["BAG", "--depth-topic", "/nowhere"], "no such topic"),
        (["BAG", "--low-resolution", "53x40"], "at least 64x48"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_sentence(bag, tmp_path, capsys, arguments, said):
    arguments = [str(bag) if a == "BAG" else a for a in arguments]
    assert main(["estimate", *arguments, "--out", str(tmp_path / "out"), *_QUICK]) == 2
    assert said in capsys.readouterr().err
    assert not list((tmp_path / "out").glob("*.json")) if (tmp_path / "out").exists() else True


def test_a_color_model_reads_the_color_of_a_bag(bag, tmp_path):
    options = ["--out", str(tmp_path), "--overlays", "1", "--threads", "1", "--no-flip", "--quiet"]
    model = ["--model", "untrained:depthpose_color_64x48@0.0625"]
    assert main(["estimate", str(bag), *model, *options]) == 0
    assert _run(tmp_path)["model"]["modality"] == "color"
    assert len(_run(tmp_path)["images"]) == 6


def test_the_demo_writes_a_picture_a_video_and_json(tmp_path, capsys):
    options = ["--seconds", "0.3", "--threads", "1", "--quiet", "--model", _MODEL]
    assert main(["demo", "--out", str(tmp_path), *options]) == 0
    out = capsys.readouterr().out
    assert "NOT TRAINED" in out and "3 frames" in out
    assert cv2.imread(str(tmp_path / "demo.png")).shape[1] > 1200
    video = cv2.VideoCapture(str(tmp_path / "demo.mp4"))
    assert int(video.get(cv2.CAP_PROP_FRAME_COUNT)) == 3
    assert len(_run(tmp_path)["images"]) == 3


def test_the_demo_counts_who_was_found(tmp_path):
    options = DemoOptions(seconds=0.3, seed=4)
    estimator = _KnowsTheTruth(options.stream)
    lines = run_demo(estimator, tmp_path, options)
    people, found = [
        int(w.rstrip(";")) for w in lines[2].replace(",", "").split() if w.rstrip(";").isdigit()
    ][:2]
    assert people == found > 0
    assert "THE MODEL" not in lines[0]
    recording = SimulatedRecording(options)
    assert len(list(recording.frames())) == recording.frame_count() == 3


def test_the_benchmark_names_every_stage(capsys, tmp_path):
    arguments = [_MODEL, "--repeats", "1", "--threads", "1", "--backend", "torch"]
    files = ["--json", str(tmp_path / "all.json"), "--page", str(tmp_path / "page.md")]
    assert main(["benchmark", "estimate", *arguments, *files]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "1 threads" in lines[0] and _MODEL in lines[2]
    saved = json.loads((tmp_path / "all.json").read_text())
    assert len(lines) == 2 + len(saved["timings"])
    for timing in saved["timings"]:
        assert list(timing["stages_ms"]) == ["message", "normalise", "network", "decode", "3D"]
        assert min(*timing["stages_ms"].values(), timing["shrink_ms"], timing["floor_ms"]) > 0
        assert set(timing["frames_per_s"]) == {"1", "2", "4"} and timing["peak_mib"] > 50
        assert timing["backend"].startswith("torch ") and timing["gflops"] > 0
    assert f"| {_MODEL} | torch" in (tmp_path / "page.md").read_text()
    assert main(["benchmark", "estimate", _MODEL, "--repeats", "0"]) == 2


def test_the_benchmark_measures_what_there_is(capsys):
    assert shipped_networks() == [
        "depthpose_64x48", "depthpose_80x60", "fastpose_64x48", "fastpose_80x60", "student_small",
        "student_small_exact",
    ]  # fmt: skip
    cases = cases_of(["fastpose_64x48", "fast.xml"], ["torch", "onnxruntime"], compare=True, threads=2)
    assert {(c.model, c.backend) for c in cases} == {
        ("fastpose_64x48", "torch"), ("fastpose_64x48", "onnxruntime"), ("fast.xml", "auto")
    }  # fmt: skip
    assert all(c.threads == 2 for c in cases) and {c.flip_test for c in cases} == {True, False}
    assert not [c for c in cases if c.backend != "torch" and c.half_precision]
    assert main(["benchmark", "estimate", "no_such_weights", "--repeats", "1", "--backend", "torch"]) == 0
    assert "not measured: no_such_weights, torch: no_such_weights: no such file" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["rosbag2_mcap_hero", "rosbag2_sqlite3_hero", "2019-05-03-12-41-38.bag"])
def test_real_bags_give_a_skeleton_list_for_every_frame(realdata, tmp_path, name):
    source = realdata / "tue_rgbd" / name
    assert main(["estimate", str(source), "--out", str(tmp_path), *_QUICK]) == 0
    images = _run(tmp_path)["images"]
    assert len(images) in (1, 2) and {i["frame_id"] for i in images} == {"head_rgbd_sensor_rgb_frame"}
    assert len(json.loads((tmp_path / "skeletons_3d.json").read_text())) == len(images)
    assert len(list((tmp_path / "overlays").glob("*.png"))) == len(images)


def test_real_folders_and_images(realdata, tmp_path):
    camera = ["--intrinsics", "525,525,319.5,239.5"]
    image = realdata / "pcl_five_people" / "five_people_depth_mm16.png"
    assert main(["estimate", str(image), "--out", str(tmp_path / "a"), *camera, *_QUICK]) == 0
    assert _run(tmp_path / "a")["images"][0]["metric_3d"]
    assert main(["estimate", str(realdata / "tue_rgbd"), "--out", str(tmp_path / "b"), *_QUICK]) == 0
    assert len(_run(tmp_path / "b")["images"]) == 5
