"""A constant-velocity Kalman filter for each joint, with measurements as long as their covariances are.

State of a joint: place and velocity, (6,), m and m/s, driven by white acceleration (Bar-Shalom, Li,
Kirubarajan: "Estimation with Applications to Tracking and Navigation", 2001, Sect. 6.2.2).
"""

from __future__ import annotations

import math

import numba
import numpy as np
from numpy.typing import NDArray

from orpose_core.fusion.solver import invert

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
    gain, inverse, update = np.empty((6, 3)), np.empty((3, 3)), np.empty((6, 6))
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
        invert(p[:3, :3] + measured_cov[j], inverse)
        square = 0.0
        for a in range(3):
            for b in range(3):
                square += off[a] * inverse[a, b] * off[b]
        if square > _GATE:
            invert(p[:3, :3] + measured_cov[j] * (square / _GATE), inverse)
        for a in range(6):
            for b in range(3):
                gain[a, b] = p[a, 0] * inverse[0, b] + p[a, 1] * inverse[1, b] + p[a, 2] * inverse[2, b]
        for a in range(6):
            mean[j, a] += gain[a, 0] * off[0] + gain[a, 1] * off[1] + gain[a, 2] * off[2]
        for a in range(6):
            for b in range(6):
                update[a, b] = gain[a, 0] * p[0, b] + gain[a, 1] * p[1, b] + gain[a, 2] * p[2, b]
        for a in range(6):
            for b in range(6):
                p[a, b] -= 0.5 * (update[a, b] + update[b, a])


@numba.njit(cache=True)
def expect(
    mean: NDArray, covariance: NDArray, steady: NDArray, joints: NDArray, spread_m: NDArray,
    velocity_m_s: NDArray,
) -> None:  # fmt: skip
    """Write how sure the joints are, and how the whole person moves.

    Args:
        mean: float64 (n, 6).
        covariance: float64 (n, 6, 6).
        steady: float64 (n, 3, 3), which adds to the covariance of the places.
        joints: int64 (k,), the mean of whose velocities is the person's.
        spread_m: float64 (n,), written: deviation along one axis, m; 0 = never seen.
        velocity_m_s: float64 (3,), written; 0 = unknown.
    """
    velocity_m_s[:], count = 0.0, 0
    for j in joints:
        if np.isfinite(mean[j]).all():
            velocity_m_s += mean[j, 3:]
            count += 1
    velocity_m_s /= max(count, 1)
    for j in range(len(mean)):
        variance = 0.0
        for a in range(3):
            variance += covariance[j, a, a] + steady[j, a, a]
        # After measurements of absurd deviations rounding can leave a variance below 0.
        spread_m[j] = math.sqrt(max(variance / 3, 0.0)) if np.isfinite(mean[j, 0]) else 0.0


@numba.njit(cache=True)
def middle(xyz: NDArray, joints: NDArray) -> NDArray[np.float64]:
    """Return the median place of those of the joints, (k,), that are known, (3,); NaN = none.

    Args:
        xyz: float64 (n, 3 or more), NaN = unknown.
        joints: int64 (k,).
    """
    out, known, count = np.full(3, np.nan), np.empty((3, len(joints))), 0
    for j in joints:
        if np.isfinite(xyz[j, 0]):
            known[:, count] = xyz[j, :3]
            count += 1
    if count:
        for a in range(3):
            out[a] = np.median(known[a, :count])
    return out


@numba.njit(cache=True)
def apart(a: NDArray, b: NDArray, joints: NDArray) -> float:
    """Return the median distance of those of the joints, (k,), that both people have, m; infinity = none.

    Args:
        a: float64 (n, 3 or more), NaN = unknown.
        b: float64 (n, 3 or more).
        joints: int64 (k,).
    """
    off, count = np.empty(len(joints)), 0
    for j in joints:
        square = (a[j, 0] - b[j, 0]) ** 2 + (a[j, 1] - b[j, 1]) ** 2 + (a[j, 2] - b[j, 2]) ** 2
        if np.isfinite(square):
            off[count] = math.sqrt(square)
            count += 1
    return np.median(off[:count]) if count else math.inf
