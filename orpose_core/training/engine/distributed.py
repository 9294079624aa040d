"""One process or several: what ``torchrun`` sets up, behind four functions."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import torch
from torch import distributed

from orpose_core.models.inference import choose_device


@dataclass(frozen=True)
class Processes:
    """This process among those that train together.

    Attributes:
        rank: its number; 0 writes the files.
        world: how many there are.
        device: where this one computes.
    """

    rank: int
    world: int
    device: torch.device

    @property
    def leads(self) -> bool:
        """Whether this process writes files and shows progress."""
        return self.rank == 0

    def agree(self, value: float) -> float:
        """Return rank 0's ``value`` in every process, so that clocks that differ cannot part them."""
        if self.world == 1:
            return value
        shared = torch.tensor(value, dtype=torch.float64, device=self.device)
        distributed.broadcast(shared, 0)
        return float(shared)

    def wait_for_all(self) -> None:
        """Return when every process has come here; ConnectionError if one broke off."""
        if self.world > 1:
            try:
                distributed.barrier()
            except RuntimeError as error:
                raise ConnectionError(
                    f"rank {self.rank} waited for {self.world - 1} others, but one broke off: {error}"
                ) from error


@contextmanager
def processes(device: str, patience: timedelta | None = None) -> Iterator[Processes]:
    """Join the group that ``torchrun`` started (gloo on CPUs, nccl on GPUs), or be a group of one.

    Args:
        device: where this process computes, and over what the processes talk.
        patience: how long they wait for each other; None = PyTorch's half an hour (CPU), ten minutes (GPU).
    """
    world = int(os.environ.get("WORLD_SIZE", "1"))
    if world == 1 or not distributed.is_available():
        yield Processes(0, 1, choose_device(device))
        return
    mine = choose_device(device, int(os.environ.get("LOCAL_RANK", "0")))
    if mine.type == "cuda":
        torch.cuda.set_device(mine)
    distributed.init_process_group("nccl" if mine.type == "cuda" else "gloo", timeout=patience)
    try:
        yield Processes(distributed.get_rank(), distributed.get_world_size(), mine)
    finally:
        distributed.destroy_process_group()
