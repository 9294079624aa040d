"""What a weights file says of the trainings that it went through."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from orpose_core.checkpoints.weights_file import WeightsHeader, find_weights, read_header

_KEPT = ("steps", "images", "minutes", "device", "window_hw", "domains")


def training_facts(header: WeightsHeader) -> dict[str, Any]:
    """Return the facts of a file's last training, with those before it under ``earlier``; {} = it says none.

    Raises:
        ValueError: names the file; what it says is not JSON.
    """
    try:
        facts = json.loads(header.metadata.get("training", "{}"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{header.path}: its header holds no facts of a training: {error}") from None
    if not isinstance(facts, dict):
        raise ValueError(f"{header.path}: its header holds no facts of a training, but {facts!r:.80}")
    return facts


OWN_LICENCE = "Apache-2.0"
"""Of weights that were trained here from random ones."""


def inherited_licence(*names_or_paths: str | Path | None) -> str:
    """Return the licence of weights that were trained from others: theirs.

    Args:
        names_or_paths: weights of orpose that the training starts from; None = none in that place.

    Returns:
        :data:`OWN_LICENCE` where there are none; several licences are joined by "and".
    """
    starts = [find_weights(name) for name in names_or_paths if name is not None]
    licences = dict.fromkeys(read_header(path).licence for path in starts)
    return " and ".join(licences) or OWN_LICENCE


def earlier_trainings(name_or_path: str | Path | None) -> dict[str, Any]:
    """Return what weights that a training starts from say of their own, for the facts of the new ones.

    Args:
        name_or_path: of the weights; None = the training starts from random ones.

    Returns:
        Nothing, or ``earlier``: steps, images, minutes, GPU, windows and domains of each training before, the
        last one first.
    """
    if name_or_path is None:
        return {}
    before = training_facts(read_header(find_weights(name_or_path)))
    return {"earlier": [{name: before.get(name) for name in _KEPT}, *before.get("earlier", [])]}
