"""The worker behind the pose node: newest wins, in batches, and no failure ends it."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from typing import Any

from orpose_ros.streams.newest_wins import Arrived, NewestWins


class Recorder:
    def __init__(self) -> None:
        self.batches: list[dict[str, Any]] = []
        self.flip_tests: list[bool] = []
        self.dropped = 0
        self.errors: list[Exception] = []
        self.open = threading.Event()
        self.open.set()
        self.served = threading.Semaphore(0)
        self.worker = NewestWins(self._serve, self._drop, self.errors.append)
        self.worker.flips.mode = "always"

    def _serve(self, batch: Mapping[str, Arrived], flip_test: bool) -> int:
        self.open.wait(60)
        self.flip_tests.append(flip_test)
        self.batches.append({key: arrived.item for key, arrived in batch.items()})
        self.served.release()
        if any(arrived.item == "bad" for arrived in batch.values()):
            raise ValueError("bad item")
        return len(batch)

    def _drop(self) -> None:
        self.dropped += 1

    def wait(self) -> None:
        assert self.served.acquire(timeout=60)


def test_the_newest_takes_the_place_of_what_waits_and_drops_are_counted() -> None:
    recorder = Recorder()
    recorder.worker.batch_sizes[True].limit = 2
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


def test_each_lane_serves_a_key_at_the_same_time_as_the_others() -> None:
    together = threading.Barrier(3)
    errors: list[Exception] = []

    def serve(batch: Mapping[str, Arrived], flip_test: bool) -> int:
        together.wait(60)
        return len(batch)

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

    def serve(batch: Mapping[str, Arrived], flip_test: bool) -> int:
        for key, arrived in batch.items():
            assert busy[key].acquire(blocking=False), "two lanes have the same key"
            time.sleep(0.0005 * (arrived.item % 3))
            served[key].append(arrived.item)
            busy[key].release()
        return len(batch)

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
    recorder.worker.batch_sizes[True].next = lambda waiting: waiting
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
    recorder.worker.batch_sizes[True].next = lambda waiting: 1
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


def test_time_without_work_is_no_measure() -> None:
    """A batch whose items were all refused at once says nothing of what an item costs."""
    served = iter([1, 0, 1])
    done = threading.Semaphore(0)
    worker = NewestWins(lambda batch, flip_test: next(served), lambda: None, lambda error: None)
    took: list[int] = []
    worker.batch_sizes[True].took = lambda size, seconds: (took.append(size), done.release())
    worker.start()
    for _ in range(3):
        worker.put("a", 0)
        while worker._waiting or worker._in_work:
            time.sleep(0.001)
    worker.stop()
    assert took == [1, 1]


def test_a_mode_may_change_while_it_works_and_what_was_done_is_told() -> None:
    recorder = Recorder()
    assert recorder.worker.flip_share() is None
    recorder.worker.start()
    for mode in ("always", "never", "always", "auto"):
        recorder.worker.flips.mode = mode
        recorder.worker.put("a", 0)
        recorder.wait()
    recorder.worker.stop()
    assert recorder.flip_tests == [True, False, True, True], (
        "one image now and then leaves time for its mirror"
    )
    assert recorder.worker.flip_share() == 0.75


def test_too_many_images_are_served_without_the_flip_test() -> None:
    """Also those count that were lost before they came."""
    flip_tests: list[bool] = []

    def serve(batch: Mapping[str, Arrived], flip_test: bool) -> int:
        time.sleep(0.02 if flip_test else 0.01)
        flip_tests.append(flip_test)
        return len(batch)

    worker = NewestWins(serve, lambda: None, lambda error: None)
    worker.start()
    end_s = time.monotonic() + 60
    while flip_tests[-20:] != [False] * 20 and time.monotonic() < end_s:
        worker.put("a", 0)
        worker.missed("a", 9)
        time.sleep(0.001)
    worker.stop()
    assert flip_tests[0] and flip_tests[-20:] == [False] * 20
