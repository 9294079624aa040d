"""The optimizer, its learning rate over a run, and the running mean of the weights."""

from __future__ import annotations

import copy
import math

import torch
from torch import nn

from orpose_core.training.engine.settings import OptimConfig


def build_optimizer(model: nn.Module, config: OptimConfig) -> torch.optim.Optimizer:
    """Build the optimizer of the trainable parameters, without weight decay for biases and norms."""
    training = [p for p in model.parameters() if p.requires_grad]
    if not training:
        raise ValueError("the model has no parameter that trains")
    groups = [
        {"params": [p for p in training if p.ndim > 1], "weight_decay": config.weight_decay},
        {"params": [p for p in training if p.ndim <= 1], "weight_decay": 0.0},
    ]
    groups = [g for g in groups if g["params"]]
    if config.name == "sgd":
        return torch.optim.SGD(groups, lr=config.lr, momentum=config.momentum)
    return torch.optim.AdamW(groups, lr=config.lr, betas=config.betas)


def learning_rate(config: OptimConfig, step: int, progress: float) -> float:
    """Return the learning rate of optimizer step ``step`` (from 0).

    Args:
        config: the schedule.
        step: number of steps taken before.
        progress: completed share of the run, in [0, 1], which the cosine schedule follows.
    """
    factor = 1.0
    if config.schedule == "step":
        factor = config.step_factor ** sum(step >= at for at in config.step_at)
    elif config.schedule == "cosine":
        fall = 0.5 * (1.0 + math.cos(math.pi * min(max(progress, 0.0), 1.0)))
        factor = config.final_lr_share + (1.0 - config.final_lr_share) * fall
    if step < config.warmup_steps:
        factor *= (step + 1) / config.warmup_steps
    return config.lr * factor


class MeanWeights:
    """An exponential moving average of a model's weights and statistics (EMA); counters are copied.

    The decay after n updates is ``min(decay, (1 + n) / (10 + n))``, so that the random initial weights soon
    lose their influence. With decay 0 the mean is the model itself.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self.updates = 0
        self.model = copy.deepcopy(model).requires_grad_(False).eval() if decay else model

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        """Update the mean with the current weights of the model."""
        if not self.decay:
            return
        weight = 1.0 - min(self.decay, (1 + self.updates) / (10 + self.updates))
        self.updates += 1
        torch._foreach_lerp_(list(self.model.parameters()), list(model.parameters()), weight)
        for mean, now in zip(self.model.buffers(), model.buffers(), strict=True):
            if mean.is_floating_point():  # a norm's statistics belong to the weights of their time
                mean.lerp_(now, weight)
            else:
                mean.copy_(now)
