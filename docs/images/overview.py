"""Draw overview.png: what a camera records, what leaves its machine, and what orpose publishes."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from orpose_core import EstimatorConfig, load_estimator
from orpose_core.geometry import transform_points
from orpose_core.image_ops import low_resolution_frame
from orpose_core.render import beside, overlay, view_space
from orpose_core.simulation import StreamConfig, simulate_frame

FRAME = 8
BACKGROUND, TEXT = 18, (230, 230, 230)


def titled(picture: np.ndarray, title: str) -> np.ndarray:
    """Return a picture, uint8 (480, 640, 3), with a line of text above and a margin."""
    out = np.full((540, 660, 3), BACKGROUND, np.uint8)
    out[50:530, 10:650] = picture
    cv2.putText(out, title, (12, 34), cv2.FONT_HERSHEY_SIMPLEX, 0.9, TEXT, 2, cv2.LINE_AA)
    return out


def main() -> None:
    """Render one moment, estimate it and write the picture beside this file."""
    estimator = load_estimator("fastpose_64x48", EstimatorConfig(device="cpu"))
    config = StreamConfig("or", (480, 640), "rgbd", seed=1, frames_per_sequence=8, rate_hz=1.0, rig="mvor")
    simulated = simulate_frame(config, FRAME)
    poses = estimator.estimate([simulated.frame])[0]
    small = low_resolution_frame(simulated.frame, estimator.info.input_hw)
    room_m = transform_points(simulated.room_from_camera, poses.xyz_cam_m.astype(np.float64))
    room = view_space(room_m, poses.skeleton, range(len(poses)), size_hw=(800, 1067), caption="")
    room = room[310:790, 330:970]  # where the people are
    picture = beside(
        titled(simulated.frame.rgb, "camera: 640x480, rendered"),
        titled(overlay(small, poses, simulated.frame.size_hw, width=640), "orpose sees depth of 64x48"),
        titled(room, "skeletons in meters (grid 1 m)"),
    )
    picture = cv2.resize(picture, None, fx=0.6, fy=0.6, interpolation=cv2.INTER_AREA)
    cv2.imwrite(str(Path(__file__).with_suffix(".png")), picture[..., ::-1])


if __name__ == "__main__":
    main()
