"""Pairing by stamp: the same tests for the built-in pairing and, where it is installed, message_filters."""

from __future__ import annotations

import random

import pytest
from builtin_interfaces.msg import Time
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from orpose_ros.streams.pairing import (
    BuiltInPairing,
    MessageFiltersPairing,
    make_pairing,
    message_filters_there,
)

MS = 1_000_000


def message(stamp_ms: float) -> Image:
    ns = round(stamp_ms * MS)
    return Image(header=Header(stamp=Time(sec=ns // 10**9, nanosec=ns % 10**9)))


def ms(image: Image) -> float:
    return image.header.stamp.sec * 1e3 + image.header.stamp.nanosec / MS


@pytest.fixture(params=[BuiltInPairing, MessageFiltersPairing])
def kind(request):
    if request.param is MessageFiltersPairing and not message_filters_there():
        pytest.skip("message_filters is not installed here")
    return request.param


class Paired:
    def __init__(self, kind, streams=("color", "depth"), **options):
        self.sets: list[dict] = []
        self.jumps = 0
        self.pairing = kind(streams, self.sets.append, jumped_back=self._jump, **options)

    def _jump(self) -> None:
        self.jumps += 1

    def add(self, stream: str, *stamps_ms: float) -> None:
        for stamp_ms in stamps_ms:
            self.pairing.add(stream, message(stamp_ms))

    @property
    def stamps(self) -> list[tuple[float, ...]]:
        return [tuple(ms(found[s]) for s in sorted(found)) for found in self.sets]


def test_a_set_is_handed_on_once_all_are_there(kind):
    paired = Paired(kind, ("color", "depth", "infra"), slop_s=0.02)
    paired.add("color", 1000)
    paired.add("infra", 1005)
    assert not paired.sets
    paired.add("depth", 1010)
    assert paired.stamps == [(1000, 1010, 1005)]
    assert paired.pairing.unpaired == 0 and paired.pairing.problem == ""


def test_the_slop_is_inclusive_and_no_wider(kind):
    paired = Paired(kind, slop_s=0.02)
    paired.add("color", 1000, 2000)
    paired.add("depth", 1020.001)
    assert not paired.sets
    paired.add("depth", 2020)
    assert paired.stamps == [(2000, 2020)]


def test_one_stream_alone_passes(kind):
    paired = Paired(kind, ("depth",), slop_s=0.0)
    paired.add("depth", 1000, 1033, 1066)
    assert paired.stamps == [(1000,), (1033,), (1066,)]


def test_each_message_is_used_once_whatever_the_order_of_arrival(kind):
    arrivals = [
        (s, 1000 + 33.0 * i + (4 if s == "depth" else 0)) for i in range(50) for s in ("color", "depth")
    ]
    dice = random.Random(3)
    late = sorted(enumerate(arrivals), key=lambda item: item[0] + dice.uniform(0, 6))
    paired = Paired(kind, slop_s=0.01)
    for _, (stream, stamp_ms) in late:
        paired.add(stream, stamp_ms)
    assert len(set(paired.stamps)) == len(paired.stamps)
    assert all(depth - color == 4 for color, depth in paired.stamps)
    assert len(paired.stamps) > 35


def test_streams_of_different_rates(kind):
    paired = Paired(kind, slop_s=0.005)
    for i in range(30):
        paired.add("color", 1000 + 33 * i)
        if i % 3 == 0:
            paired.add("depth", 1000 + 33 * i + 2)
    assert paired.stamps == [(1000 + 99 * i, 1002 + 99 * i) for i in range(10)]


def test_queues_stay_bounded_and_a_stream_that_stays_away_holds_up_nothing_later(kind):
    paired = Paired(kind, queue_size=5)
    paired.add("color", *range(1000, 11000, 10))
    paired.add("depth", 1000, 10990)
    assert paired.stamps == [(10990, 10990)], "only the newest may still wait"


def test_time_jumping_back_begins_anew(kind):
    paired = Paired(kind, queue_size=5)
    paired.add("color", *(100_000 + 33 * i for i in range(20)))  # they wait, from the time before
    for i in range(20):
        paired.add("color", 5000 + 33 * i)
        paired.add("depth", 5000 + 33 * i)
    assert paired.stamps == [(5000 + 33 * i,) * 2 for i in range(20)]
    assert paired.jumps == 1


def test_a_little_disorder_is_no_jump(kind):
    paired = Paired(kind)
    paired.add("color", 1000, 1100, 1050)
    paired.add("depth", 1050)
    assert paired.stamps == [(1050, 1050)] and paired.jumps == 0


def test_streams_whose_clocks_differ_are_named(kind):
    paired = Paired(kind)
    for i in range(10):
        paired.add("color", 1000 + 33 * i)
        paired.add("depth", 4000 + 33 * i)
    assert not paired.sets
    assert paired.pairing.problem.startswith(
        "color and depth arrive but do not pair: their newest stamps are 3.000 s"
    )


def test_a_callback_that_raises_stops_nothing(kind):
    seen = []

    def refuse(found):
        seen.append(found)
        raise ValueError("no")

    pairing = kind(("depth",), refuse)
    for _ in range(2):
        with pytest.raises(ValueError, match="no"):
            pairing.add("depth", message(1000))
    assert len(seen) == 2


def test_wrong_use_is_refused():
    with pytest.raises(ValueError, match="different names"):
        make_pairing(("a", "a"), print)
    with pytest.raises(ValueError, match="slop"):
        make_pairing(("a",), print, slop_s=-1.0)
    with pytest.raises(ValueError, match="'c'"):
        make_pairing(("a", "b"), print).add("c", message(0))
