"""The number of lost messages of a publisher, from their sequence numbers."""

from __future__ import annotations

import time
from dataclasses import dataclass

_NO_SEQUENCE = 2**64 - 1  # of a middleware that does not number messages


@dataclass(frozen=True)
class Numbered:
    """A received message.

    Attributes:
        sequence: its sequence number.
        sent_s: time of sending, s of the publisher's clock.
        arrived_s: time of arrival, s of the steady clock of this machine.
    """

    sequence: int
    sent_s: float
    arrived_s: float


class SequenceGaps:
    """Finds missing sequence numbers between the messages of one publisher, and before the first message.

    Messages that were sent before the middleware had discovered the publisher are not missing. The number of
    the first message alone does not show whether messages were lost after the discovery. Therefore the rate
    of the publisher is determined with the second message, and limits the number of messages that can be
    missing.
    """

    def __init__(self) -> None:
        self._known_s = time.monotonic()
        self._first: Numbered | None = None  # until a second has come
        self._newest: Numbered | None = None

    def matched(self) -> None:
        """Start again with a publisher that has just been discovered."""
        self._known_s = time.monotonic()
        if self._first is None:  # else the first message was faster than the news of its publisher
            self._newest = None

    def take(self, message: Numbered) -> int:
        """Return the number of missing messages that this message reveals."""
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
