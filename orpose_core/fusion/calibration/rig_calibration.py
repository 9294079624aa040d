"""Cameras' poses from people who walk about: a first guess, who is who, bundle adjustment, the floor."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from orpose_core.fusion.calibration.bundle import Adjusted, Observations, Trust, adjust
from orpose_core.fusion.calibration.first_poses import first_poses, level_camera
from orpose_core.fusion.calibration.floor import FLOOR_BAND_M, floor_of_ankles, floor_points, level_on
from orpose_core.fusion.calibration.sightings import Sighting
from orpose_core.fusion.config import FusionConfig
from orpose_core.fusion.fuse import Sight, same_people
from orpose_core.fusion.rig import RoomCamera, View
from orpose_core.types import Intrinsics, Poses

Float64Array = NDArray[np.float64]
_log = logging.getLogger(__name__)
_UPRIGHT_RAD = 0.4  # of a guess's z, as far as people can tell
_FLOOR_FOUND_M = 0.15  # once a round has found the floor, it lies within this of there
_NEAR_M = 0.3  # rays that meet nearer than this, or behind a camera, do not start the adjustment


@dataclass(frozen=True)
class CalibrationConfig:
    """How cameras are calibrated.

    Attributes:
        rounds_rad: deviation of a ray at each round: who is who is told ever more sharply.
        most_people: so many people and moments are used, spread over the recording.
        joint_sigma: deviation of a 2D joint without a sigma, times its OKS constant, m on the person.
        depth_sigma_m: deviation of a depth without a sigma.
        independent_joints: the joints of a camera count as at most this many independent ones.
        floor_m: deviation of the floor that a camera's depth image shows.
        depth_scale: deviation of the depth cameras' scales.
        hold_m: without depth, cameras are held to the guess with this deviation, m and rad.
        seed: of the random trials.
    """

    rounds_rad: tuple[float, ...] = (0.05, 0.02, 0.01)
    most_people: int = 300
    joint_sigma: float = 0.6
    depth_sigma_m: float = 0.15
    independent_joints: float = 300.0
    floor_m: float = 0.01
    depth_scale: float = 0.01
    hold_m: float = 0.3
    seed: int = 0

    def __post_init__(self) -> None:
        if not self.rounds_rad or min(self.rounds_rad) <= 0:
            raise ValueError(
                f"CalibrationConfig.rounds_rad: expected positive numbers, got {self.rounds_rad}"
            )
        for name, value in vars(self).items():
            if name not in ("rounds_rad", "seed") and not value > 0:
                raise ValueError(f"CalibrationConfig.{name}: expected a positive number, got {value}")


@dataclass(frozen=True)
class Calibration:
    """What came out.

    Attributes:
        rig: the cameras, with the scales of their depths.
        people: how many times somebody was seen by two cameras or more and used.
        residuals_px: by camera, float64 (r,), distance of each 2D joint from where it projects.
        places_m: float64 (k, 2), where people were on the floor.
        floor: "depth", "ankles" or "hips": what the floor was found by.
    """

    rig: tuple[RoomCamera, ...]
    people: int
    residuals_px: Mapping[str, Float64Array]
    places_m: Float64Array
    floor: str


def calibrate(
    sightings: Sequence[Sighting],
    intrinsics: Mapping[str, Intrinsics],
    guess: Sequence[RoomCamera] | None = None,
    surfaces: Mapping[str, Float64Array] | None = None,
    frame_ids: Mapping[str, str] | None = None,
    config: CalibrationConfig | None = None,
) -> Calibration:
    """Find where cameras hang.

    Args:
        sightings: moments; joints in px of ``intrinsics``, with metric joints unless there is a guess.
        intrinsics: by camera name; their order is the cameras'.
        guess: rough places of the cameras; None = from nothing. The room's axes stay those of its first
            camera, unless its z does not point up.
        surfaces: by camera, points of a depth image in the optical frame, m, for the floor.
        frame_ids: by camera, of the optical frames.
        config: settings.

    Raises:
        ValueError: people were seen too seldom, or by too few cameras at once.
    """
    config = config or CalibrationConfig()
    rig = _first_rig(sightings, intrinsics, guess, frame_ids or {}, config.seed)
    clouds, nothing, band_m = surfaces or {}, np.zeros((0, 3)), FLOOR_BAND_M
    for spread_rad in config.rounds_rad:
        people = _people(rig, sightings, spread_rad, config)
        floors = [floor_points(c.room_from_camera, clouds.get(c.name, nothing), band_m) for c in rig]
        seen, start, ankles = _observations(rig, sightings, people, floors, config)
        adjusted = _adjusted(rig, start, seen, config)
        found = zip(rig, adjusted.room_from_camera, adjusted.scales, strict=True)
        rig = [replace(c, room_from_camera=pose, depth_scale=float(scale)) for c, pose, scale in found]
        rig, points = _moved(level_on(adjusted.floor), rig, adjusted.points)
        band_m = _FLOOR_FOUND_M if len(seen.floor) else band_m
        _log.info("%d people, median %.2f px", len(people), np.median(adjusted.residuals_px))
    floor = "depth" if len(seen.floor) else "hips"
    plane = floor_of_ankles(points[ankles]) if floor == "hips" else None
    if plane is not None:
        floor = "ankles"
        rig, points = _moved(level_on(plane), rig, points)
    if guess is None:
        middle = np.eye(4)
        middle[:2, 3] = -np.median(points[:, :2], axis=0)
        rig, points = _moved(middle, rig, points)
    residuals = {c.name: adjusted.residuals_px[seen.camera == i] for i, c in enumerate(rig)}
    return Calibration(tuple(rig), len(people), residuals, points[:, :2], floor)


def _first_rig(
    sightings: Sequence[Sighting],
    intrinsics: Mapping[str, Intrinsics],
    guess: Sequence[RoomCamera] | None,
    frame_ids: Mapping[str, str],
    seed: int,
) -> list[RoomCamera]:
    """Return the cameras where they hang at first: at the guess, or where people alone say."""
    names = list(intrinsics)
    if len(names) < 2:
        raise ValueError(f"expected two cameras or more, got {names}")
    if guess is None:
        poses = first_poses(sightings, names, seed)
    else:
        known = {camera.name: camera.room_from_camera for camera in guess}
        missing = [name for name in names if name not in known]
        if missing:
            raise ValueError(f"the guess has no camera {', '.join(missing)}; it has {', '.join(known)}")
        upright = _upright(known[names[0]], sightings, names[0])
        poses = {name: upright @ known[name] for name in names}
    return [RoomCamera(name, intrinsics[name], poses[name], frame_ids.get(name, "")) for name in names]


def _upright(guess: Float64Array, sightings: Sequence[Sighting], camera: str) -> Float64Array:
    """Return the transform, (4, 4), that makes z point up in a guess that stands otherwise (Kalibr's)."""
    level = level_camera([moment.views[camera] for moment in sightings if camera in moment.views])
    if level is None or (guess[:3, :3] @ level[2, :3])[2] > np.cos(_UPRIGHT_RAD):
        return np.eye(4)
    return np.asarray(level @ np.linalg.inv(guess), np.float64)


def _moved(
    transform: Float64Array, rig: Sequence[RoomCamera], points: Float64Array
) -> tuple[list[RoomCamera], Float64Array]:
    """Return cameras and points of the room moved together."""
    moved = [replace(c, room_from_camera=transform @ c.room_from_camera) for c in rig]
    return moved, np.asarray(points @ transform[:3, :3].T + transform[:3, 3], np.float64)


def _people(
    rig: Sequence[RoomCamera], sightings: Sequence[Sighting], spread_rad: float, config: CalibrationConfig
) -> list[tuple[int, list[Sight], list[str]]]:
    """Return people whom several cameras saw: the moment's number, their sights, and the views' cameras.

    Raises:
        ValueError: too few, or a camera has none.
    """
    cameras = {camera.name: camera for camera in rig}
    fusion = FusionConfig(calibration_rad=spread_rad)
    found = []
    step = max(1, len(sightings) // config.most_people)
    for number in range(0, len(sightings), step):
        names = [name for name in cameras if name in sightings[number].views]
        views = [View(cameras[name], sightings[number].views[name]) for name in names]
        if len(views) > 1:
            found += [(number, sights, names) for sights in same_people(views, fusion)]
    linked = {names[sight.view] for _, sights, names in found for sight in sights}
    lonely = sorted(set(cameras) - linked)
    if lonely or len(found) < 5:
        raise ValueError(
            f"expected people whom two cameras saw at once, got {len(found)}"
            + (f"; none in {', '.join(lonely)}" if lonely else "")
            + ". Let people walk where the views overlap"
        )
    keep = np.unique(np.linspace(0, len(found) - 1, min(len(found), config.most_people)).astype(int))
    return [found[i] for i in keep]


def _observations(
    rig: Sequence[RoomCamera],
    sightings: Sequence[Sighting],
    people: Sequence[tuple[int, list[Sight], list[str]]],
    floors: Sequence[Float64Array],
    config: CalibrationConfig,
) -> tuple[Observations, Float64Array, NDArray[np.int64]]:
    """Return what was seen of joints that two cameras have, where they are, and which are ankles."""
    number = {camera.name: i for i, camera in enumerate(rig)}
    columns: list[list[float]] = []
    points: list[Float64Array] = []
    ankles: list[int] = []
    for moment, sights, names in people:
        rows = [_joints(rig[number[names[s.view]]], sightings[moment].views[names[s.view]], s, config)
                for s in sights]  # fmt: skip
        skeleton = sightings[moment].views[names[sights[0].view]].skeleton
        there = np.array([np.isfinite(r[:, 0]) for r in rows])
        for j in np.flatnonzero(there.sum(axis=0) >= 2):
            views = np.flatnonzero(there[:, j])
            cameras = [number[names[sights[v].view]] for v in views]
            point = _meeting([rig[c] for c in cameras], np.array([rows[v][j, :2] for v in views]))
            if min(_ahead(rig[c], point) for c in cameras) < _NEAR_M:
                continue
            points.append(point)
            if skeleton.joints[j].endswith("ankle"):
                ankles.append(len(points) - 1)
            columns += [[c, len(points) - 1, *rows[v][j]] for c, v in zip(cameras, views, strict=True)]
    table = np.array(columns, np.float64)
    seen = Observations(
        table[:, 0].astype(np.int64), table[:, 1].astype(np.int64), table[:, 2:4], table[:, 4], table[:, 5],
        table[:, 6], np.repeat(np.arange(len(rig)), list(map(len, floors))), np.concatenate(floors),
    )  # fmt: skip
    return seen, np.array(points), np.array(ankles, np.int64)


def _joints(camera: RoomCamera, poses: Poses, sight: Sight, config: CalibrationConfig) -> Float64Array:
    """Return x, y, sigma (px), depth and its sigma (m) of a person's joints, (n, 5); NaN = unknown."""
    n = len(poses.skeleton)
    out = np.full((n, 5), np.nan)
    order = list(poses.skeleton.flip_permutation) if sight.flipped else list(range(n))
    out[:, :2] = poses.xy_px[sight.row, order]
    out[:, 2] = np.array(poses.skeleton.sigmas) * config.joint_sigma * camera.intrinsics.fx / 3.0
    if poses.sigma_px is not None:
        own = poses.sigma_px[sight.row, order].astype(np.float64)
        out[:, 2] = np.where(np.isfinite(own) & (own > 0), own, out[:, 2])
    if poses.xyz_cam_m is not None:
        out[:, 3] = poses.xyz_cam_m[sight.row, order, 2]
        out[:, 4] = config.depth_sigma_m
        if poses.sigma_m is not None:
            own = np.sqrt(3.0) * poses.sigma_m[sight.row, order].astype(np.float64)
            out[:, 4] = np.where(np.isfinite(own) & (own > 0.03), own, out[:, 4])
    return out


def _meeting(cameras: Sequence[RoomCamera], xy: Float64Array) -> Float64Array:
    """Return the point nearest to the rays of pixels, (3,) m, pulled weakly to 3 m along each."""
    normal, right = 1e-3 * np.eye(3), np.zeros(3)
    for camera, (x, y) in zip(cameras, xy, strict=True):
        i, pose = camera.intrinsics, camera.room_from_camera
        ray = pose[:3, :3] @ np.array([(x - i.cx) / i.fx, (y - i.cy) / i.fy, 1.0])
        across = np.eye(3) - np.outer(ray, ray) / (ray @ ray)
        along = pose[:3, 3] + 3.0 * ray
        normal += across + 1e-3 * np.eye(3)
        right += across @ pose[:3, 3] + 1e-3 * along
    return np.asarray(np.linalg.solve(normal, right), np.float64)


def _ahead(camera: RoomCamera, point: Float64Array) -> float:
    """Return how far before a camera a point of the room is, along the optical axis, m."""
    return float((point - camera.room_from_camera[:3, 3]) @ camera.room_from_camera[:3, 2])


def _adjusted(
    rig: Sequence[RoomCamera], points: Float64Array, seen: Observations, config: CalibrationConfig
) -> Adjusted:
    deep = bool(np.isfinite(seen.z).mean() > 0.1)
    trust = Trust(
        config.independent_joints, config.floor_m, config.depth_scale, None if deep else config.hold_m
    )
    return adjust(
        np.stack([camera.room_from_camera for camera in rig]), [camera.intrinsics for camera in rig], points,
        seen, trust,
    )  # fmt: skip
