"""What was heard and not served yet, in order and bounded, with a word to whoever paces itself by it."""

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
    """A message that waits.

    Attributes:
        topic: its full name.
        stamp_ns: of its header.
        message: the message; None once it was let go, because too many of its topic waited.
        at_s: when it came, s of the steady clock.
    """

    topic: str
    stamp_ns: int
    message: Any | None
    at_s: float


@dataclass(frozen=True)
class Request:
    """Something asked of the taker, in its turn among the messages.

    Attributes:
        answer: to be set by the taker.
        last: no message comes after it.
    """

    answer: Future[Any]
    last: bool


class Backlog:
    """A queue of the messages of several topics, put by one thread and taken by another.

    Of a topic at most ``capacity`` messages wait. A newer one takes the place of the oldest, whose stamp
    alone stays in the queue, so that the taker knows what it missed.

    ``accepted`` is called for each message as soon as it is in the first half of what may wait. Who sends a
    few messages ahead of that, no more than the other half, never has one let go.
    """

    def __init__(
        self,
        capacity: int,
        accepted: Callable[[str, int], object],
        dropped: Callable[[str], object],
    ) -> None:
        """Create the queue, closed.

        Args:
            capacity: messages of each topic that may wait.
            accepted: told topic and stamp, by either thread.
            dropped: told the topic of a message that is let go, by the thread that puts.
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
        """Take messages from now on."""
        with self._condition:
            self._open = True

    def put(self, topic: str, stamp_ns: int, message: Any) -> None:
        """Append a message; one that waits already, or comes while the queue is closed, is forgotten."""
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
        """Append a request, which :meth:`until_asked` hands out in its turn, and return its answer to be.

        Args:
            close: take no messages after it.
        """
        request = Request(Future(), close)
        with self._condition:
            self._open = self._open and not close
            self._items.append(request)
            self._condition.notify()
        return request.answer

    def discard(self) -> int:
        """Let go of the messages that wait, and return how many they were."""
        with self._condition:
            count = sum(map(len, self._kept.values()))
            self._items = deque(item for item in self._items if isinstance(item, Request))
            self._kept.clear()
            self._untold.clear()
        return count

    @property
    def waiting(self) -> int:
        """How many messages wait."""
        with self._condition:
            return sum(map(len, self._kept.values()))

    def until_asked(self, asked: list[Request]) -> Iterator[Waiting]:
        """Yield the messages in order, waiting for more, until a request comes, which goes into ``asked``."""
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
        """Take the stamps that have come into the first half."""
        untold, told = self._untold[topic], []
        while untold and len(self._kept[topic]) - len(untold) < max(self._capacity // 2, 1):
            told.append(untold.popleft())
        return told

    def _tell(self, topic: str, stamps: list[int]) -> None:
        for stamp_ns in stamps:
            self._accepted(topic, stamp_ns)
