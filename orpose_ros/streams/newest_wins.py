"""A worker thread that processes only the newest items, so that latency stays bounded under overload."""

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

    A thread of its own passes waiting items to ``serve`` in batches, whose size depends on their duration
    (:class:`BatchSize`); the key that was served longest ago comes first.
    """

    def __init__(
        self,
        serve: Callable[[Mapping[str, Arrived]], None],
        dropped: Callable[[], None],
        failed: Callable[[Exception], None],
    ) -> None:
        """Create the worker, not started.

        Args:
            serve: called in the worker's thread with a batch of items by key.
            dropped: called for each dropped item, in the thread that put its successor.
            failed: called if ``serve`` raised; the worker continues.
        """
        self._serve, self._dropped, self._failed = serve, dropped, failed
        self._waiting: dict[str, Arrived] = {}
        self._served: dict[str, int] = {}  # key to the number of the batch that served it last
        self._batches = 0
        self._condition = threading.Condition()
        self._stopping = False
        self._thread: threading.Thread | None = None
        self.batch_size = BatchSize()

    def put(self, key: str, item: Any, at_s: float | None = None) -> None:
        """Store the newest item of a key; ``at_s`` is its arrival on the steady clock, None = now."""
        with self._condition:
            if self._thread is None:
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

    def start(self) -> None:
        """Start the thread."""
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="newest_wins", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Finish the current batch, delete waiting items, and end the thread."""
        thread = self._thread
        if thread is None:
            return
        with self._condition:
            self._stopping = True
            self._waiting.clear()
            self._condition.notify()
        thread.join()
        with self._condition:
            self._thread = None
            self._waiting.clear()

    def _run(self) -> None:
        while True:
            with self._condition:
                self._condition.wait_for(lambda: self._waiting or self._stopping)
                if self._stopping:
                    return
                batch = self._next_batch()
            began_s = time.monotonic()
            try:
                self._serve(batch)
            except Exception as error:  # one bad batch must not end the node
                self._failed(error)
            self.batch_size.took(len(batch), time.monotonic() - began_s)
            del batch  # no image outlives its turn while the thread waits for the next

    def _next_batch(self) -> dict[str, Arrived]:
        """Remove and return the waiting items of the keys that were served longest ago."""
        first = sorted(self._waiting, key=lambda key: self._served.get(key, -1))
        chosen = first[: self.batch_size.next(len(first))]
        self._batches += 1
        self._served.update(dict.fromkeys(chosen, self._batches))
        return {key: self._waiting.pop(key) for key in chosen}
