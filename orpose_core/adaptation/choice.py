"""Which weights and thresholds a site gets: those that its validation part likes best, or those it had.

The teacher's labels judge, those of uncertain joints included: a network that is judged by the joints of
which a teacher is sure gains by losing the others.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn

from orpose_core.adaptation.options import SiteFolder
from orpose_core.adaptation.scoring import SiteFrames, estimator_of, site_frames
from orpose_core.adaptation.sides import with_sides_of
from orpose_core.checkpoints.files import Checkpoint, load_checkpoint, save_checkpoint
from orpose_core.decoding.paf import PafDecoderConfig
from orpose_core.estimators import PoseEstimator, estimate_all
from orpose_core.estimators.map_settings import MapSettings
from orpose_core.evaluation.evaluation_sets import spread
from orpose_core.files import read_json, write_json
from orpose_core.models import MapConfig
from orpose_core.training.depthpose.batch_norm import without_batch_norms
from orpose_core.training.depthpose.label_file import LabelFile
from orpose_core.training.depthpose.mixing import mixed
from orpose_core.training.depthpose.recipe import DepthPoseRecipe, DepthPoseTask
from orpose_core.training.depthpose.threshold_choice import (
    ALIKE,
    ReadingConfig,
    choose_thresholds,
    joint_counts,
)

SHARES = (0.25, 0.5, 0.75, 1.0)
"""Of the trained weights in their mean with those of the start, as they are tried.

