"""Where a person's joints are, given what cameras saw of them and how people are built.

The joints' positions maximise a posterior: every 2D joint, every depth and every bone adds a term with heavy
tails (Student's t), and Gauss-Newton with reweighting finds the maximum. A body is a tree, so the normal
equations of all joints are solved by eliminating children into parents, 3x3 block by 3x3 block, and the same
pass in the other direction gives each joint's covariance. Room frame, z up, floor at 0; metres and pixels.
"""

from __future__ import annotations

import math

import numba
import numpy as np
from numpy.typing import NDArray

from orpose_core.fusion.body_prior import BodyTree
from orpose_core.fusion.config import Limits

# Degrees of freedom of the heavy tails: of 2D joints and depths, of offsets, of lengths and heights.
_NU_SEEN, _NU_OFFSET, _NU_LENGTH = 3.0, 5.0, 4.0
_BEHIND = 100.0  # squared residual of a joint that would lie behind the camera that saw it


@numba.njit(cache=True)
def invert(a: NDArray, out: NDArray) -> None:
    """Invert a symmetric positive 3x3 matrix."""
    c00 = a[1, 1] * a[2, 2] - a[1, 2] * a[2, 1]
    c01 = a[0, 2] * a[2, 1] - a[0, 1] * a[2, 2]
    c02 = a[0, 1] * a[1, 2] - a[0, 2] * a[1, 1]
    d = a[0, 0] * c00 + a[1, 0] * c01 + a[2, 0] * c02
    out[0, 0], out[0, 1], out[0, 2] = c00 / d, c01 / d, c02 / d
    out[1, 0], out[2, 0] = out[0, 1], out[0, 2]
    out[1, 1] = (a[0, 0] * a[2, 2] - a[0, 2] * a[2, 0]) / d
    out[1, 2] = (a[0, 2] * a[1, 0] - a[0, 0] * a[1, 2]) / d
    out[2, 1] = out[1, 2]
    out[2, 2] = (a[0, 0] * a[1, 1] - a[0, 1] * a[1, 0]) / d


@numba.njit(cache=True)
def _product(a: NDArray, b: NDArray, out: NDArray) -> None:
    """Multiply two 3x3 matrices."""
    for i in range(3):
        for j in range(3):
            out[i, j] = a[i, 0] * b[0, j] + a[i, 1] * b[1, j] + a[i, 2] * b[2, j]


@numba.njit(cache=True)
def left_of(x: NDArray, there: NDArray, pairs: NDArray, out: NDArray) -> bool:
    """Write the horizontal unit vector to the body's left, of the pairs that are there; False = unknown."""
    a, b, weight_left = 0.0, 0.0, 3.0
    for k in range(len(pairs)):
        left, right = pairs[k, 0], pairs[k, 1]
        if not (there[left] and there[right]):
            continue
        a += x[left, 0] - x[right, 0]
        b += x[left, 1] - x[right, 1]
        weight_left -= 1.5 if k < 2 else 3.0  # shoulders and hips together, else one other pair
        if weight_left <= 0:
            break
    length = math.sqrt(a * a + b * b)
    if length < 1e-6:
        return False
    out[0], out[1], out[2] = a / length, b / length, 0.0
    return True


