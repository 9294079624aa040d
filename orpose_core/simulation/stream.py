"""Frames by number: the synthetic recording that a configuration and a seed stand for."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from orpose_core.geometry import project
from orpose_core.simulation.people import activities, bodies
from orpose_core.simulation.rooms.rooms import ABSORPTION, GLOSS
from orpose_core.simulation.rooms.scenes import Scene, everyday_scene, general_scene, or_scene
from orpose_core.simulation.sensing.cameras import Camera
from orpose_core.simulation.sensing.raycast import Solids, View, look, normals_of
from orpose_core.simulation.sensing.sensor import Sensor, sense
from orpose_core.simulation.sensing.shading import look_from, shade
from orpose_core.simulation.truth import joint_visibility, seen_boxes
from orpose_core.skeleton import BODY24
from orpose_core.types import FloatArray, Intrinsics, Poses, RgbdFrame, Visibility

Float64Array = NDArray[np.float64]

DOMAINS = ("or", "general", "everyday")
MODALITIES = ("depth", "color", "rgbd")
_FIRST_SPLIT_KEY = 1 << 40
_EPOCH_NS = 1_704_067_200_000_000_000  # 2024-01-01: stamps must be those of a plausible clock
_BETWEEN_SEQUENCES_NS = 10_000_000_000


@dataclass(frozen=True)
class StreamConfig:
    """What a synthetic recording is like; with ``seed`` it fixes every byte of every frame.

    Attributes:
        domain: "or" (operating rooms from the ceiling), "general" (everyday rooms at eye level) or "everyday"
            (everyday rooms from any height, people at tables, too).
        size_hw: (height, width) of the frames, px; the cameras have 640x480 and are scaled.
        modality: "depth", "color" or "rgbd".
        seed: 0 to 2^32 - 1.
        cameras: per room, 1 to 3 ("or" alone; else 1). Frame ``index`` is camera ``index % cameras``.
        frames_per_sequence: moments of one sequence (one room, the same people, smooth motion); 1 = every
            frame
            has its own room.
        rate_hz: moments per second of a sequence.
        rig: "mvor", "any" or "mixed": where cameras of the "or" domain hang.
        sensor: False = the exact depth of the scene, without noise and holes.
        split: name of a benchmark split (see :func:`split_config`), whose frames no seed gives; None = none.
        min_area_px: people of whom less is seen (px at 640x480) are left out of the poses.
        crowd: this many people more than a room usually has, so that a training meets more of them per image.
    """

    domain: str = "or"
    size_hw: tuple[int, int] = (192, 256)
    modality: str = "depth"
    seed: int = 0
    cameras: int = 1
    frames_per_sequence: int = 1
    rate_hz: float = 15.0
    rig: str = "mixed"
    sensor: bool = True
    split: str | None = None
    min_area_px: float = 150.0
    crowd: int = 0

    def __post_init__(self) -> None:
        if self.domain not in DOMAINS:
            raise ValueError(f"StreamConfig.domain: expected one of {DOMAINS}, got {self.domain!r}")
        if self.modality not in MODALITIES:
            raise ValueError(f"StreamConfig.modality: expected one of {MODALITIES}, got {self.modality!r}")
        if len(self.size_hw) != 2 or min(self.size_hw) < 8 or max(self.size_hw) > 4096:
            raise ValueError(f"StreamConfig.size_hw: expected two sizes of 8 to 4096 px, got {self.size_hw}")
        if not 0 <= self.seed < 1 << 32:
            raise ValueError(f"StreamConfig.seed: expected 0 to 2^32 - 1, got {self.seed}")
        most = 3 if self.domain == "or" else 1
        if not 1 <= self.cameras <= most:
            raise ValueError(
                f"StreamConfig.cameras: expected 1 to {most} in {self.domain!r}, got {self.cameras}"
            )
        if self.frames_per_sequence < 1:
            raise ValueError(
                f"StreamConfig.frames_per_sequence: expected at least 1, got {self.frames_per_sequence}"
            )
        if not self.rate_hz > 0:
            raise ValueError(f"StreamConfig.rate_hz: expected a positive rate, got {self.rate_hz}")
        if not 0 <= self.crowd <= 8:
            raise ValueError(f"StreamConfig.crowd: expected 0 to 8, got {self.crowd}")
        if self.rig not in ("mvor", "any", "mixed"):
            raise ValueError(f"StreamConfig.rig: expected mvor, any or mixed, got {self.rig!r}")
        if self.split is not None and self.split not in SPLITS:
            raise ValueError(f"StreamConfig.split: expected one of {sorted(SPLITS)}, got {self.split!r}")

    @property
    def scene_seed(self) -> int:
        """What all randomness is keyed with: the seed, or a split's own key, beyond all seeds."""
        return self.seed if self.split is None else SPLITS[self.split].key


@dataclass(frozen=True)
class Split:
    """A named benchmark: a fixed number of frames of a fixed stream.

    Attributes:
        domain: of the stream.
        frames: how many images.
        key: of its randomness, beyond all seeds, so that no training stream can meet it.
        cameras: per room.
        frames_per_sequence: moments per room.
        rate_hz: moments per second.
    """

    domain: str
    frames: int
    key: int
    cameras: int
    frames_per_sequence: int
    rate_hz: float


SPLITS: dict[str, Split] = {
    "or-val-v1": Split("or", 1200, _FIRST_SPLIT_KEY + 1, 3, 4, 0.5),
    "general-val-v1": Split("general", 1000, _FIRST_SPLIT_KEY + 2, 1, 1, 1.0),
}
"""The benchmark splits; their keys lie beyond 2^32, so that no training seed meets them."""


