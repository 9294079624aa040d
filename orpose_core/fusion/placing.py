"""People put into the room: by one view alone, or by all the views that saw them."""

from __future__ import annotations

import math
from typing import NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from orpose_core.fusion.body_prior import BodyTree
from orpose_core.fusion.config import Limits
from orpose_core.fusion.detections import Detections
from orpose_core.fusion.solver import solve_body
from orpose_core.fusion.starting import likely_depth, start_body
from orpose_core.types import Float64Array


class Alone(NamedTuple):
    """Every detection by its own view, d rows.

    Attributes:
        sigma: float64 (d, n), deviation of the joints, px, 0 = not there.
        ray_sigma: float64 (d, n), the same as an angle, m per m of depth.
        depth: float64 (d,), likely distance along the optical axis, m.
        x: float64 (d, k, 3), nodes of the body, room frame, m.
        covariance: float64 (d, k, 3, 3), m^2.
    """

    sigma: Float64Array
    ray_sigma: Float64Array
    depth: Float64Array
    x: Float64Array
    covariance: Float64Array


class Placed(NamedTuple):
    """People placed by several views, m rows.

    Attributes:
        x: float64 (m, k, 3), nodes of the body, room frame, m.
        covariance: float64 (m, k, 3, 3), m^2.
        cost: float64 (m,), nats; less is likelier.
        flips: bool (m, v), whether a detection has left and right exchanged.
        residuals: float64 (m, v), median distance of the joints from where a view has them, in deviations.
    """

    x: Float64Array
    covariance: Float64Array
    cost: Float64Array
    flips: NDArray[np.bool_]
    residuals: Float64Array


@numba.njit(cache=True)
def place_alone(found: Detections, tree: BodyTree, limits: Limits) -> Alone:
    """Place each detection by its own view: by depth, by heights over the floor, by size."""
    d, n = found.sigma.shape
    k = len(tree.order)
    sigma, ray_sigma, depth = np.zeros((d, n)), np.zeros((d, n)), np.zeros(d)
    x, covariance = np.zeros((d, k, 3)), np.zeros((d, k, 3, 3))
    there, shift = np.zeros((1, n), np.bool_), np.zeros((1, 3))
    for i in range(d):
        v = found.camera[i]
        for j in range(n):
            there[0, j] = found.sigma[i, j] != 0
        depth[i] = likely_depth(found.xy[i], there[0], found.rays[i], found.centres[v, 2], found.focal[v],
                                found.z[i], found.sigma_z[i], tree, limits.height_spread_m)  # fmt: skip
        for j in range(n):
            if there[0, j]:
                own = found.sigma[i, j] / found.focal[v]
                if own < 0:
                    sure = math.sqrt(min(max(found.scores[i, j], limits.least_score), 1.0))
                    own = found.oks_sigmas[j] * limits.joint_sigma / sure / depth[i]
                ray_sigma[i, j] = math.sqrt(own * own + limits.calibration_rad**2)
                sigma[i, j] = ray_sigma[i, j] * found.focal[v]
        one, camera = slice(i, i + 1), slice(v, v + 1)
        start_body(found.rays[one], there, found.centres[camera], depth[one], shift, found.z[one],
                   found.sigma_z[one], tree, x[i])  # fmt: skip
        solve_body(
            x[i], found.projections[camera], found.xy[one], sigma[one], found.z[one], found.sigma_z[one],
            shift, tree, limits, limits.iterations_alone, covariance[i],
        )  # fmt: skip
    return Alone(sigma, ray_sigma, depth, x, covariance)


@numba.njit(cache=True)
def place_groups(
    groups: NDArray, velocities: NDArray, gains: NDArray, crossed: NDArray, found: Detections, alone: Alone,
    tree: BodyTree, limits: Limits,
) -> Placed:  # fmt: skip
    """Place people under the likeliest hypothesis of which views have left and right exchanged.

    Which views agree with each other follows from the pairs' odds; whether they or the others are right is
    decided by placing the person both ways, where neither side has a clear majority.

    Args:
        groups: int64 (m, v), rows of the detections of each person, -1 = no more.
        velocities: float64 (m, 3), of each person, m/s; 0 = unknown.
        gains: float64 (d, d), log odds of pairs as they are; see ``association``.
        crossed: float64 (d, d), with the sides of one of them exchanged.
        found: the detections.
        alone: each by its own view.
        tree: the body.
        limits: settings.
    """
    m, most = groups.shape
    k = len(tree.order)
    placed = Placed(np.zeros((m, k, 3)), np.zeros((m, k, 3, 3)), np.full(m, np.inf),
                    np.zeros((m, most), np.bool_), np.zeros((m, most)))  # fmt: skip
    x, covariance = np.zeros((k, 3)), np.zeros((k, 3, 3))
    for i in range(m):
        size = 0
        while size < most and groups[i, size] >= 0:
            size += 1
        rows = groups[i, :size]
        flips = _agreeing_flips(rows, gains, crossed)
        count = flips.sum()
        for other in range(2):
            hypothesis = ~flips if other else flips
            if other and abs(size - 2 * count) > 1:
                continue
            cost = _place(rows, hypothesis, velocities[i], found, alone, tree, limits, x, covariance)
            cost += limits.flip_nats * hypothesis.sum()
            if cost < placed.cost[i]:
                placed.cost[i] = cost
                placed.x[i], placed.covariance[i] = x, covariance
                placed.flips[i, :size] = hypothesis
        _residuals(rows, placed.x[i], placed.flips[i], velocities[i], found, alone, tree, placed.residuals[i])
    return placed


