"""Scenes of one site: the same room, camera and sensor every day, other people each day."""

from __future__ import annotations

import math

from orpose_core.simulation.arithmetic import angle_of
from orpose_core.simulation.dice import Dice
from orpose_core.simulation.people import casting
from orpose_core.simulation.people.activities import GENERAL_ACTIVITIES, Actor
from orpose_core.simulation.rooms.everyday_scenes import line_of_sight
from orpose_core.simulation.rooms.furniture import furnish
from orpose_core.simulation.rooms.rooms import Room
from orpose_core.simulation.rooms.scenes import Scene, bystander, settle, wardrobe
from orpose_core.simulation.rooms.shells import wall_in
from orpose_core.simulation.sensing.cameras import Camera, aim
from orpose_core.simulation.sensing.depth_cameras import draw_depth_camera
from orpose_core.simulation.sensing.sensor import Sensor
from orpose_core.simulation.sensing.shading import Exposure, draw_exposure
from orpose_core.types import Intrinsics

_SITE_KEY, _DAY_KEY = 40, 41
_DEGREE = math.pi / 180.0
_APART_M = 0.75
_PEOPLE = {"1": 0.25, "2": 0.35, "3": 0.25, "4": 0.15}


def site_scene(seed: int, day: int, crowd: int = 0) -> Scene:
    """Return one day of a site.

    The seed decides the room, its furniture, the camera and its sensor. The camera has a lens of 79 to 94
    degrees, wider than those of the other domains, and hangs askew in a corner under the ceiling. The day
    decides who is there and what they do.

    Args:
        seed: of the site.
        day: 0 or more.
        crowd: this many people more than usual.
    """
    room, camera, sensor, exposure = _site(seed)
    dice = Dice(seed, day, _DAY_KEY)
    actors = _actors(dice, room, crowd + int(dice.pick(_PEOPLE)))
    people = [casting.anybody(dice) for _ in actors]
    for actor in actors:
        settle(room, dice, actor, 0.35)
    first = wardrobe(room, people, dice)
    return Scene(room, (camera,), (sensor,), (exposure,), tuple(people), tuple(actors), first, dice.seed())


def _site(seed: int) -> tuple[Room, Camera, Sensor, Exposure]:
    """Return what is the same every day."""
    dice = Dice(seed, 0, _SITE_KEY)
    room = Room.empty()
    half = dice.between(2.2, 2.8), dice.between(2.4, 3.2)
    wall_in(room, dice, *half, 2.6)
    room.half_size_m = min(room.half_size_m[0], 3.2), min(room.half_size_m[1], 3.6)
    camera = _camera(dice, room)
    eye = camera.room_from_camera[:3, 3]
    free = [*line_of_sight(eye, [(0.0, 0.0)]), (0.0, 0.0, 1.0)]
    furnish(room, dice, 14 + dice.below(10), free)
    return room, camera, draw_depth_camera(dice, 1.0, 5.0), draw_exposure(dice)


def _camera(dice: Dice, room: Room) -> Camera:
    """Draw a wide camera that hangs askew in a corner and looks at the middle of the room."""
    sign_x, sign_y = (1.0 if dice.chance(0.5) else -1.0 for _ in range(2))
    x, y = sign_x * (min(room.half_size_m[0], 2.6) - 0.25), sign_y * (min(room.half_size_m[1], 2.6) - 0.25)
    z = min(room.height_m - 0.15, dice.between(2.3, 2.7))
    flat = math.sqrt(x * x + y * y)
    roll = (1.0 if dice.chance(0.5) else -1.0) * dice.between(6.0, 12.0) * _DEGREE
    pose = aim((x, y, z), angle_of(-x, -y), angle_of(flat, z - 0.95), roll)
    f = dice.between(300.0, 390.0)
    lens = Intrinsics(f, f, 319.5 + dice.near(0.0, 4.0), 239.5 + dice.near(0.0, 5.0), 640, 480)
    return Camera(pose, lens, "camera_1")


def _actors(dice: Dice, room: Room, count: int) -> list[Actor]:
    """Draw people who stand and walk about where there is no furniture."""
    actors: list[Actor] = []
    for _ in range(40):
        if len(actors) == count:
            break
        x = dice.between(-0.6, 0.6) * room.half_size_m[0]
        y = dice.between(-0.6, 0.6) * room.half_size_m[1]
        apart = all((x - a.x_m) ** 2 + (y - a.y_m) ** 2 > _APART_M**2 for a in actors)
        if apart and room.is_free(x, y, 0.3):
            actors.append(bystander(dice, x, y, dice.pick(GENERAL_ACTIVITIES), None))
    return actors
