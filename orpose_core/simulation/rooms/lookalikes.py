"""Things that a depth image may take for people: holes of a person's size, things with heads and arms."""

from __future__ import annotations

import math

import numpy as np

from orpose_core.simulation.arithmetic import cos, sin
from orpose_core.simulation.dice import Dice
from orpose_core.simulation.rooms import or_equipment
from orpose_core.simulation.rooms.furniture import coat_rack
from orpose_core.simulation.rooms.rooms import Room, some_color, some_grey
from orpose_core.simulation.sensing import solids as shapes
from orpose_core.simulation.sensing.shading import SCREEN

NO_RETURN = 3.0
"""Absorption of what never gives a depth."""

LOOKALIKES = {
    "doorway": 0.20, "robot": 0.07, "hanging": 0.13, "monitor": 0.12, "office_chair": 0.14, "clothes": 0.12,
    "rack": 0.08, "pile": 0.08, "stand": 0.05, "ghost": 0.06, "lamp": 0.06,
}  # fmt: skip
"""Weights of what stands about."""


def doorway(room: Room, dice: Dice, x: float, y: float, yaw: float) -> None:
    """Add an upright opening without return, as wide as a door, a window or a person."""
    hole = room.material((0.03, 0.03, 0.04), NO_RETURN, 0.0)
    half, height = dice.between(0.22, 0.55), dice.between(1.5, 2.1)
    low = 0.0 if dice.chance(0.7) else dice.between(0.3, 0.9)
    c, s = cos(yaw), sin(yaw)
    axes = np.array([[c, s, 0.0], [0.0, 0.0, 1.0], [s, -c, 0.0]])
    room.solids.add(
        shapes.RECTANGLE, (x, y, 0.5 * (low + height)), axes, (half, 0.5 * (height - low), 1.0), hole
    )
    if dice.chance(0.6):
        frame = room.material(some_grey(dice, 0.2, 0.8), dice.between(0.0, 0.6))
        for side in (-1.0, 1.0):
            px, py = x + side * c * (half + 0.05), y + side * s * (half + 0.05)
            room.box((px, py, 0.5 * height), (0.05, 0.06, 0.5 * height), frame, yaw)
        room.box((x, y, height + 0.04), (half + 0.1, 0.06, 0.05), frame, yaw)


def robot(room: Room, dice: Dice, x: float, y: float, yaw: float) -> None:
    """Add a robot: a base, a body, a head, and arms or none."""
    shell = room.material(some_grey(dice, 0.2, 0.95), dice.between(0.0, 0.5), dice.between(0.1, 0.5))
    height, wide = dice.between(0.6, 1.5), dice.between(0.10, 0.28)
    room.pillar((x, y, 0.02), dice.between(0.2, 0.33), dice.between(0.15, 0.4), shell)
    if dice.chance(0.5):
        room.rod((x, y, 0.3), (x, y, 0.72 * height), wide, shell, wide * dice.between(0.6, 1.2))
    else:
        room.box((x, y, 0.5 * height), (wide, 0.7 * wide, 0.28 * height), shell, yaw)
    room.rod((x, y, 0.3), (x, y, 0.9 * height), 0.05, shell)
    head = dice.between(0.08, 0.22)
    if dice.chance(0.25):
        room.blob((x, y, height), (head, head, head * dice.between(0.7, 1.2)), shell, yaw)
    else:
        room.box((x, y, height), (1.2 * head, 0.7 * head, 0.8 * head), shell, yaw)
    c, s = cos(yaw), sin(yaw)
    sides = dice.pick({"none": 0.45, "one": 0.35, "both": 0.2})
    for side in {"none": (), "one": (1.0,), "both": (-1.0, 1.0)}[sides]:
        px, py = x + side * c * wide, y + side * s * wide
        ahead, out, z = dice.between(-0.1, 0.45), dice.between(0.0, 0.35), 0.72 * height
        ex, ey = px + side * c * out - s * 0.4 * ahead, py + side * s * out + c * 0.4 * ahead
        elbow = (ex, ey, z - dice.between(-0.05, 0.28))
        room.rod((px, py, z), elbow, 0.04, shell, 0.03)
        hand = (ex - s * ahead, ey + c * ahead, elbow[2] + dice.between(-0.3, 0.2))
        room.rod(elbow, hand, 0.03, shell, 0.03)


