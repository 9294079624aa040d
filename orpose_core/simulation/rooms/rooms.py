"""Rooms and what stands in them: operating rooms, and the everyday rooms of the general domain."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from orpose_core.simulation.arithmetic import cos, sin
from orpose_core.simulation.dice import Dice
from orpose_core.simulation.sensing import raycast
from orpose_core.simulation.sensing.raycast import Solids
from orpose_core.simulation.sensing.shading import Light

Float64Array = NDArray[np.float64]
Point = tuple[float, float, float]

RED, GREEN, BLUE, ABSORPTION, GLOSS, PATTERN = range(6)
MATERIAL_SIZE = 6
MOST_MATERIALS = 320
MOST_SOLIDS = 1400


@dataclass
class Room:
    """Solids, their materials, and the places that are taken.

    Attributes:
        solids: of furniture and walls; bodies come later.
        materials: float64 (n, 6): albedo red, green, blue in [0, 1], absorption of the depth camera's light
            in [0, 1], gloss in [0, 1], texture (see :mod:`shading`).
        material_count: rows in use.
        taken: circles (x, y, radius) of the floor plan where nobody can stand.
        half_size_m: half the room's extent along x and y.
        height_m: of the ceiling.
        table: centre x, y, yaw of the long axis, surface height, half length, half width; None in other
            rooms.
        lights: lamps that shine downwards.
    """

    solids: Solids
    materials: Float64Array
    material_count: int = 0
    taken: list[tuple[float, float, float]] = field(default_factory=list)
    half_size_m: tuple[float, float] = (3.0, 3.0)
    height_m: float = 3.0
    table: tuple[float, float, float, float, float, float] | None = None
    lights: list[Light] = field(default_factory=list)

    @classmethod
    def empty(cls) -> Room:
        """Return a room without walls."""
        return cls(Solids.with_room_for(MOST_SOLIDS), np.zeros((MOST_MATERIALS, MATERIAL_SIZE)))

    def material(
        self, color: Point, absorption: float = 0.0, gloss: float = 0.0, pattern: float = 0.0
    ) -> int:
        """Add a material and return its row."""
        row = self.material_count
        self.materials[row] = (*color, absorption, gloss, pattern)
        self.material_count = row + 1
        return row

    def box(self, centre: Point, half: Point, material: int, yaw: float = 0.0) -> None:
        """Add a box that stands upright, turned by ``yaw``."""
        self.solids.add(raycast.BOX, centre, turned(yaw), half, material)

    def pillar(self, foot: Point, radius: float, height: float, material: int) -> None:
        """Add an upright cylinder."""
        centre = (foot[0], foot[1], foot[2] + 0.5 * height)
        self.solids.add(raycast.CYLINDER, centre, np.eye(3), (radius, radius, 0.5 * height), material)

    def rod(self, a: Point, b: Point, radius: float, material: int, end_radius: float | None = None) -> None:
        """Add a rounded bar from ``a`` to ``b``."""
        axes, length = _axes_along(a, b)
        params = (length, radius, radius if end_radius is None else end_radius)
        self.solids.add(raycast.ROUNDED_CONE, a, axes, (1.0, 1.0, 1.0), material, params)

    def blob(self, centre: Point, half: Point, material: int, yaw: float = 0.0) -> None:
        """Add an ellipsoid, turned by ``yaw``."""
        self.solids.add(raycast.ELLIPSOID, centre, turned(yaw), half, material)

    def cable(self, points: list[Point], radius: float, material: int) -> None:
        """Add a hose or cable through ``points``."""
        for a, b in pairwise(points):
            self.rod(a, b, radius, material)

    def is_free(self, x: float, y: float, radius: float) -> bool:
        """Return whether a circle of the floor plan overlaps nothing that is taken."""
        return all(
            (x - tx) * (x - tx) + (y - ty) * (y - ty) >= (radius + tr) * (radius + tr)
            for tx, ty, tr in self.taken
        )

    def take(self, x: float, y: float, radius: float) -> None:
        """Mark a circle of the floor plan as taken."""
        self.taken.append((x, y, radius))


def turned(yaw: float) -> Float64Array:
    """Return the axes (rows) of something upright that is turned by ``yaw`` about z."""
    c, s = cos(yaw), sin(yaw)
    return np.array([[c, s, 0.0], [-s, c, 0.0], [0.0, 0.0, 1.0]])


def _axes_along(a: Point, b: Point) -> tuple[Float64Array, float]:
    d = [b[i] - a[i] for i in range(3)]
    length = math.sqrt(d[0] * d[0] + d[1] * d[1] + d[2] * d[2])
    z = [value / max(length, 1e-9) for value in d] if length > 1e-9 else [0.0, 0.0, 1.0]
    flat = math.sqrt(z[0] * z[0] + z[1] * z[1])
    x = [-z[1] / flat, z[0] / flat, 0.0] if flat > 1e-6 else [1.0, 0.0, 0.0]
    y = [z[1] * x[2] - z[2] * x[1], z[2] * x[0] - z[0] * x[2], z[0] * x[1] - z[1] * x[0]]
    return np.array([x, y, z]), length


def some_grey(dice: Dice, low: float, high: float, tint: float = 0.06) -> Point:
    """Return an albedo between ``low`` and ``high`` that is nearly grey."""
    value = dice.between(low, high)
    red, green, blue = (min(max(value + dice.near(0.0, tint), 0.02), 0.98) for _ in range(3))
    return red, green, blue


def some_color(dice: Dice) -> Point:
    """Return any albedo."""
    return dice.between(0.05, 0.85), dice.between(0.05, 0.85), dice.between(0.05, 0.85)


def _lamp_color(dice: Dice, strength: float) -> Point:
    warm = dice.near(0.0, 0.06)
    return strength * (1.0 + warm), strength, strength * (1.0 - warm)


def add_shell(
    room: Room, dice: Dice, half: tuple[float, float], height: float, floor_loss: float, wall_loss: float
) -> None:
    """Add floor, walls and ceiling; the losses are their absorption of the depth camera's light."""
    room.half_size_m, room.height_m = half, height
    floor = room.material(some_grey(dice, 0.35, 0.75), floor_loss, dice.between(0.0, 0.5) * floor_loss, 2.0)
    wall = room.material(some_grey(dice, 0.5, 0.9), wall_loss, 0.0, 3.0)
    ceiling = room.material(some_grey(dice, 0.75, 0.95), wall_loss, 0.0, 0.0)
    (hx, hy), hz, solids = half, 0.5 * height, room.solids
    flat = raycast.RECTANGLE
    solids.add(flat, (0.0, 0.0, 0.0), np.eye(3), (hx, hy, 1.0), floor)
    solids.add(flat, (0.0, 0.0, height), np.eye(3), (hx, hy, 1.0), ceiling)
    along_x = np.array([[0.0, 1.0, 0.0], [0.0, 0.0, 1.0], [1.0, 0.0, 0.0]])
    along_y = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, 1.0, 0.0]])
    for sign in (-1.0, 1.0):
        solids.add(flat, (sign * hx, 0.0, hz), along_x, (hy, hz, 1.0), wall)
        solids.add(flat, (0.0, sign * hy, hz), along_y, (hx, hz, 1.0), wall)


