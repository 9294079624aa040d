"""As many images with the flip test as there is time for: streams and costs whose times are only numbers."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import pytest

from orpose_core.estimators.flip_share import ALWAYS, NEVER, ArrivalRate, FlipShare, ImageCost


@dataclass
class Answers:
    """What became of the images of a simulated stream."""

    answered: list[tuple[float, str, bool]] = field(default_factory=list)  # when, whose, with the flip test
    latencies_s: list[float] = field(default_factory=list)
    dropped: list[tuple[float, str]] = field(default_factory=list)

    def flips(self, first_s: float, last_s: float, camera: str = "") -> float:
        """Return the share with the flip test of what was answered in a span of time."""
        return float(np.mean([f for t, c, f in self.answered if first_s <= t < last_s and camera in ("", c)]))

    def lost(self, first_s: float, last_s: float) -> int:
        return sum(first_s <= at_s < last_s for at_s, _ in self.dropped)


def stream(
    flips: FlipShare,
    arrivals: list[tuple[float, str]],
    cost_s: Callable[[float, bool], float],
    lanes: int = 1,
) -> Answers:
    """Serve images as the worker of pose_node does, one at a time in each lane, in simulated time."""
    waiting: dict[str, float] = {}
    served: dict[str, int] = {}
    answers, busy = Answers(), {}  # busy: camera to when its lane is free, when it began, with flip test
    events = [(at_s, 0, camera) for at_s, camera in arrivals]
    heapq.heapify(events)
    while events:
        now_s, ends, camera = heapq.heappop(events)
        if ends:
            began_s, came_s, flip_test = busy.pop(camera)
            flips.took([camera], flip_test, now_s - began_s, now_s)
            answers.answered.append((now_s, camera, flip_test))
            answers.latencies_s.append(now_s - came_s)
        else:
            flips.arrived(camera, now_s)
            if camera in waiting:
                answers.dropped.append((now_s, camera))
            waiting[camera] = now_s
        while len(busy) < lanes and (ready := [key for key in waiting if key not in busy]):
            first = min(ready, key=lambda key: served.get(key, -1))
            others = {key: at_s for key, at_s in waiting.items() if key != first}
            flip_test = flips.choose(first, 1, others, now_s, lanes)
            served[first] = len(answers.answered) + len(busy)
            busy[first] = now_s, waiting.pop(first), flip_test
            heapq.heappush(events, (now_s + cost_s(now_s, flip_test), 1, first))
    return answers


def cameras(
    count: int,
    rate_hz: float,
    seconds: float,
    *,
    apart: bool = False,
    jitter_s: float = 0.0,
    since_s: float = 0.0,
) -> list[tuple[float, str]]:
    """Return when the images of cameras come: all at the same moment, or one after another."""
    random = np.random.default_rng(5)
    return [
        (since_s + (k + c / count * apart) / rate_hz + random.uniform(0, jitter_s), f"camera_{c}")
        for k in range(round(seconds * rate_hz))
        for c in range(count)
    ]


def costs(without_s: float, with_s: float, noise: float = 0.0) -> Callable[[float, bool], float]:
    random = np.random.default_rng(9)
    return lambda now_s, flip_test: (with_s if flip_test else without_s) * (1 + noise * random.uniform(-1, 1))


@pytest.mark.parametrize("apart", [False, True])
def test_while_there_is_time_every_image_has_the_flip_test(apart: bool) -> None:
    answers = stream(FlipShare(), cameras(4, 10.0, 20, apart=apart), costs(0.011, 0.021, 0.05))
    assert answers.flips(0, 20) == 1.0 and not answers.dropped


@pytest.mark.parametrize("lanes", [1, 2])
@pytest.mark.parametrize(("apart", "jitter_s"), [(False, 0.0), (False, 0.01), (True, 0.01)])
@pytest.mark.parametrize(("without_s", "with_s"), [(0.014, 0.028), (0.021, 0.041)])
def test_where_there_is_too_little_time_for_all_none_is_dropped(
    without_s: float, with_s: float, apart: bool, jitter_s: float, lanes: int
) -> None:
    """Each lane is busy for 0.9 of the time, cameras share the flip tests, and no image is lost."""
    arrivals = cameras(4, 10.0, 20, apart=apart, jitter_s=jitter_s)
    cost_s = costs(lanes * without_s, lanes * with_s, 0.1)
    answers = stream(FlipShare(), arrivals, cost_s, lanes)
    always = FlipShare()
    always.mode = ALWAYS
    assert stream(always, arrivals, cost_s, lanes).lost(2, 20) > 20
    assert answers.lost(2, 20) == 0
    wanted = (0.9 / 40 - without_s) / (with_s - without_s)
    assert answers.flips(2, 20) == pytest.approx(wanted, abs=0.05)
    each = [answers.flips(2, 20, f"camera_{c}") for c in range(4)]
    assert max(each) - min(each) < 0.2
    assert np.percentile(answers.latencies_s, 99) < 0.15


@pytest.mark.parametrize(("without_s", "with_s"), [(0.014, 0.028), (0.018, 0.034), (0.021, 0.041)])
def test_the_start_costs_an_image_or_two(without_s: float, with_s: float) -> None:
    """Until a camera has sent a second image nothing is known of its rate; costs are measured by then."""
    answers = stream(FlipShare(), cameras(4, 10.0, 20, jitter_s=0.01), costs(without_s, with_s, 0.1))
    assert answers.lost(0, 1) <= 2 and answers.lost(1, 20) == 0


def test_the_share_does_not_oscillate() -> None:
    answers = stream(FlipShare(), cameras(4, 10.0, 30, jitter_s=0.01), costs(0.015, 0.029, 0.2))
    seconds = [answers.flips(t, t + 1) for t in range(3, 30)]
    assert max(seconds) - min(seconds) < 0.3


def test_a_flood_is_answered_without_the_flip_test_and_newest_wins() -> None:
    answers = stream(FlipShare(), cameras(4, 30.0, 20), costs(0.05, 0.1))
    assert answers.flips(1, 20) == 0.0
    assert len(answers.answered) == pytest.approx(20 / 0.05, abs=5), "the lane is always busy"


def test_the_share_follows_the_load_within_a_second_or_two() -> None:
    """Other programs slow everything down from second 10 to 20; from second 30 a second camera sends."""
    arrivals = cameras(1, 15.0, 40) + [(t, "late") for t, _ in cameras(1, 15.0, 10, since_s=30.0)]

    def cost_s(now_s: float, flip_test: bool) -> float:
        return (0.04 if flip_test else 0.021) * (1.6 if 10 <= now_s < 20 else 1.0)

    answers = stream(FlipShare(), arrivals, cost_s)
    assert answers.flips(1, 10) == 1.0 and answers.flips(21.5, 30) == 1.0
    assert answers.flips(12, 20) == pytest.approx((0.06 - 0.0336) / 0.0304, abs=0.06)
    assert answers.flips(32, 40) == pytest.approx((0.03 - 0.021) / 0.019, abs=0.06)
    assert answers.lost(0, 30) == 0 and answers.lost(31, 40) == 0


def test_one_slow_moment_costs_mirror_images_and_no_camera_its_image() -> None:
    """The lane stands still for 40 ms: what waits is answered without mirror images until it caught up."""
    still = iter([True])

    def cost_s(now_s: float, flip_test: bool) -> float:
        return (0.02 if flip_test else 0.01) + (0.04 if now_s > 5 and next(still, False) else 0)

    answers = stream(FlipShare(), cameras(4, 10.0, 20), cost_s)
    assert not answers.dropped
    assert answers.flips(0, 5) == 1.0 and answers.flips(5, 6.5) < 1.0 and answers.flips(7, 20) == 1.0


def test_where_the_mirror_image_costs_nothing_it_is_used_until_there_is_no_time_at_all() -> None:
    answers = stream(FlipShare(), cameras(4, 30.0, 10), costs(0.0070, 0.0071))
    assert answers.flips(1, 10) == 1.0 and not answers.dropped
    answers = stream(FlipShare(), cameras(4, 30.0, 10), costs(0.0100, 0.0101))
    assert answers.flips(1, 10) == 0.0


def test_always_and_never_mean_it() -> None:
    for mode, share in ((ALWAYS, 1.0), (NEVER, 0.0)):
        flips = FlipShare(mode)
        assert stream(flips, cameras(4, 30.0, 5), costs(0.05, 0.1)).flips(0, 5) == share
        assert flips.answered(5.0) == share
    flips = FlipShare()
    assert flips.answered(0.0) is None
    stream(flips, cameras(4, 30.0, 5), costs(0.05, 0.1))
    flips.mode = ALWAYS
    assert flips.choose("camera_0", 1, {"camera_1": 5.0}, 5.0)


def test_the_same_stream_gives_the_same_choices() -> None:
    once, again = (
        stream(FlipShare(), cameras(3, 15.0, 10, jitter_s=0.01), costs(0.015, 0.029, 0.2)).answered
        for _ in range(2)
    )
    assert once == again


def test_lost_images_are_work_too() -> None:
    """An executor that is starved sees every second image; the other ones are counted as missed."""
    flips = FlipShare()
    for k in range(20):
        flips.arrived("a", 0.2 * k, 2)
    flips.took(["a"], True, 0.1, 3.8)
    flips.took(["a"], False, 0.05, 3.8)
    assert flips.share(3.8) == pytest.approx((0.09 - 0.05) / 0.05, abs=0.01)


def test_a_rate_follows_its_camera() -> None:
    rate = ArrivalRate()
    assert rate.per_s(0.0) == 0.0
    rate.add(0.0)
    assert rate.per_s(0.1) == 0.0
    for k in range(1, 40):
        rate.add(0.1 * k)
    assert rate.per_s(3.95) == pytest.approx(10.0)
    assert rate.per_s(8.9) < 2.0, "it stopped"
    for k in range(3):
        rate.add(60.0 + k / 30)
    assert rate.per_s(60.0 + 2 / 30) == pytest.approx(30.0, rel=0.01), "it sends again"
    slow = ArrivalRate()
    for k in range(5):
        slow.add(4.0 * k)
    assert slow.per_s(16.0) == pytest.approx(0.25)
    at_once = ArrivalRate()
    at_once.add(1.0)
    at_once.add(1.0)
    assert np.isinf(at_once.per_s(1.0))


def test_a_cost_is_that_of_the_last_second() -> None:
    cost = ImageCost()
    assert cost.seconds(0.0) is None
    for k in range(100):
        cost.add(0.1 * k, 0.2 if k < 50 else 0.4, 2)
    assert cost.seconds(9.9) == pytest.approx(0.2)
    assert cost.seconds(25.0) is None
