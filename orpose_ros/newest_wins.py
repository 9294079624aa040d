"""A worker thread that always serves the newest, so that latency stays bounded under overload."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Arrived:
    """One item and when it came.

    Attributes:
        item: what was put.
        at_s: time of arrival on the steady clock.
    """

    item: Any
    at_s: float


class NewestWins:
    """Holds one item per key; a newer one takes the place of one that still waits, which is then dropped.

    A thread of its own hands all that waits to ``serve``, every key at once: a batch. An item therefore waits
    for at most one batch, however fast others arrive.
    """

    def __init__(
        self,
        serve: Callable[[Mapping[str, Arrived]], None],
        dropped: Callable[[], None],
        failed: Callable[[Exception], None],
    ) -> None:
        """Create the worker, not started.

        Args:
            serve: called in the worker's thread with what waits, by key.
            dropped: called for each item that was never served, in the thread that put its successor.
            failed: called where ``serve`` raised; the worker goes on.
        """
        self._serve, self._dropped, self._failed = serve, dropped, failed
        self._waiting: dict[str, Arrived] = {}
        self._condition = threading.Condition()
        self._stopping = False
        self._thread: threading.Thread | None = None

    def put(self, key: str, item: Any) -> None:
        """Store an item as the newest of its key."""
        with self._condition:
            if self._thread is None:
                return  # nobody will ever serve it: do not keep it
            replaced = key in self._waiting
            self._waiting[key] = Arrived(item, time.monotonic())
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
                batch, self._waiting = self._waiting, {}
            try:
                self._serve(batch)
            except Exception as error:  # one bad batch must not end the node
                self._failed(error)
            del batch  # no image outlives its turn while the thread waits for the next
