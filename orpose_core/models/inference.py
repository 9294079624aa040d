"""Running a network: where, in which precision, in which memory layout."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import torch
from torch import Tensor, nn

from orpose_core.models.maps import PoseMaps, StageMaps

logger = logging.getLogger(__name__)

_FAST_BF16_FLAGS = {"avx512_bf16", "amx_bf16", "bf16"}  # "bf16" is how Linux calls it on ARM
_ISA_CAPS = ("ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA")
_ISAS_WITH_BF16 = ("ALL", "DEFAULT", "BF16", "FP16", "AMX", "AVX10")
_CPUINFO = Path("/proc/cpuinfo")
_DEVICES = "'auto', 'cpu', 'cuda', 'cuda:N' or 'mps'"


def processor_flags() -> frozenset[str]:
    """Return the instruction sets of the first processor as Linux names them; none where it does not tell."""
    return frozenset(_said_of_processor("flags", "Features").split())


def processor_name() -> str:
    """Return what the first processor is called; "unknown processor" where Linux does not tell."""
    return _said_of_processor("model name") or "unknown processor"


def _said_of_processor(*names: str) -> str:
    """Return the first value under one of these names, "" where there is none."""
    try:
        lines = _CPUINFO.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    for line in lines:
        name, _, value = line.partition(":")
        if name.strip() in names:
            return value.strip()
    return ""


def choose_device(device: str = "auto", local_rank: int | None = None) -> torch.device:
    """Return the device of this name; ``"auto"`` is a GPU where torch has one, else the processor.

    Args:
        device: ``"auto"``, ``"cpu"``, ``"cuda"``, ``"cuda:1"`` or ``"mps"``.
        local_rank: of this process among those that compute together on this machine: the GPU of this number
            is its own.

    Raises:
        ValueError: no device of this name, or one that this machine does not have.
    """
    own = "cuda" if local_rank is None else f"cuda:{local_rank}"
    if device == "auto":
        device = own if torch.cuda.is_available() else "cpu"
    try:
        chosen = torch.device(device)
    except RuntimeError:
        raise ValueError(f"device: expected {_DEVICES}, got {device!r}") from None
    if chosen.type == "mps" and not torch.backends.mps.is_available():
        raise ValueError("device: mps is wanted, but torch finds no GPU of Apple here")
    if chosen.type not in ("cpu", "cuda", "mps"):
        raise ValueError(f"device: expected {_DEVICES}, got {device!r}")
    if chosen.type == "cuda" and (chosen.index or 0) >= torch.cuda.device_count():
        alone = " (expected at most one process per GPU)" if device == own and local_rank else ""
        raise ValueError(
            f"device: {device} is wanted, but torch finds {torch.cuda.device_count()} GPUs here{alone}"
        )
    return chosen


def bf16_is_fast(device: torch.device) -> bool:
    """Whether the device multiplies bf16 in hardware: emulated, it is several times slower than float32.

    ``ONEDNN_MAX_CPU_ISA`` and ``DNNL_MAX_CPU_ISA``, by which PyTorch and OpenVINO can be told to do without
    newer instructions, count: "AVX2" makes of any x86 processor one without bf16.
    """
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    if device.type != "cpu" or _FAST_BF16_FLAGS.isdisjoint(processor_flags()):
        return False
    caps = [os.environ[name].upper() for name in _ISA_CAPS if os.environ.get(name)]
    return all(any(word in cap for word in _ISAS_WITH_BF16) for cap in caps)


class MapPredictor:
    """A pose network ready to run: evaluation mode, channels_last, bf16 where that is fast.

    Attributes:
        device: where it runs.
        bf16: whether convolutions run in bf16; the maps come out as float32 all the same.
        lanes: always one: two threads at a time would both compute with all threads of PyTorch.

    Args:
        model: gives PoseMaps with at least one stage.
        device: see :func:`choose_device`.
        half_precision: False keeps float32 throughout.
    """

    def __init__(self, model: nn.Module, device: str = "auto", half_precision: bool = True) -> None:
        self.device = choose_device(device)
        self.lanes = 1
        self.bf16 = half_precision and bf16_is_fast(self.device)
        self._model = model.eval().to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]

    @property
    def backend(self) -> str:
        """What really runs, for people: "torch 2.4.0 cpu bf16"."""
        return f"torch {torch.__version__.split('+')[0]} {self.device} {'bf16' if self.bf16 else 'float32'}"

    def __call__(self, images: Tensor) -> StageMaps:
        """Return the result of the last stage; see :meth:`predict`."""
        return self.predict(images).stages[-1]

    @torch.inference_mode()
    def predict(self, images: Tensor) -> PoseMaps:
        """Return the last stage alone and the visibility where the network gives it, on the CPU, float32.

        Args:
            images: float32 (B, C, h, w) in [0, 1], on any device.
        """
        images = images.to(self.device, memory_format=torch.channels_last)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.bf16):
            maps: PoseMaps = self._model(images)

        def fetched(maps: Tensor) -> Tensor:
            return maps.to("cpu", torch.float32).contiguous()

        logits = maps.visibility_logits
        stage = StageMaps(*(fetched(m) for m in maps.stages[-1]))
        return PoseMaps((stage,), visibility_logits=None if logits is None else fetched(logits))

    def warm_up(self, batch: int, channels: int, input_hw: tuple[int, int], times: int = 3) -> None:
        """Run on empty images, so that the first frame does not pay for memory and kernel selection."""
        for _ in range(times):
            self(torch.zeros(batch, channels, *input_hw))
