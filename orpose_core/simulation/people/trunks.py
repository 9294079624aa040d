"""Chest, belly, pelvis and seat."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from orpose_core.simulation.arithmetic import applied
from orpose_core.simulation.people import kinematics as k
from orpose_core.simulation.people import outfits as o
from orpose_core.simulation.people.pieces import ball, cone, sleeve, tag
from orpose_core.types import Float64Array


@njit(cache=True)
def _chest(
    store: tuple,
    slot: NDArray[np.int64],
    joints: Float64Array,
    frames: Float64Array,
    d: Float64Array,
    outfit: Float64Array,
    cloth: NDArray[np.int64],
) -> None:
    """Shoulders, flanks, shoulder blades, and breast or bust: front and back must differ."""
    h, g, loose = d[k.STATURE], d[k.GIRTH], outfit[7]
    thorax = frames[k.THORAX_FRAME]
    top = joints[k.THORAX]
    for sign, joint in ((-1.0, k.LEFT_SHOULDER), (1.0, k.RIGHT_SHOULDER)):
        inner = top + applied(thorax, sign * 0.020 * h, -0.008 * h, -0.010 * h)
        outer = joints[joint] + applied(thorax, -sign * 0.012 * h, -0.002 * h, -0.004 * h)
        cone(store, slot, inner, outer, 0.040 * h + loose, 0.032 * h + loose, thorax[:, 1].copy(), 0.9, cloth)
        flank = top + applied(thorax, sign * 0.056 * h, -0.004 * h, -0.060 * h)
        ball(store, slot, thorax, flank, 0.040 * h * g + loose, 0.052 * h * g + loose, 0.075 * h, cloth)
        blade = top + applied(thorax, sign * 0.046 * h, -0.050 * h * g, -0.056 * h)
        ball(store, slot, thorax, blade, 0.038 * h, 0.016 * h + loose, 0.050 * h, cloth)
        if outfit[13] > 0.0:
            bust = top + applied(thorax, sign * 0.038 * h, 0.038 * h * g, -0.085 * h)
            r = outfit[13] * h
            ball(store, slot, thorax, bust, 1.35 * r, 0.80 * r + loose, 1.25 * r, cloth)
        else:
            breast = top + applied(thorax, sign * 0.040 * h, 0.040 * h * g, -0.066 * h)
            ball(store, slot, thorax, breast, 0.046 * h, 0.026 * h + loose, 0.042 * h, cloth)


@njit(cache=True)
def add_trunk(
    store: tuple,
    slot: NDArray[np.int64],
    joints: Float64Array,
    frames: Float64Array,
    d: Float64Array,
    outfit: Float64Array,
    owner: int,
    base: int,
) -> None:
    """Chest, belly, pelvis and seat; a backpack over them."""
    h, g, female, loose = d[k.STATURE], d[k.GIRTH], d[k.FEMALE], outfit[7]
    thorax, lumbar, pelvis = frames[k.THORAX_FRAME], frames[k.LUMBAR_FRAME], frames[k.PELVIS_FRAME]
    gown = outfit[4] > 0.5
    cloth = tag(owner, base, 3, 7 if gown else 2)
    below = tag(owner, base, 4, 7 if gown else 3)
    side = thorax[:, 0].copy()
    top = joints[k.THORAX]
    chest = (0.090 - 0.008 * female) * h * g + loose
    waist = (0.072 - 0.006 * female) * h * g + loose
    low = joints[k.SPINE] + applied(lumbar, 0.0, -0.004 * h, -0.012 * h)
    high = top + applied(thorax, 0.0, -0.006 * h, -0.062 * h)
    cone(store, slot, low, high, waist, chest, side, 0.70 + 0.15 * (g - 1.0), cloth)
    _chest(store, slot, joints, frames, d, outfit, cloth)
    hips = (0.088 + 0.006 * female) * h * g + 0.5 * loose
    middle = joints[k.PELVIS] + applied(pelvis, 0.0, -0.004 * h, 0.004 * h)
    ball(store, slot, pelvis, middle, hips, 0.74 * hips, 0.070 * h, below)
    for sign in (-1.0, 1.0):
        seat = joints[k.PELVIS] + applied(pelvis, sign * 0.040 * h, -0.026 * h * g, -0.022 * h)
        ball(store, slot, pelvis, seat, 0.050 * h * g, 0.045 * h * g + 0.5 * loose, 0.052 * h, below)
    hem = joints[k.PELVIS] + applied(pelvis, 0.0, -0.006 * h, -0.042 * h)
    wide = hips + 0.7 * loose + 0.004
    sleeve(store, slot, hem, low, wide, waist + 0.004, pelvis[:, 0].copy(), 0.80, cloth)
    if g > 1.06:
        belly = joints[k.SPINE] + applied(lumbar, 0.0, 0.030 * h * g, -0.030 * h)
        r = 0.062 * h * g
        ball(store, slot, lumbar, belly, 1.25 * r, r * (0.5 + 0.8 * (g - 1.0)) + loose, 1.15 * r, cloth)
    if outfit[12] > 0.5:
        pack = top + applied(thorax, 0.0, -0.105 * h * g, -0.105 * h)
        ball(store, slot, thorax, pack, 0.085 * h, 0.055 * h, 0.130 * h, tag(owner, base, 3, 9))


@njit(cache=True)
def add_build(
    store: tuple,
    slot: NDArray[np.int64],
    joints: Float64Array,
    frames: Float64Array,
    d: Float64Array,
    outfit: Float64Array,
    cloth: NDArray[np.int64],
) -> None:
    """Shoulders that slope from the neck, and flanks that run from the armpits to the waist."""
    h, g, loose = d[k.STATURE], d[k.GIRTH], outfit[o.LOOSE_TOP]
    thorax, lumbar = frames[k.THORAX_FRAME], frames[k.LUMBAR_FRAME]
    forward, side = thorax[:, 1].copy(), thorax[:, 0].copy()
    for sign, joint in ((-1.0, k.LEFT_SHOULDER), (1.0, k.RIGHT_SHOULDER)):
        neck = joints[k.NECK] + applied(thorax, sign * 0.012 * h, -0.012 * h, -0.006 * h)
        tip = joints[joint] + applied(thorax, -sign * 0.004 * h, -0.002 * h, 0.002 * h)
        cone(store, slot, neck, tip, 0.027 * h, 0.026 * h + 0.8 * loose, forward, 1.0, cloth)
        armpit = joints[k.THORAX] + applied(thorax, sign * 0.072 * h * g, -0.006 * h, -0.050 * h)
        flank = joints[k.SPINE] + applied(lumbar, sign * 0.042 * h * g, -0.004 * h, -0.030 * h)
        cone(store, slot, armpit, flank, 0.036 * h * g + loose, 0.040 * h * g + loose, side, 1.1, cloth)


@njit(cache=True)
def add_relief(
    store: tuple,
    slot: NDArray[np.int64],
    joints: Float64Array,
    frames: Float64Array,
    d: Float64Array,
    outfit: Float64Array,
    owner: int,
    base: int,
) -> None:
    """What depth shows of front and back: breastbone, belly, seat, brow, chin and shoulders."""
    if outfit[o.RELIEF] <= 0.0:
        return
    h, g, out = d[k.STATURE], d[k.GIRTH], outfit[o.RELIEF]
    lumbar, pelvis, skull = frames[k.LUMBAR_FRAME], frames[k.PELVIS_FRAME], frames[k.HEAD_FRAME]
    thorax = frames[k.THORAX_FRAME]
    gown = outfit[o.GOWN] > 0.5
    cloth = tag(owner, base, 3, o.COAT if gown else o.TOP)
    add_build(store, slot, joints, frames, d, outfit, cloth)
    breastbone = joints[k.THORAX] + applied(thorax, 0.0, 0.044 * h * g + 0.2 * out, -0.070 * h)
    ball(store, slot, thorax, breastbone, 0.076 * h * g, 0.028 * h, 0.062 * h, cloth)
    belly = joints[k.SPINE] + applied(lumbar, 0.0, 0.030 * h * g + 0.4 * out, -0.020 * h)
    ball(store, slot, lumbar, belly, 0.068 * h * g, 0.022 * h + 0.6 * out, 0.075 * h, cloth)
    below = tag(owner, base, 4, o.COAT if gown else o.TROUSERS)
    for sign in (-1.0, 1.0):
        seat = joints[k.PELVIS] + applied(pelvis, sign * 0.038 * h, -0.036 * h * g - 0.3 * out, -0.026 * h)
        ball(store, slot, pelvis, seat, 0.046 * h * g, 0.040 * h * g + 0.5 * out, 0.050 * h, below)
    s = d[k.HEAD_SCALE] * h
    skin = tag(owner, base, 1, o.SKIN)
    brow = joints[k.HEAD] + applied(skull, 0.0, 0.044 * s, 0.020 * s)
    ball(store, slot, skull, brow, 0.030 * s, 0.011 * s, 0.007 * s, skin)
    chin = joints[k.HEAD] + applied(skull, 0.0, 0.046 * s, -0.046 * s)
    ball(store, slot, skull, chin, 0.013 * s, 0.012 * s, 0.010 * s, skin)
