"""Files of converted MoveNet weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from orpose_core.checkpoints.filling import filled
from orpose_core.checkpoints.weights_file import WeightsKind, find_weights, read_weights, write_weights
from orpose_core.models.movenet import MULTIPOSE, THUNDER, MoveNet, MoveNetConfig

MOVENETS: dict[str, MoveNetConfig] = {"movenet_multipose": MULTIPOSE, "movenet_thunder": THUNDER}
"""The published networks by name."""


def _kind(config: MoveNetConfig) -> WeightsKind:
    return "detector" if config.boxes else "keypoints"


def save_movenet(path: str | Path, model: MoveNet, name: str, metadata: Mapping[str, str]) -> str:
    """Write a network in half precision, all or nothing, and return the file's sha256."""
    config = {"network": name, **asdict(model.config)}
    return write_weights(path, _kind(model.config), model, config, metadata, half=True)


def load_movenet(name_or_path: str | Path, name: str) -> tuple[MoveNet, str]:
    """Return a network in evaluation mode, float32, and the sha256 of its file.

    Args:
        name_or_path: a file, or the name of shipped weights.
        name: the network expected, of :data:`MOVENETS`.

    Raises:
        ValueError: no such file, a damaged one, or one of another network.
    """
    path = find_weights(name_or_path)
    file = read_weights(path, _kind(MOVENETS[name]))
    if file.config.get("network") != name:
        raise ValueError(f"{path}: expected {name}, got {file.config.get('network')!r}")
    return filled(file, lambda: MoveNet(MOVENETS[name])), file.sha256
