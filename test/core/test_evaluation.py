"""Models on data sets: resumable runs, low resolutions mapped back, tables, plots and the command line."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from orpose_core.cli import main
from orpose_core.data.coco_results import poses_as_results
from orpose_core.data.poses_json import poses_from_json, poses_to_json
from orpose_core.evaluation import (
    DATASETS,
    STRICT,
    EvaluationSet,
    evaluate_files,
    evaluate_model,
    evaluate_poses,
    open_dataset,
    report,
)
from orpose_core.evaluation.annotators import as_mvor_annotates
from orpose_core.evaluation.evaluation_sets import AnnotatedSet, spread
from orpose_core.evaluation.plots import plot_evaluation, worst_images
from orpose_core.evaluation.run import RECORDS
from orpose_core.evaluation.scoring import pictures_of
from orpose_core.files import read_json, write_json
from orpose_core.simulation import SPLITS, simulate_frame, split_config
from orpose_core.skeleton import BODY24, COCO17, MVOR10
from orpose_core.types import Poses, Resize, RgbdFrame, Visibility


@dataclass
class Annotator:
    """Knows the ground truth of a data set and draws it into whatever size of image it is given."""

    dataset: EvaluationSet
    noise_px: float = 0.0
    modality: str = "depth"
    seen: list[tuple[int, int]] = field(default_factory=list)
    fail_after: int | None = None

    @property
    def info(self) -> SimpleNamespace:
        return SimpleNamespace(name="annotator", sha256="0", modality=self.modality)

    def estimate(self, frames: Sequence[RgbdFrame]) -> list[Poses]:
        found = []
        for frame in frames:
            k = len(self.seen)
            if self.fail_after is not None and k >= self.fail_after:
                raise OSError("the machine was switched off")
            source, record = self.dataset.frame(k, self.modality)
            poses = self.dataset.truth_of(k, record).converted(COCO17)
            resize = Resize(source.size_hw, frame.size_hw)
            rng = np.random.default_rng(k)
            noise = rng.normal(0, self.noise_px, poses.xy_px.shape).astype(np.float32)
            ranks = rng.permutation(len(poses)) / 100 + rng.uniform(0.1, 0.9)
            found.append(
                replace(
                    poses,
                    xy_px=resize.to_target(poses.xy_px + noise),
                    boxes_px=resize.to_target(poses.boxes_px.reshape(-1, 2, 2)).reshape(-1, 4),
                    person_scores=ranks.astype(np.float32),
                )
            )
            self.seen.append(frame.size_hw)
        return found


@pytest.mark.parametrize("scale", [1, 10, 12])
def test_the_truth_shrunk_and_mapped_back_is_perfect(tmp_path: Path, scale: int) -> None:
    dataset = open_dataset("or-val-v1", limit=4)
    estimator = Annotator(dataset)
    run = evaluate_model(estimator, dataset, tmp_path, scale=scale, batch=3, protocol=STRICT, progress=False)
    scores = run.evaluation.scores
    assert set(estimator.seen) == {(480 // scale, 640 // scale)}
    assert scores["pck"]["Average"] == pytest.approx(100.0)
    assert scores["keypoint_ap"]["AP"] == pytest.approx(1.0)
    assert scores["mpjpe"]["MPJPE"] == pytest.approx(0.0, abs=1e-3)
    for truth, found in zip(run.truth, run.detections, strict=True):
        wanted = truth.converted(COCO17)
        np.testing.assert_allclose(found.xy_px, wanted.xy_px, atol=1e-3)
        np.testing.assert_allclose(found.boxes_px, wanted.boxes_px, atol=1e-3)
    written = read_json(tmp_path / "scores.json")
    assert written["pck"]["Average"] == pytest.approx(100.0) and written["scale"] == scale
    assert len(read_json(tmp_path / "detections.json")) == scores["detections"]
    table = report(scores, scale)
    assert "Wrist" in table and f"Scale {scale}x" in table and "Keypoint3D-MPJPE" in table


def test_a_killed_run_goes_on_where_it_stopped(tmp_path: Path) -> None:
    dataset = open_dataset("general-val-v1", limit=5)
    whole = evaluate_model(Annotator(dataset, 5.0), dataset, tmp_path / "whole", batch=1, progress=False)
    with pytest.raises(OSError, match="switched off"):
        evaluate_model(
            Annotator(dataset, 5.0, fail_after=3), dataset, tmp_path / "cut", batch=1, progress=False
        )
    records = tmp_path / "cut" / RECORDS
    assert len(records.read_text().splitlines()) == 4  # what was run, and three images
    records.write_text(records.read_text() + '{"image_id": 123, "det')  # half a line, as a kill leaves it
    rest = Annotator(dataset, 5.0)
    rest.seen = [(0, 0)] * 3  # it is asked for the fourth image next
    resumed = evaluate_model(rest, dataset, tmp_path / "cut", batch=1, progress=False)
    assert len(rest.seen) == 5
    assert json.dumps(resumed.evaluation.scores) == json.dumps(whole.evaluation.scores)  # NaN != NaN
    again = Annotator(dataset, 5.0)
    evaluate_model(again, dataset, tmp_path / "cut", batch=1, progress=False)
    assert not again.seen  # nothing is computed twice
    assert not list((tmp_path / "cut").glob(".*tmp"))
    with pytest.raises(ValueError, match="choose another folder"):
        evaluate_model(Annotator(dataset), dataset, tmp_path / "cut", scale=8, progress=False)


def test_synthetic_poses_as_mvor_would_annotate_them() -> None:
    frame = next(
        f for f in (simulate_frame(split_config("or-val-v1", modality="depth"), k) for k in range(0, 600, 36))
        if "patient" in f.roles and "clinician" in f.roles
    )  # fmt: skip
    annotated = as_mvor_annotates(frame.poses, frame.roles)
    assert len(annotated) == len(frame.poses)
    np.testing.assert_array_equal(annotated.boxes_px, frame.poses.boxes_px)
    patient = frame.roles.index("patient")
    assert not annotated.scores[patient].any()
    assert annotated.xyz_cam_m is not None and np.isnan(annotated.xyz_cam_m[patient]).all()
    assert annotated.visibility is not None
    own = [BODY24.index(j) for j in MVOR10.joints]
    for m in np.flatnonzero(annotated.scores.any(axis=1)):
        assert (annotated.visibility[m, own] == Visibility.VISIBLE).sum() >= 4


def test_poses_survive_json(tmp_path: Path) -> None:
    poses = simulate_frame(split_config("or-val-v1", modality="depth"), 0).poses
    for original in (poses, Poses.nobody(COCO17)):
        text = json.dumps(poses_to_json(original), allow_nan=False)
        back = poses_from_json(json.loads(text), "test")
        assert back.skeleton == original.skeleton
        for name, value in vars(original).items():
            if isinstance(value, np.ndarray):
                np.testing.assert_array_equal(getattr(back, name), value)
                assert getattr(back, name).dtype == value.dtype
    damaged = {**poses_to_json(poses), "scores": [1.0]}
    with pytest.raises(ValueError, match="here: expected poses"):
        poses_from_json(damaged, "here")


def test_limits_are_spread_evenly() -> None:
    assert (spread(10, 5) // 2).tolist() == [0, 1, 2, 3, 4]
    assert spread(3, 7).tolist() == [0, 1, 2] and spread(3, None).tolist() == [0, 1, 2]
    with pytest.raises(ValueError, match="positive limit"):
        spread(3, 0)


@pytest.mark.parametrize("limit", [61, 122, 244])
def test_a_part_of_a_data_set_shows_every_camera_where_cameras_take_turns(limit: int) -> None:
    chosen = spread(732, limit)
    assert np.array_equal(chosen, spread(732, limit)) and len(np.unique(chosen)) == limit
    assert np.bincount(chosen % 3, minlength=3).min() > limit / 6


def test_poses_of_a_small_image_in_source_pixels() -> None:
    resize = Resize((480, 640), (40, 53))
    poses = simulate_frame(split_config("or-val-v1", modality="depth"), 0).poses
    small = replace(
        poses,
        xy_px=resize.to_target(poses.xy_px),
        boxes_px=resize.to_target(poses.boxes_px.reshape(-1, 2, 2)).reshape(-1, 4),
        sigma_px=np.ones(poses.scores.shape, np.float32),
    )
    back = small.resized(resize.inverse())
    np.testing.assert_allclose(back.xy_px, poses.xy_px, atol=1e-3)
    assert back.sigma_px is not None and back.sigma_px[0, 0] == pytest.approx(12.0, abs=0.1)


def test_plots_are_drawn(tmp_path: Path) -> None:
    dataset = open_dataset("or-val-v1", limit=12)
    run = evaluate_model(Annotator(dataset, 30.0), dataset, tmp_path / "run", scale=10, progress=False)
    files = plot_evaluation(
        run.evaluation, tmp_path / "plots", pictures_of(dataset, "depth", 10), dataset.sizes_hw()
    )
    assert {f.name for f in files} == {
        "pck_curves.png", "pck_by_distance.png", "pck_by_occlusion.png", "worst_frames.png",
        "error_3d_by_distance.png",
    }  # fmt: skip
    for file in files:
        picture = cv2.imread(str(file))
        assert picture is not None and picture.std() > 5  # something is on it
    assert pictures_of(dataset, "depth", 10)(0).shape == (48, 64)
    assert max(pictures_of(dataset, "depth", 1)(0).shape) <= 80  # never a full-resolution image
    gt, pck = run.evaluation.gt, run.evaluation.pck
    assert gt is not None and pck is not None
    shares = worst_images(gt, pck, 3)
    assert len(shares) == 3 and all(0 < share <= 100 for _, share in shares)
    assert not list((tmp_path / "plots").glob(".*"))


def _coco_folder(root: Path) -> Path:
    """A tiny COCO data set whose images hold nothing but noise."""
    rng = np.random.default_rng(0)
    (root / "val2017").mkdir(parents=True)
    annotations, images = [], []
    for k in range(3):
        image_id = 100 + k
        images.append({"id": image_id, "file_name": f"{image_id}.png", "height": 96, "width": 128})
        cv2.imwrite(str(root / "val2017" / f"{image_id}.png"), rng.integers(0, 255, (96, 128, 3), np.uint8))
        keypoints = np.concatenate([rng.uniform(5, 90, (17, 2)), np.full((17, 1), 2.0)], axis=1)
        annotations.append(
            {
                "id": 900 + k, "image_id": image_id, "category_id": 1, "iscrowd": 0, "num_keypoints": 17,
                "bbox": [5.0, 5.0, 85.0, 85.0], "area": 4000.0, "keypoints": keypoints.reshape(-1).tolist(),
            }
        )  # fmt: skip
    category = {"id": 1, "name": "person", "keypoints": list(COCO17.joints)}
    write_json(
        root / "annotations" / "person_keypoints_val2017.json",
        {"images": images, "annotations": annotations, "categories": [category]},
    )
    return root


def test_a_coco_folder_is_evaluated(tmp_path: Path) -> None:
    dataset = open_dataset("coco", _coco_folder(tmp_path / "coco"))
    assert isinstance(dataset, AnnotatedSet) and len(dataset) == 3
    frame, _ = dataset.frame(1, "color")
    assert frame.rgb is not None and frame.rgb.shape == (96, 128, 3)
    run = evaluate_model(Annotator(dataset, modality="color"), dataset, tmp_path / "out", progress=False)
    scores = run.evaluation.scores
    assert scores["keypoint_ap"]["AP"] == pytest.approx(1.0) and scores["box_ap"]["AP"] == pytest.approx(1.0)
    assert "mpjpe" not in scores
    with pytest.raises(ValueError, match=r"100\.png: expected a depth image of one 16-bit channel"):
        evaluate_model(Annotator(dataset), dataset, tmp_path / "out2", progress=False)


def test_a_student_of_more_joints_is_evaluated_on_coco(tmp_path: Path) -> None:
    root = _coco_folder(tmp_path / "coco")
    arguments = ["--dataset", "coco", "--root", str(root), "--model", "untrained:student_small"]
    assert main(["evaluate", *arguments, "--out", str(tmp_path / "out"), "--device", "cpu"]) == 0
    assert 0 <= read_json(tmp_path / "out" / "scores.json")["keypoint_ap"]["AP"] <= 1


def test_detections_of_another_skeleton_are_scored_by_their_common_joints(tmp_path: Path) -> None:
    """The truth, told in the joints of another skeleton, is still perfect; a file scores as poses do."""
    root = _coco_folder(tmp_path / "coco")
    dataset = open_dataset("coco", root)
    found = [dataset.truth_of(k, {}).converted(BODY24) for k in range(3)]
    scores = dataset.evaluate(found, [{}] * 3).scores
    assert scores["keypoint_ap"]["AP"] == pytest.approx(1.0)
    results = [r for k in range(3) for r in poses_as_results(found[k], 100 + k)]
    assert len(results[0]["keypoints"]) == 3 * len(BODY24)
    write_json(tmp_path / "dt.json", results)
    from_file = evaluate_files(root / "annotations" / "person_keypoints_val2017.json", tmp_path / "dt.json")
    assert from_file.scores["keypoint_ap"] == pytest.approx(scores["keypoint_ap"], nan_ok=True)


def test_files_give_the_scores_of_the_poses_they_hold(tmp_path: Path) -> None:
    """The annotation file and poses in memory are two ways to the same numbers."""
    root = _coco_folder(tmp_path / "coco")
    dataset = open_dataset("coco", root)
    truth = [dataset.truth_of(k, {}) for k in range(3)]
    rng = np.random.default_rng(1)
    found = [
        replace(
            p,
            xy_px=p.xy_px + rng.normal(0, 6, p.xy_px.shape).astype(np.float32),
            person_scores=rng.uniform(0.2, 0.9, len(p)).astype(np.float32),
        )
        for p in truth
    ]
    results = [r for i, p in zip(dataset.image_ids, found, strict=True) for r in poses_as_results(p, int(i))]
    write_json(tmp_path / "dt.json", results)
    gt = root / "annotations" / "person_keypoints_val2017.json"
    content = read_json(gt)
    for annotation in content["annotations"]:
        annotation["area"] = annotation["bbox"][2] * annotation["bbox"][3]
    write_json(tmp_path / "gt.json", content)
    from_files = evaluate_files(tmp_path / "gt.json", tmp_path / "dt.json").scores
    in_memory = evaluate_poses(truth, found)
    for metric in ("pck", "box_ap", "keypoint_ap"):
        for name, value in in_memory[metric].items():
            assert from_files[metric][name] == pytest.approx(value, abs=1e-5, nan_ok=True), (metric, name)
    assert 0 < in_memory["keypoint_ap"]["AP"] < 1


def test_the_command_scores_files(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    root = _coco_folder(tmp_path / "coco")
    gt = root / "annotations" / "person_keypoints_val2017.json"
    dataset = open_dataset("coco", root)
    results = [r for k in range(3) for r in poses_as_results(dataset.truth_of(k, {}), 100 + k)]
    write_json(tmp_path / "dt.json", results)
    arguments = ["evaluate", "--gt", str(gt), "--dt", str(tmp_path / "dt.json")]
    assert main([*arguments, "--json", str(tmp_path / "s.json"), "--plot", str(tmp_path / "p")]) == 0
    assert "3 images, 3 people, 3 detections" in capsys.readouterr().out
    assert read_json(tmp_path / "s.json")["keypoint_ap"]["AP"] == pytest.approx(1.0)
    assert (tmp_path / "p" / "pck_curves.png").is_file()
    assert main([*arguments, "--metric", "keypoint_ap", "--strict"]) == 0
    assert "PCK" not in capsys.readouterr().out
    assert main([*arguments, "--metric", "mpjpe"]) == 2
    assert "3D annotations" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--gt", "a.json"], "--gt FILE and --dt FILE"),
        (["--dataset", "mvor", "--model", "untrained:depthpose_64x48@0.25"], "needs --root"),
        (["--dataset", "or-val-v1"], "--model"),
        (["--gt", "no.json", "--dt", "no.json"], "no.json"),
    ],
)
def test_bad_arguments_get_a_sentence(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture
) -> None:
    assert main(["evaluate", *arguments]) == 2
    assert words in capsys.readouterr().err


def test_a_real_estimator_runs_over_a_split(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    arguments = ["--dataset", "general-val-v1", "--model", "untrained:depthpose_64x48@0.125", "--limit", "2"]
    assert main(["evaluate", *arguments, "--scale", "10", "--out", str(tmp_path), "--device", "cpu"]) == 0
    printed = capsys.readouterr().out
    assert "NOT TRAINED" in printed and "Scale 10x" in printed
    assert read_json(tmp_path / "scores.json")["images"] == 2


def test_every_data_set_has_a_name() -> None:
    assert set(DATASETS) == {"mvor", "mvor+", "coco", "folder", *SPLITS}
    with pytest.raises(ValueError, match="expected a data set of mvor"):
        open_dataset("coco2014")
    with pytest.raises(ValueError, match=r"expected the annotations of mvor at .*camma_mvor_2018\.json"):
        open_dataset("mvor", "/nowhere")
