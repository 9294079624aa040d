"""One sequence: a room, its cameras, the people in it and what they do."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from orpose_core.simulation.arithmetic import angle_of, cos, sin
from orpose_core.simulation.dice import Dice
from orpose_core.simulation.people import activities, bodies, casting
from orpose_core.simulation.people.activities import Actor
from orpose_core.simulation.people.bodies import Person
from orpose_core.simulation.rooms import or_equipment, rooms
from orpose_core.simulation.rooms.rooms import Room
from orpose_core.simulation.sensing.cameras import (
    Camera,
    camera_at_any_height,
    ceiling_camera,
    eye_level_camera,
    mvor_camera,
)
from orpose_core.simulation.sensing.sensor import Sensor, draw_sensor
from orpose_core.simulation.sensing.shading import Exposure, draw_exposure

Float64Array = NDArray[np.float64]


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


def _wardrobe(room: Room, people: list[Person], dice: Dice) -> tuple[int, ...]:
    """Add everybody's materials to the room's table; dark cloth and hair absorb the depth camera's light."""
    first = []
    for person in people:
        first.append(room.material_count)
        for i in range(bodies.PERSON_MATERIALS):
            r, g, b = person.colors[i]
            dark = 1.0 - (0.3 * r + 0.6 * g + 0.1 * b)
            absorption = (
                0.0 if i in (bodies.SKIN, bodies.GLOVES) else 0.35 * max(dark - 0.5, 0.0) * dice.roll()
            )
            if i == bodies.HAIR:
                absorption = dice.between(0.1, 0.9)
            if i == bodies.SHOES:
                absorption = dice.between(0.0, 0.9)
            room.material((r, g, b), absorption, 0.0, 1.0 if i not in (bodies.SKIN, bodies.HAIR) else 0.0)
    return tuple(first)


def _general_group(dice: Dice, crowd: int) -> list[tuple[float, float]]:
    """Draw places of people about the origin: alone, a row, a ring, or scattered."""
    count = crowd + int(dice.pick({"1": 0.34, "2": 0.26, "3": 0.17, "4": 0.11, "5": 0.08, "6": 0.04}))
    kind = dice.pick({"row": 0.35, "ring": 0.2, "scatter": 0.45}) if count > 1 else "scatter"
    angle = dice.between(-math.pi, math.pi)
    places: list[tuple[float, float]] = []
    if kind == "row":
        gap = dice.between(0.5, 1.0)
        for i in range(count):
            t = (i - 0.5 * (count - 1)) * gap + dice.near(0.0, 0.07)
            off = dice.near(0.0, 0.25)
            places.append((t * cos(angle) - off * sin(angle), t * sin(angle) + off * cos(angle)))
        return places
    radius = dice.between(0.45, 0.9) if kind == "ring" else dice.between(0.6, 2.2)
    for i in range(count):
        for _ in range(12):
            if kind == "ring":
                a, r = angle + 2.0 * math.pi * (i + dice.near(0, 0.1)) / count, radius
            else:
                a, r = dice.between(-math.pi, math.pi), radius * math.sqrt(dice.roll())
            x, y = r * cos(a), r * sin(a)
            if all((x - px) ** 2 + (y - py) ** 2 > 0.36 for px, py in places):
                places.append((x, y))
                break
    return places


def _bystander(dice: Dice, x: float, y: float, activity: str, shared_yaw: float | None) -> Actor:
    """Return somebody who stands free; facing roughly as the others do, or with None wherever."""
    yaw = dice.between(-math.pi, math.pi) if shared_yaw is None else shared_yaw + dice.near(0.0, 0.25)
    return Actor(activity, x, y, yaw, dice.seed(), tempo_s=dice.between(0.7, 1.8))


def _settle(room: Room, dice: Dice, actor: Actor, radius_m: float) -> None:
    """Take an actor's place in the room, and give them a stool if they sit."""
    room.take(actor.x_m, actor.y_m, radius_m)
    if actor.activity == "sit":
        or_equipment.stool(room, dice, actor.x_m, actor.y_m, 0.40)


def _within_reach(
    dice: Dice, x: float, y: float, facing: float, surface_m: float
) -> tuple[float, float, float]:
    """Draw what hands at a table work at: before the person, a little above its surface."""
    reach = dice.between(0.30, 0.52)
    return x - reach * sin(facing), y + reach * cos(facing), surface_m + dice.between(0.05, 0.25)


