"""The room in space as lines, points and labels, ready to be drawn; float32, metres, room frame (z up)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from orpose_core.fusion.rig import RoomCamera
from orpose_core.geometry import transform_points
from orpose_core.render import track_color
from orpose_core.types import Float64Array, FloatArray
from orpose_core.view.history import Snapshot
from orpose_core.view.moments import UNTRACKED, CameraMoment, RoomMoment, ShownCamera

SPACING_M = 4.0
"""Cameras that nobody has placed stand side by side, this far apart."""

_LEVEL = np.array([[0.0, 0.0, 1.0, 0.0], [-1.0, 0.0, 0.0, 0.0], [0.0, -1.0, 0.0, 2.0], [0.0, 0.0, 0.0, 1.0]])
"""From an optical frame (z forward, y down) that hangs level, 2 m above the floor, to the room."""

_GREY = (150, 150, 150)


@dataclass(frozen=True)
class Label:
    """A word beside a person.

    Attributes:
        text: what it says.
        at_m: where.
    """

    text: str
    at_m: tuple[float, float, float]


@dataclass(frozen=True)
class RoomDrawing:
    """What is drawn of a room.

    Attributes:
        people: how many have a place in space.
        bones_m: float32 (k, 2, 3).
        bone_colors: uint8 (k, 2, 3).
        joints_m: float32 (p, 3).
        joint_colors: uint8 (p, 3).
        sigma_m: float32 (p,), standard deviation of each joint, 0 = unknown.
        trails_m: float32 (t, 2, 3), on the floor.
        trail_colors: uint8 (t, 2, 3).
        labels: ids.
    """

    people: int
    bones_m: FloatArray
    bone_colors: NDArray[np.uint8]
    joints_m: FloatArray
    joint_colors: NDArray[np.uint8]
    sigma_m: FloatArray
    trails_m: FloatArray
    trail_colors: NDArray[np.uint8]
    labels: tuple[Label, ...] = ()


@dataclass
class _Pieces:
    bones: list[NDArray] = field(default_factory=list)
    bone_colors: list[tuple[int, int, int]] = field(default_factory=list)
    joints: list[NDArray] = field(default_factory=list)
    joint_colors: list[tuple[int, int, int]] = field(default_factory=list)
    sigmas: list[float] = field(default_factory=list)
    trails: list[NDArray] = field(default_factory=list)
    trail_colors: list[NDArray] = field(default_factory=list)
    labels: list[Label] = field(default_factory=list)
    people: int = 0


def pose_in_room(camera: ShownCamera, number: int) -> Float64Array:
    """Return room_from_camera, float64 (4, 4): the known one, or a place in the row, level as people tell it.

    Args:
        camera: which.
        number: its place among the cameras.
    """
    if camera.place is not None:
        return camera.place.room_from_camera
    pose = (_LEVEL if camera.level is None else camera.level).copy()
    pose[1, 3] = -SPACING_M * number
    return pose


def view_angle_rad(place: RoomCamera | None) -> tuple[float, float]:
    """Return a camera's vertical angle of view, rad, and the width of its image over the height."""
    if place is None:
        return 0.9, 4 / 3
    i = place.intrinsics
    return 2 * float(np.arctan(i.height / (2 * i.fy))), i.width / i.height * i.fy / i.fx


def draw_room(snapshot: Snapshot) -> RoomDrawing:
    """Draw the fused people, or where nobody fuses those of each camera."""
    pieces = _Pieces()
    if snapshot.room is not None:
        _add_people(pieces, snapshot.room, "")
        fused = [m for m in snapshot.before.get("", ()) if isinstance(m, RoomMoment)]
        _add_trails(pieces, [(m.track_ids, m.roots_m) for m in fused])
        return _whole(pieces)
    for number, camera in enumerate(snapshot.cameras):
        pose, view = pose_in_room(camera, number), snapshot.views.get(camera.name)
        people = None if view is None else RoomMoment.of_camera(view, pose)
        if people is None:
            continue
        _add_people(pieces, people, f"{camera.name}: " if len(snapshot.cameras) > 1 else "")
        seen = [m for m in snapshot.before.get(camera.name, ()) if isinstance(m, CameraMoment)]
        _add_trails(pieces, [(m.track_ids, transform_points(pose, m.roots_cam_m)) for m in seen])
    return _whole(pieces)


def _color(track_id: int) -> tuple[int, int, int]:
    return _GREY if track_id == UNTRACKED else track_color(track_id)


def _add_people(pieces: _Pieces, moment: RoomMoment, prefix: str) -> None:
    for track, points, sigma, root in zip(
        moment.track_ids.tolist(), moment.xyz_room_m, moment.sigma_m, moment.roots_m, strict=True
    ):
        known = np.isfinite(points).all(axis=-1)
        if not known.any():
            continue
        color = _color(track)
        pieces.people += 1
        bones = [points[[a, b]] for a, b in moment.skeleton.edges if known[a] and known[b]]
        pieces.bones += bones
        pieces.bone_colors += [color] * len(bones)
        pieces.joints += list(points[known])
        pieces.joint_colors += [color] * int(known.sum())
        pieces.sigmas += np.nan_to_num(sigma[known]).tolist()
        top = float(points[known][:, 2].max()) + 0.2
        text = f"{prefix}{'?' if track == UNTRACKED else track}"
        pieces.labels.append(Label(text, (float(root[0]), float(root[1]), top)))


def _add_trails(pieces: _Pieces, moments: Sequence[tuple[NDArray[np.int64], Float64Array]]) -> None:
    """Add where everybody with an id has been, on the floor, fading with age.

    Args:
        pieces: of the drawing.
        moments: the oldest first: ids, int64 (m,), and places, float64 (m, 3), room frame, NaN = unknown.
    """
    paths: dict[int, list[NDArray]] = {}
    for ids, roots_m in moments:
        for track, root in zip(ids.tolist(), roots_m, strict=True):
            if track != UNTRACKED and np.isfinite(root).all():
                paths.setdefault(track, []).append(np.array([root[0], root[1], 0.02]))
    for track, path in paths.items():
        if len(path) < 2:
            continue
        points = np.array(path)
        age = np.linspace(0.25, 1.0, len(path))[:, None]
        colors = (np.array(_color(track)) * age).astype(np.uint8)
        pieces.trails.append(np.stack([points[:-1], points[1:]], axis=1))
        pieces.trail_colors.append(np.stack([colors[:-1], colors[1:]], axis=1))


def _whole(pieces: _Pieces) -> RoomDrawing:
    bone_colors = np.array(pieces.bone_colors, np.uint8).reshape(-1, 1, 3)
    return RoomDrawing(
        pieces.people,
        np.array(pieces.bones, np.float32).reshape(-1, 2, 3),
        np.repeat(bone_colors, 2, axis=1),
        np.array(pieces.joints, np.float32).reshape(-1, 3),
        np.array(pieces.joint_colors, np.uint8).reshape(-1, 3),
        np.array(pieces.sigmas, np.float32),
        np.concatenate([np.zeros((0, 2, 3), np.float32), *pieces.trails]).astype(np.float32),
        np.concatenate([np.zeros((0, 2, 3), np.uint8), *pieces.trail_colors]),
        tuple(pieces.labels),
    )
