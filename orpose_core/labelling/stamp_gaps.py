"""Messages that never came, counted from the stamps of those that did."""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

_KNOWN = 8  # intervals that must be known before one is called a gap
_WINDOW = 60
_FAR = 1.5
_JUMP_NS = 1_000_000_000


class Gap(NamedTuple):
    """Number of messages missing between two successive stamps, ns."""

    after_ns: int
    before_ns: int
    missing: int


class StampGaps:
    """Finds gaps in the stamps of one steady stream.

    The period is estimated as the median of the intervals that are not much longer than the shortest tenth.
    It is therefore correct even if many messages are lost, as long as some successive ones arrive. A message
    is missing if an interval is longer than one and a half periods. Messages lost before the first or after
    the last stamp cannot be detected. When time jumps back, counting starts over; a slightly late stamp has
    no effect.
    """

    def __init__(self) -> None:
        self._last_ns: int | None = None
        self._intervals: deque[int] = deque(maxlen=_WINDOW)
        self._open: list[tuple[int, int]] = []

    def add(self, stamp_ns: int) -> list[Gap]:
        """Take the next stamp and return the gaps that are sure by now."""
        last, self._last_ns = self._last_ns, stamp_ns
        if last is None or stamp_ns < last - _JUMP_NS:
            return []
        if stamp_ns <= last:
            self._last_ns = last
            return []
        self._intervals.append(stamp_ns - last)
        self._open.append((last, stamp_ns))
        return self.settle() if len(self._intervals) >= _KNOWN else []

    def settle(self) -> list[Gap]:
        """Return the gaps among the intervals that are still open, by what is known of the period."""
        if not self._intervals:
            return []
        ordered = sorted(self._intervals)
        usual = [i for i in ordered if i <= _FAR * ordered[len(ordered) // 10]]
        period_ns = usual[len(usual) // 2]
        opened, self._open = self._open, []
        return [
            Gap(after, before, round((before - after) / period_ns) - 1)
            for after, before in opened
            if before - after > _FAR * period_ns
        ]
