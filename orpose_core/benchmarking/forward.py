"""How fast a network alone is, in each number format that this machine computes in."""

from __future__ import annotations

import time

import torch

from orpose_core.benchmarking.text import milliseconds
from orpose_core.checkpoints.files import load_checkpoint
from orpose_core.models.inference import MapPredictor


def forward(
    name: str = "untrained:depthpose_64x48@0.25/0.125", repeats: int = 20, threads: int = 2, batch: int = 1
) -> str:
    """Measure a network alone: channels_last, in float32 and, where this machine has it, in bf16.

    Args:
        name: as for load_checkpoint; random weights (``untrained:``) cost the same.
        repeats: forward passes measured.
        threads: PyTorch threads.
        batch: images at once (2 is one image with its flip test).
    """
    if repeats < 1 or threads < 1 or batch < 1:
        raise ValueError(
            f"expected at least 1 repeat, 1 thread and a batch of 1, got {repeats}, {threads} and {batch}"
        )
    checkpoint = load_checkpoint(name)
    config = checkpoint.config
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    lines = []
    try:
        for half in (False, True):
            predictor = MapPredictor(checkpoint.model, "cpu", half)
            if half and not predictor.bf16:
                lines.append("bf16: not on this processor")
                continue
            predictor.warm_up(batch, config.in_channels, config.input_hw)
            images = torch.rand(batch, config.in_channels, *config.input_hw)
            seconds = []
            for _ in range(repeats):
                start = time.perf_counter()
                predictor(images)
                seconds.append(time.perf_counter() - start)
            lines.append(
                f"{name}, {predictor.backend}, {threads} threads, batch {batch}: {milliseconds(seconds)}"
            )
    finally:
        torch.set_num_threads(before)
    return "\n".join(lines)
