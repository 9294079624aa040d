"""The samples of each training step: which they are, how they are loaded, and how they reach the device."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from orpose_core.training.engine.distributed import Processes
from orpose_core.training.engine.processor import prepare_worker
from orpose_core.training.engine.run_folder import RunState
from orpose_core.training.engine.settings import EngineConfig


class StepBatches(Sampler[list[int]]):
    """The sample indices of each step from any first step on: consecutive, split among the processes.

    Args:
        start: the first step.
        steps: number of steps of the whole run.
        batch: samples per step and process.
        processes: this process among those that train together.
        seen: number of samples that the steps before ``start`` took, in however many processes.
    """

    def __init__(self, start: int, steps: int, batch: int, processes: Processes, seen: int) -> None:
        self.start, self.steps, self.batch, self.processes = start, steps, batch, processes
        self.seen = seen

    def __len__(self) -> int:
        return max(0, self.steps - self.start)

    def __iter__(self) -> Iterator[list[int]]:
        for step in range(max(0, self.steps - self.start)):
            first = self.seen + (step * self.processes.world + self.processes.rank) * self.batch
            yield list(range(first, first + self.batch))


def data_loader(
    dataset: Dataset,
    config: EngineConfig,
    state: RunState,
    processes: Processes,
    collate: Callable[[list], Any],
) -> DataLoader:
    """Return a loader of all steps after ``state``, which prepares batches ahead in worker processes."""
    parallel: dict[str, Any] = {}
    if config.workers:
        # spawn: a forked child of a process that has run OpenMP or CUDA hangs in them
        parallel = {"prefetch_factor": config.prefetch, "multiprocessing_context": "spawn"}
    return DataLoader(
        dataset,
        batch_sampler=StepBatches(state.step, config.steps, config.batch, processes, state.images),
        num_workers=config.workers,
        worker_init_fn=prepare_worker,
        collate_fn=collate,
        pin_memory=processes.device.type == "cuda",
        generator=torch.Generator().manual_seed(config.seed),  # else it draws from the model's random state
        **parallel,
    )


def place(batch: Any, device: torch.device, channels_last: bool) -> Any:
    """Move every tensor of a batch to the device, and convert images to channels_last.

    Lists, tuples and named tuples are rebuilt with their own types, mappings as dicts.
    """
    if isinstance(batch, Tensor):
        images = channels_last and batch.ndim == 4
        layout = torch.channels_last if images else torch.preserve_format
        return batch.to(device, non_blocking=True, memory_format=layout)
    if isinstance(batch, Mapping):
        return {name: place(value, device, channels_last) for name, value in batch.items()}
    if isinstance(batch, list | tuple):
        values = [place(value, device, channels_last) for value in batch]
        return type(batch)(*values) if hasattr(batch, "_fields") else type(batch)(values)
    return batch
