"""Worker threads that process only the newest items, so that latency stays bounded under overload."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from orpose_core.estimators.batch_size import BatchSize
from orpose_core.estimators.flip_share import FlipShare


@dataclass(frozen=True)
class Arrived:
    """An item and its time of arrival.

    Attributes:
        item: the item.
        at_s: time of arrival, s of the steady clock.
    """

    item: Any
    at_s: float


class NewestWins:
    """Keeps one item per key; a newer item replaces a waiting one, which is dropped.

    Threads of its own, one per lane, pass waiting items to ``serve`` in batches; the key that was served
    longest ago comes first. A key is never in two lanes at the same time, so its items are served in the
    order in which they came. Whether a batch is served with the flip test, and how large it is, depends on
    how long earlier ones took (:class:`~orpose_core.estimators.flip_share.FlipShare`,
    :class:`~orpose_core.estimators.batch_size.BatchSize`).

    Attributes:
        flips: decides on the flip test; only its mode may be changed from outside.
        batch_sizes: with the flip test (True) and without (False).
    """

    def __init__(
        self,
        serve: Callable[[Mapping[str, Arrived], bool], int],
        dropped: Callable[[], None],
        failed: Callable[[Exception], None],
    ) -> None:
        """Create the worker, not started.

        Args:
            serve: called in the thread of a lane with a batch of items by key, and whether to use the flip
                test. It returns how many items it served; the time of a batch counts only if it served all.
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
        self.flips = FlipShare()
        self.batch_sizes = {True: BatchSize(), False: BatchSize()}

    def put(self, key: str, item: Any, at_s: float | None = None) -> None:
        """Store the newest item of a key; ``at_s`` is its arrival on the steady clock, None = now."""
        with self._condition:
            if not self._threads:
                return  # nobody will ever serve it: do not keep it
            replaced = key in self._waiting
            arrived = Arrived(item, time.monotonic() if at_s is None else at_s)
            self._waiting[key] = arrived
            self.flips.arrived(key, arrived.at_s)
            self._condition.notify()
        if replaced:
            self._dropped()

    def missed(self, key: str, count: int) -> None:
        """Count items of a key that were sent but never came; they are work, too."""
        with self._condition:
            self.flips.arrived(key, time.monotonic(), count)

    def flip_share(self) -> float | None:
        """Return the share of the items of the last 10 s that were served with the flip test; None = none."""
        with self._condition:
            return self.flips.answered(time.monotonic())

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
                batch, flip_test = self._next_batch()
            began_s, served = time.monotonic(), 0
            try:
                served = self._serve(batch, flip_test)
            except Exception as error:  # one bad batch must not end the node
                self._failed(error)
            ended_s = time.monotonic()
            with self._condition:
                if served == len(batch):
                    self.batch_sizes[flip_test].took(served, ended_s - began_s)
                    self.flips.took(batch.keys(), flip_test, ended_s - began_s, ended_s)
                self._in_work.difference_update(batch)
                self._condition.notify_all()  # newer items of these keys can be served now
            del batch  # no image outlives its turn while the thread waits for the next

    def _ready(self) -> list[str]:
        """Return the keys with a waiting item that no lane is busy with."""
        return [key for key in self._waiting if key not in self._in_work]

    def _next_batch(self) -> tuple[dict[str, Arrived], bool]:
        """Remove and return one lane's share of the ready items, and whether they get the flip test.

        Those come first that were served longest ago.
        """
        first, lanes = sorted(self._ready(), key=lambda key: self._served.get(key, -1)), len(self._threads)
        share = math.ceil(len(first) / lanes)
        chosen = first[: self.batch_sizes[True].next(share)]
        others = {key: item.at_s for key, item in self._waiting.items() if key not in chosen}
        flip_test = self.flips.choose(first[0], len(chosen), others, time.monotonic(), lanes)
        if not flip_test:
            chosen = first[: self.batch_sizes[False].next(share)]
        self._batches += 1
        self._in_work.update(chosen)
        self._served.update(dict.fromkeys(chosen, self._batches))
        return {key: self._waiting.pop(key) for key in chosen}, flip_test
