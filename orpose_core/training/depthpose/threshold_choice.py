"""How the maps of a trained network are read best: the thresholds of the decoder, for its weights file.

They are chosen where they cannot flatter a score: on synthetic frames of seeds that belong to no training and
no benchmark.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import TypeVar

import numpy as np

from orpose_core.decoding.paf import PafDecoderConfig
from orpose_core.estimators import PoseEstimator
from orpose_core.evaluation.annotators import as_mvor_annotates
from orpose_core.metrics.pck import PckConfig, pck_of_poses
from orpose_core.simulation import StreamConfig, simulate_frame
from orpose_core.skeleton import MVOR10
from orpose_core.types import Poses, RgbdFrame, covered_shares

THRESHOLD_SEED = 4_071_902_583
_BATCH = 8
Tried = TypeVar("Tried")
_ALIKE = 0.01  # a smaller difference of F1 is chance on some hundred frames


@dataclass(frozen=True)
class ReadingConfig:
    """What is tried, and on what.

    Attributes:
        domains: of the synthetic room.
        frames: of each domain; every one is a room of its own. 0 = nothing is chosen or measured.
        size_hw: (height, width) of the frames before they are shrunk, px.
        keypoint_thresholds: see :class:`PafDecoderConfig`.
        paf_thresholds: likewise.
        min_mean_scores: likewise.
        min_person_scores: likewise.
    """

    domains: tuple[str, ...] = ("or", "general", "anywhere")
    frames: int = 0
    size_hw: tuple[int, int] = (192, 256)
    keypoint_thresholds: tuple[float, ...] = (0.05, 0.1)
    paf_thresholds: tuple[float, ...] = (0.05,)
    min_mean_scores: tuple[float, ...] = (0.4, 0.6, 0.8, 1.0)
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
    """What was found in some images.

    Attributes:
        correct: joints within 0.2 of the person's size, of people matched one to one.
        true: joints that there are.
        on_people: joints that the decoder gave to people who are there, right or wrong.
        given: joints that the decoder gave, those of phantoms, too.
    """

    correct: int
    true: int
    on_people: int
    given: int

    @property
    def f1(self) -> float:
        """The harmonic mean of the share of joints found and the share given to people who are there.

        In [0, 1]; of empty images that were left empty 1. A joint in a wrong place costs no more than one
        that is missing: its score and sigma tell that it is uncertain. A phantom costs all its joints.
        """
        if not self.true and not self.given:
            return 1.0
        if not self.correct or not self.on_people:
            return 0.0
        found, real = self.correct / self.true, self.on_people / self.given
        return 2 * found * real / (found + real)


def synthetic_frames(config: ReadingConfig, seed: int) -> tuple[list[RgbdFrame], list[Poses]]:
    """Return the frames of every domain, and everybody of whom something is seen in each."""
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
        truth: everybody of whom something is seen, with visibility and boxes. Who is too hidden for MVOR's
            annotators need not be found, and may be.
        found: what the decoder gave.
    """
    asked = [as_mvor_annotates(poses) for poses in truth]
    kept = [_without_hidden(f, t, a) for f, t, a in zip(found, truth, asked, strict=True)]
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
) -> tuple[PafDecoderConfig, dict[PafDecoderConfig, JointCounts]]:
    """Return the thresholds with the highest :attr:`JointCounts.f1`, and the counts of all tried.

    Of those that are alike, within a hundredth, the ones that find most.

    PCK would not do: it knows no phantoms, and the lowest thresholds would always win. Of frames with nobody
    it knows nothing at all.

    Args:
        estimator: with the network; its settings change meanwhile.
        config: what is tried.
        decoder: everything that is not tried; None = the defaults.
        labelled: frames and everybody in each, with visibility, to choose on; None = synthetic ones. Who has
            no joints need not be found, and may be.
    """
    decoder = decoder or PafDecoderConfig()
    frames, truth = synthetic_frames(config, THRESHOLD_SEED) if labelled is None else labelled
    batches = [frames[i : i + _BATCH] for i in range(0, len(frames), _BATCH)]
    answers = [estimator.run(estimator.prepare(batch).images) for batch in batches]
    before, counts = estimator.config, {}
    for keypoint, paf in product(config.keypoint_thresholds, config.paf_thresholds):
        lowest = replace(
            decoder,
            keypoint_threshold=keypoint,
            paf_threshold=paf,
            min_mean_score=min(config.min_mean_scores),
            min_person_score=min(config.min_person_scores),
        )
        estimator.config = replace(before, decoder=lowest, decoder_changes={})
        found = [
            poses
            for answer, batch in zip(answers, batches, strict=True)
            for poses in estimator.decode(answer, batch)
        ]
        means = [_mean_scores(poses) for poses in found]
        for mean, score in product(config.min_mean_scores, config.min_person_scores):
            kept = [
                poses.select((poses.person_scores >= score) & (own >= mean))
                for poses, own in zip(found, means, strict=True)
            ]
            tried = replace(lowest, min_mean_score=mean, min_person_score=score)
            counts[tried] = joint_counts(truth, kept)
    estimator.config = before
    return max(alike_best(counts), key=lambda tried: counts[tried].correct), counts


def alike_best(counts: Mapping[Tried, JointCounts]) -> list[Tried]:
    """Return the settings whose F1 is within a hundredth of the highest."""
    best = max(count.f1 for count in counts.values())
    return [tried for tried, count in counts.items() if count.f1 >= best - _ALIKE]


def _mean_scores(poses: Poses) -> np.ndarray:
    """Return float (m,), what ``PafDecoderConfig.min_mean_score`` bounds."""
    skeleton = poses.skeleton
    sums = poses.person_scores * (len(skeleton) + len(skeleton.edges))
    return sums / np.maximum((poses.scores > 0).sum(axis=1), 1)


def _without_hidden(found: Poses, everybody: Poses, asked: Poses) -> Poses:
    """Drop detections that lie mostly on somebody who need not be found, and on nobody who must be."""
    if not len(found) or not len(everybody):
        return found
    must = np.asarray(~np.isnan(asked.xy_px).all(axis=(1, 2)))
    on_somebody = covered_shares(found.boxes_px, everybody.boxes_px)  # (found, everybody)
    best = on_somebody.argmax(axis=1)
    hidden = (on_somebody.max(axis=1) > 0.5) & ~must[best]
    return found.select(~hidden)
