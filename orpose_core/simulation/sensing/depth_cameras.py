"""Depth cameras by family: structured light, time of flight and active stereo, each with its own faults.

Structured light (Kinect v1, Xtion) matches windows of a projected pattern: noise and steps that grow with z
squared, a shadow on one side of what is near, ragged silhouettes, and large holes on dark, glossy and grazing
surfaces (Khoshelham and Elberink 2012). Time of flight (Kinect v2, Azure Kinect) measures phase: noise that
grows as light gets lost towards the corners and on dark surfaces, pixels that fly between an edge's two sides
or are taken away, and surfaces pushed back in corners by light that came a longer way (Sarbolandi and others
2015). Active stereo (RealSense) compares two images: a band without match on the left of what is near,
silhouettes that are too fat, waves as large as its window, and patches where it finds nothing.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

from orpose_core.simulation.arithmetic import lattice_value, smooth_noise
from orpose_core.simulation.dice import Dice
from orpose_core.simulation.sensing.sensor import Sensor, emitter_shadow
from orpose_core.types import Float64Array

# Rows of the traits. Lengths in px are for an image 640 px wide.
(
    NOISE_PX, STEP_PX, FOCAL_BASELINE, SHADOW_PX_M, SECOND_SHADOW_PX_M, EDGE_PX, EDGE_CELL_PX, FATTEN_PX,
    NEAR_M, FAR_M, FAR_SOFT_M, DARK, GRAZING, BLANK, HOLE_CELL_PX, WAVE_PX, WAVE_CELL_PX, CORNERS, OUTLINE,
    FLYING, MULTIPATH_M, NOISE_M, STEP_M, STEPS, LEFT, RIGHT, TOP, BOTTOM, SKEW, GAIN,
) = range(30)  # fmt: skip
TRAIT_COUNT = 30

FAMILIES = {"structured_light": 0.45, "time_of_flight": 0.27, "active_stereo": 0.28}
"""Weights of the families."""


def _structured_light(t: NDArray[np.float64], dice: Dice) -> None:
    t[FOCAL_BASELINE] = dice.between(36.0, 46.0)
    t[NOISE_PX], t[STEP_PX] = dice.between(0.04, 0.14), 0.125
    t[SHADOW_PX_M] = dice.between(22.0, 45.0)
    t[SECOND_SHADOW_PX_M] = dice.between(0.0, 14.0) if dice.chance(0.6) else 0.0
    t[EDGE_PX], t[EDGE_CELL_PX] = dice.between(1.5, 4.5), dice.between(3.5, 8.0)
    t[NEAR_M] = dice.between(0.35, 0.55)
    t[FAR_M] = dice.between(3.2, 5.5) if dice.chance(0.4) else dice.between(5.5, 9.5)
    t[FAR_SOFT_M], t[GRAZING] = dice.between(0.3, 2.0), dice.between(0.1, 0.7)
    t[DARK], t[HOLE_CELL_PX] = dice.between(0.5, 1.5), dice.between(20.0, 80.0)
    t[BLANK] = dice.between(0.0, 0.12) if dice.chance(0.3) else 0.0


def _time_of_flight(t: NDArray[np.float64], dice: Dice) -> None:
    t[FOCAL_BASELINE] = 4000.0
    t[NOISE_M] = dice.between(0.001, 0.004)
    t[EDGE_PX], t[EDGE_CELL_PX] = dice.between(0.2, 1.2), dice.between(1.5, 3.0)
    t[NEAR_M] = dice.between(0.2, 0.5)
    t[FAR_M], t[FAR_SOFT_M] = dice.between(4.0, 9.0), dice.between(0.2, 1.0)
    t[DARK], t[HOLE_CELL_PX] = dice.between(0.3, 1.3), dice.between(3.0, 14.0)
    t[GRAZING] = dice.between(0.0, 0.3)
    t[CORNERS] = dice.between(0.5, 1.2) if dice.chance(0.7) else 0.0
    t[OUTLINE] = dice.between(0.3, 1.0) if dice.chance(0.65) else 0.0
    t[FLYING] = 0.0 if t[OUTLINE] > 0.0 else dice.between(0.2, 0.8)
    t[MULTIPATH_M] = dice.between(0.0, 0.04)


def _active_stereo(t: NDArray[np.float64], dice: Dice) -> None:
    t[FOCAL_BASELINE] = dice.between(24.0, 48.0)
    t[NOISE_PX] = dice.between(0.01, 0.05)
    t[WAVE_PX], t[WAVE_CELL_PX] = dice.between(0.03, 0.18), dice.between(6.0, 16.0)
    t[SHADOW_PX_M] = t[FOCAL_BASELINE] * dice.between(0.8, 1.1)
    t[EDGE_PX], t[EDGE_CELL_PX] = dice.between(1.0, 4.0), dice.between(4.0, 9.0)
    t[FATTEN_PX] = dice.between(0.5, 4.0)
    t[NEAR_M] = dice.between(0.2, 0.45)
    t[FAR_M], t[FAR_SOFT_M] = dice.between(5.0, 12.0), dice.between(1.0, 4.0)
    t[DARK], t[HOLE_CELL_PX] = dice.between(0.1, 0.6), dice.between(20.0, 90.0)
    t[GRAZING], t[BLANK] = dice.between(0.0, 0.4), dice.between(0.0, 0.2) if dice.chance(0.5) else 0.0


def draw_depth_camera(dice: Dice, nearest_m: float = 1.0, farthest_m: float = 2.0) -> Sensor:
    """Draw a family and one of its cameras; some give 8 bits, steps of 10 to 30 mm up to a fixed range.

    Args:
        dice: of the sequence.
        nearest_m: what is as far as this must lie within its range, 0.2 m at least.
        farthest_m: so must what is as far as this, 7 m at most.
    """
    t = np.zeros(TRAIT_COUNT)
    family = dice.pick(FAMILIES)
    if family == "structured_light":
        _structured_light(t, dice)
    elif family == "time_of_flight":
        _time_of_flight(t, dice)
    else:
        _active_stereo(t, dice)
    t[NEAR_M], t[FAR_M] = min(t[NEAR_M], max(nearest_m, 0.2)), max(t[FAR_M], min(farthest_m, 7.0))
    if dice.chance(0.25):
        t[STEP_M], t[STEPS] = dice.between(max(0.010, min(farthest_m / 255.0, 0.029)), 0.030), 255.0
    if family == "structured_light" and dice.chance(0.7):  # registered to the color camera
        for row, most in ((LEFT, 24.0), (RIGHT, 34.0), (TOP, 30.0), (BOTTOM, 22.0)):
            t[row] = dice.between(0.0, most)
        t[SKEW] = dice.near(0.0, 0.006)
    elif family == "active_stereo":
        t[LEFT] = dice.between(0.0, 40.0)
    t[GAIN] = dice.near(1.0, 0.008)
    return Sensor(t, dice.seed() & 0x7FFFFFFF, family)


@njit(cache=True)
def _outside(u: int, v: int, width: int, height: int, scale: float, t: Float64Array) -> bool:
    """Whether a pixel lies in the black border."""
    across, down = u - t[SKEW] * v, v + t[SKEW] * (u - 0.5 * width)
    return (
        across < t[LEFT] * scale
        or across > width - 1 - t[RIGHT] * scale
        or down < t[TOP] * scale
        or down > height - 1 - t[BOTTOM] * scale
    )


@njit(cache=True)
def _nearest_beside(depth: Float64Array, u: int, v: int, reach: int) -> float:
    """Least depth within ``reach`` pixels in a row: what fat silhouettes show."""
    z = depth[v, u]
    for other in range(max(u - reach, 0), min(u + reach, depth.shape[1] - 1) + 1):
        z = min(z, depth[v, other])
    return z


@njit(cache=True)
def _loss(z: float, cosine: float, absorption: float, gloss: float, radius2: float, t: Float64Array) -> float:
    """How nearly a surface gives no return: 0 = surely seen, 1 = surely lost."""
    far = (z - t[FAR_M]) / t[FAR_SOFT_M] + 0.5
    dark = absorption * t[DARK] * (0.35 + 0.65 * z * z / 12.0) * (1.35 - cosine)
    if absorption > 2.0:
        dark = 2.0
    shiny = gloss * t[DARK] * (0.4 + 0.6 * (1.0 - cosine))
    grazing = t[GRAZING] * (1.0 + 0.15 * z) * max(0.0, 0.34 - cosine) / 0.34
    return max(far, t[BLANK] + dark + shiny + grazing) + t[CORNERS] * max(0.0, radius2 - 0.75) * 1.4


@njit(cache=True)
def _clean(out: NDArray[np.uint16]) -> NDArray[np.uint16]:
    """Drop lonely pixels and close pinholes, as the cameras' own filters do."""
    height, width = out.shape
    cleaned = out.copy()
    for v in range(1, height - 1):
        for u in range(1, width - 1):
            valid, total = 0, 0
            for dv in range(-1, 2):
                for du in range(-1, 2):
                    if out[v + dv, u + du] > 0:
                        valid += 1
                        total += out[v + dv, u + du]
            if out[v, u] > 0 and valid <= 3:
                cleaned[v, u] = 0
            elif out[v, u] == 0 and valid >= 7:
                low, high = 65535, 0
                for dv in range(-1, 2):
                    for du in range(-1, 2):
                        z = out[v + dv, u + du]
                        if z > 0:
                            low, high = min(low, z), max(high, z)
                if high - low < 0.06 * low:
                    cleaned[v, u] = total // valid
    return cleaned


