"""Sine, cosine and noise that give the same bits on every machine.

``numpy.sin`` picks a vectorised routine by processor and a C library has its own, so their last bit differs
from machine to machine; a matrix product asks BLAS, which fuses and reorders. The simulator uses only
additions, multiplications, divisions, square roots (all exactly rounded by IEEE 754) and the functions here,
compiled without fast-math, so nothing is fused or reordered.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

_TWO_OVER_PI = 0.6366197723675814
_PI_OVER_TWO_HIGH = 1.57079632673412561417  # 33 bits of pi / 2, so that k times it is exact
_PI_OVER_TWO_LOW = 6.07710050650619224932e-11


@njit(cache=True, inline="never")
def sine_cosine(angle: float) -> tuple[float, float]:
    """Return (sin, cos) of an angle in radians within +-1e5, with an error below 1e-15."""
    quarter = math.floor(angle * _TWO_OVER_PI + 0.5)
    r = angle - quarter * _PI_OVER_TWO_HIGH
    r = r - quarter * _PI_OVER_TWO_LOW
    q = r * r
    sine = 1.0 / 6227020800.0 - q / 1307674368000.0
    sine = -1.0 / 39916800.0 + q * sine
    sine = 1.0 / 362880.0 + q * sine
    sine = -1.0 / 5040.0 + q * sine
    sine = 1.0 / 120.0 + q * sine
    sine = -1.0 / 6.0 + q * sine
    sine = r + r * q * sine
    cosine = -1.0 / 87178291200.0 + q / 20922789888000.0
    cosine = 1.0 / 479001600.0 + q * cosine
    cosine = -1.0 / 3628800.0 + q * cosine
    cosine = 1.0 / 40320.0 + q * cosine
    cosine = -1.0 / 720.0 + q * cosine
    cosine = 1.0 / 24.0 + q * cosine
    cosine = 1.0 - 0.5 * q + q * q * cosine
    turn = int(quarter) % 4
    if turn == 0:
        return sine, cosine
    if turn == 1:
        return cosine, -sine
    if turn == 2:
        return -sine, -cosine
    return -cosine, sine


@njit(cache=True)
def lattice_value(x: int, y: int, seed: int) -> float:
    """Return a value in [0, 1) that a point of the integer lattice always has (integer hashing, no state)."""
    h = (x * 374761393 + y * 668265263 + seed * 2147483647 + 974711) & 0xFFFFFFFF
    h = ((h ^ (h >> 13)) * 1274126177) & 0xFFFFFFFF
    h = ((h ^ (h >> 16)) * 2246822519) & 0xFFFFFFFF
    h = h ^ (h >> 15)
    return (h & 0xFFFFFF) / 16777216.0


@njit(cache=True)
def smooth_noise(x: float, y: float, seed: int) -> float:
    """Return value noise in [0, 1): lattice values, smoothly interpolated; features are one unit large."""
    fx, fy = math.floor(x), math.floor(y)
    ix, iy = int(fx), int(fy)
    tx, ty = x - fx, y - fy
    tx, ty = tx * tx * (3.0 - 2.0 * tx), ty * ty * (3.0 - 2.0 * ty)
    top = lattice_value(ix, iy, seed) * (1.0 - tx) + lattice_value(ix + 1, iy, seed) * tx
    bottom = lattice_value(ix, iy + 1, seed) * (1.0 - tx) + lattice_value(ix + 1, iy + 1, seed) * tx
    return top * (1.0 - ty) + bottom * ty


def sin(angle_rad: float) -> float:
    """Return the sine of an angle in radians."""
    return sine_cosine(float(angle_rad))[0]


def cos(angle_rad: float) -> float:
    """Return the cosine of an angle in radians."""
    return sine_cosine(float(angle_rad))[1]


@njit(cache=True)
def rotation_about(axis: int, angle: float) -> NDArray[np.float64]:
    """Return the rotation matrix, float64 (3, 3), about axis 0 (x), 1 (y) or 2 (z); right-handed, radians."""
    s, c = sine_cosine(angle)
    out = np.zeros((3, 3))
    i, j = (axis + 1) % 3, (axis + 2) % 3
    out[axis, axis] = 1.0
    out[i, i] = c
    out[j, j] = c
    out[i, j] = -s
    out[j, i] = s
    return out


@njit(cache=True)
def product(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the product of two float64 (3, 3) matrices, summed in a fixed order."""
    out = np.empty((3, 3))
    for i in range(3):
        for j in range(3):
            out[i, j] = a[i, 0] * b[0, j] + a[i, 1] * b[1, j] + a[i, 2] * b[2, j]
    return out


@njit(cache=True)
def applied(matrix: NDArray[np.float64], x: float, y: float, z: float) -> NDArray[np.float64]:
    """Return float64 (3,): the matrix, float64 (3, 3), times the vector (x, y, z)."""
    out = np.empty(3)
    for i in range(3):
        out[i] = matrix[i, 0] * x + matrix[i, 1] * y + matrix[i, 2] * z
    return out


@njit(cache=True)
def unit(vector: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the vector, float64 (3,), with length 1; a zero vector becomes +z."""
    length = math.sqrt(vector[0] * vector[0] + vector[1] * vector[1] + vector[2] * vector[2])
    out = np.empty(3)
    if length < 1e-12:
        out[0] = out[1] = 0.0
        out[2] = 1.0
    else:
        for i in range(3):
            out[i] = vector[i] / length
    return out


@njit(cache=True)
def cross(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the cross product of two float64 (3,) vectors."""
    out = np.empty(3)
    out[0] = a[1] * b[2] - a[2] * b[1]
    out[1] = a[2] * b[0] - a[0] * b[2]
    out[2] = a[0] * b[1] - a[1] * b[0]
    return out


def angle_of(x: float, y: float) -> float:
    """Return the angle of the vector (x, y) from +x, radians in (-pi, pi] (Newton steps)."""
    length = math.sqrt(x * x + y * y)
    if length == 0.0:
        return 0.0
    c, s = x / length, y / length
    angle = 0.0 if c > 0.7 else (math.pi if c < -0.7 else math.copysign(math.pi / 2.0, s))
    for _ in range(6):  # the step is the sine of the remaining angle
        sa, ca = sine_cosine(angle)
        angle += s * ca - c * sa
    return angle if angle <= math.pi else angle - 2.0 * math.pi
