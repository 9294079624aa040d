"""Who is in a scene: bodies, clothes and hair of staff, patients and passers-by."""

from __future__ import annotations

import numpy as np

from orpose_core.simulation.dice import Dice
from orpose_core.simulation.people import kinematics as k
from orpose_core.simulation.people import outfits
from orpose_core.simulation.people.bodies import Person

Color = tuple[float, float, float]

_SKINS: tuple[Color, ...] = (
    (0.93, 0.76, 0.66), (0.87, 0.66, 0.53), (0.76, 0.55, 0.41), (0.58, 0.40, 0.29), (0.40, 0.26, 0.18),
    (0.26, 0.17, 0.12),
)  # fmt: skip
_HAIRS: tuple[Color, ...] = (
    (0.05, 0.04, 0.04), (0.12, 0.08, 0.05), (0.30, 0.19, 0.10), (0.62, 0.48, 0.28), (0.55, 0.55, 0.55),
)  # fmt: skip
_SCRUBS: tuple[Color, ...] = (
    (0.12, 0.32, 0.52), (0.20, 0.45, 0.62), (0.10, 0.42, 0.40), (0.16, 0.48, 0.36), (0.30, 0.52, 0.66),
    (0.10, 0.20, 0.42), (0.80, 0.82, 0.84),
)  # fmt: skip


def _size(dice: Dice) -> np.ndarray:
    """Draw the dimensions of an adult: stature 1.50 to 1.95 m, both sexes, light to heavy."""
    female = dice.chance(0.5)
    mean, deviation = (1.645, 0.065) if female else (1.765, 0.07)
    stature = min(max(dice.near(mean, deviation), 1.50), 1.95)
    girth = min(max(dice.near(1.02, 0.10), 0.82), 1.35)
    out = k.dimensions(stature, girth, 1.0 if female else 0.0, dice.near(1.0, 0.03))
    out[k.SHOULDER_HALF] *= dice.near(1.0, 0.03)
    out[k.HIP_HALF] *= dice.near(1.0, 0.03)
    arms, legs = dice.near(1.0, 0.02), dice.near(1.0, 0.012)
    out[k.UPPER_ARM] *= arms
    out[k.FOREARM] *= arms
    out[k.THIGH] *= legs
    out[k.SHANK] *= legs
    return out


def _cloth_color(dice: Dice) -> Color:
    if dice.chance(0.4):  # greys, black, white
        v = dice.between(0.03, 0.9)
        return v, v, v
    return dice.between(0.04, 0.85), dice.between(0.04, 0.85), dice.between(0.04, 0.85)


def _hair(dice: Dice, outfit: np.ndarray, female: bool) -> None:
    outfit[outfits.HAIR_VOLUME] = dice.between(0.002, 0.016) if dice.chance(0.92) else 0.0
    if dice.chance(0.6 if female else 0.07):
        outfit[outfits.HAIR_LENGTH] = dice.between(0.03, 0.16)
    elif female and dice.chance(0.6):
        outfit[outfits.PONYTAIL] = 1.0


def passer_by(dice: Dice) -> Person:
    """Draw a person in everyday clothes."""
    size = _size(dice)
    female = size[k.FEMALE] > 0.5
    outfit = np.zeros(outfits.OUTFIT_SIZE)
    _hair(dice, outfit, female)
    if dice.chance(0.06):
        outfit[outfits.CAP_VOLUME] = dice.between(0.003, 0.012)
    outfit[outfits.SLEEVE] = 1.0 if dice.chance(0.55) else dice.between(0.1, 0.5)
    outfit[outfits.LOOSE_TOP] = dice.between(0.003, 0.03)
    outfit[outfits.LOOSE_TROUSERS] = dice.between(0.003, 0.03)
    outfit[outfits.BUST] = dice.between(0.026, 0.042) if female else 0.0
    if female and dice.chance(0.15):
        outfit[outfits.SKIRT] = dice.between(0.7, 1.1)
    if dice.chance(0.06):
        outfit[outfits.GOWN] = 1.0  # a long coat
        outfit[outfits.SLEEVE] = 1.0
    outfit[outfits.BACKPACK] = 1.0 if dice.chance(0.08) else 0.0
    top, trousers = _cloth_color(dice), _cloth_color(dice)
    colors = np.array(
        [
            dice.one_of(_SKINS), dice.one_of(_HAIRS), top, trousers, _cloth_color(dice), _cloth_color(dice),
            (0.85, 0.9, 0.95), _cloth_color(dice), dice.one_of(_SKINS), _cloth_color(dice),
        ]
    )  # fmt: skip
    colors[outfits.GLOVES] = colors[outfits.SKIN]
    return Person(size, outfit, "person", colors)


