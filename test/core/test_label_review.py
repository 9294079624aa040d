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
from orpose_core.labelling.sheet import draw_labels
from orpose_core.skeleton import COCO17
from orpose_core.training.depthpose.label_file import LabelFile
from orpose_core.types import Poses

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
    assert len(names) == 2 and names == sorted(p.name for p in (run / "review/images").iterdir())


def test_images_of_an_earlier_review_are_gone_and_those_of_a_part_can_be_chosen(run, capsys):
    write_review(run)
    part = json.loads((run / "labels.json").read_text())
    part["images"] = part["images"][2:]
    part["annotations"] = [a for a in part["annotations"] if a["image_id"] == 3]
    (run / "test.json").write_text(json.dumps(part))
    assert main(["label", "--review", str(run), "--within", str(run / "test.json")]) == 0
    assert "1 images, 1 people" in capsys.readouterr().out
    assert [p.name for p in (run / "review/images").iterdir()] == ["000003.png"]
    part["images"][0]["file_name"] = "other.png"
    (run / "test.json").write_text(json.dumps(part))
    with pytest.raises(ValueError, match=r"expected images of .*labels.json, got none of them"):
        write_review(run, within=run / "test.json")


def test_somebody_without_a_joint_that_is_there_is_a_region_to_ignore(run):
    write_review(run)
    content = exported(run)
    for person in content["annotations"][:2]:
        person["keypoints"][2::3] = [0] * 17  # datumaro keeps the coordinates of points that are outside
    (run / "export.json").write_text(json.dumps(content))
    corrected = read_review(run, run / "export.json")
    assert (corrected.images, corrected.people) == (3, 1)
    labels = LabelFile(corrected.file, run)
    assert [labels.people_in(i) for i in range(3)] == [0, 0, 1]
    np.testing.assert_allclose(labels.people[0][0][1], [2.5, 3.5, 22.5, 33.5], atol=0.01)


@pytest.mark.parametrize("kind", ["color", "depth"])
def test_a_contact_sheet_shows_nothing_above_the_limit(kind, tmp_path):
    """Stripes of one px disappear in any image that is small enough."""
    stripes = np.tile(np.array([0, 200], np.uint8), (480, 320))
    name = {"file_name": "a.png", "height": 480, "width": 640}
    if kind == "depth":
        write_depth(tmp_path / "a.png", 1.0 + stripes / 50.0)
        name["depth_file_name"] = "a.png"
    else:
        write_picture(tmp_path / "a.png", np.repeat(stripes[..., None], 3, axis=2))
    drawn = draw_labels(tmp_path, name, Poses.nobody(COCO17))
    assert np.ptp(drawn.mean(axis=2)[2:-2, 2:-2]) < 60


def test_an_export_of_something_else_is_refused(run, tmp_path):
    write_review(run)
    content = exported(run)
    content["images"][0]["file_name"] = "holiday.png"
    (run / "export.json").write_text(json.dumps(content))
    with pytest.raises(ValueError, match=r"expected an image of .*review, got holiday.png"):
        read_review(run, run / "export.json")
    with pytest.raises(ValueError, match=r"expected the folder of a labeling run with labels.json"):
        write_review(tmp_path / "nothing")
    assert main(["label", "--review", str(run), "--out", "x"]) == 2
    assert main(["label"]) == 2
