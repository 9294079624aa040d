"""Graph models of TensorFlow.js: the weights of each operation, read without TensorFlow.

A model is a JSON file with the graph and a manifest of the weights, and the binary files that the manifest
names. Nothing in them is run.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from orpose_core.files import read_json, refuse_stranger

_DTYPES = {"float32": "<f4", "float16": "<f2", "int32": "<i4", "bool": "|b1", "uint8": "|u1", "uint16": "<u2"}
_MOST_BYTES = 1 << 30


@dataclass(frozen=True)
class GraphModel:
    """A graph and its weights.

    Attributes:
        inputs: names of the inputs of each operation, control inputs left out.
        weights: arrays by the name of the constant.
        sha256: of the binary files, in the manifest's order.
    """

    inputs: dict[str, list[str]]
    weights: dict[str, NDArray]
    sha256: str


def read_graph_model(path: str | Path) -> GraphModel:
    """Read a graph model.

    Args:
        path: the JSON file; its binary files lie beside it.

    Raises:
        ValueError: not such a file, a binary file that is missing or of another size; names the file.
    """
    path = Path(path)
    content = read_json(path)
    try:
        groups = content["weightsManifest"]
        nodes = content["modelTopology"]["node"]
        inputs = {
            node["name"]: [i.split(":")[0] for i in node.get("input", []) if not i.startswith("^")]
            for node in nodes
        }
        weights, digest = _read_weights(path, groups)
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{path}: expected a graph model of TensorFlow.js, but it has no {error}") from None
    return GraphModel(inputs, weights, digest)


def _read_weights(path: Path, groups: list[dict[str, Any]]) -> tuple[dict[str, NDArray], str]:
    weights: dict[str, NDArray] = {}
    digest = hashlib.sha256()
    for group in groups:
        data = b""
        for name in group["paths"]:
            if Path(name).name != name:
                raise ValueError(f"{path}: expected binary files beside it, got {name!r}")
            file = path.parent / name
            if not file.is_file():
                raise ValueError(f"{path}: its weights {name} are missing beside it")
            refuse_stranger(file, "weights of TensorFlow.js")
            data += file.read_bytes()
        digest.update(data)
        at = 0
        for entry in group["weights"]:
            array, at = _array(path, entry, data, at)
            weights[entry["name"]] = array
        if at != len(data):
            raise ValueError(f"{path}: expected {at} bytes of weights in {group['paths']}, got {len(data)}")
    return weights, digest.hexdigest()


def _array(path: Path, entry: dict[str, Any], data: bytes, at: int) -> tuple[NDArray, int]:
    """Return the array that starts at a byte, and the byte after it."""
    quantization = entry.get("quantization")
    kind = quantization["dtype"] if quantization else entry["dtype"]
    if kind not in _DTYPES:
        raise ValueError(
            f"{path}: weights {entry['name']} have type {kind!r}, expected one of {sorted(_DTYPES)}"
        )
    shape = tuple(int(n) for n in entry["shape"])
    count = int(np.prod(shape, dtype=np.int64)) if shape else 1
    size = count * np.dtype(_DTYPES[kind]).itemsize
    if count < 0 or size > _MOST_BYTES or at + size > len(data):
        raise ValueError(f"{path}: the weights end before {entry['name']} of shape {shape}")
    array = np.frombuffer(data, _DTYPES[kind], count, at).reshape(shape)
    if quantization and kind != "float16":
        array = array.astype(np.float32) * quantization["scale"] + quantization["min"]
    return array, at + size
