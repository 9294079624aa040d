"""The teacher's stages, its soft and hard sets, and the files they are written to."""

from __future__ import annotations

import contextlib
import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from pycocotools.coco import COCO
from torch import nn

from orpose_core.checkpoints.keypoint_networks import random_keypoint_network
from orpose_core.labelling.label_files import annotations_of, read_label_file, write_label_file
from orpose_core.models.hrnet import HRNetConfig
from orpose_core.models.student.config import SMALL_STUDENT
from orpose_core.skeleton import BODY24, COCO17, H36M17
from orpose_core.teacher.detector import (
    DetectorConfig,
    PersonBoxes,
    TorchvisionDetector,
    load_detector,
    merged_boxes,
    random_detector,
)
from orpose_core.teacher.keypoint_stage import KeypointStageConfig, TopDownKeypoints
from orpose_core.teacher.lifting import load_lifter, random_lifter, save_lifter
from orpose_core.teacher.stages import PersonThresholds
from orpose_core.teacher.teacher import PseudoLabelConfig, Teacher, confident_joints, sure_people
from orpose_core.training.student.losses import student_targets
from orpose_core.types import Poses, PseudoLabels

DETECTOR = "fasterrcnn_mobilenet_v3_large_320_fpn"
TINY = HRNetConfig(width=4, input_hw=(64, 64), modules=(1, 1, 1), blocks=1)


def _poses(m: int = 3, seed: int = 0) -> Poses:
    rng = np.random.default_rng(seed)
    scores = rng.uniform(0.05, 1.0, (m, 17)).astype(np.float32)
    xy = rng.uniform(10, 90, (m, 17, 2)).astype(np.float32)
    scores[0, 3], xy[0, 3] = 0, np.nan
    boxes = np.array([[5.0, 6.0, 95.0, 96.0]] * m, np.float32)
    return Poses(COCO17, xy, scores, rng.uniform(0.3, 1, m).astype(np.float32), boxes)


@pytest.fixture(scope="module")
def images() -> list[np.ndarray]:
    rng = np.random.default_rng(5)
    return [rng.integers(0, 256, (96, 128, 3)).astype(np.uint8) for _ in range(3)]


@pytest.fixture(scope="module")
def keypoints() -> TopDownKeypoints:
    return TopDownKeypoints(random_keypoint_network(TINY), KeypointStageConfig(scales=(1.0, 0.8)))


def test_views_that_agree_are_one_sure_person() -> None:
    boxes = np.array([[10.0, 10.0, 50.0, 90.0]])
    views = [PersonBoxes(boxes + shift, np.array([0.8])) for shift in (-1.0, 0.0, 1.0)]
    merged = merged_boxes(views, 0.5)
    assert np.allclose(merged.boxes, boxes) and np.allclose(merged.scores, 0.8)


def test_who_is_seen_in_one_view_of_four_is_no_sure_person() -> None:
    nobody = PersonBoxes(np.zeros((0, 4)), np.zeros(0))
    one = PersonBoxes(np.array([[10.0, 10.0, 50.0, 90.0]]), np.array([0.8]))
    merged = merged_boxes([nobody, one, nobody, nobody], 0.5)
    assert np.allclose(merged.boxes, one.boxes) and np.allclose(merged.scores, 0.2)
    assert len(merged_boxes([nobody, nobody], 0.5)) == 0


def test_box_voting_weighs_by_score_and_keeps_people_apart() -> None:
    left, right = np.array([0.0, 0.0, 40.0, 80.0]), np.array([200.0, 0.0, 240.0, 80.0])
    views = [
        PersonBoxes(np.stack([left, right]), np.array([0.9, 0.6])),
        PersonBoxes(left[None] + 4, np.array([0.3])),
    ]
    merged = merged_boxes(views, 0.5)
    assert np.allclose(merged.boxes, [left + 1, right]) and np.allclose(merged.scores, [0.6, 0.3])


