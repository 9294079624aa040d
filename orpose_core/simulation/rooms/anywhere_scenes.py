"""Scenes of the domain "anywhere": any room, any camera, any posture, by the parts that real rooms have."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from orpose_core.simulation.arithmetic import angle_of, cos, sin
from orpose_core.simulation.dice import Dice
from orpose_core.simulation.people import casting, outfits
from orpose_core.simulation.people.activities import Actor
from orpose_core.simulation.people.outfits import Person
from orpose_core.simulation.rooms import or_equipment
from orpose_core.simulation.rooms.beds import bed, lay_down
from orpose_core.simulation.rooms.everyday_scenes import line_of_sight
from orpose_core.simulation.rooms.furniture import furnish
from orpose_core.simulation.rooms.lookalikes import NO_RETURN, add_lookalike, doorway, hung_cloth
from orpose_core.simulation.rooms.or_scenes import or_place
from orpose_core.simulation.rooms.parts import PARTS, Part, Ranges
from orpose_core.simulation.rooms.rooms import Room
from orpose_core.simulation.rooms.scenes import Scene, within_reach
from orpose_core.simulation.rooms.shells import add_shell, lamp_color, operating_room
from orpose_core.simulation.sensing.cameras import Camera, looking_at, some_native_lens
from orpose_core.simulation.sensing.depth_cameras import draw_depth_camera
from orpose_core.simulation.sensing.raycast import look
from orpose_core.simulation.sensing.shading import Light, draw_exposure
from orpose_core.types import Float64Array

_FIRST_KEY = 16
_LEAST_HEIGHT_M, _MOST_HEIGHT_M = 0.7, 3.5
_DEGREE = math.pi / 180.0


@dataclass
class _Place:
    """Where somebody will be: place, height that a camera looks at, and a table that they work at."""

    x: float
    y: float
    focus_m: float
    at_table: bool = False
    facing: float = 0.0


def _within(dice: Dice, ranges: Ranges) -> float:
    """Draw from weighted ranges."""
    _, low, high = ranges[int(dice.pick({str(i): entry[0] for i, entry in enumerate(ranges)}))]
    return dice.between(low, high)


def _everyday_shell(room: Room, dice: Dice, half: tuple[float, float], height: float) -> None:
    """Add walls that return everything, little, or nothing at all, and lamps."""
    floor_loss = dice.between(0.0, 0.2) if dice.chance(0.75) else dice.between(0.3, 1.4)
    wall_loss = dice.pick({"bright": 0.5, "dark": 0.25, "black": 0.25})
    low, high = {"bright": (0.0, 0.3), "dark": (0.4, 1.2), "black": (NO_RETURN, NO_RETURN)}[wall_loss]
    add_shell(room, dice, half, height, floor_loss, dice.between(low, high))
    for _ in range(2):
        place = (dice.near(0.0, 1.2), dice.near(0.0, 1.2), room.height_m - 0.1)
        room.lights.append(Light(place, lamp_color(dice, dice.between(0.5, 1.6))))


def _free_places(room: Room, dice: Dice, count: int) -> list[_Place]:
    """Draw places about the origin, some so near each other that bodies hide bodies."""
    places: list[_Place] = []
    apart = dice.between(0.38, 0.8)
    for i in range(count):
        for _ in range(12):
            r = (dice.between(0.0, 0.4) if i == 0 else 2.4) * math.sqrt(dice.roll())
            a = dice.between(-math.pi, math.pi)
            x, y = r * cos(a), r * sin(a)
            near = any((x - p.x) ** 2 + (y - p.y) ** 2 < apart * apart for p in places)
            if not near and room.is_free(x, y, 0.25):
                places.append(_Place(x, y, dice.between(0.65, 1.5)))
                break
    return places


def _table_places(room: Room, dice: Dice, count: int, at_table: float) -> list[_Place]:
    """Draw places at the room's table and about it."""
    places = []
    for _ in range(count):
        role = "table" if dice.chance(at_table) else "free"
        found = or_place(dice, room, role)
        if found is None:
            continue
        x, y, facing = found
        places.append(_Place(x, y, dice.between(0.7, 1.6), role == "table", facing))
        room.take(x, y, 0.24)
    return places


