"""A bounded, ordered queue of received messages, with feedback for a sender that paces itself by it."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any


@dataclass
class Waiting:
    """A waiting message.

    Attributes:
        topic: full name of its topic.
        stamp_ns: stamp of its header, ns.
        message: the message; None if it was dropped because too many messages of its topic waited.
        at_s: time of arrival, s of the steady clock.
    """

    topic: str
    stamp_ns: int
    message: Any | None
    at_s: float


@dataclass(frozen=True)
class Request:
    """A request to the consumer, in order among the messages.

    Attributes:
        answer: set by the consumer.
        last: whether no message follows.
    """

    answer: Future[Any]
    last: bool


class Backlog:
    """A queue of the messages of several topics, with one producer thread and one consumer thread.

    At most ``capacity`` messages of a topic wait. A new message replaces the oldest one, of which only the
    stamp remains in the queue, so that the consumer knows what it missed.

    ``accepted`` is called for each message as soon as it is in the first half of the capacity. No message of
    a sender is dropped if the sender is ahead of that by at most the other half.
    """

    def __init__(
        self,
        capacity: int,
        accepted: Callable[[str, int], object],
        dropped: Callable[[str], object],
    ) -> None:
        """Create the queue, closed.

        Args:
            capacity: number of messages of each topic that may wait.
            accepted: called with topic and stamp, in either thread.
            dropped: called with the topic of a dropped message, in the producer thread.
        """
        if capacity < 2:
            raise ValueError(f"backlog: expected a capacity of at least 2, got {capacity}")
        self._capacity, self._accepted, self._dropped = capacity, accepted, dropped
        self._items: deque[Waiting | Request] = deque()
        self._kept: dict[str, deque[Waiting]] = {}
        self._untold: dict[str, deque[int]] = {}
        self._condition = threading.Condition()
        self._open = False

    def open(self) -> None:
        """Accept messages from now on."""
        with self._condition:
            self._open = True

    def put(self, topic: str, stamp_ns: int, message: Any) -> None:
        """Append a message, unless it already waits or the queue is closed."""
        with self._condition:
            if not self._open:
                return
            kept = self._kept.setdefault(topic, deque())
            if any(other.stamp_ns == stamp_ns for other in kept):
                return
            item = Waiting(topic, stamp_ns, message, time.monotonic())
            self._items.append(item)
            kept.append(item)
            self._untold.setdefault(topic, deque()).append(stamp_ns)
            full = len(kept) > self._capacity
            if full:
                kept.popleft().message = None
            told = self._to_tell(topic)
            self._condition.notify()
        if full:
            self._dropped(topic)
        self._tell(topic, told)

    def ask(self, close: bool = False) -> Future[Any]:
        """Append a request, which :meth:`until_asked` returns in order, and return the future of its answer.

        Args:
            close: accept no messages after it.
        """
        request = Request(Future(), close)
        with self._condition:
            self._open = self._open and not close
            self._items.append(request)
            self._condition.notify()
        return request.answer

    def discard(self) -> int:
        """Drop the waiting messages, and return their number."""
        with self._condition:
            count = sum(map(len, self._kept.values()))
            self._items = deque(item for item in self._items if isinstance(item, Request))
            self._kept.clear()
            self._untold.clear()
        return count

    @property
    def waiting(self) -> int:
        """Number of waiting messages."""
        with self._condition:
            return sum(map(len, self._kept.values()))

    def until_asked(self, asked: list[Request]) -> Iterator[Waiting]:
        """Yield messages in order, waiting for more, until a request, which is appended to ``asked``."""
        while not asked:
            with self._condition:
                self._condition.wait_for(lambda: self._items)
                item = self._items.popleft()
                if isinstance(item, Request):
                    asked.append(item)
                    return
                topic, told = item.topic, []
                if item.message is not None:
                    self._kept[topic].popleft()
                    told = self._to_tell(topic)
            self._tell(topic, told)
            yield item
            del item  # no image outlives its turn while the thread waits for the next

    def _to_tell(self, topic: str) -> list[int]:
        """Return the stamps of messages that are now in the first half."""
        untold, told = self._untold[topic], []
        while untold and len(self._kept[topic]) - len(untold) < max(self._capacity // 2, 1):
            told.append(untold.popleft())
        return told

    def _tell(self, topic: str, stamps: list[int]) -> None:
        for stamp_ns in stamps:
            self._accepted(topic, stamp_ns)
