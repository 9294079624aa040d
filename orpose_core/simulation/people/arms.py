"""Where arms go: by their angles, to a point of the room, or as an activity asks."""

from __future__ import annotations

import math

import numpy as np

from orpose_core.simulation.arithmetic import cos, sin
from orpose_core.simulation.dice import Dice
from orpose_core.simulation.people import kinematics as k
from orpose_core.types import Float64Array

DEGREE = math.pi / 180.0


def arm(
    pose: Float64Array,
    d: Float64Array,
    right: bool,
    elevation: float,
    azimuth: float,
    elbow: float,
    twist: float,
) -> None:
    """Set one arm by its angles, radians.

    Args:
        pose: changed in place.
        d: the body's dimensions.
        right: which arm.
        elevation: of the upper arm from hanging (0) over horizontal (pi / 2) to straight up.
        azimuth: of the upper arm: 0 forward, pi / 2 sideways, negative across the chest.
        elbow: flexion, 0 = straight.
        twist: turn of the forearm about the upper arm; positive brings the hand inwards.
    """
    sign = 1.0 if right else -1.0
    s, c = sin(elevation), cos(elevation)
    u = (sign * s * sin(azimuth), s * cos(azimuth), -c)
    ref = (-sign * 0.3, 1.0, 0.35)
    along = ref[0] * u[0] + ref[1] * u[1] + ref[2] * u[2]
    v = [ref[i] - along * u[i] for i in range(3)]
    length = math.sqrt(v[0] * v[0] + v[1] * v[1] + v[2] * v[2])
    v = [value / length for value in v]
    w = (u[1] * v[2] - u[2] * v[1], u[2] * v[0] - u[0] * v[2], u[0] * v[1] - u[1] * v[0])
    st, ct = sin(sign * twist), cos(twist)
    f = [ct * v[i] - st * w[i] for i in range(3)]
    se, ce = sin(elbow), cos(elbow)
    upper = d[k.UPPER_ARM] / (d[k.UPPER_ARM] + d[k.FOREARM])
    row, pole = (k.RIGHT_WRIST, k.RIGHT_POLE) if right else (k.LEFT_WRIST, k.LEFT_POLE)
    for i in range(3):
        pose[row + i] = upper * u[i] + (1.0 - upper) * (ce * u[i] + se * f[i])
        pose[pole + i] = -f[i]


def hand_at(
    pose: Float64Array, d: Float64Array, right: bool, point: tuple[float, float, float], outwards: float = 0.5
) -> None:
    """Let one hand reach for a point of the room; the elbow hangs down and ``outwards``."""
    row, pole = (k.RIGHT_WRIST, k.RIGHT_POLE) if right else (k.LEFT_WRIST, k.LEFT_POLE)
    wrist = k.wrist_for(np.array(point), pose, d, right)
    reach = math.sqrt(wrist[0] * wrist[0] + wrist[1] * wrist[1] + wrist[2] * wrist[2])
    if reach < 0.58:  # nobody works with the hands before the face: further ahead and lower
        wrist += (0.58 - reach) * np.array([0.0, 0.7, -1.0])
    pose[row : row + 3] = wrist
    pose[pole : pole + 3] = ((outwards if right else -outwards), -0.45, -0.8)


def hand_local(
    pose: Float64Array, right: bool, x: float, y: float, z: float, pole: tuple[float, float, float]
) -> None:
    """Set a wrist in the thorax frame, arm lengths from the shoulder; x and the pole's x are outwards."""
    sign = 1.0 if right else -1.0
    row, pole_row = (k.RIGHT_WRIST, k.RIGHT_POLE) if right else (k.LEFT_WRIST, k.LEFT_POLE)
    pose[row : row + 3] = (sign * x, y, z)
    pose[pole_row : pole_row + 3] = (sign * pole[0], pole[1], pole[2])


def hang(pose: Float64Array, d: Float64Array, dice: Dice, right: bool) -> None:
    """Let one arm hang."""
    arm(
        pose, d, right, dice.between(4, 18) * DEGREE, dice.between(20, 110) * DEGREE,
        dice.between(5, 40) * DEGREE, dice.between(-20, 40) * DEGREE,
    )  # fmt: skip


