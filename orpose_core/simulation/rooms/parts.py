"""The parts of the domain ``anywhere``: how often each is drawn, and its settings."""

from __future__ import annotations

from dataclasses import dataclass, field

Ranges = tuple[tuple[float, float, float], ...]

_ANY_PITCH: Ranges = ((0.40, -14.0, 15.0), (0.30, 15.0, 50.0), (0.15, 50.0, 75.0), (0.15, 75.0, 90.0))
_ANY_DISTANCE: Ranges = ((0.10, 0.5, 1.2), (0.35, 1.2, 2.3), (0.40, 2.3, 3.8), (0.15, 3.8, 5.5))
_PEOPLE = {"1": 0.42, "2": 0.28, "3": 0.17, "4": 0.09, "5": 0.04}
_POSTURES = {
    "stand": 0.48, "stoop": 0.09, "walk": 0.10, "sit": 0.10, "bend": 0.09, "squat": 0.04, "kneel": 0.03,
    "balance": 0.04, "lunge": 0.03,
}  # fmt: skip
_ARMS = {
    "hang": 0.24, "front": 0.22, "raised": 0.07, "stretched": 0.08, "t_pose": 0.02, "crossed": 0.05, "hips":
    0.06, "behind": 0.04, "carry": 0.05, "head": 0.05, "knees": 0.02, "pockets": 0.04, "reach": 0.06,
    "anywhere": 0.06,
}  # fmt: skip


@dataclass(frozen=True)
class Part:
    """One kind of scene.

    Attributes:
        share: how often the domain "anywhere" draws it.
        pitch_deg: ranges of the angle of the optical axis below the horizontal: (weight, low, high) each.
        distance_m: ranges of the distance from the camera to its target: (weight, low, high) each.
        people: weights of the number of people.
        postures: weights of the postures of trunk and legs.
        arms: weights of the poses of the arms, independent of the facing.
        mixed_arms: probability that the other arm has a different pose.
        facing_deg: ranges of the angle between a person's facing and the direction to the camera.
        off_center: largest offset of the target person from the image center; 1 = the edge.
        covered: probability that a person wears a gown, a coat or an apron.
        cloth: probability that cloth is held or hung in front of a person.
        bed: probability of a bed or table with a person lying on it.
        operating_room: probability that the room is an operating room.
        at_table: share of the people of an operating room or around a bed who stand at its side.
    """

    share: float
    pitch_deg: Ranges = _ANY_PITCH
    distance_m: Ranges = _ANY_DISTANCE
    people: dict[str, float] = field(default_factory=lambda: _PEOPLE)
    postures: dict[str, float] = field(default_factory=lambda: _POSTURES)
    arms: dict[str, float] = field(default_factory=lambda: _ARMS)
    mixed_arms: float = 0.35
    facing_deg: Ranges = ((1.0, -180.0, 180.0),)
    off_center: float = 0.6
    covered: float = 0.35
    cloth: float = 0.05
    bed: float = 0.06
    operating_room: float = 0.35
    at_table: float = 0.5


PARTS: dict[str, Part] = {
    "near": Part(
        0.12,
        pitch_deg=((0.65, -10.0, 20.0), (0.25, 20.0, 50.0), (0.10, 50.0, 85.0)),
        distance_m=((0.6, 0.45, 0.9), (0.4, 0.9, 1.4)),
        off_center=1.0,
    ),
    "above": Part(
        0.14,
        pitch_deg=((0.35, 55.0, 80.0), (0.65, 80.0, 90.0)),
        distance_m=((0.3, 0.9, 1.6), (0.7, 1.6, 2.7)),
        off_center=0.95,
        operating_room=0.25,
    ),
    "facing": Part(
        0.15,
        pitch_deg=((0.75, -15.0, 18.0), (0.25, 18.0, 45.0)),
        distance_m=((0.55, 1.2, 2.4), (0.45, 2.4, 4.0)),
        postures={"stand": 0.75, "stoop": 0.12, "walk": 0.13},
        facing_deg=((0.5, -40.0, 40.0), (0.5, 140.0, 220.0)),
    ),
    "arms": Part(
        0.14,
        postures={"stand": 0.7, "walk": 0.06, "sit": 0.1, "lunge": 0.05, "balance": 0.09},
        arms={
            "raised": 0.24,
            "stretched": 0.22,
            "t_pose": 0.08,
            "crossed": 0.07,
            "hips": 0.08,
            "behind": 0.06,
            "carry": 0.07,
            "head": 0.06,
            "reach": 0.06,
            "anywhere": 0.06,
        },
    ),
    "bent": Part(
        0.11,
        postures={
            "bend": 0.36,
            "squat": 0.18,
            "kneel": 0.12,
            "sit": 0.18,
            "balance": 0.06,
            "lunge": 0.05,
            "stand": 0.05,
        },
        facing_deg=((0.5, -180.0, 180.0), (0.25, 60.0, 120.0), (0.25, -120.0, -60.0)),
    ),
    "draped": Part(0.10, covered=0.85, cloth=0.55, operating_room=0.5),
    "lying": Part(
        0.06,
        pitch_deg=((0.25, 0.0, 20.0), (0.45, 20.0, 55.0), (0.30, 55.0, 90.0)),
        distance_m=((0.5, 1.2, 2.3), (0.5, 2.3, 3.6)),
        people={"0": 0.35, "1": 0.3, "2": 0.2, "3": 0.15},
        bed=1.0,
        operating_room=0.5,
    ),
    "team": Part(
        0.08,
        pitch_deg=((0.75, 22.0, 50.0), (0.25, 50.0, 80.0)),
        distance_m=((0.35, 1.4, 2.3), (0.65, 2.3, 3.8)),
        people={"2": 0.25, "3": 0.35, "4": 0.25, "5": 0.15},
        postures={"stand": 0.55, "stoop": 0.25, "walk": 0.08, "sit": 0.04, "bend": 0.08},
        covered=0.6,
        cloth=0.04,
        bed=0.5,
        operating_room=1.0,
        at_table=0.75,
    ),
    "empty": Part(0.10, people={"0": 1.0}, bed=0.0),
}
"""The parts by name. Each is a domain of its own; "anywhere" draws from all of them by their shares."""