class _BrightPatch(nn.Module):
    """A detection model in torchvision's sense: the bright patch is a person, the border is a zebra."""

    def forward(self, images: list[torch.Tensor]) -> list[dict[str, torch.Tensor]]:
        outputs = []
        for image in images:
            rows, columns = torch.nonzero(image.mean(dim=0) > 0.8, as_tuple=True)
            height, width = image.shape[1:]
            # less sure where the patch lies on the right
            score = 0.9 if columns.float().mean() < width / 2 else 0.7
            patch = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
            boxes = torch.tensor([patch, [0, 0, width, height]], dtype=torch.float32)
            labels, scores = torch.tensor([1, 24]), torch.tensor([score, 0.99])
            outputs.append({"boxes": boxes, "labels": labels, "scores": scores})
        return outputs


def _patch() -> np.ndarray:
    image = np.zeros((60, 100, 3), np.uint8)
    image[10:50, 20:35] = 255
    return image


def test_the_mirrored_view_is_mirrored_back_and_only_people_stay() -> None:
    detector = TorchvisionDetector(_BrightPatch(), "bright", "0", True, DetectorConfig(min_score=0.5))
    images = [_patch(), np.ascontiguousarray(_patch()[:, ::-1])]
    for found, box in zip(detector.detect(images), ([20, 10, 35, 50], [65, 10, 80, 50]), strict=True):
        assert np.allclose(found.boxes, [box]) and np.allclose(found.scores, 0.8)
    assert detector.detect([]) == []
    strict = TorchvisionDetector(_BrightPatch(), "bright", "0", True, DetectorConfig(0.9, unsure_score=0.85))
    assert len(strict.detect(images[:1])[0]) == 0
    unsure = TorchvisionDetector(_BrightPatch(), "bright", "0", True, DetectorConfig(min_score=0.85))
    assert len(unsure.detect(images[:1])[0]) == 1 and unsure.thresholds == PersonThresholds(0.85, 0.3)
    scaled = TorchvisionDetector(_BrightPatch(), "bright", "0", True, DetectorConfig(scales=(96,)))
    with pytest.raises(ValueError, match="bright: has no scale to set"):
        scaled.detect(images)


def test_missing_weights_say_what_to_fetch_and_where_to_put_it(tmp_path: Path) -> None:
    missing = tmp_path / "detector.pth"
    with pytest.raises(ValueError, match=r"fetch https://\S+fasterrcnn\S+\.pth") as error:
        load_detector(DETECTOR, missing)
    assert str(missing) in str(error.value)
    with pytest.raises(ValueError, match="expected a detection model of torchvision: fasterrcnn"):
        load_detector("yolo", missing)


def test_detector_weights_load_from_a_file_and_damage_is_named(
    tmp_path: Path, images: list[np.ndarray]
) -> None:
    config = DetectorConfig(min_score=0.0, flip=False, max_people=4)
    source = random_detector(DETECTOR, config, seed=2)
    state = source._model.state_dict()
    torch.save(state, tmp_path / "mine.pth")
    loaded = load_detector(DETECTOR, tmp_path / "mine.pth", config)
    assert loaded.info.trained and loaded.info.sha256 != source.info.sha256
    assert np.array_equal(loaded.detect(images[:1])[0].boxes, source.detect(images[:1])[0].boxes)
    (tmp_path / "mine.pth").rename(tmp_path / "fasterrcnn-01234567.pth")
    with pytest.raises(ValueError, match=r"damaged: its sha256 begins with .* its name says 01234567"):
        load_detector(DETECTOR, tmp_path / "fasterrcnn-01234567.pth")


