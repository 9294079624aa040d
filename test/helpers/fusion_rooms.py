"""Rooms for the tests of the fusion: simulated bodies, cameras under the ceiling, and what they see."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import numpy as np
from rosbags.rosbag2 import Writer
from rosbags.typesys import Stores, get_typestore

from orpose_core.data.image_messages import encode_intrinsics
from orpose_core.data.skeleton_messages import rosbags_types, to_skeletons_2d, to_skeletons_3d
from orpose_core.fusion.calibration import Sighting
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


def sightings(rig: Sequence[RoomCamera], moments: int, depth: bool = True, seed: int = 1) -> list[Sighting]:
    """Two clinicians every two seconds, with noise of a few px and 3 % of the depth."""
    rng, found = np.random.default_rng(seed), []
    for k in range(moments):
        truth, views = bodies(2, seed, 2.0 * k), {}
        for camera in rig:
            poses = seen(camera, truth, rng, 4.0, missing=0.1).poses
            if depth:
                xyz = transform_points(camera.camera_from_room, truth[poses.track_ids])
                xyz = xyz * (1 + rng.normal(0, 0.03, xyz.shape[:2]))[..., None]
                sigma = np.full(xyz.shape[:2], 0.07, np.float32)
                poses = replace(poses, xyz_cam_m=xyz.astype(np.float32), sigma_m=sigma)
            views[camera.name] = replace(poses, track_ids=None)
        found.append(Sighting(k * 2_000_000_000, views))
    return found


def write_bag(path: Path, rig: Sequence[RoomCamera], moments: Sequence[Sighting]) -> None:
    """Write a bag of what pose nodes publish, and camera_info."""
    store = get_typestore(Stores.ROS2_JAZZY)
    types = rosbags_types(store)
    header = store.types["std_msgs/msg/Header"](
        stamp=store.types["builtin_interfaces/msg/Time"](sec=1, nanosec=0), frame_id="optical"
    )
    region = store.types["sensor_msgs/msg/RegionOfInterest"](0, 0, 0, 0, False)
    with Writer(path, version=9) as bag:
        topics = {}
        for camera in rig:
            for name, kind in (
                ("skeletons_2d", "orpose_ros/msg/Skeleton2DArray"),
                ("skeletons_3d", "orpose_ros/msg/Skeleton3DArray"),
                ("lowres/camera_info", "sensor_msgs/msg/CameraInfo"),
            ):
                topics[camera.name, name] = bag.add_connection(
                    f"/{camera.name}/{name}", kind, typestore=store
                )
            info = store.types["sensor_msgs/msg/CameraInfo"](
                header=header, **encode_intrinsics(camera.intrinsics), roi=region, binning_x=0, binning_y=0
            )
            link = topics[camera.name, "lowres/camera_info"]
            bag.write(link, 1, store.serialize_cdr(info, link.msgtype))
        for moment in moments:
            for camera in rig:
                poses, common = moment.views[camera.name], {"frame_id": f"{camera.name}_optical"}
                common["stamp_ns"] = moment.stamp_ns
                size = (camera.intrinsics.height, camera.intrinsics.width)
                flat = to_skeletons_2d(
                    poses, types, image_hw=size, network_hw=(48, 64), modality="depth", **common
                )
                for name, message in (
                    ("skeletons_2d", flat), ("skeletons_3d", to_skeletons_3d(poses, types, **common)),
                ):  # fmt: skip
                    link = topics[camera.name, name]
                    bag.write(link, moment.stamp_ns, store.serialize_cdr(message, link.msgtype))