def _sees(camera: Camera, room: Room) -> bool:
    """Return whether a camera is neither inside a thing nor right before one."""
    view = look(room.solids, camera.camera_from_room, camera.intrinsics.resized((12, 16)))
    return float(np.mean(view.depth_m < 0.45)) < 0.2


def _camera(dice: Dice, part: Part, room: Room, places: list[_Place], closed: bool) -> Camera:
    """Draw a camera that looks at one of the places; inside the walls where the room is ``closed``."""
    lens = some_native_lens(dice)
    ceiling = min(room.height_m - 0.12, _MOST_HEIGHT_M) if closed else _MOST_HEIGHT_M
    best = None
    for _ in range(60):
        target = dice.one_of(places)
        pitch, distance = _within(dice, part.pitch_deg) * _DEGREE, _within(dice, part.distance_m)
        focus = (target.x + dice.near(0.0, 0.1), target.y + dice.near(0.0, 0.1), target.focus_m)
        aside = (part.off_center * dice.between(-1.0, 1.0), part.off_center * dice.between(-1.0, 1.0))
        roll = dice.near(0.0, 0.03) if dice.chance(0.7) else dice.near(0.0, 0.12)
        pose = looking_at(focus, dice.between(-math.pi, math.pi), pitch, distance, aside, roll, lens)
        x, y, z = pose[:3, 3]
        camera = Camera(pose, lens, "camera_1")
        best = best or camera
        if not _LEAST_HEIGHT_M <= z <= ceiling:
            continue
        best = camera
        inside = not closed or (abs(x) < room.half_size_m[0] - 0.1 and abs(y) < room.half_size_m[1] - 0.1)
        clear = z > 2.0 or all((x - p.x) ** 2 + (y - p.y) ** 2 > 0.16 for p in places)
        if inside and clear and (z > 2.2 or room.is_free(float(x), float(y), 0.15)) and _sees(camera, room):
            return camera
    assert best is not None
    pose = best.room_from_camera.copy()
    pose[2, 3] = min(max(pose[2, 3], _LEAST_HEIGHT_M), ceiling)
    if closed:
        for axis in (0, 1):
            limit = room.half_size_m[axis] - 0.1
            pose[axis, 3] = min(max(pose[axis, 3], -limit), limit)
    return Camera(pose, lens, "camera_1")


def _actor(dice: Dice, part: Part, place: _Place, camera: Camera, surface_m: float) -> Actor:
    """Draw what somebody does; arms are independent of the facing, and that is relative to the camera."""
    posture = dice.pick(part.postures)
    if place.at_table and dice.chance(0.7):
        posture = "stoop" if dice.chance(0.6) else "stand"
    first, second = dice.pick(part.arms), dice.pick(part.arms)
    arms = (first, second if dice.chance(part.mixed_arms) else first)
    if posture in ("bend", "squat") and dice.chance(0.5):
        arms = (dice.pick({"hang": 1.0, "knees": 0.8, "front": 0.7, "reach": 0.5}),) * 2
    eye = camera.room_from_camera[:3, 3]
    to_camera = angle_of(float(eye[0]) - place.x, float(eye[1]) - place.y)
    yaw = to_camera - 0.5 * math.pi + _within(dice, part.facing_deg) * _DEGREE
    target = None
    if place.at_table and dice.chance(0.6):
        yaw, arms = place.facing, ("work", "work")
        target = within_reach(dice, place.x, place.y, yaw, surface_m)
    return Actor(
        posture, place.x, place.y, yaw, dice.seed(), target, tempo_s=dice.between(0.8, 2.0), arms=arms
    )


def _settled(room: Room, dice: Dice, part: Part, actor: Actor) -> Person:
    """Draw who does what an actor does, take their place, and give them a stool if they sit."""
    carries = actor.arms is not None and "carry" in actor.arms
    room.take(actor.x_m, actor.y_m, 0.3)
    if actor.activity == "sit":
        or_equipment.stool(room, dice, actor.x_m, actor.y_m, 0.40)
    return casting.anyone(dice, part.covered, 0.6 * part.cloth, carries)


