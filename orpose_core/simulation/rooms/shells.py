"""Floor, walls and ceiling of everyday rooms and of operating rooms."""

from __future__ import annotations

import numpy as np

from orpose_core.simulation.arithmetic import cos, sin
from orpose_core.simulation.dice import Dice
from orpose_core.simulation.rooms.rooms import Point, Room, some_grey
from orpose_core.simulation.sensing import solids as shapes
from orpose_core.simulation.sensing.shading import Light


def lamp_color(dice: Dice, strength: float) -> Point:
    """Draw the color of a lamp of this strength, a little warm or cold."""
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
    flat = shapes.RECTANGLE
    solids.add(flat, (0.0, 0.0, 0.0), np.eye(3), (hx, hy, 1.0), floor)
    solids.add(flat, (0.0, 0.0, height), np.eye(3), (hx, hy, 1.0), ceiling)
    along_x = np.array([[0.0, 1.0, 0.0], [0.0, 0.0, 1.0], [1.0, 0.0, 0.0]])
    along_y = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, 1.0, 0.0]])
    for sign in (-1.0, 1.0):
        solids.add(flat, (sign * hx, 0.0, hz), along_x, (hy, hz, 1.0), wall)
        solids.add(flat, (0.0, sign * hy, hz), along_y, (hx, hz, 1.0), wall)


def take_table(
    room: Room, centre: tuple[float, float], yaw: float, half_length: float, half_width: float
) -> None:
    """Mark the place of a table as taken, as seven circles along it."""
    (x, y), c, s = centre, cos(yaw), sin(yaw)
    for i in range(-3, 4):
        px = i / 3.0 * half_length
        room.take(x + c * px, y + s * px, half_width + 0.05)


def wall_in(room: Room, dice: Dice, least_x: float, least_y: float, least_height: float = 0.0) -> None:
    """Add everyday walls, floor and ceiling, half extents and height not below those given."""
    floor_loss = dice.between(0.0, 0.35) if dice.chance(0.6) else dice.between(0.6, 1.4)
    wall_loss = dice.between(0.0, 0.25) if dice.chance(0.65) else dice.between(0.3, 1.0)
    half = (max(dice.between(1.8, 6.0), least_x), max(dice.between(2.2, 7.0), least_y))
    add_shell(room, dice, half, max(dice.between(2.4, 5.0), least_height), floor_loss, wall_loss)
    for _ in range(2):
        place = (dice.near(0.0, 1.2), dice.near(0.0, 1.2), room.height_m - 0.1)
        room.lights.append(Light(place, lamp_color(dice, dice.between(0.5, 1.6))))


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
    take_table(room, centre, yaw, half_length, half_width)
    for _ in range(2):
        place = (dice.near(0.0, 1.1), dice.near(0.0, 1.1), room.height_m - 0.08)
        room.lights.append(Light(place, lamp_color(dice, dice.between(0.7, 1.3))))
    return room
