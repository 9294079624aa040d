"""Random access to the frames of a synthetic recording."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from orpose_core.simulation.people import bodies, motion
from orpose_core.simulation.rooms.rooms import ABSORPTION, GLOSS
from orpose_core.simulation.rooms.scenes import Scene
from orpose_core.simulation.sensing.depth_cameras import measure
from orpose_core.simulation.sensing.raycast import View, look, normals_of
from orpose_core.simulation.sensing.sensor import Sensor, sense
from orpose_core.simulation.sensing.shading import look_from, shade
from orpose_core.simulation.sensing.solids import Solids
from orpose_core.simulation.stream import StreamConfig, room_key, scene_of
from orpose_core.simulation.truth import ground_truth
from orpose_core.types import Float64Array, FloatArray, Intrinsics, Poses, RgbdFrame

_EPOCH_NS = 1_704_067_200_000_000_000  # 2024-01-01: stamps must be those of a plausible clock


_BETWEEN_SEQUENCES_NS = 10_000_000_000


@dataclass(frozen=True)
class SimulatedFrame:
    """One frame and its ground truth.

    Attributes:
        frame: the output of the sensor.
        poses: BODY24 of everybody of whom something is seen, with 2D and 3D joints, visibility, boxes of
            what is seen, and ids that stay the same within a sequence. Joints outside the image are absent in
            2D but have ``xyz_cam_m``.
        roles: one of "clinician", "patient", "person" per pose.
        areas_px: int64 (m,), pixels seen of each person.
        room_from_camera: float64 (4, 4), pose of the camera in the room (z up, floor at 0), metres.
        camera: name of the camera.
        sequence: number of the sequence.
        moment: number of the moment within the sequence.
        index: of the frame in its stream.
        true_depth_m: float32 (H, W), depth of the scene without a sensor, NaN = nothing.
        people: int16 (H, W), row of ``poses`` that each pixel shows, -1 = none of them.
    """

    frame: RgbdFrame
    poses: Poses
    roles: tuple[str, ...]
    areas_px: NDArray[np.int64]
    room_from_camera: Float64Array
    camera: str
    sequence: int
    moment: int
    index: int
    true_depth_m: FloatArray
    people: NDArray[np.int16]


@lru_cache(maxsize=4)
def _empty_room(config: StreamConfig, size_hw: tuple[int, int], sequence: int, camera: int) -> View:
    """Return what a camera sees of a room without people; the same for a whole sequence."""
    scene = scene_of(config, sequence)
    k = scene.cameras[camera].intrinsics.resized(size_hw)
    return look(scene.room.solids, scene.cameras[camera].camera_from_room, k)


@lru_cache(maxsize=2)
def _empty_room_from_lamps(config: StreamConfig, sequence: int) -> tuple[View, ...]:
    """Return the shadow maps of a room without people."""
    room = scene_of(config, sequence).room
    return tuple(look_from(light, room.solids) for light in room.lights)


def _populate(scene: Scene, time_s: float) -> tuple[Solids, list[Float64Array]]:
    """Return the room's solids with everybody in their pose at a time, and everybody's joints."""
    room = scene.room.solids
    capacity = room.count + bodies.SOLIDS_PER_PERSON * len(scene.people)
    solids = Solids.with_room_for(capacity)
    for name in ("kinds", "origins", "axes", "scales", "params", "owners", "parts", "materials"):
        getattr(solids, name)[: room.count] = getattr(room, name)[: room.count]
    solids.count = room.count
    joints = []
    for i, (person, actor) in enumerate(zip(scene.people, scene.actors, strict=True)):
        pose = motion.pose_at(actor, person.dimensions, time_s)
        joints.append(bodies.add_body(solids, person, pose, i, scene.first_materials[i]))
    return solids, joints


def _depth_image(
    scene: Scene,
    sensor: Sensor,
    solids: Solids,
    view: View,
    normals: FloatArray,
    k: Intrinsics,
    key: tuple[int, ...],
) -> FloatArray:
    """Return what the depth camera gives, float32 (H, W), metres, NaN = no return."""
    surfaces = scene.room.materials[solids.materials[: solids.count], ABSORPTION : GLOSS + 1]
    generator = np.random.Generator(np.random.PCG64(list(key)))
    noise = generator.standard_normal((k.height, k.width), dtype=np.float32)
    camera = np.array([k.fx, k.fy, k.cx, k.cy])
    frame_seed = int(generator.integers(1 << 31))
    see = sense if sensor.family == "general" else measure
    millimetres = see(
        view.depth_m, view.solid, normals, surfaces, camera, noise, sensor.traits, sensor.seed, frame_seed
    )
    depth_m = millimetres.astype(np.float32) / np.float32(1000.0)
    depth_m[millimetres == 0] = np.nan
    return depth_m


def _stamp_ns(config: StreamConfig, sequence: int, moment: int) -> int:
    """Return the time of a moment; sequences follow each other with a gap."""
    per_moment = int(1_000_000_000 / config.rate_hz)
    length = config.frames_per_sequence * per_moment + _BETWEEN_SEQUENCES_NS
    return _EPOCH_NS + sequence * length + moment * per_moment


def _color_image(
    config: StreamConfig,
    scene: Scene,
    sequence: int,
    camera_number: int,
    solids: Solids,
    view: View,
    normals: FloatArray,
    k: Intrinsics,
    key: tuple[int, ...],
) -> NDArray[np.uint8]:
    """Return what the color camera gives, uint8 (H, W, 3)."""
    first, lights = scene.room.solids.count, scene.room.lights
    empty = _empty_room_from_lamps(room_key(config), sequence)
    shadows = [look_from(light, solids, e, first) for light, e in zip(lights, empty, strict=True)]
    return shade(
        solids,
        view,
        normals,
        scene.room.materials,
        scene.cameras[camera_number],
        k,
        lights,
        shadows,
        scene.exposures[camera_number],
        np.random.Generator(np.random.PCG64(list(key))),
        scene.seed & 0xFFFF,
    )


def simulate_frame(config: StreamConfig, index: int) -> SimulatedFrame:
    """Return frame ``index`` of the synthetic recording; the same bytes on every machine.

    Args:
        config: of the recording.
        index: 0 or more, in any order.

    Raises:
        ValueError: if the index is negative.
    """
    if index < 0:
        raise ValueError(f"simulate_frame: expected an index of 0 or more, got {index}")
    sequence, moment = divmod(index // config.cameras, config.frames_per_sequence)
    return frame_of_scene(config, scene_of(config, sequence), index, moment / config.rate_hz)


def frame_of_scene(config: StreamConfig, scene: Scene, index: int, time_s: float) -> SimulatedFrame:
    """Return a frame of a scene whose people may have been moved; its room and cameras are the recording's.

    Args:
        config: of the recording.
        scene: of the frame's sequence; other actors may stand where ``scene_of`` has them.
        index: of the frame; it gives the camera, the noise and the stamp.
        time_s: for which the actors' poses are taken.
    """
    camera_number = index % config.cameras
    sequence, moment = divmod(index // config.cameras, config.frames_per_sequence)
    camera = scene.cameras[camera_number]
    solids, joints = _populate(scene, time_s)
    k = camera.intrinsics.resized(config.size_hw)
    empty = _empty_room(room_key(config), config.size_hw, sequence, camera_number)
    view = look(solids, camera.camera_from_room, k, empty, scene.room.solids.count)
    true_depth = np.where(np.isfinite(view.depth_m), view.depth_m, np.nan).astype(np.float32)
    depth: FloatArray | None = true_depth
    rgb = None
    normals = normals_of(view, solids, k)
    key = (scene.seed, moment, camera_number)
    if config.modality == "color":
        depth = None
    elif config.sensor:
        depth = _depth_image(scene, scene.sensors[camera_number], solids, view, normals, k, (*key, 1))
    if config.modality != "depth":
        rgb = _color_image(config, scene, sequence, camera_number, solids, view, normals, k, (*key, 2))
    returned = None
    if depth is not None and config.modality == "depth" and scene.sensors[camera_number].family != "general":
        returned = np.isfinite(depth)
    poses, roles, areas, people = ground_truth(
        scene, camera, k, solids, view, joints, config.min_area_px, returned
    )
    frame = RgbdFrame(
        rgb,
        depth,
        k,
        frame_id=f"{camera.name}_optical_frame",
        stamp_ns=_stamp_ns(config, sequence, moment),
    )
    return SimulatedFrame(
        frame,
        poses,
        roles,
        areas,
        camera.room_from_camera,
        camera.name,
        sequence,
        moment,
        index,
        true_depth,
        people,
    )
