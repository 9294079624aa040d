"""Builds beyond those of average adults: other proportions of trunk, neck, head and limbs, and children.

The bodies of :mod:`casting` vary little about the shares of stature of Drillis and Contini. Points that
people mark in images vary more, because they lie on cloth and each annotator has a habit of their own: in
MVOR's 3D annotations neck to hips is 0.37 to 0.60 m for 90 % of the people, head to neck 0.08 to 0.16 m.
What they are worth in training is in ``training/README.md``.
"""

from __future__ import annotations

from dataclasses import replace

from orpose_core.simulation.dice import Dice
from orpose_core.simulation.people import kinematics as k
from orpose_core.simulation.people.outfits import Person
from orpose_core.types import Float64Array

_SMALLER = 0.12
"""Share of the people who are as tall as children."""
_LENGTHS = (
    k.STATURE, k.HIP_HALF, k.SHOULDER_HALF, k.UPPER_ARM, k.FOREARM, k.HAND, k.THIGH, k.SHANK, k.ANKLE_HEIGHT,
    k.TRUNK, k.SHOULDER_BACK,
)  # fmt: skip


def _shrink(d: Float64Array, dice: Dice) -> None:
    """Make a body as small as that of a child of six to twelve years, with the larger head of a child."""
    scale = dice.between(0.70, 0.92)
    for row in _LENGTHS:
        d[row] *= scale
    d[k.HEAD_SCALE] *= 1.0 + 0.6 * (1.0 - scale)


def varied(person: Person, dice: Dice) -> Person:
    """Return a person with the same clothes and another build.

    Standard deviations are 7 % for the trunk, 6 % for the head, 8 % for shoulders and hips, 5 % for arms and
    for legs, 4 % for forearms and for thighs alone, 10 % for the girth, and 25 % for the neck; nothing is
    beyond three of them. One person in eight is as tall as a child.

    Args:
        person: their dimensions are not changed.
        dice: of this person alone.
    """
    d = person.dimensions.copy()
    d[k.TRUNK] *= dice.near(1.0, 0.07)
    d[k.NECK_LENGTH] *= dice.near(1.0, 0.25)
    d[k.HEAD_SCALE] *= dice.near(1.0, 0.06)
    d[k.SHOULDER_HALF] *= dice.near(1.0, 0.08)
    d[k.HIP_HALF] *= dice.near(1.0, 0.08)
    arms, legs = dice.near(1.0, 0.05), dice.near(1.0, 0.05)
    d[k.UPPER_ARM] *= arms
    d[k.FOREARM] *= arms * dice.near(1.0, 0.04)
    d[k.THIGH] *= legs * dice.near(1.0, 0.04)
    d[k.SHANK] *= legs
    d[k.GIRTH] = min(max(d[k.GIRTH] * dice.near(1.0, 0.10), 0.78), 1.60)
    if dice.chance(_SMALLER):
        _shrink(d, dice)
    return replace(person, dimensions=d)