def test_keypoints_of_a_batch_are_those_of_its_images(
    images: list[np.ndarray], keypoints: TopDownKeypoints
) -> None:
    boxes = np.array([[10.0, 10.0, 60.0, 90.0], [50.0, 20.0, 120.0, 80.0]])
    people = [
        PersonBoxes(boxes, np.array([0.9, 0.8])),
        PersonBoxes(np.zeros((0, 4)), np.zeros(0)),
        PersonBoxes(boxes[:1], np.array([0.7])),
    ]
    together = keypoints.keypoints(images, people)
    assert len(together[1]) == 0
    for image, found, poses in zip(images, people, together, strict=True):
        (alone,) = keypoints.keypoints([image], [found])
        assert np.allclose(alone.xy_px, poses.xy_px, atol=1e-3, equal_nan=True)
        assert np.allclose(alone.scores, poses.scores, atol=1e-5)


def test_hard_joints_are_soft_joints_that_are_sure() -> None:
    soft = _poses()
    hard = confident_joints(soft, 0.5)
    sure = soft.scores > 0.5
    assert np.array_equal(hard.scores > 0, sure)
    assert np.array_equal(hard.xy_px[sure], soft.xy_px[sure])
    assert np.array_equal(confident_joints(hard, 0.5).scores, hard.scores)
    assert len(confident_joints(Poses.nobody(COCO17), 0.5)) == 0


def test_people_need_enough_joints() -> None:
    poses = _poses(2)
    scores = np.full((2, 17), 0.2, np.float32)
    scores[1, :4] = 0.36
    poses = Poses(COCO17, np.ones((2, 17, 2), np.float32), scores, poses.person_scores, poses.boxes_px)
    assert sure_people(poses, PseudoLabelConfig()).tolist() == [False, True]
    assert sure_people(poses, PseudoLabelConfig(min_joints=5)).tolist() == [False, False]


def test_boxes_between_nobody_and_somebody_are_regions_to_ignore() -> None:
    poses = _poses(2)
    seen = np.where(poses.scores > 0, 0.9, 0).astype(np.float32)
    people = replace(poses, scores=seen, box_scores=np.array([0.9, 0.4], np.float32))
    sure = sure_people(people, PseudoLabelConfig(), PersonThresholds(0.7, 0.3))
    assert sure.tolist() == [True, False]


def test_lifted_joints_need_what_they_are_lifted_from(tmp_path: Path) -> None:
    lifter = random_lifter(width=32, image_hw=(100, 100))
    soft = _poses()
    xyz = lifter.lift(soft, (100, 100))
    assert xyz.shape == (3, 17, 3) and np.isfinite(xyz[1]).all()
    assert (xyz[1, H36M17.index("pelvis")] == 0).all()
    scores = soft.scores.copy()
    knee = COCO17.index("left_knee")
    scores[1, knee], scores[2, 3:] = 0, 0
    xy = np.where(scores[..., None] > 0, soft.xy_px, np.nan)
    hard = Poses(COCO17, xy, scores, soft.person_scores, soft.boxes_px)
    lifted = lifter.lift(hard, (100, 100))
    unknown = np.isnan(lifted).any(axis=-1)
    assert unknown[1].tolist() == [j == "left_knee" for j in H36M17.joints]
    assert unknown[2].all()  # three joints do not make a pose
    assert np.array_equal(lifter.lift(soft, (100, 100)), xyz, equal_nan=True)
    save_lifter(tmp_path / "lifter.safetensors", lifter)
    again = load_lifter(tmp_path / "lifter.safetensors")
    assert np.array_equal(again.lift(soft, (100, 100)), xyz, equal_nan=True) and not again.info.trained
    with pytest.raises(ValueError, match="no such lifter file"):
        load_lifter(tmp_path / "other.safetensors")
    (tmp_path / "bad.safetensors").write_bytes(b"no")
    with pytest.raises(ValueError, match=r"bad\.safetensors: not a readable"):
        load_lifter(tmp_path / "bad.safetensors")


def test_a_larger_image_of_the_same_scene_is_lifted_alike() -> None:
    lifter, poses = random_lifter(width=32), _poses()
    larger = Poses(
        COCO17, ((poses.xy_px + 0.5) * 3 - 0.5).astype(np.float32), poses.scores, poses.person_scores,
        poses.boxes_px,
    )  # fmt: skip
    small, large = lifter.lift(poses, (100, 100)), lifter.lift(larger, (300, 300))
    assert np.allclose(small, large, atol=1e-4, equal_nan=True)