def coat_rack(room: Room, dice: Dice, x: float, y: float) -> None:
    """A pole with coats: of a person's size and none."""
    pole = room.material(some_grey(dice, 0.1, 0.6), 0.3, 0.3)
    height = dice.between(1.5, 1.95)
    room.rod((x, y, 0.0), (x, y, height), 0.02, pole)
    for _ in range(1 + dice.below(3)):
        cloth = room.material(some_color(dice), dice.between(0.0, 0.7), 0.0, 1.0)
        yaw = dice.between(-math.pi, math.pi)
        cx, cy = x + 0.12 * cos(yaw), y + 0.12 * sin(yaw)
        top, bottom = height - dice.between(0.05, 0.3), dice.between(0.4, 0.9)
        room.rod(
            (cx, cy, top - 0.1), (cx, cy, bottom), dice.between(0.07, 0.13), cloth, dice.between(0.12, 0.22)
        )
        if dice.chance(0.5):
            room.rod(
                (cx - 0.17 * sin(yaw), cy + 0.17 * cos(yaw), top - 0.15),
                (cx - 0.22 * sin(yaw), cy + 0.22 * cos(yaw), top - 0.6),
                0.05,
                cloth,
            )
    if dice.chance(0.4):
        room.blob((x, y, height + 0.03), (0.11, 0.13, 0.08), room.material(some_color(dice), 0.3))