@njit(cache=True)
def _measured(
    z: float,
    u: int,
    v: int,
    loss: float,
    noise: NDArray[np.float32],
    scale: float,
    t: Float64Array,
    seed: int,
) -> int:
    """What is measured of a depth in metres: millimetres, 0 = beyond what can be told."""
    n = noise[v, u]
    if t[NOISE_M] > 0.0:
        z += t[NOISE_M] * (1.0 + z * z * (0.15 + 1.2 * max(loss, 0.0))) * n
        z += t[MULTIPATH_M] * smooth_noise(u / (60.0 * scale), v / (60.0 * scale), seed + 9)
    else:  # a window's noise is that of its neighbours, too
        n = 0.6 * (n + noise[v, max(u - 1, 0)] + noise[max(v - 1, 0), u])
        disparity = t[FOCAL_BASELINE] / (z * t[GAIN]) + t[NOISE_PX] * n
        if t[WAVE_PX] > 0.0:
            cell = 1.0 / (t[WAVE_CELL_PX] * scale)
            disparity += t[WAVE_PX] * 3.0 * (smooth_noise(u * cell, v * cell, seed + 8) - 0.5)
        if t[STEP_PX] > 0.0:
            disparity = math.floor(disparity / t[STEP_PX] + 0.5) * t[STEP_PX]
        if disparity <= 0.0:
            return 0
        z = t[FOCAL_BASELINE] / disparity
    if t[STEP_M] > 0.0:
        level = math.floor(z / t[STEP_M] + 0.5)
        if level > t[STEPS]:
            return 0
        z = level * t[STEP_M]
    millimetres = 1000.0 * z + 0.5
    return int(millimetres) if 1.0 <= millimetres < 65535.0 else 0


