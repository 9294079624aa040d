"""Lower bounds of the error of triangulation on MVOR, with annotated 2D joints and with matched detections.

A fusion has to determine identities, sides, and the views to trust. Here they come from the ground truth, so
the remaining errors are those of the 2D joints and of the 3D ground truth.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np

from orpose_core.evaluation.fusion_errors import JOINTS, errors_of, fit_hips, move_hips
from orpose_core.fusion.rig import RoomCamera
from orpose_core.skeleton import MVOR10
from orpose_core.types import Float64Array, Poses

_ROWS = [MVOR10.index(joint) for joint in JOINTS]
_MIRRORED = [1, 0, 3, 2, 5, 4, 7, 6]  # JOINTS of the other side
_NEAR_PX = 30.0  # median distance in the image up to which a detection can be of a true person
_VISIBLE = 2


def triangulation_bounds(
    content: Mapping[str, Any],
    path: str,
    rig: Sequence[RoomCamera],
    detections: Mapping[int, Poses],
    frames: Sequence[Sequence[int]],
    truth: Mapping[tuple[int, ...], Sequence[Float64Array]],
) -> dict[str, dict[str, dict[str, float | int]]]:
    """Return errors of triangulated joints on days 2 to 4, by source and number of views.

    Sources: ``annotated`` are the annotated 2D joints, ``annotated_visible`` those that are marked as
    visible. ``assigned`` are detections that are assigned to the true person with the most similar 2D joints,
    with the sides of the ground truth. ``best_views`` are the same, but each joint uses the views with the
    smallest error. The offset of the detections' hips is fitted on day 1, as for the fusion.

    Args:
        content: content of MVOR's annotation file.
        path: path of the file, for messages.
        rig: the cameras of MVOR.
        detections: detections by image id.
        frames: image ids of each multi-view frame.
        truth: float64 (8, 3) of each person, room frame, m, NaN = missing, by frame.
    """
    projections = np.stack([camera.projection for camera in rig])
    people = [
        (frame, person, row) for frame in frames for row, person in enumerate(truth.get(tuple(frame), []))
    ]
    true = np.array([person for _, person, _ in people]).reshape(-1, len(JOINTS), 3)
    day = np.array([frame[0] // 10**10 for frame, _, _ in people], np.int64)
    marked = _annotated(content, path, people)
    visible = np.where(marked[..., 2:] == _VISIBLE, marked[..., :2], np.nan)
    found = _assigned(detections, projections, people)
    out = {
        name: _by_views(triangulate(projections, xy), true, xy, day)
        for name, xy in (("annotated", marked[..., :2]), ("annotated_visible", visible))
    }
    fused = triangulate(projections, found)
    moved = move_hips(fused, fit_hips(fused[day == 1], true[day == 1]))
    out["assigned"] = _by_views(moved, true, found, day)
    out["best_views"] = _by_views(_best_views(projections, found, moved - fused, true), true, found, day)
    return out


def triangulate(projections: Float64Array, xy: Float64Array) -> Float64Array:
    """Return the points with the smallest sum of squared reprojection errors, px.

    Args:
        projections: float64 (v, 3, 4), from the room to px times depth.
        xy: float64 (..., v, n, 2), px, NaN = not visible.

    Returns:
        float64 (..., n, 3), room frame, m; NaN = visible in fewer than two views.
    """
    seen = np.asarray(np.isfinite(xy).all(axis=-1))
    two = np.asarray(seen.sum(axis=-2) >= 2)
    points = np.moveaxis(xy, -2, -3)[two]  # (k, v, 2)
    weight = np.moveaxis(seen, -1, -2)[two].astype(np.float64)
    points = np.where(weight[..., None] > 0, points, 0.0)
    # Linear first (Hartley, Zisserman: Multiple View Geometry, 2004, Sect. 12.2), then Gauss-Newton.
    rows = points[..., None] * projections[:, None, 2] - projections[:, :2]  # (k, v, 2, 4)
    rows = (rows * weight[..., None, None]).reshape(len(points), -1, 4)
    normal = np.einsum("kra,krb->kab", rows[..., :3], rows[..., :3])
    place = -np.linalg.solve(normal, np.einsum("kra,kr->ka", rows[..., :3], rows[..., 3])[..., None])[..., 0]
    for _ in range(5):
        q = np.einsum("vab,kb->kva", projections, np.c_[place, np.ones(len(place))])
        u = q[..., :2] / q[..., 2:]
        jac = (projections[:, :2, :3] - u[..., None] * projections[:, 2:, :3]) / q[..., 2:, None]
        off = (u - points) * weight[..., None]
        jac = jac * weight[..., None, None]
        normal = np.einsum("kvia,kvib->kab", jac, jac)
        place = place - np.linalg.solve(normal, np.einsum("kvia,kvi->ka", jac, off)[..., None])[..., 0]
    out = np.full((*two.shape, 3), np.nan)
    out[two] = place
    return out


def _annotated(content: Mapping[str, Any], path: str, people: Sequence[tuple]) -> Float64Array:
    """Return the annotated joints, (m, v, 8, 3): x, y in px, and the visibility mark; NaN = none."""
    try:
        flat = {
            (a["image_id"], a["person_id"]): np.array(a["keypoints"], np.float64).reshape(-1, 3)[_ROWS]
            for a in content["annotations"]
            if not a["only_bbox"]
        }
        numbers: dict[str, list[int]] = {}
        for a in content["annotations3D"]:
            numbers.setdefault(a["image_ids"], []).append(a["person_id"])
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path}: expected MVOR's annotations and annotations3D, got {error!r}") from error
    nothing = np.full((len(JOINTS), 3), np.nan)
    views = []
    for frame, _, row in people:
        number = numbers["_".join(map(str, frame))][row]
        views.append([flat.get((image, number), nothing) for image in frame])
    out = np.array(views, np.float64).reshape(len(people), -1, len(JOINTS), 3)
    out[out[..., 2] == 0] = np.nan
    return out


def _assigned(
    detections: Mapping[int, Poses], projections: Float64Array, people: Sequence[tuple]
) -> Float64Array:
    """Return the joints of the detections most similar to the true people, (m, v, 8, 2) px, NaN = none."""
    out = np.full((len(people), len(projections), len(JOINTS), 2), np.nan)
    for i, (frame, person, _) in enumerate(people):
        for v, image in enumerate(frame):
            poses = detections[image]
            own = [poses.skeleton.index(joint) for joint in JOINTS]
            q = np.c_[person, np.ones(len(person))] @ projections[v].T
            where, nearest = q[:, :2] / q[:, 2:], _NEAR_PX
            for xy in poses.xy_px[:, own].astype(np.float64):
                for sides in (xy, xy[_MIRRORED]):
                    off = np.linalg.norm(sides - where, axis=1)
                    known = off[np.isfinite(off)]
                    if len(known) >= 3 and np.median(known) < nearest:
                        nearest, out[i, v] = float(np.median(known)), _sorted_sides(sides, where)
    return out


def _sorted_sides(xy: Float64Array, where: Float64Array) -> Float64Array:
    """Return the joints with left and right of each part exchanged if that reduces the error."""
    straight = np.nansum(np.linalg.norm(xy - where, axis=1).reshape(-1, 2), axis=1)
    crossed = np.nansum(np.linalg.norm(xy[_MIRRORED] - where, axis=1).reshape(-1, 2), axis=1)
    return np.where(np.repeat(crossed < straight, 2)[:, None], xy[_MIRRORED], xy)


def _best_views(
    projections: Float64Array, xy: Float64Array, moves: Float64Array, true: Float64Array
) -> Float64Array:
    """Return each joint triangulated from the views, two or more, that give the smallest error."""
    best = np.full(true.shape, np.nan)
    nearest = np.full(true.shape[:-1], np.inf)
    count = len(projections)
    for size in range(2, count + 1):
        for views in map(list, combinations(range(count), size)):
            candidate = triangulate(projections[views], xy[:, views]) + moves
            error = np.linalg.norm(candidate - true, axis=-1)
            better = np.asarray(error < nearest)
            best[better], nearest[better] = candidate[better], error[better]
    return best


def _by_views(
    fused: Float64Array, true: Float64Array, xy: Float64Array, day: Any
) -> dict[str, dict[str, float | int]]:
    views = np.isfinite(xy).all(axis=-1).any(axis=-1).sum(axis=-1)
    groups = {"two_or_three": views >= 2, "three": views == 3}
    return {name: errors_of(fused[rows & (day > 1)], true[rows & (day > 1)]) for name, rows in groups.items()}