def hanging_things(room: Room, dice: Dice, x: float, y: float, yaw: float) -> None:
    """Add bundles of cables and hoses that hang from the ceiling, some with a box at their end."""
    top = room.height_m
    for _ in range(1 + dice.below(4)):
        color = room.material(some_grey(dice, 0.03, 0.8), dice.between(0.1, 1.2))
        px, py, low = x + dice.near(0.0, 0.16), y + dice.near(0.0, 0.16), dice.between(0.5, 1.7)
        sway, r = dice.near(0.0, 0.15), dice.between(0.012, 0.06)
        room.cable([(px, py, top), (px + sway, py, 0.5 * (top + low)), (px, py + sway, low)], r, color)
        if dice.chance(0.45):
            size = dice.between(0.06, 0.16)
            room.box((px, py + sway, low - size), (size, 0.6 * size, size), color, yaw)
        elif dice.chance(0.4):
            room.cable(
                [(px, py + sway, low), (px + 0.2, py + sway, low - 0.2), (px + 0.4, py, top)], r, color
            )


def monitor_on_arm(room: Room, dice: Dice, x: float, y: float, yaw: float) -> None:
    """Add a screen on an arm from the ceiling, a wall or a column: a head and a shoulder of sorts."""
    shell = room.material(some_grey(dice, 0.05, 0.85), dice.between(0.0, 0.5), 0.3)
    screen = room.material((0.05, 0.07, 0.1), dice.between(0.6, 2.5), 1.0, SCREEN)
    c, s = cos(yaw), sin(yaw)
    z, reach = dice.between(1.25, 2.0), dice.between(0.2, 0.9)
    px, py = x + c * reach, y + s * reach
    if dice.chance(0.6):
        room.rod((x, y, room.height_m), (x, y, z + 0.35), dice.between(0.04, 0.09), shell)
    else:
        room.rod((x, y, 0.0), (x, y, z + 0.35), dice.between(0.03, 0.09), shell)
        room.pillar((x, y, 0.0), 0.28, 0.08, shell)
    room.rod((x, y, z + 0.35), (px, py, z + 0.25), 0.035, shell)
    room.rod((px, py, z + 0.25), (px, py, z), 0.03, shell)
    half = (dice.between(0.12, 0.34), 0.03, dice.between(0.1, 0.24))
    room.box((px, py, z), half, shell, yaw)
    room.box((px + s * 0.03, py - c * 0.03, z), (0.92 * half[0], 0.008, 0.9 * half[2]), screen, yaw)


def office_chair(room: Room, dice: Dice, x: float, y: float, yaw: float) -> None:
    """Add a swivel chair with a high back, a headrest and armrests, a coat over it or none."""
    cloth = room.material(some_grey(dice, 0.03, 0.5), dice.between(0.1, 1.0), 0.0, 1.0)
    c, s = cos(yaw), sin(yaw)

    def at(aside: float, ahead: float, z: float) -> tuple[float, float, float]:
        return x + c * aside - s * ahead, y + s * aside + c * ahead, z

    seat, back = dice.between(0.42, 0.55), dice.between(0.3, 0.42)
    for i in range(5):
        a = 2.0 * math.pi * i / 5.0
        room.rod((x, y, 0.1), (x + 0.3 * cos(a), y + 0.3 * sin(a), 0.05), 0.02, cloth)
    room.rod((x, y, 0.08), (x, y, seat), 0.03, cloth)
    room.blob(at(0.0, 0.0, seat), (0.25, 0.25, 0.06), cloth, yaw)
    room.blob(at(0.0, -0.24, seat + 0.1 + back), (0.23, 0.06, back), cloth, yaw)
    if dice.chance(0.5):
        room.blob(at(0.0, -0.26, seat + 2.0 * back + 0.2), (0.13, 0.05, 0.09), cloth, yaw)
    for side in (-0.27, 0.27) if dice.chance(0.6) else ():
        room.rod(at(side, -0.15, seat + 0.22), at(side, 0.15, seat + 0.22), 0.03, cloth)
        room.rod(at(side, 0.0, seat), at(side, 0.0, seat + 0.22), 0.02, cloth)
    if dice.chance(0.3):
        coat = room.material(some_color(dice), dice.between(0.0, 0.7), 0.0, 1.0)
        room.rod(at(0.0, -0.26, seat + 2.0 * back), at(0.0, -0.3, 0.35), 0.14, coat, 0.19)


