"""OpenVINO on a CPU."""

from __future__ import annotations

from queue import SimpleQueue
from typing import TYPE_CHECKING

import numpy as np
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

    As many threads as there are lanes may call :meth:`predict` at the same time; others wait for a free lane.
    A lane with one thread never waits for another thread at the end of a layer, so several lanes compute more
    images per second than one lane with all threads, which needs the least time for a single image.

    Attributes:
        device: the CPU.
        lanes: how many batches are computed at the same time.
        bf16: whether it computes in bf16; the maps come out as float32 all the same.

    Args:
        graph: bytes of an ONNX model, or a model of OpenVINO.
        threads: of the CPU.
        half_precision: compute in bf16 where the processor multiplies it in hardware.
        number_format: of the graph, ``"float32"`` or ``"int8"``.
        lanes: at most how many batches are computed at the same time, each with its share of the threads.
    """

    def __init__(
        self,
        graph: bytes | Model,
        threads: int,
        half_precision: bool = True,
        number_format: str = "float32",
        lanes: int = 1,
    ) -> None:
        self.device = torch.device("cpu")
        self.lanes = min(lanes, threads)
        self.bf16 = half_precision and number_format == "float32" and bf16_is_fast(self.device)
        self._number_format = "bf16" if self.bf16 else number_format
        core = openvino_core()
        settings = {
            "PERFORMANCE_HINT": "LATENCY" if self.lanes == 1 else "THROUGHPUT",
            "NUM_STREAMS": self.lanes,
            "INFERENCE_NUM_THREADS": threads,
            # Pinned threads of several processes would all wait for the same core.
            "ENABLE_CPU_PINNING": False,
            "INFERENCE_PRECISION_HINT": "bf16" if self.bf16 else "f32",
        }
        model = core.read_model(graph) if isinstance(graph, bytes) else graph
        self._compiled = core.compile_model(model, "CPU", settings)
        self._idle: SimpleQueue[openvino.InferRequest] = SimpleQueue()
        for _ in range(self.lanes):
            self._idle.put(self._compiled.create_infer_request())

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
        request = self._idle.get()
        try:
            if self.lanes == 1:
                request.infer({0: images.numpy()}, share_inputs=True, share_outputs=True)
            else:  # in OpenVINO's own threads: from two of ours, both batches could meet in one lane
                request.start_async({0: images.numpy()}, share_inputs=True)
                request.wait()
            maps = [np.array(tensor.data) for tensor in request.output_tensors]
        finally:
            self._idle.put(request)
        return as_maps(tuple(map(torch.from_numpy, maps)))
