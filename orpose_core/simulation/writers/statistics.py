"""Comparison of the synthetic operating room with MVOR: the same statistics of both."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from orpose_core.data.mvor import cameras_of, mvor_truth
from orpose_core.files import read_json
from orpose_core.simulation import SimulatedFrame, StreamConfig, simulate_frame
from orpose_core.skeleton import MVOR10
from orpose_core.types import Visibility

LEAST_VISIBLE = 6
"""MVOR's annotators gave a pose to staff of whom they saw most: 97 % of its poses have 6 or more of 10
joints seen. A simulated person of whom fewer are seen counts as a box alone, like a patient."""


@dataclass
class PeopleTable:
    """One row per person and image.

    Attributes:
        images: number of images, also those without people.
        camera: camera's number, 1 to 3.
        role: "clinician", "patient", ...
        box_hw: height and width, px at 640x480.
        pose: whether the person has a pose, not a box alone.
        visibility: uint8 (10,), MVOR's joints.
        neck_z_m: depth of the neck, NaN = unknown.
        lean_deg: trunk from the vertical, NaN = unknown.
        elbow_deg: left, right; 180 = straight, NaN = not seen.
        yaw_deg: angle between facing and the direction to the camera, 0 = toward it, NaN = unknown.
    """

    images: int = 0
    camera: list[int] = field(default_factory=list)
    role: list[str] = field(default_factory=list)
    box_hw: list[tuple[float, float]] = field(default_factory=list)
    pose: list[bool] = field(default_factory=list)
    visibility: list[NDArray[np.uint8]] = field(default_factory=list)
    neck_z_m: list[float] = field(default_factory=list)
    lean_deg: list[float] = field(default_factory=list)
    elbow_deg: list[tuple[float, float]] = field(default_factory=list)
    yaw_deg: list[float] = field(default_factory=list)

    def add(
        self,
        camera: int,
        role: str,
        box_hw: tuple[float, float],
        pose: bool,
        visibility: NDArray,
        xyz_cam_m: NDArray,
        up_cam: NDArray,
        seen_3d: NDArray,
    ) -> None:
        """Append one person: joints float (10, 3) in the camera's frame, and the room's up there."""
        self.camera.append(camera)
        self.role.append(role)
        self.box_hw.append(box_hw)
        self.pose.append(pose)
        self.visibility.append(visibility.astype(np.uint8))
        joint = {name: xyz_cam_m[i] for i, name in enumerate(MVOR10.joints)}
        self.neck_z_m.append(float(joint["neck"][2]))
        hips = 0.5 * (joint["left_hip"] + joint["right_hip"])
        self.lean_deg.append(_angle(joint["neck"] - hips, up_cam))
        elbows = []
        for side in ("left", "right"):
            rows = [MVOR10.index(f"{side}_{j}") for j in ("shoulder", "elbow", "wrist")]
            shoulder, elbow, wrist = xyz_cam_m[rows]
            elbows.append(_angle(shoulder - elbow, wrist - elbow) if seen_3d[rows].all() else np.nan)
        self.elbow_deg.append((elbows[0], elbows[1]))
        facing = np.cross(joint["left_shoulder"] - joint["right_shoulder"], up_cam)
        to_camera = -joint["neck"] + np.dot(joint["neck"], up_cam) * up_cam
        sine, cosine = np.dot(np.cross(to_camera, facing), up_cam), np.dot(to_camera, facing)
        self.yaw_deg.append(float(np.degrees(np.arctan2(sine, cosine))))


def _angle(a: NDArray, b: NDArray) -> float:
    """Angle between two vectors, degrees; NaN if one is unknown or zero."""
    norm = np.linalg.norm(a) * np.linalg.norm(b)
    return float(np.degrees(np.arccos(np.clip(np.dot(a, b) / norm, -1, 1)))) if norm > 0 else float("nan")


def mvor_table(path: str | os.PathLike) -> PeopleTable:
    """Return the people of MVOR's annotation file.

    Raises:
        ValueError: naming the file, if it is not MVOR's.
    """
    content = read_json(path)
    truth = mvor_truth(content, str(path))
    if truth.joints_3d is None or "cameras_info" not in content:
        raise ValueError(f"{path}: expected MVOR's annotations with cameras and 3D joints, got none of them")
    up = [c.room_from_cam[2, :3] for c in cameras_of(content, str(path))]
    cameras = [int(image["cam_id"]) for image in content["images"]]
    annotations: list[dict[str, Any]] = content["annotations"]
    table = PeopleTable(images=len(truth.image_ids))
    for a, annotation in enumerate(annotations):
        camera = cameras[truth.image[a]]
        _, _, w, h = truth.boxes_xywh[a]
        visibility = truth.keypoints[a, :, 2]
        pose = not annotation.get("only_bbox", 0)
        xyz, seen = truth.joints_3d.xyz_cam_m[a], truth.joints_3d.seen[a]
        table.add(camera, annotation["person_role"], (h, w), pose, visibility, xyz, up[camera - 1], seen)
    return table


def simulated_table(frames: Iterable[SimulatedFrame]) -> PeopleTable:
    """Return the people of simulated frames, counted as MVOR's annotators did (see LEAST_VISIBLE)."""
    table = PeopleTable()
    for simulated in frames:
        table.images += 1
        intrinsics = simulated.frame.intrinsics
        assert intrinsics is not None
        scale = 480.0 / intrinsics.height
        poses = simulated.poses
        order = [poses.skeleton.index(j) for j in MVOR10.joints]
        up = simulated.room_from_camera[2, :3]
        for m, role in enumerate(simulated.roles):
            assert poses.visibility is not None and poses.xyz_cam_m is not None
            visibility = poses.visibility[m, order]
            seen = visibility == Visibility.VISIBLE
            x1, y1, x2, y2 = (float(value) * scale for value in poses.boxes_px[m])
            pose = role != "patient" and int(seen.sum()) >= LEAST_VISIBLE
            camera = int(simulated.camera.rsplit("_", 1)[-1])
            xyz = poses.xyz_cam_m[m, order].astype(np.float64)
            table.add(camera, role, (y2 - y1, x2 - x1), pose, visibility, xyz, up, seen)
    return table