def anybody(dice: Dice) -> Person:
    """Draw a passer-by who may wear a coat or dress, an apron, a cap or scarf, a mask or gloves."""
    person = passer_by(dice)
    outfit, colors = person.outfit, person.colors
    if dice.chance(0.22):
        outfit[outfits.GOWN], outfit[outfits.SLEEVE] = 1.0, 1.0
    elif dice.chance(0.15):
        outfit[outfits.APRON_ON] = 1.0
    if dice.chance(0.35):
        outfit[outfits.CAP_VOLUME] = dice.between(0.003, 0.022)
    if dice.chance(0.10):
        outfit[outfits.MASKED] = 1.0
        colors[outfits.MASK] = _cloth_color(dice)
    if dice.chance(0.12):
        outfit[outfits.GLOVED] = 1.0
        colors[outfits.GLOVES] = _cloth_color(dice)
    if dice.chance(0.3):  # a suit, an overall
        colors[outfits.TROUSERS] = colors[outfits.TOP]
    return person


def clinician(dice: Dice, sterile: bool) -> Person:
    """Draw a member of the staff: scrubs, cap and mask; gown and gloves where ``sterile``; some aprons."""
    size = _size(dice)
    outfit = np.zeros(outfits.OUTFIT_SIZE)
    outfit[outfits.CAP_VOLUME] = (
        dice.between(0.002, 0.009) if dice.chance(0.7) else dice.between(0.009, 0.026)
    )
    if dice.chance(0.08):
        outfit[outfits.CAP_VOLUME] = 0.0
        _hair(dice, outfit, size[k.FEMALE] > 0.5)
    outfit[outfits.MASKED] = 1.0 if dice.chance(0.8) else 0.0
    outfit[outfits.GOWN] = 1.0 if sterile else 0.0
    outfit[outfits.SLEEVE] = 1.0 if sterile or dice.chance(0.15) else dice.between(0.2, 0.5)
    outfit[outfits.LOOSE_TOP] = dice.between(0.008, 0.028)
    outfit[outfits.LOOSE_TROUSERS] = dice.between(0.010, 0.035)
    outfit[outfits.GLOVED] = 1.0 if sterile or dice.chance(0.3) else 0.0
    outfit[outfits.BUST] = dice.between(0.024, 0.036) if size[k.FEMALE] > 0.5 else 0.0
    apron = dice.chance(0.4)
    outfit[outfits.APRON_ON] = 1.0 if apron and not sterile else 0.0
    outfit[outfits.COLLAR] = 1.0 if apron else 0.0
    scrubs = dice.one_of(_SCRUBS)
    gown = dice.one_of(((0.25, 0.47, 0.70), (0.20, 0.50, 0.45), (0.40, 0.58, 0.75), (0.15, 0.38, 0.55)))
    lead = dice.one_of(((0.10, 0.13, 0.30), (0.30, 0.10, 0.16), (0.12, 0.28, 0.26), (0.25, 0.25, 0.30)))
    glove = dice.one_of(((0.85, 0.82, 0.72), (0.55, 0.70, 0.85), (0.80, 0.78, 0.75)))
    cap = dice.one_of(((0.30, 0.55, 0.70), (0.20, 0.50, 0.40), (0.70, 0.80, 0.85), (0.15, 0.30, 0.50)))
    shoes = dice.one_of(((0.8, 0.8, 0.8), (0.15, 0.25, 0.4), (0.2, 0.4, 0.3), (0.1, 0.1, 0.1)))
    mask = dice.one_of(((0.70, 0.82, 0.90), (0.65, 0.80, 0.72), (0.85, 0.88, 0.90)))
    colors = np.array(
        [dice.one_of(_SKINS), dice.one_of(_HAIRS), scrubs, scrubs, shoes, cap, mask, gown, glove, lead]
    )
    if outfit[outfits.GLOVED] == 0.0:
        colors[outfits.GLOVES] = colors[outfits.SKIN]
    return Person(size, outfit, "clinician", colors)


