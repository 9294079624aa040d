"""One sequence: a room, its cameras, the people in it and what they do."""

from __future__ import annotations

import math
from dataclasses import dataclass

from orpose_core.simulation.arithmetic import cos, sin
from orpose_core.simulation.dice import Dice
from orpose_core.simulation.people import outfits
from orpose_core.simulation.people.activities import Actor
from orpose_core.simulation.people.outfits import Person
from orpose_core.simulation.rooms import or_equipment
from orpose_core.simulation.rooms.rooms import Room
from orpose_core.simulation.sensing.cameras import (
    Camera,
)
from orpose_core.simulation.sensing.sensor import Sensor
from orpose_core.simulation.sensing.shading import Exposure


@dataclass(frozen=True)
class Scene:
    """Everything of a sequence that stays the same while people move.

    Attributes:
        room: its solids are those of the room alone, without people.
        cameras: one to three.
        sensors: one per camera.
        exposures: one per camera.
        people: who is there.
        actors: what each of them does.
        first_materials: row of the material table at which each person's materials begin.
        seed: of what changes from frame to frame.
    """

    room: Room
    cameras: tuple[Camera, ...]
    sensors: tuple[Sensor, ...]
    exposures: tuple[Exposure, ...]
    people: tuple[Person, ...]
    actors: tuple[Actor, ...]
    first_materials: tuple[int, ...]
    seed: int


def wardrobe(room: Room, people: list[Person], dice: Dice) -> tuple[int, ...]:
    """Add everybody's materials to the room's table; dark cloth and hair absorb the depth camera's light."""
    first = []
    for person in people:
        first.append(room.material_count)
        for i in range(outfits.PERSON_MATERIALS):
            r, g, b = person.colors[i]
            dark = 1.0 - (0.3 * r + 0.6 * g + 0.1 * b)
            absorption = (
                0.0 if i in (outfits.SKIN, outfits.GLOVES) else 0.35 * max(dark - 0.5, 0.0) * dice.roll()
            )
            if i == outfits.HAIR:
                absorption = dice.between(0.1, 0.9)
            if i == outfits.SHOES:
                absorption = dice.between(0.0, 0.9)
            room.material((r, g, b), absorption, 0.0, 1.0 if i not in (outfits.SKIN, outfits.HAIR) else 0.0)
    return tuple(first)


def bystander(dice: Dice, x: float, y: float, activity: str, shared_yaw: float | None) -> Actor:
    """Return somebody who stands free; facing roughly as the others do, or with None wherever."""
    yaw = dice.between(-math.pi, math.pi) if shared_yaw is None else shared_yaw + dice.near(0.0, 0.25)
    return Actor(activity, x, y, yaw, dice.seed(), tempo_s=dice.between(0.7, 1.8))


def settle(room: Room, dice: Dice, actor: Actor, radius_m: float) -> None:
    """Take an actor's place in the room, and give them a stool if they sit."""
    room.take(actor.x_m, actor.y_m, radius_m)
    if actor.activity == "sit":
        or_equipment.stool(room, dice, actor.x_m, actor.y_m, 0.40)


def within_reach(
    dice: Dice, x: float, y: float, facing: float, surface_m: float
) -> tuple[float, float, float]:
    """Draw what hands at a table work at: before the person, a little above its surface."""
    reach = dice.between(0.30, 0.52)
    return x - reach * sin(facing), y + reach * cos(facing), surface_m + dice.between(0.05, 0.25)
