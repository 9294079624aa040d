"""How long a fusion takes, and whether it survives anything that a node may be sent."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np

from orpose_core.fusion.people import RoomPeople
from orpose_core.fusion.rig import RoomCamera
from orpose_core.fusion.room import Room, warm_up
from orpose_core.geometry import project, transform_points
from orpose_core.simulation import StreamConfig
from orpose_core.simulation.dice import Dice
from orpose_core.simulation.people.kinematics import joints_of
from orpose_core.simulation.people.motion import pose_at
from orpose_core.simulation.sensing.cameras import ceiling_camera
from orpose_core.simulation.stream import scene_of
from orpose_core.skeleton import BODY24, COCO17
from orpose_core.types import Float64Array, Poses

_RATE_HZ = 30
_NOISE_PX = 3.0  # of a joint at 640x480
_MISSED = 0.1  # share of joints that a camera misses
_COCO = [BODY24.index(joint) for joint in COCO17.joints]


def fusion(people: int = 5, cameras: int = 4, moments: int = 300, inputs: int = 0, seed: int = 0) -> str:
    """Return what it costs to fuse people whom every camera sees at 30 Hz, on one core, as a line.

    Args:
        people: who walk about.
        cameras: under the ceiling.
        moments: to measure.
        inputs: of random numbers, bad stamps and swapped cameras that are tried afterwards.
        seed: of the room and of all random numbers.

    Raises:
        ValueError: fewer than 1 person, 2 cameras or 1 moment; or a random input gave a joint without a
            sigma.
    """
    for name, value, least in (("people", people, 1), ("cameras", cameras, 2), ("moments", moments, 1)):
        if value < least:
            raise ValueError(f"fusion: expected at least {least} {name}, got {value}")
    rig, rng = _cameras(cameras, seed), np.random.default_rng(seed)
    warm_up()
    room, took_ms, found = Room(rig, COCO17), [], []
    for k, bodies in enumerate(_bodies(people, moments, seed)):
        seen = [_seen(camera, bodies, rng) for camera in rig]
        began_s = time.process_time()
        for camera, poses in zip(rig, seen, strict=True):
            room.add(camera.name, poses, 10**9 + k * 10**9 // _RATE_HZ)
        found.append(len(room.fuse().people))
        took_ms.append(1e3 * (time.process_time() - began_s))
    text = (
        f"{people} people, {cameras} cameras: median {np.median(took_ms):.2f} ms a fusion, 95 % below "
        f"{np.quantile(took_ms, 0.95):.2f} ms, {moments} fusions; {np.mean(found):.1f} people found"
    )
    return f"{text}\n{_random_inputs(rig, inputs, rng)}" if inputs else text


def _cameras(count: int, seed: int) -> list[RoomCamera]:
    dice, chosen = Dice(seed, 0, 1), []
    for number in range(count):
        camera = ceiling_camera(dice, (0.0, 0.0), (3.2, 3.6), f"camera_{number + 1}")
        chosen.append(RoomCamera(camera.name, camera.intrinsics, camera.room_from_camera))
    return chosen


def _bodies(people: int, moments: int, seed: int) -> list[Float64Array]:
    """Return the joints of clinicians of simulated rooms, (people, 17, 3) m, moment by moment."""
    cast: list = []
    sequence = 0
    while len(cast) < people:
        scene = scene_of(StreamConfig("or", seed=seed, crowd=4), sequence)
        cast += [p for p in zip(scene.people, scene.actors, strict=True) if p[0].role == "clinician"]
        sequence += 1
    return [
        np.array(
            [
                joints_of(pose_at(actor, person.dimensions, k / _RATE_HZ), person.dimensions)[0][_COCO]
                for person, actor in cast[:people]
            ]
        )
        for k in range(moments)
    ]


def _seen(camera: RoomCamera, bodies: Float64Array, rng: np.random.Generator) -> Poses:
    """Return what a detector says of bodies: joints of a few px of noise, some missed, in any order."""
    intrinsics = camera.intrinsics
    xy = project(transform_points(camera.camera_from_room, bodies), intrinsics)
    xy = xy + rng.normal(0, _NOISE_PX, xy.shape)
    there = ((xy > 0) & (xy < [intrinsics.width, intrinsics.height])).all(axis=-1)
    there &= rng.random(there.shape) >= _MISSED
    rows = rng.permutation(np.flatnonzero(there.any(axis=1)))
    xy = np.where(there[rows][..., None], xy[rows], np.nan).astype(np.float32)
    boxes = np.full((len(rows), 4), np.nan, np.float32)
    return Poses(COCO17, xy, there[rows].astype(np.float32), np.ones(len(rows), np.float32), boxes)


def _random_inputs(rig: Sequence[RoomCamera], inputs: int, rng: np.random.Generator) -> str:
    """Send a room what no camera should send; ValueError if a pose comes out without a sigma."""
    room, stamp_ns, fused = Room(rig, COCO17), 10**12, 0
    silent, until = 0, 0  # a camera that is gone, and until which input
    for number in range(inputs):
        camera = int(rng.integers(len(rig)))
        if number >= until:
            silent, until = int(rng.integers(len(rig))), number + int(rng.integers(1, 300))
        steps = (0, 1, 33_000_000, 100_000_000, -50_000_000, -3_000_000_000)
        stamp_ns += int(rng.choice(steps, p=(0.1, 0.1, 0.5, 0.2, 0.095, 0.005)))
        if camera != silent:
            room.add(rig[camera].name, _anything(rng), stamp_ns)
        if number % 1000 == 999:  # two cameras are exchanged
            a, b = rig[0], rig[1]
            swapped = RoomCamera(a.name, b.intrinsics, b.room_from_camera, a.frame_id)
            room.place(swapped if number % 2000 == 999 else a)
        while room.ready() or (room.pending() and rng.random() < 0.3):
            _check(room.fuse().people, number)
            fused += 1
    return f"{inputs} random inputs, {fused} fusions: every joint has a sigma"


def _check(people: RoomPeople, number: int) -> None:
    known = np.isfinite(people.xyz_room_m).all(axis=-1)
    if not np.array_equal(known, np.isfinite(people.sigma_m) & (people.sigma_m > 0)):
        raise ValueError(f"fusion: random input {number} gave a joint without a sigma")


def _anything(rng: np.random.Generator) -> Poses:
    """Return up to four people of any numbers: NaN, infinity, far outside the image, without a size."""
    people = int(rng.integers(0, 5))
    shape = (people, len(COCO17))
    xy = rng.normal(300, 10.0 ** rng.uniform(0, 7), (*shape, 2)).astype(np.float32)
    xy[rng.random(shape) < rng.random()] = np.nan
    scores = np.where(np.isnan(xy).any(axis=-1), 0, rng.uniform(0.01, 1, shape)).astype(np.float32)
    xyz = rng.normal(0, 3, (*shape, 3)).astype(np.float32)
    xyz[rng.random(xyz.shape) < 0.2] = rng.choice([np.nan, np.inf, 0.0])
    sigma = rng.choice([np.nan, 0.0, -1.0, 0.5, 1e9], shape).astype(np.float32)
    with_depth, with_sigma = rng.random(2) < 0.5
    return Poses(
        COCO17,
        xy,
        scores,
        rng.normal(0, 2, people).astype(np.float32),
        np.zeros((people, 4), np.float32),
        xyz_cam_m=xyz if with_depth else None,
        sigma_px=sigma if with_sigma else None,
        sigma_m=sigma if with_sigma else None,
    )
