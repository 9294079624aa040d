"""Training in one process, or in the several processes that ``torchrun`` starts."""

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
        rank: number of this process; rank 0 writes the files.
        world: number of processes.
        device: device of this process.
    """

    rank: int
    world: int
    device: torch.device

    @property
    def leads(self) -> bool:
        """Return whether this process writes files and shows progress."""
        return self.rank == 0

    def agree(self, value: float) -> float:
        """Return the ``value`` of rank 0 in every process, so that all take the same decision."""
        if self.world == 1:
            return value
        shared = torch.tensor(value, dtype=torch.float64, device=self.device)
        distributed.broadcast(shared, 0)
        return float(shared)

    def wait_for_all(self) -> None:
        """Return when every process has called this; raise ConnectionError if one has ended."""
        if self.world > 1:
            try:
                distributed.barrier()
            except RuntimeError as error:
                raise ConnectionError(
                    f"rank {self.rank} waited for {self.world - 1} others, but one broke off: {error}"
                ) from error


@contextmanager
def processes(device: str, patience: timedelta | None = None) -> Iterator[Processes]:
    """Join the process group that ``torchrun`` started, or make a group of one.

    Args:
        device: device of this process. The backend is gloo on CPUs and nccl on GPUs.
        patience: timeout for the other processes; None = PyTorch's 30 minutes (CPU) or 10 minutes (GPU).
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
