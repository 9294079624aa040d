"""Who a person is and what they wear: dimensions, outfit and colors."""

from __future__ import annotations

from dataclasses import dataclass, field

from orpose_core.types import Float64Array

# Parts of a body, as in ``Solids.parts``.
(
    PART_HEAD, PART_NECK, PART_TRUNK, PART_PELVIS, PART_LEFT_UPPER_ARM, PART_LEFT_FOREARM, PART_LEFT_HAND,
    PART_RIGHT_UPPER_ARM, PART_RIGHT_FOREARM, PART_RIGHT_HAND, PART_LEFT_THIGH, PART_LEFT_SHANK,
    PART_LEFT_FOOT, PART_RIGHT_THIGH, PART_RIGHT_SHANK, PART_RIGHT_FOOT, PART_SKIRT,
) = range(1, 18)  # fmt: skip

# Materials of one person, as offsets into the person's block of the material table.
SKIN, HAIR, TOP, TROUSERS, SHOES, CAP, MASK, COAT, GLOVES, APRON = range(10)
PERSON_MATERIALS = 10
# What a face has beside them, in the domain "anywhere" alone, after the others.
EYES, LIPS, EDGE = 10, 11, 12
FACE_MATERIALS = 3

# Rows of a person's outfit.
HAIR_VOLUME, HAIR_LENGTH, CAP_VOLUME, MASKED, GOWN, APRON_ON, SLEEVE, LOOSE_TOP, LOOSE_TROUSERS, SKIRT = (
    range(10)
)
PONYTAIL, GLOVED, BACKPACK, BUST, COLLAR = 10, 11, 12, 13, 14
JACKET, HELD, HELD_SIZE, RELIEF = 15, 16, 17, 18
OUTFIT_SIZE = 19

# What somebody may hold, as in the row HELD.
HOLDS_NOTHING, HOLDS_BOX, HOLDS_TRAY, HOLDS_CLOTH = 0.0, 1.0, 2.0, 3.0


@dataclass(frozen=True)
class Person:
    """One person of a scene.

    Attributes:
        dimensions: float64 (15,), see :func:`kinematics.dimensions`.
        outfit: float64 (19,), rows as named in this module: hair's volume and length, cap, mask, gown, apron,
            length of the sleeves (0 = none, 1 = to the wrist), looseness of top and trousers in metres,
            length of a skirt, ponytail, gloves, backpack, bust, thyroid collar, width of an open jacket
            (0 = none), what is held and how large (metres), and how far belly, seat and toes stand out
            (0 = as the rest of the outfit has them).
        role: "clinician", "patient" or "person".
        colors: uint8-like albedo in [0, 1], float64 (10, 3), one row per material.
    """

    dimensions: Float64Array
    outfit: Float64Array
    role: str
    colors: Float64Array = field(repr=False)
