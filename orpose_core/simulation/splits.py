"""The benchmark splits: named streams of frames that no seed can produce."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from orpose_core.simulation.rooms.parts import PARTS

_FIRST_SPLIT_KEY = 1 << 40


@dataclass(frozen=True)
class Split:
    """A named benchmark: a fixed number of frames of a fixed stream.

    Attributes:
        domain: of the stream.
        frames: how many images.
        key: of its random numbers, larger than any seed, so that no training stream can contain its frames.
        cameras: per room.
        frames_per_sequence: moments per room.
        rate_hz: moments per second.
    """

    domain: str
    frames: int
    key: int
    cameras: int
    frames_per_sequence: int
    rate_hz: float

    @property
    def frames_per_room(self) -> int:
        """Images of one room: all moments of all cameras, with consecutive numbers."""
        return self.cameras * self.frames_per_sequence

    def rooms_of(self, indices: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return which room each frame shows."""
        return indices // self.frames_per_room

    def subset(self, limit: int | None = None) -> NDArray[np.int64]:
        """Return the numbers of the frames of whole rooms, spread evenly over the split; None = all frames.

        Rooms are selected with all cameras and moments. A fixed step between frames would select only one
        camera if it were a multiple of the number of cameras.

        Args:
            limit: highest number of frames; as many rooms as fit, but at least one.
        """
        if limit is not None and limit <= 0:
            raise ValueError(f"a subset of a split: expected a positive number of frames, got {limit}")
        if limit is None or limit >= self.frames:
            return np.arange(self.frames, dtype=np.int64)
        count, wanted = self.frames // self.frames_per_room, max(limit // self.frames_per_room, 1)
        rooms = np.arange(wanted) * count // wanted
        return (rooms[:, None] * self.frames_per_room + np.arange(self.frames_per_room)).ravel()


SPLITS: dict[str, Split] = {
    "or-val-v1": Split("or", 1200, _FIRST_SPLIT_KEY + 1, 3, 4, 0.5),
    "general-val-v1": Split("general", 1000, _FIRST_SPLIT_KEY + 2, 1, 1, 1.0),
    "or-test-v1": Split("or", 1200, _FIRST_SPLIT_KEY + 3, 3, 4, 0.5),
    "general-test-v1": Split("general", 1000, _FIRST_SPLIT_KEY + 4, 1, 1, 1.0),
    **{
        f"{part}-val-v1": Split(part, 240, _FIRST_SPLIT_KEY + 100 + i, 1, 1, 1.0)
        for i, part in enumerate(PARTS)
    },
}
"""The benchmark splits; their keys lie beyond 2^32, so that no training seed meets them.

The ``val`` splits are for development: settings are chosen on them. The ``test`` splits are for the report of
a release alone; nothing is ever chosen on them. Each part of the domain "anywhere" has a ``val``
split, which shows by name what a network lacks.
"""
