"""Weights on disk: one safetensors file for every kind of network, which says what it holds.

safetensors holds tensors and strings, never code, so a file from a stranger cannot run anything. The header
has ``format``, ``kind``, ``config`` (JSON, what the network is built from), and what else the file says of
itself: ``licence``, ``trained``, ``training``.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as to_safetensors_bytes
from torch import Tensor, nn

from orpose_core.files import refuse_stranger, write_bytes
from orpose_core.resources import find_resource, resource_names

SUFFIX = ".safetensors"
UNTRAINED = "untrained:"
FORMAT = "orpose-2"

WeightsKind = Literal["network", "detector", "keypoints", "lifter"]
KIND_WORDS: dict[str, str] = {
    "network": "a pose network",
    "detector": "a person detector, a teacher's first stage",
    "keypoints": "a keypoint network, a teacher's second stage",
    "lifter": "a lifter, a teacher's third stage",
}

_EARLIER_FORMATS = {"orpose-1": "network", "orpose-lifter-1": "lifter", "orpose-stage-1": None}
"""Formats of earlier versions and the kind they hold; None = their header names it."""

_LONGEST_REASON = 1000
"""Characters of a reader's own words: a damaged header may be quoted in them as a whole."""

Built = TypeVar("Built")


@dataclass(frozen=True)
class WeightsHeader:
    """What a file says of itself.

    Attributes:
        path: of the file.
        kind: of the network; one of :data:`KIND_WORDS`.
        config: what the network is built from, JSON values.
        metadata: everything else, strings: licence, training.
    """

    path: Path
    kind: str
    config: dict[str, Any]
    metadata: dict[str, str]

    @property
    def licence(self) -> str:
        """Of the weights; ``"unknown"`` where the file does not say."""
        return self.metadata.get("licence", "unknown")

    @property
    def trained(self) -> bool:
        """False for random or merely initialised weights."""
        return self.metadata.get("trained", "yes") == "yes"

    def built(self, build: Callable[[dict[str, Any]], Built]) -> Built:
        """Return what ``build`` makes of the config; ValueError names the file if it makes nothing."""
        try:
            return build(self.config)
        except (LookupError, TypeError, ValueError, ArithmeticError, AttributeError) as error:
            what = KIND_WORDS[self.kind]
            raise ValueError(f"{self.path}: its header holds no config of {what}: {_words(error)}") from None


@dataclass(frozen=True)
class WeightsFile(WeightsHeader):
    """A file's header and its weights.

    Attributes:
        tensors: by the names of the network's state dict.
        sha256: of the file's bytes.
    """

    tensors: dict[str, Tensor]
    sha256: str


def write_weights(
    path: str | Path,
    kind: WeightsKind,
    model: nn.Module,
    config: Mapping[str, Any],
    metadata: Mapping[str, str] | None = None,
    half: bool = False,
) -> str:
    """Write a network, all or nothing, the same bytes each time, and return the file's sha256.

    Args:
        path: ends in ``.safetensors``.
        kind: what the network is.
        model: the network.
        config: what the network is built from, JSON values.
        metadata: strings for the header; ``"trained"`` is "yes" unless it says "no".
        half: store float16, for files that are shipped.

    Raises:
        ValueError: another ending, or weights that are not finite (in half precision, if ``half``).
    """
    path = Path(path)
    if path.suffix != SUFFIX:
        raise ValueError(f"{path}: expected a name that ends in {SUFFIX}")
    header = {"trained": "yes", **(metadata or {}), "format": FORMAT, "kind": kind}
    header["config"] = json.dumps(config, sort_keys=True)
    content = _sorted_header(to_safetensors_bytes(_storable(path, model, half), header))
    write_bytes(path, content, durable=True)
    return hashlib.sha256(content).hexdigest()


def read_weights(path: str | Path, kind: WeightsKind | None = None) -> WeightsFile:
    """Read a file of :func:`write_weights`, or of an earlier version.

    Args:
        path: of the file.
        kind: the one expected; None = any.

    Raises:
        ValueError: a missing or damaged file, or one of another kind; names it and says what was expected.
    """
    path = Path(path)
    with _opened(path) as file:
        header = _header(path, file, kind)
        tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118  (no iterator)
    return WeightsFile(**vars(header), tensors=tensors, sha256=hashlib.sha256(path.read_bytes()).hexdigest())


