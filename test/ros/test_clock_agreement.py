"""Clocks of cameras that do not agree, and what looks like it and is none."""

from __future__ import annotations

import pytest

from orpose_ros.streams import clock_agreement
from orpose_ros.streams.clock_agreement import ClockAgreement

S = 1_000_000_000


class Clock:
    """Time that passes when it is told to."""

    now_s = 1000.0

    def monotonic(self) -> float:
        return self.now_s


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(clock_agreement, "time", made)
    return made


def play(
    clock: Clock, agreement: ClockAgreement, behind_s: float, speed: float = 1.0, count: int = 60
) -> None:
    """Let two cameras send at 10 Hz; the messages of the second have 20 to 60 ms of latency."""
    begin_s = clock.now_s
    for k in range(count):
        stamp_s = 5000.0 + begin_s + k * 0.1 * speed
        clock.now_s = begin_s + 0.1 * k
        agreement.saw("left", int(stamp_s * S))
        clock.now_s += 0.02 + 0.04 * (k % 2)
        agreement.saw("right", int((stamp_s - behind_s) * S))


def test_a_difference_is_named_with_its_size(clock: Clock) -> None:
    agreement = ClockAgreement(0.12, 5.0)
    play(clock, agreement, 0.3, count=9)
    assert agreement.problem == "", "too little is known"
    play(clock, agreement, 0.3)
    assert agreement.problem.startswith("the stamps of right are 0.3 s behind those of left")
    clock.now_s += 6
    assert agreement.problem == "", "silent cameras are not compared"
    agreement.clear()
    play(clock, agreement, -3600.0)
    assert agreement.problem.startswith("the stamps of left are 3600.0 s behind those of right")


@pytest.mark.parametrize("speed", [0.2, 1.0, 5.0, 100.0])
def test_latency_and_the_speed_of_a_recording_are_no_difference(clock: Clock, speed: float) -> None:
    agreement = ClockAgreement(0.12, 5.0)
    play(clock, agreement, 0.0, speed)
    assert agreement.problem == ""


def test_a_recording_that_starts_again_is_no_difference(clock: Clock) -> None:
    agreement = ClockAgreement(0.12, 5.0)
    play(clock, agreement, 0.0)
    for _ in range(12):
        clock.now_s += 0.1
        for camera in ("left", "right"):
            agreement.saw(camera, int((clock.now_s - 900.0) * S))
    assert agreement.problem == ""
