"""Consistency of the color and depth images of one camera, which the gateway processes separately."""

from __future__ import annotations

import time
from dataclasses import dataclass


@dataclass(frozen=True)
class Seen:
    """The properties of a full-resolution image that are kept; no pixels.

    Attributes:
        size_hw: (height, width), px.
        frame_id: frame id of its header.
    """

    size_hw: tuple[int, int]
    frame_id: str


class StreamAgreement:
    """Refuses images that are inconsistent with the other stream, because 3D from such a pair would be wrong.

    The properties of a stream are those of two consecutive images. A single wrong image therefore does not
    affect the images of the other stream.
    """

    def __init__(self, trusted_s: float) -> None:
        """Create it.

        Args:
            trusted_s: time of silence after which a stream is no longer used for comparison, s.
        """
        self._trusted_s = trusted_s
        self._newest: dict[str, Seen] = {}
        self._known: dict[str, tuple[Seen, float]] = {}

    def check(self, stream: str, other: str, seen: Seen) -> None:
        """Add an image; raise ValueError if it is inconsistent with the other stream."""
        now = time.monotonic()
        if self._newest.get(stream) == seen:
            self._known[stream] = seen, now
        self._newest[stream] = seen
        known, at_s = self._known.get(other, (None, 0.0))
        if known is None or now - at_s > self._trusted_s:
            return
        if known.frame_id != seen.frame_id:
            raise ValueError(
                f"{stream} is in frame {seen.frame_id!r} but {other} in {known.frame_id!r}: "
                "register the depth to the color camera"
            )
        if known.size_hw != seen.size_hw:
            raise ValueError(
                f"{stream} is {seen.size_hw[1]}x{seen.size_hw[0]} but {other} "
                f"{known.size_hw[1]}x{known.size_hw[0]}: register the depth to the color camera"
            )

    def clear(self) -> None:
        """Forget both streams."""
        self._newest.clear()
        self._known.clear()
