"""The law of joints' errors: its radii are those of random errors, and of the distributions in the tables."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import f, t

from orpose_core.metrics.sigma_law import FREEDOM, RADII_PX, SHARES, radii_m, share_within_px, shares_within

SCALE = np.sqrt((FREEDOM - 2) / FREEDOM)  # of the distribution whose standard deviation is 1


def errors(rng: np.random.Generator, deviations: np.ndarray) -> np.ndarray:
    """Return random errors of the law, (k, axes), each with its own deviations."""
    normal = rng.normal(size=deviations.shape) * deviations * SCALE
    return normal / np.sqrt(rng.chisquare(FREEDOM, len(normal)) / FREEDOM)[:, None]


def test_along_one_axis_and_where_all_are_alike_they_are_those_of_student_and_fisher() -> None:
    for radius in (0.3, 1.0, 2.0, 5.0):
        one = 1 - 2 * t.sf(radius / SCALE, FREEDOM)
        assert shares_within(radius, np.ones(1)) == pytest.approx(one)
        for axes in (2, 3):
            alike = f.cdf((radius / SCALE) ** 2 / axes, axes, FREEDOM)
            assert shares_within(radius, np.ones(axes)) == pytest.approx(alike)
            assert shares_within(2 * radius, 2 * np.ones(axes)) == pytest.approx(alike)
    np.testing.assert_allclose(SCALE * np.sqrt(2 * f.ppf(SHARES, 2, FREEDOM)), RADII_PX)
    assert [share_within_px(radius) for radius in RADII_PX] == pytest.approx(SHARES)


def test_the_radii_in_space_are_those_of_the_shape() -> None:
    """Where depth alone is uncertain they are those of one axis; where the axes are alike, of three."""
    alike = SCALE * np.sqrt(3 * f.ppf(SHARES, 3, FREEDOM))
    alone = np.sqrt(3) * SCALE * t.ppf((1 + np.array(SHARES)) / 2, FREEDOM)
    np.testing.assert_allclose(radii_m(np.array([1 / 3, 1.0])), [alike, alone], rtol=3e-3)
    assert np.isnan(radii_m(np.array([np.nan]))).all() and radii_m(np.zeros(0)).shape == (0, 2)
    rng = np.random.default_rng(0)
    across = np.exp(rng.uniform(-4, 1, 40_000))  # beside a deviation of 1 along the ray
    deviations = np.stack([across, across, np.ones(40_000)], axis=1)
    variance = 2 * across**2 + 1
    relative = np.linalg.norm(errors(rng, deviations), axis=1) / np.sqrt(variance / 3)
    inside = (relative[:, None] <= radii_m(1 / variance)).mean(axis=0)
    np.testing.assert_allclose(inside, SHARES, atol=0.008)
