"""Labels go to a tool of annotation and come back where they were; corrections come back corrected."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from orpose_core.cli import main
from orpose_core.data.coco import read_coco
from orpose_core.data.coco_writing import write_coco
from orpose_core.files import write_depth, write_picture
from orpose_core.labelling.review import read_review, write_review
from orpose_core.training.depthpose.label_file import LabelFile

SIZES = ((40, 53), (60, 80), (48, 64))


def keypoints(seed: int, size_hw: tuple[int, int]) -> list[float]:
    rng = np.random.default_rng(seed)
    xy = rng.uniform(0, 1, (17, 2)) * (size_hw[1] - 1, size_hw[0] - 1)
    flags = np.where(rng.uniform(size=17) < 0.8, 2, 0)
    return np.column_stack([np.where(flags[:, None] > 0, xy.round(3), 0), flags]).reshape(-1).tolist()


@pytest.fixture(params=["color", "depth"])
def run(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """A labelling run of three images: two people, nobody but a region to ignore, one person."""
    entries = []
    for k, (height, width) in enumerate(SIZES):
        name = f"images/day/{k}.png"
        image = {"id": k + 1, "file_name": name, "height": height, "width": width, "stamp_ns": 5 + k}
        if request.param == "depth":
            image["depth_file_name"] = name
            write_depth(tmp_path / name, np.full((height, width), 2.5, np.float32))
        else:
            write_picture(tmp_path / name, np.full((height, width, 3), 90, np.uint8))
        box = {
            "category_id": 1,
            "bbox": [3.0, 4.0, 20.0, 30.0],
            "area": 600.0,
            "iscrowd": 0,
            "segmentation": [],
        }
        person = box | {"score": 0.4, "keypoints": keypoints(k, (height, width)), "num_keypoints": 13}
        ignored = box | {"ignore": 1, "keypoints": [0] * 51, "num_keypoints": 0}
        entries.append((image, [[person, person], [ignored], [person]][k]))
    write_coco(tmp_path / "labels.json", entries, info={"thresholds": {"person_score": 0.3}})
    return tmp_path


def exported(run: Path) -> dict:
    """What CVAT exports: its own ids and keys, the names of the task's images."""
    content = json.loads((run / "review" / "annotations.json").read_text())
    for image in content["images"]:
        image["id"] += 100
    for annotation in content["annotations"]:
        annotation["image_id"] += 100
        annotation["attributes"] = {"occluded": False}
    return {"licenses": [], "info": {}, **{k: content[k] for k in ("images", "annotations", "categories")}}


def test_what_is_not_changed_comes_back_where_it_was(run):
    written = write_review(run)
    assert (written.images, written.people) == (3, 3)
    for image in json.loads(written.file.read_text())["images"]:
        picture = cv2.imread(str(run / "review" / "images" / image["file_name"]))
        assert picture.shape[:2] == (image["height"], image["width"]) and picture.shape[1] >= 640
    (run / "export.json").write_text(json.dumps(exported(run)))
    corrected = read_review(run, run / "export.json")
    before, after = read_coco(run / "labels.json"), read_coco(corrected.file)
    assert after.file_names == before.file_names and after.sizes_hw == before.sizes_hw
    people = ~before.crowd
    np.testing.assert_allclose(after.keypoints, before.keypoints[people], atol=0.002)
    np.testing.assert_allclose(after.boxes_xywh, before.boxes_xywh[people], atol=0.002)


def test_a_corner_of_the_enlarged_picture_is_half_a_pixel_outside_the_centre(run):
    write_review(run)
    content = exported(run)
    times = content["images"][1]["width"] / 80
    first = content["annotations"][0]
    first["image_id"], first["keypoints"] = 102, [0.0, 0.0, 2, times, times, 2, *[0] * 45]
    content["annotations"] = [first]
    (run / "export.json").write_text(json.dumps(content))
    after = read_coco(read_review(run, run / "export.json").file)
    np.testing.assert_allclose(after.keypoints[0, :2, :2], [[-0.5, -0.5], [0.5, 0.5]], atol=1e-6)


def test_people_who_are_added_and_deleted_count(run):
    write_review(run)
    content = exported(run)
    added = content["annotations"][2] | {"id": 77, "image_id": 102}
    content["annotations"] = [content["annotations"][0], added]
    (run / "export.json").write_text(json.dumps(content))
    assert main(["label", "--review", str(run), "--corrected", str(run / "export.json")]) == 0
    labels = LabelFile(run / "corrected.json", run)
    assert [labels.people_in(i) for i in range(3)] == [1, 1, 0]


def test_some_images_are_taken_evenly(run, capsys):
    assert main(["label", "--review", str(run), "--limit", "2"]) == 0
    assert "2 images, 3 people" in capsys.readouterr().out
    names = [i["file_name"] for i in json.loads((run / "review/annotations.json").read_text())["images"]]
    assert names == ["000001.png", "000003.png"]


def test_an_export_of_something_else_is_refused(run, tmp_path):
    write_review(run)
    content = exported(run)
    content["images"][0]["file_name"] = "holiday.png"
    (run / "export.json").write_text(json.dumps(content))
    with pytest.raises(ValueError, match=r"expected an image of .*review, got holiday.png"):
        read_review(run, run / "export.json")
    with pytest.raises(ValueError, match=r"expected the folder of a labelling run with labels.json"):
        write_review(tmp_path / "nothing")
    assert main(["label", "--review", str(run), "--out", "x"]) == 2
    assert main(["label"]) == 2
