"""Which engine runs a network, and the check that it answers as PyTorch does."""

from __future__ import annotations

import logging
from importlib.util import find_spec
from typing import Protocol

import torch
from torch import Tensor, nn

from orpose_core.engines.graph import onnx_graph
from orpose_core.models.config import MapConfig
from orpose_core.models.inference import MapPredictor, choose_device
from orpose_core.models.maps import PoseMaps

logger = logging.getLogger(__name__)

AUTO = "auto"
BACKENDS = (AUTO, "torch", "openvino", "onnxruntime")
"""Names of the engines, and the one that means the best of those that are there."""

EXTRAS = {"openvino": "/path/to/orpose[openvino]", "onnxruntime": "/path/to/orpose[onnxruntime]"}
"""What pip must install for an engine."""

# Of the largest value of a map. Measured: 1e-6 in float32 and 2e-2 in bf16.
_LARGEST_ERROR = {"float32": 1e-3, "bf16": 0.1}


class Engine(Protocol):
    """A network that is ready to run."""

    @property
    def device(self) -> torch.device:
        """Where it runs."""

    @property
    def backend(self) -> str:
        """Library, device and number format that really run."""

    @property
    def lanes(self) -> int:
        """How many threads may call :meth:`predict` at the same time."""

    def predict(self, images: Tensor) -> PoseMaps:
        """Return the last stage of float32 (B, C, h, w) in [0, 1], on the CPU, float32."""


def installed_backends() -> tuple[str, ...]:
    """Return the names of the engines that are installed here, PyTorch first."""
    return ("torch", *(name for name in EXTRAS if find_spec(name) is not None))


def check_backend(backend: str) -> None:
    """Raise ValueError unless ``backend`` is the name of an engine that is installed."""
    if backend not in BACKENDS:
        raise ValueError(f"backend: expected one of {', '.join(BACKENDS)}, got {backend!r}")
    if backend != AUTO and backend not in installed_backends():
        raise ValueError(
            f"backend {backend} is not installed here: pip install '{EXTRAS[backend]}', or use backend torch"
        )


def choose_engine(
    model: nn.Module,
    config: MapConfig,
    backend: str = AUTO,
    device: str = "auto",
    half_precision: bool = True,
    threads: int | None = None,
    lanes: int = 1,
) -> Engine:
    """Make a network ready to run; whatever compiles, compiles now.

    Args:
        model: gives PoseMaps with at least one stage.
        config: of it.
        backend: one of :data:`BACKENDS`. ``"auto"`` is OpenVINO on a CPU where it is installed and can run
            the network, else PyTorch.
        device: see :func:`~orpose_core.models.inference.choose_device`.
        half_precision: bf16 where that is fast; ONNX Runtime computes in float32 in any case.
        threads: of the CPU; None = as PyTorch has it. Of PyTorch it is to be set by whoever calls.
        lanes: at most how many batches are computed at the same time; only OpenVINO has more than one lane.

    Raises:
        ValueError: no such engine or device here, or one that does not answer as PyTorch does.
    """
    check_backend(backend)
    chosen = choose_device(device)
    if backend == "torch" or (backend == AUTO and not _openvino_serves(chosen)):
        return MapPredictor(model, device, half_precision)
    try:
        threads = threads or torch.get_num_threads()
        return _converted(model, config, backend, chosen, half_precision, threads, lanes)
    except ValueError as error:
        if backend != AUTO:
            raise
        logger.warning("PyTorch runs this network, because OpenVINO cannot: %s", error)
        return MapPredictor(model, device, half_precision)


def _openvino_serves(device: torch.device) -> bool:
    return device.type == "cpu" and "openvino" in installed_backends()


def _converted(
    model: nn.Module,
    config: MapConfig,
    backend: str,
    device: torch.device,
    half_precision: bool,
    threads: int,
    lanes: int,
) -> Engine:
    """Return the network in an engine other than PyTorch."""
    if backend != "onnxruntime" and device.type != "cpu":
        raise ValueError(f"backend {backend}: expected device cpu, got {device}")
    content = onnx_graph(model, config.in_channels, config.input_hw).content
    engine: Engine
    if backend == "onnxruntime":
        from orpose_core.engines.onnxruntime_engine import OnnxRuntimeEngine

        engine = OnnxRuntimeEngine(content, threads, device)
    else:
        from orpose_core.engines.openvino_engine import OpenVinoEngine

        engine = OpenVinoEngine(content, threads, half_precision, lanes=lanes)
    check_answer(engine, model, config)
    return engine


def check_answer(engine: Engine, model: nn.Module, config: MapConfig) -> None:
    """Raise ValueError unless an engine answers one image as the network itself does.

    A graph is recorded from one run of the network: what Python decided then is fixed in it.
    """
    image = torch.rand(1, config.in_channels, *config.input_hw, generator=torch.Generator().manual_seed(0))
    image[..., : config.input_hw[1] // 4] = 0.0  # as where a camera sees nothing
    with torch.inference_mode():
        expected: PoseMaps = model(image)
    got = engine.predict(image)
    pairs = [*zip(got.stages[-1], expected.stages[-1], strict=True)]
    if got.visibility_logits is not None and expected.visibility_logits is not None:
        pairs.append((got.visibility_logits, expected.visibility_logits))
    bound = _LARGEST_ERROR[engine.backend.rsplit(" ", 1)[-1]]
    for answer, truth in pairs:
        if answer.shape != truth.shape or not (answer - truth).abs().max() <= bound * truth.abs().max():
            raise ValueError(f"{engine.backend} does not answer as PyTorch does; use backend torch")
