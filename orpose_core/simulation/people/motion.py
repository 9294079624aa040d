"""How people move: smooth poses over time, between the keyframes of an activity."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np

from orpose_core.simulation.arithmetic import cos, sin
from orpose_core.simulation.dice import Dice
from orpose_core.simulation.people import kinematics as k
from orpose_core.simulation.people.activities import Actor, keyframe
from orpose_core.types import Float64Array


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
        d: the body's dimensions, float64 (15,).
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
