"""Evaluation of fused skeletons over time in simulated rooms with several cameras.

A network processes the low-resolution depth of each camera, as in the pose node. A person is found if at
least three of the eight joints are known and their median distance to the ground truth is below 40 cm. A
camera sees a person if at least four of the joints are visible in its image. Patients, who lie under sheets,
do not count.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from orpose_core.estimators import PoseEstimator
from orpose_core.evaluation.fusion_errors import JOINTS
from orpose_core.fusion.config import FusionConfig
from orpose_core.fusion.rig import RoomCamera
from orpose_core.fusion.room import Room
from orpose_core.geometry import transform_points
from orpose_core.image_ops import low_resolution_frame
from orpose_core.metrics.identities import IdentityCounts
from orpose_core.simulation import SimulatedFrame, StreamConfig, simulate_frame
from orpose_core.skeleton import BODY24, Skeleton
from orpose_core.tracking import Tracker
from orpose_core.types import Float64Array, Poses, Visibility

FUSED = "fused"
_FOUND_M = 0.4
_LEAST_JOINTS, _LEAST_VISIBLE = 3, 4
_TRUE_ROWS = [BODY24.index(joint) for joint in JOINTS]


@dataclass(frozen=True)
class RoomOptions:
    """Which rooms are simulated.

    Attributes:
        rooms: number of rooms.
        moments: number of moments in each.
        rate_hz: moments per second.
        seed: seed of the first room. No benchmark split has these rooms.
        size_hw: (height, width) of the depth images before they are shrunk for the network.
    """

    rooms: int = 4
    moments: int = 75
    rate_hz: float = 5.0
    seed: int = 901
    size_hw: tuple[int, int] = (192, 256)

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if name not in ("seed", "size_hw") and not value > 0:
                raise ValueError(f"{type(self).__name__}.{name}: expected more than 0, got {value}")


@dataclass(frozen=True)
class CameraMoment:
    """The image and detections of one camera at a moment.

    Attributes:
        camera: pose of the camera in the room, with the intrinsics of the images of ``poses``.
        poses: detections of the network, with metric 3D.
        truth: ground truth of the image.
        stamp_ns: stamp of the image, ns.
    """

    camera: RoomCamera
    poses: Poses
    truth: SimulatedFrame
    stamp_ns: int


def camera_moments(
    estimator: PoseEstimator, options: RoomOptions, room: int
) -> Iterable[Sequence[CameraMoment]]:
    """Yield the images and detections of the three cameras of a room, moment by moment."""
    config = StreamConfig(
        "or", options.size_hw, "depth", options.seed + room, 3, options.moments, options.rate_hz, rig="mvor"
    )
    for moment in range(options.moments):
        frames = [simulate_frame(config, 3 * moment + camera) for camera in range(3)]
        small = [low_resolution_frame(frame.frame, estimator.info.input_hw) for frame in frames]
        found = estimator.estimate(small)
        seen = []
        for frame, image, poses in zip(frames, small, found, strict=True):
            assert image.intrinsics is not None  # the simulator gives them
            camera = RoomCamera(frame.camera, image.intrinsics, frame.room_from_camera)
            seen.append(CameraMoment(camera, poses, frame, image.stamp_ns))
        yield seen


@dataclass
class _Side:
    """Detections of one camera, or of the fusion, in a room."""

    counts: IdentityCounts = field(default_factory=IdentityCounts)
    seen: int = 0
    found: int = 0
    strangers: int = 0
    error_m: list[float] = field(default_factory=list)
    joints: dict[tuple[int, int, int], float] = field(default_factory=dict)  # moment, person, joint


def evaluate_rooms(
    rooms: Iterable[Iterable[Sequence[CameraMoment]]],
    config: FusionConfig | None = None,
    progress: Callable[[], object] | None = None,
) -> dict[str, Any]:
    """Fuse and score the moments of rooms.

    Args:
        rooms: moments of each room, in order of time.
        config: settings of the fusion.
        progress: called after every moment.

    Returns:
        For the fusion and each camera: people seen, found, IDF1, switches, strangers (detections without a
        true person), mean error in cm, and ``same_joints_cm``, the mean errors of the fusion and the camera
        over the joints that both have.
    """
    sums: dict[str, list[_Side]] = {}
    for moments in rooms:
        sides = _score_room(moments, config, progress)
        for name, side in sides.items():
            sums.setdefault(name, []).append(side)
    return {name: _summary(sides, sums[FUSED]) for name, sides in sums.items()}


def _score_room(
    moments: Iterable[Sequence[CameraMoment]], config: FusionConfig | None, progress: Callable | None
) -> dict[str, _Side]:
    room: Room | None = None
    sides: dict[str, _Side] = {FUSED: _Side()}
    trackers: dict[str, Tracker] = {}
    for number, seen in enumerate(moments):
        skeleton = seen[0].poses.skeleton
        room = room or Room([view.camera for view in seen], skeleton, config)
        truth, seen_by = _truth(seen)
        for view in seen:
            name = view.camera.name
            room.add(name, replace(view.poses, track_ids=None), view.stamp_ns)
            tracked = trackers.setdefault(name, Tracker()).update(view.poses, view.stamp_ns)
            mine = {person for person, cameras in seen_by.items() if name in cameras}
            places = _in_room(tracked, view.camera)
            _add(sides.setdefault(name, _Side()), number, truth, mine, places, tracked.track_ids, skeleton)
        people = room.fuse().people
        _add(sides[FUSED], number, truth, set(seen_by), people.xyz_room_m, people.track_ids, skeleton)
        if progress is not None:
            progress()
    return sides


def _truth(seen: Sequence[CameraMoment]) -> tuple[dict[int, Float64Array], dict[int, set[str]]]:
    """Return the joints of all people in the room, (8, 3) m, and the cameras that see each person."""
    joints: dict[int, Float64Array] = {}
    seen_by: dict[int, set[str]] = {}
    for view in seen:
        poses = view.truth.poses
        assert poses.xyz_cam_m is not None and poses.track_ids is not None and poses.visibility is not None
        room = transform_points(view.truth.room_from_camera, poses.xyz_cam_m.astype(np.float64))
        visible = (poses.visibility[:, _TRUE_ROWS] == Visibility.VISIBLE).sum(axis=1)
        for row, person in enumerate(poses.track_ids.tolist()):
            joints[person] = room[row, _TRUE_ROWS]
            if visible[row] >= _LEAST_VISIBLE and view.truth.roles[row] != "patient":
                seen_by.setdefault(person, set()).add(view.camera.name)
    return joints, seen_by


def _in_room(poses: Poses, camera: RoomCamera) -> Float64Array:
    if poses.xyz_cam_m is None:
        return np.full((*poses.scores.shape, 3), np.nan)
    return transform_points(camera.room_from_camera, poses.xyz_cam_m.astype(np.float64))


def _add(
    side: _Side,
    moment: int,
    truth: dict[int, Float64Array],
    wanted: set[int],
    places: Float64Array,
    ids: Any,
    skeleton: Skeleton,
) -> None:
    """Add the detections of a side at a moment, except those near people who do not count."""
    true_ids = list(truth)
    rows = [skeleton.index(joint) for joint in JOINTS]
    there = np.array(list(truth.values())).reshape(-1, len(JOINTS), 3)
    error = np.linalg.norm(places[None, :, rows] - there[:, None], axis=-1)
    known = np.isfinite(error)
    enough = known.sum(axis=-1) >= _LEAST_JOINTS
    distance = np.full(enough.shape, np.nan)
    distance[enough] = np.nanmedian(error[enough], axis=-1)
    near: NDArray[np.bool_] = np.less(distance, _FOUND_M)  # NaN is not
    rows_wanted = [t for t, person in enumerate(true_ids) if person in wanted]
    counted = np.asarray(near[rows_wanted].any(axis=0) | ~near.any(axis=0))
    found = [] if ids is None else [f for f in range(len(places)) if counted[f]]
    pairs = side.counts.add(
        [true_ids[t] for t in rows_wanted],
        [int(ids[f]) for f in found],
        distance[np.ix_(rows_wanted, found)],
        _FOUND_M,
    )
    side.seen += len(rows_wanted)
    side.strangers += len(found) - len(pairs)
    for a, b in pairs:
        t, f = rows_wanted[a], found[b]
        person = true_ids[t]
        side.found += 1
        side.error_m.append(float(error[t, f][known[t, f]].mean()))
        for j in np.flatnonzero(known[t, f]).tolist():
            side.joints[moment, person, j] = float(error[t, f, j])


def _summary(sides: Sequence[_Side], fused: Sequence[_Side]) -> dict[str, Any]:
    both = [
        (own, whole.joints[key])
        for side, whole in zip(sides, fused, strict=True)
        for key, own in side.joints.items()
        if key in whole.joints
    ]
    joints = [error for side in sides for error in side.joints.values()]
    own_cm, fused_cm = (100 * np.array(both).reshape(-1, 2).mean(axis=0)).tolist() if both else (np.nan,) * 2
    counts = [side.counts for side in sides if side.counts.true + side.counts.found]
    return {
        "seen": sum(side.seen for side in sides),
        "found": sum(side.found for side in sides),
        "strangers": sum(side.strangers for side in sides),
        "switches": sum(side.counts.switches for side in sides),
        "idf1": float(np.average([c.idf1() for c in counts], weights=[max(c.true, 1) for c in counts]))
        if counts
        else np.nan,
        "error_cm": float(100 * np.mean(joints)) if joints else np.nan,
        "joints": len(joints),
        "same_joints_cm": {"own": own_cm, "fused": fused_cm, "joints": len(both)},
    }
