"""``Skeleton2DArray`` and ``Skeleton3DArray``: the people of a frame."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from orpose_core.data.skeleton_messages.message_types import MessageTypes
from orpose_core.skeleton import Skeleton, by_name
from orpose_core.types import FloatArray, Poses, Source3D, Visibility

VISIBILITY_UNKNOWN = 255  # Keypoint2D.VISIBILITY_UNKNOWN
UNTRACKED = -1  # Skeleton2D.UNTRACKED


def to_skeletons_2d(
    poses: Poses,
    types: MessageTypes,
    *,
    stamp_ns: int,
    frame_id: str,
    image_hw: tuple[int, int],
    network_hw: tuple[int, int],
    modality: str,
    states: NDArray[np.uint8] | None = None,
) -> Any:
    """Return a ``Skeleton2DArray``; nobody gives an empty one.

    Args:
        poses: of one image.
        types: message classes.
        stamp_ns: of the source image.
        frame_id: of the source image.
        image_hw: (height, width) of the source image, in whose px the poses are.
        network_hw: (height, width) of the image that entered the network.
        modality: "depth" or "color".
        states: uint8 (m,) of ``tracking.TrackState``, or None where no tracker ran.
    """
    xy, scores = poses.xy_px.tolist(), poses.scores.tolist()
    sigma = _or_nan(poses.sigma_px, poses.scores.shape).tolist()
    if poses.visibility is None:
        seen = np.where(poses.scores > 0, VISIBILITY_UNKNOWN, Visibility.ABSENT).tolist()
    else:
        seen = poses.visibility.tolist()
    ids = _ids(poses)
    skeletons = [
        types.Skeleton2D(
            track_id=ids[p],
            track_state=0 if states is None else int(states[p]),
            score=float(poses.person_scores[p]),
            box=poses.boxes_px[p].copy(),
            keypoints=[
                types.Keypoint2D(x=x, y=y, score=s, visibility=v, sigma_px=e)
                for (x, y), s, v, e in zip(xy[p], scores[p], seen[p], sigma[p], strict=True)
            ],
        )
        for p in range(len(poses))
    ]
    return types.Skeleton2DArray(
        header=types.header(stamp_ns, frame_id),
        skeleton_model=poses.skeleton.name,
        image_width=int(image_hw[1]),
        image_height=int(image_hw[0]),
        network_input_width=int(network_hw[1]),
        network_input_height=int(network_hw[0]),
        modality=str(modality),
        skeletons=skeletons,
    )


def to_skeletons_3d(
    poses: Poses, types: MessageTypes, *, stamp_ns: int, frame_id: str, relative: bool | None = None
) -> Any:
    """Return a ``Skeleton3DArray`` of the same people in the same order.

    METRIC where ``xyz_cam_m`` is there, else ROOT_RELATIVE where ``xyz_root_m`` is; where neither is, METRIC
    with every joint unknown, so that there still is one message per frame. ``relative`` decides instead.
    Where ``source_3d`` is None, metric joints are said to come from DEPTH and relative ones to be LIFTED; the
    relative position of a joint that was lifted and then placed by depth is LIFTED.
    """
    kind = types.Skeleton3DArray
    if relative is None:
        relative = poses.xyz_cam_m is None and poses.xyz_root_m is not None
    shape = (*poses.scores.shape, 3)
    xyz = _or_nan(poses.xyz_root_m if relative else poses.xyz_cam_m, shape)
    known = np.asarray(~np.isnan(xyz).any(axis=-1))
    default = np.full(known.shape, Source3D.LIFTED if relative else Source3D.DEPTH, np.uint8)
    told = default if poses.source_3d is None else poses.source_3d
    if relative:
        told = np.where(told == Source3D.FUSED, Source3D.LIFTED, told)
    source = np.where(known, told, Source3D.NONE).tolist()
    scores = np.where(known, poses.scores, 0).tolist()
    sigma = np.where(known, _or_nan(poses.sigma_m, known.shape), np.nan).tolist()
    points = np.where(known[..., None], xyz, np.nan).tolist()
    roots = (np.full((len(poses), 3), np.nan) if relative else _roots(poses)).tolist()
    ids = _ids(poses)
    skeletons = [
        types.Skeleton3D(
            track_id=ids[p],
            score=float(poses.person_scores[p]),
            root=types.point(roots[p]),
            keypoints=[
                types.Keypoint3D(position=types.point(xyz_m), score=s, source=o, sigma_m=e)
                for xyz_m, s, o, e in zip(points[p], scores[p], source[p], sigma[p], strict=True)
            ],
        )
        for p in range(len(poses))
    ]
    return kind(
        header=types.header(stamp_ns, frame_id),
        skeleton_model=poses.skeleton.name,
        kind=int(kind.KIND_ROOT_RELATIVE if relative else kind.KIND_METRIC),
        skeletons=skeletons,
    )


def from_skeletons(message_2d: Any, message_3d: Any = None, skeleton: Skeleton | None = None) -> Poses:
    """Return the poses of a ``Skeleton2DArray`` and, where given, the ``Skeleton3DArray`` of the same frame.

    What no person of the message knows (sigma, visibility, track ids) is None. Of a METRIC message,
    ``xyz_root_m`` is the position less the root, NaN where the root is unknown.

    Args:
        message_2d: Skeleton2DArray.
        message_3d: Skeleton3DArray of the same people in the same order, or None.
        skeleton: the joint set; None = ours of the message's ``skeleton_model``.

    Raises:
        ValueError: an unknown skeleton, a wrong number of joints, or messages that do not belong together.
    """
    skeleton = skeleton or by_name(message_2d.skeleton_model)
    people = message_2d.skeletons
    m, n = len(people), len(skeleton)
    _check_joints(people, skeleton, "Skeleton2DArray")
    rows = [[(k.x, k.y, k.score, k.sigma_px, k.visibility) for k in p.keypoints] for p in people]
    table = np.array(rows, np.float32).reshape(m, n, 5)
    ids = np.array([p.track_id for p in people], np.int64)
    visibility = table[..., 4].astype(np.uint8)
    unknown = bool((visibility[table[..., 2] > 0] == VISIBILITY_UNKNOWN).all())
    poses = {
        "xy_px": table[..., :2].copy(),
        "scores": table[..., 2].copy(),
        "person_scores": np.array([p.score for p in people], np.float32),
        "boxes_px": np.array([list(p.box) for p in people], np.float32).reshape(m, 4),
        "visibility": None if unknown else visibility,
        "sigma_px": _or_none(table[..., 3].copy()),
        "track_ids": None if (ids == UNTRACKED).all() else ids,
    }
    return Poses(
        skeleton, **poses, **({} if message_3d is None else _space(message_2d, message_3d, skeleton))
    )


def states_of(message_2d: Any) -> NDArray[np.uint8]:
    """Return the track states of a ``Skeleton2DArray``, uint8 (m,)."""
    return np.array([p.track_state for p in message_2d.skeletons], np.uint8)


def joints_in_space(message_3d: Any, skeleton: Skeleton) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return positions, float64 (m, n, 3), and sigmas, float64 (m, n), of a ``Skeleton3DArray``, metres.

    Missing is NaN. ValueError if somebody has not the joints of ``skeleton``.
    """
    people = message_3d.skeletons
    _check_joints(people, skeleton, "Skeleton3DArray")
    rows = [[(k.position.x, k.position.y, k.position.z, k.sigma_m) for k in p.keypoints] for p in people]
    table = np.array(rows, np.float64).reshape(len(people), len(skeleton), 4)
    return table[..., :3].copy(), table[..., 3].copy()


