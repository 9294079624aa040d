"""A page about the results of `orpose estimate`: people over time, their scores, and what was left out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import pyplot as plt

from orpose_core.estimation.estimate import OVERLAYS
from orpose_core.estimation.frame_log import read_frames
from orpose_core.estimation.frames import Trackers
from orpose_core.estimation.results import RUN
from orpose_core.files import read_json
from orpose_core.reports.html.charts import histogram
from orpose_core.reports.html.page import Picture, Section, Table, figure_picture, file_picture, write_html
from orpose_core.reports.pages import number
from orpose_core.types import Poses

_MOST_PICTURES = 12
_MOST_TRACKS = 30
_LEAST_SURE = 10


@dataclass
class _Track:
    """A tracked person."""

    camera: str
    first_s: float
    last_s: float
    frames: int = 0
    scores: list[float] = field(default_factory=list)


@dataclass
class _Camera:
    """The people in the images of one camera."""

    time_s: list[float] = field(default_factory=list)
    people: list[int] = field(default_factory=list)


class _Seen:
    """Collects the statistics of a run in one pass over its frames."""

    def __init__(self) -> None:
        self.cameras: dict[str, _Camera] = {}
        self.tracks: dict[tuple[str, int], _Track] = {}
        self.scores: list[np.ndarray] = []
        self.sigmas_m: list[np.ndarray] = []
        self.joints = self.placed = self.people = self.frames = 0
        self.least_sure: list[tuple[float, str, int]] = []
        self._begin_ns: int | None = None

    def add(self, image: Mapping[str, Any], poses: Poses) -> None:
        """Add a frame."""
        stamp_ns = int(image["stamp_ns"])
        self._begin_ns = stamp_ns if self._begin_ns is None else min(self._begin_ns, stamp_ns)
        time_s = (stamp_ns - self._begin_ns) / 1e9
        camera = self.cameras.setdefault(str(image["camera"]), _Camera())
        camera.time_s.append(time_s)
        camera.people.append(len(poses))
        self.frames, self.people = self.frames + 1, self.people + len(poses)
        there = poses.scores > 0
        self.joints += int(there.sum())
        self.scores.append(poses.scores[there])
        if poses.xyz_cam_m is not None:
            self.placed += int((np.isfinite(poses.xyz_cam_m).all(axis=-1) & there).sum())
        if poses.sigma_m is not None:
            self.sigmas_m.append(poses.sigma_m[np.isfinite(poses.sigma_m)])
        if len(poses):
            worst = float(poses.person_scores.min())
            self.least_sure.append((worst, str(image["name"]), len(poses)))
            self.least_sure = sorted(self.least_sure)[:_LEAST_SURE]
        self._follow(str(image["camera"]), time_s, poses)

    def _follow(self, camera: str, time_s: float, poses: Poses) -> None:
        ids = [] if poses.track_ids is None else poses.track_ids.tolist()
        for track_id, score in zip(ids, poses.person_scores.tolist(), strict=False):
            track = self.tracks.setdefault((camera, track_id), _Track(camera, time_s, time_s))
            track.last_s, track.frames = time_s, track.frames + 1
            track.scores.append(score)


def write_estimate_page(folder: Path, path: Path) -> Path:
    """Write the page about the results in a folder and return its file.

    Raises:
        ValueError: the folder contains no results of `orpose estimate`.
    """
    run, entries = read_frames(folder)
    seen, trackers = _Seen(), Trackers(True)
    for image, poses in entries:
        seen.add(image, trackers.update(str(image["camera"]), poses, int(image["stamp_ns"])))
    model, notes = run["model"], _notes(folder)
    height, width = model["input_hw"]
    facts = [
        f"{seen.frames} frames, {seen.people} skeletons, {len(seen.tracks)} tracks",
        f"{model['name']} ({model['backend']}), {model['modality']} images of {width}x{height} px",
    ]
    if not model.get("trained", True):
        facts.append("The model is not trained: its skeletons are meaningless.")
    sections = [
        Section("People over time", "How many people each camera sees.", pictures=_over_time(seen)),
        Section("Confidence", _sureness_words(seen), pictures=_histograms(seen)),
        Section("Tracks", "The longest first.", [_track_table(seen)]),
        Section(
            "Least confident frames", "By the least confident person in them.", [_least_sure_table(seen)]
        ),
    ]
    pictures = [file_picture(p, p.stem) for p in sorted((folder / OVERLAYS).glob("*.png"))[:_MOST_PICTURES]]
    if pictures:
        text = "Skeletons on the low-resolution images that the model saw."
        sections.append(Section("Pictures", text, pictures=pictures, small=True))
    sections += [Section(title, items=lines) for title, lines in notes.items() if lines]
    return write_html(path, f"People in {folder.name}", facts, sections)


def _notes(folder: Path) -> dict[str, Sequence[str]]:
    """Return what was read and what was left out; nothing if the run has not ended yet."""
    file = folder / RUN
    content = read_json(file) if file.is_file() else {}
    return {"Read": content.get("taken", []), "Left out": content.get("skipped", [])}


def _over_time(seen: _Seen) -> list[Picture]:
    figure, axes = plt.subplots(figsize=(9, 2.6))
    timed = any(max(camera.time_s) > 0 for camera in seen.cameras.values())
    for name, camera in seen.cameras.items():
        x = camera.time_s if timed else range(len(camera.people))
        axes.step(x, camera.people, where="post", label=name or "camera")
    axes.set(xlabel="time [s]" if timed else "image (without a time)", ylabel="people")
    axes.set_ylim(bottom=0)
    axes.grid(alpha=0.3)
    if len(seen.cameras) > 1:
        axes.legend(fontsize=8)
    return [figure_picture(figure)]


def _sureness_words(seen: _Seen) -> str:
    share = 100 * seen.placed / seen.joints if seen.joints else 0.0
    return f"{seen.joints} joints were found; {share:.0f} % of them have a 3D position."


def _histograms(seen: _Seen) -> list[Picture]:
    scores = np.concatenate([np.zeros(0), *seen.scores])
    sigmas_cm = 100 * np.concatenate([np.zeros(0), *seen.sigmas_m])
    pictures = []
    if len(scores):
        pictures.append(histogram({"": scores}, ("score of a joint", "joints", "scores"), 30))
    if len(sigmas_cm):
        words = "sigma of a joint in 3D [cm]", "joints", "sigmas"
        pictures.append(histogram({"": sigmas_cm}, words, 30, None))
    return pictures


def _track_table(seen: _Seen) -> Table:
    longest = sorted(seen.tracks.items(), key=lambda item: -item[1].frames)[:_MOST_TRACKS]
    rows = [
        [str(track_id), camera or "-", number(t.first_s), number(t.last_s), str(t.frames),
         number(float(np.mean(t.scores)), 2)]
        for (camera, track_id), t in longest
    ]  # fmt: skip
    return Table(("id", "camera", "from, s", "to, s", "frames", "mean score"), rows)


def _least_sure_table(seen: _Seen) -> Table:
    rows = [[name, str(people), number(score, 2)] for score, name, people in seen.least_sure]
    return Table(("frame", "people", "lowest score"), rows)
