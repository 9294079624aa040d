"""Runs an estimator over a data set, with one line per image on disk, so that a killed run can be resumed."""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from typing import Protocol as TypingProtocol

import numpy as np
from tqdm import tqdm

from orpose_core import __version__
from orpose_core.data.coco_results import poses_as_results
from orpose_core.data.poses_json import poses_from_json, poses_to_json
from orpose_core.evaluation.evaluation_sets import EvaluationSet
from orpose_core.evaluation.scores import Evaluation, Protocol
from orpose_core.files import LineLog, write_json, write_text
from orpose_core.image_ops import low_resolution_frame
from orpose_core.types import Poses, Resize, RgbdFrame

_LOG = logging.getLogger(__name__)
RECORDS = "images.jsonl"


class Estimator(TypingProtocol):
    """The interface of an estimator, such as :class:`orpose_core.estimators.PoseEstimator`."""

    @property
    def info(self) -> Any:
        """Name, sha256 and modality of the model."""

    def estimate(self, frames: Sequence[RgbdFrame]) -> list[Poses]:
        """Return the people of each frame, in px of the frame."""


@dataclass(frozen=True)
class ModelEvaluation:
    """A finished run.

    Attributes:
        evaluation: the scores and the data from which they were computed.
        frames: numbers of the images in the order of the data set, as in :meth:`EvaluationSet.frame`.
        truth: annotated people per image.
        detections: detected people per image, px of the full image.
        settings: settings of the run.
    """

    evaluation: Evaluation
    truth: list[Poses]
    detections: list[Poses]
    settings: dict[str, Any]


def evaluate_model(
    estimator: Estimator,
    dataset: EvaluationSet,
    out: str | os.PathLike,
    *,
    scale: int = 1,
    batch: int = 8,
    metrics: Sequence[str] | None = None,
    protocol: Protocol | None = None,
    settings: dict[str, Any] | None = None,
    progress: bool = True,
) -> ModelEvaluation:
    """Run an estimator over a data set and score it.

    Writes to ``out``: ``images.jsonl`` (one line per image; a later call does not compute these images
    again), ``detections.json`` (COCO results) and ``scores.json``.

    Args:
        estimator: returns poses in px of the frames that it is given.
        dataset: see :func:`orpose_core.evaluation.open_dataset`.
        out: folder of the results. A folder with results of other settings is refused.
        scale: factor by which the images are shrunk first, to a height of ``int(H / scale)`` px (ORPose
            Sect. 3.1: 8, 10, 12).
        batch: number of images per call of the estimator.
        metrics: see :func:`orpose_core.evaluation.evaluate_poses`.
        protocol: None = that of the data set, see :meth:`EvaluationSet.evaluate`.
        settings: all other settings that affect the results; recorded, and compared when a run is resumed.
        progress: whether to show a progress bar.
    """
    if scale < 1:
        raise ValueError(f"evaluation: expected a scale of at least 1, got {scale}")
    modality = str(estimator.info.modality)
    dataset.check_images(modality)
    header = {
        "orpose": __version__,
        "dataset": dataset.name,
        "model": str(estimator.info.name),
        "sha256": str(getattr(estimator.info, "sha256", "")),
        "scale": scale,
        **(settings or {}),
    }
    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    done = _resume(folder / RECORDS, header)
    missing = [k for k in range(len(dataset)) if int(dataset.image_ids[k]) not in done]
    log = LineLog(folder / RECORDS)
    with tqdm(
        total=len(dataset), initial=len(dataset) - len(missing), unit="img", disable=not progress
    ) as bar:
        for chunk in _chunks(missing, batch):
            records = _estimate(estimator, dataset, chunk, modality, scale)
            done |= {record["image_id"]: record for record in records}
            log.append(*map(json.dumps, records))
            bar.update(len(chunk))
    records = [done[int(image_id)] for image_id in dataset.image_ids]
    detections = [poses_from_json(r["detections"], f"{folder / RECORDS}: {r['image_id']}") for r in records]
    evaluation = dataset.evaluate(detections, records, metrics, protocol)
    timed = [r["ms"] for r in records]
    scores = {**header, "ms_per_image": float(np.mean(timed)) if timed else None, **evaluation.scores}
    _write_results(folder, dataset, detections, scores)
    truth = [dataset.truth_of(k, record) for k, record in enumerate(records)]
    return ModelEvaluation(evaluation, truth, detections, header)


def shrunk(frames: Sequence[RgbdFrame], scale: int) -> list[RgbdFrame]:
    """Return the frames ``scale`` times smaller, ``int(H / scale)`` px high; unchanged for a scale of 1."""
    if scale == 1:
        return list(frames)
    sizes = [(int(f.size_hw[0] / scale), int(f.size_hw[1] / scale)) for f in frames]
    return [low_resolution_frame(f, size_hw) for f, size_hw in zip(frames, sizes, strict=True)]


def _estimate(
    estimator: Estimator, dataset: EvaluationSet, indices: Sequence[int], modality: str, scale: int
) -> list[dict[str, Any]]:
    """Return the records of a batch of images."""
    loaded = [dataset.frame(k, modality) for k in indices]
    frames = shrunk([frame for frame, _ in loaded], scale)
    start = time.perf_counter()
    found = estimator.estimate(frames)
    elapsed_ms = 1000.0 * (time.perf_counter() - start) / len(frames)
    records = []
    for k, (source, truth), frame, poses in zip(indices, loaded, frames, found, strict=True):
        if frame.size_hw != source.size_hw:
            poses = poses.resized(Resize(frame.size_hw, source.size_hw))
        image_id = int(dataset.image_ids[k])
        records.append({"image_id": image_id, "ms": elapsed_ms, "detections": poses_to_json(poses), **truth})
    return records


def _resume(path: Path, header: dict[str, Any]) -> dict[int, dict[str, Any]]:
    """Return the records of an earlier run by image id; start the file if there is none."""
    if not path.is_file() or path.stat().st_size == 0:
        _replace_lines(path, [json.dumps(header)])
        return {}
    lines = path.read_text(encoding="utf-8").splitlines()
    whole = []
    for line in lines:
        entry = _parsed(line)
        if entry is None:
            break  # the line that was being written when the run was killed
        whole.append(entry)
    if not whole or whole[0] != header:
        got = whole[0] if whole else "nothing readable"
        raise ValueError(
            f"{path}: expected the record of {header}, got {got}; choose another folder with --out"
        )
    if len(whole) < len(lines) or not path.read_bytes().endswith(b"\n"):
        _replace_lines(path, [json.dumps(entry) for entry in whole])
    if len(whole) > 1:
        _LOG.info("%s: going on after %d images", path, len(whole) - 1)
    return {int(record["image_id"]): record for record in whole[1:]}


def _parsed(line: str) -> dict[str, Any] | None:
    try:
        return dict(json.loads(line))
    except ValueError:
        return None


def _replace_lines(path: Path, lines: Sequence[str]) -> None:
    write_text(path, "".join(line + "\n" for line in lines))


def _write_results(
    folder: Path, dataset: EvaluationSet, detections: Sequence[Poses], scores: dict[str, Any]
) -> None:
    results = [
        result
        for image_id, poses in zip(dataset.image_ids, detections, strict=True)
        for result in poses_as_results(poses, int(image_id))
    ]
    write_json(folder / "detections.json", results)
    write_json(folder / "scores.json", scores)


def _chunks(indices: Sequence[int], size: int) -> Iterator[list[int]]:
    for start in range(0, len(indices), size):
        yield list(indices[start : start + size])