def _framing(
    dice: Dice,
    places: list[tuple[float, float]],
    nearest: dict[str, float],
    farthest_m: float,
    on_somebody: float,
    heights_m: tuple[float, float],
) -> tuple[tuple[float, float, float], float]:
    """Draw what a camera is aimed at, metres, and from how far.

    Args:
        dice: of the sequence.
        places: of the people, at least one.
        nearest: how often it is close, in the middle and far.
        farthest_m: largest distance.
        on_somebody: how often it aims at a person, not between them and the middle.
        heights_m: range of the height that it aims at.
    """
    kind = dice.pick(nearest)
    low, high = {"close": (0.9, 1.7), "middle": (1.6, 3.2), "far": (3.0, farthest_m)}[kind]
    x, y = places[dice.below(len(places))]
    if not dice.chance(on_somebody):
        x, y = 0.5 * x, 0.5 * y
    return (x, y, dice.between(*heights_m)), dice.between(low, high)


def general_scene(seed: int, sequence: int, crowd: int = 0) -> Scene:
    """Return a scene of the general domain: eye level, everyday clothes, 0.8 to 6 m.

    Args:
        seed: with sequence the key of the scene.
        sequence: number of the sequence.
        crowd: this many people more than usual.
    """
    dice = Dice(seed, sequence, 1)
    room = Room.empty()
    places = _general_group(dice, crowd)
    shared_yaw = dice.between(-math.pi, math.pi)
    together = dice.chance(0.35)
    people = [casting.passer_by(dice) for _ in places]
    actors = []
    for x, y in places:
        activity = dice.pick(activities.GENERAL_ACTIVITIES)
        if activity == "anything" and dice.chance(0.3):
            activity = "wave"
        actors.append(_bystander(dice, x, y, activity, shared_yaw if together else None))
        _settle(room, dice, actors[-1], 0.35)
    nearest = {"close": 0.2, "middle": 0.55, "far": 0.25}
    focus_m, distance_m = _framing(dice, places, nearest, 5.6, 0.6, (0.75, 1.45))
    camera = eye_level_camera(dice, focus_m, distance_m, "camera_1")
    _surround(room, dice, camera, places, 0.0)
    rooms.furnish(room, dice, 4 + dice.below(14), _line_of_sight(camera.room_from_camera[:3, 3], places))
    first = _wardrobe(room, people, dice)
    sensors = (draw_sensor(dice),)
    exposures = (draw_exposure(dice),)
    return Scene(room, (camera,), sensors, exposures, tuple(people), tuple(actors), first, dice.seed())


def _surround(
    room: Room, dice: Dice, camera: Camera, places: list[tuple[float, float]], least_height: float
) -> None:
    """Add walls that people and camera are inside of, and a ceiling not below ``least_height``."""
    eye = camera.room_from_camera[:3, 3]
    reach_x = max(abs(x) for x in [float(eye[0]), *(x for x, _ in places)])
    reach_y = max(abs(y) for y in [float(eye[1]), *(y for _, y in places)])
    rooms.wall_in(room, dice, reach_x + 0.5, reach_y + 0.5, least_height)


def _round_a_table(room: Room, dice: Dice, count: int) -> list[Actor]:
    """Add a table, bench or counter and up to ``count`` people about it, busy there; one may lie on it."""
    half_length, half_width, surface = dice.between(0.4, 1.2), dice.between(0.25, 0.5), dice.between(0.7, 1.1)
    yaw = dice.between(-math.pi, math.pi)
    rooms.counter(room, dice, yaw, (half_length, half_width), surface)
    actors: list[Actor] = []
    if half_length > 0.8 and dice.chance(0.4):
        head_first = yaw + (0.5 if dice.chance(0.5) else -0.5) * math.pi
        actors.append(Actor("lie", 0.0, 0.0, head_first, dice.seed(), surface_m=surface + 0.01, tempo_s=4.0))
    one_side = dice.chance(0.35)
    for _ in range(count):
        along = dice.between(-1.0, 1.0) * half_length
        side = 1.0 if one_side or dice.chance(0.5) else -1.0
        across = side * (half_width + dice.between(0.20, 0.40))
        x, y = cos(yaw) * along - sin(yaw) * across, sin(yaw) * along + cos(yaw) * across
        if any((x - a.x_m) ** 2 + (y - a.y_m) ** 2 < 0.2 for a in actors if a.activity != "lie"):
            continue
        facing = yaw + (math.pi if side > 0 else 0.0) + dice.near(0.0, 0.35)
        activity = dice.pick(activities.TABLE_ACTIVITIES)
        target = _within_reach(dice, x, y, facing, surface)
        actors.append(Actor(activity, x, y, facing, dice.seed(), target, tempo_s=dice.between(0.8, 2.0)))
    return actors


