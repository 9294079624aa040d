"""The solids of a scene: closed-form shapes, each simple in a local space of its own."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from orpose_core.types import Float64Array

ROUNDED_CONE = 0
"""Hull of two spheres on the local z axis: radius r1 at 0, r2 at h; params (h, r1, r2); h = 0: a sphere."""


ELLIPSOID = 1
"""The unit sphere, scaled."""


BOX = 2
"""The cube [-1, 1]^3, scaled."""


CYLINDER = 3
"""Radius 1 about the local z axis, z in [-1, 1], capped, scaled."""


RECTANGLE = 4
"""The patch [-1, 1]^2 of the local plane z = 0, scaled; seen from both sides."""


FRUSTUM = 5
"""Cone about the local z axis, cut flat at 0 (radius r1) and at h (radius r2); params (h, r1, r2)."""


@dataclass
class Solids:
    """A growing list of solids in the room frame.

    Attributes:
        kinds: int64 (n,), one of the constants above.
        origins: float64 (n, 3), metres.
        axes: float64 (n, 3, 3), rows are the local axes in the room frame (orthonormal).
        scales: float64 (n, 3), metres per local unit along each local axis.
        params: float64 (n, 3), see :data:`ROUNDED_CONE`; not used by the others.
        owners: int64 (n,), index of the person a solid belongs to, or -1.
        parts: int64 (n,), body part (persons) or 0.
        materials: int64 (n,), row of the material table.
        count: how many of the rows are in use.
    """

    kinds: NDArray[np.int64]
    origins: Float64Array
    axes: Float64Array
    scales: Float64Array
    params: Float64Array
    owners: NDArray[np.int64]
    parts: NDArray[np.int64]
    materials: NDArray[np.int64]
    count: int = 0

    @classmethod
    def with_room_for(cls, capacity: int) -> Solids:
        """Return an empty list that can hold ``capacity`` solids."""
        integers = [np.zeros(capacity, np.int64) for _ in range(4)]
        return cls(
            integers[0],
            np.zeros((capacity, 3)),
            np.zeros((capacity, 3, 3)),
            np.ones((capacity, 3)),
            np.zeros((capacity, 3)),
            integers[1],
            integers[2],
            integers[3],
        )

    def add(
        self,
        kind: int,
        origin: tuple[float, float, float],
        axes: Float64Array,
        scale: tuple[float, float, float],
        material: int,
        params: tuple[float, float, float] = (0.0, 0.0, 0.0),
        owner: int = -1,
    ) -> None:
        """Append one solid; ValueError if the list is full."""
        if self.count >= len(self.kinds):
            raise ValueError(f"Solids: expected at most {len(self.kinds)} solids")
        i = self.count
        self.kinds[i] = kind
        self.origins[i] = origin
        self.axes[i] = axes
        self.scales[i] = scale
        self.params[i] = params
        self.owners[i] = owner
        self.materials[i] = material
        self.count = i + 1

    def used(self) -> tuple[NDArray, ...]:
        """Return the rows in use: kinds, origins, axes, scales, params."""
        n = self.count
        return self.kinds[:n], self.origins[:n], self.axes[:n], self.scales[:n], self.params[:n]
