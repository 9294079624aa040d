"""How many messages of a publisher never came: known from the numbers that it gives them."""

from __future__ import annotations

import time
from dataclasses import dataclass

_NO_SEQUENCE = 2**64 - 1  # of a middleware that does not number messages


@dataclass(frozen=True)
class Numbered:
    """A message that came.

    Attributes:
        sequence: its number, as the publisher counts.
        sent_s: when it was sent, by the publisher's clock.
        arrived_s: when it came, by the steady clock of this machine.
    """

    sequence: int
    sent_s: float
    arrived_s: float


class SequenceGaps:
    """Finds the numbers that are missing between the messages of one publisher, and before the first.

    What was sent before the middleware knew of the publisher is not missing: nobody could have received it.
    The first message's number alone does not tell whether others were lost after that. So the second message
    gives the publisher's rate, and what it could have sent meanwhile at this rate is the most that counts.
    """

    def __init__(self) -> None:
        self._known_s = time.monotonic()
        self._first: Numbered | None = None  # until a second has come
        self._newest: Numbered | None = None

    def matched(self) -> None:
        """Note that a publisher has just become known; its numbers begin anew."""
        self._known_s = time.monotonic()
        if self._first is None:  # else the first message was faster than the news of its publisher
            self._newest = None

    def take(self, message: Numbered) -> int:
        """Return how many messages are now known to be missing that were not known before."""
        if not 0 < message.sequence < _NO_SEQUENCE:
            return 0
        before, self._newest = self._newest, message
        if before is None or message.sequence <= before.sequence:
            self._first = message
            return 0
        missing = message.sequence - before.sequence - 1
        if self._first is not None:
            missing += self._before_first(self._first, message)
            self._first = None
        return missing

    def _before_first(self, first: Numbered, second: Numbered) -> int:
        passed_s = second.sent_s - first.sent_s
        if passed_s <= 0:
            return 0
        rate_hz = (second.sequence - first.sequence) / passed_s
        return max(0, min(first.sequence - 1, int((first.arrived_s - self._known_s) * rate_hz)))
