"""From a pose vector to the 24 joints of a body: a tree for trunk and head, two-bone IK for arms and legs.

Body frames have x to the person's right, y to the front, z up. Segment lengths are the shares of stature of
Drillis and Contini (1966) as printed in Winter, "Biomechanics and Motor Control of Human Movement". A pose
is a flat vector of scalars, so that two poses can be interpolated by interpolating their numbers; hands and
feet are given by their targets, which keeps feet on the floor and hands at their work while the trunk moves.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from orpose_core.simulation.arithmetic import applied, cross, product, rotation_about, unit
from orpose_core.skeleton import BODY24
from orpose_core.types import Float64Array

# Rows of a pose vector. Angles in radians, lengths in metres unless a unit is given.
X, Y, YAW = 0, 1, 2  # of the pelvis in the room; yaw 0 faces room +y, turning left is positive
HEIGHT = 3  # of the pelvis above the floor, in standing hip heights (metres where LYING)
PITCH, ROLL = 4, 5  # of the pelvis; pitch leans forward
FLEX, SIDE, TWIST = 6, 7, 8  # of the spine, thorax against pelvis; flex bends forward, twist turns left
NECK_PITCH, NECK_YAW, NECK_ROLL = 9, 10, 11  # of the head against the thorax; pitch looks down
LEFT_WRIST, RIGHT_WRIST = (
    12,
    15,
)  # while a pose is made: from the shoulder, thorax frame, arm lengths (3 numbers)
LEFT_POLE, RIGHT_POLE = 18, 21  # while a pose is made: where the elbow points, thorax frame (3 numbers)
# :func:`settle_arms` turns those into directions of the bones, which can be interpolated: elbows never flip.
LEFT_FOREARM, RIGHT_FOREARM = LEFT_WRIST, RIGHT_WRIST  # direction, thorax frame (3 numbers)
LEFT_UPPER_ARM, RIGHT_UPPER_ARM = LEFT_POLE, RIGHT_POLE  # direction, thorax frame (3 numbers)
LEFT_FOOT, RIGHT_FOOT = (
    24,
    29,
)  # ankle: side, forward (from the pelvis) and lift, in leg lengths, then yaw, pitch
HAND_ROLL, HAND_FLEX = 34, 36  # left, right: turn about the forearm; wrist flexion
LYING = 38  # 1 = supine: the legs hang on the pelvis, not on the floor
SHRUG = 39  # of both shoulders, in statures
POSE_SIZE = 40

# Rows of a body's dimensions, metres, except GIRTH, HEAD_SCALE, NECK_LENGTH (1 = normal) and FEMALE (0..1).
STATURE, GIRTH, FEMALE = 0, 1, 2
HIP_HALF, SHOULDER_HALF, UPPER_ARM, FOREARM, HAND = 3, 4, 5, 6, 7
THIGH, SHANK, ANKLE_HEIGHT, TRUNK, HEAD_SCALE = 8, 9, 10, 11, 12
SHOULDER_BACK = 13  # how far the shoulders lie behind the middle of the chest, beyond what all bodies have
NECK_LENGTH = 14  # 1 = normal
DIMENSIONS_SIZE = 15

# Frames that kinematics returns beside the joints.
PELVIS_FRAME, LUMBAR_FRAME, THORAX_FRAME, HEAD_FRAME = 0, 1, 2, 3
LEFT_HAND_FRAME, RIGHT_HAND_FRAME, LEFT_FOOT_FRAME, RIGHT_FOOT_FRAME = 4, 5, 6, 7
FRAME_COUNT = 8

(
    NOSE, LEFT_EYE, RIGHT_EYE, LEFT_EAR, RIGHT_EAR, LEFT_SHOULDER, RIGHT_SHOULDER, LEFT_ELBOW, RIGHT_ELBOW,
    LEFT_WRIST_JOINT, RIGHT_WRIST_JOINT, LEFT_HIP, RIGHT_HIP, LEFT_KNEE, RIGHT_KNEE, LEFT_ANKLE, RIGHT_ANKLE,
    NECK, HEAD, PELVIS, SPINE, THORAX, NECK_NOSE, HEAD_TOP,
) = range(len(BODY24))  # fmt: skip


def dimensions(stature_m: float, girth: float, female: float, head_scale: float = 1.0) -> Float64Array:
    """Return the dimensions of a body, float64 (15,), from its stature (Drillis and Contini 1966).

    The joint centres of the shoulders lie inside the biacromial width (0.259 of the stature), those of the
    hips are set where COCO's annotators click: between the joint's centre and the greater trochanter.
    """
    h = stature_m
    out = np.zeros(DIMENSIONS_SIZE)
    out[STATURE], out[GIRTH], out[FEMALE], out[HEAD_SCALE] = h, girth, female, head_scale
    out[HIP_HALF] = (0.056 + 0.004 * female) * h
    out[SHOULDER_HALF] = (0.108 - 0.008 * female) * h
    out[UPPER_ARM], out[FOREARM], out[HAND] = 0.180 * h, 0.146 * h, 0.108 * h
    out[THIGH], out[SHANK], out[ANKLE_HEIGHT] = 0.245 * h, 0.246 * h, 0.039 * h
    out[TRUNK], out[NECK_LENGTH] = 0.288 * h, 1.0
    return out


@njit(cache=True)
def standing_hip_height(d: Float64Array) -> float:
    """Height of the hips of an upright body above the floor, metres."""
    return d[THIGH] + d[SHANK] + d[ANKLE_HEIGHT]


@njit(cache=True)
def trunk_frames(pose: Float64Array) -> Float64Array:
    """Return the frames of pelvis, lumbar spine, thorax and head, float64 (4, 3, 3), columns in the room."""
    frames = np.empty((4, 3, 3))
    pelvis = product(rotation_about(2, pose[YAW]), rotation_about(0, -pose[PITCH]))
    pelvis = product(pelvis, rotation_about(1, pose[ROLL]))
    bend = product(rotation_about(0, -0.5 * pose[FLEX]), rotation_about(1, 0.5 * pose[SIDE]))
    bend = product(bend, rotation_about(2, 0.5 * pose[TWIST]))
    frames[0] = pelvis
    frames[1] = product(pelvis, bend)
    frames[2] = product(frames[1], bend)
    turn = product(rotation_about(2, pose[NECK_YAW]), rotation_about(0, -pose[NECK_PITCH]))
    frames[3] = product(frames[2], product(turn, rotation_about(1, pose[NECK_ROLL])))
    return frames


@njit(cache=True)
def two_bones(
    start: Float64Array,
    target: Float64Array,
    pole: Float64Array,
    first: float,
    second: float,
    out_middle: Float64Array,
    out_end: Float64Array,
) -> None:
    """Set elbow (or knee) and wrist (or ankle) of a limb that reaches for ``target``.

    Args:
        start: float64 (3,), shoulder or hip.
        target: float64 (3,), where the end should be; drawn in if out of reach, pushed out if too near.
        pole: float64 (3,), direction to which the middle joint points.
        first: length of the upper bone, metres; ``second`` of the lower.
        second: see first.
        out_middle: float64 (3,), written.
        out_end: float64 (3,), written.
    """
    way = target - start
    reach = math.sqrt(way[0] * way[0] + way[1] * way[1] + way[2] * way[2])
    along = unit(way)
    reach = min(max(reach, 0.28 * (first + second)), 0.998 * (first + second))
    foot = (first * first - second * second + reach * reach) / (2.0 * reach)
    rise = math.sqrt(max(first * first - foot * foot, 0.0))
    dot = pole[0] * along[0] + pole[1] * along[1] + pole[2] * along[2]
    aside = pole - dot * along
    if aside[0] * aside[0] + aside[1] * aside[1] + aside[2] * aside[2] < 1e-8:
        aside = cross(along, np.array([along[1], along[2], along[0] + 0.5]))
    aside = unit(aside)
    for i in range(3):
        out_middle[i] = start[i] + foot * along[i] + rise * aside[i]
        out_end[i] = start[i] + reach * along[i]


@njit(cache=True)
def _frame_along(forward: Float64Array, up_hint: Float64Array) -> Float64Array:
    """Return the frame (columns x, y, z) with y along ``forward`` and z near ``up_hint``."""
    y = unit(forward)
    x = unit(cross(y, up_hint))
    z = cross(x, y)
    out = np.empty((3, 3))
    for i in range(3):
        out[i, 0], out[i, 1], out[i, 2] = x[i], y[i], z[i]
    return out


@njit(cache=True)
def _shoulder(
    pose: Float64Array,
    d: Float64Array,
    thorax: Float64Array,
    thorax_joint: Float64Array,
    x: float,
    y: float,
    z: float,
    sign: float,
) -> Float64Array:
    """Return a shoulder, float64 (3,): the girdle follows the hand at (x, y, z), arm lengths, thorax frame.

    Up when it is raised, forward and in when it reaches across.
    """
    h = d[STATURE]
    up = (0.035 * min(max(z + 0.2, 0.0), 1.0) + pose[SHRUG]) * h
    front = (0.018 * y - 0.006) * h - d[SHOULDER_BACK]
    inwards = 0.02 * h * min(max(y, 0.0), 1.0) + 0.25 * up
    return thorax_joint + applied(thorax, sign * (d[SHOULDER_HALF] - inwards), front, up)


@njit(cache=True)
def settle_arms(pose: Float64Array, d: Float64Array) -> None:
    """Turn the targets of both wrists into directions of upper arm and forearm, in place (two-bone IK)."""
    origin = np.zeros(3)
    elbow, wrist = np.empty(3), np.empty(3)
    length = d[UPPER_ARM] + d[FOREARM]
    for row, pole_row in ((LEFT_WRIST, LEFT_POLE), (RIGHT_WRIST, RIGHT_POLE)):
        target = pose[row : row + 3] * length
        two_bones(
            origin, target, pose[pole_row : pole_row + 3].copy(), d[UPPER_ARM], d[FOREARM], elbow, wrist
        )
        pose[pole_row : pole_row + 3] = elbow / d[UPPER_ARM]
        pose[row : row + 3] = (wrist - elbow) / d[FOREARM]


@njit(cache=True)
def _arm(
    pose: Float64Array,
    d: Float64Array,
    thorax: Float64Array,
    joints: Float64Array,
    frames: Float64Array,
    right: bool,
) -> None:
    """Set shoulder, elbow, wrist and the hand's frame of one arm."""
    sign = 1.0 if right else -1.0
    row = RIGHT_FOREARM if right else LEFT_FOREARM
    upper_row = RIGHT_UPPER_ARM if right else LEFT_UPPER_ARM
    fore, upper = unit(pose[row : row + 3]), unit(pose[upper_row : upper_row + 3])
    share = d[UPPER_ARM] / (d[UPPER_ARM] + d[FOREARM])
    hand_at = share * upper + (1.0 - share) * fore
    shoulder = _shoulder(pose, d, thorax, joints[THORAX], hand_at[0], hand_at[1], hand_at[2], sign)
    elbow = shoulder + d[UPPER_ARM] * applied(thorax, upper[0], upper[1], upper[2])
    forward = applied(thorax, fore[0], fore[1], fore[2])
    joints[RIGHT_SHOULDER if right else LEFT_SHOULDER] = shoulder
    joints[RIGHT_ELBOW if right else LEFT_ELBOW] = elbow
    joints[RIGHT_WRIST_JOINT if right else LEFT_WRIST_JOINT] = elbow + d[FOREARM] * forward
    side = 1 if right else 0
    # The palm of a hanging hand faces the thigh: its normal (z of the hand frame) points inwards.
    inward = applied(thorax, -sign, 0.25, 0.15)
    hand = _frame_along(forward, inward)
    turn = product(
        rotation_about(1, sign * pose[HAND_ROLL + side]), rotation_about(0, pose[HAND_FLEX + side])
    )
    frames[RIGHT_HAND_FRAME if right else LEFT_HAND_FRAME] = product(hand, turn)


