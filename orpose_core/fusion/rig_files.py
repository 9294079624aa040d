"""Calibration files: orpose's YAML, MVOR's JSON, Kalibr's camchain, and ROS's camera_info with tf.

The YAML file has, for each camera, its intrinsics and ``room_from_camera`` as a translation (m) and a
quaternion (x, y, z, w), as in tf, and ``depth_scale``, by which its depth is multiplied. Images must be
rectified: distortion is not modeled.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from scipy.spatial.transform import Rotation

from orpose_core.data.mvor import cameras_of
from orpose_core.files import read_json, read_yaml, write_text
from orpose_core.fusion.rig import RoomCamera, check_rig
from orpose_core.types import Intrinsics

MVOR_FLOOR_M = 1.03
"""How far below the origin of MVOR's room frame its floor is."""
_FORMAT = "orpose-rig-1"


def read_rig(path: str | os.PathLike) -> list[RoomCamera]:
    """Read a calibration file of any of the kinds that this module knows.

    Raises:
        ValueError: naming the file and what was expected.
    """
    if Path(path).suffix == ".json":
        return mvor_rig(read_json(path), str(path))
    content = read_yaml(path)
    if isinstance(content, dict) and content.get("format") == _FORMAT:
        return _own_rig(content, str(path))
    if isinstance(content, dict) and "cam0" in content:
        return kalibr_rig(content, str(path))
    raise ValueError(f"{path}: expected a calibration (format {_FORMAT}) or a camchain of Kalibr")


def write_rig(path: str | os.PathLike, rig: Sequence[RoomCamera]) -> None:
    """Write a calibration file in YAML, atomically."""
    check_rig(rig)
    cameras = []
    for camera in rig:
        i, (translation, quaternion) = camera.intrinsics, pose_of(camera)
        cameras.append(
            {
                "name": camera.name,
                "frame_id": camera.frame_id,
                "intrinsics": {name: float(getattr(i, name)) for name in ("fx", "fy", "cx", "cy")},
                "width": i.width,
                "height": i.height,
                "translation_m": translation,
                "rotation_xyzw": quaternion,
                "depth_scale": float(camera.depth_scale),
            }
        )
    write_text(Path(path), yaml.safe_dump({"format": _FORMAT, "cameras": cameras}, sort_keys=False))


def pose_of(camera: RoomCamera) -> tuple[list[float], list[float]]:
    """Return ``room_from_camera`` as a translation, m, and a quaternion x, y, z, w."""
    return translation_and_quaternion(camera.room_from_camera)


def translation_and_quaternion(matrix: np.ndarray) -> tuple[list[float], list[float]]:
    """Return a rigid transform (4, 4) as a translation, m, and a quaternion x, y, z, w."""
    return matrix[:3, 3].tolist(), Rotation.from_matrix(matrix[:3, :3]).as_quat().tolist()


def transform_of(translation: Sequence[float], quaternion: Sequence[float]) -> np.ndarray:
    """Return a rigid transform, float64 (4, 4), of a translation, m, and a quaternion x, y, z, w."""
    norm = math.sqrt(sum(float(q) ** 2 for q in quaternion))
    if len(translation) != 3 or len(quaternion) != 4 or not 0.99 < norm < 1.01:
        raise ValueError(
            f"expected a translation and a unit quaternion x, y, z, w, got {translation}, {quaternion}"
        )
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_quat(np.asarray(quaternion, float)).as_matrix()
    matrix[:3, 3] = translation
    return matrix


def _own_rig(content: dict[str, Any], path: str) -> list[RoomCamera]:
    cameras = content.get("cameras")
    if not isinstance(cameras, list):
        raise ValueError(f"{path}: expected a list of cameras, got {type(cameras).__name__}")
    rig = [_own_camera(camera, f"{path}: camera {number}") for number, camera in enumerate(cameras)]
    try:
        check_rig(rig)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    return rig


def _own_camera(camera: Any, where: str) -> RoomCamera:
    try:
        k = {name: float(camera["intrinsics"][name]) for name in ("fx", "fy", "cx", "cy")}
        intrinsics = Intrinsics(**k, width=int(camera["width"]), height=int(camera["height"]))
        pose = transform_of(camera["translation_m"], camera["rotation_xyzw"])
        frame_id, depth_scale = str(camera.get("frame_id") or ""), float(camera.get("depth_scale", 1.0))
        return RoomCamera(str(camera["name"]), intrinsics, pose, frame_id, depth_scale)
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"{where}: expected name, intrinsics, width, height, translation_m and rotation_xyzw, "
            f"got {error!r}"
        ) from error


def mvor_rig(content: Any, path: str) -> list[RoomCamera]:
    """Return the cameras of MVOR's annotation file, the room's floor put at z = 0."""
    rig = []
    for number, camera in enumerate(cameras_of(content, path), start=1):
        pose = camera.room_from_cam.copy()
        pose[2, 3] += MVOR_FLOOR_M
        # The file prints rotations with few digits.
        u, _, v = np.linalg.svd(pose[:3, :3])
        pose[:3, :3] = u @ v
        rig.append(RoomCamera(f"camera_{number}", camera.intrinsics, pose))
    return rig


def kalibr_rig(content: Mapping[str, Any], path: str) -> list[RoomCamera]:
    """Return the cameras of a camchain of Kalibr; its first camera's frame stands for the room.

    ``T_cn_cnm1`` takes points of the camera before into this one. Put such a rig on the floor with
    ``orpose calibrate --guess``.
    """
    rig: list[RoomCamera] = []
    for number in range(len(content)):
        rig.append(_kalibr_camera(content, number, rig, f"{path}: cam{number}"))
    return rig


def _kalibr_camera(
    content: Mapping[str, Any], number: int, before: Sequence[RoomCamera], where: str
) -> RoomCamera:
    try:
        camera = content[f"cam{number}"]
        fx, fy, cx, cy = (float(v) for v in camera["intrinsics"])
        width, height = (int(v) for v in camera["resolution"])
        pose = np.eye(4)
        if number:
            step = np.array(camera["T_cn_cnm1"], np.float64).reshape(4, 4)
            pose = before[-1].room_from_camera @ np.linalg.inv(step)
        name = str(camera.get("rostopic", f"/cam{number}/image")).strip("/").split("/")[0]
        if any(name == other.name for other in before):
            name = f"cam{number}"
        return RoomCamera(name, Intrinsics(fx, fy, cx, cy, width, height), pose)
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"{where}: expected intrinsics (4 numbers), resolution and T_cn_cnm1, got {error!r}"
        ) from error


def ros_camera(
    name: str, k: Sequence[float], width: int, height: int, translation: Sequence[float],
    quaternion: Sequence[float], frame_id: str = "",
) -> RoomCamera:  # fmt: skip
    """Return a camera of a ``camera_info`` and the transform from its optical frame to the room.

    Args:
        name: of the camera.
        k: 9 numbers of ``camera_info.k``, row by row.
        width: of the image, px.
        height: of the image, px.
        translation: of the transform that ``tf`` gives for target room and source ``frame_id``, m.
        quaternion: of it, x, y, z, w.
        frame_id: of the optical frame.
    """
    if len(k) != 9:
        raise ValueError(f"camera {name}: expected 9 numbers in camera_info.k, got {len(k)}")
    intrinsics = Intrinsics(float(k[0]), float(k[4]), float(k[2]), float(k[5]), int(width), int(height))
    return RoomCamera(name, intrinsics, transform_of(translation, quaternion), frame_id)
