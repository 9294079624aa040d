"""Arms with their hands, and legs with their feet."""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

from orpose_core.simulation.arithmetic import applied, unit
from orpose_core.simulation.people import kinematics as k
from orpose_core.simulation.people import outfits as o
from orpose_core.simulation.people.pieces import cone, tag
from orpose_core.types import Float64Array


@njit(cache=True)
def add_arms(
    store: tuple,
    slot: NDArray[np.int64],
    joints: Float64Array,
    frames: Float64Array,
    d: Float64Array,
    outfit: Float64Array,
    owner: int,
    base: int,
) -> None:
    """Upper arm, forearm, palm, fingers and thumb, bare or sleeved."""
    h = d[k.STATURE]
    g = math.sqrt(d[k.GIRTH]) * (1.0 - 0.08 * d[k.FEMALE])
    loose, sleeve = outfit[7], outfit[6]
    gown = outfit[4] > 0.5
    for right in (False, True):
        shoulder = joints[k.RIGHT_SHOULDER if right else k.LEFT_SHOULDER]
        elbow = joints[k.RIGHT_ELBOW if right else k.LEFT_ELBOW]
        wrist = joints[k.RIGHT_WRIST_JOINT if right else k.LEFT_WRIST_JOINT]
        hand = frames[k.RIGHT_HAND_FRAME if right else k.LEFT_HAND_FRAME]
        part = 8 if right else 5
        wide = 1.5 * loose if gown else 0.8 * loose
        cloth = 7 if gown else 2
        across = hand[:, 0].copy()
        if sleeve > 0.9:
            cone(
                store,
                slot,
                shoulder,
                elbow,
                0.034 * h * g + wide,
                0.026 * h * g + wide,
                across,
                1.0,
                tag(owner, base, part, cloth),
            )
            cone(
                store,
                slot,
                elbow,
                wrist,
                0.026 * h * g + wide,
                0.018 * h * g + 0.8 * wide,
                across,
                1.0,
                tag(owner, base, part + 1, cloth),
            )
        else:
            end = shoulder + (0.35 + 0.6 * sleeve) * (elbow - shoulder)
            cone(
                store,
                slot,
                shoulder,
                elbow,
                0.031 * h * g,
                0.0235 * h * g,
                across,
                1.0,
                tag(owner, base, part, 0),
            )
            cone(
                store,
                slot,
                shoulder,
                end,
                0.034 * h * g + wide,
                0.031 * h * g + wide,
                across,
                1.0,
                tag(owner, base, part, cloth),
            )
            cone(
                store,
                slot,
                elbow,
                wrist,
                0.0245 * h * g,
                0.0155 * h * g,
                across,
                0.92,
                tag(owner, base, part + 1, 0),
            )
        glove = tag(owner, base, part + 2, 8 if outfit[11] > 0.5 else 0)
        palm = wrist + applied(hand, 0.0, 0.022 * h, 0.0)
        knuckles = wrist + applied(hand, 0.0, 0.056 * h, 0.002 * h)
        tips = wrist + applied(hand, 0.0, 0.098 * h, 0.014 * h)
        cone(store, slot, palm, knuckles, 0.019 * h, 0.024 * h, across, 0.5, glove)
        cone(store, slot, knuckles, tips, 0.022 * h, 0.014 * h, across, 0.45, glove)
        # The thumb is on the side that points forward when the arm hangs.
        lean = -1.0 if right else 1.0
        root = wrist + applied(hand, lean * 0.014 * h, 0.020 * h, 0.004 * h)
        thumb = wrist + applied(hand, lean * 0.034 * h, 0.055 * h, 0.012 * h)
        cone(store, slot, root, thumb, 0.010 * h, 0.007 * h, across, 1.0, glove)


@njit(cache=True)
def add_legs(
    store: tuple,
    slot: NDArray[np.int64],
    joints: Float64Array,
    frames: Float64Array,
    d: Float64Array,
    outfit: Float64Array,
    owner: int,
    base: int,
) -> None:
    """Thighs, shanks with calves, and shoes."""
    h, g = d[k.STATURE], math.sqrt(d[k.GIRTH])
    loose = outfit[8]
    for right in (False, True):
        hip = joints[k.RIGHT_HIP if right else k.LEFT_HIP]
        knee = joints[k.RIGHT_KNEE if right else k.LEFT_KNEE]
        ankle = joints[k.RIGHT_ANKLE if right else k.LEFT_ANKLE]
        foot = frames[k.RIGHT_FOOT_FRAME if right else k.LEFT_FOOT_FRAME]
        part = 14 if right else 11
        side = foot[:, 0].copy()
        thigh = 0.050 * h * d[k.GIRTH]
        bare = outfit[9] > 0.0
        cloth = 0 if bare else 3
        above = 7 if outfit[4] > 0.5 else cloth  # where a stride pushes the gown out
        inner = hip + (0.018 * h) * unit(joints[k.PELVIS] - hip)
        cone(
            store,
            slot,
            inner,
            knee,
            thigh + loose,
            0.032 * h * g + loose,
            side,
            1.0,
            tag(owner, base, part, above),
        )
        cone(
            store,
            slot,
            knee,
            ankle,
            0.031 * h * g + loose,
            0.021 * h * g + loose,
            side,
            1.0,
            tag(owner, base, part + 1, cloth),
        )
        bone = unit(ankle - knee)
        back = foot[:, 1] - (foot[0, 1] * bone[0] + foot[1, 1] * bone[1] + foot[2, 1] * bone[2]) * bone
        calf = knee + 0.30 * (ankle - knee) - 0.013 * h * unit(back)
        low = knee + 0.55 * (ankle - knee) - 0.006 * h * unit(back)
        cone(
            store,
            slot,
            calf,
            low,
            0.030 * h * g + loose,
            0.024 * h * g + loose,
            side,
            1.0,
            tag(owner, base, part + 1, cloth),
        )
        shoe = tag(owner, base, part + 2, 4)
        heel = ankle + applied(foot, 0.0, -0.022 * h, -0.020 * h)
        ball = ankle + applied(foot, 0.0, 0.066 * h, -0.024 * h)
        toes = ankle + applied(foot, 0.0, 0.096 * h, -0.027 * h)
        cone(store, slot, heel, ball, 0.021 * h, 0.024 * h, side, 0.85, shoe)
        cone(store, slot, ball, toes, 0.025 * h, 0.017 * h, side, 0.7, shoe)


@njit(cache=True)
def add_shoes(
    store: tuple,
    slot: NDArray[np.int64],
    joints: Float64Array,
    frames: Float64Array,
    d: Float64Array,
    outfit: Float64Array,
    owner: int,
    base: int,
) -> None:
    """Larger shoes, whose toes say where somebody faces."""
    if outfit[o.RELIEF] <= 0.0:
        return
    h, out = d[k.STATURE], outfit[o.RELIEF]
    for right in (False, True):
        ankle = joints[k.RIGHT_ANKLE if right else k.LEFT_ANKLE]
        foot = frames[k.RIGHT_FOOT_FRAME if right else k.LEFT_FOOT_FRAME]
        heel = ankle + applied(foot, 0.0, 0.010 * h, -0.018 * h)
        toes = ankle + applied(foot, 0.0, 0.100 * h + 0.3 * out, -0.022 * h)
        shoe = tag(owner, base, 16 if right else 13, o.SHOES)
        cone(store, slot, heel, toes, 0.024 * h, 0.022 * h, foot[:, 0].copy(), 0.8, shoe)
