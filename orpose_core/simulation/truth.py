"""Ground truth of a view: where joints are, which of them are seen, and boxes of what is seen of a body."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from orpose_core.geometry import project
from orpose_core.simulation.people import kinematics as k
from orpose_core.simulation.rooms.scenes import Scene
from orpose_core.simulation.sensing.cameras import Camera
from orpose_core.simulation.sensing.raycast import View
from orpose_core.simulation.sensing.solids import Solids
from orpose_core.skeleton import BODY24
from orpose_core.types import Float64Array, Intrinsics, Poses, Visibility

_HEAD, _NECK, _TRUNK, _PELVIS, _SKIRT = 1, 2, 3, 4, 17

# For each joint: how far behind the surface it may lie to count as seen, in statures (half the thickness of
# the body there, clothes included), and the parts of the body that it may be seen through.
_DEPTH_BEHIND = np.zeros(24)
_PARTS = np.zeros((24, 18), np.bool_)


def _through(joint: int, thickness: float, *parts: int) -> None:
    _DEPTH_BEHIND[joint] = thickness
    _PARTS[joint, list(parts)] = True


_through(k.NOSE, 0.024, _HEAD)
for _eye in (k.LEFT_EYE, k.RIGHT_EYE):
    _through(_eye, 0.024, _HEAD)
for _ear in (k.LEFT_EAR, k.RIGHT_EAR):
    _through(_ear, 0.034, _HEAD)
_through(k.HEAD, 0.115, _HEAD)
_through(k.HEAD_TOP, 0.05, _HEAD)
_through(k.NECK_NOSE, 0.075, _HEAD, _NECK)
_through(k.NECK, 0.14, _HEAD, _NECK, _TRUNK)
_through(k.THORAX, 0.10, _NECK, _TRUNK)
_through(k.SPINE, 0.11, _TRUNK, _PELVIS, _SKIRT)
_through(k.PELVIS, 0.115, _TRUNK, _PELVIS, _SKIRT)
for _right in (False, True):
    _arm, _leg = (8, 14) if _right else (5, 11)
    _through(k.RIGHT_SHOULDER if _right else k.LEFT_SHOULDER, 0.075, _TRUNK, _arm, _NECK)
    _through(k.RIGHT_ELBOW if _right else k.LEFT_ELBOW, 0.048, _arm, _arm + 1)
    _through(k.RIGHT_WRIST_JOINT if _right else k.LEFT_WRIST_JOINT, 0.040, _arm + 1, _arm + 2)
    _through(k.RIGHT_HIP if _right else k.LEFT_HIP, 0.13, _PELVIS, _TRUNK, _leg, _SKIRT)
    _through(k.RIGHT_KNEE if _right else k.LEFT_KNEE, 0.075, _leg, _leg + 1, _SKIRT)
    _through(k.RIGHT_ANKLE if _right else k.LEFT_ANKLE, 0.045, _leg + 1, _leg + 2, _SKIRT)

THICKNESS_SHARES = _DEPTH_BEHIND
"""float64 (24,): how far behind the rendered surface a joint may lie and count as seen, in statures."""


@njit(cache=True)
def _see(
    xy: Float64Array,
    z: Float64Array,
    owner: int,
    thickness: Float64Array,
    parts_of_joint: NDArray[np.bool_],
    depth: Float64Array,
    solid: NDArray[np.int32],
    owners: NDArray[np.int64],
    parts: NDArray[np.int64],
) -> NDArray[np.uint8]:
    """Return COCO's flag of each joint of one person, uint8 (24,)."""
    height, width = depth.shape
    out = np.zeros(len(z), np.uint8)
    for j in range(len(z)):
        if not z[j] > 0.05:
            continue
        if not (xy[j, 0] >= -0.5 and xy[j, 0] < width - 0.5 and xy[j, 1] >= -0.5 and xy[j, 1] < height - 0.5):
            continue
        u, v = int(np.floor(xy[j, 0] + 0.5)), int(np.floor(xy[j, 1] + 0.5))
        i = solid[v, u]
        out[j] = 1
        if i < 0 or depth[v, u] >= z[j]:
            out[j] = 2  # nothing lies before it: at a silhouette the surface may pass beside the joint
        elif owners[i] == owner and parts_of_joint[j, parts[i]] and z[j] - depth[v, u] <= thickness[j]:
            out[j] = 2
    return out


def joint_visibility(
    xy_px: Float64Array,
    z_m: Float64Array,
    owner: int,
    dimensions: Float64Array,
    depth_m: Float64Array,
    solid: NDArray[np.int32],
    owners: NDArray[np.int64],
    parts: NDArray[np.int64],
) -> NDArray[np.uint8]:
    """Return :class:`Visibility` of each joint of one person, decided by the depth of the scene.

    A joint is seen where the first surface on its ray belongs to the same person, to a part of the body that
    the joint is inside of, and is no further in front of it than the body is thick there.

    Args:
        xy_px: float64 (24, 2), px.
        z_m: float64 (24,), depth of the joints, metres.
        owner: index of the person.
        dimensions: float64 (15,), of the person.
        depth_m: float64 (H, W), true depth of the scene.
        solid: int32 (H, W), index of the solid seen.
        owners: int64 (n,), of the solids.
        parts: int64 (n,), of the solids.
    """
    thickness = _DEPTH_BEHIND * dimensions[k.STATURE] * max(dimensions[k.GIRTH], 1.0) + 0.03
    return _see(xy_px, z_m, owner, thickness, _PARTS, depth_m, solid, owners, parts)


