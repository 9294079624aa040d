"""What people do: pose vectors drawn from activities."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from orpose_core.simulation.arithmetic import cos, sin
from orpose_core.simulation.dice import Dice
from orpose_core.simulation.people import kinematics as k
from orpose_core.simulation.people.arms import DEGREE, arm, both_arms, hand_at, hand_local, hang, one_arm
from orpose_core.simulation.people.postures import set_arm, set_posture
from orpose_core.types import Float64Array

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
            hang(pose, d, dice, right)


_HABITS = 1 << 20


@dataclass(frozen=True)
class Actor:
    """Where a person is and what they do during a sequence.

    Attributes:
        activity: a name of GENERAL_ACTIVITIES, TABLE_ACTIVITIES or OR_ACTIVITIES, "lie", or with ``arms`` one
            of postures.POSTURES.
        x_m: with y_m the place of the pelvis in the room.
        y_m: see x_m.
        yaw_rad: facing, 0 = room +y.
        seed: of this person's motion.
        target_m: point of the room that the hands work at, or None.
        surface_m: height that a lying person's back is at.
        tempo_s: time between two keyframes.
        arms: what the left and the right arm do, of postures.ARMS; the activity is then a posture alone.
    """

    activity: str
    x_m: float
    y_m: float
    yaw_rad: float
    seed: int
    target_m: tuple[float, float, float] | None = None
    surface_m: float = 0.0
    tempo_s: float = 1.2
    arms: tuple[str, str] | None = None


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
        one_arm(pose, d, dice, "reach")


def keyframe(actor: Actor, d: Float64Array, number: int) -> Float64Array:
    """Return an actor's pose vector at keyframe ``number``, float64 (40,)."""
    dice = Dice(actor.seed, number)
    pose = np.zeros(k.POSE_SIZE)
    pose[k.X], pose[k.Y] = actor.x_m + dice.near(0.0, 0.02), actor.y_m + dice.near(0.0, 0.02)
    pose[k.YAW] = actor.yaw_rad + dice.near(0.0, 0.07)
    if actor.arms is not None:
        set_posture(pose, d, dice, Dice(actor.seed, _HABITS), actor.activity, actor.surface_m)
        for right in (False, True):
            set_arm(pose, d, dice, actor.arms[right], right, actor.target_m)
        k.settle_arms(pose, d)
        return pose
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
    elif not both_arms(pose, d, dice, activity):
        one_arm(pose, d, dice, activity)
    k.settle_arms(pose, d)
    return pose
