"""The worker behind the pose node: newest wins, in batches, and no failure ends it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from orpose_ros.streams.newest_wins import Arrived, BatchSize, NewestWins


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
        self.open.wait(60)
        self.batches.append({key: arrived.item for key, arrived in batch.items()})
        self.served.release()
        if any(arrived.item == "bad" for arrived in batch.values()):
            raise ValueError("bad item")

    def _drop(self) -> None:
        self.dropped += 1

    def wait(self) -> None:
        assert self.served.acquire(timeout=60)


def test_the_newest_takes_the_place_of_what_waits_and_drops_are_counted() -> None:
    recorder = Recorder()
    recorder.worker.batch_size.limit = 2
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


def batches_of(cost: Callable[[int], float], rounds: int, waiting: int = 4) -> list[int]:
    """Return the sizes of batches whose times follow from their sizes alone."""
    sizes, chosen = [], BatchSize()
    for _ in range(rounds):
        sizes.append(chosen.next(waiting))
        chosen.took(sizes[-1], cost(sizes[-1]))
    return sizes


def test_batches_stay_single_where_their_cost_grows_with_their_size() -> None:
    sizes = batches_of(lambda n: 0.1 * n, 3000)
    assert sizes[:5] == [1, 1, 1, 2, 1]
    assert max(sizes) == 2
    assert sum(size > 1 for size in sizes) <= 4, "fewer than one item in a hundred is late for a trial"
    assert sum(size > 1 for size in sizes[100:]) >= 2, "but a larger batch is tried again"


def test_batches_hold_everybody_where_that_costs_hardly_more() -> None:
    sizes = batches_of(lambda n: 0.1 + 0.005 * n, 300)
    assert sizes[:7] == [1, 1, 1, 2, 3, 4, 4]
    assert sizes.count(1) <= 12, "one alone is measured now and then"


def test_batches_shrink_where_the_machine_becomes_busy_and_grow_again() -> None:
    chosen = BatchSize()
    for size in (1, 1, 1, 2, 3):
        chosen.took(size, 0.1)
    assert chosen.limit == 4
    chosen.took(4, 1.0)
    assert chosen.limit == 3
    sizes = []
    for _ in range(500):
        sizes.append(chosen.next(4))
        chosen.took(sizes[-1], 0.1)
    assert sizes[-1] == 4


@pytest.mark.parametrize(
    "slow", [{0}, {0, 1}, {40}, set(range(1, 1000, 7))], ids=["first", "first two", "one", "often"]
)
def test_a_busy_moment_does_not_make_a_large_batch_look_efficient(slow: set[int]) -> None:
    """Single items that took three times as long are no measure of what one item takes."""
    sizes, chosen = [], BatchSize()
    for k in range(1000):
        sizes.append(chosen.next(4))
        chosen.took(sizes[-1], 0.1 * sizes[-1] * (3 if k in slow and sizes[-1] == 1 else 1))
    assert max(sizes) == 2 and sizes.count(2) <= 3


def test_each_lane_serves_a_key_at_the_same_time_as_the_others() -> None:
    together = threading.Barrier(3)
    errors: list[Exception] = []

    def serve(batch: Mapping[str, Arrived]) -> None:
        together.wait(60)

    worker = NewestWins(serve, lambda: None, errors.append)
    worker.start(lanes=2)
    for key in "ab":
        worker.put(key, 0)
    together.wait(60)  # neither lane ends before the other has begun
    worker.stop()
    assert not errors


def test_with_several_lanes_each_key_is_served_in_order_and_every_item_counts() -> None:
    served: dict[str, list[int]] = {key: [] for key in "abc"}
    busy: dict[str, threading.Lock] = {key: threading.Lock() for key in served}
    dropped, errors = [], []

    def serve(batch: Mapping[str, Arrived]) -> None:
        for key, arrived in batch.items():
            assert busy[key].acquire(blocking=False), "two lanes have the same key"
            time.sleep(0.0005 * (arrived.item % 3))
            served[key].append(arrived.item)
            busy[key].release()

    worker = NewestWins(serve, lambda: dropped.append(1), errors.append)
    worker.start(lanes=3)
    for i in range(200):
        for key in served:
            worker.put(key, i)
        time.sleep(0.0004 * (i % 2))
    end_s = time.monotonic() + 60
    while any(items[-1:] != [199] for items in served.values()) and time.monotonic() < end_s:
        time.sleep(0.001)
    worker.stop()
    assert not errors
    assert all(items == sorted(set(items)) and items[-1] == 199 for items in served.values())
    assert sum(map(len, served.values())) + len(dropped) == 3 * 200


def test_lanes_share_what_waits() -> None:
    recorder = Recorder()
    recorder.worker.batch_size.next = lambda waiting: waiting
    recorder.open.clear()
    recorder.worker.start(lanes=2)
    for key in "xy":  # both lanes are busy
        recorder.worker.put(key, 0)
        while recorder.worker._waiting:
            time.sleep(0.001)
    for key in "abcd":
        recorder.worker.put(key, 1)
    recorder.open.set()
    for _ in range(5):
        recorder.wait()
    recorder.worker.stop()
    assert {"a": 1, "b": 1} in recorder.batches, "the first lane leaves half for the other"
    assert sorted(map(len, recorder.batches)) == [1, 1, 1, 1, 2]


def test_who_was_served_longest_ago_comes_first() -> None:
    recorder = Recorder()
    recorder.worker.batch_size.next = lambda waiting: 1
    recorder.worker.start()
    recorder.open.clear()
    recorder.worker.put("a", 0)
    while recorder.worker._waiting:
        time.sleep(0.001)
    for i in range(1, 4):  # "a" comes most often, and waits all the same
        for key in ("a", "b", "c"):
            recorder.worker.put(key, i)
    recorder.open.set()
    for _ in range(4):
        recorder.wait()
    recorder.worker.stop()
    assert recorder.batches == [{"a": 0}, {"b": 3}, {"c": 3}, {"a": 3}]
