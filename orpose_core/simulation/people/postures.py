"""Postures and arms that are drawn independently of each other: what trunk and legs do, and what arms do."""

from __future__ import annotations

import math

from orpose_core.simulation.arithmetic import cos, sin
from orpose_core.simulation.dice import Dice
from orpose_core.simulation.people import kinematics as k
from orpose_core.simulation.people.arms import DEGREE, arm, hand_at, hand_local
from orpose_core.types import Float64Array

POSTURES = (
    "stand", "stoop", "walk", "sit", "bend", "squat", "kneel", "balance", "lunge", "supine", "prone",
    "on_left", "on_right",
)  # fmt: skip
"""What trunk and legs do. The last four lie: on the back, on the front, on a side."""

LYING_POSTURES = POSTURES[-4:]

ARMS = (
    "hang", "front", "raised", "stretched", "t_pose", "crossed", "hips", "behind", "carry", "head", "knees",
    "pockets", "reach", "anywhere", "work",
)  # fmt: skip
"""What arms do. "work" needs a target; "carry" is the pose alone, what is carried belongs to the person."""

_FEET = ((k.LEFT_FOOT, -1.0), (k.RIGHT_FOOT, 1.0))


def _stand(pose: Float64Array, dice: Dice) -> None:
    """Stand at ease: hips as often before the shoulders as behind them, so that lean tells no front."""
    pose[k.HEIGHT] = dice.between(0.97, 0.998)
    pose[k.PITCH], pose[k.ROLL] = dice.near(-0.06, 0.08), dice.near(0.0, 0.05)
    pose[k.FLEX], pose[k.SIDE], pose[k.TWIST] = dice.near(0.01, 0.12), dice.near(0, 0.07), dice.near(0, 0.16)
    width = dice.between(0.06, 0.20) if dice.chance(0.8) else dice.between(0.20, 0.40)
    stagger = dice.near(0.0, 0.12)
    for row, sign in _FEET:
        pose[row], pose[row + 1], pose[row + 2] = sign * width, 0.02 + sign * stagger, 0.0
        pose[row + 3], pose[row + 4] = -sign * dice.between(-0.1, 0.6), 0.0


def _bend(pose: Float64Array, dice: Dice) -> None:
    """Bend forward at hips and spine, by 30 to 110 degrees, the seat behind the feet."""
    total = dice.between(30.0, 110.0) * DEGREE
    share = dice.between(0.45, 0.75)
    pose[k.PITCH], pose[k.FLEX] = share * total, (1.0 - share) * total
    pose[k.HEIGHT] = dice.between(0.84, 0.97)
    pose[k.NECK_PITCH] = dice.between(-0.6, 0.4)
    for row, _ in _FEET:
        pose[row + 1] += 0.16 * total


def _sit(pose: Float64Array, d: Float64Array, dice: Dice) -> None:
    seat = dice.between(0.40, 0.70)
    pose[k.HEIGHT] = (seat + 0.07) / k.standing_hip_height(d)
    pose[k.PITCH], pose[k.FLEX] = dice.between(-0.3, 0.25), dice.between(0.0, 0.6)
    for row, sign in _FEET:
        pose[row], pose[row + 1] = sign * dice.between(0.06, 0.34), dice.between(0.25, 0.62)


def _squat(pose: Float64Array, dice: Dice) -> None:
    pose[k.HEIGHT] = dice.between(0.28, 0.62)
    pose[k.PITCH], pose[k.FLEX] = dice.between(0.1, 0.7), dice.between(0.1, 0.7)
    for row, sign in _FEET:
        pose[row], pose[row + 1] = sign * dice.between(0.10, 0.32), dice.between(0.05, 0.22)
        pose[row + 3] = -sign * dice.between(0.0, 0.7)


def _kneel(pose: Float64Array, d: Float64Array, dice: Dice, habits: Dice) -> None:
    """Kneel on both knees or on one, upright or down on the heels."""
    leg = d[k.THIGH] + d[k.SHANK]
    drop = d[k.THIGH] * dice.between(0.72, 0.995)  # of the hips above the knees
    knees = math.sqrt(d[k.THIGH] * d[k.THIGH] - drop * drop)
    pose[k.HEIGHT] = (drop + 0.07) / k.standing_hip_height(d)
    pose[k.PITCH], pose[k.FLEX] = dice.between(-0.05, 0.5), dice.between(0.0, 0.5)
    side = d[k.HIP_HALF] / leg
    for row, sign in _FEET:
        pose[row], pose[row + 1] = sign * side * dice.between(0.9, 1.6), (knees - 0.985 * d[k.SHANK]) / leg
        pose[row + 4] = 0.9
    if habits.chance(0.5):  # one foot before the body
        row = habits.one_of((k.LEFT_FOOT, k.RIGHT_FOOT))
        pose[row + 1], pose[row + 4] = dice.between(0.40, 0.55), 0.0


