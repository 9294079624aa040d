"""Pages about evaluations and estimates: one file, with everything inside."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from orpose_core.data.recordings.recording import RecordedFrame
from orpose_core.estimation.frame_log import FrameLog
from orpose_core.estimation.frames import EstimatedFrame
from orpose_core.evaluation.scores import score_poses
from orpose_core.evaluation.scoring import Scored
from orpose_core.files import write_json, write_picture
from orpose_core.labelling.label_files import annotations_of, ignored_region, write_label_file
from orpose_core.reports.html.card_page import write_card_page
from orpose_core.reports.html.estimate_page import write_estimate_page
from orpose_core.reports.html.evaluation_page import swapped_sides, write_evaluation_page
from orpose_core.reports.html.label_page import write_label_page
from orpose_core.skeleton import COCO17
from orpose_core.types import Poses, PseudoLabels, RgbdFrame

S = 1_000_000_000
IMAGES = 12


def people(seed: int, count: int = 2) -> Poses:
    """Return standing people, far enough apart, in an image of 640x480."""
    rng, n = np.random.default_rng(seed), len(COCO17)
    heights = {"nose": 0.0, "eye": 0.0, "ear": 0.0, "shoulder": 0.2, "elbow": 0.4, "wrist": 0.55,
               "hip": 0.55, "knee": 0.8, "ankle": 1.0}  # fmt: skip
    xy = np.zeros((count, n, 2), np.float32)
    for m in range(count):
        for j, name in enumerate(COCO17.joints):
            side = 1 if name.startswith("left") else -1 if name.startswith("right") else 0
            part = name.split("_")[-1]
            xy[m, j] = 150 + 220 * m + 40 * side, 100 + 260 * heights[part]
    xy += rng.normal(0, 2, xy.shape).astype(np.float32)
    boxes = np.concatenate([xy.min(axis=1), xy.max(axis=1)], axis=1).astype(np.float32)
    scores = rng.uniform(0.5, 1.0, (count, n)).astype(np.float32)
    xyz = rng.uniform(1, 4, (count, n, 3)).astype(np.float32)
    return Poses(COCO17, xy, scores, np.full(count, 0.9, np.float32), boxes, xyz_cam_m=xyz)


def found(truth: Poses, seed: int, sigma_px: float = 3.0) -> Poses:
    """Return the truth with errors whose size is known, of Student's t distribution as sigmas mean it."""
    rng = np.random.default_rng(100 + seed)
    normal = rng.normal(0, sigma_px / np.sqrt(2), truth.xy_px.shape)
    errors = normal / np.sqrt(rng.chisquare(4, truth.scores.shape) / 4)[..., None]
    xy = (truth.xy_px + errors).astype(np.float32)
    return replace(truth, xy_px=xy, sigma_px=np.full(truth.scores.shape, sigma_px, np.float32))