@njit(cache=True)
def seen_boxes(
    solid: NDArray[np.int32], owners: NDArray[np.int64], count: int
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Return the extent of what is seen of each person.

    Args:
        solid: int32 (H, W), index of the solid seen, -1 = nothing.
        owners: int64 (n,), of the solids.
        count: number of people.

    Returns:
        ``(boxes, areas)``: float32 (count, 4), x1 y1 x2 y2 in px, outer edges of the pixels (integer =
        centre); int64 (count,), pixels seen.
    """
    boxes = np.zeros((count, 4), np.float32)
    areas = np.zeros(count, np.int64)
    height, width = solid.shape
    boxes[:, 0] = width
    boxes[:, 1] = height
    boxes[:, 2] = -1
    boxes[:, 3] = -1
    for v in range(height):
        for u in range(width):
            i = solid[v, u]
            if i < 0 or owners[i] < 0:
                continue
            p = owners[i]
            areas[p] += 1
            boxes[p, 0] = min(boxes[p, 0], u - 0.5)
            boxes[p, 1] = min(boxes[p, 1], v - 0.5)
            boxes[p, 2] = max(boxes[p, 2], u + 0.5)
            boxes[p, 3] = max(boxes[p, 3], v + 0.5)
    return boxes, areas


def _in_camera(joints_room_m: Float64Array, camera_from_room: Float64Array) -> Float64Array:
    """Return joints, float64 (24, 3), in the camera's frame; summed in a fixed order."""
    m = camera_from_room
    return np.stack(
        [
            joints_room_m[:, 0] * m[i, 0]
            + joints_room_m[:, 1] * m[i, 1]
            + joints_room_m[:, 2] * m[i, 2]
            + m[i, 3]
            for i in range(3)
        ],
        axis=1,
    )


def ground_truth(
    scene: Scene,
    camera: Camera,
    k: Intrinsics,
    solids: Solids,
    view: View,
    joints: list[Float64Array],
    min_area_px: float,
    returned: NDArray[np.bool_] | None = None,
) -> tuple[Poses, tuple[str, ...], NDArray[np.int64], NDArray[np.int16]]:
    """Return poses, roles, areas and the map of people of one view.

    ``returned``, bool (H, W), says which pixels the depth camera gives; with it, people of whom it gives
    less than a tenth are left out.
    """
    owners, parts = solids.owners[: solids.count], solids.parts[: solids.count]
    owner_of = np.append(owners, -1)[view.solid]
    boxes, areas = seen_boxes(view.solid, owners, len(scene.people))
    least = min_area_px * (k.width / 640.0) * (k.height / 480.0)
    rows: list[int] = []
    xyz, xy, flags = [], [], []
    for i, person in enumerate(scene.people):
        if areas[i] < least:
            continue
        if returned is not None and np.count_nonzero(returned & (owner_of == i)) < 0.1 * areas[i]:
            continue
        xyz_cam = _in_camera(joints[i], camera.camera_from_room)
        xy_px = project(xyz_cam, k)
        seen = joint_visibility(
            xy_px, xyz_cam[:, 2], i, person.dimensions, view.depth_m, view.solid, owners, parts
        )
        rows.append(i)
        xyz.append(xyz_cam)
        xy.append(np.where((seen > 0)[:, None], xy_px, np.nan))
        flags.append(seen)
    lookup = np.full(len(scene.people) + 1, -1, np.int16)
    lookup[rows] = np.arange(len(rows), dtype=np.int16)
    people = lookup[owner_of]
    roles = tuple(scene.people[i].role for i in rows)
    joints_count = len(BODY24)  # the shapes hold for nobody, too
    xyz_cam_m = np.array(xyz, np.float32).reshape(-1, joints_count, 3)
    hips = [BODY24.index("left_hip"), BODY24.index("right_hip")]
    root = xyz_cam_m[:, hips].mean(axis=1, keepdims=True)
    visibility = np.array(flags, np.uint8).reshape(-1, joints_count)
    poses = Poses(
        BODY24,
        np.array(xy, np.float32).reshape(-1, joints_count, 2),
        (visibility > Visibility.ABSENT).astype(np.float32),
        np.ones(len(rows), np.float32),
        boxes[rows],
        xyz_root_m=xyz_cam_m - root,
        xyz_cam_m=xyz_cam_m,
        visibility=visibility,
        track_ids=np.array(rows, np.int64),
    )
    return poses, roles, areas[rows], people
