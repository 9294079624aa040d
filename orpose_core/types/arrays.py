"""The kinds of arrays that flow, and the check of one."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float32]
"""What flows through the package: float32."""

Float64Array = NDArray[np.float64]
"""Where rounding must not decide: metrics, and the simulator's geometry."""

Picture = NDArray[np.uint8]
"""A color image or something to look at, uint8 (H, W, 3), red first."""


def check_array(name: str, array: NDArray, dtype: type, shape: tuple[int | None, ...]) -> None:
    """Raise ValueError unless ``array`` has this dtype and shape (None matches any length)."""
    if not isinstance(array, np.ndarray):
        raise ValueError(f"{name}: expected a numpy array, got {type(array).__name__}")
    fits = array.ndim == len(shape) and all(
        s is None or s == a for s, a in zip(shape, array.shape, strict=True)
    )
    if array.dtype != np.dtype(dtype) or not fits:
        wanted = "x".join("any" if s is None else str(s) for s in shape)
        raise ValueError(
            f"{name}: expected {np.dtype(dtype).name} of shape {wanted}, "
            f"got {array.dtype.name} of shape {'x'.join(map(str, array.shape))}"
        )
