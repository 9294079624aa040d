"""What a standard deviation of a joint says: how many joints lie within how many of them.

Errors of joints have heavier tails than a normal distribution, because some joints are confused with
another limb or the other side. Of a calibrated network, the 95 % that are nearest to the truth follow
Student's t distribution with four degrees of freedom. ``sigma_px`` and ``sigma_m`` are standard deviations of
that law, along one axis. Along any axis 77 % of the errors are within one standard deviation, and 95 % within
two.

In the image both axes are alike. In space the axes are not: the error along the ray is that of depth, the
other two are those of the image, and ``sigma_m`` is the root mean square of the three. How far 68 % and 95 %
of the joints are then depends on the share of the variance that lies along the ray.

A vector of the law is a normal one divided by the root of an independent mean of four squared normal numbers
(Kotz, Nadarajah: "Multivariate t Distributions and Their Applications", 2004, Sect. 1.1). With an even number
of degrees of freedom the share within a radius has a closed form, see :func:`shares_within`.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq

from orpose_core.types import Float64Array

SHARES = (0.68, 0.95)
"""Shares of joints that are reported."""
FREEDOM = 4
"""Degrees of freedom of the law."""


def shares_within(radius: float, deviations: Float64Array) -> float:
    """Return the share of errors that are at most ``radius`` long.

    With ``v`` the squared scales of the axes and ``q = 4 / (2 radius^2)``, an error x = g / sqrt(c / 4) of a
    normal g and a chi-square c of four degrees of freedom is longer than the radius with the probability
    ``1 - E[exp(-q |g|^2) (1 + q |g|^2)]``, and ``E[exp(-q |g|^2)] = prod (1 + 2 q v)^(-1/2)``.

    Args:
        radius: > 0, in the unit of ``deviations``.
        deviations: float64 (axes,), standard deviations along the axes.
    """
    variances = (FREEDOM - 2) / FREEDOM * np.square(deviations)  # of the normal vector g
    q = FREEDOM / (2 * radius**2)
    spread = 1 + 2 * q * variances
    return float(np.prod(spread**-0.5) * (1 + (q * variances / spread).sum()))


def _radius(share: float, deviations: Float64Array) -> float:
    return float(brentq(lambda radius: shares_within(radius, deviations) - share, 0.05, 20.0))


RADII_PX = tuple(_radius(share, np.ones(2)) for share in SHARES)
"""Within them lie 68 % and 95 % of the joints in the image, in ``sigma_px``: 1.24 and 2.64."""


def share_within_px(sigmas: float) -> float:
    """Return the share of joints in the image whose error is at most this many ``sigma_px`` (more than 0)."""
    return shares_within(sigmas, np.ones(2))


def radii_m(along: Float64Array) -> Float64Array:
    """Return the radii within which 68 % and 95 % of the joints in space lie.

    Args:
        along: float64 (k,) in [0, 1], the share of the variance that lies along the ray, NaN = unknown; a
            third where all axes are alike.

    Returns:
        float64 (k, 2), in ``sigma_m``: 1.39 to 1.56 and 3.14 to 3.40; NaN where ``along`` is.
    """
    shares, radii = _radii_of_shapes()
    return np.stack([np.interp(along, shares, of_share) for of_share in radii.T], axis=-1)


@cache
def _radii_of_shapes() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return shares of the variance along the ray, and the two radii of each."""
    shares = np.linspace(0.0, 1.0, 41)
    axes = np.sqrt(3 * np.stack([(1 - shares) / 2, (1 - shares) / 2, shares], axis=-1))
    return shares, np.array([[_radius(share, own) for share in SHARES] for own in axes])
