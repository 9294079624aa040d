"""The training loop for all kinds of networks. The task defines the losses and the validation.

A run is a function of its config alone: sample ``i`` of a data set is always the same, each step takes the
samples that follow those of the step before (:mod:`~orpose_core.training.engine.batches`) and the random
numbers that :func:`step_seed` starts, and the checkpoint holds all other state. On a CPU, a run that was
killed and resumed therefore ends with the same bits as an uninterrupted one.
"""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from typing import Any, Protocol

import cv2
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import Dataset, default_collate
from torch.utils.tensorboard import SummaryWriter
from tqdm import tqdm

from orpose_core.models.inference import bf16_is_fast
from orpose_core.training.engine.batches import data_loader, place
from orpose_core.training.engine.distributed import Processes
from orpose_core.training.engine.optimisation import MeanWeights, build_optimizer, learning_rate
from orpose_core.training.engine.run_folder import RunFolder, RunState
from orpose_core.training.engine.settings import EngineConfig, OptimConfig

logger = logging.getLogger(__name__)

_CLOCKS = {"wall": time.monotonic, "processor": time.process_time}


class Task(Protocol):
    """The losses and the validation of a training run."""

    def losses(self, model: nn.Module, batch: Any) -> Mapping[str, Tensor]:
        """Return the terms of the loss by name; their sum is minimised."""
        ...

    def validate(self, model: nn.Module) -> Mapping[str, float]:
        """Return scores by name. The model is in evaluation mode, without autocast."""
        ...


class NonFiniteLoss(ValueError):
    """The loss became NaN or infinite. The message names the term, the step and the newest checkpoint."""


def step_seed(seed: int, step: int, rank: int) -> int:
    """Return the seed of the random numbers that a process draws in a step, for dropout and sampled regions.

    They are the same after a resume, and different in every process.
    """
    return int(np.random.SeedSequence([seed, step, rank]).generate_state(1, np.uint64)[0])


class Trainer:
    """One training run.

    Args:
        model: the network; its trainable parameters are optimised in place.
        task: the losses and the validation.
        dataset: random access to samples by any index >= 0; the same index always gives the same sample.
        optim: settings of the optimizer and the schedule.
        engine: settings of the engine.
        folder: folder of the run's files.
        processes: this process among those that train together.
        collate: makes a batch from a list of samples.
    """

    def __init__(
        self,
        model: nn.Module,
        task: Task,
        dataset: Dataset,
        optim: OptimConfig,
        engine: EngineConfig,
        folder: RunFolder,
        processes: Processes,
        collate: Callable[[list], Any] = default_collate,
    ) -> None:
        if engine.threads:
            torch.set_num_threads(engine.threads)
            cv2.setNumThreads(engine.threads)
        self.task, self.dataset, self.collate = task, dataset, collate
        self.optim, self.engine, self.folder, self.processes = optim, engine, folder, processes
        self.model = model.to(processes.device).train()
        if engine.channels_last:
            self.model = self.model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.optimizer = build_optimizer(self.model, optim)
        self.mean = MeanWeights(self.model, optim.ema_decay)
        self.state = RunState()
        self.half = engine.half_precision and bf16_is_fast(processes.device)

    def resume(self) -> None:
        """Restore all state from the run's checkpoint."""
        self.state, saved = self.folder.load()
        self.model.load_state_dict(saved["model"])
        self.optimizer.load_state_dict(saved["optimizer"])
        if self.optim.ema_decay:
            self.mean.model.load_state_dict(saved["mean"])
            self.mean.updates = saved["mean_updates"]

    def save(self) -> None:
        """Write the checkpoint (process 0 only)."""
        if not self.processes.leads:
            return
        self.folder.save(
            self.state,
            {
                "model": self.model.state_dict(),
                "optimizer": self.optimizer.state_dict(),
                "mean": self.mean.model.state_dict() if self.optim.ema_decay else {},
                "mean_updates": self.mean.updates,
            },
        )

    def progress(self) -> float:
        """The completed share of the run, in [0, 1]."""
        done = self.state.step / self.engine.steps
        if self.engine.progress == "time":
            spent = self.processes.agree(self.state.spent_s)
            done = max(done, spent / (60.0 * self.engine.max_minutes))
        return min(done, 1.0)

    def out_of_time(self) -> bool:
        """Return whether the time limit has been reached."""
        budget_s = 60.0 * self.engine.max_minutes
        return budget_s > 0 and self.processes.agree(self.state.spent_s) >= budget_s

    def step(self, model: nn.Module, batch: Any) -> dict[str, Tensor]:
        """Take one optimizer step; return the terms of the loss, detached, and their ``total``."""
        batch = place(batch, self.processes.device, self.engine.channels_last)
        rate = learning_rate(self.optim, self.state.step, self.progress())
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        torch.manual_seed(step_seed(self.engine.seed, self.state.step, self.processes.rank))
        with torch.autocast(self.processes.device.type, torch.bfloat16, enabled=self.half):
            parts = dict(self.task.losses(model, batch))
        total = torch.stack(list(parts.values())).sum()
        if not torch.isfinite(total):
            self._refuse({name: float(part.detach()) for name, part in parts.items()})
        self.optimizer.zero_grad(set_to_none=True)
        total.backward()
        if self.optim.clip_norm:
            nn.utils.clip_grad_norm_(self.model.parameters(), self.optim.clip_norm)
        self.optimizer.step()
        self.mean.update(self.model)
        return {name: part.detach() for name, part in {**parts, "total": total}.items()}

    def _refuse(self, parts: dict[str, float]) -> None:
        kept = f"; {self.folder.checkpoint} is from before" if self.folder.checkpoint.is_file() else ""
        raise NonFiniteLoss(
            f"the loss is not finite at step {self.state.step}: "
            + ", ".join(f"{name} = {value:g}" for name, value in parts.items())
            + f" (learning rate {self.optimizer.param_groups[0]['lr']:g}); lower optim.lr or set "
            f"optim.clip_norm{kept}"
        )

    def validate(self) -> None:
        """Score the mean weights and store the scores (process 0 only; the others wait).

        Weights that were scored before, as at the end of a run that is resumed there, are not scored again.
        """
        past = self.state.validations
        if self.processes.leads and not (past and past[-1]["step"] == self.state.step):
            self.mean.model.eval()
            with torch.inference_mode():
                scores = dict(self.task.validate(self.mean.model))
            self.model.train()
            if scores:
                entry = {"step": self.state.step, "images": self.state.images, **scores}
                self.state.validations.append(entry)
                logger.info("%s", ", ".join(f"{name} {value:.4g}" for name, value in entry.items()))
        self.processes.wait_for_all()

    def run(self, after_step: Callable[[RunState], object] | None = None) -> RunState:
        """Train to the last step or to the time limit; return the state of the run.

        Args:
            after_step: called with the state after each optimizer step.
        """
        first, batch = self.state.step, self.engine.batch * self.processes.world
        device = self.processes.device
        gpu = torch.cuda.get_device_name(device) if device.type == "cuda" else ""
        loader = data_loader(self.dataset, self.engine, self.state, self.processes, self.collate)
        model: nn.Module = self.model
        if self.processes.world > 1:
            # A weight of 0 may leave out a term of the loss, and with it a head of the network.
            model = DistributedDataParallel(model, find_unused_parameters=True)
        time_s = _CLOCKS[self.engine.clock]
        with closing(_Log(self, first)) as log:
            saved, clock = time.monotonic(), time_s()
            batches = iter(loader)
            while self.state.step < self.engine.steps and not self.out_of_time():
                samples = next(batches)
                arrived = time_s()
                losses = self.step(model, samples)
                now = time_s()
                if self.state.step > first:  # the workers' start is no share of the run's throughput
                    self.state.waited_s += arrived - clock
                self.state.seconds += now - clock
                self.state.step += 1
                self.state.images += batch
                self.state.processes, self.state.device = self.processes.world, gpu
                log.step(losses)
                if after_step is not None:
                    after_step(self.state)
                every = self.engine.validate_steps
                if every and self.state.step % every == 0 and self.state.step < self.engine.steps:
                    self.validate()
                    log.validation()
                if time.monotonic() - saved > 60.0 * self.engine.checkpoint_minutes:
                    self.save()
                    saved = time.monotonic()
                clock = time_s()
                self.state.other_s += clock - now
            self.validate()
            log.validation()
            self.save()
        return self.state


