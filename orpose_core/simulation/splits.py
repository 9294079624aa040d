"""The benchmark splits: named streams of frames that no seed gives."""

from __future__ import annotations

from dataclasses import dataclass

_FIRST_SPLIT_KEY = 1 << 40


@dataclass(frozen=True)
class Split:
    """A named benchmark: a fixed number of frames of a fixed stream.

    Attributes:
        domain: of the stream.
        frames: how many images.
        key: of its randomness, beyond all seeds, so that no training stream can meet it.
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


SPLITS: dict[str, Split] = {
    "or-val-v1": Split("or", 1200, _FIRST_SPLIT_KEY + 1, 3, 4, 0.5),
    "general-val-v1": Split("general", 1000, _FIRST_SPLIT_KEY + 2, 1, 1, 1.0),
}
"""The benchmark splits; their keys lie beyond 2^32, so that no training seed meets them."""
