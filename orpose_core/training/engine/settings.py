"""The settings of a training run except those of the network and the data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class OptimConfig:
    """The optimizer and its schedule. The defaults are those of Sect. 3 of the DepthPose paper.

    Attributes:
        name: ``"sgd"`` with momentum, or ``"adamw"``.
        lr: the initial learning rate.
        momentum: momentum of SGD.
        betas: betas of AdamW.
        weight_decay: applied to weights of convolutions and linear layers, never to biases and norms.
        schedule: ``"step"`` multiplies by ``step_factor`` at each of ``step_at``; ``"cosine"`` falls to
            ``final_lr_share`` of ``lr`` at the end of the run; ``"constant"`` does neither.
        step_at: for ``"step"``: the optimizer steps after which the learning rate changes.
        step_factor: for ``"step"``: factor of the learning rate.
        final_lr_share: for ``"cosine"``: final learning rate as a share of ``lr``.
        warmup_steps: the learning rate rises linearly over this many steps.
        clip_norm: the gradient is scaled down to at most this L2 norm; 0 = never.
        ema_decay: decay of the exponential moving average of the weights that is validated and exported;
            0 = use the weights themselves.
    """

    name: Literal["sgd", "adamw"] = "sgd"
    lr: float = 1e-3
    momentum: float = 0.9
    betas: tuple[float, float] = (0.9, 0.999)
    weight_decay: float = 0.0
    schedule: Literal["step", "cosine", "constant"] = "step"
    step_at: tuple[int, ...] = (12_000,)
    step_factor: float = 0.1
    final_lr_share: float = 0.0
    warmup_steps: int = 0
    clip_norm: float = 0.0
    ema_decay: float = 0.0

    def __post_init__(self) -> None:
        if not self.lr > 0:
            raise ValueError(f"optim.lr: expected a positive number, got {self.lr}")
        if not 0 <= self.ema_decay < 1:
            raise ValueError(f"optim.ema_decay: expected a number in [0, 1), got {self.ema_decay}")
        if self.clip_norm < 0 or self.weight_decay < 0 or self.warmup_steps < 0:
            raise ValueError("optim: clip_norm, weight_decay and warmup_steps must not be negative")


@dataclass(frozen=True)
class EngineConfig:
    """Settings of the engine.

    Attributes:
        steps: optimizer steps of the whole run.
        batch: images per step and process; the effective batch is this times the number of processes.
        seed: seed of the initial weights, of the order of the data and of its augmentation.
        device: ``"auto"`` uses a GPU if there is one.
        half_precision: bf16 autocast if the machine supports it.
        channels_last: memory layout of images and weights.
        threads: number of threads of PyTorch and of OpenCV; 0 = their defaults.
        workers: number of processes that prepare data; 0 = prepare it in the training process.
        prefetch: number of batches that each worker prepares ahead.
        max_minutes: limit of the time, including resumed parts; 0 = none. When it is reached, the run ends as
            after ``steps``: checkpoint, validation and weights are written.
        clock: the time that is limited and reported: ``"wall"``, or ``"processor"``, the time for which the
            processor worked for this process. Other processes on the machine hardly change the latter, so
            that runs can be compared at equal minutes; it needs ``workers`` 0.
        progress: the measure of progress in the schedule: ``"steps"`` (exactly repeatable), or ``"time"``:
            the larger of the completed shares of ``steps`` and ``max_minutes``, so that a cosine schedule
            ends with the time limit on a machine of any speed.
        checkpoint_minutes: interval of the checkpoints, minutes.
        validate_steps: interval of the validations, optimizer steps; 0 = only at the end.
        log_steps: interval at which the losses are logged, optimizer steps.
    """

    steps: int = 32_000
    batch: int = 12
    seed: int = 0
    device: str = "auto"
    half_precision: bool = True
    channels_last: bool = True
    threads: int = 0
    workers: int = 1
    prefetch: int = 4
    max_minutes: float = 0.0
    clock: Literal["wall", "processor"] = "wall"
    progress: Literal["steps", "time"] = "steps"
    checkpoint_minutes: float = 5.0
    validate_steps: int = 2_000
    log_steps: int = 20

    def __post_init__(self) -> None:
        for name in ("steps", "batch", "prefetch", "log_steps"):
            if getattr(self, name) < 1:
                raise ValueError(f"engine.{name}: expected at least 1, got {getattr(self, name)}")
        for name in ("seed", "threads", "workers", "max_minutes", "checkpoint_minutes", "validate_steps"):
            if getattr(self, name) < 0:
                raise ValueError(f"engine.{name}: expected 0 or more, got {getattr(self, name)}")
        if self.progress == "time" and not self.max_minutes:
            raise ValueError("engine.progress: 'time' needs engine.max_minutes")
        if self.clock == "processor" and self.workers:
            raise ValueError(
                "engine.clock: 'processor' does not count the time of other processes, expected "
                f"engine.workers 0, got {self.workers}"
            )
