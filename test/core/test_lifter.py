"""The lifting network of Martinez et al. and the numbers that standardise its joints."""

from __future__ import annotations

import pytest
import torch

from orpose_core.models.lifter import Lifter, LiftingStatistics


def test_size_of_the_paper() -> None:
    """Two residual stages of 1024: 32 -> 1024, 4 x (1024 -> 1024), 1024 -> 48, with batch normalisation."""
    with torch.device("meta"):
        lifter = Lifter()
    linear = (32 * 1024 + 1024) + 4 * (1024 * 1024 + 1024) + (1024 * 48 + 48)
    assert sum(p.numel() for p in lifter.parameters()) == linear + 5 * 2 * 1024


def test_people_are_lifted_one_by_one() -> None:
    torch.manual_seed(0)
    lifter = Lifter(width=32).eval()
    x = torch.randn(5, 16, 2)
    together = lifter(x)
    assert together.shape == (5, 16, 3)
    torch.testing.assert_close(torch.cat([lifter(x[i : i + 1]) for i in range(5)]), together)
    assert lifter(x[:0]).shape == (0, 16, 3)


def test_a_stage_adds_to_its_input() -> None:
    lifter = Lifter(width=8).eval()
    for stage in lifter.stages:
        torch.nn.init.zeros_(stage.norm2.weight)
    x = torch.randn(3, 8)
    for stage in lifter.stages:
        assert torch.equal(stage(x), x)


def test_statistics_standardise_and_come_back() -> None:
    statistics = LiftingStatistics(image_hw=(480, 640))
    torch.manual_seed(1)
    mean_2d, std_2d, mean_3d, std_3d = (torch.rand(16, d) + 0.5 for d in (2, 2, 3, 3))
    statistics.set(mean_2d, std_2d, mean_3d, std_3d)
    xyz = torch.randn(4, 16, 3)
    torch.testing.assert_close(statistics.metres(statistics.standardise_3d(xyz)), xyz)
    torch.testing.assert_close(statistics.standardise_2d(mean_2d + std_2d), torch.ones(16, 2))
    assert set(statistics.state_dict()) == {"mean_2d", "std_2d", "mean_3d", "std_3d"}


def test_impossible_statistics_are_named() -> None:
    statistics = LiftingStatistics()
    two, three = torch.ones(16, 2), torch.ones(16, 3)
    with pytest.raises(ValueError, match="mean_3d: expected shape"):
        statistics.set(two, two, two, three)
    with pytest.raises(ValueError, match="std_2d"):
        statistics.set(two, two * 0, three, three)