A site shows few people, each of them many times, and a network that learns from them begins to know them: it
is sure of who faces which way, and wrong about those whom it has not seen. The mean of its weights and those
from which the training started keeps most of what the site teaches and forgets most of what it only seems to
teach (Wortsman et al. 2022, "Robust fine-tuning of zero-shot models").
"""

_MOST_FRAMES = 160
"""Of the validation part are looked at while the training runs; spread evenly."""


def validation_frames(site: SiteFolder, input_hw: tuple[int, int], joint_score: float) -> SiteFrames:
    """Return the validation part with all joints that are learned from."""
    return site_frames(LabelFile(site.part("validate"), site.labels, joint_score=joint_score), input_hw)


def score_of(estimator: PoseEstimator, part: SiteFrames) -> float:
    """Return the F1 of joints (:attr:`JointCounts.f1`) in a part, percent."""
    return 100.0 * joint_counts(part.truth, estimate_all(estimator, part.frames)).f1


@dataclass(frozen=True)
class Choice:
    """A network and thresholds that the validation part has scored.

    Attributes:
        checkpoint: the network.
        decoder: its thresholds.
        share: of the trained weights in it (:data:`SHARES`); 0 = those of the start.
        f1: that it reached, percent.
        changed: whether weights or thresholds are not those of the start.
    """

    checkpoint: Checkpoint
    decoder: PafDecoderConfig
    share: float
    f1: float
    changed: bool = True


@dataclass(frozen=True)
class Choices:
    """What was tried on the validation part, and what was chosen.

    Attributes:
        unchanged: the start as it is.
        retuned: the start with thresholds for the site.
        best: of these and of all mixtures.
    """

    unchanged: Choice
    retuned: Choice
    best: Choice


def best_of(site: SiteFolder, config: MapConfig, start: Checkpoint, trained: Path) -> Choices:
    """Choose between the start, the start with thresholds for the site, and the weights of a training.

    The weights of the best validation and those of the end are tried, each mixed with those of the start. All
    networks have their thresholds chosen in the same way, the start too: else weights would be credited with
    what thresholds do. See :func:`nearest_of_alike` for which one is taken.

    Args:
        site: its training is over.
        config: of the network.
        start: the network before the training.
        trained: its weights at the end of the training.
    """
    said = read_json(site.validations)
    decoder = MapSettings.from_header(start.name, start.metadata).decoder
    part = validation_frames(site, config.input_hw, said["joint_score"])
    unchanged, retuned = _with_thresholds(start, 0.0, decoder, part)
    ends = [load_checkpoint(file) for file in (site.best, trained) if file.is_file()]
    mixtures = [
        max(_with_thresholds(_mixture(start, end, share), share, decoder, part), key=lambda one: one.f1)
        for share in SHARES
        for end in ends
    ]
    said["unchanged"], said["retuned"] = round(unchanged.f1, 2), round(retuned.f1, 2)
    said["mixtures"] = [{"share": choice.share, "f1": round(choice.f1, 2)} for choice in mixtures]
    write_json(site.validations, said)
    return Choices(unchanged, retuned, nearest_of_alike([unchanged, retuned, *mixtures]))


def nearest_of_alike(tried: Sequence[Choice]) -> Choice:
    """Return the choice that is nearest to the start of those whose F1 is within a hundredth of the highest.

    The validation part shows few people, and what is nearer to the start knows more of others. The start as
    it is comes first, then the start with other thresholds, then mixtures by their share of trained weights.
    """
    best = max(choice.f1 for choice in tried)
    alike = [choice for choice in tried if choice.f1 >= best - 100.0 * ALIKE]
    return min(alike, key=lambda choice: (choice.share, choice.changed, -choice.f1))


def _mixture(start: Checkpoint, trained: Checkpoint, share: float) -> Checkpoint:
    return replace(trained, licence=start.licence, model=mixed(start.model, trained.model, share))


def _with_thresholds(
    checkpoint: Checkpoint, share: float, decoder: PafDecoderConfig, part: SiteFrames
) -> tuple[Choice, Choice]:
    """Return a network with the thresholds of the start, and with those that are best for the site."""
    estimator = estimator_of(checkpoint, decoder)
    tried, frames = replace(ReadingConfig(), frames=1), (list(part.frames), list(part.truth))
    chosen, counts = choose_thresholds(estimator, tried, decoder, frames, compared=decoder)
    return (
        Choice(checkpoint, decoder, share, 100.0 * counts[decoder].f1, share > 0),
        Choice(checkpoint, chosen, share, 100.0 * counts[chosen].f1, share > 0 or chosen != decoder),
    )


class SiteTask(DepthPoseTask):
    """The losses of a map network; its validation keeps the best weights, and what the start reached.

    Args:
        recipe: of the adaptation.
        half: whether bf16 is computed.
        site: where the best weights go.
        earlier: returns the scores of the validations so far. A training that goes on after its last
            checkpoint has forgotten those after it.
    """

    def __init__(
        self,
        recipe: DepthPoseRecipe,
        half: bool,
        site: SiteFolder,
        earlier: Callable[[], Sequence[Mapping[str, float]]] = tuple,
    ) -> None:
        super().__init__(recipe, half)
        assert recipe.init.weights is not None and recipe.data.joint_score is not None
        self.site, self.earlier = site, earlier
        start = load_checkpoint(recipe.init.weights)
        self.start = start.model.eval().requires_grad_(False)
        self.decoder = MapSettings.from_header(start.name, start.metadata).decoder
        self.part = _thinned(validation_frames(site, recipe.model.input_hw, recipe.data.joint_score))
        if not site.validations.is_file():
            score = score_of(estimator_of(start, self.decoder), self.part)
            said = {"start": score, "best": 0.0, "best_step": 0, "joint_score": recipe.data.joint_score}
            write_json(site.validations, said | {"curve": []})

    def losses(self, model: nn.Module, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return the losses; where a batch says whose each cell is, the network of before tells sides."""
        if "people" in batch:
            image = batch["image"]
            with torch.no_grad():
                answer = self.start.to(image.device)(image).stages[-1].keypoint_maps
            batch = with_sides_of(answer, batch, self.skeleton)
        return super().losses(model, batch)

    def validate(self, model: nn.Module) -> dict[str, float]:
        """Score the mean weights on the validation part, and keep them if they are the best so far."""
        plain = without_batch_norms(model)
        device = next(model.parameters()).device
        checkpoint = Checkpoint(plain, self.recipe.model, "training", "", "", True, {})
        score = score_of(estimator_of(checkpoint, self.decoder, str(device)), self.part)
        said = read_json(self.site.validations)
        said["curve"] = [round(one["site_f1"], 2) for one in self.earlier()] + [round(score, 2)]
        if score > said["best"]:
            save_checkpoint(self.site.best, plain.float().cpu())
            said |= {"best": score, "best_step": len(said["curve"])}
        write_json(self.site.validations, said)
        return {"site_f1": score, "site_f1_of_the_start": float(said["start"])}


def _thinned(part: SiteFrames) -> SiteFrames:
    """Return at most so many frames as are looked at while the training runs."""
    kept = spread(len(part), _MOST_FRAMES).tolist()
    return SiteFrames(
        tuple(part.names[i] for i in kept),
        tuple(part.frames[i] for i in kept),
        tuple(part.truth[i] for i in kept),
    )
