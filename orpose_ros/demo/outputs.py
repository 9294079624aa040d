"""What the demo shows of a scene: a video, a picture, JSON, and a few lines of text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from orpose_core.data.coco_results import poses_as_results
from orpose_core.data.skeleton_messages import from_skeletons
from orpose_core.estimation.results import people_3d
from orpose_core.files import write_json, write_picture
from orpose_core.render import beside, contact_sheet, overlay, view_3d, write_video
from orpose_core.simulation import SimulatedFrame, StreamConfig, simulate_frame
from orpose_core.types import Poses, RgbdFrame
from orpose_ros import conversions
from orpose_ros.demo.stage import Seen, Stage
from orpose_ros.graph.node_processes import StageError

WANTED_PEOPLE = 3
SHEET = 6


def render_scene(count: int, rate_hz: float, seed: int) -> list[SimulatedFrame]:
    """Render one camera of a synthetic operating room in which several people are seen all the time."""
    config = StreamConfig(
        "or", (480, 640), "depth", seed, frames_per_sequence=count, rate_hz=rate_hz, rig="mvor"
    )
    best, best_people = 0, -1
    for sequence in range(40):
        moments = (0, count // 2, count - 1)
        people = min(len(simulate_frame(config, sequence * count + moment).poses) for moment in moments)
        if people > best_people:
            best, best_people = sequence, people
        if people >= WANTED_PEOPLE:
            break
    return [simulate_frame(config, best * count + k) for k in range(count)]


@dataclass(frozen=True)
class Answer:
    """One frame that came back whole."""

    stamp_ns: int
    small: RgbdFrame
    poses: Poses
    image_hw: tuple[int, int]


def answers_of(seen: Seen) -> list[Answer]:
    """Bring the messages of each moment together, in order."""
    answers = []
    for stamp_ns in sorted(seen.flat.keys() & seen.space.keys() & seen.small.keys()):
        flat = seen.flat[stamp_ns]
        small = conversions.frame_of(None, seen.small[stamp_ns], None)
        poses = from_skeletons(flat, seen.space[stamp_ns])
        answers.append(Answer(stamp_ns, small, poses, (flat.image_height, flat.image_width)))
    return answers


def write_outputs(out: Path, answers: Sequence[Answer], up: NDArray, rate_hz: float) -> list[Path]:
    """Write the video, the picture and the JSON; return the files."""
    pictures = [
        beside(overlay(a.small, a.poses, a.image_hw), view_3d(a.poses, (480, 640), up)) for a in answers
    ]
    chosen = np.linspace(0, len(answers) - 1, min(SHEET, len(answers))).round().astype(int)
    titles = [f"{(answers[k].stamp_ns - answers[0].stamp_ns) / 1e9:.1f} s" for k in chosen]
    paths = [out / name for name in ("demo.png", "demo.mp4", "results.json", "skeletons_3d.json")]
    write_picture(paths[0], contact_sheet([pictures[k] for k in chosen], titles, columns=2))
    write_video(paths[1], pictures, rate_hz)
    results = [r for k, a in enumerate(answers) for r in poses_as_results(a.poses, k + 1)]
    write_json(paths[2], results)
    write_json(
        paths[3],
        [
            {"image_id": k + 1, "stamp_ns": a.stamp_ns, "people": people_3d(a.poses)}
            for k, a in enumerate(answers)
        ],
    )
    return paths


def report(stage: Stage, answers: Sequence[Answer], scene: Sequence[SimulatedFrame]) -> None:
    """Print what was done; StageError names a stage that gave nothing."""
    seen, model = stage.seen, stage.seen.models[0]
    for what, count in (
        ("lowres_gateway gave no image", len(seen.small)),
        ("pose_node gave no Skeleton2DArray", len(seen.flat)),
        ("pose_node gave no Skeleton3DArray", len(seen.space)),
        ("skeleton_markers gave no MarkerArray", seen.marker_arrays),
        ("no frame came back whole", len(answers)),
    ):
        if not count:
            raise StageError(what)
    people = [len(a.poses) for a in answers]
    joints = sum(int(np.isfinite(a.poses.xyz_cam_m).all(axis=-1).sum()) for a in answers
                 if a.poses.xyz_cam_m is not None)  # fmt: skip
    ids = {int(i) for a in answers if a.poses.track_ids is not None for i in a.poses.track_ids}
    latency_ms = 1e3 * np.array(seen.latencies_s)
    training = "trained" if model.trained else "UNTRAINED: its weights are random, the skeletons mean nothing"
    sent = len(stage.sent_s)
    sizes = sorted({f"{m.width}x{m.height}" for m in seen.small.values()})
    print(f"model         {model.name} ({training}), {model.backend} on {model.device}")
    print(f"frames        {sent} published at 640x480, {len(seen.small)} left the gateway at "
          f"{', '.join(sizes)}, {len(seen.flat)} came back as skeletons, {sent - len(seen.flat)} "
          "were lost or dropped for newer ones")  # fmt: skip
    print(f"latency       median {np.median(latency_ms):.0f} ms, 95 % below "
          f"{np.quantile(latency_ms, 0.95):.0f} ms (camera to skeleton)")  # fmt: skip
    print(f"people        {np.mean(people):.1f} per frame found, "
          f"{np.mean([len(s.poses) for s in scene]):.1f} in view; {len(ids)} tracks, "
          f"{joints} joints in metres")  # fmt: skip
    print(f"markers       {seen.marker_arrays} arrays with {seen.markers} markers")
    if model.trained and not any(people):
        raise StageError("pose_node found nobody with trained weights")
