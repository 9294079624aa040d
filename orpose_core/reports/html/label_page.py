"""A page about a run of `orpose label`: what training is asked to learn, how sure it is, and the worst."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from orpose_core.data.coco import read_coco
from orpose_core.data.coco_file import CocoFile, CocoPerson, read_coco_file
from orpose_core.files import read_json
from orpose_core.labelling.label_files import soft_poses
from orpose_core.labelling.results import LABELS, REPORT
from orpose_core.labelling.review import CORRECTED
from orpose_core.labelling.sheet import draw_labels
from orpose_core.render import beside
from orpose_core.reports.html.charts import histogram, reliability_picture
from orpose_core.reports.html.label_truth import JudgedLabels, judge_labels
from orpose_core.reports.html.page import Picture, Section, Table, array_picture, write_html
from orpose_core.reports.pages import number
from orpose_core.skeleton import COCO17
from orpose_core.training.depthpose.label_file import LabelFile
from orpose_core.types import Poses

_WORST = 12
_PARTS_OF_RUN = 60
"""Frames nearer to each other than this part of a run show nearly the same."""
_THRESHOLDS = {
    "person_score": "score below which people are ignored",
    "joint_score": "score below which joints are absent",
    "min_joints": "fewest joints of somebody to learn from",
    "ignored_from": "score from which a box is a region to ignore",
}


@dataclass(frozen=True)
class _Labels:
    """A run's labels.

    Attributes:
        folder: of the run.
        file: all of it.
        people: of each image, regions to ignore left out.
        asked: of each image, which people training is asked to find.
        regions: how many regions to ignore there are.
        thresholds: under which people and joints count.
    """

    folder: Path
    file: CocoFile
    people: list[list[CocoPerson]]
    asked: list[NDArray[np.bool_]]
    regions: int
    thresholds: dict[str, float]

    def found(self) -> list[Poses]:
        """Return of each image the people to learn from, with all their joints, px of the image."""
        return [
            soft_poses([p.entry for p, good in zip(people, asked, strict=True) if good], self.file.path)
            for people, asked in zip(self.people, self.asked, strict=True)
        ]


def write_label_page(
    folder: str | Path, path: str | Path | None = None, truth: str | Path | None = None
) -> Path:
    """Write the page about the labels in a folder and return its file.

    Args:
        folder: of a run of `orpose label`.
        path: of the page; None = ``report.html`` in the folder.
        truth: COCO file by hand of some of the images; None = ``corrected.json`` in the folder, where
            there is one (`orpose label --review`).

    Raises:
        ValueError: the folder holds no labels, or the truth none of its images.
    """
    folder = Path(folder)
    labels = _read(folder)
    if truth is None and (folder / CORRECTED).is_file():
        truth = folder / CORRECTED
    judged = None
    if truth is not None:
        numbers = {image.file_name: k for k, image in enumerate(labels.file.images)}
        judged = judge_labels(read_coco(truth), numbers, labels.found())
    asked = sum(int(own.sum()) for own in labels.asked)
    people = sum(map(len, labels.people))
    teacher = labels.file.content["info"]["teacher"]
    facts = [
        f"{len(labels.people)} images, {people} people: {asked} to learn from, {people - asked} ignored; "
        f"{labels.regions} other regions to ignore",
        f"labeled by {teacher['detector']['name']} and {teacher['keypoints']['name']}",
    ]
    if not labels.file.content["info"].get("trained", True):
        facts.append("The teacher is not trained: these labels mean nothing.")
    sections = [_people_section(labels), _score_section(labels), _joint_section(labels)]
    if judged is not None:
        sections.append(_truth_section(judged, Path(truth or "").name))
    sections.append(_worst_section(labels, judged))
    report = read_json(folder / REPORT) if (folder / REPORT).is_file() else {}
    if report.get("skipped"):
        sections.append(Section("Left out", items=report["skipped"]))
    title = f"Labels in {folder.resolve().name}"
    return write_html(Path(path or folder / "report.html"), title, facts, sections)


def _read(folder: Path) -> _Labels:
    if not (folder / LABELS).is_file():
        raise ValueError(f"{folder}: expected the folder of a labeling run with {LABELS}, got none")
    file = read_coco_file(folder / LABELS)
    info = file.content.get("info")
    if not isinstance(info, dict) or "thresholds" not in info or "teacher" not in info:
        raise ValueError(f"{file.path}: expected labels of a teacher with info.thresholds, got none")
    thresholds = dict(info["thresholds"])
    every = file.people_of_images()
    people = [[person for person in own if not person.crowd] for own in every]
    asked = [
        np.array([good for person, (_, _, good) in zip(own, rows, strict=True) if not person.crowd], bool)
        for own, rows in zip(every, LabelFile(folder / LABELS, folder).people, strict=True)
    ]
    return _Labels(folder, file, people, asked, sum(map(len, every)) - sum(map(len, people)), thresholds)


def _people_section(labels: _Labels) -> Section:
    counts = Counter(min(int(asked.sum()), 4) for asked in labels.asked)
    names = ("nobody", "one person", "two", "three", "four or more")
    rows = [[name, str(counts[n])] for n, name in enumerate(names)]
    limits = [
        [words, f"{labels.thresholds[name]:g}"]
        for name, words in _THRESHOLDS.items()
        if name in labels.thresholds
    ]
    text = (
        "Training learns from people above the thresholds. The others, and regions that may contain a "
        "person, are ignored: they count neither as people nor as background."
    )
    tables = [
        Table(("people to learn from", "images"), rows),
        Table(("threshold", "value"), limits),
    ]
    return Section("People and thresholds", text, tables)


def _score_section(labels: _Labels) -> Section:
    everybody = [
        (person, bool(is_asked))
        for own, asked in zip(labels.people, labels.asked, strict=True)
        for person, is_asked in zip(own, asked, strict=True)
    ]
    pictures = []
    for key, title in (("score", "boxes"), ("pose_score", "boxes and joints together")):
        scores = {
            words: [float(p.entry.get(key, 0.0)) for p, is_asked in everybody if is_asked == wanted]
            for words, wanted in (("to learn from", True), ("ignored", False))
        }
        limit = labels.thresholds["person_score"] if key == "score" else None
        pictures.append(histogram(scores, ("score of a person", "people", title), threshold=limit))
    joints = np.concatenate([np.zeros(0), *(_joint_scores(p)[_joint_scores(p) > 0] for p, _ in everybody)])
    limit = labels.thresholds["joint_score"]
    pictures.append(histogram({"": joints}, ("score of a joint", "joints", "joints"), threshold=limit))
    return Section("Scores", "Confidence of the teacher.", pictures=pictures)


def _joint_scores(person: CocoPerson) -> NDArray:
    return np.array(person.entry.get("keypoints_soft", ())[2::3], np.float64)


def _joint_section(labels: _Labels) -> Section:
    """Return of each joint how often it is labelled, and how surely."""
    chosen = [
        person
        for own, asked in zip(labels.people, labels.asked, strict=True)
        for person, is_asked in zip(own, asked, strict=True)
        if is_asked
    ]
    if not chosen:
        return Section("Joints", "There is nobody to learn from.")
    flags = np.array([person.keypoints[2::3] for person in chosen]) > 0
    scores = np.array([_joint_scores(person) for person in chosen])
    rows = [
        [name.replace("_", " "), number(100 * float(flags[:, j].mean()), 0),
         number(float(np.median(scores[flags[:, j], j])) if flags[:, j].any() else None, 2)]
        for j, name in enumerate(COCO17.joints)
    ]  # fmt: skip
    text = "Of the people to learn from: how often a joint is labeled, and the median of its score."
    return Section("Joints", text, [Table(("joint", "labeled, %", "median score"), rows)])


def _truth_section(judged: JudgedLabels, name: str) -> Section:
    """Return what labels by hand say."""
    rows = [
        [part, number(found, 0), number(correct, 0)] for part, (found, correct) in judged.by_part().items()
    ]
    text = (
        f"{len(judged.images)} images are in {name}. Of {judged.people} people there the teacher labeled "
        f"{judged.found}, and {judged.other} whom nobody labeled by hand. A joint is correct if it is within "
        "0.2 of the person's size. Scores are calibrated if they equal the share of joints that are correct."
    )
    groups = judged.calibration()
    pictures = [] if groups is None else [reliability_picture({"": groups})]
    return Section(
        "Compared with labels by hand",
        text,
        [Table(("part", "found, %", "of them correct, %"), rows)],
        pictures,
    )


def _worst_section(labels: _Labels, judged: JudgedLabels | None) -> Section:
    """Return the frames to look at first."""
    if judged is not None:
        wrong = judged.wrong_joints()
        order = [k for k in sorted(wrong, key=lambda k: -wrong[k]) if wrong[k]]
        words = {k: f"{wrong[k]} joints wrong or missing" for k in order}
        text = "Frames in which most joints differ from the labels by hand: the teacher, then by hand."
    else:
        least = {
            k: min(float(person.entry.get("pose_score", 0.0)) for person in people)
            for k, people in enumerate(labels.people)
            if people
        }
        order = sorted(least, key=lambda k: least[k])
        words = {k: f"lowest score {least[k]:.2f}" for k in order}
        text = "Frames with the least confident person, by the score of box and joints together."
    pictures = [_picture(labels, judged, k, words[k]) for k in _apart(order, len(labels.people))]
    return Section("Worst frames", text, pictures=pictures, small=judged is None)


def _apart(order: list[int], images: int) -> list[int]:
    """Return the first of an order of images, without those that are nearly the same picture."""
    chosen: list[int] = []
    for image in order:
        if all(abs(image - other) >= images / _PARTS_OF_RUN for other in chosen):
            chosen.append(image)
        if len(chosen) == _WORST:
            break
    return chosen


def _picture(labels: _Labels, judged: JudgedLabels | None, image: int, words: str) -> Picture:
    entry = labels.file.images[image].entry
    poses = soft_poses([person.entry for person in labels.people[image]], labels.file.path)
    drawn = draw_labels(labels.folder, entry, poses)
    if judged is not None:
        drawn = beside(drawn, draw_labels(labels.folder, entry, judged.by_hand[image]))
    return array_picture(drawn, f"{image + 1}: {str(entry.get('name', ''))[-34:]}, {words}")
