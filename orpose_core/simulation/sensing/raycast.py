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

from orpose_core.types import Intrinsics

Float64Array = NDArray[np.float64]

ROUNDED_CONE = 0
"""Hull of two spheres on the local z axis: radius r1 at 0, r2 at h; params (h, r1, r2); h = 0: a sphere."""
ELLIPSOID = 1
"""The unit sphere, scaled."""
BOX = 2
"""The cube [-1, 1]^3, scaled."""
CYLINDER = 3
"""Radius 1 about the local z axis, z in [-1, 1], capped, scaled."""
RECTANGLE = 4
"""The patch [-1, 1]^2 of the local plane z = 0, scaled; seen from both sides."""

FRUSTUM = 5
"""Cone about the local z axis, cut flat at 0 (radius r1) and at h (radius r2); params (h, r1, r2)."""

NEAR_M = 0.05
NOTHING = -1


@dataclass
class Solids:
    """A growing list of solids in the room frame.

    Attributes:
        kinds: int64 (n,), one of the constants above.
        origins: float64 (n, 3), metres.
        axes: float64 (n, 3, 3), rows are the local axes in the room frame (orthonormal).
        scales: float64 (n, 3), metres per local unit along each local axis.
        params: float64 (n, 3), see :data:`ROUNDED_CONE`; not used by the others.
        owners: int64 (n,), index of the person a solid belongs to, or -1.
        parts: int64 (n,), body part (persons) or 0.
        materials: int64 (n,), row of the material table.
        count: how many of the rows are in use.
    """

    kinds: NDArray[np.int64]
    origins: Float64Array
    axes: Float64Array
    scales: Float64Array
    params: Float64Array
    owners: NDArray[np.int64]
    parts: NDArray[np.int64]
    materials: NDArray[np.int64]
    count: int = 0

    @classmethod
    def with_room_for(cls, capacity: int) -> Solids:
        """Return an empty list that can hold ``capacity`` solids."""
        integers = [np.zeros(capacity, np.int64) for _ in range(4)]
        return cls(
            integers[0],
            np.zeros((capacity, 3)),
            np.zeros((capacity, 3, 3)),
            np.ones((capacity, 3)),
            np.zeros((capacity, 3)),
            integers[1],
            integers[2],
            integers[3],
        )

    def add(
        self,
        kind: int,
        origin: tuple[float, float, float],
        axes: Float64Array,
        scale: tuple[float, float, float],
        material: int,
        params: tuple[float, float, float] = (0.0, 0.0, 0.0),
        owner: int = -1,
    ) -> None:
        """Append one solid; ValueError if the list is full."""
        if self.count >= len(self.kinds):
            raise ValueError(f"Solids: expected at most {len(self.kinds)} solids")
        i = self.count
        self.kinds[i] = kind
        self.origins[i] = origin
        self.axes[i] = axes
        self.scales[i] = scale
        self.params[i] = params
        self.owners[i] = owner
        self.materials[i] = material
        self.count = i + 1

    def used(self) -> tuple[NDArray, ...]:
        """Return the rows in use: kinds, origins, axes, scales, params."""
        n = self.count
        return self.kinds[:n], self.origins[:n], self.axes[:n], self.scales[:n], self.params[:n]


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
def _hit_sphere(ox: float, oy: float, oz: float, dx: float, dy: float, dz: float, radius: float) -> float:
    """Entry parameter of a ray into the sphere about the origin, or -1."""
    a = dx * dx + dy * dy + dz * dz
    b = ox * dx + oy * dy + oz * dz
    c = ox * ox + oy * oy + oz * oz - radius * radius
    h = b * b - a * c
    if h < 0.0:
        return -1.0
    return (-b - math.sqrt(h)) / a


@njit(cache=True)
def _hit_rounded_cone(
    ox: float, oy: float, oz: float, dx: float, dy: float, dz: float, h: float, r1: float, r2: float
) -> float:
    """Entry parameter of a ray into the hull of two spheres, or -1.

    The side is the cone that touches both spheres: rho c + z k = r1 with k = (r1 - r2) / h and c^2 = 1 -
    k^2, between the circles of contact z = r1 k and z = h + r2 k. The hull is convex, so the first valid
    entry is the answer.
    """
    if h <= abs(r1 - r2):  # one sphere holds the other
        if r1 >= r2:
            return _hit_sphere(ox, oy, oz, dx, dy, dz, r1)
        return _hit_sphere(ox, oy, oz - h, dx, dy, dz, r2)
    k = (r1 - r2) / h
    c2 = 1.0 - k * k
    best = -1.0
    a = (dx * dx + dy * dy) * c2 - dz * dz * k * k
    g = r1 - oz * k
    b = (ox * dx + oy * dy) * c2 + g * dz * k
    c = (ox * ox + oy * oy) * c2 - g * g
    disc = b * b - a * c
    if disc >= 0.0 and abs(a) > 1e-14:
        root = math.sqrt(disc)
        for sign in (-1.0, 1.0):
            t = (-b + sign * root) / a
            z = oz + t * dz
            if t > 0.0 and z >= r1 * k and z <= h + r2 * k and (best < 0.0 or t < best):
                best = t
    t = _hit_sphere(ox, oy, oz, dx, dy, dz, r1)
    if t > 0.0 and oz + t * dz <= r1 * k and (best < 0.0 or t < best):
        best = t
    t = _hit_sphere(ox, oy, oz - h, dx, dy, dz, r2)
    if t > 0.0 and oz + t * dz >= h + r2 * k and (best < 0.0 or t < best):
        best = t
    return best


