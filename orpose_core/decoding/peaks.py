"""Joint candidates: the peaks of keypoint maps, found between the cells."""

from __future__ import annotations

import math

import numba
import numpy as np
from numpy.typing import NDArray

PEAK_X, PEAK_Y, PEAK_SCORE, PEAK_VARIANCE = 0, 1, 2, 3
"""Columns of the peaks: position in cells, refined height, squared width of the peak in cells."""

_STEPS = ((-1, 0), (0, -1), (0, 1), (1, 0))
_LEAST_DISTANCE_CELLS = 0.7
_PATCH_CELLS, _PATCH_STEPS = 2, 5


@numba.njit(cache=True, nogil=True)
def find_peaks(
    maps: NDArray[np.float32], threshold: float, sigma_cells: float, max_peaks: int
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Find the local maxima of every map.

    A cell is a candidate if none of its four neighbours is higher. Diagonal neighbours may both be
    candidates: the joints of two people 1.4 cells apart, or one joint near the corner between four cells.
    Refinement tells them apart, since candidates of one joint move to the same place; of those
    nearer than 0.7 cells the highest stays. Equal neighbours (bf16 makes many) form one candidate, placed
    from the cell nearest to their middle.

    Args:
        maps: float32 (n, h, w), finite.
        threshold: a peak must rise above it after refinement.
        sigma_cells: width of the Gaussian that the network was trained to draw.
        max_peaks: at most this many per map, the highest.

    Returns:
        ``(peaks, counts)``: float32 (n, max_peaks, 4) of x, y, score, variance; int64 (n,), how many of them
        count.
    """
    joints, height, width = maps.shape
    peaks = np.zeros((joints, max_peaks, 4), np.float32)
    counts = np.zeros(joints, np.int64)
    seen = np.zeros((height, width), np.int64)  # the joint whose plateaus already took the cell, plus one
    stack = np.empty((height * width, 2), np.int64)
    for j in range(joints):
        for row in range(height):
            for column in range(width):
                # Between cells a Gaussian may be 1.5 times as high as in the nearest cell.
                value = maps[j, row, column]
                if value <= 0.5 * threshold or seen[row, column] == j + 1:
                    continue
                ties = _compare(maps[j], row, column)
                if ties < 0:
                    continue
                top, left = row, column
                if ties > 0:
                    top, left = _plateau(maps[j], row, column, seen, j + 1, stack)
                    if top < 0:
                        continue
                candidate = _refine(maps[j], top, left, sigma_cells)
                several = _split(maps[j], top, left, candidate, sigma_cells)
                for k in range(len(several)):
                    if several[k, PEAK_SCORE] > threshold:
                        counts[j] = _keep(peaks[j], counts[j], several[k])
    return peaks, counts


@numba.njit(cache=True, nogil=True)
def _compare(heat: NDArray[np.float32], row: int, column: int) -> int:
    """Return -1 if one of the four neighbours is higher, else how many are equal."""
    height, width = heat.shape
    value, ties = heat[row, column], 0
    for step in range(4):
        r, c = row + _STEPS[step][0], column + _STEPS[step][1]
        if 0 <= r < height and 0 <= c < width:
            if heat[r, c] > value:
                return -1
            if heat[r, c] == value:
                ties += 1
    return ties


@numba.njit(cache=True, nogil=True)
def _plateau(
    heat: NDArray[np.float32], row: int, column: int, seen: NDArray, mark: int, stack: NDArray
) -> tuple[int, int]:
    """Mark the connected cells as high as (row, column); return the one nearest their middle, or (-1, -1).

    (-1, -1) means that the plateau touches a higher cell, so that it is a shoulder and no peak.
    """
    height, width = heat.shape
    value, size, done, is_peak = heat[row, column], 1, 0, True
    stack[0, 0], stack[0, 1] = row, column
    seen[row, column] = mark
    mean_row, mean_column = 0.0, 0.0
    while done < size:
        r0, c0 = stack[done]
        done += 1
        mean_row += r0
        mean_column += c0
        for step in range(4):
            r, c = r0 + _STEPS[step][0], c0 + _STEPS[step][1]
            if 0 <= r < height and 0 <= c < width:
                if heat[r, c] > value:
                    is_peak = False
                elif heat[r, c] == value and seen[r, c] != mark:
                    seen[r, c] = mark
                    stack[size, 0], stack[size, 1] = r, c
                    size += 1
    if not is_peak:
        return -1, -1
    mean_row /= size
    mean_column /= size
    best, nearest = 0, math.inf
    for i in range(size):
        distance = (stack[i, 0] - mean_row) ** 2 + (stack[i, 1] - mean_column) ** 2
        if distance < nearest:
            best, nearest = i, distance
    return stack[best, 0], stack[best, 1]


@numba.njit(cache=True, nogil=True)
def _refine_axis(before: float, value: float, after: float, sigma_cells: float) -> tuple[float, float, float]:
    """Fit a Gaussian to three cells in a row: its offset in cells, the logarithm of its rise, its variance.

    The logarithm of a Gaussian is a parabola, so on ideal maps the fit is exact. ``before`` or ``after`` is
    NaN beyond the border; there two cells remain, and the width is taken as the one that was trained. Values
    are raised to 2 % of the middle one: noise around 0, or below, must not make the parabola steep.
    """
    variance, offset = sigma_cells**2, 0.0
    middle, floor = math.log(value), 0.02 * value
    low = math.log(max(before, floor)) - middle
    high = math.log(max(after, floor)) - middle
    if not math.isnan(before) and not math.isnan(after):
        if low + high > -1e-6:  # flat
            return 0.0, 0.0, 1e6
        variance = -1.0 / (low + high)
        offset = 0.5 * (high - low) * variance
    elif not math.isnan(after):
        offset = 0.5 + high * variance
    elif not math.isnan(before):
        offset = -0.5 - low * variance
    offset = min(max(offset, -0.5), 0.5)
    return offset, 0.5 * offset**2 / variance, variance


@numba.njit(cache=True, nogil=True)
def _refine(heat: NDArray[np.float32], row: int, column: int, sigma_cells: float) -> NDArray[np.float32]:
    """Return float32 (4,): x, y, score and variance of the peak whose highest cell is (row, column)."""
    height, width = heat.shape
    value = heat[row, column]
    left = heat[row, column - 1] if column > 0 else np.float32(np.nan)
    right = heat[row, column + 1] if column + 1 < width else np.float32(np.nan)
    above = heat[row - 1, column] if row > 0 else np.float32(np.nan)
    below = heat[row + 1, column] if row + 1 < height else np.float32(np.nan)
    dx, rise_x, variance_x = _refine_axis(left, value, right, sigma_cells)
    dy, rise_y, variance_y = _refine_axis(above, value, below, sigma_cells)
    peak = np.empty(4, np.float32)
    peak[PEAK_X], peak[PEAK_Y] = column + dx, row + dy
    # Between cells a trained Gaussian rises by at most exp(2 * 0.5² / (2 sigma²)); a lone noisy cell claims
    # less.
    most = 0.25 / sigma_cells**2
    peak[PEAK_SCORE] = min(value * math.exp(min(rise_x + rise_y, most)), 1.0)
    peak[PEAK_VARIANCE] = 0.5 * (variance_x + variance_y)
    return peak


@numba.njit(cache=True, nogil=True)
def _split(
    heat: NDArray[np.float32], row: int, column: int, peak: NDArray[np.float32], sigma_cells: float
) -> NDArray[np.float32]:
    """Return the peaks around a refined one, float32 (k, 4): itself, or several that cells hide.

    Joints of two people less than two cells apart may leave one highest cell. Where cells around ``peak`` are
    higher than one trained Gaussian explains, the cubic surface through the cells is searched for its maxima,
    as a decoder does that resizes the whole map; a wide but single peak has only one and stays as it is.
    """
    height, width = heat.shape
    explained = True
    for r in range(max(0, row - 2), min(height, row + 3)):
        for c in range(max(0, column - 2), min(width, column + 3)):
            distance2 = (r - peak[PEAK_Y]) ** 2 + (c - peak[PEAK_X]) ** 2
            model = peak[PEAK_SCORE] * math.exp(-0.5 * distance2 / sigma_cells**2)
            explained &= heat[r, c] < model + 0.1 * peak[PEAK_SCORE]
    found = np.zeros((8, 4), np.float32)
    found[0] = peak
    if explained:
        return found[:1]
    surface = _cubic_patch(heat, row, column)
    count, size = 0, surface.shape[0]
    for i in range(1, size - 1):
        for k in range(1, size - 1):
            value = surface[i, k]
            lower = value >= surface[i - 1, k] and value >= surface[i, k - 1]
            if lower and value > surface[i + 1, k] and value > surface[i, k + 1]:
                maximum = np.empty(4, np.float32)
                maximum[PEAK_X] = column - _PATCH_CELLS + k / _PATCH_STEPS
                maximum[PEAK_Y] = row - _PATCH_CELLS + i / _PATCH_STEPS
                maximum[PEAK_SCORE], maximum[PEAK_VARIANCE] = min(value, 1.0), sigma_cells**2
                inside = -0.5 <= maximum[PEAK_X] <= width - 0.5 and -0.5 <= maximum[PEAK_Y] <= height - 0.5
                if inside and value > 0.5 * peak[PEAK_SCORE]:
                    count = _keep(found, count, maximum)
    if count < 2:
        found[0] = peak
        return found[:1]
    return found[:count]


@numba.njit(cache=True, nogil=True)
def _cubic_patch(heat: NDArray[np.float32], row: int, column: int) -> NDArray[np.float32]:
    """Return the cubic surface (Keys' kernel, a = -0.75) around a cell, ``_PATCH_STEPS`` points per cell."""
    height, width = heat.shape
    size = 2 * _PATCH_CELLS * _PATCH_STEPS + 1
    weights = np.empty((_PATCH_STEPS, 4))
    for step in range(_PATCH_STEPS):
        t = step / _PATCH_STEPS
        for tap in range(4):
            x = abs(tap - 1 - t)
            near = (1.25 * x - 2.25) * x * x + 1.0
            far = ((-0.75 * x + 3.75) * x - 6.0) * x + 3.0
            weights[step, tap] = near if x <= 1 else far
    columns = 2 * _PATCH_CELLS + 4
    rows = np.zeros((size, columns))
    for i in range(size):
        first, step = row - _PATCH_CELLS + i // _PATCH_STEPS - 1, i % _PATCH_STEPS
        for c in range(columns):
            source = min(max(column - _PATCH_CELLS - 1 + c, 0), width - 1)
            for tap in range(4):
                rows[i, c] += weights[step, tap] * heat[min(max(first + tap, 0), height - 1), source]
    surface = np.zeros((size, size), np.float32)
    for i in range(size):
        for k in range(size):
            first, step = k // _PATCH_STEPS, k % _PATCH_STEPS
            value = 0.0
            for tap in range(4):
                value += weights[step, tap] * rows[i, min(first + tap, columns - 1)]
            surface[i, k] = value
    return surface


@numba.njit(cache=True, nogil=True)
def _keep(peaks: NDArray[np.float32], count: int, candidate: NDArray[np.float32]) -> int:
    """Add ``candidate`` unless a higher one is too near; return the new count.

    It takes the place of a lower one that is too near, or of the lowest if ``peaks`` is full.
    """
    place = count
    for i in range(count):
        dx, dy = peaks[i, PEAK_X] - candidate[PEAK_X], peaks[i, PEAK_Y] - candidate[PEAK_Y]
        if dx * dx + dy * dy < _LEAST_DISTANCE_CELLS**2:
            place = i
            break
    if place == len(peaks):
        place = int(np.argmin(peaks[:, PEAK_SCORE]))
    if place == count or candidate[PEAK_SCORE] > peaks[place, PEAK_SCORE]:
        peaks[place] = candidate
    return max(count, place + 1)
