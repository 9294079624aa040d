"""Weights of the teacher's stages that were trained here: a file that knows what it holds.

Published files are told by their names; these say in their header what kind they are and how to build them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from torch import Tensor, nn

from orpose_core.checkpoints.files import SUFFIX, read_safetensors, storable, write_safetensors

StageKind = Literal["detector", "keypoints"]
_FORMAT = "orpose-stage-1"


@dataclass(frozen=True)
class StageFile:
    """What a file holds.

    Attributes:
        path: of it.
        kind: which stage.
        config: what the network is built from, JSON values.
        tensors: of the network.
        sha256: of the file.
        metadata: what else it says of itself: licence, training.
    """

    path: Path
    kind: str
    config: dict[str, Any]
    tensors: dict[str, Tensor]
    sha256: str
    metadata: dict[str, str]


def save_stage(
    path: str | Path,
    model: nn.Module,
    kind: StageKind,
    config: Mapping[str, Any],
    metadata: Mapping[str, str] | None = None,
    half: bool = False,
) -> str:
    """Write a stage's network, all or nothing, and return the file's sha256.

    Args:
        path: ends in ``.safetensors``.
        model: the network.
        kind: which stage.
        config: what the network is built from, JSON values.
        metadata: strings for the header.
        half: store float16.

    Raises:
        ValueError: another ending, or weights that are not finite.
    """
    path = Path(path)
    if path.suffix != SUFFIX:
        raise ValueError(f"{path}: expected a name that ends in {SUFFIX}")
    header = {
        **(metadata or {}),
        "format": _FORMAT,
        "kind": kind,
        "config": json.dumps(config, sort_keys=True),
    }
    return write_safetensors(path, storable(path, model, half), header)


def earlier_training(path: str | Path | None) -> dict[str, Any]:
    """Return what weights that a training starts from say of their own, for the facts of the new ones.

    Args:
        path: of the file, or None = it starts from random weights.

    Returns:
        Nothing, or ``earlier``: steps, images, minutes, GPU, windows and domains of each training before, the
        last one first.
    """
    if path is None:
        return {}
    return earlier_of(read_stage(path).metadata)


def earlier_of(metadata: Mapping[str, str]) -> dict[str, Any]:
    """Return ``earlier`` as :func:`earlier_training` does, of a weights file's metadata."""
    before = json.loads(metadata.get("training", "{}"))
    facts = {
        name: before.get(name) for name in ("steps", "images", "minutes", "device", "window_hw", "domains")
    }
    return {"earlier": [facts, *before.get("earlier", [])]}


def read_stage(path: str | Path, kind: StageKind | None = None) -> StageFile:
    """Read a file of :func:`save_stage`.

    Args:
        path: of the file.
        kind: the one expected; None = any.

    Raises:
        ValueError: a damaged file, one of another kind; names it and says what was expected.
    """
    path = Path(path)
    if not path.is_file():
        raise ValueError(f"{path}: no such file")
    tensors, header, sha256 = read_safetensors(path)
    wanted = f"a {kind} stage of a teacher" if kind else "a stage of a teacher"
    if header.get("format") != _FORMAT:
        raise ValueError(f"{path}: expected {wanted} (format {_FORMAT}), got format {header.get('format')!r}")
    if kind is not None and header.get("kind") != kind:
        raise ValueError(f"{path}: expected {wanted}, got one of kind {header.get('kind')!r}")
    try:
        config = json.loads(header["config"])
        if not isinstance(config, dict):
            raise ValueError(f"expected a mapping, got {type(config).__name__}")
    except (KeyError, ValueError) as error:
        raise ValueError(f"{path}: its header holds no config of a network: {error!r}") from None
    rest = {k: v for k, v in header.items() if k not in ("format", "kind", "config")}
    return StageFile(path, header["kind"], config, tensors, sha256, rest)