def stamp_ns_of(message: Any) -> int:
    """Return the stamp of a message with a header, nanoseconds."""
    return int(message.header.stamp.sec) * 1_000_000_000 + int(message.header.stamp.nanosec)


def _space(message_2d: Any, message_3d: Any, skeleton: Skeleton) -> dict[str, Any]:
    """Return the 3D fields of Poses."""
    people = message_3d.skeletons
    stamps = stamp_ns_of(message_2d), stamp_ns_of(message_3d)
    flat = message_2d.skeletons
    if stamps[0] != stamps[1] or [p.track_id for p in people] != [p.track_id for p in flat]:
        raise ValueError(
            f"Skeleton3DArray: expected the {len(flat)} people of the Skeleton2DArray of stamp {stamps[0]}, "
            f"got {len(people)} of stamp {stamps[1]}"
        )
    xyz_m, sigma_m = joints_in_space(message_3d, skeleton)
    m, n = len(people), len(skeleton)
    source = np.array([[k.source for k in p.keypoints] for p in people], np.uint8).reshape(m, n)
    xyz = xyz_m.astype(np.float32)
    fields = {"sigma_m": _or_none(sigma_m.astype(np.float32)), "source_3d": source}
    if message_3d.kind == message_3d.KIND_ROOT_RELATIVE:
        return {**fields, "xyz_root_m": xyz}
    roots = np.array([(p.root.x, p.root.y, p.root.z) for p in people], np.float64).reshape(m, 1, 3)
    return {**fields, "xyz_cam_m": xyz, "xyz_root_m": (xyz - roots).astype(np.float32)}


def _check_joints(people: Sequence[Any], skeleton: Skeleton, kind: str) -> None:
    for person in people:
        if len(person.keypoints) != len(skeleton):
            raise ValueError(
                f"{kind}: expected {len(skeleton)} keypoints of {skeleton.name}, got {len(person.keypoints)}"
            )


def _roots(poses: Poses) -> NDArray[np.float64]:
    """Return (m, 3), the mean of the hips, else the pelvis joint, in the camera frame; NaN = unknown."""
    roots = np.full((len(poses), 3), np.nan)
    if poses.xyz_cam_m is None:
        return roots
    for names in (("left_hip", "right_hip"), ("pelvis",)):
        if all(name in poses.skeleton.joints for name in names):
            index = [poses.skeleton.index(name) for name in names]
            points = poses.xyz_cam_m[:, index].astype(np.float64).mean(axis=1)
            roots = np.where(np.isnan(roots), points, roots)
    return roots


def _or_nan(values: FloatArray | None, shape: tuple[int, ...]) -> FloatArray:
    return np.full(shape, np.nan, np.float32) if values is None else values


def _or_none(values: FloatArray) -> FloatArray | None:
    return None if np.isnan(values).all() else values


def _ids(poses: Poses) -> list[int]:
    return [UNTRACKED] * len(poses) if poses.track_ids is None else poses.track_ids.tolist()
