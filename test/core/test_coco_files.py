"""COCO and MVOR+ files: read, checked, written, and turned into poses."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from orpose_core.data.coco import coco_truth, read_coco
from orpose_core.data.coco_results import poses_as_results, read_results, result_people, result_poses
from orpose_core.data.mvor import PLUS_2D_KEY, PLUS_3D_KEY, image_path, load_frame, mvor_truth
from orpose_core.evaluation import evaluate_model, evaluate_results
from orpose_core.evaluation.annotators import as_mvor_annotates
from orpose_core.evaluation.datasets import open_dataset
from orpose_core.evaluation.evaluation_sets import AnnotatedSet, SimulatedFolder
from orpose_core.evaluation.scores import BENCHMARK, PUBLISHED, score_poses
from orpose_core.files import read_json, write_json
from orpose_core.skeleton import BODY24, COCO17, MVOR10
from orpose_core.types import Poses

IDS = np.array([10010000000, 10020000001], np.int64)


def plus_content(n_people: int = 3) -> dict[str, Any]:
    """A small MVOR+ file: people of 17 joints with MVOR's own 2D and 3D joints, which the last lacks."""
    rng = np.random.default_rng(0)
    annotations = []
    for k in range(n_people):
        keypoints = np.concatenate([rng.uniform(50, 400, (17, 2)), np.full((17, 1), 2.0)], axis=1)
        upper = np.concatenate([rng.uniform(50, 400, (10, 2)), np.full((10, 1), 2.0)], axis=1)
        points = np.concatenate(
            [rng.uniform(-1, 1, (10, 3)) + np.array([0, 0, 3]), np.full((10, 1), 2.0)], axis=1
        )
        if k == n_people - 1:
            upper[:], points[:] = 0, 0
        annotations.append(
            {
                "id": k + 1, "image_id": int(IDS[k % 2]), "category_id": 1, "bbox": [50, 50, 350, 350],
                "keypoints": keypoints.reshape(-1).tolist(), "person_id": -1 if k == n_people - 1 else k,
                PLUS_2D_KEY: upper.reshape(-1).tolist(), PLUS_3D_KEY: points.reshape(-1).tolist(),
            }
        )  # fmt: skip
    identity = np.eye(4).reshape(-1).tolist()
    intrinsics = {"focallength": [540.0, 541.0], "principalpoint": [320.0, 240.0], "imagesize": [640, 480]}
    cameras = {"intrinsics": [intrinsics] * 3, "extrinsics": [identity] * 3, "firstCamToRoomRef": identity}
    images = [
        {"id": int(i), "height": 480, "width": 640, "file_name": f"day1/cam{c}/color/{c:06}.png"}
        for c, i in enumerate(IDS, 1)
    ]
    category = {"id": 1, "name": "person", "keypoints": list(COCO17.joints)}
    return {
        "images": images,
        "annotations": annotations,
        "categories": [category],
        "cameras_info": {"camParams": cameras},
    }


def test_mvor_plus_has_17_joints_and_mvors_ten_in_3d() -> None:
    content = plus_content()
    truth = mvor_truth(content, "plus.json")
    assert truth.skeleton == COCO17
    assert truth.intrinsics is not None and truth.intrinsics[1].fx == 540.0
    poses = truth.poses()
    assert [len(p) for p in poses] == [2, 1]
    first = poses[0]
    assert first.skeleton == BODY24 and first.xyz_cam_m is not None and first.xyz_root_m is not None
    points = np.array(content["annotations"][0][PLUS_3D_KEY]).reshape(10, 4)
    for j, joint in enumerate(MVOR10.joints):
        np.testing.assert_allclose(first.xyz_cam_m[0, BODY24.index(joint)], points[j, :3], rtol=1e-6)
    hips = [BODY24.index("left_hip"), BODY24.index("right_hip")]
    np.testing.assert_allclose(first.xyz_root_m[0, hips].mean(axis=0), 0.0, atol=1e-6)
    np.testing.assert_allclose(
        first.converted(COCO17).xy_px[0],
        np.array(content["annotations"][0]["keypoints"]).reshape(17, 3)[:, :2],
        rtol=1e-6,
    )
    assert np.isnan(first.xyz_cam_m[1]).all()  # person_id -1: MVOR has no pose there


