"""What stands, hangs and hides people in an operating room."""

from __future__ import annotations

import math
from itertools import pairwise

from orpose_core.simulation.arithmetic import cos, sin
from orpose_core.simulation.dice import Dice
from orpose_core.simulation.rooms.furniture import coat_rack
from orpose_core.simulation.rooms.rooms import Point, Room, some_color, some_grey, turned
from orpose_core.simulation.sensing import solids as shapes
from orpose_core.simulation.sensing.shading import SCREEN, Light

_DRAPE_COLORS: tuple[Point, ...] = (
    (0.15, 0.42, 0.45),
    (0.22, 0.45, 0.62),
    (0.12, 0.38, 0.30),
    (0.55, 0.68, 0.78),
)


def _drape(room: Room, dice: Dice) -> int:
    return room.material(dice.one_of(_DRAPE_COLORS), dice.between(0.0, 0.2), 0.0, 1.0)


def c_arm(room: Room, dice: Dice, x: float, y: float, yaw: float, height: float) -> None:
    """Add a mobile C-arm: ``yaw`` is the way from its cart to the C, which stands around (x, y, height)."""
    shell = room.material(some_grey(dice, 0.75, 0.92, 0.02), dice.between(0.0, 0.2), 0.2)
    dark = room.material(some_grey(dice, 0.1, 0.4, 0.02), 0.5, 0.3)
    c, s = cos(yaw), sin(yaw)
    tilt, radius = dice.near(0.0, 0.35), dice.between(0.62, 0.75)
    covered = dice.chance(0.5)
    skin = _drape(room, dice) if covered else shell
    thick = dice.between(0.07, 0.10) if covered else 0.055

    def at(angle: float, r: float) -> Point:
        """A point of the C: its plane holds the vertical and the way across the table, tilted."""
        flat, up = r * cos(angle), r * sin(angle)
        return x + c * flat - s * up * sin(tilt), y + s * flat + c * up * sin(tilt), height + up * cos(tilt)

    start, steps = math.radians(75.0), 9
    points = [
        at(start + (2.0 * math.pi - 2.0 * start + math.radians(0.0)) * i / steps, radius)
        for i in range(steps + 1)
    ]
    for a, b in pairwise(points):
        room.rod(a, b, thick, skin)
    for end, r1, r2, length in ((points[0], 0.16, 0.14, 0.28), (points[-1], 0.10, 0.12, 0.25)):
        inward = (x - end[0], y - end[1], height - end[2])
        norm = math.sqrt(sum(value * value for value in inward))
        reach = length / norm
        tip = (end[0] + inward[0] * reach, end[1] + inward[1] * reach, end[2] + inward[2] * reach)
        room.rod(end, tip, r1, skin if dice.chance(0.5) else shell, r2)
    back = at(math.pi, radius)
    base_x, base_y = x - c * (radius + 0.45), y - s * (radius + 0.45)
    room.rod(back, (base_x, base_y, 0.9), 0.09, shell)
    room.box((base_x, base_y, 0.55), (0.28, 0.2, 0.45), skin if covered and dice.chance(0.4) else shell, yaw)
    room.box((base_x + 0.3 * c, base_y + 0.3 * s, 0.1), (0.45, 0.25, 0.08), dark, yaw)
    room.take(base_x, base_y, 0.35)


def ceiling_lamp(room: Room, dice: Dice, x: float, y: float) -> None:
    """Add a surgical lamp: a dish at the end of an arm from the ceiling."""
    shell = room.material(some_grey(dice, 0.7, 0.92, 0.02), 0.1, 0.3)
    glass = room.material((0.95, 0.95, 0.9), 0.3, 0.6)
    z = dice.between(1.85, 2.25)
    bearing = dice.between(-math.pi, math.pi)
    hub = (x + 0.9 * cos(bearing), y + 0.9 * sin(bearing))
    room.rod((*hub, room.height_m), (*hub, z + 0.45), 0.05, shell)
    room.rod((*hub, z + 0.45), (x, y, z + 0.30), 0.035, shell)
    room.rod((x, y, z + 0.30), (x, y, z + 0.05), 0.03, shell)
    r = dice.between(0.22, 0.34)
    room.blob((x, y, z), (r, r, 0.09), shell)
    room.pillar((x, y, z - 0.07), 0.8 * r, 0.03, glass)
    if len(room.lights) < 3:
        bright = dice.between(1.2, 2.6)
        room.lights.append(Light((x, y, z - 0.12), (bright, 0.97 * bright, 0.9 * bright), 0.9))


