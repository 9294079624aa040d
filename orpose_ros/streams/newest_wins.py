"""A worker thread that always serves the newest, so that latency stays bounded under overload."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

SLOWER = 1.5
"""A batch may take this many times as long as one item alone. An item may have waited for the next of its
kind before, and so is served within twice the time of a single one."""

_ALONE_EVERY = 100  # batches; the time of one item alone is measured anew


@dataclass(frozen=True)
class Arrived:
    """One item and when it came.

    Attributes:
        item: what was put.
        at_s: time of arrival on the steady clock.
    """

    item: Any
    at_s: float


class BatchSize:
    """How many items a batch may have, from the times that batches took.

    Where a batch costs hardly more than one item (a GPU), it grows by one while it pays; where its cost
    grows with its size (most processors), it stays small.
    """

    def __init__(self) -> None:
        self.limit = 1
        self._alone_s = 0.0  # how long one item alone takes; 0 = not measured yet
        self._too_large = 0  # a size that took too long; 0 = none
        self._batches = 0  # since one item alone was measured

    def next(self, waiting: int) -> int:
        """Return how many of the waiting items the next batch takes."""
        return 1 if self._batches >= _ALONE_EVERY else min(self.limit, waiting)

    def took(self, size: int, seconds: float) -> None:
        """Learn how long a batch of this size took."""
        self._batches += 1
        if size == 1:
            self._alone_s = (self._alone_s + seconds) / 2 if self._alone_s else seconds
            if self._batches > _ALONE_EVERY:
                self._batches = self._too_large = 0  # times change: larger batches may pay now
        elif seconds > SLOWER * self._alone_s:
            self.limit, self._too_large = size - 1, size
            return
        if size >= self.limit and size + 1 != self._too_large:
            self.limit = size + 1


class NewestWins:
    """Holds one item per key; a newer one takes the place of one that still waits, which is then dropped.

    A thread of its own hands what waits to ``serve`` in batches whose size follows from the time they take
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
            serve: called in the worker's thread with a batch, by key.
            dropped: called for each item that was never served, in the thread that put its successor.
            failed: called where ``serve`` raised; the worker goes on.
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
        """Store an item as the newest of its key; it came at ``at_s`` of the steady clock, None = now."""
        with self._condition:
            if self._thread is None:
                return  # nobody will ever serve it: do not keep it
            replaced = key in self._waiting
            self._waiting[key] = Arrived(item, time.monotonic() if at_s is None else at_s)
            self._condition.notify()
        if replaced:
            self._dropped()

    def discard(self, key: str) -> None:
        """Forget what waits under a key."""
        with self._condition:
            self._waiting.pop(key, None)

    def start(self) -> None:
        """Start the thread."""
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="newest_wins", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Let the batch at hand finish, forget what waits, and end the thread."""
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
        """Take the items of the keys that were served longest ago out of what waits."""
        first = sorted(self._waiting, key=lambda key: self._served.get(key, -1))
        chosen = first[: self.batch_size.next(len(first))]
        self._batches += 1
        self._served.update(dict.fromkeys(chosen, self._batches))
        return {key: self._waiting.pop(key) for key in chosen}
