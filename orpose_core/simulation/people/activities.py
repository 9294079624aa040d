"""What people do: pose vectors drawn from activities, and their smooth motion over time."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from orpose_core.simulation.arithmetic import cos, sin
from orpose_core.simulation.dice import Dice
from orpose_core.simulation.people import kinematics as k

Float64Array = NDArray[np.float64]

DEGREE = math.pi / 180.0

GENERAL_ACTIVITIES = {
    "rest": 0.17, "gesture": 0.13, "phone": 0.07, "akimbo": 0.07, "crossed": 0.06, "spread": 0.07, "raised":
    0.07, "reach": 0.09, "pockets": 0.06, "behind": 0.05, "walk": 0.13, "sit": 0.07, "bend": 0.05, "carry":
    0.05, "anything": 0.08,
}  # fmt: skip
"""Weights of what people do in the general domain."""

TABLE_ACTIVITIES = {"work": 0.45, "lean": 0.25, "across": 0.12, "pass": 0.1, "rest": 0.08}
"""Weights of what people do at the tables and counters of the everyday domain."""

OR_ACTIVITIES = {
    "work": 0.24, "lean": 0.16, "across": 0.09, "pass": 0.06, "imaging": 0.06, "walk": 0.08, "sit": 0.05,
    "crossed": 0.07, "sterile": 0.09, "watch": 0.09, "gesture": 0.06, "reach": 0.04, "rest": 0.05, "raised":
    0.02, "spread": 0.01,
}  # fmt: skip
"""Weights of what staff does in the operating room."""


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


def _hang(pose: Float64Array, d: Float64Array, dice: Dice, right: bool) -> None:
    arm(
        pose, d, right, dice.between(4, 18) * DEGREE, dice.between(20, 110) * DEGREE,
        dice.between(5, 40) * DEGREE, dice.between(-20, 40) * DEGREE,
    )  # fmt: skip


def _stance(pose: Float64Array, dice: Dice) -> None:
    """Stand: weight, feet, a slightly bent spine, and a head that looks around."""
    pose[k.HEIGHT] = dice.between(0.965, 0.995)
    pose[k.PITCH], pose[k.ROLL] = dice.near(0.05, 0.05), dice.near(0.0, 0.03)
    pose[k.FLEX], pose[k.SIDE], pose[k.TWIST] = dice.near(0.10, 0.10), dice.near(0, 0.05), dice.near(0, 0.10)
    pose[k.NECK_PITCH], pose[k.NECK_YAW] = dice.near(0.12, 0.20), dice.near(0.0, 0.35)
    pose[k.NECK_ROLL] = dice.near(0.0, 0.08)
    width, stagger = dice.between(0.08, 0.22), dice.near(0.0, 0.07)
    for row, sign in ((k.LEFT_FOOT, -1.0), (k.RIGHT_FOOT, 1.0)):
        pose[row], pose[row + 1], pose[row + 2] = sign * width, 0.02 + sign * stagger, 0.0
        pose[row + 3], pose[row + 4] = -sign * dice.between(-0.05, 0.45), 0.0
    for side in (0, 1):
        pose[k.HAND_ROLL + side] = dice.near(0.0, 0.5)
        pose[k.HAND_FLEX + side] = dice.near(0.1, 0.25)


def _sit(pose: Float64Array, d: Float64Array, dice: Dice) -> None:
    seat = dice.between(0.42, 0.52)
    pose[k.HEIGHT] = (seat + 0.07) / k.standing_hip_height(d)
    pose[k.PITCH], pose[k.FLEX] = dice.between(-0.15, 0.15), dice.between(0.0, 0.5)
    for row, sign in ((k.LEFT_FOOT, -1.0), (k.RIGHT_FOOT, 1.0)):
        pose[row], pose[row + 1] = sign * dice.between(0.10, 0.28), dice.between(0.38, 0.62)
    for right in (False, True):
        if dice.chance(0.6):
            hand_local(
                pose,
                right,
                dice.between(-0.15, 0.1),
                dice.between(0.4, 0.75),
                dice.between(-0.65, -0.3),
                (0.5, -0.4, -0.7),
            )
        else:
            _hang(pose, d, dice, right)


def _anything(pose: Float64Array, d: Float64Array, dice: Dice, right: bool) -> None:
    arm(
        pose, d, right, dice.between(5, 165) * DEGREE, dice.between(-20, 115) * DEGREE,
        dice.between(0, 135) * DEGREE, dice.between(-70, 80) * DEGREE,
    )  # fmt: skip


def _both(pose: Float64Array, d: Float64Array, dice: Dice, activity: str) -> bool:
    """Set both arms for an activity that needs no target; return whether it is such a one."""
    for right in (False, True):
        if activity in ("rest", "watch", "walk"):
            _hang(pose, d, dice, right)
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
            _anything(pose, d, dice, right)
        else:
            return False
    return True


def _one_arm(pose: Float64Array, d: Float64Array, dice: Dice, activity: str) -> None:
    """Set the arms of activities in which the two differ."""
    busy = dice.chance(0.6)
    _hang(pose, d, dice, not busy)
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
        _anything(pose, d, dice, not busy)


@dataclass(frozen=True)
class Actor:
    """Where a person is and what they do during a sequence.

    Attributes:
        activity: a name of GENERAL_ACTIVITIES, TABLE_ACTIVITIES or OR_ACTIVITIES, or "lie".
        x_m: with y_m the place of the pelvis in the room.
        y_m: see x_m.
        yaw_rad: facing, 0 = room +y.
        seed: of this person's motion.
        target_m: point of the room that the hands work at, or None.
        surface_m: height that a lying person's back is at.
        tempo_s: time between two keyframes.
    """

    activity: str
    x_m: float
    y_m: float
    yaw_rad: float
    seed: int
    target_m: tuple[float, float, float] | None = None
    surface_m: float = 0.0
    tempo_s: float = 1.2


def _lie(pose: Float64Array, d: Float64Array, dice: Dice, surface_m: float) -> None:
    """Lie supine: pitch -90 degrees turns the front up; the head is where the yaw points away from."""
    pose[k.LYING] = 1.0
    pose[k.HEIGHT] = surface_m + 0.062 * d[k.STATURE] * d[k.GIRTH]
    pose[k.PITCH] = -math.pi / 2.0 + dice.between(-0.02, 0.02)
    pose[k.FLEX], pose[k.NECK_PITCH] = dice.between(0.0, 0.08), dice.between(0.0, 0.35)
    for row, sign in ((k.LEFT_FOOT, -1.0), (k.RIGHT_FOOT, 1.0)):
        pose[row], pose[row + 1], pose[row + 2] = sign * dice.between(0.08, 0.2), -0.02, 0.01
        pose[row + 3], pose[row + 4] = -sign * 0.4, 0.0
    for right in (False, True):
        if dice.chance(0.4):
            arm(pose, d, right, dice.between(60, 90) * DEGREE, 95 * DEGREE, dice.between(0, 15) * DEGREE, 0.0)
        else:
            arm(pose, d, right, dice.between(6, 14) * DEGREE, 85 * DEGREE, dice.between(5, 20) * DEGREE, 0.1)


def _towards_target(pose: Float64Array, d: Float64Array, dice: Dice, actor: Actor) -> None:
    """Lean and reach for the target of a working activity."""
    lean = {"lean": (0.40, 1.00), "across": (0.50, 1.20), "bend": (0.4, 1.2)}.get(
        actor.activity, (0.12, 0.55)
    )
    total = dice.between(*lean)
    pose[k.PITCH], pose[k.FLEX] = 0.45 * total, 0.55 * total
    pose[k.NECK_PITCH] = dice.between(0.2, 0.6) - 0.2 * total
    pose[k.TWIST] = dice.near(0.0, 0.15)
    if actor.target_m is None:
        for right in (False, True):
            arm(
                pose,
                d,
                right,
                (dice.between(10, 50) + total * 40) * DEGREE,
                dice.between(0, 50) * DEGREE,
                dice.between(20, 100) * DEGREE,
                dice.between(-10, 45) * DEGREE,
            )
        return
    x, y, z = actor.target_m
    c, s = cos(actor.yaw_rad), sin(actor.yaw_rad)
    for right in (False, True):
        side = (1.0 if right else -1.0) * dice.between(0.02, 0.20)
        ahead = dice.near(0.0, 0.07) + 0.5 * max(total - 0.4, 0.0)  # who bends works further away, and lower
        point = (
            x + c * side - s * ahead,
            y + s * side + c * ahead,
            z + dice.between(-0.04, 0.12) - 0.15 * max(total - 0.4, 0.0),
        )
        hand_at(pose, d, right, point, dice.between(0.3, 0.9))
    if actor.activity == "imaging" or dice.chance(0.12):
        _one_arm(pose, d, dice, "reach")


def keyframe(actor: Actor, d: Float64Array, number: int) -> Float64Array:
    """Return an actor's pose vector at keyframe ``number``, float64 (40,)."""
    dice = Dice(actor.seed, number)
    pose = np.zeros(k.POSE_SIZE)
    pose[k.X], pose[k.Y] = actor.x_m + dice.near(0.0, 0.02), actor.y_m + dice.near(0.0, 0.02)
    pose[k.YAW] = actor.yaw_rad + dice.near(0.0, 0.07)
    _stance(pose, dice)
    activity = actor.activity
    if activity == "lie":
        pose[k.YAW] = actor.yaw_rad
        _lie(pose, d, dice, actor.surface_m)
    elif activity == "sit":
        _sit(pose, d, dice)
    elif activity in ("work", "lean", "across", "bend", "imaging"):
        _towards_target(pose, d, dice, actor)
    elif activity == "carry":
        for right in (False, True):
            arm(
                pose,
                d,
                right,
                dice.between(5, 35) * DEGREE,
                dice.between(0, 40) * DEGREE,
                dice.between(60, 100) * DEGREE,
                dice.between(-5, 15) * DEGREE,
            )
    elif not _both(pose, d, dice, activity):
        _one_arm(pose, d, dice, activity)
    k.settle_arms(pose, d)
    return pose


