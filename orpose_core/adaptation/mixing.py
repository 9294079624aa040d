"""Weights between those before a training and those after it.

A site shows few people, each of them many times, and a network that learns from them begins to know them: it
is sure of who faces which way, and wrong about those whom it has not seen. The mean of its weights and those
from which the training started keeps most of what the site teaches and forgets most of what it only seems to
teach (Wortsman et al. 2022, "Robust fine-tuning of zero-shot models").
"""

from __future__ import annotations

import copy

import torch
from torch import nn

SHARES = (0.25, 0.5, 0.75, 1.0)
"""Of the trained weights in the mean, as they are tried."""


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
