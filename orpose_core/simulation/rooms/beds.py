"""Beds and tables that somebody lies on, and the cloth over them."""

from __future__ import annotations

import math

from orpose_core.simulation.arithmetic import cos, sin
from orpose_core.simulation.dice import Dice
from orpose_core.simulation.people.activities import Actor
from orpose_core.simulation.rooms import or_equipment
from orpose_core.simulation.rooms.rooms import Room, some_color, some_grey, turned
from orpose_core.simulation.rooms.shells import take_table
from orpose_core.simulation.sensing import solids as shapes


def bed(room: Room, dice: Dice, yaw: float) -> None:
    """Add a bed, stretcher or table at the origin, its long axis along ``yaw``, as the room's table."""
    frame = room.material(some_grey(dice, 0.3, 0.9), dice.between(0.0, 0.4), 0.3)
    sheet = room.material(some_grey(dice, 0.5, 0.95), dice.between(0.0, 0.3), 0.0, 1.0)
    half_length, half_width = dice.between(0.95, 1.08), dice.between(0.28, 0.48)
    surface = dice.between(0.5, 1.0)
    thick = dice.between(0.03, 0.09)
    room.box((0.0, 0.0, surface - thick), (half_length, half_width, thick), sheet, yaw)
    c, s = cos(yaw), sin(yaw)
    if dice.chance(0.5):
        room.box((0.0, 0.0, 0.5 * surface), (0.3, 0.2, 0.5 * surface - thick), frame, yaw)
    else:
        for along in (-0.85, 0.85):
            px, py = c * along * half_length, s * along * half_length
            room.box((px, py, 0.5 * surface), (0.04, 0.8 * half_width, 0.5 * surface - thick), frame, yaw)
    if dice.chance(0.4):  # rails
        for side in (-1.0, 1.0):
            px, py = -s * side * half_width, c * side * half_width
            for z in (0.12, 0.24):
                ends = [
                    (px + c * a * half_length, py + s * a * half_length, surface + z) for a in (-0.6, 0.6)
                ]
                room.rod(ends[0], ends[1], 0.015, frame)
    if dice.chance(0.4):
        px, py = c * half_length, s * half_length
        room.box((px, py, surface), (0.03, half_width, 0.25), frame, yaw)
    room.table = (0.0, 0.0, yaw, surface, half_length, half_width)
    take_table(room, (0.0, 0.0), yaw, half_length, half_width)


def blanket(room: Room, dice: Dice, feet_sign: float, up_to: float) -> None:
    """Add a soft cover over somebody on the room's table: hills over trunk, legs and feet.

    Args:
        room: with a table; changed in place.
        dice: of the sequence.
        feet_sign: which end of the table the feet are at, 1 or -1.
        up_to: how far beyond the table's middle it reaches towards the head, metres.
    """
    assert room.table is not None
    tx, ty, yaw, surface, half_length, half_width = room.table
    cloth = room.material(some_color(dice), dice.between(0.0, 0.3), 0.0, 1.0)
    c, s = cos(yaw) * feet_sign, sin(yaw) * feet_sign
    hills = ((-up_to + 0.2, 0.30, 0.19), (0.15, 0.34, 0.17), (0.5, 0.28, 0.14), (0.82, 0.2, 0.17))
    for along, reach, height in hills:
        if along < -up_to:
            continue
        z = surface + 0.02
        size = (reach + 0.12, min(half_width, 0.30) + dice.between(-0.03, 0.05), height + dice.near(0, 0.015))
        room.solids.add(shapes.ELLIPSOID, (tx + c * along, ty + s * along, z), turned(yaw), size, cloth)
    middle = 0.5 * (half_length - up_to)
    half = 0.5 * (half_length + up_to)
    room.box((tx + c * middle, ty + s * middle, surface + 0.03), (half, half_width, 0.015), cloth, yaw)
    for side in (-1.0, 1.0):
        px = tx + c * middle - sin(yaw) * side * (half_width + 0.02)
        py = ty + s * middle + cos(yaw) * side * (half_width + 0.02)
        drop = dice.between(0.08, 0.35)
        room.box((px, py, surface - drop + 0.03), (half, 0.012, drop), cloth, yaw)


def lay_down(room: Room, dice: Dice, arms: dict[str, float]) -> Actor:
    """Return somebody who lies on the room's table, covered by a drape, a blanket or nothing."""
    assert room.table is not None
    tx, ty, yaw, surface, _, _ = room.table
    posture = dice.pick({"supine": 0.72, "on_left": 0.08, "on_right": 0.08, "prone": 0.12})
    feet = 1.0 if dice.chance(0.5) else -1.0
    cover = dice.pick({"nothing": 0.42, "drape": 0.28, "blanket": 0.30})
    if cover == "drape":
        or_equipment.patient_drape(room, dice, feet)
    elif cover == "blanket":
        blanket(room, dice, feet, dice.between(-0.1, 0.5))
    if cover != "nothing" and dice.chance(0.3):
        or_equipment.screen_drape(room, dice)
    turn = {"supine": 0.0, "prone": math.pi, "on_right": -0.5 * math.pi, "on_left": 0.5 * math.pi}[posture]
    head_first = yaw - feet * math.pi / 2.0 + turn
    left, right = dice.pick(arms), dice.pick(arms)
    return Actor(
        posture, tx, ty, head_first, dice.seed(), surface_m=surface + 0.01, tempo_s=4.0, arms=(left, right)
    )
