"""How well a network does on the part of a site that it has not seen, and what is drawn of it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from orpose_core.adaptation.parts import everybody
from orpose_core.checkpoints.files import Checkpoint
from orpose_core.decoding.paf import PafDecoderConfig
from orpose_core.estimators import EstimatorConfig, PoseEstimator
from orpose_core.evaluation.scores import STRICT
from orpose_core.image_ops import low_resolution_depth
from orpose_core.metrics.calibration import reliability
from orpose_core.metrics.pck import PckResult, matched_detections, pck_of_poses
from orpose_core.metrics.pck_interval import FrameCounts, frame_counts
from orpose_core.skeleton import MVOR10
from orpose_core.training.depthpose.label_file import LabelFile
from orpose_core.types import FloatArray, Poses, Resize, RgbdFrame, covered_shares

SCORE_BINS = 20
_NEAR = 0.2


@dataclass(frozen=True)
class SiteFrames:
    """Frames of one part as a network sees them, and who is there.

    Attributes:
        names: file names of the images.
        frames: depth at the network's input size.
        truth: everybody, px of ``frames``; regions to ignore are people without joints.
    """

    names: tuple[str, ...]
    frames: tuple[RgbdFrame, ...]
    truth: tuple[Poses, ...]

    def __len__(self) -> int:
        return len(self.names)


def site_frames(
    labels: LabelFile, input_hw: tuple[int, int], names: Sequence[str] | None = None
) -> SiteFrames:
    """Read the images of a label file.

    Args:
        labels: of the part.
        input_hw: (height, width) of the network's input.
        names: of the images that are wanted; None = all.
    """
    kept, frames, truth = [], [], []
    for image, name in enumerate(labels.names):
        if names is not None and name not in names:
            continue
        depth_m, poses = everybody(labels, image)
        small = low_resolution_depth(depth_m, input_hw)
        height, width = depth_m.shape
        kept.append(name)
        frames.append(RgbdFrame(None, small, None))
        truth.append(poses.resized(Resize((height, width), input_hw)))
    return SiteFrames(tuple(kept), tuple(frames), tuple(truth))


def estimator_of(
    checkpoint: Checkpoint, decoder: PafDecoderConfig | None = None, device: str | None = None
) -> PoseEstimator:
    """Return an estimator of a network's people in images of its input size.

    Args:
        checkpoint: the network.
        decoder: thresholds; None = its own.
        device: None = a GPU, if there is one.
    """
    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    return PoseEstimator(checkpoint, EstimatorConfig(device, "torch", decoder=decoder, metric_3d=False))


def scores_of(part: SiteFrames, found: Sequence[Poses]) -> dict[str, Any]:
    """Return strict PCK@0.2 of each part of the body and on average, percent, and how many were found.

    A person counts with at least one joint; one whom nobody is matched to has all joints wrong.
    ``extra_per_frame`` counts detections that are matched to nobody, those on regions to ignore left out.
    PCK does not see those. ``joint_f1`` does: it is the harmonic mean, percent, of the share of joints that
    were found and the share of the ``given`` ones, those of all detections, that are correct.
    """
    kept, result, near = _matched(part, found)
    people = int(result.counted.any(axis=1).sum())
    matched = int((result.matched >= 0).sum())
    joints, correct = int(result.counted.sum()), int((near & result.counted).sum())
    given = sum(int((poses.converted(MVOR10).scores > 0).sum()) for poses in kept)
    scores = {name.lower(): value for name, value in result.summary().items() if math.isfinite(value)}
    return {
        "frames": len(part),
        "people": people,
        "found": matched,
        "extra_per_frame": round((sum(map(len, kept)) - matched) / max(len(part), 1), 3),
        "joints": joints,
        "correct": correct,
        "given": given,
        "joint_f1": 200.0 * correct / max(joints + given, 1),
        "pck": scores,
    }


def counts_of(part: SiteFrames, found: Sequence[Poses], blocks: Sequence[int]) -> FrameCounts:
    """Return the counts behind the PCK of :func:`scores_of`, per frame.

    Args:
        part: the frames.
        found: detections, likewise.
        blocks: which block of time each frame belongs to.
    """
    kept, _, _ = _matched(part, found)
    return frame_counts([with_joints(poses) for poses in part.truth], kept, STRICT.pck, blocks)


def details_of(part: SiteFrames, found: Sequence[Poses]) -> dict[str, Any]:
    """Return what a page shows beside the scores, as JSON values.

    Returns:
        ``frames``: of each frame the counts of people, of those found, of other detections, of joints and of
        correct ones. ``person_scores``: how many detections have a score in each of :data:`SCORE_BINS` equal
        steps from 0 to 1, ``matched`` with somebody and ``other``. ``reliability``: see
        :class:`orpose_core.metrics.calibration.Reliability`, of the scores of found joints. ``sigmas``: how
        many joints have one, and the shares of errors below one and below two.
    """
    kept, result, near = _matched(part, found)
    image = np.repeat(np.arange(len(part)), [len(with_joints(poses)) for poses in part.truth])
    image = image[result.persons]
    is_found = result.matched >= 0
    frames = []
    for number, (name, detections) in enumerate(zip(part.names, kept, strict=True)):
        own = image == number
        asked, matched = result.counted[own], int(is_found[own].sum())
        frames.append({
            "name": name, "people": int(asked.any(axis=1).sum()), "found": matched,
            "other": len(detections) - matched, "joints": int(asked.sum()),
            "correct": int((near[own] & asked).sum()),
        })  # fmt: skip
    scores = np.concatenate([np.zeros(0), *(poses.person_scores for poses in kept)])
    good = np.isin(np.arange(len(scores)), result.matched)
    return {
        "frames": frames,
        "person_scores": {"matched": _counts(scores[good]), "other": _counts(scores[~good])},
        **_calibration(kept, result, near),
    }


def worst_frames(frames: Sequence[Mapping[str, Any]], count: int) -> list[Mapping[str, Any]]:
    """Return the frames in which most was wrong: joints first, then detections of nobody."""

    def wrong(frame: Mapping[str, Any]) -> tuple[float, int]:
        return frame["joints"] - frame["correct"], frame["other"]

    return [frame for frame in sorted(frames, key=wrong, reverse=True)[:count] if any(wrong(frame))]


def _calibration(kept: Sequence[Poses], result: PckResult, near: np.ndarray) -> dict[str, Any]:
    """Return how far the scores and sigmas of found joints can be trusted."""
    rows = np.flatnonzero(result.matched >= 0)
    converted = [poses.converted(MVOR10) for poses in kept]
    empty = np.zeros((0, len(MVOR10)))
    of_joints = np.concatenate([empty, *(poses.scores for poses in converted)])[result.matched[rows]]
    sigma = [np.full(p.scores.shape, np.nan) if p.sigma_px is None else p.sigma_px for p in converted]
    sigma_px = np.concatenate([empty, *sigma])[result.matched[rows]]
    distance, known = result.distance_px[rows], np.isfinite(result.distance_px[rows]) & (of_joints > 0)
    sure = known & (sigma_px > 0)
    ratio = distance[sure] / sigma_px[sure]
    within = [float((ratio <= k).mean()) if len(ratio) else None for k in (1, 2)]
    return {
        "reliability": reliability(of_joints[known], near[rows][known], distance[known]).as_dict(),
        "sigmas": {"joints": len(ratio), "within_1": within[0], "within_2": within[1]},
    }


def _counts(scores: np.ndarray) -> list[int]:
    return np.histogram(np.clip(scores, 0, 1), SCORE_BINS, (0.0, 1.0))[0].tolist()


def _matched(part: SiteFrames, found: Sequence[Poses]) -> tuple[list[Poses], PckResult, np.ndarray]:
    """Match detections with people.

    Returns:
        The detections, without those that are on a region to ignore and on nobody; what was matched; and
        bool (g, n), which joints lie near enough.
    """
    asked = [with_joints(poses) for poses in part.truth]
    of_somebody = matched_detections(pck_of_poses(asked, found, STRICT.pck), found)
    kept = [
        f.select(own | ~_on_ignored(f.boxes_px, t)) if len(f) else f
        for f, own, t in zip(found, of_somebody, part.truth, strict=True)
    ]
    result = pck_of_poses(asked, kept, STRICT.pck)
    return kept, result, result.within(_NEAR)


def with_joints(poses: Poses) -> Poses:
    """Return the people who have joints."""
    return poses.select(np.flatnonzero((poses.scores > 0).any(axis=1)))


def _on_ignored(boxes_px: FloatArray, truth: Poses) -> np.ndarray:
    """Return bool (m,): which detections lie mostly on a region to ignore."""
    ignored = truth.boxes_px[~(truth.scores > 0).any(axis=1)]
    return np.asarray((covered_shares(boxes_px, ignored) > 0.5).any(axis=1))
