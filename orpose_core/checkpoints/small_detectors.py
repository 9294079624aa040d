"""Files of the small person detectors that `orpose train detector` writes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from torch import nn

from orpose_core.checkpoints.filling import filled
from orpose_core.checkpoints.weights_file import (
    SUFFIX,
    find_weights,
    read_weights,
    weights_names,
    write_weights,
)
from orpose_core.models.small_detectors import SMALL_DETECTORS

_MOST_CLASSES = 1000


def small_detector_file(name: str, weights: str | Path | None) -> Path | None:
    """Return the file of `orpose train detector` that is meant, or None if it is somebody else's.

    Args:
        name: of a network, or without ``weights`` of weights that are shipped.
        weights: the file, or the name of weights that are shipped.

    Raises:
        ValueError: a network of this module without weights.
    """
    if weights is None:
        if name in SMALL_DETECTORS:
            raise ValueError(f"{name}: expected a file of weights; shipped ones go by their own name")
        return find_weights(name) if name in weights_names() else None
    if Path(weights).suffix == SUFFIX and Path(weights).is_file():
        return Path(weights)
    return find_weights(weights) if str(weights) in weights_names() else None


def load_small_detector(path: str | Path, name: str | None = None) -> tuple[nn.Module, str]:
    """Return the network of a file that `orpose train detector` wrote, and the file's sha256.

    Args:
        path: the file.
        name: of the network expected; None, or the file's own name = whatever it holds.

    Raises:
        ValueError: a damaged file, one of another kind or with another network.
    """
    file = read_weights(path, "detector")
    network = file.config.get("network")
    if network not in SMALL_DETECTORS or name not in (None, file.path.stem, network):
        wanted = name if name in SMALL_DETECTORS else f"one of {', '.join(SMALL_DETECTORS)}"
        raise ValueError(f"{path}: expected a detector of kind {wanted}, got {network!r}")
    classes = file.built(lambda config: int(config.get("num_classes", 2)))
    if not 2 <= classes <= _MOST_CLASSES:
        raise ValueError(f"{path}: expected 2 to {_MOST_CLASSES} classes, got {classes}")
    return filled(file, lambda: SMALL_DETECTORS[network](num_classes=classes)), file.sha256


def save_small_detector(
    path: str | Path,
    model: nn.Module,
    network: str,
    metadata: Mapping[str, str] | None = None,
    half: bool = False,
) -> str:
    """Write a detector of people that was trained here, all or nothing, and return the file's sha256.

    Args:
        path: ends in ``.safetensors``.
        model: of :data:`SMALL_DETECTORS`.
        network: its name there.
        metadata: strings for the header.
        half: store float16.
    """
    return write_weights(path, "detector", model, {"network": network, "num_classes": 2}, metadata, half)