def _walls_round(room: Room, dice: Dice, eye: Float64Array, places: list[_Place]) -> None:
    """Add walls that camera and people are inside of, and a ceiling above the camera."""
    reach_x = max([abs(float(eye[0])), *(abs(p.x) for p in places)]) + 0.4
    reach_y = max([abs(float(eye[1])), *(abs(p.y) for p in places)]) + 0.4
    half = (max(dice.between(1.6, 5.0), reach_x), max(dice.between(1.6, 6.0), reach_y))
    _everyday_shell(room, dice, half, max(dice.between(2.4, 4.5), float(eye[2]) + 0.15))


def _add_face_materials(room: Room, person: Person, dice: Dice) -> None:
    """Add the materials of eyes, lips, and the edges of mask and cap."""
    iris = dice.between(0.02, 0.15)
    r, g, b = person.colors[outfits.SKIN]
    cap, shade = person.colors[outfits.CAP], dice.between(0.25, 0.7)
    room.material((iris, 0.8 * iris, 0.7 * iris), 0.2, 0.5)
    room.material((0.85 * r, 0.55 * g, 0.55 * b))
    room.material((shade * cap[0], shade * cap[1], shade * cap[2]))


def _dressed(room: Room, people: list[Person], dice: Dice) -> tuple[int, ...]:
    """Add everybody's materials: hair and dark cloth that return little or nothing, as real ones do."""
    first = []
    for person in people:
        first.append(room.material_count)
        for i in range(outfits.PERSON_MATERIALS):
            r, g, b = person.colors[i]
            dark = 1.0 - (0.3 * r + 0.6 * g + 0.1 * b)
            loss = 0.4 * max(dark - 0.4, 0.0) * dice.roll() + (
                dice.between(0.3, 0.9) if dice.chance(0.04) else 0
            )
            if i in (outfits.SKIN, outfits.GLOVES, outfits.MASK):
                loss = 0.0
            elif i == outfits.HAIR:
                loss = dice.between(0.1, 0.7) if dice.chance(0.5) else dice.between(0.7, 2.2)
            elif i == outfits.SHOES:
                loss = dice.between(0.0, 1.2)
            room.material((r, g, b), loss, 0.0, 1.0 if i not in (outfits.SKIN, outfits.HAIR) else 0.0)
        _add_face_materials(room, person, dice)
    return tuple(first)


def _reach(camera: Camera, places: list[_Place]) -> tuple[float, float]:
    """Return the least and the largest depth at which somebody's surface may be, metres."""
    eye, away = camera.room_from_camera[:3, 3], []
    for p in places:
        dx, dy, dz = float(eye[0]) - p.x, float(eye[1]) - p.y, float(eye[2]) - p.focus_m
        away.append(math.sqrt(dx * dx + dy * dy + dz * dz))
    return min(away) - 0.25, max(away) + 0.5


def _hang_cloth(room: Room, dice: Dice, place: _Place, camera: Camera) -> None:
    """Hang a cloth between somebody and the camera; the head shows above it."""
    eye = camera.room_from_camera[:3, 3]
    dx, dy = float(eye[0]) - place.x, float(eye[1]) - place.y
    far = math.sqrt(dx * dx + dy * dy)
    if far < 0.8:
        return
    ahead = dice.between(0.22, min(0.9, far - 0.4))
    x, y = place.x + dx / far * ahead, place.y + dy / far * ahead
    yaw = angle_of(dx, dy) + 0.5 * math.pi + dice.near(0.0, 0.3)
    high = dice.between(0.85, 1.5)
    hung_cloth(room, dice, x, y, yaw, dice.between(0.3, 0.9), max(high - dice.between(0.4, 1.4), 0.02), high)


def _clutter(room: Room, dice: Dice, camera: Camera, count: int, aim_at: list[_Place], people: bool) -> None:
    """Put things that look like people where the camera looks; three of four not before ``people``."""
    eye = camera.room_from_camera[:3, 3]
    sight = line_of_sight(eye, [(p.x, p.y) for p in aim_at] if people and dice.chance(0.75) else [])
    limit_x, limit_y = room.half_size_m[0] - 0.15, room.half_size_m[1] - 0.15
    for _ in range(count):
        goal = dice.one_of(aim_at)
        x, y = goal.x + dice.near(0.0, 1.2), goal.y + dice.near(0.0, 1.2)
        x, y = min(max(x, -limit_x), limit_x), min(max(y, -limit_y), limit_y)
        clear = all((x - sx) ** 2 + (y - sy) ** 2 > sr * sr for sx, sy, sr in sight)
        if clear and room.is_free(x, y, 0.35):
            add_lookalike(room, dice, x, y)