def test_mvor_plus_allows_all_metrics_and_its_own_truth_is_perfect() -> None:
    truth = mvor_truth(plus_content(), "plus.json")
    results = [
        replace_keypoints(entry, truth, row)
        for row, entry in enumerate(
            r
            for image, poses in zip(truth.image_ids, truth.poses(), strict=True)
            for r in poses_as_results(poses.converted(COCO17), int(image))
        )
    ]
    scores = evaluate_results(truth, results, "dt").scores
    assert scores["keypoint_ap"]["AP"] == pytest.approx(1.0) and scores["box_ap"]["AP"] == pytest.approx(1.0)
    assert scores["mpjpe"]["MPJPE"] == pytest.approx(0.0, abs=1e-3) and scores["mpjpe"]["n_people"] == 2
    assert scores["pck"]["people"] == 2  # PCK is of MVOR's own poses, not of the 17 joints


def replace_keypoints(entry: dict[str, Any], truth: Any, row: int) -> dict[str, Any]:
    """Scores must differ, or equal ones rank by order."""
    return {**entry, "score": 0.9 - row / 100}


def test_mvor_plus_in_millimetres_is_refused() -> None:
    content = plus_content()
    for annotation in content["annotations"]:
        annotation[PLUS_3D_KEY] = [1000.0 * v for v in annotation[PLUS_3D_KEY]]
    with pytest.raises(ValueError, match=r"plus\.json: expected .* in meters"):
        mvor_truth(content, "plus.json")


def test_a_short_extra_key_is_refused_with_its_annotation() -> None:
    content = plus_content()
    content["annotations"][1][PLUS_3D_KEY].pop()
    with pytest.raises(
        ValueError, match=r"plus\.json: annotations\[1\] \(id 2\): expected 40 numbers .*got 39"
    ):
        mvor_truth(content, "plus.json")


