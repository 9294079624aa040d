"""How many images are estimated in one batch, determined from the measured duration of batches."""

from __future__ import annotations

import math
from collections import deque

SLOWER = 1.5
"""Largest duration of a batch relative to that of a single image."""

_ALONE_EVERY = 30  # batches; the time of one image alone is measured again
_ALONE_KEPT = 5  # measurements of one image alone
_ALONE_FIRST = 3  # measurements before a larger batch is tried
_TRY_AGAIN = 200  # batches until a size that took too long is tried again
_TRY_AGAIN_AT_MOST = 20_000


class BatchSize:
    """The size of batches, determined from the measured duration of batches.

    If a batch takes hardly longer than one image (a GPU), its size grows by one while that is efficient. If
    the duration grows with the size (most CPUs), batches stay small: a larger size is tried again after twice
    as many batches each time, because everybody in such a batch is late.

    One image alone takes the shortest of the latest measured durations. A busy moment makes images slower,
    and must not make a large batch look efficient.
    """

    def __init__(self) -> None:
        self.limit = 1
        self._alone_s: deque[float] = deque(maxlen=_ALONE_KEPT)
        self._since_alone = 0  # batches
        self._too_large = math.inf  # the size that took too long last
        self._since_too_large = 0  # batches
        self._try_again = _TRY_AGAIN

    def next(self, waiting: int) -> int:
        """Return the size of the next batch, given the number of waiting images."""
        return 1 if self._since_alone >= _ALONE_EVERY else min(self.limit, waiting)

    def took(self, size: int, seconds: float) -> None:
        """Add the duration of a batch of this size."""
        self._since_alone += 1
        self._since_too_large += 1
        if size == 1:
            self._alone_s.append(seconds)
            self._since_alone = 0
        elif seconds > SLOWER * min(self._alone_s, default=math.inf):
            self._try_again = min(2 * self._try_again, _TRY_AGAIN_AT_MOST)
            self.limit, self._too_large, self._since_too_large = size - 1, size, 0
            return
        if size >= self._too_large:
            self._too_large, self._try_again = math.inf, _TRY_AGAIN  # times have changed
        may_grow = size + 1 < self._too_large or self._since_too_large >= self._try_again
        if size >= self.limit and may_grow and len(self._alone_s) >= _ALONE_FIRST:
            self.limit = size + 1
