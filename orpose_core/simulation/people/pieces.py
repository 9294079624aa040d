"""The solids that bodies are put together from: cones, flat-ended cones and ellipsoids."""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

from orpose_core.simulation.arithmetic import cross, unit
from orpose_core.types import Float64Array


@njit(cache=True)
def put(
    store: tuple,
    slot: NDArray[np.int64],
    kind: int,
    origin: Float64Array,
    x_axis: Float64Array,
    y_axis: Float64Array,
    z_axis: Float64Array,
    scale_x: float,
    scale_y: float,
    scale_z: float,
    tag: NDArray[np.int64],
) -> None:
    """Write one solid into row ``slot[0]``; ``tag`` is (owner, part, material)."""
    kinds, origins, axes, scales, _, owners, parts, materials = store
    i = slot[0]
    if i >= len(kinds):
        return
    kinds[i] = kind
    for j in range(3):
        origins[i, j] = origin[j]
        axes[i, 0, j], axes[i, 1, j], axes[i, 2, j] = x_axis[j], y_axis[j], z_axis[j]
    scales[i, 0], scales[i, 1], scales[i, 2] = scale_x, scale_y, scale_z
    owners[i], parts[i], materials[i] = tag[0], tag[1], tag[2]
    slot[0] = i + 1


@njit(cache=True)
def cone(
    store: tuple,
    slot: NDArray[np.int64],
    a: Float64Array,
    b: Float64Array,
    ra: float,
    rb: float,
    side: Float64Array,
    squash: float,
    tag: NDArray[np.int64],
) -> None:
    """Add a rounded cone from ``a`` to ``b``, wide along ``side`` and ``squash`` times as thick across."""
    _hull(store, slot, 0, a, b, ra, rb, side, squash, tag)


@njit(cache=True)
def sleeve(
    store: tuple,
    slot: NDArray[np.int64],
    a: Float64Array,
    b: Float64Array,
    ra: float,
    rb: float,
    side: Float64Array,
    squash: float,
    tag: NDArray[np.int64],
) -> None:
    """Add a cone that is cut flat at both ends; else as :func:`cone`."""
    _hull(store, slot, 5, a, b, ra, rb, side, squash, tag)


@njit(cache=True)
def _hull(
    store: tuple,
    slot: NDArray[np.int64],
    kind: int,
    a: Float64Array,
    b: Float64Array,
    ra: float,
    rb: float,
    side: Float64Array,
    squash: float,
    tag: NDArray[np.int64],
) -> None:
    """Add a rounded (kind 0) or flat-ended (kind 5) cone."""
    i = slot[0]
    axis = b - a
    length = math.sqrt(axis[0] * axis[0] + axis[1] * axis[1] + axis[2] * axis[2])
    z = unit(axis)
    y = unit(cross(z, side))
    x = cross(y, z)
    put(store, slot, kind, a, x, y, z, 1.0, squash, 1.0, tag)
    if i < len(store[0]):
        store[4][i, 0], store[4][i, 1], store[4][i, 2] = length, ra, rb


@njit(cache=True)
def ball(
    store: tuple,
    slot: NDArray[np.int64],
    frame: Float64Array,
    centre: Float64Array,
    rx: float,
    ry: float,
    rz: float,
    tag: NDArray[np.int64],
) -> None:
    """Add an ellipsoid with its axes along the columns of ``frame``."""
    x, y, z = frame[:, 0].copy(), frame[:, 1].copy(), frame[:, 2].copy()
    put(store, slot, 1, centre, x, y, z, rx, ry, rz, tag)


@njit(cache=True)
def tag(owner: int, base: int, part: int, material: int) -> NDArray[np.int64]:
    """Return a solid's tag, int64 (3,): owner, part of the body and row of the material table."""
    return np.array([owner, part, base + material])
