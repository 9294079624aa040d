"""The page about an adaptation: scores before and after, what was learned from, and the frames to look at."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from orpose_core.metrics.calibration import Reliability
from orpose_core.metrics.sigma_law import share_within_px
from orpose_core.reports.adaptation_words import LABELED_BY, NETWORKS, gain_words, outcome_words
from orpose_core.reports.html.charts import bars, counted, reliability_picture
from orpose_core.reports.html.page import Section, Table, file_picture, write_html
from orpose_core.reports.pages import number

_PARTS = ("head", "shoulder", "hip", "elbow", "wrist", "average")
_BEFORE_AFTER = ("before", "after")
_THRESHOLDS = {
    "keypoint_threshold": "lowest peak of a joint",
    "paf_threshold": "lowest field along a limb",
    "min_mean_score": "lowest mean of a person's joints and limbs",
    "min_person_score": "lowest score of a person",
    "min_joints": "fewest joints of a person",
}


def write_adaptation_page(path: Path, scores: dict[str, Any], pictures: Path) -> Path:
    """Write the page, one file with its pictures inside, and return its file.

    Args:
        path: of the HTML file.
        scores: of :func:`orpose_core.adaptation.finishing.scores_before_and_after`, and what was trained.
        pictures: folder of them.
    """
    truth = "truth" in scores["after"]
    teacher, train = scores["teacher"], scores["parts"]["train"]
    facts = [
        f"{scores['model']}, trained for {scores['minutes']} minutes ({scores['steps']} steps, "
        f"{scores['images']} windows) on {train['images']} images of this site with {train['people']} people",
        f"labeled by {teacher['detector']['name']} and {teacher['keypoints']['name']} on color",
        f"License: {scores['licence']}, that of the weights it started from",
    ]
    sections = [_score_section(scores, truth), _people_section(scores)]
    if "thresholds" in scores:
        sections.append(_threshold_section(scores["thresholds"]))
    if "details" in scores:
        sections += _detail_sections(scores["details"], truth)
    sections += _picture_sections(scores, pictures, truth)
    return write_html(path, scores["weights"], facts, sections)


def _score_section(scores: dict[str, Any], truth: bool) -> Section:
    kinds = [kind for kind in ("truth", "teacher") if kind in scores["after"]]
    text = (
        f"The test part ({scores['parts']['test']['images']} images, split by {scores['parts']['by']}) was "
        "used neither for training nor for the choice of thresholds. Other detections are those that match "
        "nobody in the labels; some of them are people whom the labels lack. PCK does not count them. F1 of "
        "joints does: it combines the share of joints that are found and the share of detected joints that "
        "are correct."
    )
    text += _validation_words(scores)
    if not truth:
        text += (
            " The teacher makes mistakes, and a network that copies them scores well here. Correct some "
            "of the test images by hand, and score again with --truth."
        )
    gains = [words for kind in kinds if (words := gain_words(scores, kind))]
    best = {name: [scores[name][kinds[0]]["pck"].get(part) for part in _PARTS] for name in _BEFORE_AFTER}
    names = [part.capitalize() for part in _PARTS]
    picture = bars(names, best, f"PCK, %, against {LABELED_BY[kinds[0]]}")
    tables = [_table(scores, kind) for kind in kinds]
    return Section("Before and after", text, tables, [picture], gains)


def _validation_words(scores: dict[str, Any]) -> str:
    """Return what the validation part said during the training and at its end, and what was chosen."""
    text, said = "", scores.get("validation")
    if said:
        curve = ", ".join(f"{value:g}" for value in said["curve"])
        text = f" F1 of joints on the validation part: {said['start']:.1f} before the training, then {curve}."
    if said and "retuned" in said:
        mixtures = ", ".join(f"{one['f1']:.1f} ({100 * one['share']:.0f} %)" for one in said["mixtures"])
        text += (
            f" On all of its frames it is {said['unchanged']:.1f} as before, {said['retuned']:.1f} with new "
            f"thresholds alone, and with shares of the trained weights and thresholds for each of them "
            f"{mixtures}. Of those within one point of the highest, the one nearest to the network before "
            "was chosen."
        )
    outcome = outcome_words(scores, scores["model"])
    return f"{text} {outcome}" if outcome else text


def _table(scores: dict[str, Any], kind: str) -> Table:
    """Return the scores against one kind of labels."""
    before, after = scores["before"][kind], scores["after"][kind]
    rows = []
    for name, words in NETWORKS.items():
        own = (scores.get(name) or {}).get(kind)
        if own is None:
            continue
        cells = [number(own["pck"].get(part)) for part in _PARTS]
        found = f"{own['found']} of {own['people']}"
        rows.append([words, *cells, found, f"{own['extra_per_frame']:.2f}", number(own.get("joint_f1"))])
    gains = [
        f"{after['pck'][part] - before['pck'][part]:+.1f}"
        if part in after["pck"] and part in before["pck"]
        else "-"
        for part in _PARTS
    ]
    more = f"{after['extra_per_frame'] - before['extra_per_frame']:+.2f}"
    f1 = f"{after['joint_f1'] - before['joint_f1']:+.1f}" if "joint_f1" in before else "-"
    rows.append(["change", *gains, f"{after['found'] - before['found']:+d}", more, f1])
    header = ["", *(part.capitalize() for part in _PARTS), "people found"]
    header += ["other detections per frame", "F1 of joints"]
    return Table(
        header, rows, f"Strict PCK@0.2, percent, on {after['frames']} frames, against {LABELED_BY[kind]}"
    )


def _people_section(scores: dict[str, Any]) -> Section:
    rows = [
        [name, str(part["images"]), str(part["people"]), str(part.get("not_in_depth", "-")),
         str(part.get("seen_only_in_depth", "-"))]
        for name, part in ((name, scores["parts"][name]) for name in ("train", "validate", "test"))
    ]  # fmt: skip
    text = (
        "People to learn from, and regions to ignore in training: labeled people who are not visible in "
        "depth, and people whom only the depth network found. The test part keeps the teacher's labels."
    )
    header = ("part", "images", "people", "ignored: not in depth", "ignored: only in depth")
    return Section("People to learn from and ignored", text, [Table(header, rows)])


def _threshold_section(thresholds: dict[str, dict[str, Any]]) -> Section:
    rows = [
        [words, *(f"{thresholds[name][key]:g}" for name in _BEFORE_AFTER)]
        for key, words in _THRESHOLDS.items()
    ]
    text = "Chosen on the validation part, and stored in the weights."
    return Section("Thresholds", text, [Table(("threshold", *_BEFORE_AFTER), rows)])


def _detail_sections(details: dict[str, dict[str, Any]], truth: bool) -> Iterator[Section]:
    labels = LABELED_BY["truth" if truth else "teacher"]
    histograms = [
        counted(
            {
                "matched with somebody": own["person_scores"]["matched"],
                "others": own["person_scores"]["other"],
            },
            ("score of a person", "detections", name),
        )
        for name, own in ((name, details[name]) for name in _BEFORE_AFTER)
    ]
    text = f"Detections by their score, and whether they are somebody in {labels}."
    yield Section("Scores of people", text, pictures=histograms)
    groups = {
        name: _reliability(details[name]["reliability"])
        for name in _BEFORE_AFTER
        if details[name]["reliability"]["count"]
    }
    if groups:
        text = (
            f"Joints of people who were found, compared with {labels}. Scores are calibrated if they equal "
            "the share of joints that are correct."
        )
        tables = [_sigma_table(details)]
        yield Section("Calibration of joints", text, tables, [reliability_picture(groups)])


def _reliability(values: Mapping[str, Any]) -> Reliability:
    """Return what :meth:`Reliability.as_dict` wrote."""

    def known(value: float | None) -> float:
        return float("nan") if value is None else float(value)

    def array(name: str) -> NDArray[np.float64]:
        return np.array([known(value) for value in values[name]], np.float64)

    return Reliability(
        np.array(values["count"], np.int64), array("confidence"), array("correct"), array("error"),
        known(values["ece"]), known(values["overall"]), known(values["rank_correlation"]),
    )  # fmt: skip


def _sigma_table(details: dict[str, dict[str, Any]]) -> Table:
    rows = [
        [name, str(own["joints"]), *(number(own[key], 0, 100) for key in ("within_1", "within_2"))]
        for name, own in ((name, details[name]["sigmas"]) for name in _BEFORE_AFTER)
    ]
    rows.append(["if sigmas were exact", "", *(number(share_within_px(z), 0, 100) for z in (1, 2))])
    return Table(("errors in the image", "joints", "below 1 sigma, %", "below 2 sigmas, %"), rows)


def _picture_sections(scores: dict[str, Any], pictures: Path, truth: bool) -> Iterator[Section]:
    labels = "labels by hand" if truth else "labels of the teacher"
    worst = sorted(pictures.glob("worst_*.png"))
    if worst:
        frames = {frame["name"]: frame for frame in scores["details"]["after"]["frames"]}
        names = [name for name in scores["details"]["worst"] if name in frames]
        captions = [_words(frames[name]) for name in names]
        text = (
            f"Frames of the test part with the most wrong joints after the training: {labels}, before, after."
        )
        yield Section("Worst frames", text, pictures=list(map(file_picture, worst, captions)))
    spread = [file_picture(file) for file in sorted(pictures.glob("[0-9]*.png"))]
    text = f"Frames of the test part as the network sees them: {labels}, before, after."
    yield Section("Pictures", text, pictures=spread)


def _words(frame: Mapping[str, Any]) -> str:
    name = Path(frame["name"]).stem[-40:]
    return (
        f"{name}: {frame['correct']} of {frame['joints']} joints correct, {frame['found']} of "
        f"{frame['people']} people found, {frame['other']} other detections"
    )