def _walk(actor: Actor, d: Float64Array, pose: Float64Array, time_s: float) -> Float64Array:
    """Walk on a circle: the gait's phase follows the way, so feet do not slide."""
    dice = Dice(actor.seed, -1 & 0xFFFF)
    radius, speed = dice.between(0.7, 1.6), dice.between(0.5, 1.3)
    turn = 1.0 if dice.chance(0.5) else -1.0
    leg = d[k.THIGH] + d[k.SHANK]
    stride = dice.between(0.36, 0.56) * leg * (0.6 + 0.4 * speed)
    way = speed * time_s
    phase = dice.between(0.0, 2.0 * math.pi) + math.pi * way / (2.0 * stride)
    angle = way / radius
    c0, s0 = cos(actor.yaw_rad), sin(actor.yaw_rad)
    ahead, aside = radius * sin(angle), -turn * radius * (1.0 - cos(angle))
    out = pose.copy()
    out[k.X] += c0 * aside - s0 * ahead
    out[k.Y] += s0 * aside + c0 * ahead
    out[k.YAW] += turn * angle
    swing = sin(phase)
    out[k.HEIGHT] = 0.965 + 0.012 * cos(2.0 * phase)
    out[k.PITCH] = 0.05 + 0.03 * speed
    out[k.TWIST] = 0.10 * swing
    for row, sign in ((k.LEFT_FOOT, -1.0), (k.RIGHT_FOOT, 1.0)):
        lifting = sign * cos(phase)
        out[row] = sign * 0.10
        out[row + 1] = sign * swing * stride / leg
        out[row + 2] = 0.13 * max(lifting, 0.0)
        out[row + 4] = 0.5 * min(0.0, sign * swing * (1.0 if lifting < 0 else -1.0)) * abs(swing)
    for row, sign in ((k.LEFT_UPPER_ARM, 1.0), (k.RIGHT_UPPER_ARM, -1.0)):
        if out[row + 2] < -0.8:  # a hanging arm swings against its leg
            fore = row - k.LEFT_UPPER_ARM + k.LEFT_FOREARM
            out[row + 1] += sign * 0.30 * swing
            out[fore + 1] += sign * 0.30 * swing
    return out