def _shelf(room: Room, dice: Dice, x: float, y: float, yaw: float) -> None:
    """An open frame with boards and things on them."""
    frame = room.material(some_grey(dice, 0.05, 0.7), dice.between(0.1, 0.9), 0.2)
    half_width, half_depth, height = dice.between(0.35, 0.7), dice.between(0.15, 0.25), dice.between(1.0, 2.1)
    c, s = cos(yaw), sin(yaw)
    for sx in (-1.0, 1.0):
        for sy in (-1.0, 1.0):
            px, py = sx * half_width, sy * half_depth
            room.box(
                (x + c * px - s * py, y + s * px + c * py, 0.5 * height),
                (0.02, 0.02, 0.5 * height),
                frame,
                yaw,
            )
    boards = 2 + dice.below(4)
    for i in range(boards):
        z = height * (i + 0.6) / boards
        room.box((x, y, z), (half_width, half_depth, 0.012), frame, yaw)
        for _ in range(dice.below(4)):
            px, r, h = (
                dice.between(-0.85, 0.85) * half_width,
                dice.between(0.03, 0.1),
                dice.between(0.05, 0.14),
            )
            thing = room.material(some_color(dice), dice.between(0.0, 1.0), dice.between(0.0, 0.5))
            place = (x + c * px, y + s * px, z + 0.012 + h)
            if dice.chance(0.5):
                room.box(place, (r, 0.7 * half_depth, h), thing, yaw)
            else:
                room.pillar((place[0], place[1], z + 0.012), r * 0.7, 2.0 * h, thing)


def _desk(room: Room, dice: Dice, x: float, y: float, yaw: float) -> None:
    top = room.material(some_grey(dice, 0.2, 0.9), dice.between(0.0, 0.5), dice.between(0.0, 0.4))
    half = (dice.between(0.4, 0.9), dice.between(0.3, 0.45), 0.02)
    z = dice.between(0.68, 0.8) if dice.chance(0.8) else dice.between(0.9, 1.1)
    room.box((x, y, z), half, top, yaw)
    c, s = cos(yaw), sin(yaw)
    for sx in (-0.92, 0.92):
        px = sx * half[0]
        room.box((x + c * px, y + s * px, 0.5 * z), (0.025, 0.9 * half[1], 0.5 * z), top, yaw)
    for _ in range(dice.below(4)):
        px, py = dice.between(-0.8, 0.8) * half[0], dice.between(-0.6, 0.6) * half[1]
        h = dice.between(0.04, 0.22)
        thing = room.material(some_color(dice), dice.between(0.0, 1.0), dice.between(0.0, 0.6))
        room.box(
            (x + c * px - s * py, y + s * px + c * py, z + 0.02 + h),
            (dice.between(0.04, 0.25), dice.between(0.02, 0.1), h),
            thing,
            yaw,
        )


def _chair(room: Room, dice: Dice, x: float, y: float, yaw: float) -> None:
    cloth = room.material(some_color(dice), dice.between(0.0, 0.8), 0.0, 1.0)
    leg = room.material(some_grey(dice, 0.1, 0.6), 0.5, 0.4)
    c, s = cos(yaw), sin(yaw)
    room.box((x, y, 0.45), (0.22, 0.22, 0.03), cloth, yaw)
    room.box((x + s * 0.22, y - c * 0.22, 0.72), (0.21, 0.025, 0.24), cloth, yaw)
    for sx in (-0.19, 0.19):
        for sy in (-0.19, 0.19):
            place = (x + c * sx - s * sy, y + s * sx + c * sy)
            room.rod((*place, 0.0), (*place, 0.44), 0.014, leg)
    if dice.chance(0.3):  # a coat over the back
        room.rod((x + s * 0.23, y - c * 0.23, 0.92), (x + s * 0.25, y - c * 0.25, 0.4), 0.1, cloth, 0.17)


