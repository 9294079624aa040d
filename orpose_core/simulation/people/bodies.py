"""People: who they are, what they wear, and the rounded solids that their posed body is made of."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
from numba import njit
from numpy.typing import NDArray

from orpose_core.simulation.arithmetic import applied, cross, unit
from orpose_core.simulation.people import kinematics as k
from orpose_core.simulation.sensing.raycast import Solids

Float64Array = NDArray[np.float64]

# Parts of a body, as in ``Solids.parts``.
(
    PART_HEAD, PART_NECK, PART_TRUNK, PART_PELVIS, PART_LEFT_UPPER_ARM, PART_LEFT_FOREARM, PART_LEFT_HAND,
    PART_RIGHT_UPPER_ARM, PART_RIGHT_FOREARM, PART_RIGHT_HAND, PART_LEFT_THIGH, PART_LEFT_SHANK,
    PART_LEFT_FOOT, PART_RIGHT_THIGH, PART_RIGHT_SHANK, PART_RIGHT_FOOT, PART_SKIRT,
) = range(1, 18)  # fmt: skip

# Materials of one person, as offsets into the person's block of the material table.
SKIN, HAIR, TOP, TROUSERS, SHOES, CAP, MASK, COAT, GLOVES, APRON = range(10)
PERSON_MATERIALS = 10

# Rows of a person's outfit.
HAIR_VOLUME, HAIR_LENGTH, CAP_VOLUME, MASKED, GOWN, APRON_ON, SLEEVE, LOOSE_TOP, LOOSE_TROUSERS, SKIRT = (
    range(10)
)
PONYTAIL, GLOVED, BACKPACK, BUST, COLLAR = 10, 11, 12, 13, 14
OUTFIT_SIZE = 15

SOLIDS_PER_PERSON = 64


@dataclass(frozen=True)
class Person:
    """One person of a scene.

    Attributes:
        dimensions: float64 (13,), see :func:`kinematics.dimensions`.
        outfit: float64 (15,), rows as named in this module: hair's volume and length, cap, mask, gown, apron,
            length of the sleeves (0 = none, 1 = to the wrist), looseness of top and trousers in metres,
            length of a skirt, ponytail, gloves, backpack, bust, thyroid collar.
        role: "clinician", "patient" or "person".
        colors: uint8-like albedo in [0, 1], float64 (10, 3), one row per material.
    """

    dimensions: Float64Array
    outfit: Float64Array
    role: str
    colors: Float64Array = field(repr=False)


@njit(cache=True)
def _put(
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
def _cone(
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
def _sleeve(
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
    """Add a cone that is cut flat at both ends; else as :func:`_cone`."""
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
    _put(store, slot, kind, a, x, y, z, 1.0, squash, 1.0, tag)
    if i < len(store[0]):
        store[4][i, 0], store[4][i, 1], store[4][i, 2] = length, ra, rb


@njit(cache=True)
def _ball(
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
    _put(store, slot, 1, centre, x, y, z, rx, ry, rz, tag)


@njit(cache=True)
def _tag(owner: int, base: int, part: int, material: int) -> NDArray[np.int64]:
    return np.array([owner, part, base + material])


@njit(cache=True)
def _head(
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
    skin = _tag(owner, base, 1, 0)
    masked = outfit[3] > 0.5
    _ball(
        store,
        slot,
        skull,
        centre + applied(skull, 0.0, -0.006 * s, 0.022 * s),
        0.045 * s,
        0.056 * s,
        0.053 * s,
        skin,
    )
    _ball(
        store,
        slot,
        skull,
        centre + applied(skull, 0.0, 0.018 * s, -0.014 * s),
        0.036 * s,
        0.043 * s,
        0.050 * s,
        skin,
    )
    _ball(
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
    _cone(store, slot, bridge, joints[k.NOSE].copy(), 0.006 * s, 0.0095 * s, skull[:, 0].copy(), 1.0, skin)
    for ear in (k.LEFT_EAR, k.RIGHT_EAR):
        _ball(store, slot, skull, joints[ear], 0.008 * s, 0.011 * s, 0.018 * s, skin)
    neck = _tag(owner, base, 2, 0)
    throat = centre + applied(skull, 0.0, -0.012 * s, -0.030 * s)
    low = joints[k.THORAX] + applied(frames[k.THORAX_FRAME], 0.0, -0.006 * s, 0.005 * s)
    width = (0.034 - 0.004 * d[k.FEMALE]) * s * math.sqrt(d[k.GIRTH])
    _cone(store, slot, low, throat, 1.12 * width, width, skull[:, 0].copy(), 1.0, neck)
    if outfit[14] > 0.5:
        collar = joints[k.NECK] + applied(frames[k.THORAX_FRAME], 0.0, 0.006 * s, 0.0)
        _cone(
            store,
            slot,
            low,
            collar,
            1.6 * width,
            1.4 * width,
            skull[:, 0].copy(),
            1.0,
            _tag(owner, base, 2, 9),
        )
    if masked:
        mask = _tag(owner, base, 1, 6)
        _ball(
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
        cap = _tag(owner, base, 1, 5)
        _ball(
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
        hair = _tag(owner, base, 1, 1)
        _ball(
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
            _cone(store, slot, top, end, 0.044 * s + 0.6 * v, 0.034 * s, skull[:, 0].copy(), 0.62, hair)
        if outfit[10] > 0.5:
            knot = centre + applied(skull, 0.0, -0.070 * s, 0.035 * s)
            _ball(store, slot, skull, knot, 0.022 * s, 0.022 * s, 0.024 * s, hair)


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
        _cone(
            store, slot, inner, outer, 0.040 * h + loose, 0.032 * h + loose, thorax[:, 1].copy(), 0.9, cloth
        )
        flank = top + applied(thorax, sign * 0.056 * h, -0.004 * h, -0.060 * h)
        _ball(store, slot, thorax, flank, 0.040 * h * g + loose, 0.052 * h * g + loose, 0.075 * h, cloth)
        blade = top + applied(thorax, sign * 0.046 * h, -0.050 * h * g, -0.056 * h)
        _ball(store, slot, thorax, blade, 0.038 * h, 0.016 * h + loose, 0.050 * h, cloth)
        if outfit[13] > 0.0:
            bust = top + applied(thorax, sign * 0.038 * h, 0.038 * h * g, -0.085 * h)
            r = outfit[13] * h
            _ball(store, slot, thorax, bust, 1.35 * r, 0.80 * r + loose, 1.25 * r, cloth)
        else:
            breast = top + applied(thorax, sign * 0.040 * h, 0.040 * h * g, -0.066 * h)
            _ball(store, slot, thorax, breast, 0.046 * h, 0.026 * h + loose, 0.042 * h, cloth)


@njit(cache=True)
def _trunk(
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
    cloth = _tag(owner, base, 3, 7 if gown else 2)
    below = _tag(owner, base, 4, 7 if gown else 3)
    side = thorax[:, 0].copy()
    top = joints[k.THORAX]
    chest = (0.090 - 0.008 * female) * h * g + loose
    waist = (0.072 - 0.006 * female) * h * g + loose
    low = joints[k.SPINE] + applied(lumbar, 0.0, -0.004 * h, -0.012 * h)
    high = top + applied(thorax, 0.0, -0.006 * h, -0.062 * h)
    _cone(store, slot, low, high, waist, chest, side, 0.70 + 0.15 * (g - 1.0), cloth)
    _chest(store, slot, joints, frames, d, outfit, cloth)
    hips = (0.088 + 0.006 * female) * h * g + 0.5 * loose
    middle = joints[k.PELVIS] + applied(pelvis, 0.0, -0.004 * h, 0.004 * h)
    _ball(store, slot, pelvis, middle, hips, 0.74 * hips, 0.070 * h, below)
    for sign in (-1.0, 1.0):
        seat = joints[k.PELVIS] + applied(pelvis, sign * 0.040 * h, -0.026 * h * g, -0.022 * h)
        _ball(store, slot, pelvis, seat, 0.050 * h * g, 0.045 * h * g + 0.5 * loose, 0.052 * h, below)
    hem = joints[k.PELVIS] + applied(pelvis, 0.0, -0.006 * h, -0.042 * h)
    wide = hips + 0.7 * loose + 0.004
    _sleeve(store, slot, hem, low, wide, waist + 0.004, pelvis[:, 0].copy(), 0.80, cloth)
    if g > 1.06:
        belly = joints[k.SPINE] + applied(lumbar, 0.0, 0.030 * h * g, -0.030 * h)
        r = 0.062 * h * g
        _ball(store, slot, lumbar, belly, 1.25 * r, r * (0.5 + 0.8 * (g - 1.0)) + loose, 1.15 * r, cloth)
    if outfit[12] > 0.5:
        pack = top + applied(thorax, 0.0, -0.105 * h * g, -0.105 * h)
        _ball(store, slot, thorax, pack, 0.085 * h, 0.055 * h, 0.130 * h, _tag(owner, base, 3, 9))


@njit(cache=True)
def _arms(
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
            _cone(
                store,
                slot,
                shoulder,
                elbow,
                0.034 * h * g + wide,
                0.026 * h * g + wide,
                across,
                1.0,
                _tag(owner, base, part, cloth),
            )
            _cone(
                store,
                slot,
                elbow,
                wrist,
                0.026 * h * g + wide,
                0.018 * h * g + 0.8 * wide,
                across,
                1.0,
                _tag(owner, base, part + 1, cloth),
            )
        else:
            end = shoulder + (0.35 + 0.6 * sleeve) * (elbow - shoulder)
            _cone(
                store,
                slot,
                shoulder,
                elbow,
                0.031 * h * g,
                0.0235 * h * g,
                across,
                1.0,
                _tag(owner, base, part, 0),
            )
            _cone(
                store,
                slot,
                shoulder,
                end,
                0.034 * h * g + wide,
                0.031 * h * g + wide,
                across,
                1.0,
                _tag(owner, base, part, cloth),
            )
            _cone(
                store,
                slot,
                elbow,
                wrist,
                0.0245 * h * g,
                0.0155 * h * g,
                across,
                0.92,
                _tag(owner, base, part + 1, 0),
            )
        glove = _tag(owner, base, part + 2, 8 if outfit[11] > 0.5 else 0)
        palm = wrist + applied(hand, 0.0, 0.022 * h, 0.0)
        knuckles = wrist + applied(hand, 0.0, 0.056 * h, 0.002 * h)
        tips = wrist + applied(hand, 0.0, 0.098 * h, 0.014 * h)
        _cone(store, slot, palm, knuckles, 0.019 * h, 0.024 * h, across, 0.5, glove)
        _cone(store, slot, knuckles, tips, 0.022 * h, 0.014 * h, across, 0.45, glove)
        # The thumb is on the side that points forward when the arm hangs.
        lean = -1.0 if right else 1.0
        root = wrist + applied(hand, lean * 0.014 * h, 0.020 * h, 0.004 * h)
        thumb = wrist + applied(hand, lean * 0.034 * h, 0.055 * h, 0.012 * h)
        _cone(store, slot, root, thumb, 0.010 * h, 0.007 * h, across, 1.0, glove)


@njit(cache=True)
def _legs(
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
        _cone(
            store,
            slot,
            inner,
            knee,
            thigh + loose,
            0.032 * h * g + loose,
            side,
            1.0,
            _tag(owner, base, part, above),
        )
        _cone(
            store,
            slot,
            knee,
            ankle,
            0.031 * h * g + loose,
            0.021 * h * g + loose,
            side,
            1.0,
            _tag(owner, base, part + 1, cloth),
        )
        bone = unit(ankle - knee)
        back = foot[:, 1] - (foot[0, 1] * bone[0] + foot[1, 1] * bone[1] + foot[2, 1] * bone[2]) * bone
        calf = knee + 0.30 * (ankle - knee) - 0.013 * h * unit(back)
        low = knee + 0.55 * (ankle - knee) - 0.006 * h * unit(back)
        _cone(
            store,
            slot,
            calf,
            low,
            0.030 * h * g + loose,
            0.024 * h * g + loose,
            side,
            1.0,
            _tag(owner, base, part + 1, cloth),
        )
        shoe = _tag(owner, base, part + 2, 4)
        heel = ankle + applied(foot, 0.0, -0.022 * h, -0.020 * h)
        ball = ankle + applied(foot, 0.0, 0.066 * h, -0.024 * h)
        toes = ankle + applied(foot, 0.0, 0.096 * h, -0.027 * h)
        _cone(store, slot, heel, ball, 0.021 * h, 0.024 * h, side, 0.85, shoe)
        _cone(store, slot, ball, toes, 0.025 * h, 0.017 * h, side, 0.7, shoe)


@njit(cache=True)
def _garments(
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
        _sleeve(store, slot, waist, hem, 0.088 * h * g + 0.015, wide, side, 0.82, _tag(owner, base, 17, 7))
        top = joints[k.THORAX] + applied(thorax, 0.0, 0.0, -0.05 * h)
        chest = 0.090 * h * g + 0.015
        _cone(store, slot, waist, top, 0.088 * h * g + 0.015, chest, side, 0.74, _tag(owner, base, 3, 7))
    elif outfit[9] > 0.0:
        hem = waist + outfit[9] * (knees - waist)
        wide = min(0.065 * h + 0.8 * gap, 0.15 * h)
        _sleeve(store, slot, waist, hem, 0.086 * h * g, wide, side, 0.80, _tag(owner, base, 17, 3))
    if outfit[5] > 0.5:
        front = joints[k.THORAX] + applied(thorax, 0.0, 0.010 * h, -0.055 * h)
        belt = waist + applied(pelvis, 0.0, 0.008 * h, 0.0)
        thick = 0.084 * h * g + 0.012
        _cone(store, slot, belt, front, thick, 0.088 * h * g + 0.010, side, 0.76, _tag(owner, base, 3, 9))
        hem = waist + 0.92 * (knees - waist)
        wide = min(0.085 * h + 0.6 * gap, 0.17 * h)
        _sleeve(store, slot, belt, hem, thick, wide, side, 0.80, _tag(owner, base, 17, 9))


@njit(cache=True)
def _dress(
    store: tuple,
    start: int,
    joints: Float64Array,
    frames: Float64Array,
    d: Float64Array,
    outfit: Float64Array,
    owner: int,
    base: int,
) -> int:
    """Write all solids of one body from row ``start`` on; return the first free row."""
    slot = np.array([start])
    _head(store, slot, joints, frames, d, outfit, owner, base)
    _trunk(store, slot, joints, frames, d, outfit, owner, base)
    _arms(store, slot, joints, frames, d, outfit, owner, base)
    _legs(store, slot, joints, frames, d, outfit, owner, base)
    _garments(store, slot, joints, frames, d, outfit, owner, base)
    return slot[0]


def add_body(
    solids: Solids, person: Person, pose: Float64Array, owner: int, first_material: int
) -> Float64Array:
    """Append the solids of a posed person and return the joints.

    Args:
        solids: grows by at most SOLIDS_PER_PERSON rows.
        person: who.
        pose: float64 (40,), see :mod:`kinematics`.
        owner: index of the person.
        first_material: row of the material table where the person's PERSON_MATERIALS rows begin.

    Returns:
        float64 (24, 3), room frame, metres.
    """
    joints, frames = k.joints_of(pose, person.dimensions)
    store = (
        solids.kinds, solids.origins, solids.axes, solids.scales, solids.params, solids.owners, solids.parts,
        solids.materials,
    )  # fmt: skip
    solids.count = int(
        _dress(store, solids.count, joints, frames, person.dimensions, person.outfit, owner, first_material)
    )
    return joints
