"""Rooms for the tests of the fusion: simulated bodies, cameras under the ceiling, and what they see."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from orpose_core.fusion.rig import RoomCamera, View
from orpose_core.geometry import project, transform_points
from orpose_core.simulation import StreamConfig
from orpose_core.simulation.dice import Dice
from orpose_core.simulation.people.kinematics import joints_of
from orpose_core.simulation.people.motion import pose_at
from orpose_core.simulation.sensing.cameras import ceiling_camera
from orpose_core.simulation.stream import scene_of
from orpose_core.skeleton import BODY24, COCO17
from orpose_core.types import Poses

COCO = [BODY24.index(j) for j in COCO17.joints]


def cameras(count: int, seed: int = 3) -> list[RoomCamera]:
    """Cameras around the middle of a room, well apart."""
    dice, chosen = Dice(seed, 0, 1), []
    while len(chosen) < count:
        c = ceiling_camera(dice, (0.0, 0.0), (3.2, 3.6), f"camera_{len(chosen) + 1}")
        place = c.room_from_camera[:3, 3]
        if all(np.linalg.norm(place - o.room_from_camera[:3, 3]) > 1.5 for o in chosen):
            chosen.append(RoomCamera(c.name, c.intrinsics, c.room_from_camera))
    return chosen


@lru_cache(maxsize=8)
def _cast(people: int, seed: int):
    number = 0
    while True:
        scene = scene_of(StreamConfig("or", seed=seed, crowd=4), number)
        chosen = [
            (person, actor)
            for person, actor in zip(scene.people, scene.actors, strict=True)
            if person.role == "clinician"
        ]
        if len(chosen) >= people:
            return chosen[:people]
        number += 1


def bodies(people: int, seed: int = 1, time_s: float = 0.0) -> np.ndarray:
    """float64 (people, 17, 3): clinicians of one simulated room at a time, room frame, m."""
    found = [
        joints_of(pose_at(actor, person.dimensions, time_s), person.dimensions)[0][COCO]
        for person, actor in _cast(people, seed)
    ]
    return np.array(found).reshape(-1, 17, 3)


def seen(
    camera: RoomCamera, joints: np.ndarray, rng: np.random.Generator, noise_px: float = 2.0,
    stamp_ns: int = 0, missing: float = 0.0,
) -> View:  # fmt: skip
    """What a detector says of bodies in a camera's image; the people come in a random order."""
    i = camera.intrinsics
    xy = project(transform_points(camera.camera_from_room, joints), i)
    xy = xy + rng.normal(0, noise_px, xy.shape)
    with np.errstate(invalid="ignore"):
        inside = ((xy > -0.5) & (xy < [i.width - 0.5, i.height - 0.5])).all(axis=-1)
    inside &= rng.random(inside.shape) >= missing
    rows = np.flatnonzero(inside.sum(axis=1) >= 3)
    rows = rows[rng.permutation(len(rows))]
    xy = np.where(inside[rows][..., None], xy[rows], np.nan).astype(np.float32)
    count = len(rows)
    poses = Poses(
        COCO17, xy, inside[rows].astype(np.float32), np.ones(count, np.float32),
        np.full((count, 4), np.nan, np.float32), track_ids=rows.astype(np.int64),
    )  # fmt: skip
    return View(camera, poses, stamp_ns)


def mirrored_sides(view: View) -> View:
    """The same view with left and right of everybody exchanged."""
    from dataclasses import replace

    order = list(COCO17.flip_permutation)
    poses = replace(view.poses, xy_px=view.poses.xy_px[:, order], scores=view.poses.scores[:, order])
    return View(view.camera, poses, view.stamp_ns)
