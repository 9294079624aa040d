"""What a depth camera makes of a scene: noise, quantisation, ragged edges and holes.

The model follows what Kinect, Xtion and time-of-flight frames show: noise growing with z squared and steps of
disparity (Khoshelham and Elberink 2012), stripes without return beside every silhouette where the emitter or
the second camera cannot see, holes on dark, glossy and grazing surfaces that grow with distance, bites out of
silhouettes as large as the matching window, a limited range with a patchy far end, and the black border of
registration.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from orpose_core.simulation.arithmetic import lattice_value, smooth_noise
from orpose_core.simulation.dice import Dice
from orpose_core.types import Float64Array

# Rows of a sensor's traits. Lengths in px are for an image 640 px wide.
(
    NOISE_PX, STEP_PX, FOCAL_BASELINE, SHADOW_PX_M, SECOND_SHADOW_PX_M, RAGGED_PX, RAGGED_CELL_PX, BITE,
    NEAR_M, FAR_M, FAR_SOFT_M, DARK, GRAZING, SPECKLE, LEFT, RIGHT, TOP, BOTTOM, SKEW, FLYING, GAIN,
    HOLE_CELL_PX, BIAS_PX,
) = range(23)  # fmt: skip
TRAIT_COUNT = 23


@dataclass(frozen=True)
class Sensor:
    """One depth camera's way of seeing, the same for a whole sequence.

    Attributes:
        traits: float64, rows as named in this module, or for a family in :mod:`depth_cameras`.
        seed: of the patterns that stay in place over time (holes, raggedness).
        family: "general", the model of this module, or one of depth_cameras.FAMILIES.
    """

    traits: NDArray[np.float64]
    seed: int
    family: str = "general"


def draw_sensor(dice: Dice, harsh: float = 1.0) -> Sensor:
    """Draw a sensor: two of three are structured light, the others time of flight.

    Args:
        dice: of the sequence.
        harsh: scales how much goes missing; 1 = as drawn.
    """
    t = np.zeros(TRAIT_COUNT)
    structured = dice.chance(0.68)
    t[FOCAL_BASELINE] = dice.between(36.0, 46.0)
    t[NOISE_PX] = dice.between(0.05, 0.16) if structured else dice.between(0.02, 0.10)
    t[STEP_PX] = dice.between(0.1, 0.2) if structured else 0.0
    if structured:
        t[SHADOW_PX_M] = dice.between(22.0, 45.0)
        t[SECOND_SHADOW_PX_M] = dice.between(0.0, 14.0)
        t[RAGGED_PX], t[RAGGED_CELL_PX] = dice.between(0.8, 3.2), dice.between(2.5, 6.0)
        t[BITE] = dice.between(0.15, 0.6)
        t[BIAS_PX] = dice.between(0.0, 0.06)
    else:
        t[RAGGED_PX], t[RAGGED_CELL_PX] = dice.between(0.2, 1.2), dice.between(1.5, 3.0)
        t[BITE], t[FLYING] = dice.between(0.1, 0.4), dice.between(0.0, 0.5)
    t[NEAR_M] = dice.between(0.3, 0.6)
    t[FAR_M] = dice.between(3.6, 6.0) if dice.chance(0.35) else dice.between(6.0, 9.5)
    t[FAR_SOFT_M] = dice.between(0.4, 2.5)
    t[DARK] = harsh * dice.between(0.3, 1.3)
    t[GRAZING] = harsh * dice.between(0.05, 0.5)
    t[SPECKLE] = dice.between(4.2, 6.0) if dice.chance(0.75) else dice.between(2.6, 4.2)
    t[HOLE_CELL_PX] = dice.between(7.0, 26.0)
    if dice.chance(0.75):  # registered to the color camera: not all of its frame is covered
        for row, most in ((LEFT, 24.0), (RIGHT, 34.0), (TOP, 30.0), (BOTTOM, 22.0)):
            t[row] = dice.between(0.0, most)
        t[SKEW] = dice.near(0.0, 0.006)
    t[GAIN] = dice.near(1.0, 0.008)
    return Sensor(t, dice.seed() & 0x7FFFFFFF)


@njit(cache=True)
def emitter_shadow(depth: Float64Array, shadow: NDArray, pixels_metre: float, from_right: bool) -> None:
    """Mark, in each row, the pixels that a source beside the camera cannot see.

    A source a baseline b beside the camera sees a point at depth z shifted by f b / z px. Sweeping towards
    the side away from the source, a point that lies behind what was already reached is hidden by a nearer
    one.

    Args:
        depth: float64 (H, W), metres.
        shadow: bool (H, W), set where hidden.
        pixels_metre: f b in px * m of this image.
        from_right: whether the source is on the right.
    """
    height, width = depth.shape
    for v in range(height):
        reached = -1e9
        for progress in range(width):
            u = width - 1 - progress if from_right else progress
            z = depth[v, u]
            if not z < 1e6:
                continue
            place = progress + pixels_metre / z
            if place < reached - 1.0:
                shadow[v, u] = True
            else:
                reached = place


@njit(cache=True)
def _hole_chance(z: float, cosine: float, absorption: float, gloss: float, t: Float64Array) -> float:
    """Probability in [0, 1] that a surface gives no return."""
    far = (z - t[FAR_M]) / t[FAR_SOFT_M] + 0.5
    dark = absorption * t[DARK] * (0.25 + 0.75 * z * z / 16.0) * (1.35 - cosine)
    shiny = gloss * t[DARK] * (0.4 + 0.6 * (1.0 - cosine))
    grazing = (t[GRAZING] + 0.06 * z * t[GRAZING]) * max(0.0, 0.32 - cosine) / 0.32
    return max(far, dark + shiny + grazing)


@njit(cache=True)
def sense(
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
    """Return the depth image that a sensor gives.

    Args:
        depth: float64 (H, W), metres, infinity = nothing.
        solid: int32 (H, W), index of the solid seen.
        normals: float32 (H, W, 3), camera frame.
        surfaces: float64 (n, 2), of each solid: absorption (0 = bright, 1 = swallows the emitter's light)
            and gloss (0 = matt, 1 = mirrors the light away).
        camera: float64 (4,), fx, fy, cx, cy, px.
        normal_noise: float32 (H, W), standard normal.
        t: traits, float64 (23,).
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
    per_cell, per_hole = 1.0 / max(t[RAGGED_CELL_PX] * scale, 1.0), 1.0 / (t[HOLE_CELL_PX] * scale)
    ragged = t[RAGGED_PX] * scale
    rows, columns = int(height * per_cell) + 1, int(width * per_cell) + 1
    window = np.empty((rows, columns))  # one hash per matching window gives all that is its own
    for v in range(rows):
        for u in range(columns):
            window[v, u] = lattice_value(u, v, seed + 1)
    left, right = t[LEFT] * scale, width - 1 - t[RIGHT] * scale
    top, bottom = t[TOP] * scale, height - 1 - t[BOTTOM] * scale
    for v in range(height):
        for u in range(width):
            slant = t[SKEW]
            if (
                u - slant * v < left
                or u - slant * v > right
                or v + slant * (u - 0.5 * width) < top
                or v + slant * (u - 0.5 * width) > bottom
            ):
                continue
            # Edges are ragged because a window of pixels is matched at once: look a little beside.
            own = window[int(v * per_cell), int(u * per_cell)]
            other_own = own * 64.0 - math.floor(own * 64.0)
            du = (own - 0.5) * 1.6 + 0.22 * normal_noise[height - 1 - v, u]
            dv = (other_own - 0.5) * 1.6 + 0.22 * normal_noise[v, width - 1 - u]
            su = int(min(max(u + du * ragged + 0.5, 0.0), width - 1.0))
            sv = int(min(max(v + dv * ragged + 0.5, 0.0), height - 1.0))
            z = depth[sv, su]
            if not z < 1e6 or shadow[sv, su] or z < t[NEAR_M]:
                continue
            here = min(depth[v, u], 30.0)
            beside = min(depth[v, min(u + 1, width - 1)], 30.0)
            above = min(depth[min(v + 1, height - 1), u], 30.0)
            torn = max(abs(beside - here), abs(above - here)) > 0.05 + 0.02 * z
            if torn and own * 4096.0 - math.floor(own * 4096.0) < t[BITE]:
                continue
            chance = 0.0
            i = solid[sv, su]
            if i >= 0:
                x, y = (su - camera[2]) / camera[0], (sv - camera[3]) / camera[1]
                cosine = -(normals[sv, su, 0] * x + normals[sv, su, 1] * y + normals[sv, su, 2])
                cosine /= math.sqrt(x * x + y * y + 1.0)
                chance = _hole_chance(z, cosine, surfaces[i, 0], surfaces[i, 1], t)
            if chance > 0.06:
                if chance > 1.2:
                    continue
                field = 0.64 * smooth_noise(u * per_hole, v * per_hole, seed + 4)
                field += 0.29 * smooth_noise(3.1 * u * per_hole, 3.1 * v * per_hole, seed + 5)
                field += 0.07 * (0.5 + 0.3 * normal_noise[v, u])
                if field < 0.16 + 0.7 * chance:
                    continue
            if normal_noise[v & ~1, u & ~1] > t[SPECKLE] - 0.12 * z:
                continue
            if t[FLYING] > 0.0 and torn and lattice_value(u, v, frame_seed + 4) < t[FLYING]:
                other = min(beside, above) if min(beside, above) < here - 0.05 else max(beside, above)
                if other < 30.0:
                    z += (other - z) * lattice_value(u, v, frame_seed + 5)
            disparity = t[FOCAL_BASELINE] / (z * t[GAIN]) + t[NOISE_PX] * normal_noise[v, u]
            if t[BIAS_PX] > 0.0:
                disparity += t[BIAS_PX] * 2.0 * (other_own - 0.5)
            if t[STEP_PX] > 0.0:
                disparity = math.floor(disparity / t[STEP_PX] + 0.5) * t[STEP_PX]
            if disparity <= 0.0:
                continue
            millimetres = 1000.0 * t[FOCAL_BASELINE] / disparity + 0.5
            if millimetres < 65535.0:
                out[v, u] = int(millimetres)
    return out
