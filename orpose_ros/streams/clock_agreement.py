"""Whether the clocks that several cameras take their stamps from agree."""

from __future__ import annotations

import time
from collections import deque

_KEPT = 50  # messages of a camera
_FEWEST = 10  # of each of two cameras that are compared
_JUMP_S = 1.0  # between two messages: a clock that was set, or a recording that starts again
_STEADY_S = 1.0  # a larger change over the messages kept: a recording that is not played at its own speed


class ClockAgreement:
    """Compares the stamps of each camera's messages with their times of arrival.

    The message that was on its way for the shortest time shows best how far a camera's clock is ahead of the
    steady clock of this machine. Two cameras should differ by no more than their latencies.
    """

    def __init__(self, largest_s: float, trusted_s: float) -> None:
        """Create it.

        Args:
            largest_s: largest difference between two cameras that is no problem, s.
            trusted_s: time of silence after which a camera is no longer compared, s.
        """
        self._largest_s, self._trusted_s = largest_s, trusted_s
        self._ahead_s: dict[str, deque[float]] = {}
        self._heard_s: dict[str, float] = {}

    def saw(self, camera: str, stamp_ns: int) -> None:
        """Add a message that has just arrived."""
        now_s = time.monotonic()
        ahead_s = stamp_ns * 1e-9 - now_s
        kept = self._ahead_s.setdefault(camera, deque(maxlen=_KEPT))
        if kept and abs(ahead_s - kept[-1]) > _JUMP_S:
            kept.clear()
        kept.append(ahead_s)
        self._heard_s[camera] = now_s

    @property
    def problem(self) -> str:
        """The largest difference as a sentence; "" = the clocks agree, or too little is known."""
        now_s = time.monotonic()
        ahead_s = {
            camera: max(kept)
            for camera, kept in self._ahead_s.items()
            if len(kept) >= _FEWEST and now_s - self._heard_s[camera] <= self._trusted_s
        }
        steady = all(max(kept) - min(kept) <= _STEADY_S for kept in self._ahead_s.values())
        if len(ahead_s) < 2 or not steady:
            return ""
        first, last = max(ahead_s, key=ahead_s.__getitem__), min(ahead_s, key=ahead_s.__getitem__)
        apart_s = ahead_s[first] - ahead_s[last]
        if apart_s <= self._largest_s:
            return ""
        return (
            f"the stamps of {last} are {apart_s:.1f} s behind those of {first}, but only views at most "
            f"{self._largest_s:g} s apart are fused: are the clocks of their machines synchronized?"
        )

    def clear(self) -> None:
        """Forget all cameras."""
        self._ahead_s.clear()
        self._heard_s.clear()