@numba.njit(cache=True)
def _add_seen(
    x: NDArray, cameras: NDArray, xy: NDArray, sigma: NDArray, z: NDArray, sigma_z: NDArray,
    shift: NDArray, h: NDArray, g: NDArray,
) -> float:  # fmt: skip
    """Add what the views say to the diagonal blocks and the gradient; return its cost."""
    cost = 0.0
    jac = np.empty((2, 3))
    for v in range(len(cameras)):
        p = cameras[v]
        for j in range(xy.shape[1]):
            if not sigma[v, j] > 0:
                continue
            x0, x1, x2 = x[j, 0] + shift[v, 0], x[j, 1] + shift[v, 1], x[j, 2] + shift[v, 2]
            depth = p[2, 0] * x0 + p[2, 1] * x1 + p[2, 2] * x2 + p[2, 3]
            if depth < 0.1:
                cost += 0.5 * (_NU_SEEN + 2) * math.log(1 + _BEHIND / _NU_SEEN)
                continue
            u = (p[0, 0] * x0 + p[0, 1] * x1 + p[0, 2] * x2 + p[0, 3]) / depth
            w = (p[1, 0] * x0 + p[1, 1] * x1 + p[1, 2] * x2 + p[1, 3]) / depth
            ru, rw = (u - xy[v, j, 0]) / sigma[v, j], (w - xy[v, j, 1]) / sigma[v, j]
            square = ru * ru + rw * rw
            cost += 0.5 * (_NU_SEEN + 2) * math.log(1 + square / _NU_SEEN)
            weight, scale = (_NU_SEEN + 2) / (_NU_SEEN + square), 1 / (depth * sigma[v, j])
            for a in range(3):
                jac[0, a] = scale * (p[0, a] - u * p[2, a])
                jac[1, a] = scale * (p[1, a] - w * p[2, a])
            for a in range(3):
                g[j, a] += weight * (jac[0, a] * ru + jac[1, a] * rw)
                for b in range(3):
                    h[j, a, b] += weight * (jac[0, a] * jac[0, b] + jac[1, a] * jac[1, b])
            if sigma_z[v, j] > 0:
                r = (depth - z[v, j]) / sigma_z[v, j]
                cost += 0.5 * (_NU_SEEN + 1) * math.log(1 + r * r / _NU_SEEN)
                weight = (_NU_SEEN + 1) / (_NU_SEEN + r * r) / sigma_z[v, j]
                for a in range(3):
                    g[j, a] += weight * r * p[2, a]
                    for b in range(3):
                        h[j, a, b] += weight / sigma_z[v, j] * p[2, a] * p[2, b]
    return cost


@numba.njit(cache=True)
def _bone(
    d: NDArray, left: NDArray, offset: NDArray, spread: NDArray, length: float, length_spread: float,
    w: NDArray, gradient: NDArray,
) -> float:  # fmt: skip
    """Write a bone's information, 3x3, and its gradient at the difference ``d``; return its cost."""
    # The body's axes are forward (left_y, -left_x, 0), left and up.
    fx, fy, lx, ly = left[1], -left[0], left[0], left[1]
    forward, aside = fx * d[0] + fy * d[1] - offset[0], lx * d[0] + ly * d[1] - offset[1]
    up = d[2] - offset[2]
    i0, i1, i2 = 1 / spread[0] ** 2, 1 / spread[1] ** 2, 1 / spread[2] ** 2
    square = forward * forward * i0 + aside * aside * i1 + up * up * i2
    cost = 0.5 * (_NU_OFFSET + 3) * math.log(1 + square / _NU_OFFSET)
    weight = (_NU_OFFSET + 3) / (_NU_OFFSET + square)
    i0, i1, i2 = weight * i0, weight * i1, weight * i2
    gradient[0] = i0 * fx * forward + i1 * lx * aside
    gradient[1] = i0 * fy * forward + i1 * ly * aside
    gradient[2] = i2 * up
    w[0, 0], w[1, 1], w[2, 2] = i0 * fx * fx + i1 * lx * lx, i0 * fy * fy + i1 * ly * ly, i2
    w[0, 1] = i0 * fx * fy + i1 * lx * ly
    w[0, 2] = w[1, 2] = 0.0
    norm = math.sqrt(d[0] ** 2 + d[1] ** 2 + d[2] ** 2)
    if length > 0 and norm > 1e-6:
        s = length_spread * length + 0.01
        r = (norm - length) / s
        cost += 0.5 * (_NU_LENGTH + 1) * math.log(1 + r * r / _NU_LENGTH)
        weight = (_NU_LENGTH + 1) / (_NU_LENGTH + r * r)
        along, pull = weight / (s * s * norm * norm), weight * r / (s * norm)
        for a in range(3):
            gradient[a] += pull * d[a]
            for b in range(a, 3):
                w[a, b] += along * d[a] * d[b]
    w[1, 0], w[2, 0], w[2, 1] = w[0, 1], w[0, 2], w[1, 2]
    return cost