@njit(cache=True)
def measure(
    depth: Float64Array,
    solid: NDArray[np.int32],
    normals: NDArray[np.float32],
    surfaces: Float64Array,
    camera: Float64Array,
    normal_noise: NDArray[np.float32],
    t: Float64Array,
    seed: int,
    frame_seed: int,
) -> NDArray[np.uint16]:
    """Return the depth image that a camera of any family gives.

    Args:
        depth: float64 (H, W), metres, infinity = nothing.
        solid: int32 (H, W), index of the solid seen.
        normals: float32 (H, W, 3), camera frame.
        surfaces: float64 (n, 2), of each solid: absorption (0 = bright, 1 = dark, above 2 = never a return)
            and gloss.
        camera: float64 (4,), fx, fy, cx, cy, px.
        normal_noise: float32 (H, W), standard normal.
        t: traits, float64 (30,).
        seed: of the patterns that stay in place.
        frame_seed: of those that change from frame to frame.

    Returns:
        uint16 (H, W), millimetres, 0 = no return.
    """
    height, width = depth.shape
    scale = width / 640.0
    out = np.zeros((height, width), np.uint16)
    shadow = np.zeros((height, width), np.bool_)
    if t[SHADOW_PX_M] > 0.0:
        emitter_shadow(depth, shadow, t[SHADOW_PX_M] * scale, True)
    if t[SECOND_SHADOW_PX_M] > 0.0:
        emitter_shadow(depth, shadow, t[SECOND_SHADOW_PX_M] * scale, False)
    per_edge, per_hole = 1.0 / max(t[EDGE_CELL_PX] * scale, 1.0), 1.0 / max(t[HOLE_CELL_PX] * scale, 1.0)
    fatten = int(t[FATTEN_PX] * scale + 0.5)
    salt = 0.3 if t[CORNERS] > 0.0 else 0.08
    for v in range(height):
        for u in range(width):
            if _outside(u, v, width, height, scale, t):
                continue
            own = lattice_value(int(u * per_edge), int(v * per_edge), seed + 1)
            other_own = own * 64.0 - math.floor(own * 64.0)
            reach = t[EDGE_PX] * scale
            su = int(min(max(u + (own - 0.5) * 1.7 * reach + 0.5, 0.0), width - 1.0))
            sv = int(min(max(v + (other_own - 0.5) * 1.7 * reach + 0.5, 0.0), height - 1.0))
            z = depth[sv, su]
            if fatten > 0:
                z = _nearest_beside(depth, su, sv, fatten)
            if not z < 1e6 or shadow[sv, su] or z < t[NEAR_M]:
                continue
            beside, above = depth[v, min(u + 1, width - 1)], depth[min(v + 1, height - 1), u]
            step = max(abs(beside - depth[v, u]), abs(above - depth[v, u]))
            if step > 0.05 + 0.02 * z and step < 1e6:
                chance = lattice_value(u, v, frame_seed + 4)
                if chance < t[OUTLINE]:
                    continue
                if chance < t[FLYING]:
                    z += (min(beside, above, 12.0) - z) * lattice_value(u, v, frame_seed + 5)
            loss, i = 0.0, solid[sv, su]
            if i >= 0:
                x, y = (su - camera[2]) / camera[0], (sv - camera[3]) / camera[1]
                cosine = -(normals[sv, su, 0] * x + normals[sv, su, 1] * y + normals[sv, su, 2])
                cosine /= math.sqrt(x * x + y * y + 1.0)
                a, b = 2.0 * u / width - 1.0, 2.0 * v / height - 1.0
                loss = _loss(z, cosine, surfaces[i, 0], surfaces[i, 1], 0.75 * (a * a + b * b), t)
            if loss > 0.06:
                loss *= 0.4 + 1.2 * lattice_value(i, 7, seed + 3)  # whole surfaces are lost, or none of them
                if loss > 1.2:
                    continue
                field = 0.72 * smooth_noise(u * per_hole, v * per_hole, seed + 4)
                field += 0.20 * smooth_noise(3.3 * u * per_hole, 3.3 * v * per_hole, seed + 5)
                field += salt * lattice_value(u, v, frame_seed + 6)
                if field < 0.10 + 0.78 * loss:
                    continue
            out[v, u] = _measured(z, u, v, loss, normal_noise, scale, t, frame_seed)
    return out if t[CORNERS] > 0.0 else _clean(out)
