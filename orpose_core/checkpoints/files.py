"""Weights on disk: safetensors with the network's config, licence and origin in the header.

safetensors holds tensors and strings, never code, so a file from a stranger cannot run anything; what it says
about itself is checked against its tensors before a network is filled.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as to_safetensors_bytes
from torch import Tensor, nn

from orpose_core.files import write_bytes
from orpose_core.models import NetworkConfig, build_model, config_from_dict, config_named, config_of
from orpose_core.resources import find_resource, resource_names

SUFFIX = ".safetensors"
UNTRAINED = "untrained:"
_FORMAT = "orpose-1"
_MOST_LISTED = 3


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
    path = Path(path)
    if path.suffix != SUFFIX:
        raise ValueError(f"{path}: expected a name that ends in {SUFFIX}")
    tensors = storable(path, model, half)
    header = {"trained": "yes", **(metadata or {})}
    header |= {"format": _FORMAT, "config": json.dumps(asdict(config_of(model)), sort_keys=True)}
    return write_safetensors(path, tensors, header)


def storable(path: Path, model: nn.Module, half: bool) -> dict[str, Tensor]:
    """Return a model's tensors as a file has them; ValueError names ``path`` if one is not finite."""
    tensors: dict[str, Tensor] = {}
    for key, value in model.state_dict().items():
        # clone: safetensors refuses views, and channels_last weights are stored in the usual order.
        real = torch.float16 if half else torch.float32
        tensor = value.detach().to("cpu", real if value.is_floating_point() else value.dtype)
        tensors[key] = tensor.clone(memory_format=torch.contiguous_format)
        if not torch.isfinite(tensor).all():
            raise ValueError(f"{path}: not written, {key} holds values that are not finite")
    return tensors


def write_safetensors(path: Path, tensors: dict[str, Tensor], header: dict[str, str]) -> str:
    """Write tensors and strings to ``path``, all or nothing, the same bytes each time; return the sha256."""
    content = _sorted_header(to_safetensors_bytes(tensors, header))
    write_bytes(path, content, durable=True)
    return hashlib.sha256(content).hexdigest()


def _sorted_header(content: bytes) -> bytes:
    """Sort the JSON header of a safetensors file: its writer draws lots, and hashes must agree."""
    start = 8 + int.from_bytes(content[:8], "little")
    header = json.dumps(json.loads(content[8:start]), sort_keys=True, separators=(",", ":")).encode()
    header += b" " * (-len(header) % 8)  # tensors stay aligned
    return len(header).to_bytes(8, "little") + header + content[start:]


def load_checkpoint(name_or_path: str | Path) -> Checkpoint:
    """Load a network.

    Args:
        name_or_path: a ``.safetensors`` file; a bare name, looked up among :func:`weights_names`; or
            ``"untrained:depthpose_64x48"`` (see :func:`orpose_core.models.config_named`) for random weights,
            always the same.

    Raises:
        ValueError: an unknown name; a damaged file; a file of another kind; weights that do not fit the
            config or are not finite. The sentence names the file and says what was expected.
    """
    if str(name_or_path).startswith(UNTRAINED):
        return _untrained(str(name_or_path))
    path = find_weights(name_or_path)
    if path.suffix != SUFFIX:
        raise ValueError(
            f"{path}: expected a {SUFFIX} file of orpose, got {path.suffix or 'no ending'}; "
            "`orpose convert` turns published .pth checkpoints into one"
        )
    tensors, header, sha256 = read_safetensors(path)
    config = _config(path, header)
    try:
        with torch.device("meta"):  # no initial values are drawn, and a false config cannot ask for memory
            model = build_model(config)
    except RuntimeError as error:
        raise ValueError(f"{path}: no network can be built from its config: {error}") from None
    check_fit(model, tensors, str(path))
    if any(key not in tensors for key, _ in model.named_buffers()):
        model = build_model(config)  # some constants are made, not stored
    fill_model(model, tensors, str(path))
    metadata = {k: v for k, v in header.items() if k not in ("format", "config")}
    return Checkpoint(
        model.eval(),
        config,
        path.name.removesuffix(SUFFIX),
        sha256,
        metadata.get("licence", "unknown"),
        metadata.get("trained", "yes") == "yes",
        metadata,
    )


def check_fit(model: nn.Module, tensors: dict[str, Tensor], source: str) -> None:
    """Raise ValueError, naming ``source``, unless ``tensors`` are those of ``model``, and finite."""
    wanted = model.state_dict()
    wrong = [f"no {key}" for key in wanted if key not in tensors]
    wrong += [f"unexpected {key}" for key in tensors if key not in wanted]
    wrong += [
        f"{key} of shape {tuple(tensors[key].shape)} instead of {tuple(value.shape)}"
        for key, value in wanted.items()
        if key in tensors and tensors[key].shape != value.shape
    ]
    if wrong:
        more = f" and {len(wrong) - _MOST_LISTED} more" if len(wrong) > _MOST_LISTED else ""
        raise ValueError(
            f"{source}: the weights do not fit the network: {', '.join(wrong[:_MOST_LISTED])}{more}"
        )
    for key, value in tensors.items():
        if not torch.isfinite(value).all():
            raise ValueError(f"{source}: {key} holds values that are not finite")


def fill_model(model: nn.Module, tensors: dict[str, Tensor], source: str) -> None:
    """Put ``tensors`` into ``model`` (meta device too), real numbers as float32; see :func:`check_fit`."""
    check_fit(model, tensors, source)
    state = {k: v.to(torch.float32) if v.is_floating_point() else v for k, v in tensors.items()}
    model.load_state_dict(state, assign=True)


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """Open a safetensors file; ValueError if it is damaged."""
    try:
        with safe_open(str(path), framework="pt") as file:
            yield file
    except SafetensorError as error:
        raise ValueError(f"{path}: not a readable safetensors file, damaged or cut short ({error})") from None


def read_header(path: Path) -> dict[str, str]:
    """Return the header alone of a safetensors file; ValueError if it is damaged."""
    with _opened(path) as file:
        return dict(file.metadata() or {})


def read_safetensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str], str]:
    """Return tensors, header and sha256 of a safetensors file; ValueError if it is damaged."""
    with _opened(path) as file:
        header = dict(file.metadata() or {})
        tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118  (no iterator)
    return tensors, header, hashlib.sha256(path.read_bytes()).hexdigest()


def _config(path: Path, header: dict[str, str]) -> NetworkConfig:
    """Return the config that the header holds."""
    if header.get("format") != _FORMAT:
        raise ValueError(
            f"{path}: expected a checkpoint written by orpose (format {_FORMAT}), "
            f"got format {header.get('format')!r}"
        )
    try:
        values = json.loads(header["config"])
        if not isinstance(values, dict):
            raise ValueError(f"expected a mapping, got {type(values).__name__}")
        return config_from_dict(values)
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path}: its header holds no config of a network: {error}") from None


def weights_names() -> list[str]:
    """Names of the weights that are there."""
    return resource_names("weights", SUFFIX)


def find_weights(name_or_path: str | Path) -> Path:
    """Return the file that a path or a bare name means; ValueError lists the names there are."""
    found = find_resource("weights", name_or_path, SUFFIX)
    if found is None:
        raise ValueError(
            f"{name_or_path}: no such file, nor weights of that name; there are "
            f"{weights_names() or 'none'}, and {UNTRAINED}depthpose_64x48 for random ones"
        )
    return found


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
