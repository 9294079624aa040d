"""Scenes of the general and the everyday domain."""

from __future__ import annotations

import math

from orpose_core.simulation.arithmetic import cos, sin
from orpose_core.simulation.dice import Dice
from orpose_core.simulation.people import activities, casting
from orpose_core.simulation.people.activities import Actor
from orpose_core.simulation.rooms.furniture import counter, furnish
from orpose_core.simulation.rooms.rooms import Room
from orpose_core.simulation.rooms.scenes import Scene, bystander, settle, wardrobe, within_reach
from orpose_core.simulation.rooms.shells import wall_in
from orpose_core.simulation.sensing.cameras import (
    Camera,
    camera_at_any_height,
    eye_level_camera,
)
from orpose_core.simulation.sensing.sensor import draw_sensor
from orpose_core.simulation.sensing.shading import draw_exposure
from orpose_core.types import Float64Array


def general_group(dice: Dice, crowd: int) -> list[tuple[float, float]]:
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


def framing(
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
    places = general_group(dice, crowd)
    shared_yaw = dice.between(-math.pi, math.pi)
    together = dice.chance(0.35)
    people = [casting.passer_by(dice) for _ in places]
    actors = []
    for x, y in places:
        activity = dice.pick(activities.GENERAL_ACTIVITIES)
        if activity == "anything" and dice.chance(0.3):
            activity = "wave"
        actors.append(bystander(dice, x, y, activity, shared_yaw if together else None))
        settle(room, dice, actors[-1], 0.35)
    nearest = {"close": 0.2, "middle": 0.55, "far": 0.25}
    focus_m, distance_m = framing(dice, places, nearest, 5.6, 0.6, (0.75, 1.45))
    camera = eye_level_camera(dice, focus_m, distance_m, "camera_1")
    surround(room, dice, camera, places, 0.0)
    furnish(room, dice, 4 + dice.below(14), line_of_sight(camera.room_from_camera[:3, 3], places))
    first = wardrobe(room, people, dice)
    sensors = (draw_sensor(dice),)
    exposures = (draw_exposure(dice),)
    return Scene(room, (camera,), sensors, exposures, tuple(people), tuple(actors), first, dice.seed())


def surround(
    room: Room, dice: Dice, camera: Camera, places: list[tuple[float, float]], least_height: float
) -> None:
    """Add walls that people and camera are inside of, and a ceiling not below ``least_height``."""
    eye = camera.room_from_camera[:3, 3]
    reach_x = max(abs(x) for x in [float(eye[0]), *(x for x, _ in places)])
    reach_y = max(abs(y) for y in [float(eye[1]), *(y for _, y in places)])
    wall_in(room, dice, reach_x + 0.5, reach_y + 0.5, least_height)


def _round_a_table(room: Room, dice: Dice, count: int) -> list[Actor]:
    """Add a table, bench or counter and up to ``count`` people about it, busy there; one may lie on it."""
    half_length, half_width, surface = dice.between(0.4, 1.2), dice.between(0.25, 0.5), dice.between(0.7, 1.1)
    yaw = dice.between(-math.pi, math.pi)
    counter(room, dice, yaw, (half_length, half_width), surface)
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
        target = within_reach(dice, x, y, facing, surface)
        actors.append(Actor(activity, x, y, facing, dice.seed(), target, tempo_s=dice.between(0.8, 2.0)))
    return actors


def _standing_about(dice: Dice, crowd: int) -> list[Actor]:
    """Draw people of a general group and what each of them does."""
    shared_yaw = dice.between(-math.pi, math.pi)
    together = dice.chance(0.35)
    actors = []
    for x, y in general_group(dice, crowd):
        activity = dice.pick(activities.GENERAL_ACTIVITIES)
        actors.append(bystander(dice, x, y, activity, shared_yaw if together else None))
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
        settle(room, dice, actor, 0.35)
    nearest = {"close": 0.15, "middle": 0.6, "far": 0.25}
    focus_m, distance_m = framing(dice, places, nearest, 4.6, 0.5, (0.7, 1.4))
    camera = camera_at_any_height(dice, focus_m, distance_m, "camera_1")
    surround(room, dice, camera, places, float(camera.room_from_camera[2, 3]) + 0.15)
    eye = camera.room_from_camera[:3, 3]
    free = line_of_sight(eye, places) if dice.chance(0.6) else [(float(eye[0]), float(eye[1]), 0.8)]
    furnish(room, dice, 4 + dice.below(14), free)
    first = wardrobe(room, people, dice)
    sensors, exposures = (draw_sensor(dice),), (draw_exposure(dice),)
    return Scene(room, (camera,), sensors, exposures, tuple(people), tuple(actors), first, dice.seed())


def line_of_sight(eye: Float64Array, places: list[tuple[float, float]]) -> list[tuple[float, float, float]]:
    """Return circles between a camera and most people, so that furniture does not hide everything."""
    out = [(float(eye[0]), float(eye[1]), 0.8)]
    for x, y in places:
        parts = (0.35, 0.65, 0.85)
        out.extend((eye[0] + part * (x - eye[0]), eye[1] + part * (y - eye[1]), 0.45) for part in parts)
    return out