def read_header(path: str | Path, kind: WeightsKind | None = None) -> WeightsHeader:
    """Read what a file says of itself, without its weights; see :func:`read_weights`."""
    path = Path(path)
    with _opened(path) as file:
        return _header(path, file, kind)


def find_weights(name_or_path: str | Path) -> Path:
    """Return the file that a path or the bare name of shipped weights means.

    Raises:
        ValueError: no such file; lists the names there are.
    """
    found = find_resource("weights", name_or_path, SUFFIX)
    if found is None:
        raise ValueError(
            f"{name_or_path}: no such file, nor weights of that name; there are "
            f"{', '.join(weights_names()) or 'none'}, and {UNTRAINED}depthpose_64x48 for random ones"
        )
    return found


def weights_names() -> list[str]:
    """Names of the weights that are there."""
    return resource_names("weights", SUFFIX)


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """Open a safetensors file; whatever damage does to the reader becomes a ValueError."""
    if not path.is_file():
        raise ValueError(f"{path}: no such file")
    refuse_stranger(path, "weights")
    if path.suffix != SUFFIX:
        raise ValueError(
            f"{path}: expected a {SUFFIX} file of orpose, got {path.suffix or 'no ending'}; "
            "`orpose convert` turns published .pth checkpoints into one"
        )
    try:
        with safe_open(str(path), framework="pt") as file:
            yield file
    except (
        SafetensorError, LookupError, TypeError, RuntimeError, OverflowError, MemoryError, AttributeError,
        UnicodeError,
    ) as error:  # fmt: skip
        raise ValueError(
            f"{path}: not a readable safetensors file, damaged or cut short ({_words(error)})"
        ) from None


def _header(path: Path, file: Any, kind: str | None) -> WeightsHeader:
    values = dict(file.metadata() or {})
    stored = values.pop("format", None)
    wanted = "weights of orpose" if kind is None else KIND_WORDS[kind]
    if stored != FORMAT and stored not in _EARLIER_FORMATS:
        raise ValueError(f"{path}: expected {wanted} (format {FORMAT}), got format {stored!r}")
    own_kind = values.pop("kind", None) or _EARLIER_FORMATS.get(stored)
    if own_kind not in KIND_WORDS:
        raise ValueError(f"{path}: expected {wanted}, got weights of kind {own_kind!r}")
    if kind not in (None, own_kind):
        raise ValueError(f"{path}: expected {wanted}, got {KIND_WORDS[own_kind]}")
    try:
        config = json.loads(values.pop("config", "null"))
    except (ValueError, RecursionError) as error:
        raise ValueError(
            f"{path}: its header holds no config of {KIND_WORDS[own_kind]}: {_words(error)}"
        ) from None
    if not isinstance(config, dict):
        raise ValueError(
            f"{path}: its header holds no config of {KIND_WORDS[own_kind]}: expected a mapping, "
            f"got {type(config).__name__}"
        )
    return WeightsHeader(path, own_kind, config, values)


def _words(error: BaseException) -> str:
    """Return the first line of an error's message."""
    lines = str(error).splitlines()
    text = lines[0] if lines and not isinstance(error, LookupError) else repr(error)
    return text if len(text) <= _LONGEST_REASON else f"{text[: _LONGEST_REASON - 3]}..."


def _storable(path: Path, model: nn.Module, half: bool) -> dict[str, Tensor]:
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


def _sorted_header(content: bytes) -> bytes:
    """Sort the JSON header of a safetensors file: its writer's order is random, and hashes must agree."""
    start = 8 + int.from_bytes(content[:8], "little")
    header = json.dumps(json.loads(content[8:start]), sort_keys=True, separators=(",", ":")).encode()
    header += b" " * (-len(header) % 8)  # tensors stay aligned
    return len(header).to_bytes(8, "little") + header + content[start:]
