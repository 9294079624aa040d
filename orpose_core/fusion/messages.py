"""People of a room as a ``Skeleton3DArray``, for any set of message classes."""

from __future__ import annotations

from typing import Any

import numpy as np

from orpose_core.data.skeleton_messages import UNTRACKED, MessageTypes
from orpose_core.fusion.people import RoomPeople
from orpose_core.types import Float64Array


def to_room_skeletons(people: RoomPeople, types: MessageTypes, *, stamp_ns: int, frame_id: str) -> Any:
    """Return the metric ``Skeleton3DArray`` of a room; nobody gives an empty one.

    Args:
        people: in the room.
        types: message classes.
        stamp_ns: of the moment.
        frame_id: of the room.
    """
    kind, m = types.Skeleton3DArray, len(people)
    xyz, sigma = people.xyz_room_m.tolist(), people.sigma_m.tolist()
    scores, source, roots = people.scores.tolist(), people.source_3d.tolist(), _roots(people).tolist()
    ids = [UNTRACKED] * m if people.track_ids is None else people.track_ids.tolist()
    return kind(
        header=types.header(stamp_ns, frame_id),
        skeleton_model=people.skeleton.name,
        kind=int(kind.KIND_METRIC),
        skeletons=[
            types.Skeleton3D(
                track_id=ids[p],
                score=float(people.person_scores[p]),
                root=types.point(roots[p]),
                keypoints=[
                    types.Keypoint3D(position=types.point(xyz_m), score=s, source=o, sigma_m=e)
                    for xyz_m, s, o, e in zip(xyz[p], scores[p], source[p], sigma[p], strict=True)
                ],
            )
            for p in range(m)
        ],
    )


def _roots(people: RoomPeople) -> Float64Array:
    """Return the mean of the hips, else the pelvis joint, (m, 3) m; NaN = unknown."""
    roots, joints = np.full((len(people), 3), np.nan), people.skeleton.joints
    for names in (("left_hip", "right_hip"), ("pelvis",)):
        if set(names) <= set(joints):
            index = [people.skeleton.index(name) for name in names]
            roots = np.where(np.isnan(roots), people.xyz_room_m[:, index].mean(axis=1), roots)
    return roots
