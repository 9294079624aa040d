"""The teacher's keypoint networks by the names of their published files, filled from those files.

``pose_hrnet_w48_384x288.pth`` and ``pose_resnet_152_384x288.pth`` are what their authors call them: network,
size, height x width of the crop.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from orpose_core.checkpoints.filling import fill_model, filled
from orpose_core.checkpoints.torch_files import read_state_dict
from orpose_core.checkpoints.weights_file import (
    SUFFIX,
    find_weights,
    read_weights,
    weights_names,
    write_weights,
)
from orpose_core.models.hrnet import HRNetConfig
from orpose_core.models.keypoint_networks import KeypointConfig, build_keypoint_network
from orpose_core.models.simple_baselines import SimpleBaselinesConfig

_HRNET = re.compile(r"pose_hrnet_w(?P<width>\d+)_(?P<h>\d+)x(?P<w>\d+)")
_RESNET = re.compile(r"pose_resnet_?(?P<layers>\d+)(?P<caffe>_caffe)?_(?P<h>\d+)x(?P<w>\d+)")
_EXAMPLES = "pose_hrnet_w32_256x192, pose_hrnet_w48_384x288, pose_resnet_152_384x288"


@dataclass(frozen=True)
class KeypointNetwork:
    """A keypoint network and where its weights come from.

    Attributes:
        model: in evaluation mode, float32.
        config: what it was built from.
        name: of the file, without its ending.
        sha256: of the file; of the tensors where there is no file.
        trained: False for random weights.
    """

    model: nn.Module
    config: KeypointConfig
    name: str
    sha256: str
    trained: bool


def keypoint_config(name: str) -> KeypointConfig:
    """Return the network that a published file of this name holds; ValueError if the name does not tell."""
    hrnet, resnet = _HRNET.search(name), _RESNET.search(name)
    if hrnet:
        return HRNetConfig(int(hrnet["width"]), (int(hrnet["h"]), int(hrnet["w"])))
    if resnet:
        size = int(resnet["h"]), int(resnet["w"])
        return SimpleBaselinesConfig(int(resnet["layers"]), size, caffe=resnet["caffe"] is not None)
    raise ValueError(f"{name}: expected the name of a keypoint network, such as {_EXAMPLES}")


def load_keypoint_network(path: str | Path, config: KeypointConfig | None = None) -> KeypointNetwork:
    """Load a file: every parameter in its place, none missing, none left over.

    A ``.safetensors`` file, or the name of one that is shipped, holds what `orpose train keypoints` wrote;
    any other is a published one. ``module.`` (DataParallel) is taken off the names, and ``checkpoint.pth``,
    which holds the weights under ``state_dict`` and ``best_state_dict``, is read too. No code in the file is
    run.

    Args:
        path: the file.
        config: what a published file holds; None = as its name says.

    Raises:
        ValueError: names the file, and what is missing, unexpected, of another shape or damaged.
    """
    path = _weights_file(path)
    if path.suffix == SUFFIX:
        return _trained_here(path)
    config = config or keypoint_config(path.stem)
    tensors = read_state_dict(path)
    with torch.device("meta"):
        model = build_keypoint_network(config)
    for key in model.state_dict():
        # Counters that PyTorch 0.4.0 and older did not save; evaluation does not read them.
        if key.endswith(".num_batches_tracked") and key not in tensors:
            tensors[key] = torch.tensor(0)
    fill_model(model, tensors, str(path))
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    return KeypointNetwork(model.eval(), config, path.stem, sha256, trained=True)


def _weights_file(path: str | Path) -> Path:
    """Return the file of a path, or of the bare name of weights that are shipped."""
    return find_weights(path) if str(path) in weights_names() and not Path(path).is_file() else Path(path)


def _trained_here(path: Path) -> KeypointNetwork:
    """Load a file of :func:`save_keypoint_network`."""
    file = read_weights(path, "keypoints")
    config = file.built(_config_of)
    model = filled(file, lambda: build_keypoint_network(config))
    return KeypointNetwork(model, config, path.stem, file.sha256, file.trained)


def _config_of(values: Mapping[str, Any]) -> KeypointConfig:
    """Return the config that a file's header holds."""
    rest = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items() if k != "network"}
    kinds: dict[str, Any] = {kind.__name__: kind for kind in (HRNetConfig, SimpleBaselinesConfig)}
    return kinds[values["network"]](**rest)


def save_keypoint_network(
    path: str | Path,
    model: nn.Module,
    config: KeypointConfig,
    metadata: Mapping[str, str] | None = None,
    half: bool = False,
) -> str:
    """Write a network that was trained here, all or nothing, and return the file's sha256.

    Args:
        path: ends in ``.safetensors``.
        model: of :func:`build_keypoint_network`.
        config: what it was built from.
        metadata: strings for the header.
        half: store float16.
    """
    values = {"network": type(config).__name__, **asdict(config)}
    return write_weights(path, "keypoints", model, values, metadata, half)


def random_keypoint_network(config: KeypointConfig, seed: int = 0) -> KeypointNetwork:
    """Return a network with seeded random weights: for tests and for measuring time; it knows nothing."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = build_keypoint_network(config).eval()
    digest = hashlib.sha256(repr(sorted(asdict(config).items())).encode())
    for key, value in sorted(model.state_dict().items()):
        digest.update(key.encode() + value.numpy().tobytes())
    name = f"untrained_{type(model).__name__.lower()}"
    return KeypointNetwork(model, config, name, digest.hexdigest(), trained=False)