def split_config(name: str, size_hw: tuple[int, int] = (480, 640), modality: str = "rgbd") -> StreamConfig:
    """Return the stream of a named split; ValueError lists the names there are."""
    if name not in SPLITS:
        raise ValueError(f"no benchmark split is called {name!r}; there are {sorted(SPLITS)}")
    s = SPLITS[name]
    return StreamConfig(
        s.domain,
        size_hw,
        modality,
        cameras=s.cameras,
        frames_per_sequence=s.frames_per_sequence,
        rate_hz=s.rate_hz,
        rig="mvor",
        split=name,
    )


@dataclass(frozen=True)
class SimulatedFrame:
    """One frame and all that is known about it.

    Attributes:
        frame: as the sensor gives it.
        poses: BODY24 of everybody of whom something is seen, with 2D and 3D joints, visibility, boxes of
            what is
            seen, and ids that stay the same within a sequence. Joints outside the image are absent in 2D but
            have ``xyz_cam_m``.
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
def _scene(config: StreamConfig, sequence: int) -> Scene:
    if config.domain == "general":
        return general_scene(config.scene_seed, sequence, config.crowd)
    if config.domain == "everyday":
        return everyday_scene(config.scene_seed, sequence, config.crowd)
    return or_scene(config.scene_seed, sequence, config.rig, config.cameras, config.crowd)


def _room_key(config: StreamConfig) -> StreamConfig:
    """Return a configuration that is the same for all that share their rooms."""
    return replace(config, size_hw=(480, 640), modality="depth", sensor=True)


def scene_of(config: StreamConfig, sequence: int) -> Scene:
    """Return the room, cameras and people of a sequence."""
    return _scene(_room_key(config), sequence)


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
        pose = activities.pose_at(actor, person.dimensions, time_s)
        joints.append(bodies.add_body(solids, person, pose, i, scene.first_materials[i]))
    return solids, joints


def _in_camera(joints_room_m: Float64Array, camera_from_room: Float64Array) -> Float64Array:
    """Return joints, float64 (24, 3), in the camera's frame; summed in a fixed order."""
    m = camera_from_room
    return np.stack(
        [
            joints_room_m[:, 0] * m[i, 0]
            + joints_room_m[:, 1] * m[i, 1]
            + joints_room_m[:, 2] * m[i, 2]
            + m[i, 3]
            for i in range(3)
        ],
        axis=1,
    )


def _ground_truth(
    config: StreamConfig,
    scene: Scene,
    camera: Camera,
    k: Intrinsics,
    solids: Solids,
    view: View,
    joints: list,
) -> tuple[Poses, tuple[str, ...], NDArray[np.int64], NDArray[np.int16]]:
    """Return poses, roles, areas and the map of people of one view."""
    owners, parts = solids.owners[: solids.count], solids.parts[: solids.count]
    boxes, areas = seen_boxes(view.solid, owners, len(scene.people))
    least = config.min_area_px * (k.width / 640.0) * (k.height / 480.0)
    rows: list[int] = []
    xyz, xy, flags = [], [], []
    for i, person in enumerate(scene.people):
        if areas[i] < least:
            continue
        xyz_cam = _in_camera(joints[i], camera.camera_from_room)
        xy_px = project(xyz_cam, k)
        seen = joint_visibility(
            xy_px, xyz_cam[:, 2], i, person.dimensions, view.depth_m, view.solid, owners, parts
        )
        rows.append(i)
        xyz.append(xyz_cam)
        xy.append(np.where((seen > 0)[:, None], xy_px, np.nan))
        flags.append(seen)
    lookup = np.full(len(scene.people) + 1, -1, np.int16)
    lookup[rows] = np.arange(len(rows), dtype=np.int16)
    owner_of = np.append(owners, -1)
    people = lookup[owner_of[view.solid]]
    roles = tuple(scene.people[i].role for i in rows)
    joints_count = len(BODY24)  # the shapes hold for nobody, too
    xyz_cam_m = np.array(xyz, np.float32).reshape(-1, joints_count, 3)
    hips = [BODY24.index("left_hip"), BODY24.index("right_hip")]
    root = xyz_cam_m[:, hips].mean(axis=1, keepdims=True)
    visibility = np.array(flags, np.uint8).reshape(-1, joints_count)
    poses = Poses(
        BODY24,
        np.array(xy, np.float32).reshape(-1, joints_count, 2),
        (visibility > Visibility.ABSENT).astype(np.float32),
        np.ones(len(rows), np.float32),
        boxes[rows],
        xyz_root_m=xyz_cam_m - root,
        xyz_cam_m=xyz_cam_m,
        visibility=visibility,
        track_ids=np.array(rows, np.int64),
    )
    return poses, roles, areas[rows], people


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
    millimetres = sense(
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
    empty = _empty_room_from_lamps(_room_key(config), sequence)
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
        index: 0 or more; frames can be asked for in any order.

    Raises:
        ValueError: if the index is negative.
    """
    if index < 0:
        raise ValueError(f"simulate_frame: expected an index of 0 or more, got {index}")
    camera_number = index % config.cameras
    sequence, moment = divmod(index // config.cameras, config.frames_per_sequence)
    scene = scene_of(config, sequence)
    camera = scene.cameras[camera_number]
    time_s = moment / config.rate_hz
    solids, joints = _populate(scene, time_s)
    k = camera.intrinsics.resized(config.size_hw)
    empty = _empty_room(_room_key(config), config.size_hw, sequence, camera_number)
    view = look(solids, camera.camera_from_room, k, empty, scene.room.solids.count)
    poses, roles, areas, people = _ground_truth(config, scene, camera, k, solids, view, joints)
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
