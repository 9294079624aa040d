"""COCO files as annotation tools write them, and damaged ones: each is read, or refused by name."""

from __future__ import annotations

import copy
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools.coco import COCO

from orpose_core.data.coco import coco_truth, read_coco
from orpose_core.data.coco_file import coco_file, read_coco_file
from orpose_core.data.coco_results import read_results, result_people
from orpose_core.data.coco_writing import write_coco
from orpose_core.data.mvor import mvor_truth
from orpose_core.evaluation.scores import evaluate_results
from orpose_core.skeleton import COCO17

KEYPOINTS = [value for j in range(17) for value in (10 + j, 20 + j, 2)]


def content() -> dict[str, Any]:
    return {
        "images": [
            {"id": 7, "file_name": "a.jpg", "width": 64, "height": 48},
            {"id": 8, "file_name": "b.jpg", "width": 64, "height": 48},
        ],
        "annotations": [
            {
                "id": 1, "image_id": 7, "category_id": 1, "bbox": [1, 2, 30, 40], "area": 900.0,
                "iscrowd": 0, "keypoints": KEYPOINTS, "num_keypoints": 17, "person_id": 3,
            },
            {
                "id": 2, "image_id": 8, "category_id": 1, "bbox": [1, 2, 30, 40], "area": 900.0,
                "iscrowd": 1, "segmentation": [],
            },
        ],
        "categories": [{"id": 1, "name": "person", "keypoints": list(COCO17.joints), "skeleton": []}],
    }  # fmt: skip


def first(key: str, value: Any) -> Callable[[dict], Any]:
    return lambda c: c["annotations"][0].__setitem__(key, value)


def image(key: str, value: Any) -> Callable[[dict], Any]:
    return lambda c: c["images"][0].__setitem__(key, value)


def category(key: str, value: Any) -> Callable[[dict], Any]:
    return lambda c: c["categories"][0].__setitem__(key, value)


def test_a_joint_of_visibility_0_and_crowds_are_nobody_to_find():
    """Some tools keep the coordinates of joints that were marked as absent."""
    given = content()
    given["annotations"][0]["keypoints"] = [*KEYPOINTS[:45], 25, 35, 0, 26, 36, 0]
    given["annotations"][1] |= {"keypoints": KEYPOINTS, "iscrowd": 0, "ignore": 1}
    truth = coco_truth(given, "truth.json")
    there = np.isfinite(truth.people().xy_px).all(axis=-1)
    assert there.tolist() == [[True] * 15 + [False] * 2, [False] * 17]
    assert [len(poses) for poses in truth.poses()] == [1, 0]
    found = [{"image_id": k, "score": 0.9, "bbox": [1, 2, 30, 40], "keypoints": KEYPOINTS} for k in (7, 8)]
    evaluation = evaluate_results(truth, found, "found.json")
    assert evaluation.scores["pck_strict"]["people"] == evaluation.scores["people"] == 1
    assert evaluation.scores["pck_strict"]["Average"] == 100
    assert evaluation.scores["keypoint_ap"]["AP"] == pytest.approx(1)


SPACED = [joint.replace("_", " ").title() for joint in COCO17.joints]
AS_TOOLS_WRITE = {
    "null size": lambda c: c["images"][0].update(width=None, height=None),
    "size as text": lambda c: c["images"][0].update(width="64", height="48"),
    "null person id": first("person_id", None),
    "null area": first("area", None),
    "null box beside keypoints": first("bbox", None),
    "empty box beside keypoints": first("bbox", []),
    "image ids as text": lambda c: (image("id", "7")(c), first("image_id", "7")(c)),
    "image ids with leading zeros": lambda c: image("id", "000000000007")(c),
    "ids with a decimal point": lambda c: (image("id", 7.0)(c), first("id", 1.0)(c)),
    "annotation id as text": first("id", "1"),
    "no annotation ids": lambda c: [a.pop("id") for a in c["annotations"]],
    "crowd as text": first("iscrowd", "0"),
    "null crowd": first("iscrowd", None),
    "no crowd": lambda c: c["annotations"][0].pop("iscrowd"),
    "Person": category("name", "Person"),
    "people (Roboflow)": lambda c: c["categories"].insert(0, {"id": 0, "name": "people"}),
    "another name (Label Studio)": category("name", "Staff member"),
    "no name": lambda c: c["categories"][0].pop("name"),
    "joints as words": category("keypoints", SPACED),
    "no joints in the category": category("keypoints", []),
    "category as text (MVOR)": lambda c: (
        category("id", "1")(c),
        [a.update(category_id="1") for a in c["annotations"]],
    ),
    "no category ids": lambda c: [a.pop("category_id") for a in c["annotations"]],
    "no categories": lambda c: c.pop("categories"),
    "attributes (CVAT)": first("attributes", {"occluded": False, "rotation": 0.0}),
    "other categories": lambda c: (
        c["categories"].append({"id": 2, "name": "robot"}),
        c["annotations"].append({"id": 9, "category_id": 2, "image_id": 404}),
    ),
    "score (MMPose)": first("score", 1.0),
    "license and url (COCO)": lambda c: c["images"][0].update(license=1, coco_url="http://x/a.jpg"),
}


