"""The images that a model needs, known before it is loaded."""

from __future__ import annotations

import json
from pathlib import Path

_LONGEST_HEADER = 10_000_000


def needs_color(model: str, weights: Path) -> bool:
    """Return whether a model is for color images.

    Args:
        model: name of shipped weights, path of a file, or ``untrained:NAME``.
        weights: folder of the shipped weights.

    The header of a safetensors file contains the modality. Without a file, the name decides: color models are
    the students, and variants with ``color`` in their names. The pose node itself reads the model.
    """
    for file in (Path(model), weights / model, weights / f"{model}.safetensors"):
        if file.is_file():
            modality = _modality(file)
            if modality:
                return modality == "color"
    name = Path(model.removeprefix("untrained:")).name
    return name.startswith("student") or "color" in name


def _modality(file: Path) -> str:
    """Return the modality in the header of a safetensors file; "" if there is none."""
    with file.open("rb") as stream:
        length = int.from_bytes(stream.read(8), "little")
        if length > _LONGEST_HEADER:
            return ""
        header = stream.read(length)
    try:
        config = json.loads(json.loads(header)["__metadata__"]["config"])
        return str(config["modality"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return ""
