"""How fast this machine multiplies matrices: no network can be quicker than its work at this rate."""

from __future__ import annotations

import time

import torch

_SIDE = 768
_SECONDS = 0.5
_LEAST_RUNS = 5


def matrix_gflops_per_s(dtype: torch.dtype = torch.float32) -> float:
    """Return the best rate of a matrix product in PyTorch with its present threads, in GFLOP/s.

    Processor time is what counts, so that other programs that run meanwhile do not change it.
    """
    a, b = (torch.rand(_SIDE, _SIDE).to(dtype) for _ in range(2))
    torch.mm(a, b)
    seconds: list[float] = []
    end_s = time.perf_counter() + _SECONDS
    while time.perf_counter() < end_s or len(seconds) < _LEAST_RUNS:
        start_s = time.process_time()
        torch.mm(a, b)
        seconds.append((time.process_time() - start_s) / torch.get_num_threads())
    return 2 * _SIDE**3 / min(seconds) / 1e9
