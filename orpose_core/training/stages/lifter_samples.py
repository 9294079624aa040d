"""Training data of the lifter: bodies in space, and their joints in an image with the errors of a detector.

The synthetic room provides bodies without rendering. The bodies of Human3.6M are seen by the same random
cameras, so the cameras of its recordings are not needed.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from orpose_core.data.human36m import TRAINING_SUBJECTS, read_human36m
from orpose_core.decoding.roi import LIFTER_INPUT, LIFTER_OUTPUT
from orpose_core.geometry import project, transform_points
from orpose_core.simulation import StreamConfig
from orpose_core.simulation.dice import Dice
from orpose_core.simulation.people import motion
from orpose_core.simulation.people.kinematics import joints_of
from orpose_core.simulation.sensing.cameras import Camera, ceiling_camera, eye_level_camera
from orpose_core.simulation.stream import DOMAINS, scene_of
from orpose_core.skeleton import BODY24, COCO17, H36M17, convert_joints
from orpose_core.types import Float64Array, FloatArray

_COCO = [BODY24.index(j) for j in COCO17.joints]
_TARGET = [BODY24.index(j) for j in LIFTER_OUTPUT]
_INPUT = [H36M17.index(j) for j in LIFTER_INPUT]
_HIPS = [BODY24.index("left_hip"), BODY24.index("right_hip")]
_LEGS = [COCO17.index(f"{side}_{joint}") for side in ("left", "right") for joint in ("knee", "ankle")]
_SIGMAS = np.array(COCO17.sigmas)
_CEILING_SHARE = {"or": 0.8, "general": 0.2}  # of all others: half
_LONGEST_S = 60.0
_HALF_ROOM_M = (3.2, 3.6)


@dataclass(frozen=True)
class JointNoiseConfig:
    """Simulated errors of a detector's 2D joints.

    Attributes:
        level: range, log-uniform per person, of the deviation of a joint in OKS sigmas times the person's
            size; 1 is the precision of human annotators.
        poor: probability that a joint's deviation is five times as large.
        swap: probability that left and right of a person are exchanged.
        swap_pair: probability that a single pair of joints is exchanged.
        missing: largest probability of an absent joint; the value for each person is drawn from 0 to this.
        legs_missing: probability that knees and ankles are absent, as behind a table.
        outside_guessed: probability that a joint outside the image is detected near the border.
    """

    level: tuple[float, float] = (0.15, 2.0)
    poor: float = 0.06
    swap: float = 0.02
    swap_pair: float = 0.01
    missing: float = 0.25
    legs_missing: float = 0.15
    outside_guessed: float = 0.5

    def __post_init__(self) -> None:
        if not 0 < self.level[0] <= self.level[1]:
            raise ValueError(f"noise.level: expected a range of positive numbers, got {self.level}")
        for name in ("poor", "swap", "swap_pair", "missing", "legs_missing", "outside_guessed"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"noise.{name}: expected a number in [0, 1], got {getattr(self, name)}")


@dataclass(frozen=True)
class LifterDataConfig:
    """Training data of the lifter.

    Attributes:
        source: ``"simulation"`` or ``"human36m"``.
        domains: domains of the simulation, which take turns.
        file: for ``"human36m"``: ``data_3d_h36m.npz``.
        subjects: for ``"human36m"``: subjects of the file to use.
        views: number of people per sample: several of one room, at several times, seen by several cameras.
        min_joints: people with fewer of the 17 COCO joints in the image are left out.
        image_hw: (height, width) of the image of the 2D joints, px.
        seed: seed of all random numbers.
        noise: errors of the 2D joints.
    """

    source: Literal["simulation", "human36m"] = "simulation"
    domains: tuple[str, ...] = ("or", "general")
    file: Path | None = None
    subjects: tuple[str, ...] = TRAINING_SUBJECTS
    views: int = 64
    min_joints: int = 8
    image_hw: tuple[int, int] = (480, 640)
    seed: int = 1
    noise: JointNoiseConfig = field(default_factory=JointNoiseConfig)

    def __post_init__(self) -> None:
        if not self.domains or set(self.domains) - set(DOMAINS):
            raise ValueError(f"data.domains: expected some of {DOMAINS}, got {self.domains}")
        if self.source == "human36m" and self.file is None:
            raise ValueError("data.source: 'human36m' needs data.file")
        if self.views < 1:
            raise ValueError(f"data.views: expected 1 or more, got {self.views}")


@dataclass(frozen=True)
class SeenBodies:
    """Bodies seen by cameras.

    Attributes:
        xyz_cam_m: float64 (m, 24, 3), BODY24, m, optical frame; NaN = the source lacks the joint.
        xy_px: float64 (m, 17, 2), COCO17, px (integer = pixel centre), NaN = not in front of the camera.
        inside: bool (m, 17), whether a joint is in the image.
        image_hw: (height, width) of the image, px.
    """

    xyz_cam_m: Float64Array
    xy_px: Float64Array
    inside: NDArray[np.bool_]
    image_hw: tuple[int, int]

    def select(self, rows: NDArray) -> SeenBodies:
        """Return the selected bodies."""
        return SeenBodies(self.xyz_cam_m[rows], self.xy_px[rows], self.inside[rows], self.image_hw)

    def targets_m(self) -> FloatArray:
        """Return float32 (m, 16, 3), LIFTER_OUTPUT, metres relative to the mean of the hips."""
        root = self.xyz_cam_m[:, _HIPS].mean(axis=1, keepdims=True)
        return (self.xyz_cam_m[:, _TARGET] - root).astype(np.float32)


def seen_by(bodies_m: Float64Array, cameras: list[Camera], image_hw: tuple[int, int]) -> SeenBodies:
    """Return the view of each body, (m, 24, 3) in the room frame, from its own camera."""
    height, width = image_hw
    xyz, xy = np.empty((len(bodies_m), len(BODY24), 3)), np.empty((len(bodies_m), len(COCO17), 2))
    for row, (body, camera) in enumerate(zip(bodies_m, cameras, strict=True)):
        xyz[row] = transform_points(camera.camera_from_room, body)
        xy[row] = project(xyz[row, _COCO], camera.intrinsics.resized(image_hw))
    with np.errstate(invalid="ignore"):
        inside = np.asarray(((xy >= -0.5) & (xy < np.array([width, height]) - 0.5)).all(axis=-1))
    return SeenBodies(xyz, xy, inside, image_hw)


def detected(
    bodies: SeenBodies, rng: np.random.Generator, noise: JointNoiseConfig | None
) -> tuple[FloatArray, FloatArray]:
    """Return 2D joints with the errors of a detector.

    Args:
        bodies: the ground truth.
        rng: random generator.
        noise: the errors; None = the true joints inside the image.

    Returns:
        float32 (m, 17, 2), px, NaN = absent, and the scores (m, 17), 1 or 0.
    """
    xy, there = bodies.xy_px.copy(), bodies.inside.copy()
    if noise is None:
        return np.where(there[..., None], xy, np.nan).astype(np.float32), there.astype(np.float32)
    m, height, width = len(xy), *bodies.image_hw
    seen = np.where(there[..., None], xy, np.nan)
    size = np.sqrt(np.maximum(np.prod(np.nanmax(seen, axis=1) - np.nanmin(seen, axis=1), axis=1), 25.0))
    guessed = ~there & np.isfinite(xy).all(axis=-1) & (rng.random((m, 17)) < noise.outside_guessed)
    xy = np.where(guessed[..., None], np.clip(xy, 0, [width - 1, height - 1]), xy)
    there |= guessed
    low, high = np.log(noise.level)
    level = np.exp(rng.uniform(low, high, (m, 1))) * np.where(rng.random((m, 17)) < noise.poor, 5.0, 1.0)
    xy += rng.standard_normal((m, 17, 2)) * (level * _SIGMAS * size[:, None])[..., None]
    there &= rng.random((m, 17)) >= rng.uniform(0, noise.missing, (m, 1))
    there[:, _LEGS] &= rng.random((m, 1)) >= noise.legs_missing
    swapped = np.broadcast_to(rng.random((m, 1)) < noise.swap, (m, 17)).copy()
    for left, right in COCO17.flip_pairs:
        swapped[:, [left, right]] ^= rng.random((m, 1)) < noise.swap_pair
    order = list(COCO17.flip_permutation)
    xy = np.where(swapped[..., None], xy[:, order], xy)
    there = np.where(swapped, there[:, order], there)
    return np.where(there[..., None], xy, np.nan).astype(np.float32), there.astype(np.float32)


def lifter_input(xy_px: FloatArray, scores: FloatArray) -> FloatArray:
    """Return float32 (m, 16, 2), LIFTER_INPUT, continuous px, NaN = absent, of COCO17 joints."""
    xy, _ = convert_joints(xy_px, scores, COCO17, H36M17)
    return xy[:, _INPUT] + np.float32(0.5)


def random_camera(dice: Dice, focus_m: Float64Array, kind: str) -> Camera:
    """Draw a camera, under the ceiling or at eye level, that looks approximately at a point of the room."""
    x, y = float(focus_m[0]) + dice.near(0.0, 0.4), float(focus_m[1]) + dice.near(0.0, 0.4)
    if dice.chance(_CEILING_SHARE.get(kind, 0.5)):
        half = (_HALF_ROOM_M[0] + abs(x), _HALF_ROOM_M[1] + abs(y))
        return ceiling_camera(dice, (x, y), half, "camera_1")
    return eye_level_camera(dice, (x, y, dice.between(0.75, 1.45)), dice.between(1.2, 5.6), "camera_1")


class LifterSamples(Dataset[tuple[FloatArray, FloatArray]]):
    """Samples by number: 2D joints, float32 (k, 16, 2), px, and their 3D positions, float32 (k, 16, 3), m."""

    def __init__(self, data: LifterDataConfig) -> None:
        self.data = data
        self.recordings: list[FloatArray] = []
        if data.source == "human36m" and data.file is not None:
            self.recordings = read_human36m(data.file, data.subjects)

    def bodies(self, index: int) -> SeenBodies:
        """Return the people of a sample, without those who have too few joints in the image."""
        rng = np.random.default_rng([self.data.seed, index, 1])
        dice = Dice(self.data.seed, index, 36)
        if self.data.source == "human36m":
            kind, joints = "human36m", self._recorded(rng)
        else:
            kind = self.data.domains[index % len(self.data.domains)]
            joints = self._simulated(kind, index, rng)
        cameras = [random_camera(dice, body[_HIPS].mean(axis=0), kind) for body in joints]
        seen = seen_by(joints, cameras, self.data.image_hw)
        return seen.select(seen.inside.sum(axis=1) >= self.data.min_joints)

    def _simulated(self, domain: str, index: int, rng: np.random.Generator) -> Float64Array:
        """Return float64 (views, 24, 3) of the people of one room; (0, 24, 3) if the room is empty."""
        scene = scene_of(StreamConfig(domain, seed=self.data.seed), index)
        bodies = []
        for _ in range(self.data.views if scene.people else 0):
            who = int(rng.integers(len(scene.people)))
            dimensions = scene.people[who].dimensions
            time_s = float(rng.uniform(0, _LONGEST_S))
            bodies.append(joints_of(motion.pose_at(scene.actors[who], dimensions, time_s), dimensions)[0])
        return np.array(bodies).reshape(-1, len(BODY24), 3)

    def _recorded(self, rng: np.random.Generator) -> Float64Array:
        """Return float64 (views, 24, 3) of frames of Human3.6M; NaN for joints that it lacks."""
        bodies = np.full((self.data.views, len(BODY24), 3), np.nan)
        for body in bodies:
            recording = self.recordings[int(rng.integers(len(self.recordings)))]
            frame = recording[int(rng.integers(len(recording)))]
            body[[BODY24.index(j) for j in H36M17.joints]] = frame
            # What a lifter reads as both joints of the head is the mean of the ears (COCO has no other).
            middle = (frame[H36M17.index("neck_nose")] + frame[H36M17.index("head_top")]) / 2
            body[[BODY24.index("left_ear"), BODY24.index("right_ear")]] = middle
        return bodies

    def __getitem__(self, index: int) -> tuple[FloatArray, FloatArray]:
        seen = self.bodies(index)
        rng = np.random.default_rng([self.data.seed, index, 2])
        return lifter_input(*detected(seen, rng, self.data.noise)), seen.targets_m()


def collate_people(samples: list[tuple[FloatArray, FloatArray]]) -> dict[str, Tensor]:
    """Make a batch of the people of several samples: ``xy_px`` and ``xyz_root_m``."""
    return {
        "xy_px": torch.from_numpy(np.concatenate([xy for xy, _ in samples])),
        "xyz_root_m": torch.from_numpy(np.concatenate([xyz for _, xyz in samples])),
    }
