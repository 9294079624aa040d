"""ONNX Runtime, on a CPU or a CUDA device."""

from __future__ import annotations

import onnxruntime
import torch
from torch import Tensor

from orpose_core.engines.graph import as_maps
from orpose_core.models.maps import PoseMaps

_ERRORS_ONLY = 3


class OnnxRuntimeEngine:
    """A network that ONNX Runtime has optimised for a device.

    Attributes:
        device: where it runs.
        lanes: always one.

    Args:
        graph: bytes of an ONNX model.
        threads: of the CPU.
        device: the CPU, or a CUDA device, for which the package onnxruntime-gpu is needed.
        number_format: of the graph, ``"float32"`` or ``"int8"``.

    Raises:
        ValueError: this build of ONNX Runtime cannot use the device.
    """

    def __init__(
        self, graph: bytes, threads: int, device: torch.device, number_format: str = "float32"
    ) -> None:
        self.device = device
        self.lanes = 1
        self._number_format = number_format
        provider = "CUDAExecutionProvider" if device.type == "cuda" else "CPUExecutionProvider"
        there = onnxruntime.get_available_providers()
        if provider not in there:
            raise ValueError(
                f"backend onnxruntime: device {device} needs {provider}, which the package onnxruntime-gpu "
                f"has; this one has {', '.join(there)}"
            )
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = _ERRORS_ONLY
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # others need the cores, too
        where = {"device_id": str(device.index or 0)} if device.type == "cuda" else {}
        self._session = onnxruntime.InferenceSession(graph, options, [(provider, where)])

    @property
    def backend(self) -> str:
        """What really runs, for people: "onnxruntime 1.22.0 cpu float32"."""
        return f"onnxruntime {onnxruntime.__version__} {self.device} {self._number_format}"

    def predict(self, images: Tensor) -> PoseMaps:
        """Return the last stage alone and the visibility where the network gives it, on the CPU, float32.

        Args:
            images: float32 (B, C, h, w) in [0, 1].
        """
        outputs = self._session.run(None, {"images": images.numpy()})
        return as_maps(tuple(torch.from_numpy(maps) for maps in outputs))