def test_images_and_depth_are_loaded_in_metres(tmp_path: Path) -> None:
    truth = mvor_truth(plus_content(), "plus.json")
    folder = tmp_path / "camma_mvor_dataset" / "day1" / "cam1"
    for kind in ("color", "depth"):
        (folder / kind).mkdir(parents=True)
    depth_mm = np.full((480, 640), 2500, np.uint16)
    depth_mm[:10] = 0
    cv2.imwrite(str(folder / "depth" / "000001.png"), depth_mm)
    bgr = np.zeros((480, 640, 3), np.uint8)
    bgr[..., 2] = 200
    cv2.imwrite(str(folder / "color" / "000001.png"), bgr)
    frame = load_frame(truth, 0, tmp_path, ("color", "depth"))
    assert frame.rgb is not None and frame.depth_m is not None and frame.intrinsics is not None
    assert frame.rgb[5, 5].tolist() == [200, 0, 0]  # red first
    assert np.isnan(frame.depth_m[0, 0]) and frame.depth_m[100, 100] == pytest.approx(2.5)
    cv2.imwrite(str(folder / "depth" / "000001.png"), (depth_mm // 10).astype(np.uint8))
    with pytest.raises(ValueError, match=r"000001\.png: expected a depth image of one 16-bit channel"):
        load_frame(truth, 0, tmp_path, ("depth",))
    with pytest.raises(
        ValueError, match=r"depth image of image id 10020000001 at day1/cam2/depth/000002\.png"
    ):
        image_path(truth, 1, tmp_path, "depth")


def test_results_written_and_read_are_the_same_poses() -> None:
    rng = np.random.default_rng(1)
    scores = rng.uniform(0.1, 1, (3, 17)).astype(np.float32)
    scores[0, 4] = 0
    xy_px = rng.uniform(1, 600, (3, 17, 2)).astype(np.float32)
    xy_px[0, 4] = np.nan
    xyz = rng.normal(size=(3, 17, 3)).astype(np.float32)
    xyz[1, 2] = np.nan
    poses = Poses(
        COCO17, xy_px, scores, np.array([0.9, 0.5, 0.7], np.float32),
        np.array([[0, 0, 10, 20], [5, 5, 9, 8], [1, 2, 3, 4]], np.float32), xyz_root_m=xyz, xyz_cam_m=xyz + 3,
    )  # fmt: skip
    results = poses_as_results(poses, int(IDS[1]))
    empty, back = result_poses(results, IDS, "dt")
    assert len(empty) == 0
    for name in ("xy_px", "scores", "person_scores", "boxes_px", "xyz_root_m", "xyz_cam_m"):
        np.testing.assert_allclose(getattr(back, name), getattr(poses, name), rtol=1e-6, err_msg=name)


def test_joints_of_score_zero_with_coordinates_stay() -> None:
    result = {"image_id": int(IDS[0]), "score": 0.5, "keypoints": [5.0, 6.0, 0.0] + [0.0] * 48}
    poses = result_poses([result], IDS, "dt")[0]
    assert poses.xy_px[0, 0].tolist() == [5.0, 6.0] and 0 < poses.scores[0, 0] < 1e-3
    assert np.isnan(poses.xy_px[0, 1:]).all()
    people = result_people([{**result, "coco_keypoints": result["keypoints"], "keypoints": []}], IDS, "dt")
    assert people.xy_px[0, 0].tolist() == [5.0, 6.0]


@pytest.mark.parametrize(
    ("detection", "words"),
    [
        ({"image_id": 1, "score": 0.5, "keypoints": [0.0] * 51}, "image_id"),
        ({"image_id": int(IDS[0]), "score": 0.5, "keypoints": [0.0] * 50}, "51 numbers"),
        ({"image_id": int(IDS[0]), "score": "high", "keypoints": [0.0] * 51}, "score"),
        ({"image_id": int(IDS[0]), "score": float("nan"), "keypoints": [0.0] * 51}, "score"),
        ({"image_id": int(IDS[0]), "score": 0.5, "keypoints": ["a"] * 51}, "finite numbers as .keypoints."),
    ],
)
def test_damaged_detections_are_refused(detection: dict[str, Any], words: str) -> None:
    good = {"image_id": int(IDS[0]), "score": 0.5, "keypoints": [1.0] * 51}
    with pytest.raises(ValueError, match=rf"dt\.json: detection 1.*{words}"):
        result_people([good, detection], IDS, "dt.json")


def test_files_that_are_no_results_are_refused(tmp_path: Path) -> None:
    write_json(tmp_path / "dict.json", {"a": 1})
    with pytest.raises(ValueError, match=r"dict\.json: expected a list of detections"):
        read_results(tmp_path / "dict.json")
    write_json(tmp_path / "no_score.json", [{"image_id": 1}])
    with pytest.raises(ValueError, match=r"no_score\.json: detection 0: expected an image_id and a score"):
        read_results(tmp_path / "no_score.json")
    (tmp_path / "binary.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ValueError, match=r"binary\.json: expected JSON"):
        read_json(tmp_path / "binary.json")


def test_other_categories_and_crowds_are_left_out(tmp_path: Path) -> None:
    content = plus_content()
    content["categories"].append({"id": 2, "name": "dog"})
    content["annotations"][0]["category_id"] = 2
    content["annotations"][1]["iscrowd"] = 1
    write_json(tmp_path / "gt.json", content)
    truth = read_coco(tmp_path / "gt.json")
    assert truth.annotation_ids.tolist() == [2, 3]
    assert [len(p) for p in truth.poses()] == [1, 0]
    with pytest.raises(ValueError, match="category named person"):
        coco_truth({**content, "categories": [{"id": 2, "name": "dog"}]}, "gt")
    with pytest.raises(ValueError, match="expected the joints of one of"):
        coco_truth({**content, "categories": [{"id": 1, "name": "person", "keypoints": ["tail"]}]}, "gt")


def test_some_images_of_a_truth() -> None:
    truth = mvor_truth(plus_content(), "plus.json")
    second = truth.of_images(np.array([1]))
    assert second.image_ids.tolist() == [IDS[1]] and second.annotation_ids.tolist() == [2]
    assert second.image.tolist() == [0] and second.pck_people is not None and len(second.pck_people) == 1
    whole, part = truth.poses()[1], second.poses()[0]
    np.testing.assert_array_equal(whole.xy_px, part.xy_px)
    np.testing.assert_array_equal(whole.xyz_cam_m, part.xyz_cam_m)


def test_written_files_appear_whole(tmp_path: Path) -> None:
    write_json(tmp_path / "deep" / "s.json", {"a": float("nan"), "b": [1.0, float("nan")]})
    assert read_json(tmp_path / "deep" / "s.json") == {"a": None, "b": [1.0, None]}
    assert [f.name for f in (tmp_path / "deep").iterdir()] == ["s.json"]


def test_a_simulated_folder_is_evaluated(tmp_path: Path) -> None:
    from orpose_core.estimators import EstimatorConfig, load_estimator
    from orpose_core.simulation import StreamConfig, simulate_frame
    from orpose_core.simulation.writers.dataset import write_dataset

    config = StreamConfig(size_hw=(120, 160), seed=5, modality="depth")
    write_dataset(config, 3, tmp_path / "data")
    dataset = open_dataset("folder", tmp_path / "data")
    assert isinstance(dataset, SimulatedFolder) and len(dataset) == 3
    frame, record = dataset.frame(0, "depth")
    assert frame.depth_m is not None and frame.intrinsics is not None
    truth = [dataset.truth_of(k, record) for k in range(3)]
    in_view = np.concatenate([(p.scores > 0).sum(axis=1) for p in truth])
    assert in_view.min() == 0, "somebody shows a part that has no joint: no pose is expected of him"
    estimator = load_estimator(
        "untrained:depthpose_64x48@0.125", EstimatorConfig(device="cpu", flip_test=False)
    )
    run = evaluate_model(estimator, dataset, tmp_path / "out", progress=False)
    assert run.evaluation.scores["images"] == 3
    found = [
        replace(p.converted(COCO17), person_scores=np.linspace(0.2, 0.9, len(p), dtype=np.float32))
        for p in truth
    ]
    scores = dataset.evaluate(found, [{}] * 3).scores
    assert scores["keypoint_ap"]["AP"] == pytest.approx(1.0) and scores["mpjpe"]["MPJPE"] < 1e-3
    assert scores["box_ap"]["AP"] == pytest.approx(1.0) and scores["mpjpe"]["n_people"] < len(in_view)
    frames = [simulate_frame(config, k) for k in range(3)]  # and what a synthetic split would say
    posed = [as_mvor_annotates(f.poses, f.roles) for f in frames]
    same = score_poses([f.poses for f in frames], found, protocol=BENCHMARK, posed_gt=posed).scores
    assert json.dumps(scores) == json.dumps(same)  # NaN != NaN
    path = tmp_path / "data" / "room00002" / "cam1" / "truth" / "000000.json"
    write_json(path, read_json(path) | {"roles": []})
    with pytest.raises(ValueError, match=r"000000\.json: expected the roles of \d people, got \[\]"):
        dataset.truth_of(1, {})


def test_another_file_of_a_simulated_folder_is_scored_as_anybodys(tmp_path: Path) -> None:
    for name in ("annotations.json", "labels.json"):
        write_json(tmp_path / name, plus_content())
    foreign = open_dataset("folder", tmp_path)
    assert type(foreign) is AnnotatedSet and foreign.protocol is PUBLISHED
    write_json(tmp_path / "simulation.json", {})
    assert open_dataset("folder", tmp_path).protocol is BENCHMARK
    assert open_dataset("folder", tmp_path, annotations=tmp_path / "labels.json").protocol is PUBLISHED


def test_boxes_are_edges_in_files_and_pixel_centres_in_memory() -> None:
    content = plus_content()
    for annotation in content["annotations"]:
        annotation["bbox"] = [0, 3, 640, 7]
    truth = mvor_truth(content, "plus.json")
    for poses in truth.poses():
        assert (poses.boxes_px == [-0.5, 2.5, 639.5, 9.5]).all()  # the whole image is as wide as that
        for result in poses_as_results(poses, int(IDS[0])):
            assert result["bbox"] == [0, 3, 640, 7]
            assert (result_poses([result], IDS, "dt")[0].boxes_px == poses.boxes_px[:1]).all()
