"""The label node's queue: in order, bounded, and honest to whoever paces itself by it."""

from __future__ import annotations

import threading

import pytest

from orpose_ros.streams.backlog import Backlog, Request, Waiting


class Bench:
    """A queue and what it told."""

    def __init__(self, capacity: int = 8) -> None:
        self.accepted: list[tuple[str, int]] = []
        self.dropped: list[str] = []
        self.queue = Backlog(capacity, lambda *told: self.accepted.append(told), self.dropped.append)
        self.queue.open()

    def put(self, count: int, topic: str = "a") -> None:
        for k in range(count):
            self.queue.put(topic, k, f"{topic}{k}")

    def taken(self) -> list[Waiting]:
        self.queue.ask()
        return list(self.queue.until_asked([]))


def test_messages_of_all_topics_come_in_order_up_to_a_request() -> None:
    bench = Bench()
    bench.queue.put("a", 1, "x")
    bench.queue.put("b", 1, "y")
    answer = bench.queue.ask()
    bench.queue.put("a", 2, "z")
    asked: list[Request] = []
    assert [item.message for item in bench.queue.until_asked(asked)] == ["x", "y"]
    assert asked[0].answer is answer and not asked[0].last
    assert [item.message for item in bench.taken()] == ["z"] and bench.queue.waiting == 0


def test_the_oldest_of_a_full_topic_leaves_its_stamp() -> None:
    bench = Bench(4)
    bench.put(6)
    bench.put(2, "b")
    items = bench.taken()
    assert bench.dropped == ["a", "a"]
    assert [(item.stamp_ns, item.message) for item in items if item.topic == "a"] == [
        (0, None), (1, None), (2, "a2"), (3, "a3"), (4, "a4"), (5, "a5"),
    ]  # fmt: skip
    assert [item.message for item in items if item.topic == "b"] == ["b0", "b1"]


def test_messages_are_accepted_while_the_first_half_has_room_and_as_it_gets_some() -> None:
    bench = Bench(8)
    bench.put(6)
    assert bench.accepted == [("a", k) for k in range(4)]
    items = bench.queue.until_asked([])
    next(items)
    assert bench.accepted[4:] == [("a", 4)]
    next(items)
    assert bench.accepted[5:] == [("a", 5)]


def test_who_is_few_messages_ahead_of_what_is_accepted_never_has_one_let_go() -> None:
    bench, ahead, sent, count = Bench(8), 4, 0, 200
    got: list[int] = []
    asked: list[Request] = []
    taker = threading.Thread(
        target=lambda: got.extend(w.stamp_ns for w in bench.queue.until_asked(asked) if w.message)
    )
    taker.start()
    while sent < count:
        if sent - len(bench.accepted) < ahead:
            bench.queue.put("a", sent, str(sent))
            sent += 1
    bench.queue.ask(close=True)
    taker.join()
    assert got == list(range(count)) and not bench.dropped and asked[0].last


def test_a_message_that_waits_already_is_not_taken_twice() -> None:
    bench = Bench()
    bench.put(2)
    bench.put(2)
    assert [item.message for item in bench.taken()] == ["a0", "a1"]


def test_a_closed_queue_forgets_and_opens_again() -> None:
    bench = Bench()
    bench.queue.ask(close=True)
    bench.put(1)
    assert bench.queue.waiting == 0 and not bench.accepted
    assert list(bench.queue.until_asked([])) == []
    bench.queue.open()
    bench.put(1)
    assert len(bench.taken()) == 1
    with pytest.raises(ValueError, match="at least 2"):
        Bench(1)
