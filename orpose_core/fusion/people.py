"""The people in a room."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from orpose_core.skeleton import Skeleton
from orpose_core.types import Float64Array


@dataclass(frozen=True)
class RoomPeople:
    """Everybody in the room at one moment; nobody is m = 0. All n joints always, in skeleton order.

    A joint that no camera saw, or that is less sure than the fusion's limit, is NaN with score 0.

    Attributes:
        skeleton: the joint set.
        xyz_room_m: float64 (m, n, 3), room frame (z up, floor 0), NaN = unknown.
        covariance_m2: float64 (m, n, 3, 3), of ``xyz_room_m``, NaN = unknown.
        scores: float64 (m, n) in [0, 1], 0 = unknown.
        person_scores: float64 (m,) in [0, 1].
        source_3d: uint8 (m, n) of :class:`~orpose_core.types.Source3D`.
        views: int64 (m, n), how many cameras saw each joint.
        seen_by: bool (m, v), which of the views saw each person, in the order given.
        track_ids: int64 (m,), or None where nobody tracks.
    """

    skeleton: Skeleton
    xyz_room_m: Float64Array
    covariance_m2: Float64Array
    scores: Float64Array
    person_scores: Float64Array
    source_3d: NDArray[np.uint8]
    views: NDArray[np.int64]
    seen_by: NDArray[np.bool_]
    track_ids: NDArray[np.int64] | None = None

    def __post_init__(self) -> None:
        m, n = len(self.person_scores), len(self.skeleton)
        shapes = {
            "xyz_room_m": (m, n, 3), "covariance_m2": (m, n, 3, 3), "scores": (m, n), "source_3d": (m, n),
            "views": (m, n),
        }  # fmt: skip
        for name, shape in shapes.items():
            if getattr(self, name).shape != shape:
                raise ValueError(
                    f"RoomPeople.{name}: expected shape {shape}, got {getattr(self, name).shape}"
                )
        unknown = np.isnan(self.xyz_room_m).any(axis=-1)
        if not (
            np.array_equal(unknown, self.scores == 0)
            and np.array_equal(unknown, np.isnan(self.covariance_m2).any(axis=(-2, -1)))
        ):
            raise ValueError("RoomPeople: a joint has a score and a covariance exactly where it has a place")

    def __len__(self) -> int:
        return len(self.person_scores)

    @property
    def sigma_m(self) -> Float64Array:
        """float64 (m, n): standard deviation along one axis (root mean square of three), NaN = unknown."""
        return np.sqrt(np.trace(self.covariance_m2, axis1=-2, axis2=-1) / 3)
