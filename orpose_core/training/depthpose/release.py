"""Scores of finished depth networks for the report of a release: by visibility, by orientation, in 3D."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from orpose_core.estimators import PoseEstimator, estimate_all
from orpose_core.evaluation.annotators import as_mvor_annotates
from orpose_core.evaluation.scores import BENCHMARK
from orpose_core.metrics.pck import PARTS, PckConfig, PckResult, pck_of_poses
from orpose_core.metrics.pck_interval import FrameCounts, frame_counts
from orpose_core.simulation import SPLITS, simulate_frame, split_config
from orpose_core.skeleton import MVOR10
from orpose_core.training.depthpose.sigma_calibration import coverage, joint_errors
from orpose_core.types import Poses, RgbdFrame, Visibility, covered_shares

_SIDES = [MVOR10.index("left_shoulder"), MVOR10.index("right_shoulder")]
_FACING = 0.25  # shoulders at least so far apart in the image, as a share of the person's size, show a side


@dataclass(frozen=True)
class SplitFrames:
    """Frames of a benchmark split, rendered once for all networks.

    Attributes:
        name: name of the split.
        frames: n frames of 640x480.
        truth: n ground truths, with poses of the people to whom MVOR's annotators would give one.
        everybody: n ground truths, with all people who are at least partly visible.
        rooms: int64 (n,), the room that each frame shows.
    """

    name: str
    frames: list[RgbdFrame]
    truth: list[Poses]
    everybody: list[Poses]
    rooms: NDArray[np.int64]


@dataclass(frozen=True)
class SplitScores:
    """Scores of a network on a split. Percentages are PCK@0.2 by the strict protocol unless stated.

    Attributes:
        network: its name.
        split: name of the split.
        frames: number of frames.
        people: number of people with a pose.
        found: share of these people who were matched with a detection.
        false_per_frame: number of detections per frame that do not lie on a person.
        parts: scores by body part, and ``Average``.
        mvor: average by MVOR's protocol.
        visible: share of correct joints among the visible ones.
        hidden: share of correct joints among the hidden ones.
        exchanged: share of people seen from the front or the back whose shoulders are exchanged.
        error_m: median 3D error of joints, m.
        coverage: coverage of the standard deviations, see
            :func:`orpose_core.training.depthpose.sigma_calibration.coverage`.
        counts: counts per frame, for confidence intervals.
    """

    network: str
    split: str
    frames: int
    people: int
    found: float
    false_per_frame: float
    parts: dict[str, float]
    mvor: float
    visible: float
    hidden: float
    exchanged: float
    error_m: float
    coverage: dict[str, float]
    counts: FrameCounts


def render_split(name: str, frames: int) -> SplitFrames:
    """Render rooms of a split with ``frames`` frames in total; raise ValueError if there is no such split."""
    if name not in SPLITS:
        raise ValueError(f"expected one of the splits {', '.join(sorted(SPLITS))}, got {name!r}")
    split, stream = SPLITS[name], split_config(name, modality="depth")
    indices = split.subset(frames)
    shown = [simulate_frame(stream, index) for index in indices.tolist()]
    truth = [as_mvor_annotates(s.poses, s.roles) for s in shown]
    everybody = [s.poses for s in shown]
    return SplitFrames(name, [s.frame for s in shown], truth, everybody, split.rooms_of(indices))


def score_split(estimator: PoseEstimator, shown: SplitFrames) -> SplitScores:
    """Score a network with the settings of its weights file.

    Args:
        estimator: the network, with 3D enabled.
        shown: the frames.
    """
    found = estimate_all(estimator, shown.frames)
    strict = pck_of_poses(shown.truth, found, PckConfig.strict())
    near = strict.within(0.2)
    seen = _seen(shown.truth)[strict.persons] & strict.counted
    cameras = [frame.intrinsics for frame in shown.frames]
    errors = joint_errors(shown.truth, found, estimator.info.skeleton, cameras)
    return SplitScores(
        network=estimator.info.name,
        split=shown.name,
        frames=len(shown.frames),
        people=len(strict.persons),
        found=_share(strict.matched >= 0),
        false_per_frame=_on_nobody(found, shown.everybody) / max(len(found), 1),
        parts={part: strict.summary()[part] for part in (*PARTS, "Average")},
        mvor=pck_of_poses(shown.truth, found, BENCHMARK.pck).summary()["Average"],
        visible=100.0 * _share(near[seen]),
        hidden=100.0 * _share(near[strict.counted & ~seen]),
        exchanged=_exchanged(shown.truth, found, strict),
        error_m=float(np.nanmedian(errors.m)) if np.isfinite(errors.m).any() else float("nan"),
        coverage=coverage(errors),
        counts=frame_counts(shown.truth, found, PckConfig.strict(), shown.rooms),
    )


def _share(flags: NDArray) -> float:
    return float(flags.mean()) if flags.size else float("nan")


def _seen(truth: Sequence[Poses]) -> NDArray[np.bool_]:
    """Return bool (people, 10): whether a joint is visible to the camera."""
    flags = [poses.converted(MVOR10).visibility for poses in truth]
    return np.concatenate([f == Visibility.VISIBLE for f in flags if f is not None])


def _exchanged(truth: Sequence[Poses], found: Sequence[Poses], strict: PckResult) -> float:
    """Return the share of matched people, seen from the front or the back, whose shoulders are exchanged."""
    mine, theirs = (
        np.concatenate([p.converted(MVOR10).xy_px[:, _SIDES, 0] for p in poses]) for poses in (truth, found)
    )
    there = strict.matched >= 0
    right = mine[strict.persons[there]]
    given = theirs[strict.matched[there]]
    across, answer = right[:, 1] - right[:, 0], given[:, 1] - given[:, 0]
    shows = (np.abs(across) > _FACING * strict.size_px[there]) & np.isfinite(answer)
    return _share(np.sign(across[shows]) != np.sign(answer[shows]))


def _on_nobody(found: Sequence[Poses], everybody: Sequence[Poses]) -> int:
    """Count the detections whose box lies mostly on no person."""
    covered = (
        covered_shares(mine.boxes_px, people.boxes_px).max(axis=1, initial=0.0)
        for mine, people in zip(found, everybody, strict=True)
    )
    return sum(int((share < 0.5).sum()) for share in covered)
