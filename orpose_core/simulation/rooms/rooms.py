"""A room: solids, materials, lamps, and the places that are taken."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

from orpose_core.simulation.arithmetic import cos, sin
from orpose_core.simulation.dice import Dice
from orpose_core.simulation.sensing import solids as shapes
from orpose_core.simulation.sensing.shading import Light
from orpose_core.simulation.sensing.solids import Solids
from orpose_core.types import Float64Array

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
        self.solids.add(shapes.BOX, centre, turned(yaw), half, material)

    def pillar(self, foot: Point, radius: float, height: float, material: int) -> None:
        """Add an upright cylinder."""
        centre = (foot[0], foot[1], foot[2] + 0.5 * height)
        self.solids.add(shapes.CYLINDER, centre, np.eye(3), (radius, radius, 0.5 * height), material)

    def rod(self, a: Point, b: Point, radius: float, material: int, end_radius: float | None = None) -> None:
        """Add a rounded bar from ``a`` to ``b``."""
        axes, length = _axes_along(a, b)
        params = (length, radius, radius if end_radius is None else end_radius)
        self.solids.add(shapes.ROUNDED_CONE, a, axes, (1.0, 1.0, 1.0), material, params)

    def blob(self, centre: Point, half: Point, material: int, yaw: float = 0.0) -> None:
        """Add an ellipsoid, turned by ``yaw``."""
        self.solids.add(shapes.ELLIPSOID, centre, turned(yaw), half, material)

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
