"""The worker behind the pose node: newest wins, in batches, and no failure ends it."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from typing import Any

from orpose_ros.newest_wins import Arrived, NewestWins


class Recorder:
    def __init__(self) -> None:
        self.batches: list[dict[str, Any]] = []
        self.dropped = 0
        self.errors: list[Exception] = []
        self.open = threading.Event()
        self.open.set()
        self.served = threading.Semaphore(0)
        self.worker = NewestWins(self._serve, self._drop, self.errors.append)

    def _serve(self, batch: Mapping[str, Arrived]) -> None:
        self.open.wait(5)
        self.batches.append({key: arrived.item for key, arrived in batch.items()})
        self.served.release()
        if any(arrived.item == "bad" for arrived in batch.values()):
            raise ValueError("bad item")

    def _drop(self) -> None:
        self.dropped += 1

    def wait(self) -> None:
        assert self.served.acquire(timeout=5)


def test_the_newest_takes_the_place_of_what_waits_and_drops_are_counted() -> None:
    recorder = Recorder()
    recorder.worker.start()
    recorder.open.clear()
    recorder.worker.put("a", 0)
    while recorder.worker._waiting:
        time.sleep(0.001)
    for i in range(1, 6):  # the worker is busy with 0
        recorder.worker.put("a", i)
    recorder.worker.put("b", 10)
    recorder.open.set()
    recorder.wait()
    recorder.wait()
    recorder.worker.stop()
    assert recorder.batches == [{"a": 0}, {"a": 5, "b": 10}]
    assert recorder.dropped == 4


def test_a_failure_is_told_and_the_worker_goes_on() -> None:
    recorder = Recorder()
    recorder.worker.start()
    for item in ("bad", "good"):
        recorder.worker.put("a", item)
        recorder.wait()
    recorder.worker.stop()
    assert [str(e) for e in recorder.errors] == ["bad item"]
    assert recorder.batches == [{"a": "bad"}, {"a": "good"}]


def test_stopped_it_keeps_nothing_and_starts_again() -> None:
    recorder = Recorder()
    recorder.worker.put("a", 1)  # not started
    assert not recorder.worker._waiting
    for i in range(2):
        recorder.worker.start()
        recorder.worker.put("a", i)
        recorder.wait()
        recorder.worker.stop()
        recorder.worker.stop()  # twice is harmless
        recorder.worker.put("a", 99)
    assert recorder.batches == [{"a": 0}, {"a": 1}]


def test_a_discarded_item_is_not_served() -> None:
    recorder = Recorder()
    recorder.worker.start()
    recorder.open.clear()
    recorder.worker.put("a", 0)
    while recorder.worker._waiting:
        time.sleep(0.001)
    recorder.worker.put("a", 1)
    recorder.worker.discard("a")
    recorder.worker.put("b", 2)
    recorder.open.set()
    recorder.wait()
    recorder.wait()
    recorder.worker.stop()
    assert recorder.batches == [{"a": 0}, {"b": 2}]