@pytest.fixture(scope="module")
def labels(images: list[np.ndarray], keypoints: TopDownKeypoints) -> list[PseudoLabels]:
    detector = random_detector(DETECTOR, DetectorConfig(min_score=0.0, scales=(64, 96), max_people=3))
    config = PseudoLabelConfig(min_joints=0, hard_joint_score=0.02)
    teacher = Teacher(detector, keypoints, random_lifter(width=32), config)
    assert not teacher.trained
    return teacher.label(images, [1, 2, 3])


def test_label_files_come_back_and_pycocotools_reads_them(tmp_path: Path, labels: list[PseudoLabels]) -> None:
    path = tmp_path / "labels.json"
    assert sum(len(one.soft) for one in labels) >= 3
    entries = [
        ({"file_name": f"{k}.png", "width": 128, "height": 96}, annotations_of(one))
        for k, one in enumerate(labels)
    ]
    entries.append(({"file_name": "empty.png", "width": 128, "height": 96}, []))
    info = {"teacher_sha256": labels[0].teacher}
    images, people = write_label_file(path, info, entries)
    assert (images, people) == (4, sum(len(one.soft) for one in labels))
    assert [f.name for f in tmp_path.iterdir()] == ["labels.json"]
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO(str(path))
    assert len(coco.getAnnIds()) == people and len(coco.cats[1]["keypoints"]) == 17
    back = read_label_file(path)
    assert [name for name, _ in back] == ["0.png", "1.png", "2.png", "empty.png"]
    assert len(back[3][1].soft) == 0
    for (_, one), written in zip(back, labels, strict=False):
        assert one.teacher == written.teacher
        for got, expected in ((one.soft, written.soft), (one.hard, written.hard)):
            assert got.skeleton == BODY24
            # An absent joint is zeros in a file, and so is one in the corner: neither may appear here.
            assert np.array_equal(got.scores > 0, expected.scores > 0)
            assert np.allclose(got.xy_px, expected.xy_px, atol=1e-3, equal_nan=True)
            assert np.allclose(got.boxes_px, expected.boxes_px, atol=2e-3)
            assert got.xyz_root_m is not None and expected.xyz_root_m is not None
            assert np.allclose(got.xyz_root_m, expected.xyz_root_m, atol=1e-4, equal_nan=True)
        targets = student_targets(one, (96, 128), SMALL_STUDENT)
        assert len(targets.boxes) == len(written.soft)


def test_files_that_are_no_pseudo_labels_are_named(tmp_path: Path, labels: list[PseudoLabels]) -> None:
    path = tmp_path / "labels.json"
    entry = {"file_name": "a.png", "width": 128, "height": 96}
    annotations = annotations_of(labels[0])
    write_label_file(path, {}, [(entry, annotations)])
    with pytest.raises(ValueError, match=r"labels\.json: expected pseudo labels"):
        read_label_file(path)
    del annotations[0]["keypoints_soft"]
    write_label_file(path, {"teacher_sha256": "x"}, [(entry, annotations)])
    with pytest.raises(ValueError, match="annotation id 1: expected 51 numbers as 'keypoints_soft'"):
        read_label_file(path)


def test_the_fingerprint_is_of_everything_that_matters(keypoints: TopDownKeypoints) -> None:
    def teacher(seed: int = 0, hard: float = 0.35, score: float = 0.7) -> str:
        detector = TorchvisionDetector(
            _BrightPatch(), "bright", str(seed), True, DetectorConfig(min_score=score)
        )
        return Teacher(detector, keypoints, None, PseudoLabelConfig(hard_joint_score=hard)).fingerprint

    assert teacher() == teacher()
    assert len({teacher(), teacher(seed=1), teacher(hard=0.5), teacher(score=0.5)}) == 4