def monitors(room: Room, dice: Dice, x: float, y: float, yaw: float) -> None:
    """Add one to four screens, hanging from the ceiling or on a cart; screens give no depth."""
    shell = room.material(some_grey(dice, 0.05, 0.3, 0.02), 0.4, 0.3)
    screen = room.material((0.05, 0.07, 0.1), 1.3, 1.0, SCREEN)
    c, s = cos(yaw), sin(yaw)
    count, hanging = 1 + dice.below(3), dice.chance(0.6)
    z = dice.between(1.5, 1.9) if hanging else dice.between(1.15, 1.4)
    for i in range(count):
        off = (i - 0.5 * (count - 1)) * 0.56
        px, py = x + c * off, y + s * off
        room.box((px, py, z), (0.26, 0.03, 0.18), shell, yaw)
        room.box((px + s * 0.025, py - c * 0.025, z), (0.24, 0.01, 0.16), screen, yaw)
    if hanging:
        room.rod((x - s * 0.05, y + c * 0.05, z), (x - s * 0.05, y + c * 0.05, room.height_m), 0.04, shell)
    else:
        room.box((x, y, 0.45), (0.25, 0.25, 0.45), shell, yaw)
        room.rod((x, y, 0.9), (x, y, z), 0.04, shell)
        room.take(x, y, 0.35)


def anaesthesia_machine(room: Room, dice: Dice, x: float, y: float, yaw: float) -> None:
    """Add a tower with shelves, screens, bellows and hoses towards the table."""
    shell = room.material(some_grey(dice, 0.6, 0.9, 0.03), dice.between(0.0, 0.3), 0.2)
    dark = room.material(some_grey(dice, 0.05, 0.3, 0.02), 0.8, 0.5)
    hose = room.material((0.75, 0.82, 0.85), 0.2)
    room.box((x, y, 0.45), (0.32, 0.30, 0.42), shell, yaw)
    room.box((x, y, 0.92), (0.34, 0.32, 0.03), shell, yaw)
    c, s = cos(yaw), sin(yaw)
    top = dice.between(1.25, 1.55)
    room.box((x - s * -0.12, y + c * -0.12, 0.5 * (0.95 + top)), (0.28, 0.14, 0.5 * (top - 0.95)), shell, yaw)
    room.box((x - s * -0.02, y + c * -0.02, top + 0.12), (0.2, 0.04, 0.14), dark, yaw)
    room.pillar((x + c * 0.2 - s * 0.15, y + s * 0.2 + c * 0.15, 0.95), 0.06, 0.2, dark)
    if room.table is not None:
        tx, ty, _, surface, _, _ = room.table
        px, py = x - 0.3 * s, y + 0.3 * c
        points = [
            (
                px + (tx - px) * t * 0.7,
                py + (ty - py) * t * 0.7,
                1.0 + (surface + 0.1 - 1.0) * t - 0.5 * t * (1 - t),
            )
            for t in (0.0, 0.25, 0.5, 0.75, 1.0)
        ]
        room.cable(points, 0.016, hose)
    room.take(x, y, 0.42)


def trolley(room: Room, dice: Dice, x: float, y: float, yaw: float) -> None:
    """Add an instrument table, bare or draped to the floor, with things on it."""
    steel = room.material(some_grey(dice, 0.5, 0.75, 0.02), 0.2, 0.6)
    half = (dice.between(0.25, 0.55), dice.between(0.2, 0.32))
    z = dice.between(0.8, 1.0)
    c, s = cos(yaw), sin(yaw)
    if dice.chance(0.55):
        room.box(
            (x, y, 0.5 * z + 0.06), (half[0] + 0.02, half[1] + 0.02, 0.5 * z - 0.06), _drape(room, dice), yaw
        )
    else:
        for board in (0.25, 0.55, 1.0):
            room.box((x, y, z * board), (*half, 0.012), steel, yaw)
        for sx in (-1.0, 1.0):
            for sy in (-1.0, 1.0):
                px, py = sx * half[0], sy * half[1]
                place = (x + c * px - s * py, y + s * px + c * py)
                room.rod((*place, 0.03), (*place, z), 0.013, steel)
    for _ in range(3 + dice.below(6)):
        px, py = dice.between(-0.85, 0.85) * half[0], dice.between(-0.8, 0.8) * half[1]
        r = dice.between(0.02, 0.08)
        thing = steel if dice.chance(0.5) else room.material(some_color(dice), dice.between(0.0, 0.6), 0.3)
        room.box(
            (x + c * px - s * py, y + s * px + c * py, z + 0.012 + 0.6 * r),
            (r * 1.6, r * 0.7, 0.6 * r),
            thing,
            yaw + px,
        )
    room.take(x, y, max(half))