def patient(dice: Dice) -> Person:
    """Draw a patient in a thin shirt."""
    size = _size(dice)
    outfit = np.zeros(outfits.OUTFIT_SIZE)
    if dice.chance(0.5):
        outfit[outfits.CAP_VOLUME] = dice.between(0.003, 0.012)
    else:
        _hair(dice, outfit, size[k.FEMALE] > 0.5)
        outfit[outfits.PONYTAIL] = 0.0
    outfit[outfits.SLEEVE], outfit[outfits.LOOSE_TOP] = dice.between(0.2, 0.5), 0.01
    outfit[outfits.LOOSE_TROUSERS] = 0.006
    shirt = (0.80, 0.84, 0.88)
    colors = np.array(
        [dice.one_of(_SKINS), dice.one_of(_HAIRS), shirt, shirt, shirt, (0.6, 0.75, 0.85), *[shirt] * 4]
    )
    colors[outfits.SHOES] = colors[outfits.SKIN]
    colors[outfits.GLOVES] = colors[outfits.SKIN]
    return Person(size, outfit, "patient", colors)


def anyone(dice: Dice, covered: float, cloth: float, carries: bool) -> Person:
    """Draw somebody of the domain "anywhere": staff or others, in whatever hides or shapes a body.

    Args:
        dice: of the sequence.
        covered: probability of a gown, a long coat or an apron.
        cloth: probability that they hold a cloth before themselves.
        carries: whether the arms are those of somebody who carries something.
    """
    person = clinician(dice, False) if dice.chance(0.45) else passer_by(dice)
    outfit, colors, size = person.outfit, person.colors, person.dimensions
    outfit[outfits.GOWN] = outfit[outfits.APRON_ON] = 0.0
    if dice.chance(covered):
        outfit[outfits.GOWN if dice.chance(0.6) else outfits.APRON_ON] = 1.0
        outfit[outfits.SLEEVE] = max(outfit[outfits.SLEEVE], 1.0 if outfit[outfits.GOWN] > 0.5 else 0.2)
    elif dice.chance(0.35):
        outfit[outfits.JACKET], outfit[outfits.SLEEVE] = dice.between(0.010, 0.055), 1.0
        outfit[outfits.LOOSE_TOP] = dice.between(0.008, 0.022)
    if outfit[outfits.CAP_VOLUME] == 0.0 and dice.chance(0.3):
        outfit[outfits.HAIR_VOLUME] = dice.between(0.014, 0.034)
    outfit[outfits.LOOSE_TROUSERS] = dice.between(0.006, 0.045)
    outfit[outfits.RELIEF] = dice.between(0.004, 0.030)
    if dice.chance(cloth):
        outfit[outfits.HELD], outfit[outfits.HELD_SIZE] = outfits.HOLDS_CLOTH, dice.between(0.2, 0.7)
    elif carries:
        outfit[outfits.HELD] = outfits.HOLDS_BOX if dice.chance(0.65) else outfits.HOLDS_TRAY
        outfit[outfits.HELD_SIZE] = dice.between(0.06, 0.22)
    colors[outfits.APRON] = _cloth_color(dice)
    size[k.HIP_HALF] *= 1.14  # nearer to where annotators of operating rooms click
    size[k.SHOULDER_BACK] = dice.between(0.006, 0.018) * size[k.STATURE]
    return person


def anyone_lying(dice: Dice) -> Person:
    """Draw somebody who lies on a bed: mostly patients, some in their own clothes."""
    person = patient(dice) if dice.chance(0.7) else passer_by(dice)
    person.outfit[outfits.RELIEF] = dice.between(0.004, 0.030)
    person.dimensions[k.HIP_HALF] *= 1.14
    person.dimensions[k.SHOULDER_BACK] = 0.012 * person.dimensions[k.STATURE]
    return person