@njit(cache=True)
def _leg(
    pose: Float64Array,
    d: Float64Array,
    base: Float64Array,
    joints: Float64Array,
    frames: Float64Array,
    right: bool,
) -> None:
    """Set hip, knee, ankle and the foot's frame of one leg; ``base`` is the frame that the feet stand in."""
    sign = 1.0 if right else -1.0
    row = RIGHT_FOOT if right else LEFT_FOOT
    leg = d[THIGH] + d[SHANK]
    hip = joints[RIGHT_HIP if right else LEFT_HIP]
    side, ahead, lift = pose[row] * leg, pose[row + 1] * leg, pose[row + 2] * leg
    if pose[LYING] > 0.5:
        target = joints[PELVIS] + applied(base, side, ahead, -leg + lift)
    else:
        target = joints[PELVIS] + applied(base, side, ahead, 0.0)
        target[2] = d[ANKLE_HEIGHT] + lift
    foot = product(base, rotation_about(2, pose[row + 3]))
    pole = foot[:, 1].copy() + 0.25 * sign * foot[:, 0]
    knee_row = RIGHT_KNEE if right else LEFT_KNEE
    ankle_row = RIGHT_ANKLE if right else LEFT_ANKLE
    two_bones(hip, target, pole, d[THIGH], d[SHANK], joints[knee_row], joints[ankle_row])
    frames[RIGHT_FOOT_FRAME if right else LEFT_FOOT_FRAME] = product(foot, rotation_about(0, -pose[row + 4]))


