"""Where cameras hang and how they see: MVOR's rig, ceilings, eye level, anywhere."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from orpose_core.simulation.arithmetic import angle_of, applied, cos, sin, unit
from orpose_core.simulation.dice import Dice
from orpose_core.types import Float64Array, Intrinsics


@dataclass(frozen=True)
class Camera:
    """A pinhole camera in a room.

    Attributes:
        room_from_camera: float64 (4, 4), rigid, metres; the camera's frame is optical.
        intrinsics: of a 640x480 image.
        name: of the camera.
    """

    room_from_camera: Float64Array
    intrinsics: Intrinsics
    name: str

    @property
    def camera_from_room(self) -> Float64Array:
        """The inverse of ``room_from_camera``."""
        out = np.eye(4)
        rotation, centre = self.room_from_camera[:3, :3], self.room_from_camera[:3, 3]
        out[:3, :3] = rotation.T
        out[:3, 3] = -applied(np.ascontiguousarray(rotation.T), centre[0], centre[1], centre[2])
        return out


def aim(
    position_m: tuple[float, float, float], azimuth_rad: float, tilt_rad: float, roll_rad: float = 0.0
) -> Float64Array:
    """Return ``room_from_camera`` of a camera.

    Args:
        position_m: in the room, z up.
        azimuth_rad: of the optical axis about z, 0 = room +x.
        tilt_rad: of the optical axis below the horizontal.
        roll_rad: about the optical axis, clockwise seen from behind the camera.
    """
    ct = cos(tilt_rad)
    forward = np.array([cos(azimuth_rad) * ct, sin(azimuth_rad) * ct, -sin(tilt_rad)])
    right = unit(np.array([forward[1], -forward[0], 0.0]))
    down = np.array(
        [
            forward[1] * right[2] - forward[2] * right[1],
            forward[2] * right[0] - forward[0] * right[2],
            forward[0] * right[1] - forward[1] * right[0],
        ]
    )
    c, s = cos(roll_rad), sin(roll_rad)
    out = np.eye(4)
    out[:3, 0] = c * right + s * down
    out[:3, 1] = c * down - s * right
    out[:3, 2] = forward
    out[:3, 3] = position_m
    return out


# MVOR's three ceiling cameras: position (metres, floor at z = 0), azimuth, tilt and roll (degrees), fx, fy,
# cx, cy. From its published calibration, with the floor 1.03 m below the room frame's origin.
_MVOR_RIG = (
    ((-1.955, 0.881, 2.500), 3.30, 34.69, 7.28, (538.60, 538.24, 315.84, 241.92)),
    ((1.934, 1.311, 2.600), -172.39, 39.38, 3.34, (534.84, 534.40, 321.23, 243.35)),
    ((-0.807, 3.346, 2.765), -70.00, 40.23, 2.78, (541.41, 540.56, 323.95, 238.66)),
)  # fmt: skip


def mvor_camera(number: int, dice: Dice, jitter: float = 1.0) -> Camera:
    """Return camera ``number`` (0 to 2) of MVOR's rig, moved by a few centimetres and degrees.

    Args:
        number: which of the three.
        dice: of the sequence.
        jitter: scale of the deviation from the published calibration; 0 = exactly that.
    """
    position, azimuth, tilt, roll, (fx, fy, cx, cy) = _MVOR_RIG[number]
    x, y, z = (value + jitter * dice.near(0.0, 0.06) for value in position)
    pose = aim(
        (x, y, z),
        math.radians(azimuth + jitter * dice.near(0.0, 1.5)),
        math.radians(tilt + jitter * dice.near(0.0, 1.2)),
        math.radians(roll + jitter * dice.near(0.0, 0.8)),
    )
    return Camera(pose, Intrinsics(fx, fy, cx, cy, 640, 480), f"camera_{number + 1}")


def _some_lens(dice: Dice) -> Intrinsics:
    """Draw the intrinsics of a depth camera: mostly Kinect and Xtion like, now and then a wider one."""
    f = dice.between(505.0, 590.0) if dice.chance(0.75) else dice.between(380.0, 640.0)
    return Intrinsics(
        f,
        f * dice.between(0.995, 1.005),
        319.5 + dice.near(0.0, 4.0),
        239.5 + dice.near(0.0, 5.0),
        640,
        480,
    )


def ceiling_camera(
    dice: Dice, focus_m: tuple[float, float], half_room_m: tuple[float, float], name: str
) -> Camera:
    """Return a camera somewhere under an operating room's ceiling that looks at ``focus_m`` on the floor."""
    bearing = dice.between(-math.pi, math.pi)
    distance = dice.between(1.4, 3.6)
    limit_x, limit_y = half_room_m[0] - 0.2, half_room_m[1] - 0.2
    x = min(max(focus_m[0] + distance * cos(bearing), -limit_x), limit_x)
    y = min(max(focus_m[1] + distance * sin(bearing), -limit_y), limit_y)
    z = dice.between(2.1, 2.9)
    dx, dy = focus_m[0] - x, focus_m[1] - y
    azimuth = angle_of(dx, dy) + dice.near(0.0, 0.16)
    flat = math.sqrt(dx * dx + dy * dy)
    tilt = angle_of(max(flat, 0.6), z - dice.between(0.8, 1.3)) + dice.near(0.0, 0.06)
    tilt = min(max(tilt, math.radians(15.0)), math.radians(60.0))
    return Camera(aim((x, y, z), azimuth, tilt, dice.near(0.0, 0.05)), _some_lens(dice), name)


