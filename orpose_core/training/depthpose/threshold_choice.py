"""Choice of the decoder's thresholds for a trained network, for its weights file.

They are chosen on synthetic frames whose seeds belong to no training run and no benchmark, so that the choice
does not bias a score.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from orpose_core.decoding.paf import PafDecoderConfig
from orpose_core.estimators import PoseEstimator
from orpose_core.evaluation.annotators import as_mvor_annotates
from orpose_core.metrics.pck import PckConfig, matched_detections, pck_of_poses
from orpose_core.simulation import StreamConfig, simulate_frame
from orpose_core.skeleton import MVOR10
from orpose_core.types import Poses, RgbdFrame, covered_shares

THRESHOLD_SEED = 4_071_902_583
_BATCH = 8
Tried = TypeVar("Tried")
ALIKE = 0.01
"""A smaller difference of F1 is chance on some hundred frames."""


@dataclass(frozen=True)
class ReadingConfig:
    """The thresholds to try, and the frames to try them on.

    Attributes:
        domains: domains of the synthetic room.
        frames: number of frames of each domain, each of another room; 0 = nothing is chosen or measured.
        size_hw: (height, width) of the frames before they are shrunk, px.
        keypoint_thresholds: values of the decoder's ``keypoint_threshold`` to try.
        paf_thresholds: values of the decoder's ``paf_threshold`` to try.
        min_mean_scores: values of the decoder's ``min_mean_score`` to try.
        min_person_scores: values of the decoder's ``min_person_score`` to try.
    """

    domains: tuple[str, ...] = ("or", "general", "anywhere")
    frames: int = 0
    size_hw: tuple[int, int] = (192, 256)
    keypoint_thresholds: tuple[float, ...] = (0.05, 0.1)
    paf_thresholds: tuple[float, ...] = (0.05,)
    min_mean_scores: tuple[float, ...] = (0.4, 0.6, 0.7, 0.8, 1.0)
    min_person_scores: tuple[float, ...] = (0.06, 0.1, 0.14, 0.18, 0.22, 0.27)

    def __post_init__(self) -> None:
        if self.frames < 0:
            raise ValueError(f"ReadingConfig.frames: expected 0 or more, got {self.frames}")
        tried = ("keypoint_thresholds", "paf_thresholds", "min_mean_scores", "min_person_scores")
        for name in ("domains", *tried):
            if not getattr(self, name):
                raise ValueError(f"ReadingConfig.{name}: expected at least one, got none")


@dataclass(frozen=True)
class JointCounts:
    """Counts of joints in a set of images.

    Attributes:
        correct: joints of people matched one to one, with an error of at most 0.2 times the person's size.
        true: joints of the ground truth.
        on_people: detected joints of matched people, correct or not.
        given: all detected joints, including those of false detections.
    """

    correct: int
    true: int
    on_people: int
    given: int

    @property
    def f1(self) -> float:
        """The harmonic mean of the share of joints found and the share of detected joints on real people.

        In [0, 1]; 1 for images without people and without detections. A joint in a wrong place costs no more
        than a missing one, because its score and sigma show that it is uncertain. A false detection costs all
        its joints.
        """
        if not self.true and not self.given:
            return 1.0
        if not self.correct or not self.on_people:
            return 0.0
        found, real = self.correct / self.true, self.on_people / self.given
        return 2 * found * real / (found + real)


def synthetic_frames(config: ReadingConfig, seed: int) -> tuple[list[RgbdFrame], list[Poses]]:
    """Return the frames of every domain, and all people who are at least partly visible in each."""
    frames, truth = [], []
    for domain in config.domains:
        stream = StreamConfig(domain, config.size_hw, "depth", seed)
        for index in range(config.frames):
            simulated = simulate_frame(stream, index)
            frames.append(simulated.frame)
            truth.append(simulated.poses)
    return frames, truth


def joint_counts(truth: Sequence[Poses], found: Sequence[Poses]) -> JointCounts:
    """Count MVOR's ten joints in images.

    Args:
        truth: all people who are at least partly visible, with visibility and boxes. A person who is too
            hidden for MVOR's annotators counts neither as missed nor as a false detection.
        found: detections of the decoder.
    """
    asked = [as_mvor_annotates(poses) for poses in truth]
    of_somebody = matched_detections(pck_of_poses(asked, found, PckConfig.strict()), found)
    kept = [
        _without_hidden(f, t, a, own) for f, t, a, own in zip(found, truth, asked, of_somebody, strict=True)
    ]
    result = pck_of_poses(asked, kept, PckConfig.strict())
    near = result.within(0.2)
    given = np.concatenate([(p.converted(MVOR10).scores > 0).sum(axis=1) for p in kept])
    return JointCounts(
        int((near & result.counted).sum()),
        int(result.counted.sum()),
        int(given[result.matched[result.matched >= 0]].sum()),
        int(given.sum()),
    )


def choose_thresholds(
    estimator: PoseEstimator,
    config: ReadingConfig,
    decoder: PafDecoderConfig | None = None,
    labelled: tuple[Sequence[RgbdFrame], Sequence[Poses]] | None = None,
    compared: PafDecoderConfig | None = None,
) -> tuple[PafDecoderConfig, dict[PafDecoderConfig, JointCounts]]:
    """Return the thresholds with the highest :attr:`JointCounts.f1`, and the counts of all tried.

    Of thresholds whose F1 differs by at most a hundredth, those that find most joints are chosen.

    PCK is not suitable, because it ignores false detections and frames without people, so that the lowest
    thresholds would always win.

    Args:
        estimator: the network; its settings are changed temporarily.
        config: the thresholds to try.
        decoder: all other settings of the decoder; None = the defaults.
        labelled: frames, and all people in each with visibility, to choose on; None = synthetic frames. A
            person without joints counts neither as missed nor as a false detection.
        compared: thresholds that are counted, too, from the same answers, and are not chosen.
    """
    decoder = decoder or PafDecoderConfig()
    frames, truth = synthetic_frames(config, THRESHOLD_SEED) if labelled is None else labelled
    batches = [frames[i : i + _BATCH] for i in range(0, len(frames), _BATCH)]
    answers = [estimator.run(estimator.prepare(batch).images) for batch in batches]
    before = estimator.config

    def found_with(settings: PafDecoderConfig) -> list[Poses]:
        estimator.config = replace(before, decoder=settings, decoder_changes={})
        decoded = [estimator.decode(*pair) for pair in zip(answers, batches, strict=True)]
        estimator.config = before
        return [poses for batch in decoded for poses in batch]

    counts: dict[PafDecoderConfig, JointCounts] = {}
    for keypoint, paf in product(config.keypoint_thresholds, config.paf_thresholds):
        lowest = replace(
            decoder,
            keypoint_threshold=keypoint,
            paf_threshold=paf,
            min_mean_score=min(config.min_mean_scores),
            min_person_score=min(config.min_person_scores),
        )
        found = found_with(lowest)
        means = [_mean_scores(poses) for poses in found]
        for mean, score in product(config.min_mean_scores, config.min_person_scores):
            kept = [
                poses.select((poses.person_scores >= score) & (own >= mean))
                for poses, own in zip(found, means, strict=True)
            ]
            tried = replace(lowest, min_mean_score=mean, min_person_score=score)
            counts[tried] = joint_counts(truth, kept)
    chosen = max(alike_best(counts), key=lambda tried: counts[tried].correct)
    if compared is not None:
        counts[compared] = joint_counts(truth, found_with(compared))
    return chosen, counts


def alike_best(counts: Mapping[Tried, JointCounts]) -> list[Tried]:
    """Return the settings whose F1 is within a hundredth of the highest."""
    best = max(count.f1 for count in counts.values())
    return [tried for tried, count in counts.items() if count.f1 >= best - ALIKE]


def _mean_scores(poses: Poses) -> np.ndarray:
    """Return the scores that ``PafDecoderConfig.min_mean_score`` limits, float (m,)."""
    skeleton = poses.skeleton
    sums = poses.person_scores * (len(skeleton) + len(skeleton.edges))
    return sums / np.maximum((poses.scores > 0).sum(axis=1), 1)


def _without_hidden(found: Poses, everybody: Poses, asked: Poses, of_somebody: NDArray[np.bool_]) -> Poses:
    """Remove detections that lie mostly on a person who need not be found, and are of nobody who must be."""
    if not len(found) or not len(everybody):
        return found
    must = np.asarray(~np.isnan(asked.xy_px).all(axis=(1, 2)))
    on_somebody = covered_shares(found.boxes_px, everybody.boxes_px)  # (found, everybody)
    best = on_somebody.argmax(axis=1)
    hidden = (on_somebody.max(axis=1) > 0.5) & ~must[best] & ~of_somebody
    return found.select(~hidden)
