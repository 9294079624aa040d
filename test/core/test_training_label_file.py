"""Label files as the target of depth images: who counts, how often, and what is refused."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from torch.utils.data import default_collate

from orpose_core.checkpoints.files import save_checkpoint
from orpose_core.checkpoints.history import inherited_licence
from orpose_core.models import ModelConfig, PoseMaps, StageMaps, build_model
from orpose_core.skeleton import COCO17, OPENPOSE18
from orpose_core.training.augment.depth import AugmentConfig
from orpose_core.training.depthpose.label_file import LabelFile
from orpose_core.training.depthpose.losses import LossConfig, pose_losses
from orpose_core.training.depthpose.samples import DataConfig
from orpose_core.training.depthpose.streams import FolderSamples, samples
from orpose_core.training.engine.recipe_run import header_of
from orpose_core.training.student.recipe import seen_scales
from orpose_core.training.student.samples import StudentDataConfig

SMALL = ModelConfig(width=0.125, sr_width=0.125, input_hw=(24, 32), refinement_stages=1)


def write_folder(folder: Path, people: list[dict], categories: list[dict] | None = None) -> Path:
    folder.mkdir(exist_ok=True)
    for i in range(3):
        cv2.imwrite(str(folder / f"{i}.png"), np.full((96, 128), 1000 * (i + 1), np.uint16))
    labels = {
        "images": [{"id": i, "file_name": f"{i}.png", "width": 128, "height": 96} for i in range(3)],
        "annotations": people,
        "categories": categories or [{"id": 1, "keypoints": list(COCO17.joints)}],
    }
    (folder / "labels.json").write_text(json.dumps(labels))
    return folder / "labels.json"


def person(image: int, joints: int, score: float | None = 0.9, joint_score: float = 0.8) -> dict:
    keypoints = [[10 + 3 * j, 20 + 2 * j, joint_score] if j < joints else [0, 0, 0] for j in range(17)]
    flat = [value for keypoint in keypoints for value in keypoint]
    extra = {} if score is None else {"score": score}
    return {"image_id": image, "category_id": 1, "bbox": [8, 18, 60, 40], "keypoints": flat, **extra}


def test_detections_become_labels_by_the_rules_of_the_paper(tmp_path: Path) -> None:
    people = [
        person(0, 10),
        person(0, 10, score=0.69),
        person(0, 3),
        person(1, 17),
        person(1, 9, joint_score=0.3),
    ]
    labels = LabelFile(write_folder(tmp_path / "a", people), tmp_path / "a", 0.7, 0.35, 4)
    assert [labels.people_in(i) for i in range(3)] == [1, 1, 0]
    frame = labels.frame(0)
    assert len(frame.poses) == 1 and len(frame.ignored_px) == 2
    assert (frame.poses.scores[0] > 0).sum() == 10 and np.allclose(frame.depth_m, 1.0)
    by_hand = LabelFile(
        write_folder(tmp_path / "b", [person(2, 5, score=None)]), tmp_path / "b", 0.7, 0.35, 4
    )
    assert by_hand.frame(2).poses.scores.max() == 1.0


def teachers(image: int) -> dict:
    """A label of a teacher that is sure of twelve joints and half sure of the others."""
    sure = person(image, 12)
    soft = np.array(person(image, 17)["keypoints"]).reshape(-1, 3)
    soft[12:, 2] = 0.25
    return sure | {"keypoints_soft": soft.reshape(-1).tolist()}


def test_uncertain_joints_of_a_teacher_are_there_for_who_asks(tmp_path: Path) -> None:
    path = write_folder(tmp_path / "a", [teachers(0), person(1, 12)])
    usual, all_of_them = (LabelFile(path, tmp_path / "a", joint_score=s) for s in (None, 0.2))
    assert [(file.frame(0).poses.scores > 0).sum() for file in (usual, all_of_them)] == [12, 17]
    assert (all_of_them.frame(1).poses.scores > 0).sum() == 12, "a file by hand has no others"
    assert (LabelFile(path, tmp_path / "a", joint_score=0.3).frame(0).poses.scores > 0).sum() == 12


def test_a_joint_that_a_label_lacks_is_not_taught_as_absent(tmp_path: Path) -> None:
    """Trained as background it would be forgotten: so an adaptation lost the hips and arms of a site."""
    path = write_folder(tmp_path / "a", [person(0, 9)])
    still = AugmentConfig(zoom=(1.0, 1.0), shift=0.0)
    size = (192, 256)
    data = DataConfig("folder", folder=tmp_path / "a", labels=path, render_hw=size, augment=still)
    sample = FolderSamples(data, SMALL)[0]
    unknown = sample["known_keypoints"] == 0
    assert unknown[:-1].any(axis=(1, 2)).sum() == 8, "wrists, hips, knees and ankles"
    for absent, costs in ((None, False), ("background", True)):
        batch = default_collate([FolderSamples(replace(data, absent_joints=absent), SMALL)[0]])
        maps = batch["keypoint_maps"] + torch.from_numpy(unknown)[None]
        answer = PoseMaps((StageMaps(batch["paf_maps"], maps),))
        loss = pose_losses(answer, batch, torch.tensor(OPENPOSE18.paf_channels), LossConfig())
        assert (float(loss) > 1e-3) == costs


def test_a_larger_image_keeps_its_pixels_below_its_joints(tmp_path: Path) -> None:
    """A ramp of depth says from where each pixel of the smaller image was taken."""
    labels = write_folder(tmp_path, [person(0, 10)])
    for size_hw in ((48, 64), (24, 32), (96, 128)):
        ramp = np.tile(1000 + 20 * np.arange(128, dtype=np.uint16), (96, 1))
        cv2.imwrite(str(tmp_path / "0.png"), ramp)
        data = DataConfig(source="folder", folder=tmp_path, labels=labels, render_hw=size_hw)
        seen = replace(data, augment=AugmentConfig(0.0, (1.0, 1.0), 0.0, 0.0, 0.0, 0.0, 0.0))
        image = FolderSamples(replace(seen, shrink_methods=("area",)), replace(SMALL, sr_image=False))[0][
            "image"
        ]
        column = (image[0, 12] * SMALL.depth_range_m - 1.0) / 0.02
        wanted = (np.arange(32) + 0.5) * 128 / 32 - 0.5
        assert np.abs(column - wanted).max() <= 0.51, size_hw


def test_synthetic_frames_are_mixed_in_as_often_as_asked(tmp_path: Path) -> None:
    path = write_folder(tmp_path / "a", [person(0, 9)])
    data = DataConfig("folder", folder=tmp_path / "a", labels=path, render_hw=(192, 256), replay=0.4)
    mixed = samples(data, SMALL)
    chosen = [mixed.is_replayed(i) for i in range(500)]
    assert 0.3 < np.mean(chosen) < 0.5
    new, own = (mixed[chosen.index(kind)] for kind in (True, False))
    assert {name: value.shape for name, value in new.items()} == {n: v.shape for n, v in own.items()}
    with pytest.raises(ValueError, match="replay: only for"):
        DataConfig(replay=0.5)


def test_images_with_many_people_come_as_often_as_those_with_one(tmp_path: Path) -> None:
    people = [person(0, 8), *[person(1, 8)] * 2, *[person(2, 8)] * 6]
    data = DataConfig(
        source="folder", folder=tmp_path, labels=write_folder(tmp_path, people), render_hw=(192, 256)
    )
    plain = replace(SMALL, sr_image=False)
    samples = FolderSamples(data, plain)
    shown = [samples.image_of(i) for i in range(30)]
    assert [shown.count(i) for i in range(3)] == [10, 10, 10]
    sample, again = samples[7], FolderSamples(data, plain)[7]
    assert all(np.array_equal(sample[name], again[name]) for name in sample)
    unbalanced = FolderSamples(replace(data, balanced=False), plain)
    assert {unbalanced.image_of(i) for i in range(3)} == {0, 1, 2}


def test_broken_label_files_are_refused(tmp_path: Path) -> None:
    def refused(match: str, labels: Path) -> None:
        with pytest.raises(ValueError, match=match):
            LabelFile(labels, tmp_path, 0.7, 0.35, 4)

    refused(
        r"annotations\[0\] \(id 1\): expected the id of one of the 3 images .*got 9",
        write_folder(tmp_path, [person(9, 5)]),
    )
    short = person(0, 5) | {"keypoints": [1, 2, 3]}
    refused(
        r"annotations\[0\] \(id 1\): expected 51 numbers as 'keypoints', got 3",
        write_folder(tmp_path, [short]),
    )
    refused("expected finite", write_folder(tmp_path, [person(0, 5) | {"bbox": [float("nan"), 0, 1, 1]}]))
    refused(
        r"annotations\[0\] \(id 1\): expected 4 numbers as .bbox.", write_folder(tmp_path, [{"image_id": 0}])
    )
    refused("expected the joints of one of", write_folder(tmp_path, [], [{"id": 1, "keypoints": ["toe"]}]))
    labels = write_folder(tmp_path, [person(0, 5)])
    labels.write_text(labels.read_text()[:-20])
    refused(r"labels.json.*damaged", labels)
    labels.write_text("[]")
    refused("expected a COCO file with images and annotations", labels)

    labels = write_folder(tmp_path, [person(0, 5, score=0.1)])
    data = DataConfig(source="folder", folder=tmp_path, labels=labels)
    with pytest.raises(ValueError, match=r"none of the 1 people has a score of 0.7 or more"):
        FolderSamples(data, SMALL)
    labels = write_folder(tmp_path, [person(0, 5)])
    cv2.imwrite(str(tmp_path / "0.png"), np.zeros((96, 128), np.uint8))
    with pytest.raises(ValueError, match=r"0.png: expected a depth image.*uint8"):
        FolderSamples(data, SMALL)[0]
    with pytest.raises(ValueError, match=r"needs data.folder"):
        DataConfig(source="folder")


def test_a_students_card_lists_the_scales_that_its_images_allow(tmp_path: Path) -> None:
    def stored(height: int) -> StudentDataConfig:
        content = {
            "images": [{"id": 1, "file_name": "a.png", "height": height, "width": 80}],
            "annotations": [],
        }
        (tmp_path / f"{height}.json").write_text(json.dumps(content | {"categories": []}))
        return StudentDataConfig(labels=tmp_path / f"{height}.json")

    assert seen_scales(stored(480)) == [[1.0, 1.0], [2.0, 8.0], [8.0, 12.0]]
    assert seen_scales(stored(60)) == [[8.0, 8.0], [8.0, 12.0]]
    assert seen_scales(StudentDataConfig(source="simulation")) == [[2.0, 2.0], [2.0, 8.0], [8.0, 12.0]]


def test_weights_inherit_the_licence_of_those_they_start_from(tmp_path: Path) -> None:
    own = tmp_path / "own.safetensors"
    save_checkpoint(own, build_model(SMALL, seed=0), {"licence": "CC-BY-NC-SA-4.0"})
    assert inherited_licence(None) == "Apache-2.0"
    assert inherited_licence(own, None) == "CC-BY-NC-SA-4.0"
    assert inherited_licence(own, "depthpose_64x48") == "CC-BY-NC-SA-4.0 and Apache-2.0"
    assert header_of({"steps": 1, "licence": "CC-BY-NC-SA-4.0"})["licence"] == "CC-BY-NC-SA-4.0"
    assert header_of({"steps": 1})["licence"] == "Apache-2.0"
