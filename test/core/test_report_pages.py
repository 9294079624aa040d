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
from orpose_core.reports.estimate_page import write_estimate_page
from orpose_core.reports.evaluation_page import swapped_sides, write_evaluation_page
from orpose_core.skeleton import COCO17
from orpose_core.types import Poses, RgbdFrame

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


def found(truth: Poses, seed: int, sigma_px: float = 6.0) -> Poses:
    """Return the truth with errors whose size is known."""
    rng = np.random.default_rng(100 + seed)
    xy = (truth.xy_px + rng.normal(0, sigma_px, truth.xy_px.shape)).astype(np.float32)
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
    within = int(re.search(r"(\d+) % of \d+ errors are below one sigma", page.text).group(1))
    assert abs(within - 39) < 8  # the sigmas are exact


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
    with pytest.raises(ValueError, match="frames of `orpose estimate`"):
        write_estimate_page(tmp_path, tmp_path / "report.html")