@njit(cache=True)
def _hit_box(ox: float, oy: float, oz: float, dx: float, dy: float, dz: float) -> float:
    """Entry parameter of a ray into the cube [-1, 1]^3, or -1 (slabs)."""
    near, far = -1e30, 1e30
    for o, d in ((ox, dx), (oy, dy), (oz, dz)):
        if abs(d) < 1e-15:
            if abs(o) > 1.0:
                return -1.0
            continue
        t1, t2 = (-1.0 - o) / d, (1.0 - o) / d
        if t1 > t2:
            t1, t2 = t2, t1
        near, far = max(near, t1), min(far, t2)
    return near if near <= far else -1.0


@njit(cache=True)
def _hit_cylinder(ox: float, oy: float, oz: float, dx: float, dy: float, dz: float) -> float:
    """Entry parameter of a ray into the capped unit cylinder, or -1."""
    near, far = -1e30, 1e30
    a = dx * dx + dy * dy
    c = ox * ox + oy * oy - 1.0
    if a < 1e-20:
        if c > 0.0:
            return -1.0
    else:
        b = ox * dx + oy * dy
        h = b * b - a * c
        if h < 0.0:
            return -1.0
        root = math.sqrt(h)
        near, far = (-b - root) / a, (-b + root) / a
    if abs(dz) < 1e-15:
        if abs(oz) > 1.0:
            return -1.0
    else:
        t1, t2 = (-1.0 - oz) / dz, (1.0 - oz) / dz
        if t1 > t2:
            t1, t2 = t2, t1
        near, far = max(near, t1), min(far, t2)
    return near if near <= far else -1.0


@njit(cache=True)
def _hit_frustum(
    ox: float, oy: float, oz: float, dx: float, dy: float, dz: float, h: float, r1: float, r2: float
) -> float:
    """Entry parameter of a ray into a cone that is cut flat at z = 0 and z = h, or -1."""
    slope = (r2 - r1) / h
    g = r1 + slope * oz
    a = dx * dx + dy * dy - slope * slope * dz * dz
    b = ox * dx + oy * dy - g * slope * dz
    c = ox * ox + oy * oy - g * g
    best = -1.0
    disc = b * b - a * c
    if disc >= 0.0 and abs(a) > 1e-14:
        root = math.sqrt(disc)
        for sign in (-1.0, 1.0):
            t = (-b + sign * root) / a
            z = oz + t * dz
            if t > 0.0 and z >= 0.0 and z <= h and (best < 0.0 or t < best):
                best = t
    if abs(dz) > 1e-15:
        for end, radius in ((0.0, r1), (h, r2)):
            t = (end - oz) / dz
            x, y = ox + t * dx, oy + t * dy
            if t > 0.0 and x * x + y * y <= radius * radius and (best < 0.0 or t < best):
                best = t
    return best


@njit(cache=True)
def _hit_rectangle(ox: float, oy: float, oz: float, dx: float, dy: float, dz: float) -> float:
    """Parameter at which a ray crosses the patch [-1, 1]^2 of z = 0, or -1."""
    if abs(dz) < 1e-15:
        return -1.0
    t = -oz / dz
    if abs(ox + t * dx) > 1.0 or abs(oy + t * dy) > 1.0:
        return -1.0
    return t


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
                    t = _hit_rounded_cone(ox, oy, oz, dx, dy, dz, h, r1, r2)
                elif kind == 1:
                    t = _hit_sphere(ox, oy, oz, dx, dy, dz, 1.0)
                elif kind == 2:
                    t = _hit_box(ox, oy, oz, dx, dy, dz)
                elif kind == 3:
                    t = _hit_cylinder(ox, oy, oz, dx, dy, dz)
                elif kind == 5:
                    t = _hit_frustum(ox, oy, oz, dx, dy, dz, h, r1, r2)
                else:
                    t = _hit_rectangle(ox, oy, oz, dx, dy, dz)
                if t > NEAR_M and t < depth[v, u]:
                    depth[v, u] = t
                    solid[v, u] = i


@njit(cache=True)
def _local_normal(
    kind: int, x: float, y: float, z: float, h: float, r1: float, r2: float
) -> tuple[float, float, float]:
    """Outward normal of a solid at a point of its surface, in local space, not normalised."""
    if kind == 0:
        if h <= abs(r1 - r2):
            return x, y, (z if r1 >= r2 else z - h)
        k = (r1 - r2) / h
        if z < r1 * k:
            return x, y, z
        if z > h + r2 * k:
            return x, y, z - h
        rho = math.sqrt(x * x + y * y)
        c = math.sqrt(1.0 - k * k)
        return x / max(rho, 1e-12) * c, y / max(rho, 1e-12) * c, k
    if kind == 1:
        return x, y, z
    if kind == 2:
        ax, ay, az = abs(x), abs(y), abs(z)
        if ax >= ay and ax >= az:
            return x, 0.0, 0.0
        if ay >= az:
            return 0.0, y, 0.0
        return 0.0, 0.0, z
    if kind == 3:
        if abs(z) > 1.0 - 1e-9:
            return 0.0, 0.0, z
        return x, y, 0.0
    if kind == 5:
        if z < 1e-9:
            return 0.0, 0.0, -1.0
        if z > h - 1e-9:
            return 0.0, 0.0, 1.0
        return x, y, -(r2 - r1) / h * math.sqrt(x * x + y * y)
    return 0.0, 0.0, 1.0


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
            nx, ny, nz = _local_normal(kinds[i], lx, ly, lz, params[i, 0], params[i, 1], params[i, 2])
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