@njit(cache=True)
def _trunk(pose: Float64Array, d: Float64Array, frames: Float64Array, joints: Float64Array) -> None:
    """Set pelvis, spine and thorax."""
    h = d[STATURE]
    height = pose[HEIGHT] if pose[LYING] > 0.5 else pose[HEIGHT] * standing_hip_height(d)
    joints[PELVIS, 0], joints[PELVIS, 1], joints[PELVIS, 2] = pose[X], pose[Y], height
    joints[SPINE] = joints[PELVIS] + applied(frames[0], 0.0, 0.0, 0.2 * d[TRUNK])
    joints[SPINE] += applied(frames[1], 0.0, 0.004 * h, 0.3 * d[TRUNK])
    joints[THORAX] = joints[SPINE] + applied(frames[2], 0.0, -0.004 * h, 0.5 * d[TRUNK])


@njit(cache=True)
def joints_of(pose: Float64Array, d: Float64Array) -> tuple[Float64Array, Float64Array]:
    """Return the joints and frames of a body.

    Args:
        pose: float64 (40,), rows as named in this module, arms settled (:func:`settle_arms`).
        d: float64 (15,), from :func:`dimensions`.

    Returns:
        ``(joints, frames)``: float64 (24, 3), room frame, metres, in the order of BODY24; float64 (8, 3, 3),
        columns are the local x (right), y (front), z (up) in the room frame; hands: y along the fingers, z
        out of the palm;
        feet: y along the toes.
    """
    joints = np.empty((24, 3))
    frames = np.empty((FRAME_COUNT, 3, 3))
    frames[:4] = trunk_frames(pose)
    pelvis_frame, thorax, skull = frames[0], frames[2], frames[3]
    h = d[STATURE]
    _trunk(pose, d, frames, joints)
    pelvis = joints[PELVIS]
    joints[LEFT_HIP] = pelvis + applied(pelvis_frame, -d[HIP_HALF], 0.0, 0.0)
    joints[RIGHT_HIP] = pelvis + applied(pelvis_frame, d[HIP_HALF], 0.0, 0.0)
    _arm(pose, d, thorax, joints, frames, False)
    _arm(pose, d, thorax, joints, frames, True)
    joints[NECK] = joints[THORAX] + applied(thorax, 0.0, -0.004 * h, 0.033 * h)
    skull_base = joints[NECK] + applied(thorax, 0.0, 0.004 * h, 0.012 * h * d[NECK_LENGTH])
    skull_base += applied(skull, 0.0, 0.004 * h, 0.024 * h * d[NECK_LENGTH])
    s = d[HEAD_SCALE] * h
    joints[HEAD] = skull_base + applied(skull, 0.0, 0.012 * s, 0.034 * s)
    joints[NOSE] = skull_base + applied(skull, 0.0, 0.070 * s, 0.024 * s)
    joints[LEFT_EYE] = skull_base + applied(skull, -0.0185 * s, 0.056 * s, 0.045 * s)
    joints[RIGHT_EYE] = skull_base + applied(skull, 0.0185 * s, 0.056 * s, 0.045 * s)
    joints[LEFT_EAR] = skull_base + applied(skull, -0.041 * s, 0.002 * s, 0.034 * s)
    joints[RIGHT_EAR] = skull_base + applied(skull, 0.041 * s, 0.002 * s, 0.034 * s)
    joints[NECK_NOSE] = skull_base + applied(skull, 0.0, 0.022 * s, 0.004 * s)
    joints[HEAD_TOP] = skull_base + applied(skull, 0.0, 0.004 * s, 0.108 * s)
    base = pelvis_frame.copy() if pose[LYING] > 0.5 else rotation_about(2, pose[YAW])
    _leg(pose, d, base, joints, frames, False)
    _leg(pose, d, base, joints, frames, True)
    return joints, frames


@njit(cache=True)
def wrist_for(point: Float64Array, pose: Float64Array, d: Float64Array, right: bool) -> Float64Array:
    """Return the wrist's target, thorax frame and arm lengths, float64 (3,), for a hand at a room's point.

    The trunk of ``pose`` must be set; the hand's own length is left between wrist and point.
    """
    frames = trunk_frames(pose)
    joints = np.empty((24, 3))
    _trunk(pose, d, frames, joints)
    sign = 1.0 if right else -1.0
    shoulder = _shoulder(pose, d, frames[2], joints[THORAX], 0.0, 0.5, -0.4, sign)
    way = point - shoulder
    distance = math.sqrt(way[0] * way[0] + way[1] * way[1] + way[2] * way[2])
    way = way * (max(distance - 0.6 * d[HAND], 0.1) / max(distance, 1e-9))
    length = d[UPPER_ARM] + d[FOREARM]
    thorax = frames[THORAX_FRAME]
    out = np.empty(3)
    for i in range(3):
        out[i] = (thorax[0, i] * way[0] + thorax[1, i] * way[1] + thorax[2, i] * way[2]) / length
    return out