def anywhere(pose: Float64Array, d: Float64Array, dice: Dice, right: bool) -> None:
    """Put one arm anywhere that a shoulder allows."""
    arm(
        pose, d, right, dice.between(5, 165) * DEGREE, dice.between(-20, 115) * DEGREE,
        dice.between(0, 135) * DEGREE, dice.between(-70, 80) * DEGREE,
    )  # fmt: skip


def both_arms(pose: Float64Array, d: Float64Array, dice: Dice, activity: str) -> bool:
    """Set both arms for an activity that needs no target; return whether it is such a one."""
    for right in (False, True):
        if activity in ("rest", "watch", "walk"):
            hang(pose, d, dice, right)
        elif activity == "gesture":
            arm(
                pose,
                d,
                right,
                dice.between(5, 55) * DEGREE,
                dice.between(0, 80) * DEGREE,
                dice.between(45, 125) * DEGREE,
                dice.between(-45, 50) * DEGREE,
            )
        elif activity == "spread":
            arm(
                pose,
                d,
                right,
                dice.between(65, 105) * DEGREE,
                dice.between(60, 105) * DEGREE,
                dice.between(0, 35) * DEGREE,
                dice.between(-60, 60) * DEGREE,
            )
        elif activity == "raised":
            arm(
                pose,
                d,
                right,
                dice.between(95, 170) * DEGREE,
                dice.between(20, 100) * DEGREE,
                dice.between(0, 100) * DEGREE,
                dice.between(-60, 30) * DEGREE,
            )
        elif activity == "akimbo":
            hand_local(
                pose,
                right,
                dice.between(-0.05, 0.08),
                dice.between(-0.05, 0.16),
                dice.between(-0.72, -0.60),
                (1.0, dice.between(-0.6, 0.1), 0.0),
            )
        elif activity == "crossed":
            hand_local(
                pose,
                right,
                dice.between(-0.50, -0.36),
                0.36 + (0.06 if right else 0.0),
                dice.between(-0.44, -0.30),
                (0.5, -0.1, -0.9),
            )
        elif activity == "sterile":
            hand_local(
                pose,
                right,
                dice.between(-0.34, -0.10),
                dice.between(0.40, 0.62),
                dice.between(-0.42, -0.10),
                (0.5, -0.2, -0.8),
            )
        elif activity == "pockets":
            hand_local(
                pose,
                right,
                dice.between(0.03, 0.12),
                dice.between(0.03, 0.18),
                dice.between(-0.84, -0.74),
                (0.6, -0.8, 0.0),
            )
        elif activity == "behind":
            hand_local(
                pose,
                right,
                dice.between(-0.36, -0.22),
                dice.between(-0.36, -0.28),
                dice.between(-0.80, -0.55),
                (0.9, -0.3, 0.0),
            )
        elif activity == "anything":
            anywhere(pose, d, dice, right)
        else:
            return False
    return True


def one_arm(pose: Float64Array, d: Float64Array, dice: Dice, activity: str) -> None:
    """Set the arms of activities in which the two differ."""
    busy = dice.chance(0.6)
    hang(pose, d, dice, not busy)
    if activity == "phone":
        if dice.chance(0.5):  # at the ear, else looked at
            arm(
                pose,
                d,
                busy,
                dice.between(25, 60) * DEGREE,
                dice.between(20, 70) * DEGREE,
                dice.between(125, 145) * DEGREE,
                dice.between(0, 30) * DEGREE,
            )
        else:
            arm(
                pose,
                d,
                busy,
                dice.between(10, 35) * DEGREE,
                dice.between(0, 40) * DEGREE,
                dice.between(80, 115) * DEGREE,
                dice.between(0, 40) * DEGREE,
            )
            pose[k.NECK_PITCH] += 0.35
    elif activity in ("reach", "pass"):
        arm(
            pose,
            d,
            busy,
            dice.between(50, 110) * DEGREE,
            dice.between(-15, 75) * DEGREE,
            dice.between(0, 75) * DEGREE,
            dice.between(-30, 40) * DEGREE,
        )
    elif activity == "wave":
        arm(
            pose,
            d,
            busy,
            dice.between(70, 160) * DEGREE,
            dice.between(30, 95) * DEGREE,
            dice.between(20, 110) * DEGREE,
            dice.between(-70, 0) * DEGREE,
        )
    if dice.chance(0.3):
        anywhere(pose, d, dice, not busy)
