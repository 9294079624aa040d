"""The mean of the weights of several trained depth networks, as one weights file.

Networks that were trained from the same weights, with other seeds or for other times, often lie in one basin,
and the mean of their weights is then better than each of them at the cost of one (Wortsman et al. 2022,
"Model soups"). Networks that started from different random weights have no useful mean.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from torch import Tensor

from orpose_core.checkpoints.files import Checkpoint, load_checkpoint, save_checkpoint
from orpose_core.checkpoints.history import inherited_licence, training_facts
from orpose_core.checkpoints.weights_file import find_weights, read_header
from orpose_core.models import MapConfig
from orpose_core.training.depthpose.mixing import mixed
from orpose_core.training.depthpose.sigma_calibration import measured_settings
from orpose_core.training.depthpose.threshold_choice import ReadingConfig
from orpose_core.training.depthpose.validation import ValidationConfig, final_scores


@dataclass(frozen=True)
class AverageConfig:
    """How a mean is finished.

    Attributes:
        reading: frames for the thresholds and the standard deviations.
        validation: frames for the scores: ``final_frames`` of its split, 0 = no scores.
    """

    reading: ReadingConfig = field(default_factory=lambda: ReadingConfig(frames=150))
    validation: ValidationConfig = field(default_factory=lambda: ValidationConfig(final_frames=300))


def mean_weights(networks: Sequence[Checkpoint], shares: Sequence[float]) -> dict[str, Tensor]:
    """Return the weighted mean of the weights of networks, float32.

    Args:
        networks: of one architecture, widths and input.
        shares: of each; they are divided by their sum.

    Raises:
        ValueError: fewer than two networks, networks that differ, or shares that are not positive or not as
            many.
    """
    if len(networks) < 2:
        raise ValueError(f"average: expected at least two networks, got {len(networks)}")
    if len(shares) != len(networks) or min(shares) <= 0:
        raise ValueError(f"average: expected {len(networks)} positive shares, got {list(shares)}")
    first = networks[0]
    for other in networks[1:]:
        if other.config != first.config:
            raise ValueError(
                f"average: expected networks of one kind, got {first.config} in {first.name} and "
                f"{other.config} in {other.name}"
            )
    mean, total = first.model, shares[0]
    for network, share in zip(networks[1:], shares[1:], strict=True):
        total += share
        mean = mixed(mean, network.model, share / total)
    return mean.state_dict()


def average(
    names_or_paths: Sequence[str | Path],
    to: str | Path,
    shares: Sequence[float] | None = None,
    config: AverageConfig | None = None,
) -> Path:
    """Write the mean of depth networks, with thresholds and standard deviations measured anew.

    Args:
        names_or_paths: weights of the networks.
        to: the ``.safetensors`` file to write; its header says what the networks say of their trainings.
        shares: of each in the mean; None = equal ones.
        config: how the mean is finished; None = the defaults.

    Raises:
        ValueError: the networks do not fit together (:func:`mean_weights`) or do not answer with maps of
            depth, a file does not say how its network was trained, or there are no frames to measure on.
    """
    config = config or AverageConfig()
    if config.reading.frames < 1:
        raise ValueError("average: expected frames for thresholds and standard deviations, got none")
    paths = [find_weights(name) for name in names_or_paths]
    networks = [load_checkpoint(path) for path in paths]
    shares = [1.0] * len(networks) if shares is None else list(shares)
    mean = mean_weights(networks, shares)
    network = networks[0].config
    if not isinstance(network, MapConfig) or network.modality != "depth":
        raise ValueError(f"{networks[0].name}: expected a network that answers with maps of depth")
    facts = [training_facts(read_header(path)) for path in paths]
    for path, own in zip(paths, facts, strict=True):
        if "images" not in own:
            raise ValueError(f"{path}: this file does not say how it was trained")
    model = networks[0].model
    model.load_state_dict(mean)
    model = model.half().float().eval()  # measured as it is stored
    settings = measured_settings(model, network, config.reading, config.validation.decoder)
    scores = final_scores(model, network, replace(config.validation, decoder=settings.decoder), half=False)
    scores.pop("per_frame", None)
    members = [
        {**{k: v for k, v in own.items() if k != "scores"}, "share": round(share / sum(shares), 4)}
        for own, share in zip(facts, shares, strict=True)
    ]
    totals = {name: sum(own[name] for own in facts) for name in ("steps", "images", "minutes")}
    said = facts[0] | totals | {"mean_of": members, "split": config.validation.split, "scores": scores}
    metadata = {"training": json.dumps(said), "licence": inherited_licence(*paths), **settings.header()}
    save_checkpoint(to, model, metadata, half=True)
    return Path(to)
