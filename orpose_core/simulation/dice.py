"""Random numbers whose values do not depend on the machine."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import numpy as np

Choice = TypeVar("Choice")
_BLOCK = 256


class Dice:
    """A stream of random numbers that is a function of its key alone.

    Only ``Generator.random`` is asked (integer arithmetic and one exact multiplication); what is made of its
    numbers here uses exactly rounded operations.
    """

    def __init__(self, *key: int) -> None:
        self.generator = np.random.Generator(np.random.PCG64(list(key)))
        self._values: list[float] = []

    def roll(self) -> float:
        """Return a number in [0, 1)."""
        if not self._values:
            self._values = self.generator.random(_BLOCK).tolist()
        return self._values.pop()

    def between(self, low: float, high: float) -> float:
        """Return a number in [low, high)."""
        return low + (high - low) * self.roll()

    def near(self, mean: float, deviation: float) -> float:
        """Return a number with this mean and standard deviation, bell-shaped, never beyond 3 deviations."""
        return mean + 2.0 * deviation * (self.roll() + self.roll() + self.roll() - 1.5)

    def chance(self, probability: float) -> bool:
        """Return True with this probability."""
        return self.roll() < probability

    def below(self, count: int) -> int:
        """Return an integer in [0, count)."""
        return min(int(self.roll() * count), count - 1)

    def pick(self, weights: dict[str, float]) -> str:
        """Return one of the names, with a probability in proportion to its weight."""
        left = self.roll() * sum(weights.values())
        for name, weight in weights.items():
            left -= weight
            if left < 0.0:
                return name
        return name

    def one_of(self, values: Sequence[Choice]) -> Choice:
        """Return one of the values."""
        return values[self.below(len(values))]

    def seed(self) -> int:
        """Return a number to key another stream with."""
        return int(self.roll() * 4294967296.0)
