"""What a run says at its end: what was missing for 3D, and signs that a recording is not what it seems."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from orpose_core.types import Poses

_PLAUSIBLE_M = (0.4, 12.0)  # median depth of a room
_FEW = 5  # people, before anything is said of their posture


class Remarks:
    """Looks at every frame of a run."""

    def __init__(self) -> None:
        self._frames = self._without_depth = self._without_camera = 0
        self._people = self._metric_people = 0
        self._standing = self._upside_down = 0
        self._medians_m: list[float] = []
        self._seen_medians = 0

    def add(self, image: Mapping[str, Any], poses: Poses) -> None:
        """Look at a frame.

        Args:
            image: with ``has_depth``, ``has_camera`` and ``median_depth_m``.
            poses: who is in it.
        """
        self._frames += 1
        self._without_depth += not image["has_depth"]
        self._without_camera += not image["has_camera"]
        self._people += len(poses)
        if poses.xyz_cam_m is not None:
            known = ~np.isnan(poses.xyz_cam_m[..., 2])
            self._metric_people += int(np.count_nonzero(known.sum(axis=1)))
        if image["median_depth_m"] is not None:
            self._seen_medians += 1
            if len(self._medians_m) < 1000:
                self._medians_m.append(image["median_depth_m"])
        self._look_at_postures(poses)

    def _look_at_postures(self, poses: Poses) -> None:
        joints = poses.skeleton.joints
        if not {"left_shoulder", "right_shoulder", "left_hip", "right_hip"} <= set(joints):
            return
        y = poses.xy_px[..., 1]
        shoulders, hips = (
            y[:, [joints.index(f"left_{part}"), joints.index(f"right_{part}")]].mean(axis=1)
            for part in ("shoulder", "hip")
        )
        self._standing += int((shoulders < hips).sum())
        self._upside_down += int((shoulders > hips).sum())

    def sentences(self) -> list[str]:
        """Return what is to be said, one sentence a line."""
        lines = []
        if self._without_camera:
            lines.append(
                f"no metric 3D in {self._of_frames(self._without_camera)}: no calibration of the camera; "
                "give --intrinsics FX,FY,CX,CY, a camera_info.yaml beside the images, or a camera_info topic"
            )
        if self._without_depth:
            lines.append(f"no metric 3D in {self._of_frames(self._without_depth)}: no depth image")
        if self._people > self._metric_people and not (self._without_camera or self._without_depth):
            lines.append(
                f"no metric 3D for {self._people - self._metric_people} of {self._people} skeletons: the "
                "depth image has no return at their joints"
            )
        median_m = float(np.median(self._medians_m)) if self._medians_m else None
        if median_m is not None and not _PLAUSIBLE_M[0] <= median_m <= _PLAUSIBLE_M[1]:
            lines.append(
                f"the median depth is {median_m:.3g} m, which no room has: is --depth-unit right? (1 mm by "
                "default)"
            )
        if self._upside_down > self._standing and self._upside_down >= _FEW:
            lines.append(
                f"{self._upside_down} of {self._upside_down + self._standing} skeletons are upside down: "
                "does the camera hang upside down? Try --rotate 180"
            )
        if self._people == 0 and self._frames:
            lines.append("nobody was found")
        return lines

    def _of_frames(self, count: int) -> str:
        return f"all {count} frames" if count == self._frames else f"{count} of {self._frames} frames"