def _standing_about(dice: Dice, crowd: int) -> list[Actor]:
    """Draw people of a general group and what each of them does."""
    shared_yaw = dice.between(-math.pi, math.pi)
    together = dice.chance(0.35)
    actors = []
    for x, y in _general_group(dice, crowd):
        activity = dice.pick(activities.GENERAL_ACTIVITIES)
        actors.append(_bystander(dice, x, y, activity, shared_yaw if together else None))
    return actors


def everyday_scene(seed: int, sequence: int, crowd: int = 0) -> Scene:
    """Return a scene of the everyday domain: people as collections of photographs have them.

    From any height, knee to ceiling; standing about, or busy at tables and counters; in coats, aprons and
    caps more often than in the general domain; behind furniture now and then. Nothing in it is of an
    operating room.

    Args:
        seed: with sequence the key of the scene.
        sequence: number of the sequence.
        crowd: this many people more than usual.
    """
    dice = Dice(seed, sequence, 3)
    room = Room.empty()
    actors: list[Actor] = []
    if dice.chance(0.4):
        actors = _round_a_table(room, dice, crowd + 1 + dice.below(4))
    else:
        actors = _standing_about(dice, crowd)
    people = [casting.anybody(dice) for _ in actors]
    places = [(a.x_m, a.y_m) for a in actors]
    for actor in actors:
        _settle(room, dice, actor, 0.35)
    nearest = {"close": 0.15, "middle": 0.6, "far": 0.25}
    focus_m, distance_m = _framing(dice, places, nearest, 4.6, 0.5, (0.7, 1.4))
    camera = camera_at_any_height(dice, focus_m, distance_m, "camera_1")
    _surround(room, dice, camera, places, float(camera.room_from_camera[2, 3]) + 0.15)
    eye = camera.room_from_camera[:3, 3]
    free = _line_of_sight(eye, places) if dice.chance(0.6) else [(float(eye[0]), float(eye[1]), 0.8)]
    rooms.furnish(room, dice, 4 + dice.below(14), free)
    first = _wardrobe(room, people, dice)
    sensors, exposures = (draw_sensor(dice),), (draw_exposure(dice),)
    return Scene(room, (camera,), sensors, exposures, tuple(people), tuple(actors), first, dice.seed())


def _line_of_sight(eye: Float64Array, places: list[tuple[float, float]]) -> list[tuple[float, float, float]]:
    """Return circles between a camera and most people, so that furniture does not hide everything."""
    out = [(float(eye[0]), float(eye[1]), 0.8)]
    for x, y in places:
        parts = (0.35, 0.65, 0.85)
        out.extend((eye[0] + part * (x - eye[0]), eye[1] + part * (y - eye[1]), 0.45) for part in parts)
    return out


def _or_place(dice: Dice, room: Room, role: str) -> tuple[float, float, float] | None:
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
    room = rooms.operating_room(dice, half, centre, yaw)
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
        place = _or_place(dice, room, role)
        if place is None:
            continue
        x, y, facing = place
        target = _within_reach(dice, x, y, facing, surface) if role == "table" else None
        people.append(
            casting.clinician(dice, (role == "table" and dice.chance(0.6)) or activity == "sterile")
        )
        actors.append(Actor(activity, x, y, facing, dice.seed(), target, tempo_s=dice.between(0.8, 2.0)))
        _settle(room, dice, actors[-1], 0.26)
    first = _wardrobe(room, people, dice)
    sensors = tuple(draw_sensor(dice, 0.8) for _ in cameras)
    exposures = tuple(draw_exposure(dice) for _ in cameras)
    return Scene(room, tuple(cameras), sensors, exposures, tuple(people), tuple(actors), first, dice.seed())


def direction_of(actor: Actor) -> float:
    """Return the angle about z of where an actor faces, radians, 0 = room +x."""
    return angle_of(-sin(actor.yaw_rad), cos(actor.yaw_rad))
