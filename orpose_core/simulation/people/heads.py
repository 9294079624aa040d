"""Head and neck, and what is worn on them."""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

from orpose_core.simulation.arithmetic import applied
from orpose_core.simulation.people import kinematics as k
from orpose_core.simulation.people import outfits as o
from orpose_core.simulation.people.pieces import ball, cone, sleeve, tag
from orpose_core.types import Float64Array


@njit(cache=True)
def add_head(
    store: tuple,
    slot: NDArray[np.int64],
    joints: Float64Array,
    frames: Float64Array,
    d: Float64Array,
    outfit: Float64Array,
    owner: int,
    base: int,
) -> None:
    """Skull, jaw, nose, ears, neck, and what is worn on the head."""
    s = d[k.HEAD_SCALE] * d[k.STATURE]
    skull = frames[k.HEAD_FRAME]
    centre = joints[k.HEAD]
    skin = tag(owner, base, 1, 0)
    masked = outfit[3] > 0.5
    ball(
        store,
        slot,
        skull,
        centre + applied(skull, 0.0, -0.006 * s, 0.022 * s),
        0.045 * s,
        0.056 * s,
        0.053 * s,
        skin,
    )
    ball(
        store,
        slot,
        skull,
        centre + applied(skull, 0.0, 0.018 * s, -0.014 * s),
        0.036 * s,
        0.043 * s,
        0.050 * s,
        skin,
    )
    ball(
        store,
        slot,
        skull,
        centre + applied(skull, 0.0, 0.030 * s, -0.040 * s),
        0.024 * s,
        0.025 * s,
        0.020 * s,
        skin,
    )
    bridge = centre + applied(skull, 0.0, 0.053 * s, 0.010 * s)
    cone(store, slot, bridge, joints[k.NOSE].copy(), 0.006 * s, 0.0095 * s, skull[:, 0].copy(), 1.0, skin)
    for ear in (k.LEFT_EAR, k.RIGHT_EAR):
        ball(store, slot, skull, joints[ear], 0.008 * s, 0.011 * s, 0.018 * s, skin)
    neck = tag(owner, base, 2, 0)
    throat = centre + applied(skull, 0.0, -0.012 * s, -0.030 * s)
    low = joints[k.THORAX] + applied(frames[k.THORAX_FRAME], 0.0, -0.006 * s, 0.005 * s)
    width = (0.034 - 0.004 * d[k.FEMALE]) * s * math.sqrt(d[k.GIRTH])
    cone(store, slot, low, throat, 1.12 * width, width, skull[:, 0].copy(), 1.0, neck)
    if outfit[14] > 0.5:
        collar = joints[k.NECK] + applied(frames[k.THORAX_FRAME], 0.0, 0.006 * s, 0.0)
        cone(
            store,
            slot,
            low,
            collar,
            1.6 * width,
            1.4 * width,
            skull[:, 0].copy(),
            1.0,
            tag(owner, base, 2, 9),
        )
    if masked:
        mask = tag(owner, base, 1, 6)
        ball(
            store,
            slot,
            skull,
            centre + applied(skull, 0.0, 0.036 * s, -0.016 * s),
            0.036 * s,
            0.034 * s,
            0.034 * s,
            mask,
        )
    v = outfit[2] * s
    if outfit[2] > 0.0:
        cap = tag(owner, base, 1, 5)
        ball(
            store,
            slot,
            skull,
            centre + applied(skull, 0.0, -0.016 * s, 0.036 * s),
            0.046 * s + v,
            0.058 * s + v,
            0.042 * s + v,
            cap,
        )
        return
    v = outfit[0] * s
    if outfit[0] > 0.0:
        hair = tag(owner, base, 1, 1)
        ball(
            store,
            slot,
            skull,
            centre + applied(skull, 0.0, -0.012 * s - 0.4 * v, 0.029 * s + 0.3 * v),
            0.046 * s + v,
            0.053 * s + v,
            0.050 * s + v,
            hair,
        )
        if outfit[1] > 0.0:
            end = centre + applied(skull, 0.0, -0.040 * s, 0.0)
            end = end + applied(frames[k.THORAX_FRAME], 0.0, -0.012 * s, -outfit[1] * s)
            top = centre + applied(skull, 0.0, -0.030 * s, 0.010 * s)
            cone(store, slot, top, end, 0.044 * s + 0.6 * v, 0.034 * s, skull[:, 0].copy(), 0.62, hair)
        if outfit[10] > 0.5:
            knot = centre + applied(skull, 0.0, -0.070 * s, 0.035 * s)
            ball(store, slot, skull, knot, 0.022 * s, 0.022 * s, 0.024 * s, hair)


@njit(cache=True)
def add_face(
    store: tuple,
    slot: NDArray[np.int64],
    joints: Float64Array,
    frames: Float64Array,
    d: Float64Array,
    outfit: Float64Array,
    owner: int,
    base: int,
) -> None:
    """Eyes, brows and lips, straps and rim of a mask, and the band of a cap."""
    if outfit[o.RELIEF] <= 0.0:
        return
    s = d[k.HEAD_SCALE] * d[k.STATURE]
    skull = frames[k.HEAD_FRAME]
    side, centre = skull[:, 0].copy(), joints[k.HEAD]
    eyes, brows = tag(owner, base, 1, o.EYES), tag(owner, base, 1, o.HAIR)
    edge = tag(owner, base, 1, o.EDGE)
    for eye in (k.LEFT_EYE, k.RIGHT_EYE):
        ball(
            store,
            slot,
            skull,
            joints[eye] + applied(skull, 0, 0.002 * s, 0),
            0.0085 * s,
            0.005 * s,
            0.005 * s,
            eyes,
        )
        above = joints[eye] + applied(skull, 0.0, 0.003 * s, 0.0125 * s)
        ball(store, slot, skull, above, 0.0125 * s, 0.005 * s, 0.0035 * s, brows)
    if outfit[o.MASKED] > 0.5:
        for sign, ear in ((-1.0, k.LEFT_EAR), (1.0, k.RIGHT_EAR)):
            cheek = centre + applied(skull, sign * 0.032 * s, 0.040 * s, -0.012 * s)
            cone(store, slot, cheek, joints[ear].copy(), 0.003 * s, 0.003 * s, side, 1.0, edge)
        left = centre + applied(skull, -0.026 * s, 0.052 * s, 0.006 * s)
        right = centre + applied(skull, 0.026 * s, 0.052 * s, 0.006 * s)
        nose = centre + applied(skull, 0.0, 0.066 * s, 0.011 * s)
        cone(store, slot, left, nose, 0.003 * s, 0.003 * s, side, 1.0, edge)
        cone(store, slot, nose, right, 0.003 * s, 0.003 * s, side, 1.0, edge)
    else:
        mouth = centre + applied(skull, 0.0, 0.056 * s, -0.029 * s)
        ball(store, slot, skull, mouth, 0.014 * s, 0.007 * s, 0.0045 * s, tag(owner, base, 1, o.LIPS))
    if outfit[o.CAP_VOLUME] > 0.0:
        v = 0.8 * outfit[o.CAP_VOLUME] * s
        low = centre + applied(skull, 0.0, -0.010 * s, 0.022 * s)
        high = centre + applied(skull, 0.0, -0.011 * s, 0.029 * s)
        sleeve(store, slot, low, high, 0.0475 * s + v, 0.0475 * s + v, side, 1.22, edge)
