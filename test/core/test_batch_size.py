"""Batches are as large as is efficient, by what they took."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from orpose_core.estimators.batch_size import BatchSize


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