class _Log:
    """TensorBoard and the progress bar of process 0."""

    def __init__(self, trainer: Trainer, first: int) -> None:
        self.trainer, self.first = trainer, first
        self.start_s = trainer.state.seconds
        self.leads = trainer.processes.leads
        folder = str(trainer.folder.tensorboard)
        self.board = SummaryWriter(folder, purge_step=first) if self.leads else None
        terminal = sys.stderr.isatty()
        self.bar = tqdm(
            total=trainer.engine.steps,
            initial=first,
            unit="step",
            disable=not self.leads,
            mininterval=0.5 if terminal else 30.0,
            bar_format="{n_fmt}/{total_fmt} steps|{bar:20}|{postfix}",
        )

    def step(self, losses: Mapping[str, Tensor]) -> None:
        """Count a step; every ``log_steps`` write its losses."""
        state, engine = self.trainer.state, self.trainer.engine
        if self.leads and (state.step % engine.log_steps == 0 or state.step == self.first + 1):
            spent = max(state.seconds - self.start_s, 1e-9)
            steps_per_s = (state.step - self.first) / spent
            images_per_s = steps_per_s * engine.batch * self.trainer.processes.world
            left_s = (engine.steps - state.step) / steps_per_s
            if engine.max_minutes:
                left_s = min(left_s, max(0.0, 60.0 * engine.max_minutes - state.spent_s))
            assert self.board is not None
            for name, value in losses.items():
                self.board.add_scalar(f"loss/{name}", float(value), state.step)
            rate = self.trainer.optimizer.param_groups[0]["lr"]
            waiting = state.waited_s / max(state.seconds, 1e-9)
            self.board.add_scalar("learning_rate", rate, state.step)
            self.board.add_scalar("images_per_s", images_per_s, state.step)
            self.board.add_scalar("share_waiting_for_data", waiting, state.step)
            self.bar.set_postfix_str(
                f"loss {float(losses['total']):.4g}, {images_per_s:.1f} images/s, "
                f"{100 * waiting:.0f} % waiting, {tqdm.format_interval(left_s)} left",
                refresh=False,
            )
        self.bar.update()

    def validation(self) -> None:
        """Write the newest validation scores."""
        if self.board is not None and self.trainer.state.validations:
            newest = self.trainer.state.validations[-1]
            for name, value in newest.items():
                if name not in ("step", "images"):
                    self.board.add_scalar(f"validation/{name}", value, int(newest["step"]))

    def close(self) -> None:
        """Close the bar and the curves."""
        self.bar.close()
        if self.board is not None:
            self.board.close()