def _balance(pose: Float64Array, dice: Dice, habits: Dice) -> None:
    """Stand on one leg: a kick, a step up, a foot on a stool."""
    row, sign = habits.one_of(_FEET)
    pose[row] = sign * dice.between(0.05, 0.55)
    pose[row + 1], pose[row + 2] = dice.between(-0.6, 0.7), dice.between(0.12, 0.6)
    pose[row + 4] = dice.between(-0.4, 0.4)
    lean = -0.45 * pose[row + 1] * pose[row + 2]
    pose[k.PITCH] += max(-lean, 0.0) * -0.6 + max(lean, 0.0) * 1.6
    pose[k.ROLL] += -sign * 0.25 * abs(pose[row]) * dice.roll()


def _lunge(pose: Float64Array, dice: Dice, habits: Dice) -> None:
    front, back = ((k.LEFT_FOOT, k.RIGHT_FOOT), (k.RIGHT_FOOT, k.LEFT_FOOT))[habits.below(2)]
    pose[k.HEIGHT] = dice.between(0.70, 0.92)
    pose[front + 1], pose[back + 1] = dice.between(0.3, 0.6), -dice.between(0.3, 0.6)
    pose[k.PITCH], pose[k.FLEX] = dice.between(0.0, 0.5), dice.between(0.0, 0.4)


def _lie(
    pose: Float64Array, d: Float64Array, dice: Dice, habits: Dice, posture: str, surface_m: float
) -> None:
    """Lie; the yaw is that of an upright person who then tips over backwards, forwards or sideways."""
    pose[k.LYING] = 1.0
    on_side = posture in ("on_left", "on_right")
    pose[k.HEIGHT] = surface_m + (0.105 if on_side else 0.062) * d[k.STATURE] * d[k.GIRTH]
    pose[k.FLEX], pose[k.NECK_PITCH] = dice.between(0.0, 0.12), dice.between(-0.1, 0.4)
    pose[k.TWIST], pose[k.NECK_YAW] = dice.near(0.0, 0.06), dice.near(0.0, 0.35)
    bent = habits.between(0.0, 0.06) if habits.chance(0.6) else habits.between(0.1, 0.5)
    for row, sign in _FEET:
        pose[row], pose[row + 1], pose[row + 2] = sign * dice.between(0.05, 0.25), -0.02, bent
        pose[row + 3], pose[row + 4] = -sign * 0.4, 0.0
    if on_side:
        pose[k.ROLL] = (1.0 if posture == "on_right" else -1.0) * (0.5 * math.pi + dice.between(-0.2, 0.1))
        for row, _ in _FEET:
            pose[row + 1], pose[row + 2] = dice.between(0.0, 0.5), dice.between(0.0, 0.45)
        return
    pose[k.PITCH] = (0.5 if posture == "prone" else -0.5) * math.pi + dice.between(-0.04, 0.04)
    if posture == "prone":
        pose[k.NECK_YAW] = (1.0 if habits.chance(0.5) else -1.0) * dice.between(0.8, 1.3)
        pose[k.LEFT_FOOT + 2] = pose[k.RIGHT_FOOT + 2] = 0.0


def set_posture(
    pose: Float64Array, d: Float64Array, dice: Dice, habits: Dice, posture: str, surface_m: float
) -> None:
    """Set trunk, head and legs of a pose vector whose place and yaw are set.

    Args:
        pose: float64 (40,), changed in place.
        d: the body's dimensions, float64 (15,).
        dice: of this keyframe.
        habits: of this person: what stays the same from keyframe to keyframe.
        posture: one of POSTURES.
        surface_m: height that somebody who lies lies at.
    """
    pose[k.NECK_PITCH], pose[k.NECK_YAW] = dice.near(0.04, 0.24), dice.near(0.0, 0.40)
    pose[k.NECK_ROLL] = dice.near(0.0, 0.10)
    for side in (0, 1):
        pose[k.HAND_ROLL + side] = dice.near(0.0, 0.7)
        pose[k.HAND_FLEX + side] = dice.near(0.1, 0.35)
    if posture in LYING_POSTURES:
        _lie(pose, d, dice, habits, posture, surface_m)
        return
    _stand(pose, dice)
    if posture == "stoop":
        total = dice.between(8.0, 35.0) * DEGREE
        pose[k.PITCH], pose[k.FLEX] = 0.4 * total, 0.6 * total
        pose[k.NECK_PITCH] = dice.between(0.0, 0.6)
    elif posture == "bend":
        _bend(pose, dice)
    elif posture == "sit":
        _sit(pose, d, dice)
    elif posture == "squat":
        _squat(pose, dice)
    elif posture == "kneel":
        _kneel(pose, d, dice, habits)
    elif posture == "balance":
        _balance(pose, dice, habits)
    elif posture == "lunge":
        _lunge(pose, dice, habits)