def _openings(room: Room, dice: Dice) -> None:
    """Cut doors and windows without return into the walls."""
    for _ in range(dice.below(4)):
        along_x = dice.chance(0.5)
        side = 1.0 if dice.chance(0.5) else -1.0
        half_x, half_y = room.half_size_m
        if along_x:
            doorway(room, dice, dice.between(-0.8, 0.8) * half_x, side * (half_y - 0.02), 0.0)
        else:
            doorway(room, dice, side * (half_x - 0.02), dice.between(-0.8, 0.8) * half_y, 0.5 * math.pi)


def _setting(dice: Dice, part: Part, count: int) -> tuple[Room, list[_Place], list[Actor], bool]:
    """Return a room, places of people, who lies, and whether the room has its walls already."""
    lying: list[Actor] = []
    in_bed = dice.chance(part.bed)
    if dice.chance(part.operating_room):
        half = (dice.between(2.4, 3.6), dice.between(2.4, 4.0))
        centre, yaw = (dice.near(0, 0.3), dice.near(0, 0.3)), dice.between(-math.pi, math.pi)
        room = operating_room(dice, half, centre, yaw)
        if in_bed:
            lying.append(lay_down(room, dice, part.arms))
        or_equipment.equip(room, dice)
        return room, _table_places(room, dice, count, part.at_table), lying, True
    room = Room.empty()
    if in_bed:
        bed(room, dice, dice.between(-math.pi, math.pi))
        lying.append(lay_down(room, dice, part.arms))
        room.half_size_m = (2.5, 2.5)
        return room, _table_places(room, dice, count, part.at_table), lying, False
    return room, _free_places(room, dice, count), lying, False


def anywhere_scene(seed: int, sequence: int, part_name: str | None = None, crowd: int = 0) -> Scene:
    """Return a scene of the domain "anywhere" or of one of its parts.

    Args:
        seed: with sequence and part the key of the scene.
        sequence: number of the sequence.
        part_name: of PARTS; None = drawn by their shares.
        crowd: this many people more than usual; a room without people stays empty.
    """
    key = _FIRST_KEY + (0 if part_name is None else 1 + list(PARTS).index(part_name))
    dice = Dice(seed, sequence, key)
    name = part_name or dice.pick({name: part.share for name, part in PARTS.items()})
    part = PARTS[name]
    count = int(dice.pick(part.people))
    room, places, lying, closed = _setting(dice, part, count + crowd if part.people != {"0": 1.0} else 0)
    goals = (
        [_Place(a.x_m, a.y_m, a.surface_m + 0.1) for a in lying] if part.bed == 1.0 or not places else places
    )
    goals = goals or [_Place(dice.near(0.0, 0.5), dice.near(0.0, 0.5), dice.between(0.3, 1.5))]
    camera = _camera(dice, part, room, goals, closed)
    eye = camera.room_from_camera[:3, 3]
    if not closed:
        _walls_round(room, dice, eye, places)
    surface = room.table[3] if room.table else 0.9
    actors = [*lying, *(_actor(dice, part, place, camera, surface) for place in places)]
    people = [casting.anyone_lying(dice) for _ in lying]
    people += [_settled(room, dice, part, actor) for actor in actors[len(lying) :]]
    for place in places:
        if dice.chance(0.5 * part.cloth):
            _hang_cloth(room, dice, place, camera)
    _clutter(room, dice, camera, dice.below(4) if actors else 3 + dice.below(6), goals, bool(actors))
    _openings(room, dice)
    if not closed:
        seen = places if dice.chance(0.7) else []
        furnish(room, dice, dice.below(14), line_of_sight(eye, [(p.x, p.y) for p in seen]))
    first = _dressed(room, people, dice)
    sensors, exposures = (draw_depth_camera(dice, *_reach(camera, goals)),), (draw_exposure(dice),)
    return Scene(room, (camera,), sensors, exposures, tuple(people), tuple(actors), first, dice.seed())
