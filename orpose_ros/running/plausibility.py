"""Plausibility of depth: with a wrong unit, rooms and people have impossible sizes."""

from __future__ import annotations

from collections import deque

import numpy as np

from orpose_core.types import Poses, RgbdFrame

ROOM_M = (0.25, 25.0)
"""Plausible range of the median depth of a room, m."""

TORSO_M = (0.15, 1.2)
"""Plausible range of the distance from the middle of the shoulders to the middle of the hips, m."""

_FRAMES = 20


class Plausibility:
    """Keeps depth and torso lengths of the last frames. One thread adds frames; any thread may read."""

    def __init__(self) -> None:
        self._depths_m: deque[float] = deque(maxlen=_FRAMES)
        self._torsos_m: deque[float] = deque(maxlen=_FRAMES)

    def see(self, frame: RgbdFrame) -> None:
        """Add the median depth of a frame."""
        if frame.depth_m is not None:
            valid = frame.depth_m[np.isfinite(frame.depth_m)]
            if valid.size:
                self._depths_m.append(float(np.median(valid)))

    def see_people(self, poses: Poses) -> None:
        """Add the torso lengths of people with 3D joints."""
        if poses.xyz_cam_m is None or not len(poses):
            return
        joints = poses.skeleton.joints
        ends = [
            [joints.index(f"{side}_{part}") for side in ("left", "right") if f"{side}_{part}" in joints]
            for part in ("shoulder", "hip")
        ]
        if all(len(end) == 2 for end in ends):
            top, bottom = (poses.xyz_cam_m[:, end].mean(axis=1) for end in ends)
            lengths_m = np.linalg.norm(top - bottom, axis=-1)
            self._torsos_m.extend(float(length) for length in lengths_m if np.isfinite(length))

    @property
    def problem(self) -> str:
        """The implausible size as a sentence; "" = all are plausible."""
        for values, (low, high), what in (
            (list(self._depths_m), ROOM_M, "the median depth"),
            (list(self._torsos_m), TORSO_M, "the median length of people's torsos"),
        ):
            if len(values) < _FRAMES // 2:
                continue
            median_m = float(np.median(values))
            if not low <= median_m <= high:
                return f"{what} is {median_m:.3g} m, which cannot be: is depth_unit_m right?"
        return ""
