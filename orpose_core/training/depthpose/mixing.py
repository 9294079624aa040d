"""The weighted mean of two networks' weights."""

from __future__ import annotations

import copy

import torch
from torch import nn


def mixed(start: nn.Module, trained: nn.Module, share: float) -> nn.Module:
    """Return a network with the weighted mean of two networks' weights.

    Args:
        start: before the training.
        trained: after it; of the same architecture. Tensors that ``start`` lacks stay as they are.
        share: of the trained weights, in [0, 1].

    Raises:
        ValueError: a share outside [0, 1], or tensors of other shapes.
    """
    if not 0 <= share <= 1:
        raise ValueError(f"mixed: expected a share in [0, 1], got {share}")
    before, after = start.state_dict(), trained.state_dict()
    for name in before.keys() & after.keys():
        if before[name].shape != after[name].shape:
            raise ValueError(
                f"mixed: expected {name} of the same shape, got {tuple(before[name].shape)} before and "
                f"{tuple(after[name].shape)} after"
            )
    mean = copy.deepcopy(trained)
    mean.load_state_dict(
        {
            name: torch.lerp(before[name].to(value), value, share)
            if name in before and value.is_floating_point()
            else value
            for name, value in after.items()
        }
    )
    return mean
