"""Human3.6M's bodies from the file that the field passes around: VideoPose3D's ``data_3d_h36m.npz``.

It holds one pickled mapping, ``positions_3d``: subject to action to float32 (frames, 32, 3), metres, z up. A
pickle may hold code; this one is read as arrays alone.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib import format as npy_format

from orpose_core.checkpoints.unpickling import load_arrays
from orpose_core.skeleton import H36M17
from orpose_core.types import FloatArray

TRAINING_SUBJECTS = ("S1", "S5", "S6", "S7", "S8")
"""The usual split; S9 and S11 are for testing."""

_JOINTS = (0, 1, 2, 3, 6, 7, 8, 12, 13, 14, 15, 17, 18, 19, 25, 26, 27)
"""Rows of H36M17 among the 32 that the recordings have (Martinez et al., data_utils.py)."""


def read_human36m(path: str | Path, subjects: Sequence[str] = TRAINING_SUBJECTS) -> list[FloatArray]:
    """Read the bodies of some subjects.

    Args:
        path: ``data_3d_h36m.npz``; a file whose sequences have the 17 joints alone is read, too.
        subjects: whose.

    Returns:
        One float32 (frames, 17, 3) per recording, H36M17, room frame, metres, z up.

    Raises:
        ValueError: a missing or damaged file, one with code in it, one without these subjects.
    """
    path = Path(path)
    if not path.is_file():
        raise ValueError(f"{path}: no such file; expected data_3d_h36m.npz as VideoPose3D prepares it")
    try:
        with zipfile.ZipFile(path) as archive:
            positions = _mapping(archive.read("positions_3d.npy"))
    except (zipfile.BadZipFile, KeyError, ValueError, EOFError) as error:
        raise ValueError(
            f"{path}: expected an npz file with positions_3d (subject to action to arrays), got: {error}"
        ) from None
    missing = [subject for subject in subjects if subject not in positions]
    if missing:
        raise ValueError(f"{path}: expected the subjects {list(subjects)}, there are {sorted(positions)}")
    return [
        _joints_of(array, f"{path}: {subject}/{action}")
        for subject in subjects
        for action, array in sorted(positions[subject].items())
    ]


def _mapping(content: bytes) -> dict[str, dict[str, Any]]:
    """Return the one mapping in an ``.npy`` file of objects, without running code."""
    file = io.BytesIO(content)
    version = npy_format.read_magic(file)
    read = npy_format.read_array_header_1_0 if version == (1, 0) else npy_format.read_array_header_2_0
    shape, _, dtype = read(file)
    if shape != () or not dtype.hasobject:
        raise ValueError(f"positions_3d is an array of {dtype}, shape {shape}")
    mapping = load_arrays(file)
    if not isinstance(mapping, dict) or not all(isinstance(v, dict) for v in mapping.values()):
        raise ValueError("positions_3d is no mapping of mappings")
    return mapping


def _joints_of(array: Any, where: str) -> FloatArray:
    shape = np.shape(array)
    if len(shape) != 3 or shape[1] not in (len(H36M17), 32) or shape[2] != 3:
        raise ValueError(f"{where}: expected shape (frames, 32, 3) or (frames, 17, 3), got {shape}")
    positions = np.asarray(array, np.float32)
    if not np.isfinite(positions).all() or np.abs(positions).max(initial=0) > 100:
        raise ValueError(f"{where}: expected finite positions in meters")
    return positions[:, list(_JOINTS)] if shape[1] == 32 else positions
