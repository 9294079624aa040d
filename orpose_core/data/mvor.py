"""MVOR and MVOR+: annotations, calibration and images of a real operating room, in the project's convention.

After loading everything is in metres and in the optical frame (x right, y down, z forward) of the camera that
took the image. In MVOR's file (Srivastav et al. 2018) lengths are millimetres, and

- ``keypoints3D`` is in the frame of camera 1, whatever ``ref_camera`` says: 12 times X, Y, Z, v. The first
  ten are the joints of :data:`MVOR10`, the last two unnamed; a joint at 0, 0, 0 is missing; v = 2 was seen,
  v = 1 inferred;
- ``extrinsics[i]`` maps camera i to camera 1, ``firstCamToRoomRef`` camera 1 to the room (z up);
- points project with the plain pinhole: the distortion terms of the file make the fit to the 2D joints worse;
- a 3D person belongs to the 2D person of the same ``person_id`` in each image of its multi-view frame. Four
  (frame, person_id) occur twice among the 3D annotations and one among the 2D ones: there a 2D person gets
  the 3D person that projects nearest to it.

MVOR+ (ORPose Sect. 3.1) is a COCO file of 17 joints with extra keys in its annotations:
``keypoints3D_camma_projected_allkps`` (10 times X, Y, Z, v, metres, camera frame of the image; v = 0
missing), ``keypoints2D_camma`` (MVOR's ten 2D joints) and ``person_id`` (-1 where MVOR has no pose).
The folders that `orpose simulate` writes have the same keys, and each image its own ``intrinsics``.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from orpose_core.data.coco import CocoTruth, Joints3D, truth_of
from orpose_core.data.coco_file import CocoFile, CocoImage, coco_file, read_coco_file
from orpose_core.data.json_fields import finite_numbers, objects, rows, whole_number
from orpose_core.files import read_color, read_depth
from orpose_core.geometry import project, transform_points
from orpose_core.metrics.people import People, mean_or_nan
from orpose_core.skeleton import MVOR10
from orpose_core.types import Float64Array, Intrinsics, RgbdFrame

PLUS_3D_KEY = "keypoints3D_camma_projected_allkps"
PLUS_2D_KEY = "keypoints2D_camma"
_IMAGE_FOLDERS = ("", "camma_mvor_dataset", "dataset", "images")


@dataclass(frozen=True)
class Camera:
    """One calibrated ceiling camera.

    Attributes:
        intrinsics: of its 640x480 images.
        cam1_from_cam: float64 (4, 4), metres, to the frame of camera 1.
        room_from_cam: float64 (4, 4), metres, to the room (z up).
    """

    intrinsics: Intrinsics
    cam1_from_cam: Float64Array
    room_from_cam: Float64Array


def read_mvor(path: str | os.PathLike) -> CocoTruth:
    """Read an annotation file of MVOR, MVOR+ or COCO, with the 3D joints it has.

    Raises:
        ValueError: naming the file and the annotation, and what was expected there.
    """
    return _mvor_truth(read_coco_file(path))


def mvor_truth(content: Any, path: str) -> CocoTruth:
    """Check the content of an annotation file and gather it; ``path`` is for messages."""
    return _mvor_truth(coco_file(content, path))


def _mvor_truth(file: CocoFile) -> CocoTruth:
    truth, content, path = truth_of(file), file.content, file.path
    if "cameras_info" in content:
        cameras = cameras_of(content, path)
        which = [_camera_number(image, len(cameras)) - 1 for image in file.images]
        truth = replace(truth, intrinsics=tuple(cameras[c].intrinsics for c in which))
        if "annotations3D" in content:
            truth = replace(truth, joints_3d=_mvor_joints(content, truth, cameras, which, path))
    elif file.images and all("intrinsics" in image.entry for image in file.images):
        truth = replace(truth, intrinsics=tuple(_own_intrinsics(image) for image in file.images))
    if file.people and PLUS_3D_KEY in file.people[0].entry:
        truth = replace(truth, joints_3d=_plus_joints(file))
    if file.people and PLUS_2D_KEY in file.people[0].entry:
        truth = replace(truth, pck_people=_plus_people(file, truth))
    return truth


def cameras_of(content: Any, path: str) -> list[Camera]:
    """Return the calibrated cameras, camera 1 first; lengths become metres."""
    try:
        parameters = content["cameras_info"]["camParams"]
        room_from_cam1 = _transform(parameters["firstCamToRoomRef"])
        cameras = []
        for k, intrinsics in enumerate(parameters["intrinsics"]):
            (fx, fy), (cx, cy) = intrinsics["focallength"], intrinsics["principalpoint"]
            width, height = intrinsics["imagesize"]
            cam1_from_cam = _transform(parameters["extrinsics"][k])
            cameras.append(
                Camera(
                    Intrinsics(fx, fy, cx, cy, int(width), int(height)),
                    cam1_from_cam,
                    room_from_cam1 @ cam1_from_cam,
                )
            )
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise ValueError(
            f"{path}: cameras_info: expected camParams with intrinsics (focallength, principalpoint, "
            f"imagesize), extrinsics and firstCamToRoomRef, 4x4 each; got {error!r}"
        ) from error
    return cameras


def image_path(truth: CocoTruth, index: int, root: str | os.PathLike, modality: str = "color") -> Path:
    """Return the file of an image: the annotation's own name, or for "depth" its twin in the depth folder.

    Args:
        truth: the annotations.
        index: of the image.
        root: folder of the data set, or the one above it.
        modality: "color" or "depth".
    """
    name = truth.file_names[index]
    if modality == "depth":
        name = "/".join("depth" if part == "color" else part for part in name.split("/"))
    candidates = [Path(root) / folder / name for folder in _IMAGE_FOLDERS]
    for candidate in candidates:
        if candidate.is_file():
            return candidate
    raise ValueError(
        f"{root}: expected the {modality} image of image id {truth.image_ids[index]} at {name} "
        f"(also looked in {', '.join(f for f in _IMAGE_FOLDERS if f)})"
    )


def load_frame(truth: CocoTruth, index: int, root: str | os.PathLike, modalities: Sequence[str]) -> RgbdFrame:
    """Read the images of one annotated image.

    Args:
        truth: the annotations.
        index: of the image.
        root: folder of the data set.
        modalities: of "color" and "depth". Depth files are 16-bit PNG, mm, 0 = no return.
    """
    rgb: NDArray | None = None
    depth_m: NDArray | None = None
    if "color" in modalities:
        rgb = read_color(image_path(truth, index, root, "color"))
    if "depth" in modalities:
        depth_m = read_depth(image_path(truth, index, root, "depth"))
    intrinsics = None if truth.intrinsics is None else truth.intrinsics[index]
    height, width = (rgb if rgb is not None else depth_m).shape[:2]  # type: ignore[union-attr]
    if intrinsics is not None and (intrinsics.height, intrinsics.width) != (height, width):
        intrinsics = intrinsics.resized((height, width))
    return RgbdFrame(rgb, depth_m, intrinsics, frame_id=str(truth.image_ids[index]))


def _transform(values: Sequence[float]) -> Float64Array:
    """Return a rigid 4x4 transform of 16 numbers, its translation in mm, in metres."""
    matrix = np.array(values, np.float64).reshape(4, 4)
    rotation = matrix[:3, :3]
    if not np.allclose(rotation @ rotation.T, np.eye(3), atol=1e-3):
        raise ValueError("a rotation that is not orthonormal")
    matrix[:3, 3] /= 1000.0
    return matrix


def _own_intrinsics(image: CocoImage) -> Intrinsics:
    """Return the intrinsics that an image of a synthetic recording brings along."""
    try:
        fx, fy, cx, cy = (float(image.entry["intrinsics"][name]) for name in ("fx", "fy", "cx", "cy"))
        return Intrinsics(fx, fy, cx, cy, image.width, image.height)
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"{image.where}: expected intrinsics with fx, fy, cx and cy, got {error!r}"
        ) from error


def _camera_number(image: CocoImage, n_cameras: int) -> int:
    """Return 1, 2 or 3: ``cam_id``, else the digits 2 to 4 of the image id (D 00C 00000NNN)."""
    digits = str(image.id)[1:4]
    number = whole_number(image.entry.get("cam_id", digits or 0), "cam_id", image.where)
    if not 1 <= number <= n_cameras:
        raise ValueError(f"{image.where}: expected a camera from 1 to {n_cameras}, got {number}")
    return number


def _mvor_joints(
    content: Any, truth: CocoTruth, cameras: Sequence[Camera], which: Sequence[int], path: str
) -> Joints3D:
    """Bring each 3D person into the frame of every image in which its 2D annotation is."""
    candidates: dict[tuple[int, int], list[Float64Array]] = defaultdict(list)
    for k, annotation in enumerate(objects(content["annotations3D"], f"{path}: annotations3D")):
        where = f"{path}: annotations3D[{k}]"
        points = _points_in_cam1(annotation, where)
        person = whole_number(annotation.get("person_id"), "person_id", where)
        for image_id in str(annotation.get("image_ids")).split("_"):
            candidates[whole_number(image_id, "image_ids", where), person].append(points)
    xyz = np.full((len(truth.image), len(MVOR10), 3), np.nan)
    seen = np.zeros((len(truth.image), len(MVOR10)), bool)
    for row, (image, person_id) in enumerate(zip(truth.image, truth.person_ids, strict=True)):
        camera = cameras[which[image]]
        cam_from_cam1 = np.linalg.inv(camera.cam1_from_cam)
        xy_px = truth.keypoints[row, :, :2]
        best = np.inf
        for points in candidates.get((int(truth.image_ids[image]), int(person_id)), ()):
            in_cam = transform_points(cam_from_cam1, points[:, :3])
            error = mean_or_nan(np.linalg.norm(project(in_cam, camera.intrinsics) - xy_px, axis=1))
            if error < best:
                best, xyz[row], seen[row] = error, in_cam, points[:, 3] == 2
    return Joints3D(MVOR10, xyz, seen & ~np.isnan(xyz).any(axis=-1))


def _points_in_cam1(annotation: Mapping[str, Any], where: str) -> Float64Array:
    """Return float64 (10, 4): X, Y, Z in metres, camera 1, NaN = missing, and v."""
    values = finite_numbers(annotation.get("keypoints3D"), "keypoints3D", where, (48,))  # 12 times X, Y, Z, v
    points = np.array(values, np.float64).reshape(12, 4)[: len(MVOR10)]
    missing = (points[:, :3] == 0).all(axis=1)
    points[:, :3] = np.where(missing[:, None], np.nan, points[:, :3] / 1000.0)
    return points


def _plus_values(file: CocoFile, key: str, width: int) -> Float64Array:
    """Return float64 (a, 10, width) of one of MVOR+'s extra keys."""
    n = len(MVOR10)
    entries, where = [p.entry for p in file.people], [p.where for p in file.people]
    return rows(entries, key, width * n, where).reshape(-1, n, width)


def _plus_joints(file: CocoFile) -> Joints3D:
    values = _plus_values(file, PLUS_3D_KEY, 4)
    posed = np.array([person.person_id for person in file.people]) != -1
    known = (values[..., 3] > 0) & posed[:, None]
    if known.any() and np.nanmedian(np.abs(values[known][:, 2])) > 100:
        raise ValueError(
            f"{file.path}: expected {PLUS_3D_KEY!r} in meters, got values that look like millimeters"
        )
    return Joints3D(MVOR10, np.where(known[..., None], values[..., :3], np.nan), values[..., 3] == 2)


def _plus_people(file: CocoFile, truth: CocoTruth) -> People:
    """Return MVOR's own 2D poses, which PCK is about; the people that MVOR does not know have no joints."""
    values = _plus_values(file, PLUS_2D_KEY, 3)
    absent = (values[..., :2] == 0).all(axis=-1) | (truth.person_ids == -1)[:, None]
    xy_px = np.where(absent[..., None], np.nan, values[..., :2])
    return People(MVOR10, truth.image, xy_px, np.ones(len(values)))
