"""Contact sheets of synthetic recordings: color and depth side by side, with and without the ground truth."""

from __future__ import annotations

import os
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from orpose_core.files import write_picture
from orpose_core.render import contact_sheet, depth_picture
from orpose_core.simulation import SimulatedFrame, StreamConfig, simulate_frame
from orpose_core.skeleton import COCO17
from orpose_core.types import Picture, Poses, Visibility

_LEFT, _RIGHT, _MIDDLE = (255, 160, 40), (60, 190, 255), (120, 240, 120)  # red first
_OCCLUDED = (230, 60, 60)
_FAR_M = 6.0  # depth that is darkest


def draw_truth(picture: Picture, poses: Poses) -> Picture:
    """Return the picture with skeletons; occluded joints are red, joints outside of the image left out."""
    out = picture.copy()
    if poses.visibility is None:  # nobody
        return out
    thickness = max(1, round(picture.shape[1] / 400))
    for xy, flags in zip(poses.xy_px, poses.visibility, strict=True):
        for a, b in COCO17.edges:
            if flags[a] and flags[b]:
                cv2.line(out, _pixel(xy[a]), _pixel(xy[b]), _side(COCO17.joints[b]), thickness, cv2.LINE_AA)
        for point, flag in zip(xy, flags, strict=True):
            if flag:
                color = _OCCLUDED if flag == Visibility.OCCLUDED else (255, 255, 255)
                cv2.circle(out, _pixel(point), thickness + 1, color, -1, cv2.LINE_AA)
    return out


def _pixel(point: NDArray) -> tuple[int, int]:
    return round(float(point[0])), round(float(point[1]))


def _side(joint: str) -> tuple[int, int, int]:
    return _LEFT if joint.startswith("left") else (_RIGHT if joint.startswith("right") else _MIDDLE)


def write_contact_sheet(config: StreamConfig, frames: int, path: str | os.PathLike) -> int:
    """Write a sheet of up to 12 frames, spread over a recording; return how many it shows.

    Raises:
        ValueError: the file is not named .png or .jpg.
    """
    if Path(path).suffix.lower() not in (".png", ".jpg"):
        raise ValueError(f"{path}: expected a contact sheet named .png or .jpg")
    count = min(12, frames)
    shown = (simulate_frame(config, i * frames // count) for i in range(count))
    write_picture(path, contact_sheet([frame_with_truth(frame) for frame in shown], columns=4))
    return count


def frame_with_truth(simulated: SimulatedFrame, width_px: int = 320) -> Picture:
    """Return a frame's color above its depth (or the only one it has), with the ground truth."""
    height, width = simulated.frame.size_hw
    size = (width_px, round(width_px * height / width))
    pictures = []
    if simulated.frame.rgb is not None:
        pictures.append(simulated.frame.rgb)
    if simulated.frame.depth_m is not None:
        pictures.append(draw_truth(depth_picture(simulated.frame.depth_m, _FAR_M), simulated.poses))
    return np.vstack([cv2.resize(p, size, interpolation=cv2.INTER_AREA) for p in pictures]).astype(np.uint8)