def _thing(room: Room, dice: Dice, x: float, y: float, yaw: float) -> None:
    """Something of a person's height: cabinet, column, draped stand, plant, board, bin."""
    kind = dice.pick(
        {"cabinet": 1.2, "column": 0.7, "draped": 1.2, "plant": 0.6, "board": 0.7, "bin": 0.6, "bags": 0.8}
    )
    color = room.material(some_color(dice), dice.between(0.0, 0.9), dice.between(0.0, 0.4), 1.0)
    if kind == "cabinet":
        h = dice.between(0.4, 1.05)
        room.box((x, y, h), (dice.between(0.2, 0.5), dice.between(0.2, 0.35), h), color, yaw)
    elif kind == "column":
        room.pillar((x, y, 0.0), dice.between(0.1, 0.3), room.height_m, color)
    elif kind == "draped":
        top = dice.between(1.1, 1.75)
        room.rod((x, y, top), (x, y, 0.2), dice.between(0.1, 0.2), color, dice.between(0.2, 0.34))
        if dice.chance(0.5):
            room.blob((x + 0.05, y, top + 0.12), (0.13, 0.13, 0.14), color)
    elif kind == "plant":
        room.pillar((x, y, 0.0), 0.16, 0.35, color)
        leaf = room.material((0.12, 0.35, 0.1), 0.1)
        for _ in range(6):
            a, h = dice.between(-math.pi, math.pi), dice.between(0.7, 1.5)
            room.rod((x, y, 0.35), (x + 0.3 * cos(a), y + 0.3 * sin(a), h), 0.015, leaf, 0.08)
    elif kind == "board":
        room.box(
            (x, y, dice.between(0.9, 1.2)), (dice.between(0.4, 0.9), 0.02, dice.between(0.4, 0.7)), color, yaw
        )
        room.box((x, y, 0.4), (0.03, 0.2, 0.4), color, yaw)
    elif kind == "bin":
        room.pillar((x, y, 0.0), dice.between(0.15, 0.25), dice.between(0.35, 0.8), color)
    else:
        for _ in range(1 + dice.below(4)):
            r = dice.between(0.1, 0.3)
            room.blob(
                (x + dice.near(0.0, 0.2), y + dice.near(0.0, 0.2), 0.7 * r), (r, 0.8 * r, r), color, yaw
            )


def _take_table(
    room: Room, centre: tuple[float, float], yaw: float, half_length: float, half_width: float
) -> None:
    """Mark the place of a table as taken, as seven circles along it."""
    (x, y), c, s = centre, cos(yaw), sin(yaw)
    for i in range(-3, 4):
        px = i / 3.0 * half_length
        room.take(x + c * px, y + s * px, half_width + 0.05)


def counter(room: Room, dice: Dice, yaw: float, half: tuple[float, float], surface: float) -> None:
    """Add a table on legs or a closed counter at the origin, with things on it, and take its place.

    Args:
        room: changed in place.
        dice: of the sequence.
        yaw: of the long axis.
        half: half length and half width, metres.
        surface: height of its top, metres.
    """
    top = room.material(some_color(dice), dice.between(0.0, 0.5), dice.between(0.0, 0.4))
    body = room.material(some_color(dice), dice.between(0.0, 0.6), 0.0, 1.0)
    room.box((0.0, 0.0, surface - 0.02), (*half, 0.02), top, yaw)
    c, s = cos(yaw), sin(yaw)
    if dice.chance(0.5):  # closed, or with a cloth that hangs down
        room.box(
            (0.0, 0.0, 0.5 * surface - 0.02),
            (0.96 * half[0], 0.94 * half[1], 0.5 * surface - 0.02),
            body,
            yaw,
        )
    else:
        for sx in (-0.94, 0.94):
            px = sx * half[0]
            room.box(
                (c * px, s * px, 0.5 * surface - 0.02),
                (0.025, 0.9 * half[1], 0.5 * surface - 0.02),
                body,
                yaw,
            )
    for _ in range(dice.below(7)):
        px, py = dice.between(-0.85, 0.85) * half[0], dice.between(-0.75, 0.75) * half[1]
        h = dice.between(0.02, 0.18)
        thing = room.material(some_color(dice), dice.between(0.0, 1.0), dice.between(0.0, 0.6))
        size = (dice.between(0.04, 0.22), dice.between(0.03, 0.14), h)
        room.box((c * px - s * py, s * px + c * py, surface + h), size, thing, yaw + dice.near(0.0, 0.3))
    _take_table(room, (0.0, 0.0), yaw, *half)


