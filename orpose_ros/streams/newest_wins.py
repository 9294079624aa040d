"""Worker threads that process only the newest items, so that latency stays bounded under overload."""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

SLOWER = 1.5
"""Largest duration of a batch relative to that of a single item."""

_ALONE_EVERY = 30  # batches; the time of one item alone is measured again
_ALONE_KEPT = 5  # measurements of one item alone
_ALONE_FIRST = 3  # measurements before a larger batch is tried
_TRY_AGAIN = 200  # batches until a size that took too long is tried again
_TRY_AGAIN_AT_MOST = 20_000


@dataclass(frozen=True)
class Arrived:
    """An item and its time of arrival.

    Attributes:
        item: the item.
        at_s: time of arrival, s of the steady clock.
    """

    item: Any
    at_s: float


class BatchSize:
    """The size of batches, determined from the measured duration of batches.

    If a batch takes hardly longer than one item (a GPU), its size grows by one while that is efficient. If
    the duration grows with the size (most CPUs), batches stay small: a larger size is tried again after twice
    as many batches each time, because everybody in such a batch is late.

    One item alone takes the shortest of the latest measured durations. A busy moment makes items slower, and
    must not make a large batch look efficient.
    """

    def __init__(self) -> None:
        self.limit = 1
        self._alone_s: deque[float] = deque(maxlen=_ALONE_KEPT)
        self._since_alone = 0  # batches
        self._too_large = math.inf  # the size that took too long last
        self._since_too_large = 0  # batches
        self._try_again = _TRY_AGAIN

    def next(self, waiting: int) -> int:
        """Return the size of the next batch, given the number of waiting items."""
        return 1 if self._since_alone >= _ALONE_EVERY else min(self.limit, waiting)

    def took(self, size: int, seconds: float) -> None:
        """Add the duration of a batch of this size."""
        self._since_alone += 1
        self._since_too_large += 1
        if size == 1:
            self._alone_s.append(seconds)
            self._since_alone = 0
        elif seconds > SLOWER * min(self._alone_s, default=math.inf):
            self._try_again = min(2 * self._try_again, _TRY_AGAIN_AT_MOST)
            self.limit, self._too_large, self._since_too_large = size - 1, size, 0
            return
        if size >= self._too_large:
            self._too_large, self._try_again = math.inf, _TRY_AGAIN  # times have changed
        may_grow = size + 1 < self._too_large or self._since_too_large >= self._try_again
        if size >= self.limit and may_grow and len(self._alone_s) >= _ALONE_FIRST:
            self.limit = size + 1


class NewestWins:
    """Keeps one item per key; a newer item replaces a waiting one, which is dropped.

    Threads of its own, one per lane, pass waiting items to ``serve`` in batches, whose size depends on their
    duration (:class:`BatchSize`); the key that was served longest ago comes first. A key is never in two
    lanes at the same time, so its items are served in the order in which they came.
    """

    def __init__(
        self,
        serve: Callable[[Mapping[str, Arrived]], None],
        dropped: Callable[[], None],
        failed: Callable[[Exception], None],
    ) -> None:
        """Create the worker, not started.

        Args:
            serve: called in the thread of a lane with a batch of items by key.
            dropped: called for each dropped item, in the thread that put its successor.
            failed: called if ``serve`` raised; the lane continues.
        """
        self._serve, self._dropped, self._failed = serve, dropped, failed
        self._waiting: dict[str, Arrived] = {}
        self._in_work: set[str] = set()
        self._served: dict[str, int] = {}  # key to the number of the batch that served it last
        self._batches = 0
        self._condition = threading.Condition()
        self._stopping = False
        self._threads: list[threading.Thread] = []
        self.batch_size = BatchSize()

    def put(self, key: str, item: Any, at_s: float | None = None) -> None:
        """Store the newest item of a key; ``at_s`` is its arrival on the steady clock, None = now."""
        with self._condition:
            if not self._threads:
                return  # nobody will ever serve it: do not keep it
            replaced = key in self._waiting
            self._waiting[key] = Arrived(item, time.monotonic() if at_s is None else at_s)
            self._condition.notify()
        if replaced:
            self._dropped()

    def discard(self, key: str) -> None:
        """Delete the waiting item of a key."""
        with self._condition:
            self._waiting.pop(key, None)

    def start(self, lanes: int = 1) -> None:
        """Start one thread per lane; all of them may call ``serve`` at the same time."""
        with self._condition:
            self._stopping = False
            self._threads = [
                threading.Thread(target=self._run, name=f"newest_wins_{lane}", daemon=True)
                for lane in range(lanes)
            ]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Finish the current batches, delete waiting items, and end the threads."""
        with self._condition:
            self._stopping = True
            self._waiting.clear()
            self._condition.notify_all()
        for thread in self._threads:
            thread.join()
        with self._condition:
            self._threads = []
            self._waiting.clear()

    def _run(self) -> None:
        while True:
            with self._condition:
                self._condition.wait_for(lambda: self._stopping or self._ready())
                if self._stopping:
                    return
                batch = self._next_batch()
            began_s = time.monotonic()
            try:
                self._serve(batch)
            except Exception as error:  # one bad batch must not end the node
                self._failed(error)
            took_s = time.monotonic() - began_s
            with self._condition:
                self.batch_size.took(len(batch), took_s)
                self._in_work.difference_update(batch)
                self._condition.notify_all()  # newer items of these keys can be served now
            del batch  # no image outlives its turn while the thread waits for the next

    def _ready(self) -> list[str]:
        """Return the keys with a waiting item that no lane is busy with."""
        return [key for key in self._waiting if key not in self._in_work]

    def _next_batch(self) -> dict[str, Arrived]:
        """Remove and return one lane's share of the ready items, those first that were served longest ago."""
        first = sorted(self._ready(), key=lambda key: self._served.get(key, -1))
        share = math.ceil(len(first) / len(self._threads))
        chosen = first[: self.batch_size.next(share)]
        self._batches += 1
        self._in_work.update(chosen)
        self._served.update(dict.fromkeys(chosen, self._batches))
        return {key: self._waiting.pop(key) for key in chosen}
