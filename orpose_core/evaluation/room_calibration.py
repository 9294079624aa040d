"""`orpose calibrate` in simulated rooms: people walk about, a network sees them, and the truth is exact.

At each moment the people stand a step farther on, somewhere where two cameras see them. The cameras are
calibrated from what the network makes of their low-resolution depth, without a first guess.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from orpose_core.estimators import PoseEstimator
from orpose_core.evaluation.room_fusion import RoomOptions
from orpose_core.fusion.calibration import Calibration, Sighting, calibrate
from orpose_core.fusion.calibration.sightings import points_of, still_depth
from orpose_core.fusion.rig import RoomCamera
from orpose_core.geometry import project, transform_points
from orpose_core.image_ops import low_resolution_frame
from orpose_core.simulation import StreamConfig
from orpose_core.simulation.frames import frame_of_scene
from orpose_core.simulation.people.activities import Actor
from orpose_core.simulation.rooms.scenes import Scene
from orpose_core.simulation.stream import scene_of
from orpose_core.types import Float64Array

_CAMERAS = 3
_STEP_M = 0.7  # between two moments
_CLEAR_M, _WALL_M = 0.15, 0.45
_HEIGHTS_M = (0.8, 1.55)  # of hips and head: a camera sees a place where both are in its image
_TRIES = 500
_IMAGES = 30  # depth images of each camera that show what stands still


@dataclass(frozen=True)
class CalibrationOptions(RoomOptions):
    """Which rooms are simulated, and how many people walk about in them.

    Attributes:
        people: the largest number of people in a room.
    """

    rooms: int = 2
    moments: int = 150
    rate_hz: float = 0.5
    seed: int = 951
    people: int = 2


@dataclass(frozen=True)
class Walk:
    """What cameras saw of people who walked about in a room.

    Attributes:
        rig: where the cameras really hang, with the intrinsics of the network's images.
        sightings: what the network found.
        surfaces: by camera, points of what stands still in its depth images, float64 (k, 3), optical
            frame, m.
    """

    rig: tuple[RoomCamera, ...]
    sightings: list[Sighting]
    surfaces: dict[str, Float64Array]


@dataclass(frozen=True)
class CalibrationScore:
    """How far calibrated cameras are from where they hang.

    Attributes:
        room: number of the room.
        cameras: how many.
        people: how many times somebody was seen by two cameras and used.
        floor: what the floor was found by.
        distance_m: of each camera.
        angle_rad: of each camera.
    """

    room: int
    cameras: int
    people: int
    floor: str
    distance_m: tuple[float, ...]
    angle_rad: tuple[float, ...]


def walk_about(
    estimator: PoseEstimator,
    options: CalibrationOptions,
    room: int,
    progress: Callable[[], object] | None = None,
) -> Walk:
    """Let people walk about in a room and return what its cameras see of them."""
    config = StreamConfig(
        "or", options.size_hw, "depth", options.seed + room, _CAMERAS, options.moments, options.rate_hz,
        rig="mvor", crowd=max(1, options.people),
    )  # fmt: skip
    scene, rng = _with_staff_alone(scene_of(config, 0), options.people), np.random.default_rng(options.seed)
    rig: dict[str, RoomCamera] = {}
    depths: dict[str, list[NDArray[np.float32]]] = {}
    sightings = []
    for moment in range(options.moments):
        scene = replace(scene, actors=tuple(_farther_on(scene, actor, rng) for actor in scene.actors))
        frames = [frame_of_scene(config, scene, _CAMERAS * moment + c, 0.0) for c in range(_CAMERAS)]
        small = [low_resolution_frame(frame.frame, estimator.info.input_hw) for frame in frames]
        for frame, image in zip(frames, small, strict=True):
            assert image.intrinsics is not None and image.depth_m is not None  # the simulator gives them
            rig.setdefault(frame.camera, RoomCamera(frame.camera, image.intrinsics, frame.room_from_camera))
            if moment % max(1, options.moments // _IMAGES) == 0:
                depths.setdefault(frame.camera, []).append(image.depth_m)
        found = estimator.estimate(small)
        views = {frame.camera: poses for frame, poses in zip(frames, found, strict=True)}
        sightings.append(Sighting(frames[0].frame.stamp_ns, views))
        if progress is not None:
            progress()
    surfaces = {name: points_of(still_depth(images), rig[name].intrinsics) for name, images in depths.items()}
    return Walk(tuple(rig.values()), sightings, surfaces)


def score_walk(walk: Walk, room: int = 0) -> list[CalibrationScore]:
    """Calibrate two cameras of a room, and all, from nothing; return how far they are off."""
    scores = []
    for count in range(2, len(walk.rig) + 1):
        true = walk.rig[:count]
        names = [camera.name for camera in true]
        sightings = [
            Sighting(moment.stamp_ns, {name: moment.views[name] for name in names})
            for moment in walk.sightings
        ]
        found = calibrate(
            sightings,
            {camera.name: camera.intrinsics for camera in true},
            surfaces={name: walk.surfaces[name] for name in names},
        )
        distance_m, angle_rad = calibration_errors(found, true)
        scores.append(
            CalibrationScore(room, count, found.people, found.floor, tuple(distance_m), tuple(angle_rad))
        )
    return scores


def calibration_errors(found: Calibration, true: Sequence[RoomCamera]) -> tuple[list[float], list[float]]:
    """Return each camera's distance from the truth, m, and its angle, rad.

    Where the room's origin is on the floor, and which way x points, is free: the turn about z and the shift
    that fit all cameras best are taken out. Heights and tilts are compared as they are.
    """
    ours = np.stack([camera.room_from_camera for camera in found.rig])
    theirs = np.stack([camera.room_from_camera for camera in true])
    turn = np.einsum("cij,ckj->ik", theirs[:, :3, :3], ours[:, :3, :3])
    z = Rotation.from_euler("z", math.atan2(turn[1, 0] - turn[0, 1], turn[0, 0] + turn[1, 1])).as_matrix()
    places = ours[:, :3, 3] @ z.T
    shift = (theirs[:, :3, 3] - places).mean(axis=0) * [1.0, 1.0, 0.0]
    distance_m = np.linalg.norm(places + shift - theirs[:, :3, 3], axis=1)
    between = np.einsum("cji,cjk->cik", z @ ours[:, :3, :3], theirs[:, :3, :3])
    return distance_m.tolist(), Rotation.from_matrix(between).magnitude().tolist()


def _with_staff_alone(scene: Scene, people: int) -> Scene:
    """Return the scene with some of its clinicians, who walk, and nobody else."""
    rows = [row for row, person in enumerate(scene.people) if person.role == "clinician"][:people]
    if not rows:
        raise ValueError(
            "expected a room with somebody who can walk about, got an empty one; take another seed"
        )
    walking = tuple(
        Actor("walk", 0.0, 0.0, 0.0, scene.actors[row].seed, tempo_s=scene.actors[row].tempo_s)
        for row in rows
    )
    return replace(
        scene, people=tuple(scene.people[row] for row in rows), actors=walking,
        first_materials=tuple(scene.first_materials[row] for row in rows),
    )  # fmt: skip


def _farther_on(scene: Scene, actor: Actor, rng: np.random.Generator) -> Actor:
    """Return somebody a step farther on, facing that way; anywhere in the room where no step is free."""
    half_x, half_y = (size - _WALL_M for size in scene.room.half_size_m)
    for attempt in range(_TRIES):
        yaw = actor.yaw_rad + rng.normal(0.0, 0.5) if attempt < 20 else rng.uniform(-math.pi, math.pi)
        if attempt < _TRIES // 4:
            x, y = actor.x_m - _STEP_M * math.sin(yaw), actor.y_m + _STEP_M * math.cos(yaw)
        else:
            x, y = rng.uniform(-half_x, half_x), rng.uniform(-half_y, half_y)
        inside = abs(x) < half_x and abs(y) < half_y
        if inside and scene.room.is_free(x, y, _CLEAR_M) and _seen_twice(scene, x, y):
            return replace(actor, x_m=x, y_m=y, yaw_rad=yaw, seed=int(rng.integers(1 << 31)))
    raise ValueError("expected a free place in the room that two cameras see, got none; take another seed")


def _seen_twice(scene: Scene, x: float, y: float) -> bool:
    """Return whether two cameras have somebody's hips and head in the image who stands at a place."""
    body = np.array([(x, y, z) for z in _HEIGHTS_M])
    count = 0
    for camera in scene.cameras:
        points = transform_points(camera.camera_from_room, body)
        xy = project(points, camera.intrinsics)
        size = [camera.intrinsics.width, camera.intrinsics.height]
        count += bool((points[:, 2] > 0.5).all() and ((xy > 0) & (xy < size)).all())
    return count >= 2