def wall_in(room: Room, dice: Dice, least_x: float, least_y: float, least_height: float = 0.0) -> None:
    """Add everyday walls, floor and ceiling, half extents and height not below those given."""
    floor_loss = dice.between(0.0, 0.35) if dice.chance(0.6) else dice.between(0.6, 1.4)
    wall_loss = dice.between(0.0, 0.25) if dice.chance(0.65) else dice.between(0.3, 1.0)
    half = (max(dice.between(1.8, 6.0), least_x), max(dice.between(2.2, 7.0), least_y))
    add_shell(room, dice, half, max(dice.between(2.4, 5.0), least_height), floor_loss, wall_loss)
    for _ in range(2):
        place = (dice.near(0.0, 1.2), dice.near(0.0, 1.2), room.height_m - 0.1)
        room.lights.append(Light(place, _lamp_color(dice, dice.between(0.5, 1.6))))


def furnish(room: Room, dice: Dice, count: int, keep_free: list[tuple[float, float, float]]) -> None:
    """Put everyday things into a room, not nearer than given to the places that must stay free."""
    for _ in range(count):
        x, y = (
            dice.between(-0.95, 0.95) * room.half_size_m[0],
            dice.between(-0.95, 0.95) * room.half_size_m[1],
        )
        yaw = dice.between(-math.pi, math.pi) if dice.chance(0.5) else 0.5 * math.pi * dice.below(4)
        if not room.is_free(x, y, 0.4) or any(
            (x - fx) ** 2 + (y - fy) ** 2 < fr * fr for fx, fy, fr in keep_free
        ):
            continue
        room.take(x, y, 0.4)
        kind = dice.pick({"rack": 0.16, "shelf": 0.22, "desk": 0.2, "chair": 0.16, "thing": 0.35})
        if kind == "rack":
            coat_rack(room, dice, x, y)
        elif kind == "shelf":
            _shelf(room, dice, x, y, yaw)
        elif kind == "desk":
            _desk(room, dice, x, y, yaw)
        elif kind == "chair":
            _chair(room, dice, x, y, yaw)
        else:
            _thing(room, dice, x, y, yaw)


def operating_room(dice: Dice, half: tuple[float, float], centre: tuple[float, float], yaw: float) -> Room:
    """Return an operating room with its table at ``centre``, turned by ``yaw`` (long axis along x at 0)."""
    room = Room.empty()
    floor_loss = dice.between(0.0, 0.3) if dice.chance(0.7) else dice.between(0.5, 1.2)
    add_shell(room, dice, half, dice.between(2.9, 3.3), floor_loss, dice.between(0.0, 0.3))
    x, y = centre
    surface, half_length, half_width = (
        dice.between(0.85, 1.05),
        dice.between(0.95, 1.05),
        dice.between(0.25, 0.3),
    )
    steel = room.material(some_grey(dice, 0.5, 0.7, 0.02), 0.1, 0.5)
    pad = room.material((0.08, 0.09, 0.12), 0.5, 0.1, 1.0)
    room.box((x, y, surface - 0.06), (half_length, half_width, 0.03), steel, yaw)
    room.box((x, y, surface - 0.015), (half_length, half_width, 0.025), pad, yaw)
    room.box((x, y, 0.5 * surface - 0.05), (0.2, 0.16, 0.5 * surface - 0.05), steel, yaw)
    room.box((x, y, 0.06), (0.45, 0.25, 0.06), steel, yaw)
    room.table = (x, y, yaw, surface, half_length, half_width)
    _take_table(room, centre, yaw, half_length, half_width)
    for _ in range(2):
        place = (dice.near(0.0, 1.1), dice.near(0.0, 1.1), room.height_m - 0.08)
        room.lights.append(Light(place, _lamp_color(dice, dice.between(0.7, 1.3))))
    return room
