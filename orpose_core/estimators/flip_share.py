"""Which images of a stream are answered with the flip test: as many as there is time for.

The flip test makes skeletons better and doubles the work of the network. A stream that brings more work than
its lanes can do loses images. :class:`FlipShare` therefore leaves the mirror image out where that saves an
image. It measures how many images arrive, and how long one takes with and without its mirror image. All times
are given to it, so that it does the same whenever it is told the same.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Collection, Mapping

AUTO, ALWAYS, NEVER = "auto", "always", "never"
FLIP_TESTS = (AUTO, ALWAYS, NEVER)
"""When images are answered with the flip test: while there is time for it, always, or never."""

BUSY = 0.9
"""Share of the lanes' time that is planned for work; the rest is for what nobody expects."""

REPORTED_S = 10.0
"""Span of time of :meth:`FlipShare.answered`, s."""

_WINDOW_S = 1.0  # measurements that count
_LEAST = 5  # measurements that count in any case
_STALE_S = 10.0  # measurements that never count
_COST_OF_MIRROR = 2.0  # with it, relative to without, until both are measured
_GOLDEN = 0.6180339887498949


class ArrivalRate:
    """How many images per second one camera sends, over about the last second."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, int]] = deque()  # time, s, and how many have come until then

    def add(self, at_s: float, count: int = 1) -> None:
        """Add images that came at a time, s."""
        last_s, before = self._seen[-1] if self._seen else (at_s, 0)
        self._seen.append((max(at_s, last_s), before + count))
        while len(self._seen) > 2 and self._seen[0][0] < at_s - _WINDOW_S:
            self._seen.popleft()

    def per_s(self, now_s: float) -> float:
        """Return the rate, images/s; 0 until a second image has come. It falls while none comes."""
        if len(self._seen) < 2:
            return 0.0
        (first_s, before), (last_s, after) = self._seen[0], self._seen[-1]
        count = after - before
        measured = count / (last_s - first_s) if last_s > first_s else math.inf
        now_s = max(now_s, last_s)
        return min(measured, (count + 1) / (now_s - first_s) if now_s > first_s else math.inf)


class ImageCost:
    """How long a lane takes for an image, over about the last second."""

    def __init__(self) -> None:
        self._batches: deque[tuple[float, float, int]] = deque()  # end, s; duration, s; images

    def add(self, at_s: float, seconds: float, images: int) -> None:
        """Add a batch that ended at ``at_s``."""
        self._batches.append((at_s, seconds, images))
        while len(self._batches) > _LEAST and self._batches[0][0] < at_s - _WINDOW_S:
            self._batches.popleft()

    def seconds(self, now_s: float) -> float | None:
        """Return the mean for one image, s; None = not measured of late."""
        late = [batch for batch in self._batches if batch[0] >= now_s - _STALE_S]
        return sum(batch[1] for batch in late) / sum(batch[2] for batch in late) if late else None


class FlipShare:
    """Chooses which images are answered with the flip test. It is not thread-safe.

    With ``mode`` "auto", as large a share of them is as keeps the lanes busy for :data:`BUSY` of the time.
    The share is the same for every camera and spread evenly over time, and cameras take turns. Moreover, an
    image is answered without its mirror image if a waiting image of another camera would otherwise still
    wait when the next image of that camera comes, which would take its place.

    Attributes:
        mode: one of :data:`FLIP_TESTS`; it may be set at any time.
    """

    def __init__(self, mode: str = AUTO) -> None:
        self.mode = mode
        self._rates: dict[str, ArrivalRate] = {}
        self._costs = {True: ImageCost(), False: ImageCost()}
        self._credits: dict[str, float] = {}  # by camera: flip tests that it is entitled to
        self._share = 1.0  # the last one that was aimed at
        self._answered: deque[tuple[float, bool, int]] = deque()

    def arrived(self, camera: str, at_s: float, count: int = 1) -> None:
        """Add images of a camera, also such as were lost on their way, that came at a time, s."""
        self._rates.setdefault(camera, ArrivalRate()).add(at_s, count)

    def choose(
        self, camera: str, images: int, waiting: Mapping[str, float], now_s: float, lanes: int = 1
    ) -> bool:
        """Return whether the next batch of a lane is answered with the flip test.

        Args:
            camera: the one whose image is the first of the batch.
            images: how many are in the batch if it is answered with the flip test.
            waiting: times, s, at which the images came that wait for a later batch, by camera.
            now_s: the time, s.
            lanes: how many batches are processed at the same time.
        """
        if self.mode != AUTO:
            return self.mode == ALWAYS
        self._share = self.share(now_s, lanes)
        entitled = self._credit(camera) + self._share >= 1.0
        return entitled and self._leaves_time(images, waiting, now_s, lanes)

    def share(self, now_s: float, lanes: int = 1) -> float:
        """Return the share of images, 0 to 1, for whose mirror images there is time."""
        costs = self._costs_s(now_s)
        per_s = sum(rate.per_s(now_s) for rate in self._rates.values())
        if costs is None or per_s <= 0.0:
            return 1.0
        with_s, without_s = costs
        time_s = BUSY * lanes / per_s  # for an image
        if with_s <= time_s:
            return 1.0
        return 0.0 if without_s >= time_s else (time_s - without_s) / (with_s - without_s)

    def took(self, cameras: Collection[str], flip_test: bool, seconds: float, now_s: float) -> None:
        """Add a batch that was answered: its cameras, and how long it took until now."""
        self._costs[flip_test].add(now_s, seconds, len(cameras))
        for camera in cameras:
            # What there was no time for is caught up on once, not later and later.
            credit = self._credit(camera) + self._share - flip_test
            self._credits[camera] = min(max(credit, -1.0), 1.0)
        self._answered.append((now_s, flip_test, len(cameras)))
        while self._answered[0][0] < now_s - REPORTED_S:
            self._answered.popleft()

    def answered(self, now_s: float) -> float | None:
        """Return the share of the latest images that were answered with the flip test; None = no images."""
        late = [
            (flip_test, images) for at_s, flip_test, images in self._answered if at_s >= now_s - REPORTED_S
        ]
        return (
            sum(flip_test * images for flip_test, images in late) / sum(n for _, n in late) if late else None
        )

    def _costs_s(self, now_s: float) -> tuple[float, float] | None:
        """Return the time for an image with and without its mirror, s; None = nothing is measured yet."""
        with_s, without_s = self._costs[True].seconds(now_s), self._costs[False].seconds(now_s)
        if with_s is not None:
            return with_s, with_s / _COST_OF_MIRROR if without_s is None else without_s
        return None if without_s is None else (_COST_OF_MIRROR * without_s, without_s)

    def _credit(self, camera: str) -> float:
        """Return the credit of a camera. Cameras start apart, so that they do not all do without at once."""
        return self._credits.setdefault(camera, len(self._credits) * _GOLDEN % 1.0)

    def _leaves_time(self, images: int, waiting: Mapping[str, float], now_s: float, lanes: int) -> bool:
        """Return whether the waiting images can begin, without theirs, before newer ones replace them."""
        costs = self._costs_s(now_s)
        if costs is None:
            return True
        with_s, without_s = costs
        rates = {camera: self._rates[camera].per_s(now_s) for camera in waiting if camera in self._rates}
        last_s = sorted(waiting[camera] + BUSY / per_s for camera, per_s in rates.items() if per_s > 0.0)
        begins_s = now_s + images * with_s / lanes
        return all(begins_s + k * without_s / lanes <= end_s for k, end_s in enumerate(last_s))
