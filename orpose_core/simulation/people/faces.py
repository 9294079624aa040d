"""What tells a face from the back of a head in color: eyes, brows, lips, and the edges of mask and cap."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from orpose_core.simulation.arithmetic import applied
from orpose_core.simulation.people import kinematics as k
from orpose_core.simulation.people import outfits as o
from orpose_core.simulation.people.pieces import ball, cone, sleeve, tag

Float64Array = NDArray[np.float64]


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
