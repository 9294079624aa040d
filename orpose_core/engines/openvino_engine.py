"""OpenVINO on a CPU."""

from __future__ import annotations

from typing import TYPE_CHECKING

import openvino
import torch
from torch import Tensor

from orpose_core.engines.graph import as_maps
from orpose_core.engines.openvino_core import openvino_core
from orpose_core.models.inference import bf16_is_fast
from orpose_core.models.maps import PoseMaps

if TYPE_CHECKING:
    from openvino import Model


class OpenVinoEngine:
    """A network compiled for this CPU; nothing is written to the disk.

    Attributes:
        device: the CPU.
        bf16: whether it computes in bf16; the maps come out as float32 all the same.

    Args:
        graph: bytes of an ONNX model, or a model of OpenVINO.
        threads: of the CPU.
        half_precision: compute in bf16 where the processor multiplies it in hardware.
        number_format: of the graph, ``"float32"`` or ``"int8"``.
    """

    def __init__(
        self,
        graph: bytes | Model,
        threads: int,
        half_precision: bool = True,
        number_format: str = "float32",
    ) -> None:
        self.device = torch.device("cpu")
        self.bf16 = half_precision and number_format == "float32" and bf16_is_fast(self.device)
        self._number_format = "bf16" if self.bf16 else number_format
        core = openvino_core()
        settings = {
            "PERFORMANCE_HINT": "LATENCY",
            "NUM_STREAMS": 1,
            "INFERENCE_NUM_THREADS": threads,
            # Pinned threads of several processes would all wait for the same core.
            "ENABLE_CPU_PINNING": False,
            "INFERENCE_PRECISION_HINT": "bf16" if self.bf16 else "f32",
        }
        model = core.read_model(graph) if isinstance(graph, bytes) else graph
        self._compiled = core.compile_model(model, "CPU", settings)
        self._request = self._compiled.create_infer_request()

    @property
    def backend(self) -> str:
        """What really runs, for people: "openvino 2026.4.1 cpu float32"."""
        version = openvino.__version__.split("-")[0]
        return f"openvino {version} cpu {self._number_format}"

    def predict(self, images: Tensor) -> PoseMaps:
        """Return the last stage alone and the visibility where the network gives it, on the CPU, float32.

        Args:
            images: float32 (B, C, h, w) in [0, 1].
        """
        answer = self._request.infer({0: images.numpy()}, share_inputs=True)
        return as_maps(tuple(torch.from_numpy(answer[output]) for output in self._compiled.outputs))