class Page(HTMLParser):
    """What a page holds."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.images: list[str] = []
        self.links: list[str] = []
        self.titles: list[str] = []
        self._in_title = False
        self.text = path.read_text(encoding="utf-8")
        self.feed(self.text)

    def handle_starttag(self, tag: str, attrs: list) -> None:
        given = dict(attrs)
        if tag == "img":
            self.images.append(given["src"])
        self.links += [given[name] for name in ("href", "src") if name in given]
        self._in_title = tag == "h2"

    def handle_data(self, data: str) -> None:
        if self._in_title:
            self.titles.append(data)
            self._in_title = False


def scored(**changes: bool) -> Scored:
    truth = [people(k) for k in range(IMAGES)]
    detections = [found(poses, k) for k, poses in enumerate(truth)]
    if changes.get("swapped"):
        order = list(COCO17.flip_permutation)
        detections = [replace(p, xy_px=p.xy_px[:, order], scores=p.scores[:, order]) for p in detections]
    return Scored("model <b> on simulated", score_poses(truth, detections), tuple(detections), scale=10)


def test_the_page_of_an_evaluation_holds_everything_in_one_file(tmp_path):
    page = Page(write_evaluation_page(scored(), tmp_path / "page.html"))
    wanted = ("Scores", "Correct joints", "Distance", "Worst frames", "Left and right", "Calibration")
    assert set(wanted) <= set(page.titles)
    assert page.images and all(link.startswith("data:image/png;base64,") for link in page.links)
    assert "model &lt;b&gt; on simulated" in page.text and "<b> on" not in page.text
    assert "http" not in page.text.replace("http-equiv", "")
    said = re.search(r"(\d+) % of \d+ errors are below one sigma; exact sigmas give (\d+) %", page.text)
    assert abs(int(said[1]) - 56) < 8 and int(said[2]) == 56  # the sigmas are exact


def test_exchanged_sides_are_counted():
    right = swapped_sides(scored().evaluation)
    wrong = swapped_sides(scored(swapped=True).evaluation)
    assert set(right) == {"shoulder", "elbow", "wrist", "hip"}
    assert all(count == 0 and told == 2 * 2 * IMAGES for count, told in right.values())
    assert all(count == told == 2 * 2 * IMAGES for count, told in wrong.values())


def results(folder: Path) -> Path:
    depends_on = {
        "model": {"name": "tiny", "backend": "torch", "modality": "depth", "input_hw": [48, 64],
                  "trained": True},
        "settings": {},
    }  # fmt: skip
    log = FrameLog(folder, depends_on, 4, False)
    for k in range(20):
        frame = RgbdFrame(None, np.ones((48, 64), np.float32), None, stamp_ns=S + k * S // 10)
        poses = people(0, 2 if k < 10 else 1)
        recorded = RecordedFrame(frame, f"frame_{k:04d}", "ceiling_1")
        log.add([EstimatedFrame(recorded, (480, 640), poses, k)])
    write_json(folder / "run.json", {"taken": ["depth: 20 images"], "skipped": ["a.png: damaged <img>"]})
    write_picture(folder / "overlays" / "frame_0000.png", np.zeros((48, 64, 3), np.uint8))
    return folder


def test_the_page_of_results_says_who_was_there_when(tmp_path):
    (tmp_path / "overlays").mkdir()
    page = Page(write_estimate_page(results(tmp_path), tmp_path / "report.html"))
    assert "20 frames, 30 skeletons, 2 tracks" in page.text
    wanted = {"People over time", "Tracks", "Least confident frames", "Pictures", "Read", "Left out"}
    assert wanted <= set(page.titles)
    assert "damaged &lt;img&gt;" in page.text and "frame_0000" in page.text
    assert all(link.startswith("data:image/png;base64,") for link in page.links)


def test_the_command_writes_the_page_into_the_folder(tmp_path, capsys):
    from orpose_core.cli import main

    (tmp_path / "overlays").mkdir()
    assert main(["report", "estimate", str(results(tmp_path))]) == 0
    assert (tmp_path / "report.html").is_file() and "report.html" in capsys.readouterr().out


def test_a_folder_without_results_is_named(tmp_path):
    with pytest.raises(ValueError, match="no such file; expected a folder that `orpose estimate` wrote"):
        write_estimate_page(tmp_path, tmp_path / "report.html")


LABEL_INFO = {
    "teacher": {"detector": {"name": "<find>"}, "keypoints": {"name": "pose"}}, "teacher_sha256": "0" * 64,
    "thresholds": {"person_score": 0.5, "joint_score": 0.35, "min_joints": 4}, "trained": True,
}  # fmt: skip


def labels(folder: Path, down_px: float = 0.0) -> Path:
    """Write labels of two people an image, of whom the second is not sure, and a region to ignore."""

    def entry(k: int) -> tuple[dict, list[dict]]:
        truth = people(k)
        moved = replace(truth, xy_px=truth.xy_px + np.array([0, down_px], np.float32))
        moved = replace(moved, person_scores=np.array([0.9, 0.3], np.float32))
        image = {"name": f"frame_{k:04d}", "file_name": f"images/{k:04d}.png", "height": 480, "width": 640}
        people_there = annotations_of(PseudoLabels(moved, moved, k + 1, "0" * 64))
        return image, [*people_there, ignored_region(np.array([1.0, 1.0, 20.0, 40.0]))]

    folder.mkdir(parents=True, exist_ok=True)
    write_label_file(folder / "labels.json", LABEL_INFO, map(entry, range(IMAGES)))
    write_json(folder / "report.json", {"skipped": ["b.png: damaged"]})
    return folder


def by_hand(folder: Path) -> Path:
    """Write the first half of the images as somebody labelled them."""
    from orpose_core.data.coco_writing import write_coco

    def entry(k: int) -> tuple[dict, list[dict]]:
        truth = people(k)
        corners = truth.boxes_px[:, :2]
        boxes = np.concatenate([corners, truth.boxes_px[:, 2:] - corners], axis=1)
        flags = np.full((*truth.xy_px.shape[:2], 1), 2.0)
        persons = [
            {"category_id": 1, "iscrowd": 0, "area": 1000.0, "bbox": box, "keypoints": joints}
            for box, joints in zip(
                boxes.tolist(), np.concatenate([truth.xy_px, flags], -1).reshape(2, -1).tolist(), strict=True
            )
        ]
        return {"id": k + 1, "file_name": f"images/{k:04d}.png", "height": 480, "width": 640}, persons

    write_coco(folder / "corrected.json", map(entry, range(IMAGES // 2)), info={})
    return folder / "corrected.json"


def test_the_page_of_labels_says_what_is_learned_and_what_is_ignored(tmp_path):
    page = Page(write_label_page(labels(tmp_path / "run")))
    counts = f"{2 * IMAGES} people: {IMAGES} to learn from, {IMAGES} ignored; {IMAGES} other regions"
    assert f"{IMAGES} images, {counts}" in page.text and "&lt;find&gt;" in page.text
    assert {"People and thresholds", "Scores", "Joints", "Worst frames", "Left out"} <= set(page.titles)
    assert "Compared with labels by hand" not in page.titles
    assert page.images and all(link.startswith("data:image/png;base64,") for link in page.links)


def test_labels_by_hand_judge_the_labels(tmp_path):
    folder = labels(tmp_path / "run")
    by_hand(folder)
    right = write_label_page(folder, tmp_path / "right.html").read_text()
    half = IMAGES // 2
    assert f"Of {2 * half} people there the teacher labeled {half}, and 0 whom nobody" in right
    assert "<td>Wrist</td><td>50</td><td>100</td>" in right.replace("\n", "")
    wrong = write_label_page(labels(folder, down_px=80.0), tmp_path / "wrong.html").read_text()
    assert "<td>Wrist</td><td>50</td><td>0</td>" in wrong.replace("\n", "")
    stranger = tmp_path / "other.json"
    stranger.write_text((folder / "corrected.json").read_text().replace("images/", "elsewhere/"))
    with pytest.raises(ValueError, match="expected some of the 12 labeled images"):
        write_label_page(folder, tmp_path / "none.html", stranger)


def test_a_folder_without_labels_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"folder of a labeling run with labels\.json"):
        write_label_page(tmp_path)


@pytest.mark.parametrize("name", ["fastpose_64x48", "student_small", "lifter_synthetic", "movenet_thunder"])
def test_every_kind_of_card_is_a_page(name, tmp_path):
    pytest.importorskip("markdown_it", reason="markdown-it-py is not installed")
    page = Page(write_card_page(name, tmp_path / "card.html"))
    assert {"Purpose", "Limits"} <= set(page.titles) and name in page.text
    assert "<table>" in page.text or name == "movenet_thunder"
    assert not re.search(r"^(## |\|---|<!--)", page.text, re.M)
    assert all(link.startswith("data:image/png;base64,") for link in page.images)
    assert ("Charts" in page.titles) == (name == "fastpose_64x48")