@pytest.mark.parametrize("change", AS_TOOLS_WRITE.values(), ids=AS_TOOLS_WRITE.keys())
def test_what_tools_write_is_read_alike(tmp_path: Path, change: Callable[[dict], Any]) -> None:
    written = content()
    change(written)
    path = tmp_path / "labels.json"
    path.write_text(json.dumps(written), encoding="utf-8-sig")  # as Windows tools do
    truth = read_coco(path)
    assert truth.image_ids.tolist() == [7, 8] and truth.annotation_ids.tolist() == [1, 2]
    assert truth.skeleton == COCO17 and truth.crowd.tolist() == [False, True]
    np.testing.assert_array_equal(truth.keypoints[0].ravel(), KEYPOINTS)
    assert np.isnan(truth.keypoints[1, :, :2]).all() and truth.image.tolist() == [0, 1]
    assert [len(poses) for poses in truth.poses()] == [1, 0]


def test_a_box_alone_as_cvat_writes_it() -> None:
    given = content()
    given["annotations"][0]["keypoints"] = []
    poses = coco_truth(given, "x").poses()[0]
    assert len(poses) == 1 and (poses.scores == 0).all()


def test_a_missing_box_is_the_extent_of_the_annotated_joints() -> None:
    given = content()
    given["annotations"][0]["bbox"] = None
    given["annotations"][0]["keypoints"] = [0, 0, 0, *KEYPOINTS[3:]]
    assert coco_file(given, "x").people[0].bbox == (11, 21, 15, 15)


def test_names_from_windows() -> None:
    given = content()
    given["images"][0]["file_name"] = "ward\\a.jpg"
    assert coco_file(given, "x").images[0].file_name == "ward/a.jpg"


def test_nobody_annotated() -> None:
    truth = coco_truth(content() | {"annotations": []}, "x")
    assert truth.keypoints.shape == (0, 17, 3) and [len(p) for p in truth.poses()] == [0, 0]
    empty = coco_truth({"images": [], "annotations": [], "categories": []}, "x")
    assert empty.poses() == [] and empty.boxes_xywh.shape == (0, 4)


REFUSED = {
    r"images\[0\]: expected a whole number of 64 bits as 'id', got null": lambda c: c["images"][0].pop("id"),
    r"images\[0\]: expected a whole number of 64 bits as 'id', got 'a1'": image("id", "a1"),
    r"images\[0\]: expected a whole number of 64 bits as 'id', got 9{30}": image("id", int("9" * 30)),
    r"images\[0\]: expected a whole number of 64 bits as 'id', got True": image("id", True),
    r"images\[0\] \(id 7\): expected a name as 'file_name', got 5": image("file_name", 5),
    r"images\[0\] \(id 7\): expected a whole number of 64 bits as 'width', got 'wide'": image(
        "width", "wide"
    ),
    r"images\[0\] \(id 7\): expected a positive size, got -64x48": image("width", -64),
    r"images: expected every id once, got 8 more than once": image("id", 8),
    r"images\[1\]: expected an object, got 'b\.jpg'": lambda c: c["images"].__setitem__(1, "b.jpg"),
    r"images: expected a list, got null": lambda c: c.__setitem__("images", None),
    r"annotations: expected a list, got \{\}": lambda c: c.__setitem__("annotations", {}),
    r"annotations\[1\]: expected an object, got null": lambda c: c["annotations"].__setitem__(1, None),
    r"annotations: expected every id once, got 2 more than once": first("id", 2),
    r"annotations\[0\] \(id 1\): expected the id of one of the 2 images as 'image_id', got 5": first(
        "image_id", 5
    ),
    r"annotations\[0\] \(id 1\): expected finite numbers as 'bbox', got null": first("bbox", [1, None, 3, 4]),
    r"annotations\[0\] \(id 1\): expected 4 numbers as 'bbox', got 3": first("bbox", [1, 2, 3]),
    r"annotations\[0\] \(id 1\): expected 4 numbers as 'bbox', got 'x'": first("bbox", "x"),
    r"annotations\[0\] \(id 1\): expected a 'bbox' of positive size, got": first("bbox", [1, 2, -3, 4]),
    r"annotations\[1\] \(id 2\): expected 4 numbers as 'bbox', got null and no keypoints": lambda c: c[
        "annotations"
    ][1].pop("bbox"),
    r"annotations\[0\] \(id 1\): expected 51 numbers as 'keypoints', got 50": first(
        "keypoints", KEYPOINTS[:50]
    ),
    r"annotations\[0\] \(id 1\): expected finite numbers as 'keypoints', got nan": first(
        "keypoints", [float("nan"), *KEYPOINTS[1:]]
    ),
    r"annotations\[0\] \(id 1\): expected visibilities 0, 1 or 2 in 'keypoints'": first(
        "keypoints", [1, 1, 7, *KEYPOINTS[3:]]
    ),
    r"annotations\[0\] \(id 1\): expected 0 or 1 as 'iscrowd', got 'maybe'": first("iscrowd", "maybe"),
    r"annotations\[0\] \(id 1\): expected finite numbers as 'area', got 'big'": first("area", "big"),
    r"annotations\[0\] \(id 1\): expected a whole number of 64 bits as 'person_id'": first(
        "person_id", "Jane"
    ),
    r"categories\[0\]: expected the joints of one of": category("keypoints", ["toe"]),
    r"categories\[0\]: expected a whole number of 64 bits as 'id', got null": category("id", None),
    r"expected a category named person, got \['cat'\]": lambda c: c["categories"][0].update(
        name="cat", keypoints=None
    ),
    r"categories: expected a list, got 'person'": lambda c: c.__setitem__("categories", "person"),
    r"expected a COCO file with images and annotations, got \['annotations', 'categories'\]": lambda c: c.pop(
        "images"
    ),
}