@lru_cache(maxsize=256)
def _cached_keyframe(actor: Actor, dimensions: bytes, number: int) -> Float64Array:
    # Copies, because compiled code is compiled again for arrays that cannot be written.
    return keyframe(actor, np.frombuffer(dimensions).copy(), number)


def _between(first: Float64Array, second: Float64Array, part: float) -> Float64Array:
    """Interpolate two poses; a bone that turns nearly right about goes outwards, not through its own axis."""
    out = first + part * (second - first)
    for row in (k.LEFT_FOREARM, k.RIGHT_FOREARM, k.LEFT_UPPER_ARM, k.RIGHT_UPPER_ARM):
        a, b = first[row : row + 3], second[row : row + 3]
        against = -float(a[0] * b[0] + a[1] * b[1] + a[2] * b[2])
        if against > 0.0:
            outwards = 1.0 if row in (k.RIGHT_FOREARM, k.RIGHT_UPPER_ARM) else -1.0
            bump = 2.4 * part * (1.0 - part) * against
            out[row] += bump * outwards
            out[row + 1] += 0.5 * bump
    return out


def pose_at(actor: Actor, d: Float64Array, time_s: float) -> Float64Array:
    """Return an actor's pose vector at a time; smooth, and a function of the actor and the time alone.

    Args:
        actor: who does what.
        d: the body's dimensions, float64 (13,).
        time_s: since the sequence's start.
    """
    position = time_s / actor.tempo_s
    number = math.floor(position)
    part = position - number
    key = d.tobytes()
    pose = _cached_keyframe(actor, key, number).copy()
    if part > 0.0:
        part = part * part * part * (part * (6.0 * part - 15.0) + 10.0)
        pose = _between(pose, _cached_keyframe(actor, key, number + 1), part)
    if actor.activity == "walk":
        pose = _walk(actor, d, pose, time_s)
    return pose
