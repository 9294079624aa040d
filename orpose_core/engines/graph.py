"""A network as an ONNX graph, in memory: what the engines other than PyTorch read, and what is exported."""

from __future__ import annotations

import inspect
import io
import warnings
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from orpose_core.models.maps import PoseMaps, StageMaps

OPSET = 17
"""Version of the ONNX operators: the oldest that has all that the networks need."""

_TRACED_BATCH = 2  # a batch of 1 would be taken for a constant


class Graph(NamedTuple):
    """A network as ONNX has it.

    Attributes:
        content: bytes of an ONNX model. Its input ``images`` is float32 (B, C, h, w) in [0, 1], any B.
        outputs: names of its outputs, in order: ``paf_maps``, ``keypoint_maps``, and ``visibility_logits``
            where the network gives them (see :mod:`orpose_core.models.maps`).
    """

    content: bytes
    outputs: tuple[str, ...]


class _LastStage(nn.Module):
    """The answer of a network as a plain tuple: its last stage, then its visibility where it gives one."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        maps: PoseMaps = self.model(images)
        logits = maps.visibility_logits
        return tuple(maps.stages[-1]) if logits is None else (*maps.stages[-1], logits)


def onnx_graph(model: nn.Module, channels: int, input_hw: tuple[int, int]) -> Graph:
    """Convert a network that answers with maps.

    Args:
        model: on the CPU, float32; it is set to evaluation mode.
        channels: of its images.
        input_hw: (height, width) of its images; the graph takes no others.

    Raises:
        ValueError: the network does something that ONNX has no operator for.
    """
    images = torch.zeros(_TRACED_BATCH, channels, *input_hw)
    wrapped = _LastStage(model.eval())
    content = io.BytesIO()
    # The exporter by tracing needs no package beside torch. torch before 2.5 has no other.
    by_tracing: dict[str, Any] = (
        {"dynamo": False} if "dynamo" in inspect.signature(torch.onnx.export).parameters else {}
    )
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that checks of shapes become constants, and that tracing is old
        names = (*StageMaps._fields, "visibility_logits")[: len(wrapped(images))]
        try:
            torch.onnx.export(
                wrapped,
                (images,),
                content,  # type: ignore[arg-type]
                input_names=["images"],
                output_names=list(names),
                dynamic_axes={name: {0: "batch"} for name in ("images", *names)},
                opset_version=OPSET,
                **by_tracing,
            )
        except (RuntimeError, TypeError, ValueError) as error:  # OnnxExporterError is a RuntimeError
            first = (str(error).splitlines() or [type(error).__name__])[0]
            raise ValueError(f"{type(model).__name__} cannot be converted to ONNX: {first}") from error
    return Graph(content.getvalue(), names)


def as_maps(outputs: tuple[Tensor, ...]) -> PoseMaps:
    """Return what a graph gave as a network gives it, the last stage alone."""
    return PoseMaps((StageMaps(*outputs[:2]),), visibility_logits=outputs[2] if len(outputs) > 2 else None)