def _angles(
    pose: Float64Array, d: Float64Array, dice: Dice, right: bool, *ranges: tuple[float, float]
) -> None:
    """Set one arm by ranges in degrees of elevation, azimuth, elbow and twist, see :func:`arms.arm`."""
    arm(pose, d, right, *(dice.between(low, high) * DEGREE for low, high in ranges))


def _hang(pose: Float64Array, d: Float64Array, dice: Dice, right: bool, droop: float) -> None:
    """Let an arm hang towards the floor, also where the trunk is bent by ``droop`` radians."""
    if pose[k.LYING] > 0.5:
        _angles(pose, d, dice, right, (5, 25), (60, 100), (5, 50), (-20, 30))
        return
    forward = max(droop, 0.0) / DEGREE
    low, high = (3, 20) if forward < 20.0 else (forward - 15.0, forward + 10.0)
    _angles(pose, d, dice, right, (low, high), (20, 150) if forward < 20.0 else (0, 25), (3, 45), (-30, 45))


def _at(
    pose: Float64Array,
    dice: Dice,
    right: bool,
    x: tuple[float, float],
    y: tuple[float, float],
    z: tuple[float, float],
    pole: tuple[float, float, float],
) -> None:
    """Set a wrist in ranges of the thorax frame, see :func:`arms.hand_local`."""
    hand_local(pose, right, dice.between(*x), dice.between(*y), dice.between(*z), pole)


def set_arm(
    pose: Float64Array,
    d: Float64Array,
    dice: Dice,
    arms: str,
    right: bool,
    target_m: tuple[float, float, float] | None = None,
) -> None:
    """Set one arm of a pose vector whose trunk is set.

    Args:
        pose: float64 (40,), changed in place.
        d: the body's dimensions, float64 (15,).
        dice: of this keyframe.
        arms: one of ARMS.
        right: which arm.
        target_m: point of the room that "work" reaches for; without one it works before the belly.
    """
    droop = pose[k.PITCH] + pose[k.FLEX]
    if arms == "work" and target_m is not None:
        x, y, z = target_m
        spread = (1.0 if right else -1.0) * dice.between(0.0, 0.2)
        c, s = cos(pose[k.YAW]), sin(pose[k.YAW])
        hand_at(pose, d, right, (x + spread * c, y + spread * s, z + dice.between(-0.05, 0.12)), 0.6)
    elif arms == "hang":
        _hang(pose, d, dice, right, droop)
    elif arms in ("front", "work"):
        _at(pose, dice, right, (-0.40, 0.15), (0.30, 0.75), (-0.75, -0.1), (0.6, -0.4, -0.7))
    elif arms == "raised":
        _angles(pose, d, dice, right, (95, 175), (20, 150), (0, 110), (-70, 40))
    elif arms == "stretched":
        _angles(pose, d, dice, right, (40, 150), (-10, 145), (0, 22), (-40, 40))
    elif arms == "t_pose":
        _angles(pose, d, dice, right, (78, 102), (72, 112), (0, 12), (-40, 40))
    elif arms == "crossed":
        ahead = 0.36 + (0.06 if right else 0.0)
        _at(pose, dice, right, (-0.50, -0.34), (ahead, ahead + 0.02), (-0.46, -0.28), (0.5, -0.1, -0.9))
    elif arms == "hips":
        _at(
            pose, dice, right, (-0.05, 0.12), (-0.12, 0.18), (-0.74, -0.56), (1.0, dice.between(-0.6, 0.2), 0)
        )
    elif arms == "behind":
        _at(pose, dice, right, (-0.36, -0.18), (-0.40, -0.28), (-0.82, -0.45), (0.9, -0.3, 0.0))
    elif arms == "carry":
        reach = 0.42 + 0.1 * (d[k.GIRTH] - 1.0)
        _at(pose, dice, right, (-0.12, 0.05), (reach, reach + 0.12), (-0.62, -0.40), (0.6, -0.5, -0.6))
    elif arms == "head":
        _at(pose, dice, right, (-0.30, -0.02), (0.02, 0.30), (0.18, 0.42), (0.8, 0.3, -0.5))
    elif arms == "knees":
        _at(pose, dice, right, (-0.06, 0.10), (0.35, 0.75), (-0.90, -0.50), (0.6, -0.6, -0.3))
    elif arms == "pockets":
        _at(pose, dice, right, (0.02, 0.14), (0.02, 0.20), (-0.84, -0.72), (0.6, -0.8, 0.0))
    elif arms == "reach":
        _angles(pose, d, dice, right, (35, 115), (-20, 80), (0, 80), (-40, 45))
    else:
        _angles(pose, d, dice, right, (5, 165), (-20, 145), (0, 135), (-70, 80))