@numba.njit(cache=True)
def _agreeing_flips(rows: NDArray, gains: NDArray, crossed: NDArray) -> NDArray[np.bool_]:
    """Return which detections to mirror so that pairs agree best; at most half of them."""
    size = len(rows)
    best, best_mask = -np.inf, 0
    for mask in range(1 << (size - 1)):
        total = 0.0
        for a in range(size):
            for b in range(a + 1, size):
                same = ((mask >> a) & 1) == ((mask >> b) & 1)
                total += gains[rows[a], rows[b]] if same else crossed[rows[a], rows[b]]
        if total > best + 1e-9:
            best, best_mask = total, mask
    flips = np.zeros(size, np.bool_)
    for a in range(size):
        flips[a] = (best_mask >> a) & 1
    return ~flips if 2 * flips.sum() > size else flips


@numba.njit(cache=True)
def _place(
    rows: NDArray, flips: NDArray, velocity: NDArray, found: Detections, alone: Alone, tree: BodyTree,
    limits: Limits, x: NDArray, covariance: NDArray,
) -> float:  # fmt: skip
    """Place one person under one hypothesis; return the cost."""
    size, n = len(rows), found.sigma.shape[1]
    xy, rays = np.empty((size, n, 2)), np.empty((size, n, 3))
    sigma, z, sigma_z = np.empty((size, n)), np.empty((size, n)), np.empty((size, n))
    there, shift = np.empty((size, n), np.bool_), np.empty((size, 3))
    cameras, centres, depths = np.empty((size, 3, 4)), np.empty((size, 3)), np.empty(size)
    for s in range(size):
        row = rows[s]
        v = found.camera[row]
        cameras[s], centres[s], depths[s] = found.projections[v], found.centres[v], alone.depth[row]
        for a in range(3):
            shift[s, a] = -velocity[a] * found.age_s[v]
        for j in range(n):
            source = tree.flip[j] if flips[s] else j
            xy[s, j], rays[s, j] = found.xy[row, source], found.rays[row, source]
            sigma[s, j] = alone.sigma[row, source]
            z[s, j], sigma_z[s, j] = found.z[row, source], found.sigma_z[row, source]
            there[s, j] = sigma[s, j] > 0
    start_body(rays, there, centres, depths, shift, z, sigma_z, tree, x)
    return solve_body(x, cameras, xy, sigma, z, sigma_z, shift, tree, limits, limits.iterations, covariance)


@numba.njit(cache=True)
def _residuals(
    rows: NDArray, x: NDArray, flips: NDArray, velocity: NDArray, found: Detections, alone: Alone,
    tree: BodyTree, out: NDArray,
) -> None:  # fmt: skip
    """Write each view's median distance of the joints from where the person has them, in deviations."""
    n = found.sigma.shape[1]
    off = np.empty(n)
    for s in range(len(rows)):
        row, count = rows[s], 0
        v = found.camera[row]
        p = found.projections[v]
        for j in range(n):
            source = tree.flip[j] if flips[s] else j
            if not alone.sigma[row, source] > 0:
                continue
            x0, x1, x2 = (
                x[j, 0] - velocity[0] * found.age_s[v],
                x[j, 1] - velocity[1] * found.age_s[v],
                x[j, 2] - velocity[2] * found.age_s[v],
            )
            depth = p[2, 0] * x0 + p[2, 1] * x1 + p[2, 2] * x2 + p[2, 3]
            if depth < 0.1:
                off[count] = 100.0
            else:
                u = (p[0, 0] * x0 + p[0, 1] * x1 + p[0, 2] * x2 + p[0, 3]) / depth - found.xy[row, source, 0]
                w = (p[1, 0] * x0 + p[1, 1] * x1 + p[1, 2] * x2 + p[1, 3]) / depth - found.xy[row, source, 1]
                off[count] = math.sqrt(u * u + w * w) / alone.sigma[row, source]
            count += 1
        out[s] = np.median(off[:count]) if count else 0.0


@numba.njit(cache=True)
def seen_joints(
    groups: NDArray, flips: NDArray, sigma: NDArray, scores: NDArray, flip: NDArray
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return the best score of each joint of people, (m, n), 0 = not seen, and how many views have it.

    Args:
        groups: int64 (m, v), rows of the detections of each person, -1 = no more.
        flips: bool (m, v), whether a detection has left and right exchanged.
        sigma: float64 (d, n), of :class:`Alone`.
        scores: float64 (d, n), of the detections.
        flip: int64 (k,), of the body.
    """
    m, n = len(groups), sigma.shape[1]
    best, views = np.zeros((m, n)), np.zeros((m, n), np.int64)
    for i in range(m):
        for s in range(groups.shape[1]):
            row = groups[i, s]
            if row < 0:
                break
            for j in range(n):
                source = flip[j] if flips[i, s] else j
                if sigma[row, source] > 0:
                    views[i, j] += 1
                    best[i, j] = max(best[i, j], scores[row, source])
    return best, views
