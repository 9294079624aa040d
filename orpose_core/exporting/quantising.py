"""int8 by NNCF: the ranges of all activations are measured on synthetic frames.

The convolutions that read the image keep float32. Eight bits of a depth image that reaches 8 m are steps of
3 cm, in which the front of a body looks like its back: they cost ``fastpose_64x48`` 3.3 points of PCK.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor

from orpose_core.estimators import EstimatorConfig, PoseEstimator
from orpose_core.simulation import StreamConfig, simulate_frame

if TYPE_CHECKING:
    import onnx
    import openvino

CALIBRATION_SEED = 3_518_274_069
"""Of the synthetic frames; no training and no benchmark has them."""

_INPUT = "images"
_CONVOLUTIONS = ("Conv", "Convolution", "GroupConvolution")
_DOMAINS = ("or", "general", "anywhere")
_SIZE_HW = (192, 256)


def calibration_images(estimator: PoseEstimator, frames: int) -> list[Tensor]:
    """Return what a network sees of synthetic frames, a third of each domain; float32 (1, C, h, w) each."""
    modality = estimator.info.modality
    streams = [StreamConfig(domain, _SIZE_HW, modality, CALIBRATION_SEED) for domain in _DOMAINS]
    return [
        estimator.prepare([simulate_frame(streams[i % len(streams)], i).frame]).images for i in range(frames)
    ]


def quantised(
    model: onnx.ModelProto | openvino.Model, images: list[Tensor]
) -> onnx.ModelProto | openvino.Model:
    """Return the network with its convolutions in int8, except those that read the image.

    Args:
        model: the network in float32.
        images: float32 (1, C, h, w) each, on which ranges are measured.

    Raises:
        ValueError: NNCF is not installed.
    """
    os.environ["NNCF_CI"] = "1"  # otherwise it reports its use over the network
    try:
        import nncf
    except ModuleNotFoundError as error:
        raise ValueError(f"--int8 needs {error.name}: pip install '/path/to/orpose[int8]'") from None
    named = hasattr(model, "graph")  # ONNX takes inputs by name

    def fed(image: Any) -> Any:
        array = np.ascontiguousarray(image.numpy())
        return {_INPUT: array} if named else array

    return nncf.quantize(
        model,
        nncf.Dataset(images, fed),
        subset_size=len(images),
        preset=nncf.QuantizationPreset.MIXED,
        ignored_scope=nncf.IgnoredScope(names=_reading_the_image(model)),
    )


def _reading_the_image(model: onnx.ModelProto | openvino.Model) -> list[str]:
    """Return the names of the convolutions that read the image, whatever else lies between."""
    found, reached = [], {_INPUT}
    for name, kind, sources, results in _operations(model):
        if reached.isdisjoint(sources):
            continue
        if kind in _CONVOLUTIONS:
            found.append(name)
        else:
            reached.update(results)
    return found


def _operations(
    model: onnx.ModelProto | openvino.Model,
) -> Iterator[tuple[str, str, Iterable[str], Iterable[str]]]:
    """Yield name, kind, inputs and outputs of each operation, those that come first in the network first."""
    if hasattr(model, "graph"):
        for node in model.graph.node:
            yield node.name, node.op_type, node.input, node.output
        return
    for operation in model.get_ordered_ops():
        name = operation.get_friendly_name()
        sources = [entry.get_source_output().get_node().get_friendly_name() for entry in operation.inputs()]
        yield name, operation.get_type_name(), sources, [name]


def torch_settings(threads: int | None = None) -> EstimatorConfig:
    """Return the settings of the reference that an exported network is compared with."""
    return EstimatorConfig("cpu", "torch", half_precision=False, threads=threads, metric_3d=False)
