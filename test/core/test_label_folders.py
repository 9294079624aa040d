"""What a labelling run reads and writes: the report, the labels, the images, and whose they are."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import pytest
from label_runs import write_images

from orpose_core.labelling.labelling import label_recordings
from orpose_core.labelling.options import LabelOptions
from orpose_core.labelling.review import write_review
from orpose_core.skeleton import COCO17
from orpose_core.teacher.teacher import Teacher


def test_what_could_not_be_read_is_told(unbroken: dict[str, bytes]) -> None:
    report = json.loads(unbroken["report.json"])
    for recording, why in (
        ("001_missing", "nothing is there"), ("002_two", "005.png"), ("003_bag", "nonsense"),
        ("003_bag", "time jumps back by 50.0 s"), ("004_cut", "not read: "),
        ("000_one", "5 frames in which nothing moved"), ("003_bag", "2 frames in which nothing moved"),
    ):  # fmt: skip
        assert any(s.startswith(recording) and why in s for s in report["skipped"]), (recording, why)
    # Of the bag 9 frames can be read, of which the two that show nothing new are left out.
    by_recording: dict[int, int] = {}
    for line in unbroken["journal.jsonl"].splitlines()[1:]:
        entry = json.loads(line)
        for one in entry.get("frames", ()):
            by_recording[entry["recording"]] = by_recording.get(entry["recording"], 0) + ("image" in one)
    assert by_recording == {0: 18, 2: 17, 3: 7}


def test_the_labels_have_what_the_importer_of_cvat_insists_on(unbroken: dict[str, bytes]) -> None:
    """Its COCO reader (a fork of datumaro) refuses annotations without one of these, or of another type."""
    content = json.loads(unbroken["labels.json"])
    (category,) = content["categories"]
    joints = range(1, len(category["keypoints"]) + 1)
    assert category["name"] == "person" and {j for edge in category["skeleton"] for j in edge} == set(joints)
    kinds = {"id": int, "iscrowd": int, "keypoints": list, "segmentation": list, "bbox": list, "score": float}
    assert content["annotations"]
    for annotation in content["annotations"]:
        assert all(isinstance(annotation[key], kind) for key, kind in kinds.items())
        assert annotation["category_id"] == category["id"]


def test_labels_inside_of_the_folder_that_was_labelled_are_not_a_part_of_it(teacher, tmp_path) -> None:
    ward = write_images(tmp_path / "ward", [2, 1])
    label_recordings([ward], teacher, ward / "labels", LabelOptions(low_resolution_hw=(12, 16)))
    again = label_recordings([ward], teacher, tmp_path / "again", LabelOptions(low_resolution_hw=(12, 16)))
    assert again.frames == 2


@pytest.mark.parametrize(("size_hw", "mode"), [((12, 16), 0o755), ((120, 160), 0o700)])
def test_images_above_the_limit_are_for_their_owner_alone(size_hw, mode, teacher, tmp_path) -> None:
    ward, before = write_images(tmp_path / "ward", [2]), os.umask(0o022)
    try:
        options = LabelOptions(low_resolution_hw=size_hw, allow_full_resolution=True)
        label_recordings([ward], teacher, tmp_path / "out", options)
        write_review(tmp_path / "out")
    finally:
        os.umask(before)
    for folder in ("images", "review/images"):
        assert stat.S_IMODE((tmp_path / "out" / folder).stat().st_mode) == mode, folder


def test_a_list_of_images_is_labelled_and_its_folder_is_not_written(teacher: Teacher, tmp_path: Path) -> None:
    ward = write_images(tmp_path / "ward", [2, 1])
    images = [{"id": k, "file_name": f"ward/{k:03d}.png", "height": 24, "width": 32} for k in range(3)]
    (ward / "001.png").write_bytes(b"no image")
    people = {"id": 1, "name": "person", "keypoints": list(COCO17.joints)}
    (tmp_path / "list.json").write_text(json.dumps({"images": images, "categories": [people]}))
    summary = label_recordings([tmp_path / "list.json"], teacher, tmp_path / "out")
    assert (summary.frames, summary.people) == (1, 2)
    assert any("001.png" in s and "no image or is damaged" in s for s in summary.skipped)
    for file in (tmp_path / "out").glob("*.json*"):
        assert str(tmp_path) not in file.read_text(), file


def test_a_recording_that_is_given_twice_is_refused(teacher: Teacher, tmp_path: Path) -> None:
    ward = write_images(tmp_path / "ward", [2])
    again = tmp_path / "again"
    again.symlink_to(ward)
    with pytest.raises(ValueError, match=r"expected each recording once, got .*ward, .*again"):
        label_recordings([ward, again], teacher, tmp_path / "out")
    assert not (tmp_path / "out").exists()
