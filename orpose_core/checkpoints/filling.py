"""Tensors of a file put into the network that they belong to."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import torch
from torch import Tensor, nn

from orpose_core.checkpoints.weights_file import WeightsFile

_MOST_LISTED = 3
_REAL = (torch.float16, torch.bfloat16, torch.float32, torch.float64)

Network = TypeVar("Network", bound=nn.Module)


def filled(file: WeightsFile, build: Callable[[], Network]) -> Network:
    """Return a network with the weights of a file, in evaluation mode, float32, on the CPU.

    Args:
        file: whose tensors are put in.
        build: makes the network; it may be called twice, first on the meta device.

    Raises:
        ValueError: names the file; no network can be built, or the weights do not fit it or are not finite.
    """
    try:
        with torch.device("meta"):  # no initial values are drawn, and a false config cannot ask for memory
            model = build()
    except (RuntimeError, TypeError, OverflowError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(f"{file.path}: no network can be built from its config: {reason}") from None
    check_fit(model, file.tensors, str(file.path))
    if any(key not in file.tensors for key, _ in model.named_buffers()):
        model = build()  # some constants are made, not stored
    fill_model(model, file.tensors, str(file.path))
    return model.eval()


def check_fit(model: nn.Module, tensors: dict[str, Tensor], source: str) -> None:
    """Raise ValueError, naming ``source``, unless ``tensors`` are those of ``model``, and finite."""
    wanted = model.state_dict()
    wrong = [f"no {key}" for key in wanted if key not in tensors]
    wrong += [f"unexpected {key}" for key in tensors if key not in wanted]
    wrong += [
        f"{key} of shape {tuple(tensors[key].shape)} instead of {tuple(value.shape)}"
        for key, value in wanted.items()
        if key in tensors and tensors[key].shape != value.shape
    ]
    wrong += [
        f"{key} of {tensors[key].dtype} instead of {'real numbers' if _is_real(value) else value.dtype}"
        for key, value in wanted.items()
        if key in tensors and not _same_kind(tensors[key], value)
    ]
    if wrong:
        more = f" and {len(wrong) - _MOST_LISTED} more" if len(wrong) > _MOST_LISTED else ""
        raise ValueError(
            f"{source}: the weights do not fit the network: {', '.join(wrong[:_MOST_LISTED])}{more}"
        )
    for key, value in tensors.items():
        if not torch.isfinite(value).all():
            raise ValueError(f"{source}: {key} holds values that are not finite")


def fill_model(model: nn.Module, tensors: dict[str, Tensor], source: str) -> None:
    """Put ``tensors`` into ``model`` (meta device too), real numbers as float32; see :func:`check_fit`."""
    check_fit(model, tensors, source)
    state = {k: v.to(torch.float32) if v.is_floating_point() else v for k, v in tensors.items()}
    model.load_state_dict(state, assign=True)


def _is_real(value: Tensor) -> bool:
    return value.dtype in _REAL


def _same_kind(value: Tensor, wanted: Tensor) -> bool:
    return _is_real(value) if _is_real(wanted) else value.dtype == wanted.dtype
