"""What stands in everyday rooms."""

from __future__ import annotations

import math

from orpose_core.simulation.arithmetic import cos, sin
from orpose_core.simulation.dice import Dice
from orpose_core.simulation.rooms.rooms import Room, some_color, some_grey
from orpose_core.simulation.rooms.shells import take_table


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
    take_table(room, (0.0, 0.0), yaw, *half)


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
