"""What people hold: boxes, trays and cloth between their hands. It belongs to nobody's body."""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

from orpose_core.simulation.arithmetic import cross, unit
from orpose_core.simulation.people import kinematics as k
from orpose_core.simulation.people import outfits as o
from orpose_core.simulation.people.pieces import put, tag
from orpose_core.types import Float64Array

_NOBODY = -1


@njit(cache=True)
def add_held(
    store: tuple,
    slot: NDArray[np.int64],
    joints: Float64Array,
    frames: Float64Array,
    d: Float64Array,
    outfit: Float64Array,
    base: int,
) -> None:
    """Add a box or tray between the hands, or a cloth that hangs from them."""
    if outfit[o.HELD] < 0.5:
        return
    h, size = d[k.STATURE], outfit[o.HELD_SIZE]
    left = joints[k.LEFT_WRIST_JOINT] + 0.06 * h * frames[k.LEFT_HAND_FRAME][:, 1]
    right = joints[k.RIGHT_WRIST_JOINT] + 0.06 * h * frames[k.RIGHT_HAND_FRAME][:, 1]
    span = right - left
    width = math.sqrt(span[0] * span[0] + span[1] * span[1] + span[2] * span[2])
    x = unit(span)
    front = frames[k.THORAX_FRAME][:, 1].copy()
    z = unit(cross(x, front))
    if z[2] < 0.0:
        z = -z
    y = cross(z, x)
    middle = 0.5 * (left + right)
    thing = tag(_NOBODY, base, 0, 9)
    if outfit[o.HELD] < 1.5:
        put(store, slot, 2, middle + 0.3 * size * z, x, y, z, max(0.5 * width, 0.1), 0.7 * size, size, thing)
    elif outfit[o.HELD] < 2.5:
        put(store, slot, 2, middle + 0.2 * size * y, x, y, z, max(0.5 * width, 0.16), size, 0.015, thing)
    else:
        down = np.array([0.0, 0.0, 1.0])
        flat = unit(np.array([x[0], x[1], 0.0]))
        away = unit(cross(down, flat))
        half = max(0.5 * width, 0.12)
        for fold in range(3):  # three strips, each a little before or behind the next
            shift = (fold - 1.0) * (2.0 / 3.0) * half
            ripple = 0.018 if fold == 1 else -0.012
            centre = middle + shift * flat + ripple * away
            centre = centre - size * down
            put(store, slot, 2, centre, flat, away, down, half / 3.0 + 0.004, 0.010, size, thing)