def infusion_stand(room: Room, dice: Dice, x: float, y: float) -> None:
    """Add a thin pole with bags and a pump."""
    steel = room.material(some_grey(dice, 0.5, 0.75, 0.02), 0.2, 0.6)
    bag = room.material((0.85, 0.88, 0.85), 0.5, 0.5)
    z = dice.between(1.7, 2.1)
    room.rod((x, y, 0.05), (x, y, z), 0.014, steel)
    room.rod((x - 0.2, y, z), (x + 0.2, y, z), 0.008, steel)
    for _ in range(1 + dice.below(3)):
        room.blob((x + dice.between(-0.2, 0.2), y, z - 0.16), (0.06, 0.025, 0.11), bag)
    if dice.chance(0.6):
        room.box((x, y + 0.06, dice.between(1.0, 1.3)), (0.09, 0.08, 0.14), bag)
    for i in range(5):
        a = 2.0 * math.pi * i / 5.0
        room.rod((x, y, 0.05), (x + 0.28 * cos(a), y + 0.28 * sin(a), 0.05), 0.016, steel)
    room.take(x, y, 0.15)


def draped_ghost(room: Room, dice: Dice, x: float, y: float) -> None:
    """Add a stand under a cloth: of a person's height and width, and nobody."""
    cloth = (
        _drape(room, dice) if dice.chance(0.6) else room.material(some_grey(dice, 0.6, 0.9), 0.1, 0.0, 1.0)
    )
    top = dice.between(1.2, 1.75)
    yaw = dice.between(-math.pi, math.pi)
    wide, thick = dice.between(0.16, 0.28), dice.between(0.5, 1.0)
    params = (top - 0.25, dice.between(0.22, 0.34), wide)
    room.solids.add(shapes.FRUSTUM, (x, y, 0.15), turned(yaw), (1.0, thick, 1.0), cloth, params)
    room.blob((x, y, top - 0.12), (wide, wide * thick, dice.between(0.06, 0.18)), cloth, yaw)
    if dice.chance(0.4):
        room.blob((x, y, top + 0.08), (0.10, 0.12, 0.12), cloth, yaw)
    room.take(x, y, 0.3)


def bin_or_stool(room: Room, dice: Dice, x: float, y: float) -> None:
    """Add a waste bag on its frame, or a stool."""
    if dice.chance(0.5):
        bag = room.material(
            dice.one_of(((0.75, 0.72, 0.2), (0.1, 0.1, 0.12), (0.7, 0.75, 0.8))), dice.between(0, 0.7), 0.4
        )
        room.solids.add(shapes.FRUSTUM, (x, y, 0.05), turned(0.0), (1.0, 1.0, 1.0), bag, (0.75, 0.2, 0.26))
        room.take(x, y, 0.25)
    else:
        stool(room, dice, x, y, dice.between(0.42, 0.58))


def stool(room: Room, dice: Dice, x: float, y: float, height: float) -> None:
    """Add a round stool on a star of feet."""
    seat = room.material(some_grey(dice, 0.05, 0.4), dice.between(0.1, 0.7), 0.1)
    room.pillar((x, y, height - 0.07), 0.18, 0.07, seat)
    room.rod((x, y, 0.08), (x, y, height - 0.07), 0.03, seat)
    for i in range(5):
        a = 2.0 * math.pi * i / 5.0
        room.rod((x, y, 0.08), (x + 0.24 * cos(a), y + 0.24 * sin(a), 0.05), 0.018, seat)


def screen_drape(room: Room, dice: Dice) -> None:
    """Add the cloth between surgeon and anaesthetist across the table."""
    assert room.table is not None
    tx, ty, yaw, surface, half_length, half_width = room.table
    cloth = _drape(room, dice)
    along = (1.0 if dice.chance(0.5) else -1.0) * dice.between(0.45, 0.6) * half_length
    x, y = tx + cos(yaw) * along, ty + sin(yaw) * along
    h = dice.between(0.2, 0.35)
    room.box((x, y, surface + h - 0.1), (0.012, half_width + dice.between(0.1, 0.3), h), cloth, yaw)
    for side in (-1.0, 1.0):
        px, py = x - sin(yaw) * side * (half_width + 0.1), y + cos(yaw) * side * (half_width + 0.1)
        room.rod((px, py, surface), (px, py, surface + 2.0 * h), 0.012, cloth)