def summary(table: PeopleTable) -> dict[str, float]:
    """Return the statistics that are compared; shares are of people or joints, medians of what is known."""
    pose = np.array(table.pose, bool)
    camera = np.array(table.camera)
    role = np.array(table.role)
    height = np.array(table.box_hw).reshape(-1, 2)
    flags = np.array(table.visibility).reshape(-1, len(MVOR10))[pose]
    neck, lean = np.array(table.neck_z_m), np.array(table.lean_deg)
    elbows = np.array(table.elbow_deg).reshape(-1, 2)[pose]
    yaw = np.abs(np.array(table.yaw_deg))[pose]
    out = {
        "people per image": len(pose) / max(table.images, 1),
        "patients per image": float((role == "patient").sum()) / max(table.images, 1),
        "poses per image": float(pose.sum()) / max(table.images, 1),
    }
    for number in sorted(set(camera.tolist())):
        out[f"neck depth, camera {number}, median m"] = _median(neck[pose & (camera == number)])
    out |= {
        "occluded joints, %": 100.0 * float((flags == Visibility.OCCLUDED).mean()),
        "joints not annotated, %": 100.0 * float((flags == Visibility.ABSENT).mean()),
        "box height, median px": _median(height[:, 0]),
        "box width, median px": _median(height[:, 1]),
        "box height with pose, median px": _median(height[pose, 0]),
        "trunk lean, median deg": _median(lean[pose]),
        "trunk lean, 95th percentile deg": _median(lean[pose], 95.0),
        "left elbow, median deg": _median(elbows[:, 0]),
        "right elbow, median deg": _median(elbows[:, 1]),
        "facing the camera (< 60 deg), %": 100.0 * float((yaw < 60.0).mean()),
        "back to the camera (> 120 deg), %": 100.0 * float((yaw > 120.0).mean()),
    }
    for j, name in enumerate(MVOR10.joints):
        out[f"occluded {name}, %"] = 100.0 * float((flags[:, j] == Visibility.OCCLUDED).mean())
    return out


def _median(values: NDArray, percentile: float = 50.0) -> float:
    known = values[np.isfinite(values)]
    return float(np.percentile(known, percentile)) if len(known) else float("nan")


def comparison(simulated: dict[str, float], real: dict[str, float]) -> str:
    """Return the two summaries as a table with the difference of each line."""
    lines = [f"{'':38s} {'simulated':>10s} {'MVOR':>10s} {'difference':>11s}"]
    for name, value in real.items():
        ours = simulated.get(name, float("nan"))
        lines.append(f"{name:38s} {ours:10.2f} {value:10.2f} {ours - value:+11.2f}")
    return "\n".join(lines)


def compared_with_mvor(
    config: StreamConfig, frames: int, mvor_path: str | os.PathLike, progress: Callable[[int], object]
) -> str:
    """Return a table of a recording's statistics beside MVOR's; frames are rendered small, without sensor.

    Args:
        config: of the recording.
        frames: of it.
        mvor_path: MVOR's annotation file.
        progress: called with the number of finished frames.
    """
    real = summary(mvor_table(mvor_path))
    quick = replace(config, size_hw=(240, 320), modality="depth", sensor=False)

    def rendered() -> Iterator[SimulatedFrame]:
        for i in range(frames):
            yield simulate_frame(quick, i)
            progress(i + 1)

    return comparison(summary(simulated_table(rendered())), real)