def eye_level_camera(dice: Dice, focus_m: tuple[float, float, float], distance_m: float, name: str) -> Camera:
    """Return a camera of a robot, tripod or shelf that looks at ``focus_m`` from ``distance_m`` away."""
    bearing = dice.between(-math.pi, math.pi)
    x, y = focus_m[0] + distance_m * cos(bearing), focus_m[1] + distance_m * sin(bearing)
    z = dice.between(0.8, 1.8) if dice.chance(0.75) else dice.between(1.8, 2.4)
    aside = dice.near(0.0, 0.10)
    level = angle_of(distance_m, z - focus_m[2])
    tilt = level + dice.near(0.0, 0.06)
    return Camera(
        aim((x, y, z), bearing + math.pi + aside, tilt, dice.near(0.0, 0.02)), _some_lens(dice), name
    )


def camera_at_any_height(
    dice: Dice, focus_m: tuple[float, float, float], distance_m: float, name: str
) -> Camera:
    """Return a camera as photographers and buildings have them: hand, tripod, floor, stairs or ceiling.

    Args:
        dice: of the sequence.
        focus_m: what it is aimed at, roughly.
        distance_m: to the focus, as the crow flies; cameras far above it come nearer on the floor plan.
        name: of the camera.
    """
    held = dice.pick({"hand": 0.45, "low": 0.1, "high": 0.45})
    low, high = {"hand": (0.9, 1.8), "low": (0.3, 0.9), "high": (1.8, 3.2)}[held]
    z = dice.between(low, high)
    above = z - focus_m[2]
    flat = math.sqrt(max(distance_m * distance_m - above * above, 0.25 * distance_m * distance_m))
    bearing = dice.between(-math.pi, math.pi)
    x, y = focus_m[0] + flat * cos(bearing), focus_m[1] + flat * sin(bearing)
    tilt = min(angle_of(flat, above) + dice.near(0.0, 0.07), math.radians(65.0))
    roll = dice.near(0.0, 0.02) if dice.chance(0.6) else dice.near(0.0, 0.09)
    pose = aim((x, y, z), bearing + math.pi + dice.near(0.0, 0.10), tilt, roll)
    return Camera(pose, _some_lens(dice), name)


def some_native_lens(dice: Dice) -> Intrinsics:
    """Draw the intrinsics of a depth camera with its own image: 4:3, 5:4 or 16:9, 40 to 75 degrees wide."""
    kind = dice.pick({"4:3": 0.6, "5:4": 0.15, "16:9": 0.25})
    width, height = {"4:3": (640, 480), "5:4": (512, 424), "16:9": (848, 480)}[kind]
    low, high = {"4:3": (0.78, 0.93), "5:4": (0.69, 0.74), "16:9": (0.49, 0.76)}[kind]
    f = width * (dice.between(low, high) if dice.chance(0.8) else dice.between(0.65, 1.05))
    cx, cy = 0.5 * width - 0.5 + dice.near(0.0, 4.0), 0.5 * height - 0.5 + dice.near(0.0, 5.0)
    return Intrinsics(f, f * dice.between(0.995, 1.005), cx, cy, width, height)


def looking_at(
    focus_m: tuple[float, float, float],
    azimuth_rad: float,
    pitch_rad: float,
    distance_m: float,
    aside: tuple[float, float],
    roll_rad: float,
    lens: Intrinsics,
) -> Float64Array:
    """Return ``room_from_camera`` of a camera that has a point before it, at a given pitch.

    Args:
        focus_m: the point.
        azimuth_rad: of the optical axis about z.
        pitch_rad: of the optical axis below the horizontal, up to a right angle.
        distance_m: of the point along the optical axis.
        aside: where the point is in the image, right and down: 0 = its middle, 1 = its edge.
        roll_rad: about the optical axis.
        lens: says how wide the image is.
    """
    pitch = min(pitch_rad, math.radians(89.5))  # straight down has no azimuth
    pose = aim(focus_m, azimuth_rad, pitch, roll_rad)
    right = aside[0] * distance_m * 0.5 * lens.width / lens.fx
    down = aside[1] * distance_m * 0.5 * lens.height / lens.fy
    pose[:3, 3] -= distance_m * pose[:3, 2] + right * pose[:3, 0] + down * pose[:3, 1]
    return pose
