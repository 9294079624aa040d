"""State dicts in files that PyTorch wrote, read without running code."""

from __future__ import annotations

import pickle
import struct
import zipfile
from pathlib import Path

import torch
from torch import Tensor

from orpose_core.files import refuse_stranger


def read_state_dict(path: str | Path) -> dict[str, Tensor]:
    """Read the tensors of a ``.pth`` file without running any code in it.

    A state dict below a key ``best_state_dict``, ``state_dict`` or ``model`` is taken out of there, and
    ``module.`` (DataParallel) is removed from the names.

    Raises:
        ValueError: names the file and says whether it is damaged, holds code, or holds something else.
    """
    path = Path(path)
    if not path.is_file():
        raise ValueError(f"{path}: no such file")
    refuse_stranger(path, "a PyTorch file")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise ValueError(
            f"{path}: refused: expected a file of tensors alone, got other Python objects or a damaged file "
            f"({_reason(error)})"
        ) from None
    except (
        RuntimeError, EOFError, ValueError, TypeError, LookupError, AttributeError, AssertionError,
        OverflowError, MemoryError, OSError, struct.error, zipfile.BadZipFile,
    ) as error:  # fmt: skip
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise ValueError(f"{path}: not a readable PyTorch file, damaged or cut short ({reason})") from None
    for key in ("best_state_dict", "state_dict", "model"):
        if isinstance(content, dict) and isinstance(content.get(key), dict):
            content = content[key]
    if (
        not isinstance(content, dict)
        or not all(isinstance(v, Tensor) for v in content.values())
        or not content
    ):
        raise ValueError(f"{path}: expected a state dict (names to tensors), got {type(content).__name__}")
    return {str(key).removeprefix("module."): value for key, value in content.items()}


def _reason(error: pickle.UnpicklingError) -> str:
    """Return what torch's reader stopped at, without its advice to trust the file."""
    lines = str(error).split("WeightsUnpickler error:")[-1].strip().splitlines()
    return lines[0].strip() if lines else type(error).__name__
