"""A constant-velocity Kalman filter for each joint, with measurements as long as their covariances are.

State of a joint: place and velocity, (6,), m and m/s, driven by white acceleration (Bar-Shalom, Li,
Kirubarajan: "Estimation with Applications to Tracking and Navigation", 2001, Sect. 6.2.2).
"""

from __future__ import annotations

import numba
import numpy as np
from numpy.typing import NDArray

_GATE = 16.0  # squared deviations; a measurement farther off is believed less, so that it is this far


@numba.njit(cache=True)
def predict(mean: NDArray, covariance: NDArray, dt_s: float, acceleration: float) -> None:
    """Carry joints on by ``dt_s``, in place.

    Args:
        mean: float64 (n, 6); NaN = never seen, and stays so.
        covariance: float64 (n, 6, 6).
        dt_s: 0 or more.
        acceleration: density of the white acceleration, m/s^2 per root Hz.
    """
    q = acceleration * acceleration
    for j in range(len(mean)):
        if not np.isfinite(mean[j, 0]):
            continue
        p = covariance[j]
        for a in range(3):
            mean[j, a] += dt_s * mean[j, a + 3]
        for a in range(3):
            for b in range(6):
                p[a, b] += dt_s * p[a + 3, b]
        for a in range(3):
            for b in range(6):
                p[b, a] += dt_s * p[b, a + 3]
        for a in range(3):
            p[a, a] += q * dt_s**3 / 3
            p[a, a + 3] += q * dt_s**2 / 2
            p[a + 3, a] += q * dt_s**2 / 2
            p[a + 3, a + 3] += q * dt_s


@numba.njit(cache=True)
def correct(
    mean: NDArray, covariance: NDArray, measured: NDArray, measured_cov: NDArray, speed_m_s: float
) -> None:
    """Take measured joints, in place; a joint seen for the first time starts there, at rest.

    Args:
        mean: float64 (n, 6).
        covariance: float64 (n, 6, 6).
        measured: float64 (n, 3), m, NaN = not seen.
        measured_cov: float64 (n, 3, 3).
        speed_m_s: deviation of the velocity of a joint that is new.
    """
    gain = np.empty((6, 3))
    for j in range(len(mean)):
        if not np.isfinite(measured[j, 0]):
            continue
        p = covariance[j]
        if not np.isfinite(mean[j, 0]):
            mean[j, :3], mean[j, 3:], p[:] = measured[j], 0.0, 0.0
            p[:3, :3] = measured_cov[j]
            for a in range(3, 6):
                p[a, a] = speed_m_s * speed_m_s
            continue
        off = measured[j] - mean[j, :3]
        spread = p[:3, :3] + measured_cov[j]
        square = off @ np.linalg.solve(spread, off)
        if square > _GATE:
            spread = p[:3, :3] + measured_cov[j] * (square / _GATE)
        inverse = np.linalg.inv(spread)
        for a in range(6):
            for b in range(3):
                gain[a, b] = p[a, 0] * inverse[0, b] + p[a, 1] * inverse[1, b] + p[a, 2] * inverse[2, b]
        for a in range(6):
            mean[j, a] += gain[a, 0] * off[0] + gain[a, 1] * off[1] + gain[a, 2] * off[2]
        update = gain @ np.ascontiguousarray(p[:3, :])
        for a in range(6):
            for b in range(6):
                p[a, b] -= 0.5 * (update[a, b] + update[b, a])
