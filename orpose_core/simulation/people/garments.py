"""What hangs about the whole body: gown, skirt and lead apron."""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

from orpose_core.simulation.arithmetic import applied
from orpose_core.simulation.people import kinematics as k
from orpose_core.simulation.people import outfits as o
from orpose_core.simulation.people.pieces import cone, sleeve, tag
from orpose_core.types import Float64Array


@njit(cache=True)
def add_garments(
    store: tuple,
    slot: NDArray[np.int64],
    joints: Float64Array,
    frames: Float64Array,
    d: Float64Array,
    outfit: Float64Array,
    owner: int,
    base: int,
) -> None:
    """Gown or skirt around the legs, and the plate of a lead apron."""
    h, g = d[k.STATURE], d[k.GIRTH]
    pelvis, thorax = frames[k.PELVIS_FRAME], frames[k.THORAX_FRAME]
    side = pelvis[:, 0].copy()
    knees = 0.5 * (joints[k.LEFT_KNEE] + joints[k.RIGHT_KNEE])
    spread = joints[k.RIGHT_KNEE] - joints[k.LEFT_KNEE]
    gap = 0.5 * math.sqrt(spread[0] * spread[0] + spread[1] * spread[1] + spread[2] * spread[2])
    waist = joints[k.PELVIS] + applied(pelvis, 0.0, 0.0, 0.03 * h)
    shins = 0.5 * (joints[k.LEFT_ANKLE] + joints[k.RIGHT_ANKLE]) - knees
    if outfit[4] > 0.5:
        hem = knees + 0.45 * shins
        wide = min(0.085 * h + 0.8 * gap, 0.20 * h)
        sleeve(store, slot, waist, hem, 0.088 * h * g + 0.015, wide, side, 0.82, tag(owner, base, 17, 7))
        top = joints[k.THORAX] + applied(thorax, 0.0, 0.0, -0.05 * h)
        chest = 0.090 * h * g + 0.015
        cone(store, slot, waist, top, 0.088 * h * g + 0.015, chest, side, 0.74, tag(owner, base, 3, 7))
    elif outfit[9] > 0.0:
        hem = waist + outfit[9] * (knees - waist)
        wide = min(0.065 * h + 0.8 * gap, 0.15 * h)
        sleeve(store, slot, waist, hem, 0.086 * h * g, wide, side, 0.80, tag(owner, base, 17, 3))
    if outfit[5] > 0.5:
        front = joints[k.THORAX] + applied(thorax, 0.0, 0.010 * h, -0.055 * h)
        belt = waist + applied(pelvis, 0.0, 0.008 * h, 0.0)
        thick = 0.084 * h * g + 0.012
        cone(store, slot, belt, front, thick, 0.088 * h * g + 0.010, side, 0.76, tag(owner, base, 3, 9))
        hem = waist + 0.92 * (knees - waist)
        wide = min(0.085 * h + 0.6 * gap, 0.17 * h)
        sleeve(store, slot, belt, hem, thick, wide, side, 0.80, tag(owner, base, 17, 9))


@njit(cache=True)
def add_jacket(
    store: tuple,
    slot: NDArray[np.int64],
    joints: Float64Array,
    frames: Float64Array,
    d: Float64Array,
    outfit: Float64Array,
    owner: int,
    base: int,
) -> None:
    """A jacket that falls straight from the shoulders, open at the front; it hides waist and flanks."""
    if outfit[o.JACKET] <= 0.0:
        return
    h, g = d[k.STATURE], d[k.GIRTH]
    pelvis, thorax = frames[k.PELVIS_FRAME], frames[k.THORAX_FRAME]
    coat = tag(owner, base, 3, 7)
    side = thorax[:, 0].copy()
    high = joints[k.THORAX] + applied(thorax, 0.0, -0.010 * h, -0.055 * h)
    hem = joints[k.PELVIS] + applied(pelvis, 0.0, -0.012 * h, -0.045 * h)
    wide = 0.096 * h * g + outfit[o.JACKET]
    cone(store, slot, hem, high, wide, 0.102 * h * g + 0.7 * outfit[o.JACKET], side, 0.64, coat)
    for sign in (-1.0, 1.0):
        top = joints[k.THORAX] + applied(thorax, sign * 0.060 * h, 0.042 * h * g, -0.050 * h)
        end = joints[k.PELVIS] + applied(pelvis, sign * 0.075 * h, 0.045 * h * g, -0.060 * h)
        r = 0.026 * h + 0.3 * outfit[o.JACKET]
        cone(store, slot, top, end, r, 1.2 * r, side, 0.5, coat)
