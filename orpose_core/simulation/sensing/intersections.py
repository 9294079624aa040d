"""Where a ray enters each kind of solid, in its local space, and the normal there."""

from __future__ import annotations

import math

from numba import njit


@njit(cache=True)
def hit_sphere(ox: float, oy: float, oz: float, dx: float, dy: float, dz: float, radius: float) -> float:
    """Entry parameter of a ray into the sphere about the origin, or -1."""
    a = dx * dx + dy * dy + dz * dz
    b = ox * dx + oy * dy + oz * dz
    c = ox * ox + oy * oy + oz * oz - radius * radius
    h = b * b - a * c
    if h < 0.0:
        return -1.0
    return (-b - math.sqrt(h)) / a


@njit(cache=True)
def hit_rounded_cone(
    ox: float, oy: float, oz: float, dx: float, dy: float, dz: float, h: float, r1: float, r2: float
) -> float:
    """Entry parameter of a ray into the hull of two spheres, or -1.

    The side is the cone that touches both spheres: rho c + z k = r1 with k = (r1 - r2) / h and c^2 = 1 -
    k^2, between the circles of contact z = r1 k and z = h + r2 k. The hull is convex, so the first valid
    entry is the answer.
    """
    if h <= abs(r1 - r2):  # one sphere holds the other
        if r1 >= r2:
            return hit_sphere(ox, oy, oz, dx, dy, dz, r1)
        return hit_sphere(ox, oy, oz - h, dx, dy, dz, r2)
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
    t = hit_sphere(ox, oy, oz, dx, dy, dz, r1)
    if t > 0.0 and oz + t * dz <= r1 * k and (best < 0.0 or t < best):
        best = t
    t = hit_sphere(ox, oy, oz - h, dx, dy, dz, r2)
    if t > 0.0 and oz + t * dz >= h + r2 * k and (best < 0.0 or t < best):
        best = t
    return best


@njit(cache=True)
def hit_box(ox: float, oy: float, oz: float, dx: float, dy: float, dz: float) -> float:
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
def hit_cylinder(ox: float, oy: float, oz: float, dx: float, dy: float, dz: float) -> float:
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
def hit_frustum(
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
def hit_rectangle(ox: float, oy: float, oz: float, dx: float, dy: float, dz: float) -> float:
    """Parameter at which a ray crosses the patch [-1, 1]^2 of z = 0, or -1."""
    if abs(dz) < 1e-15:
        return -1.0
    t = -oz / dz
    if abs(ox + t * dx) > 1.0 or abs(oy + t * dy) > 1.0:
        return -1.0
    return t


@njit(cache=True)
def local_normal(
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