@numba.njit(cache=True)
def solve_body(
    x: NDArray, cameras: NDArray, xy: NDArray, sigma: NDArray, z: NDArray, sigma_z: NDArray, shift: NDArray,
    tree: BodyTree, limits: Limits, iterations: float, covariance: NDArray,
) -> float:  # fmt: skip
    """Move ``x`` to the posterior's maximum, in place; return the cost there, in nats.

    Args:
        x: float64 (k, 3), where to start; room frame, m; finite.
        cameras: float64 (v, 3, 4), projections from the room to px.
        xy: float64 (v, n, 2), px; the first n nodes are what is seen.
        sigma: float64 (v, n), px; 0 or NaN = not seen.
        z: float64 (v, n), depth along the optical axis, m.
        sigma_z: float64 (v, n), m; 0 or NaN = not measured.
        shift: float64 (v, 3), how far the person had moved when this view was taken, m.
        tree: the body.
        limits: settings.
        iterations: at most; it ends when nothing moves by 3 mm.
        covariance: float64 (k, 3, 3), written, m^2.
    """
    order, parents, last = tree.order, tree.parents, int(iterations)
    pelvis_m, pelvis_spread_m = tree.height_m[order[0]], limits.height_spread_m
    k = len(x)
    h, g, w = np.empty((k, 3, 3)), np.empty((k, 3)), np.empty((k, 3, 3))
    gain = np.empty((k, 3, 3))
    inverse, step, d, gradient = np.empty((k, 3, 3)), np.empty((k, 3)), np.empty(3), np.empty(3)
    there = np.ones(k, np.bool_)
    left = np.array([0.0, 1.0, 0.0])
    root = order[0]
    cost = 0.0
    for iteration in range(last + 1):
        left_of(x, there, tree.pairs, left)
        h[:], g[:] = 0.0, 0.0
        for j in range(k):
            for a in range(3):
                h[j, a, a] = 1e-2
        cost = _add_seen(x, cameras, xy, sigma, z, sigma_z, shift, h, g)
        r = (x[root, 2] - pelvis_m) / pelvis_spread_m
        cost += 0.5 * (_NU_LENGTH + 1) * math.log(1 + r * r / _NU_LENGTH)
        weight = (_NU_LENGTH + 1) / (_NU_LENGTH + r * r) / pelvis_spread_m
        g[root, 2] += weight * r
        h[root, 2, 2] += weight / pelvis_spread_m
        for i in range(1, k):
            c = order[i]
            p = parents[c]
            for a in range(3):
                d[a] = x[c, a] - x[p, a]
            cost += _bone(
                d,
                left,
                tree.offset_m[c],
                tree.spread_m[c],
                tree.length_m[c],
                limits.length_spread,
                w[c],
                gradient,
            )
            for a in range(3):
                g[c, a] += gradient[a]
                g[p, a] -= gradient[a]
        # Children into parents: a child's own information and its bone's stand in series.
        for i in range(k - 1, 0, -1):
            c = order[i]
            p = parents[c]
            for a in range(3):
                for b in range(3):
                    h[c, a, b] += w[c, a, b]
            invert(h[c], inverse[c])
            _product(w[c], inverse[c], gain[c])
            for a in range(3):
                for b in range(3):
                    h[p, a, b] += w[c, a, b] - (
                        gain[c, a, 0] * w[c, 0, b] + gain[c, a, 1] * w[c, 1, b] + gain[c, a, 2] * w[c, 2, b]
                    )
                g[p, a] += gain[c, a, 0] * g[c, 0] + gain[c, a, 1] * g[c, 1] + gain[c, a, 2] * g[c, 2]
        invert(h[root], inverse[root])
        if iteration == last:
            break
        for a in range(3):
            step[root, a] = -(
                inverse[root, a, 0] * g[root, 0] + inverse[root, a, 1] * g[root, 1]
                + inverse[root, a, 2] * g[root, 2]
            )  # fmt: skip
        for i in range(1, k):
            c = order[i]
            p = parents[c]
            for a in range(3):
                total = 0.0
                for b in range(3):
                    # gain is w times the inverse, both symmetric: its transpose carries the parent's step.
                    total += gain[c, b, a] * step[p, b] - inverse[c, a, b] * g[c, b]
                step[c, a] = total
        longest = 0.0
        for j in range(k):
            size = math.sqrt(step[j, 0] ** 2 + step[j, 1] ** 2 + step[j, 2] ** 2)
            longest = max(longest, size)
            scale = 0.5 / size if size > 0.5 else 1.0
            for a in range(3):
                x[j, a] += scale * step[j, a]
        if longest < 3e-3:
            last = iteration + 1  # once more, for the cost and the covariance at the end
    covariance[root, :, :] = inverse[root]
    for i in range(1, k):
        c = order[i]
        p = parents[c]
        _product(covariance[p], gain[c], w[c])
        for a in range(3):
            for b in range(3):
                covariance[c, a, b] = inverse[c, a, b] + (
                    gain[c, 0, a] * w[c, 0, b] + gain[c, 1, a] * w[c, 1, b] + gain[c, 2, a] * w[c, 2, b]
                )
    return cost
