"""Pose networks on disk: what a weights file of kind "network" holds, as a network that is ready to run."""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass
from pathlib import Path

from torch import nn

from orpose_core.checkpoints.filling import filled
from orpose_core.checkpoints.weights_file import UNTRAINED, find_weights, read_weights, write_weights
from orpose_core.models import NetworkConfig, build_model, config_from_dict, config_named, config_of


@dataclass(frozen=True)
class Checkpoint:
    """A network that came from a file (or from a seed).

    Attributes:
        model: the network in evaluation mode, float32, on the CPU.
        config: what it was built from.
        name: the file's name without its ending, or ``"untrained:..."``.
        sha256: of the file's bytes; of the tensors where there is no file.
        licence: of the weights, ``"unknown"`` where the file does not say.
        trained: False for random or merely initialised weights: their poses mean nothing.
        metadata: what else the file says of itself (data, steps, scores).
    """

    model: nn.Module
    config: NetworkConfig
    name: str
    sha256: str
    licence: str
    trained: bool
    metadata: dict[str, str]


def save_checkpoint(
    path: str | Path, model: nn.Module, metadata: dict[str, str] | None = None, half: bool = False
) -> str:
    """Write a network to ``path``, all or nothing, and return the file's sha256.

    Args:
        path: ends in ``.safetensors``.
        model: from :func:`build_model`.
        metadata: strings for the header; ``"licence"`` and ``"trained"`` ("yes", the default, or "no") are
            read back into :class:`Checkpoint`, any other is kept as it is.
        half: store float16, for files that are shipped.

    Raises:
        ValueError: another ending, weights that are not finite (in half precision, if ``half``).
    """
    return write_weights(path, "network", model, asdict(config_of(model)), metadata, half)


def load_checkpoint(name_or_path: str | Path) -> Checkpoint:
    """Load a network.

    Args:
        name_or_path: a ``.safetensors`` file; a bare name, looked up among the weights that are shipped; or
            ``"untrained:depthpose_64x48"`` (see :func:`orpose_core.models.config_named`) for random weights,
            always the same.

    Raises:
        ValueError: an unknown name; a damaged file; a file of another kind; weights that do not fit the
            config or are not finite. The sentence names the file and says what was expected.
    """
    if str(name_or_path).startswith(UNTRAINED):
        return _untrained(str(name_or_path))
    file = read_weights(find_weights(name_or_path), "network")
    config = file.built(config_from_dict)
    model = filled(file, lambda: build_model(config))
    return Checkpoint(model, config, file.path.stem, file.sha256, file.licence, file.trained, file.metadata)


def _untrained(name: str) -> Checkpoint:
    """Build random weights, the same for the same name."""
    bare = name.removeprefix(UNTRAINED)
    config = config_named(bare)
    model = build_model(config, seed=0).eval()
    digest = hashlib.sha256()
    for value in model.state_dict().values():
        digest.update(value.numpy().tobytes())
    metadata = {"trained": "no", "licence": "Apache-2.0"}
    return Checkpoint(model, config, name, digest.hexdigest(), "Apache-2.0", False, metadata)