def hung_clothes(room: Room, dice: Dice, x: float, y: float, yaw: float) -> None:
    """Add gowns and coats on hangers: one on a hook, or several on a rail."""
    count = 1 if dice.chance(0.5) else 2 + dice.below(4)
    c, s = cos(yaw), sin(yaw)
    top = dice.between(1.45, 1.9)
    if count > 1:
        pole = room.material(some_grey(dice, 0.2, 0.7), 0.3, 0.4)
        reach = 0.12 * count + 0.1
        ends = [(x + side * s * reach, y - side * c * reach) for side in (-1.0, 1.0)]
        room.rod((*ends[0], top + 0.08), (*ends[1], top + 0.08), 0.015, pole)
        for end in ends:
            room.rod((*end, 0.0), (*end, top + 0.08), 0.015, pole)
    for i in range(count):
        cloth = room.material(some_color(dice), dice.between(0.0, 0.8), 0.0, 1.0)
        off = (i - 0.5 * (count - 1)) * 0.24
        px, py = x + s * off, y - c * off
        wide, low = dice.between(0.16, 0.22), dice.between(0.5, 1.0)
        tops = [(px + side * c * wide, py + side * s * wide, top - 0.08) for side in (-1.0, 1.0)]
        room.rod(tops[0], tops[1], 0.05, cloth)
        axes = np.array([[c, s, 0.0], [-s, c, 0.0], [0.0, 0.0, 1.0]])
        params = (top - low - 0.05, dice.between(0.2, 0.32), wide)
        room.solids.add(shapes.FRUSTUM, (px, py, low), axes, (1.0, 0.4, 1.0), cloth, params)
        for tip in tops if dice.chance(0.7) else ():
            room.rod(tip, (tip[0], tip[1], top - dice.between(0.5, 0.7)), 0.05, cloth, 0.06)


def pile(room: Room, dice: Dice, x: float, y: float, yaw: float) -> None:
    """Add boxes, bags and balls on each other, up to a person's height."""
    z = 0.0
    for _ in range(2 + dice.below(4)):
        color = room.material(some_color(dice), dice.between(0.0, 0.9), dice.between(0.0, 0.4))
        r, h = dice.between(0.12, 0.32), dice.between(0.08, 0.3)
        px, py = x + dice.near(0.0, 0.06), y + dice.near(0.0, 0.06)
        if dice.chance(0.6):
            room.box((px, py, z + h), (r, 0.8 * r, h), color, yaw + dice.near(0.0, 0.4))
        else:
            room.blob((px, py, z + h), (0.8 * r, 0.8 * r, h), color)
        z += 2.0 * h
        if z > 1.7:
            break


def hung_cloth(
    room: Room, dice: Dice, x: float, y: float, yaw: float, half_width: float, low: float, high: float
) -> None:
    """Add a cloth that hangs from a bar, in strips a little before and behind each other.

    Args:
        room: changed in place.
        dice: of the sequence.
        x: of its middle.
        y: see x.
        yaw: of the bar, 0 = along x.
        half_width: half the bar's length, metres.
        low: height of the lower edge.
        high: height of the bar.
    """
    cloth = room.material(some_color(dice), dice.between(0.0, 0.3), 0.0, 1.0)
    c, s = cos(yaw), sin(yaw)
    strips = 3 + dice.below(4)
    for i in range(strips):
        off = ((i + 0.5) / strips * 2.0 - 1.0) * half_width
        out = 0.03 if i % 2 else -0.02
        edge = low + dice.between(0.0, 0.08)
        place = (x + c * off - s * out, y + s * off + c * out, 0.5 * (edge + high))
        room.box(place, (half_width / strips + 0.01, 0.01, 0.5 * (high - edge)), cloth, yaw)
    ends = [(x + side * c * half_width, y + side * s * half_width) for side in (-1.0, 1.0)]
    bar = room.material(some_grey(dice, 0.3, 0.8), 0.2, 0.4)
    room.rod((*ends[0], high), (*ends[1], high), 0.015, bar)


def add_lookalike(room: Room, dice: Dice, x: float, y: float) -> None:
    """Add one thing that may be taken for a person, and take its place."""
    kind = dice.pick(LOOKALIKES)
    yaw = dice.between(-math.pi, math.pi)
    room.take(x, y, 0.35)
    if kind == "rack":
        coat_rack(room, dice, x, y)
    elif kind == "stand":
        or_equipment.infusion_stand(room, dice, x, y)
    elif kind == "ghost":
        or_equipment.draped_ghost(room, dice, x, y)
    elif kind == "lamp":
        or_equipment.ceiling_lamp(room, dice, x, y)
    else:
        {
            "doorway": doorway, "robot": robot, "hanging": hanging_things, "monitor": monitor_on_arm,
            "office_chair": office_chair, "clothes": hung_clothes, "pile": pile,
        }[kind](room, dice, x, y, yaw)  # fmt: skip