@pytest.mark.parametrize(("message", "change"), REFUSED.items())
def test_what_cannot_be_understood_is_named(message: str, change: Callable[[dict], Any]) -> None:
    given = content()
    change(given)
    with pytest.raises(ValueError, match=r"^labels\.json: " + message):
        coco_truth(given, "labels.json")


def test_image_ids_of_results_may_be_text(tmp_path: Path) -> None:
    result = {"image_id": "000000000007", "category_id": 1, "score": 1, "keypoints": KEYPOINTS}
    (tmp_path / "dt.json").write_text(json.dumps([result]))
    people = result_people(read_results(tmp_path / "dt.json"), np.array([7, 8]), "dt.json")
    assert people.image.tolist() == [0]


def test_what_is_written_is_read_by_this_reader_and_by_pycocotools(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "labels.json"
    given = content()
    entries = [
        (
            image,
            [{k: v for k, v in a.items() if k != "id"} for a in given["annotations"] if a["image_id"] == n],
        )
        for image, n in ((image, image["id"]) for image in given["images"])
    ]
    assert write_coco(path, entries, info={"by": "a test"}, licenses=[]) == (2, 2)
    assert [p.entry for p in read_coco_file(path).people] == given["annotations"]
    assert COCO(str(path)).getAnnIds(imgIds=[8], iscrowd=True) == [2]
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_coco(path, [({"id": 1, "width": float("nan")}, [])], info={})
    assert len(read_coco_file(path).images) == 2, "the old file stays"
    assert [f.name for f in path.parent.iterdir()] == ["labels.json"]


_VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(),
    st.text(max_size=6),
    st.lists(st.one_of(st.none(), st.floats(), st.text(max_size=2)), max_size=5),
    st.dictionaries(st.sampled_from(["id", "name", "keypoints"]), st.integers(), max_size=2),
)


def _places(value: Any, path: tuple = ()) -> list[tuple]:
    children = (
        value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    )
    return [path, *(p for key, child in children for p in _places(child, (*path, key)))]


@given(st.data())
@settings(max_examples=int(os.environ.get("ORPOSE_FUZZ_CASES", "100")), deadline=None)
def test_any_field_may_hold_anything(data: st.DataObject) -> None:
    given_ = copy.deepcopy(content())
    extra = {
        "cameras_info": {},
        "annotations3D": [{"image_ids": "7_8", "person_id": 1, "keypoints3D": [0] * 48}],
    }
    given_ |= {key: value for key, value in extra.items() if data.draw(st.booleans())}
    for _ in range(data.draw(st.integers(1, 3))):
        path = data.draw(st.sampled_from(_places(given_)[1:]))
        parent = given_
        for key in path[:-1]:
            parent = parent[key]
        if data.draw(st.booleans()):
            parent[path[-1]] = data.draw(_VALUES)
        else:
            del parent[path[-1]]
    try:
        truth = mvor_truth(given_, "labels.json")
    except ValueError as error:
        assert str(error).startswith("labels.json: ") and len(str(error)) < 1000
    else:
        assert len(truth.image_ids) == len(given_["images"])
        truth.poses()
        truth.coco_dict(keep_ids=False)