def patient_drape(room: Room, dice: Dice, feet_sign: float) -> None:
    """Add the cloth over a patient's trunk and legs: soft hills along the table, and sides that hang down."""
    assert room.table is not None
    tx, ty, yaw, surface, half_length, half_width = room.table
    cloth = _drape(room, dice)
    c, s = cos(yaw), sin(yaw)
    reach = dice.between(-0.1, 0.35)

    def at(along: float, z: float) -> Point:
        return tx + c * along * feet_sign, ty + s * along * feet_sign, z

    a, b = at(-reach, surface + 0.10), at(half_length - 0.14, surface + 0.11)
    axes = turned(yaw)
    tilted = axes[[1, 2, 0]] * [[1.0], [1.0], [feet_sign]]
    tilted[0] = tilted[0] * feet_sign
    length = math.sqrt(sum((b[i] - a[i]) * (b[i] - a[i]) for i in range(3)))
    room.solids.add(shapes.ROUNDED_CONE, a, tilted, (1.0, 0.62, 1.0), cloth, (length, 0.29, 0.25))
    middle = at(0.5 * (half_length - reach), surface - 0.12)
    half = 0.5 * (half_length + reach)
    for side in (-1.0, 1.0):
        px, py = middle[0] - s * side * (half_width + 0.02), middle[1] + c * side * (half_width + 0.02)
        room.box(
            (px, py, surface - dice.between(0.1, 0.3)), (half, 0.012, dice.between(0.12, 0.35)), cloth, yaw
        )


def cables(room: Room, dice: Dice) -> None:
    """Add hoses and cables that hang from the ceiling or lie on the floor."""
    for _ in range(1 + dice.below(3)):
        color = room.material(some_grey(dice, 0.05, 0.8), dice.between(0.1, 0.9))
        x, y = dice.near(0.0, 1.0), dice.near(0.0, 1.0)
        dx, dy = dice.near(0.0, 0.6), dice.near(0.0, 0.6)
        if dice.chance(0.5):
            z = dice.between(1.2, 1.8)
            sag = [(0.0, room.height_m), (0.3, z + 0.3), (0.6, z), (1.0, z + 0.1)]
            room.cable([(x + dx * t, y + dy * t, h) for t, h in sag], dice.between(0.01, 0.03), color)
        else:
            room.cable(
                [(x + dx * t + 0.2 * sin(6.0 * t), y + dy * t, 0.02) for t in (0.0, 0.35, 0.7, 1.1)],
                0.015,
                color,
            )


def equip(room: Room, dice: Dice) -> None:
    """Put an operating room's equipment around its table; people come afterwards, where there is space."""
    assert room.table is not None
    tx, ty, yaw, surface, half_length, _ = room.table
    for _ in range(1 + dice.below(2)):
        ceiling_lamp(room, dice, tx + dice.near(0.0, 0.45), ty + dice.near(0.0, 0.45))
    if dice.chance(0.45):
        side = yaw + (math.pi / 2.0 if dice.chance(0.5) else -math.pi / 2.0)
        along = dice.between(-0.5, 0.5) * half_length
        c_arm(
            room, dice, tx + cos(yaw) * along, ty + sin(yaw) * along, side, surface + dice.between(0.0, 0.2)
        )
    if dice.chance(0.7):
        end = 1.0 if dice.chance(0.5) else -1.0
        along, across = end * (half_length + dice.between(0.3, 0.6)), dice.near(0.0, 0.5)
        x, y = tx + cos(yaw) * along - sin(yaw) * across, ty + sin(yaw) * along + cos(yaw) * across
        anaesthesia_machine(room, dice, x, y, yaw + end * math.pi / 2.0)
    if dice.chance(0.35):
        screen_drape(room, dice)
    cables(room, dice)
    things = ("trolley", "trolley", "monitors", "stand", "ghost", "bin", "rack", "cart")
    for _ in range(2 + dice.below(7)):
        x, y = (
            dice.between(-0.92, 0.92) * room.half_size_m[0],
            dice.between(-0.92, 0.92) * room.half_size_m[1],
        )
        angle = dice.between(-math.pi, math.pi)
        if not room.is_free(x, y, 0.35) or (x - tx) ** 2 + (y - ty) ** 2 < 0.8:
            continue
        kind = dice.one_of(things)
        if kind == "trolley":
            trolley(room, dice, x, y, angle)
        elif kind == "monitors":
            monitors(room, dice, x, y, angle)
        elif kind == "stand":
            infusion_stand(room, dice, x, y)
        elif kind == "ghost":
            draped_ghost(room, dice, x, y)
        elif kind == "rack":
            coat_rack(room, dice, x, y)
            room.take(x, y, 0.3)
        elif kind == "cart":
            h = dice.between(0.4, 0.95)
            room.box(
                (x, y, h),
                (0.3, 0.25, h),
                room.material(some_grey(dice, 0.3, 0.9), dice.between(0, 0.4), 0.2),
                angle,
            )
            room.take(x, y, 0.38)
        else:
            bin_or_stool(room, dice, x, y)
