"""The highest value of a map that is enlarged bicubically, without keeping the enlarged map.

The convolution kernel (Keys 1981, a = -0.75), the places of the samples (pixel centres) and the repeated
border are those of ``torch.nn.functional.interpolate(mode="bicubic", align_corners=False)``, which detectron2
calls for each person. That computes 16 products per value; rows first, then columns, takes 4 and a few.
"""

from __future__ import annotations

import math

import numba
import numpy as np
from numpy.typing import NDArray

from orpose_core.types import FloatArray

_A = np.float32(-0.75)


@numba.njit(cache=True, nogil=True)
def _taps(cells: int, samples: int) -> tuple[NDArray[np.int64], FloatArray]:
    """Return which four cells each sample is made of, int64 (samples, 4), and how much of each."""
    index = np.empty((samples, 4), np.int64)
    weight = np.empty((samples, 4), np.float32)
    scale = np.float32(cells) / np.float32(samples)
    for i in range(samples):
        place = scale * (np.float32(i) + np.float32(0.5)) - np.float32(0.5)
        first = math.floor(place)
        t = place - np.float32(first)
        for k in range(4):
            index[i, k] = min(max(int(first) + k - 1, 0), cells - 1)
            distance = abs(t + np.float32(1 - k))
            if distance <= 1.0:
                weight[i, k] = ((_A + 2) * distance - (_A + 3)) * distance * distance + 1
            else:
                weight[i, k] = ((_A * distance - 5 * _A) * distance + 8 * _A) * distance - 4 * _A
    return index, weight


@numba.njit(cache=True, nogil=True)
def highest_resampled(maps: FloatArray, grids: NDArray[np.int64]) -> FloatArray:
    """Return where each map is highest when it is enlarged, and how high.

    Args:
        maps: float32 (R, K, S, S).
        grids: int64 (R, 2), (height, width) to which the maps of each region are resampled.

    Returns:
        float32 (R, K, 3): column and row of the first highest sample, and its value.
    """
    regions, joints, side = maps.shape[:3]
    highest = np.empty((regions, joints, 3), np.float32)
    for r in range(regions):
        height, width = grids[r]
        rows, row_weights = _taps(side, height)
        columns, column_weights = _taps(side, width)
        wide = np.empty((side, width), np.float32)
        line = np.empty(width, np.float32)
        for j in range(joints):
            for y in range(side):
                for x in range(width):
                    wide[y, x] = (
                        maps[r, j, y, columns[x, 0]] * column_weights[x, 0]
                        + maps[r, j, y, columns[x, 1]] * column_weights[x, 1]
                        + maps[r, j, y, columns[x, 2]] * column_weights[x, 2]
                        + maps[r, j, y, columns[x, 3]] * column_weights[x, 3]
                    )
            best, best_x, best_y = np.float32(-np.inf), 0, 0
            for y in range(height):
                a, b, c, d = row_weights[y]
                ya, yb, yc, yd = rows[y]
                for x in range(width):
                    line[x] = wide[ya, x] * a + wide[yb, x] * b + wide[yc, x] * c + wide[yd, x] * d
                top = line.max()
                if top > best:
                    best, best_x, best_y = top, int(line.argmax()), y
            highest[r, j, 0], highest[r, j, 1], highest[r, j, 2] = best_x, best_y, best
    return highest
