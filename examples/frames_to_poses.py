"""Print who is in each frame of a recording: python frames_to_poses.py RECORDING [MODEL]."""

from __future__ import annotations

import sys

import numpy as np

from orpose_core import Poses, Tracker, load_estimator, open_recording


def describe(poses: Poses) -> list[str]:
    """Return one line for each person: identity, score, joints found, and the distance where it is known."""
    lines = []
    for i, score in enumerate(poses.person_scores):
        identity = "?" if poses.track_ids is None else poses.track_ids[i]
        line = f"  person {identity}: score {score:.2f}, {np.count_nonzero(poses.scores[i])} joints"
        if poses.xyz_cam_m is not None and np.isfinite(poses.xyz_cam_m[i]).any():
            distance_m = np.nanmedian(np.linalg.norm(poses.xyz_cam_m[i], axis=-1))
            line += f", {distance_m:.1f} m from the camera"
        lines.append(line)
    return lines


def main() -> None:
    """Read a bag, a folder of images or an image, and estimate it frame by frame."""
    source, model = sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else "fastpose_64x48"
    estimator = load_estimator(model)
    tracker = Tracker()
    with open_recording(source, estimator.info.modality) as recording:
        for recorded in recording.frames():
            frame = recorded.frame
            poses = tracker.update(estimator.estimate([frame])[0], frame.stamp_ns)
            print(f"{recorded.name}: {len(poses)} people", *describe(poses), sep="\n")


if __name__ == "__main__":
    main()
