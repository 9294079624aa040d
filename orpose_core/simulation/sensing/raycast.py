"""Ray casting of closed-form solids: depth, object and normal of every pixel.

Every solid is a simple shape in its own local space (unit sphere, unit cube, ...), so a ray is taken there
by one affine map and keeps its parameter: with the ray direction ((u - cx) / fx, (v - cy) / fy, 1) that
parameter *is* the depth z. A solid is tried only in the pixels of its own bounding rectangle, against a
z-buffer.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from orpose_core.simulation.sensing.intersections import (
    hit_box,
    hit_cylinder,
    hit_frustum,
    hit_rectangle,
    hit_rounded_cone,
    hit_sphere,
    local_normal,
)
from orpose_core.simulation.sensing.solids import Solids
from orpose_core.types import Float64Array, Intrinsics

NEAR_M = 0.05


NOTHING = -1


@njit(cache=True)
def _half_extent(kind: int, column: Float64Array, scale: Float64Array, radius: float) -> float:
    """Half the extent of a solid along one camera axis; ``column`` is that axis in the local frame."""
    a, b, c = abs(column[0] * scale[0]), abs(column[1] * scale[1]), abs(column[2] * scale[2])
    if kind == 2:
        return a + b + c
    if kind == 3:
        return math.sqrt(a * a + b * b) + c
    if kind == 4:
        return a + b
    if kind == 5:
        return math.sqrt(a * a + b * b) * radius
    return math.sqrt(a * a + b * b + c * c) * radius


@njit(cache=True)
def _pixel_span(
    low: float, high: float, z_low: float, z_high: float, f: float, c: float, size: int
) -> tuple[int, int]:
    """First and last pixel that a box [low, high] x [z_low, z_high] in front of the camera can touch."""
    first = min(low / z_low, low / z_high) * f + c
    last = max(high / z_low, high / z_high) * f + c
    first = min(max(first, 0.0), float(size))
    last = min(max(last, -1.0), float(size - 1))
    return math.ceil(first), math.floor(last)


@njit(cache=True)
def place_before_camera(
    kinds: NDArray[np.int64],
    origins: Float64Array,
    axes: Float64Array,
    scales: Float64Array,
    params: Float64Array,
    camera_from_room: Float64Array,
    fx: float,
    fy: float,
    cx: float,
    cy: float,
    width: int,
    height: int,
) -> tuple[Float64Array, Float64Array, NDArray[np.int64]]:
    """Return per solid the map from camera to local space and the rectangle of pixels it may touch.

    ``kinds``, ``origins``, ``axes``, ``scales`` and ``params`` are as in :class:`Solids`,
    ``camera_from_room`` is a rigid float64 (4, 4), the rest is the camera in px.

    Returns:
        ``(maps, offsets, rectangles)``: float64 (n, 3, 3), float64 (n, 3), local = map * camera + offset,
        and int64 (n, 4), first and last column, first and last row (empty where last < first).
    """
    n = len(kinds)
    maps = np.empty((n, 3, 3))
    offsets = np.empty((n, 3))
    rectangles = np.empty((n, 4), np.int64)
    centre = np.empty(3)
    local = np.empty((3, 3))
    low = np.empty(3)
    high = np.empty(3)
    column = np.empty(3)
    for i in range(n):
        for j in range(3):
            centre[j] = (
                camera_from_room[j, 0] * origins[i, 0]
                + camera_from_room[j, 1] * origins[i, 1]
                + camera_from_room[j, 2] * origins[i, 2]
                + camera_from_room[j, 3]
            )
        for k in range(3):
            for j in range(3):
                local[k, j] = (
                    axes[i, k, 0] * camera_from_room[j, 0]
                    + axes[i, k, 1] * camera_from_room[j, 1]
                    + axes[i, k, 2] * camera_from_room[j, 2]
                )
                maps[i, k, j] = local[k, j] / scales[i, k]
        for k in range(3):
            offsets[i, k] = -(
                maps[i, k, 0] * centre[0] + maps[i, k, 1] * centre[1] + maps[i, k, 2] * centre[2]
            )
        for j in range(3):
            for k in range(3):
                column[k] = local[k, j]
            if kinds[i] == 0 or kinds[i] == 5:
                shift = local[2, j] * scales[i, 2] * params[i, 0]
                first = _half_extent(kinds[i], column, scales[i], params[i, 1])
                second = _half_extent(kinds[i], column, scales[i], params[i, 2])
                low[j] = centre[j] + min(-first, shift - second)
                high[j] = centre[j] + max(first, shift + second)
            else:
                extent = _half_extent(kinds[i], column, scales[i], 1.0)
                low[j] = centre[j] - extent
                high[j] = centre[j] + extent
        if high[2] <= NEAR_M:
            rectangles[i] = np.array([0, -1, 0, -1])
            continue
        z_low, z_high = max(low[2], NEAR_M), high[2]
        u0, u1 = _pixel_span(low[0], high[0], z_low, z_high, fx, cx, width)
        v0, v1 = _pixel_span(low[1], high[1], z_low, z_high, fy, cy, height)
        rectangles[i] = np.array([u0, u1, v0, v1])
    return maps, offsets, rectangles


@njit(cache=True)
def cast_rays(
    kinds: NDArray[np.int64],
    params: Float64Array,
    maps: Float64Array,
    offsets: Float64Array,
    rectangles: NDArray[np.int64],
    fx: float,
    fy: float,
    cx: float,
    cy: float,
    first: int,
    depth: Float64Array,
    solid: NDArray[np.int32],
) -> None:
    """Find what each pixel sees: depth and the index of the solid.

    ``kinds`` and ``params`` are as in :class:`Solids`; ``maps``, ``offsets`` and ``rectangles`` come from
    :func:`place_before_camera`; fx to cy are the camera in px. Solids before ``first`` are in the images
    already. Both are changed in place: ``depth``, float64 (height, width), metres along the optical axis,
    infinity = nothing, and ``solid``, int32 (height, width), index of the solid, -1 = nothing.
    """
    for i in range(first, len(kinds)):
        kind = kinds[i]
        m = maps[i]
        ox, oy, oz = offsets[i, 0], offsets[i, 1], offsets[i, 2]
        h, r1, r2 = params[i, 0], params[i, 1], params[i, 2]
        for v in range(rectangles[i, 2], rectangles[i, 3] + 1):
            y = (v - cy) / fy
            bx, by, bz = m[0, 1] * y + m[0, 2], m[1, 1] * y + m[1, 2], m[2, 1] * y + m[2, 2]
            for u in range(rectangles[i, 0], rectangles[i, 1] + 1):
                x = (u - cx) / fx
                dx, dy, dz = m[0, 0] * x + bx, m[1, 0] * x + by, m[2, 0] * x + bz
                if kind == 0:
                    t = hit_rounded_cone(ox, oy, oz, dx, dy, dz, h, r1, r2)
                elif kind == 1:
                    t = hit_sphere(ox, oy, oz, dx, dy, dz, 1.0)
                elif kind == 2:
                    t = hit_box(ox, oy, oz, dx, dy, dz)
                elif kind == 3:
                    t = hit_cylinder(ox, oy, oz, dx, dy, dz)
                elif kind == 5:
                    t = hit_frustum(ox, oy, oz, dx, dy, dz, h, r1, r2)
                else:
                    t = hit_rectangle(ox, oy, oz, dx, dy, dz)
                if t > NEAR_M and t < depth[v, u]:
                    depth[v, u] = t
                    solid[v, u] = i


@njit(cache=True)
def surface_normals(
    kinds: NDArray[np.int64],
    params: Float64Array,
    maps: Float64Array,
    offsets: Float64Array,
    depth: Float64Array,
    solid: NDArray[np.int32],
    fx: float,
    fy: float,
    cx: float,
    cy: float,
) -> NDArray[np.float32]:
    """Return the unit normal of every pixel's surface, towards the camera.

    ``kinds``, ``params``, ``maps`` and ``offsets`` are as in :func:`cast_rays`, ``depth`` and ``solid`` its
    result, fx to cy the camera in px.

    Returns:
        float32 (height, width, 3), camera frame; zero where there is nothing.
    """
    height, width = depth.shape
    normals = np.zeros((height, width, 3), np.float32)
    for v in range(height):
        y = (v - cy) / fy
        for u in range(width):
            i = solid[v, u]
            if i < 0:
                continue
            x = (u - cx) / fx
            t = depth[v, u]
            m = maps[i]
            lx = offsets[i, 0] + t * (m[0, 0] * x + m[0, 1] * y + m[0, 2])
            ly = offsets[i, 1] + t * (m[1, 0] * x + m[1, 1] * y + m[1, 2])
            lz = offsets[i, 2] + t * (m[2, 0] * x + m[2, 1] * y + m[2, 2])
            nx, ny, nz = local_normal(kinds[i], lx, ly, lz, params[i, 0], params[i, 1], params[i, 2])
            # A normal goes back with the transpose of the map that brought the point.
            gx = m[0, 0] * nx + m[1, 0] * ny + m[2, 0] * nz
            gy = m[0, 1] * nx + m[1, 1] * ny + m[2, 1] * nz
            gz = m[0, 2] * nx + m[1, 2] * ny + m[2, 2] * nz
            length = math.sqrt(gx * gx + gy * gy + gz * gz)
            if gx * x + gy * y + gz > 0.0:
                length = -length
            normals[v, u, 0] = gx / length
            normals[v, u, 1] = gy / length
            normals[v, u, 2] = gz / length
    return normals


@dataclass(frozen=True)
class View:
    """What one camera sees of a list of solids, without any sensor.

    Attributes:
        depth_m: float64 (H, W), metres along the optical axis, infinity = nothing.
        solid: int32 (H, W), index of the solid, -1 = nothing.
        maps: with offsets the solids' maps from the camera frame to their local spaces.
        offsets: see maps.
    """

    depth_m: Float64Array
    solid: NDArray[np.int32]
    maps: Float64Array
    offsets: Float64Array


def look(
    solids: Solids,
    camera_from_room: Float64Array,
    intrinsics: Intrinsics,
    behind: View | None = None,
    first: int = 0,
) -> View:
    """Return what a camera sees of the solids.

    Args:
        solids: in the room frame.
        camera_from_room: float64 (4, 4), rigid.
        intrinsics: of the image wanted.
        behind: what the same camera sees of the solids before ``first``, if it is known.
        first: see behind.
    """
    kinds, origins, axes, scales, params = solids.used()
    camera = (intrinsics.fx, intrinsics.fy, intrinsics.cx, intrinsics.cy, intrinsics.width, intrinsics.height)
    maps, offsets, rectangles = place_before_camera(
        kinds, origins, axes, scales, params, camera_from_room, *camera
    )
    if behind is None:
        depth = np.full((intrinsics.height, intrinsics.width), np.inf)
        solid = np.full(depth.shape, NOTHING, np.int32)
    else:
        depth, solid = behind.depth_m.copy(), behind.solid.copy()
    cast_rays(kinds, params, maps, offsets, rectangles, *camera[:4], first, depth, solid)
    return View(depth, solid, maps, offsets)


def normals_of(view: View, solids: Solids, intrinsics: Intrinsics) -> NDArray[np.float32]:
    """Return the unit normals of a view, float32 (H, W, 3), camera frame; zero where there is nothing."""
    kinds, _, _, _, params = solids.used()
    camera = (intrinsics.fx, intrinsics.fy, intrinsics.cx, intrinsics.cy)
    return surface_normals(kinds, params, view.maps, view.offsets, view.depth_m, view.solid, *camera)
