"""Scenes of one site: the same room, camera and sensor every day, other people each day.

A site is possible: whoever installed the camera saw to it that it sees the places where people work, past the
furniture, and that its depth reaches the farthest of them.
"""

from __future__ import annotations

import math

import numpy as np

from orpose_core.simulation.arithmetic import angle_of, applied
from orpose_core.simulation.dice import Dice
from orpose_core.simulation.people import casting
from orpose_core.simulation.people.activities import GENERAL_ACTIVITIES, Actor
from orpose_core.simulation.rooms.everyday_scenes import line_of_sight
from orpose_core.simulation.rooms.furniture import furnish
from orpose_core.simulation.rooms.rooms import Point, Room
from orpose_core.simulation.rooms.scenes import Scene, bystander, settle, wardrobe
from orpose_core.simulation.rooms.shells import wall_in
from orpose_core.simulation.sensing.cameras import Camera, aim
from orpose_core.simulation.sensing.depth_cameras import draw_depth_camera
from orpose_core.simulation.sensing.raycast import View, look
from orpose_core.simulation.sensing.sensor import Sensor
from orpose_core.simulation.sensing.shading import Exposure, draw_exposure
from orpose_core.types import Float64Array, Intrinsics

_SITE_KEY, _DAY_KEY = 40, 41
_DEGREE = math.pi / 180.0
_APART_M = 0.75
_WORK_HALF_M = 1.5
"""People work within a square of twice this side in the middle of the room."""
_SEEN_HEIGHTS_M = (0.9, 1.25)
"""Hips and chest of somebody who stands: both are seen past the furniture where people work."""
_LOOK_HW = (60, 80)
_SOFT_M = 1.0
"""A depth camera loses surfaces from about this far before the end of its range on."""
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
    actors = _actors(dice, room, camera, crowd + int(dice.pick(_PEOPLE)))
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
    corners = [(x, y) for x in (-1.0, 1.0) for y in (-1.0, 1.0)]
    free = [*line_of_sight(eye, [(0.0, 0.0), *corners]), (0.0, 0.0, 1.2), *((x, y, 0.6) for x, y in corners)]
    furnish(room, dice, 10 + dice.below(10), free)
    farthest = max(_in_camera(camera, (_WORK_HALF_M * x, _WORK_HALF_M * y, 0.0))[2] for x, y in corners)
    return room, camera, draw_depth_camera(dice, 1.0, float(farthest) + _SOFT_M), draw_exposure(dice)


def _camera(dice: Dice, room: Room) -> Camera:
    """Draw a wide camera that hangs askew in a corner and looks at the middle of the room."""
    sign_x, sign_y = (1.0 if dice.chance(0.5) else -1.0 for _ in range(2))
    x, y = (
        sign * (min(half, 2.15) - 0.25) for sign, half in zip((sign_x, sign_y), room.half_size_m, strict=True)
    )
    z = min(room.height_m - 0.15, dice.between(2.3, 2.7))
    flat = math.sqrt(x * x + y * y)
    roll = (1.0 if dice.chance(0.5) else -1.0) * dice.between(6.0, 12.0) * _DEGREE
    pose = aim((x, y, z), angle_of(-x, -y), angle_of(flat, z - 0.95), roll)
    f = dice.between(300.0, 390.0)
    lens = Intrinsics(f, f, 319.5 + dice.near(0.0, 4.0), 239.5 + dice.near(0.0, 5.0), 640, 480)
    return Camera(pose, lens, "camera_1")


def _in_camera(camera: Camera, point: Point) -> Float64Array:
    """Return a point of the room in the camera's frame, float64 (3,), metres."""
    pose = camera.camera_from_room
    return applied(np.ascontiguousarray(pose[:3, :3]), *point) + pose[:3, 3]


def _is_seen(camera: Camera, empty: View, x: float, y: float) -> bool:
    """Return whether somebody who stands at a place is seen: hips and chest, before the furniture."""
    k = camera.intrinsics.resized(_LOOK_HW)
    for height in _SEEN_HEIGHTS_M:
        px, py, pz = _in_camera(camera, (x, y, height))
        if pz < 0.5:
            return False
        row, column = round(k.fy * py / pz + k.cy), round(k.fx * px / pz + k.cx)
        if not (0 <= row < k.height and 0 <= column < k.width) or empty.depth_m[row, column] < pz - 0.1:
            return False
    return True


def _actors(dice: Dice, room: Room, camera: Camera, count: int) -> list[Actor]:
    """Draw people who stand and walk about where there is no furniture and the camera sees them."""
    empty = look(room.solids, camera.camera_from_room, camera.intrinsics.resized(_LOOK_HW))
    actors: list[Actor] = []
    for _ in range(40):
        if len(actors) == count:
            break
        x, y = dice.between(-_WORK_HALF_M, _WORK_HALF_M), dice.between(-_WORK_HALF_M, _WORK_HALF_M)
        apart = all((x - a.x_m) ** 2 + (y - a.y_m) ** 2 > _APART_M**2 for a in actors)
        if apart and room.is_free(x, y, 0.3) and _is_seen(camera, empty, x, y):
            actors.append(bystander(dice, x, y, dice.pick(GENERAL_ACTIVITIES), None))
    return actors
