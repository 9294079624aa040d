"""Where to start the search for a body: triangulated joints, and single rays cut at a likely depth."""

from __future__ import annotations

import math

import numba
import numpy as np
from numpy.typing import NDArray

from orpose_core.fusion.body_prior import BodyTree
from orpose_core.fusion.solver import invert, left_of

_TORSO_M = 0.45  # shoulder to hip as a camera under the ceiling sees it, foreshortened
_NEAR_M, _FAR_M = 0.4, 12.0


@numba.njit(cache=True)
def likely_depth(
    xy: NDArray, there: NDArray, rays: NDArray, centre_z: float, focal_px: float, z: NDArray,
    sigma_z: NDArray, tree: BodyTree, height_spread_m: float,
) -> float:  # fmt: skip
    """Return how far along the optical axis a person is who is seen by one camera, m.

    The mean, by their variances, of what the depth image says, of where the rays of shoulders, hips and head
    reach the height at which people have them, and of how long the torso looks.
    """
    total, weights = 0.0, 0.0
    for j in range(len(rays)):
        if not there[j]:
            continue
        if sigma_z[j] > 0:
            w = 1 / sigma_z[j] ** 2
            total, weights = total + w * z[j], weights + w
        slope = -rays[j, 2]
        if tree.height_m[j] > 0 and slope > 0.1:
            d = (centre_z - tree.height_m[j]) / slope
            if _NEAR_M < d < _FAR_M:
                w = (slope / height_spread_m) ** 2
                total, weights = total + w * d, weights + w
    for k in range(len(tree.trunk)):
        a, b = tree.trunk[k, 0], tree.trunk[k, 1]
        if a < len(rays) and b < len(rays) and there[a] and there[b]:
            length = math.sqrt((xy[a, 0] - xy[b, 0]) ** 2 + (xy[a, 1] - xy[b, 1]) ** 2)
            d = focal_px * _TORSO_M / max(length, 1e-6)
            if _NEAR_M < d < _FAR_M:
                w = 1 / (0.35 * d) ** 2
                total, weights = total + w * d, weights + w
    return total / weights if weights > 0 else 3.0


@numba.njit(cache=True)
def start_body(
    rays: NDArray, there: NDArray, centres: NDArray, depths: NDArray, shift: NDArray, z: NDArray,
    sigma_z: NDArray, tree: BodyTree, x: NDArray,
) -> None:  # fmt: skip
    """Write a first guess of all nodes.

    Args:
        rays: float64 (v, n, 3), room frame, 1 m along the optical axis.
        there: bool (v, n), which joints a view has.
        centres: float64 (v, 3), the cameras' places.
        depths: float64 (v,), likely depth of the person in each view.
        shift: float64 (v, 3), see :func:`~orpose_core.fusion.solver.solve_body`.
        z: float64 (v, n), measured depth.
        sigma_z: float64 (v, n), 0 = not measured.
        tree: the body.
        x: float64 (k, 3), written.
    """
    k, known = len(x), np.zeros(len(x), np.bool_)
    normal, right, inverse = np.empty((3, 3)), np.empty(3), np.empty((3, 3))
    for j in range(rays.shape[1]):
        normal[:], right[:], views = 0.0, 0.0, 0
        for v in range(len(rays)):
            if not there[v, j]:
                continue
            views += 1
            d = rays[v, j]
            squared = d[0] ** 2 + d[1] ** 2 + d[2] ** 2
            # Along the ray a weak pull to the likely depth, so that one view or two parallel ones suffice.
            along = 2500.0 if sigma_z[v, j] > 0 else 10.0
            at = z[v, j] if sigma_z[v, j] > 0 else depths[v]
            for a in range(3):
                for b in range(3):
                    m = (along - 2500.0) * d[a] * d[b] / squared + (2500.0 if a == b else 0.0)
                    normal[a, b] += m
                    right[a] += m * (centres[v, b] + at * d[b] - shift[v, b])
        if views:
            invert(normal, inverse)
            for a in range(3):
                x[j, a] = inverse[a, 0] * right[0] + inverse[a, 1] * right[1] + inverse[a, 2] * right[2]
            known[j] = True
    left = np.zeros(3)
    if not left_of(x, known, tree.pairs, left):
        # Turned towards the first camera that saw the person.
        any_joint = np.argmax(known)
        a, b = centres[0, 0] - x[any_joint, 0], centres[0, 1] - x[any_joint, 1]
        size = max(math.sqrt(a * a + b * b), 1e-6)
        left[0], left[1], left[2] = -b / size, a / size, 0.0
    # Up the tree from what is known, then down to what is not.
    for i in range(k - 1, 0, -1):
        c = tree.order[i]
        p = tree.parents[c]
        if known[c] and not known[p]:
            _offset_in_room(tree.offset_m[c], left, right)
            for a in range(3):
                x[p, a] = x[c, a] - right[a]
            known[p] = True
    for i in range(1, k):
        c = tree.order[i]
        if not known[c]:
            _offset_in_room(tree.offset_m[c], left, right)
            for a in range(3):
                x[c, a] = x[tree.parents[c], a] + right[a]
            known[c] = True


@numba.njit(cache=True)
def _offset_in_room(offset: NDArray, left: NDArray, out: NDArray) -> None:
    out[0] = left[1] * offset[0] + left[0] * offset[1]
    out[1] = -left[0] * offset[0] + left[1] * offset[1]
    out[2] = offset[2]
