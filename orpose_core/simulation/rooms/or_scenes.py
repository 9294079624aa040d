"""Scenes of the operating room."""

from __future__ import annotations

import math
from dataclasses import replace

from orpose_core.simulation.arithmetic import cos, sin
from orpose_core.simulation.dice import Dice
from orpose_core.simulation.people import activities, casting
from orpose_core.simulation.people.activities import Actor
from orpose_core.simulation.people.outfits import Person
from orpose_core.simulation.rooms import or_equipment
from orpose_core.simulation.rooms.rooms import Room
from orpose_core.simulation.rooms.scenes import Scene, settle, wardrobe, within_reach
from orpose_core.simulation.rooms.shells import operating_room
from orpose_core.simulation.sensing.cameras import (
    ceiling_camera,
    mvor_camera,
)
from orpose_core.simulation.sensing.sensor import draw_sensor
from orpose_core.simulation.sensing.shading import draw_exposure


def or_place(dice: Dice, room: Room, role: str) -> tuple[float, float, float] | None:
    """Draw a place and facing: at the table's side, or standing free; None where there is no room."""
    assert room.table is not None
    tx, ty, yaw, _, half_length, half_width = room.table
    for _ in range(30):
        if role == "table":
            along = dice.between(-1.0, 1.0) * half_length
            side = 1.0 if dice.chance(0.62) else -1.0
            across = side * (half_width + dice.between(0.22, 0.38))
            x = tx + cos(yaw) * along - sin(yaw) * across
            y = ty + sin(yaw) * along + cos(yaw) * across
            facing = yaw + (math.pi if side > 0 else 0.0) + dice.near(0.0, 0.3)
        else:
            x, y = tx + dice.near(0.0, 1.0), ty + dice.near(0.0, 0.8)
            facing = dice.between(-math.pi, math.pi)
        inside = abs(x) < room.half_size_m[0] - 0.4 and abs(y) < room.half_size_m[1] - 0.4
        if inside and room.is_free(x, y, 0.10 if role == "table" else 0.28):
            return x, y, facing
    return None


_AT_TABLE = ("work", "lean", "across", "imaging", "pass")


def or_scene(seed: int, sequence: int, rig: str, camera_count: int, crowd: int = 0) -> Scene:
    """Return a scene of an operating room.

    Args:
        seed: with sequence the key of the scene.
        sequence: number of the sequence.
        rig: "mvor" = MVOR's cameras with a little jitter, "any" = ceiling cameras anywhere, "mixed" = drawn.
        camera_count: 1 to 3.
        crowd: this many clinicians more than usual; an empty room stays empty.
    """
    dice = Dice(seed, sequence, 2)
    like_mvor = rig == "mvor" or (rig == "mixed" and dice.chance(0.5))
    half = (2.9, 3.9) if like_mvor else (dice.between(2.5, 3.6), dice.between(2.5, 4.0))
    centre = (
        (0.22 + dice.near(0.0, 0.10), 1.02 + dice.near(0.0, 0.12))
        if like_mvor
        else (dice.near(0, 0.3), dice.near(0, 0.3))
    )
    yaw = math.pi / 2.0 + dice.near(0.0, 0.1) if like_mvor else dice.between(-math.pi, math.pi)
    room = operating_room(dice, half, centre, yaw)
    if like_mvor:
        cameras = [mvor_camera(i, dice) for i in range(3)]
        if camera_count < 3:
            start = dice.below(3)
            chosen = [cameras[(start + i) % 3] for i in range(camera_count)]
            cameras = [replace(c, name=f"camera_{i + 1}") for i, c in enumerate(chosen)]
    else:
        focus = (centre[0] + dice.near(0.0, 0.25), centre[1] + dice.near(0.0, 0.25))
        cameras = [ceiling_camera(dice, focus, half, f"camera_{i + 1}") for i in range(camera_count)]
    or_equipment.equip(room, dice)
    people: list[Person] = []
    actors: list[Actor] = []
    assert room.table is not None
    tx, ty, tyaw, surface, _, _ = room.table
    if dice.chance(0.40):
        people.append(casting.patient(dice))
        # Supine: the head lies away from where the yaw points, so feet point along the facing.
        feet = 1.0 if dice.chance(0.5) else -1.0
        head_first = tyaw - feet * math.pi / 2.0
        if dice.chance(0.6):
            or_equipment.patient_drape(room, dice, feet)
        actors.append(Actor("lie", tx, ty, head_first, dice.seed(), surface_m=surface + 0.01, tempo_s=4.0))
    count = int(dice.pick({"0": 0.05, "1": 0.24, "2": 0.34, "3": 0.22, "4": 0.10, "5": 0.05}))
    for _ in range(count + crowd if count else 0):
        activity = dice.pick(activities.OR_ACTIVITIES)
        role = "table" if activity in _AT_TABLE else "free"
        place = or_place(dice, room, role)
        if place is None:
            continue
        x, y, facing = place
        target = within_reach(dice, x, y, facing, surface) if role == "table" else None
        people.append(
            casting.clinician(dice, (role == "table" and dice.chance(0.6)) or activity == "sterile")
        )
        actors.append(Actor(activity, x, y, facing, dice.seed(), target, tempo_s=dice.between(0.8, 2.0)))
        settle(room, dice, actors[-1], 0.26)
    first = wardrobe(room, people, dice)
    sensors = tuple(draw_sensor(dice, 0.8) for _ in cameras)
    exposures = tuple(draw_exposure(dice) for _ in cameras)
    return Scene(room, tuple(cameras), sensors, exposures, tuple(people), tuple(actors), first, dice.seed())
