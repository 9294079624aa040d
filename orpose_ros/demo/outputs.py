"""The outputs of the demo: a video, a picture, JSON, and a few lines of text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from orpose_core.data.coco_results import poses_as_results
from orpose_core.data.skeleton_messages import from_skeletons
from orpose_core.estimation.results import people_3d
from orpose_core.files import write_json, write_picture
from orpose_core.fusion.rig import RoomCamera
from orpose_core.render import beside, contact_sheet, overlay, view_space, write_video
from orpose_core.simulation import SimulatedFrame, StreamConfig, simulate_frame
from orpose_core.skeleton import by_name
from orpose_core.types import Picture, Poses, RgbdFrame
from orpose_ros import conversions
from orpose_ros.demo.stage import CAMERAS, Stage
from orpose_ros.graph.node_processes import StageError

WANTED_PEOPLE = 3
SHEET = 4
_HALF = 2
"""Factor by which the picture of several moments is smaller than the video."""

Moment = Sequence[SimulatedFrame]
"""The frame of each of :data:`~orpose_ros.demo.stage.CAMERAS` at one moment."""


def render_scene(count: int, rate_hz: float, seed: int) -> list[Moment]:
    """Render the cameras of a synthetic operating room in which several people are always visible."""
    cameras = len(CAMERAS)
    config = StreamConfig(
        "or", (480, 640), "depth", seed, cameras, frames_per_sequence=count, rate_hz=rate_hz, rig="mvor"
    )

    def moment(sequence: int, k: int) -> Moment:
        first = (sequence * count + k) * cameras
        return [simulate_frame(config, first + camera) for camera in range(cameras)]

    best, best_people = 0, -1
    for sequence in range(40):
        looks = [frame for k in (0, count // 2, count - 1) for frame in moment(sequence, k)]
        people = min(len(frame.poses) for frame in looks)
        if people > best_people:
            best, best_people = sequence, people
        if people >= WANTED_PEOPLE:
            break
    return [moment(best, k) for k in range(count)]


def rig_of(moment: Moment) -> list[RoomCamera]:
    """Return the poses of the cameras in the synthetic room."""
    cameras = []
    for name, frame in zip(CAMERAS, moment, strict=True):
        assert frame.frame.intrinsics is not None  # the simulator gives them
        optical = f"{name}_optical_frame"
        cameras.append(RoomCamera(name, frame.frame.intrinsics, frame.room_from_camera, optical))
    return cameras


@dataclass(frozen=True)
class CameraAnswer:
    """The results for one image."""

    small: RgbdFrame
    poses: Poses
    image_hw: tuple[int, int]


@dataclass(frozen=True)
class Answer:
    """A moment with complete results.

    Attributes:
        stamp_ns: stamp of the moment, ns.
        cameras: in the order of :data:`~orpose_ros.demo.stage.CAMERAS`.
        room: Skeleton3DArray of the fused people.
    """

    stamp_ns: int
    cameras: tuple[CameraAnswer, ...]
    room: Any


def answers_of(stage: Stage) -> list[Answer]:
    """Group the messages by moment, in order."""
    whole = set(stage.room)
    for seen in stage.seen.values():
        whole &= seen.flat.keys() & seen.space.keys() & seen.small.keys()
    answers = []
    for stamp_ns in sorted(whole):
        cameras = []
        for seen in stage.seen.values():
            flat = seen.flat[stamp_ns]
            small = conversions.frame_of(None, seen.small[stamp_ns], None)
            poses = from_skeletons(flat, seen.space[stamp_ns])
            cameras.append(CameraAnswer(small, poses, (flat.image_height, flat.image_width)))
        answers.append(Answer(stamp_ns, tuple(cameras), stage.room[stamp_ns]))
    return answers


def picture_of(answer: Answer, rig: Sequence[RoomCamera], centre_m: NDArray) -> Picture:
    """Draw both cameras, one above the other, and beside them the room with all people.

    Args:
        answer: the moment.
        rig: poses of the cameras.
        centre_m: float (3,), centre of the view of the room, room frame, m.
    """
    images = [overlay(a.small, a.poses, a.image_hw) for a in answer.cameras]
    column = np.concatenate(images, axis=0)
    height = column.shape[0]
    room = view_space(
        _joints_m(answer),
        by_name(answer.room.skeleton_model),
        [person.track_id for person in answer.room.skeletons],
        size_hw=(height, height),
        caption="fused, grid 1 m",
        places_m=np.array([camera.room_from_camera[:3, 3] for camera in rig]),
        centre_m=centre_m,
    )
    return beside(column, room)


def _joints_m(answer: Answer) -> NDArray[np.float64]:
    """Return the joints of the fused people, float64 (m, n, 3), room frame, m, NaN = unknown."""
    people = answer.room.skeletons
    xyz_m = [[(k.position.x, k.position.y, k.position.z) for k in person.keypoints] for person in people]
    return np.array(xyz_m, np.float64).reshape(len(people), len(by_name(answer.room.skeleton_model)), 3)


def _middle_m(answers: Sequence[Answer]) -> NDArray[np.float64]:
    """Return the point between all people at hip height, float64 (3,), room frame, m."""
    every = np.concatenate([_joints_m(answer).reshape(-1, 3) for answer in answers])
    known = every[np.isfinite(every).all(axis=-1)]
    x, y = np.median(known[:, :2], axis=0) if len(known) else (0.0, 0.0)
    return np.array([x, y, 1.1])


def write_outputs(
    out: Path, answers: Sequence[Answer], rig: Sequence[RoomCamera], rate_hz: float
) -> list[Path]:
    """Write the video, the picture and the JSON; return the files."""
    centre_m = _middle_m(answers)
    pictures = [picture_of(answer, rig, centre_m) for answer in answers]
    first = next((k for k, answer in enumerate(answers) if answer.room.skeletons), 0)
    chosen = np.unique(np.linspace(first, len(answers) - 1, SHEET).round().astype(int))
    titles = [f"{(answers[k].stamp_ns - answers[0].stamp_ns) / 1e9:.1f} s" for k in chosen]
    names = ("demo.png", "demo.mp4", "results.json", "skeletons_3d.json", "room.json")
    paths = [out / name for name in names]
    height, width = pictures[0].shape[:2]
    half = width // _HALF, height // _HALF
    small = [cv2.resize(pictures[k], half, interpolation=cv2.INTER_AREA) for k in chosen]
    write_picture(paths[0], contact_sheet(small, titles, columns=2))
    write_video(paths[1], pictures, rate_hz)
    # An image's number counts moments and, within each, cameras.
    images = [
        (answer, name, a) for answer in answers for name, a in zip(CAMERAS, answer.cameras, strict=True)
    ]
    results = [r for k, (_, _, a) in enumerate(images) for r in poses_as_results(a.poses, k + 1)]
    write_json(paths[2], results)
    write_json(
        paths[3],
        [
            {"image_id": k + 1, "camera": name, "stamp_ns": answer.stamp_ns, "people": people_3d(a.poses)}
            for k, (answer, name, a) in enumerate(images)
        ],
    )
    write_json(paths[4], [{"stamp_ns": a.stamp_ns, "people": _room_people(a.room)} for a in answers])
    return paths


def _room_people(room: Any) -> list[dict[str, Any]]:
    """Return the fused people as JSON values: known joints by name, room frame, m."""
    joints = by_name(room.skeleton_model).joints
    return [
        {
            "track_id": person.track_id,
            "joints": {
                name: {"xyz_room_m": [round(v, 4) for v in (k.position.x, k.position.y, k.position.z)],
                       "sigma_m": round(k.sigma_m, 4)}
                for name, k in zip(joints, person.keypoints, strict=True)
                if np.isfinite(k.position.x)
            },
        }
        for person in room.skeletons
    ]  # fmt: skip


def report(stage: Stage, answers: Sequence[Answer], scene: Sequence[Moment]) -> None:
    """Print a summary; a StageError names a stage that published nothing."""
    model, seen = stage.models[0], stage.seen
    for what, count in (
        ("lowres_gateway gave no image", min(len(s.small) for s in seen.values())),
        ("pose_node gave no Skeleton2DArray", min(len(s.flat) for s in seen.values())),
        ("pose_node gave no Skeleton3DArray", min(len(s.space) for s in seen.values())),
        ("fusion_node gave no Skeleton3DArray", len(stage.room)),
        ("skeleton_markers gave no MarkerArray", stage.marker_arrays),
        ("no moment came back whole", len(answers)),
    ):
        if not count:
            raise StageError(what)
    training = "trained" if model.trained else "UNTRAINED: its weights are random, the skeletons mean nothing"
    sent = len(stage.sent_s)
    print(f"model         {model.name} ({training}), {model.backend} on {model.device}")
    for number, (name, s) in enumerate(seen.items()):
        sizes = sorted({f"{m.width}x{m.height}" for m in s.small.values()})
        found = [len(a.cameras[number].poses) for a in answers]
        there = [len(moment[number].poses) for moment in scene]
        print(f"{name:13} {sent} frames published at 640x480, {len(s.small)} left the gateway at "
              f"{', '.join(sizes)}, {len(s.flat)} came back as skeletons; {np.mean(found):.1f} people per "
              f"frame found, {np.mean(there):.1f} in view")  # fmt: skip
    fused = [len(a.room.skeletons) for a in answers]
    ids = {p.track_id for a in answers for p in a.room.skeletons}
    print(f"room          {len(stage.room)} moments fused, {np.mean(fused):.1f} people per moment, "
          f"{len(ids)} tracks")  # fmt: skip
    for name, title in (*((c, "camera to skeleton") for c in CAMERAS), ("room", "cameras to room")):
        ms = 1e3 * np.array(stage.latencies_s[name] or [np.nan])
        print(f"latency       {name}: median {np.median(ms):.0f} ms, 95 % below "
              f"{np.quantile(ms, 0.95):.0f} ms ({title})")  # fmt: skip
    print(f"markers       {stage.marker_arrays} arrays with {stage.markers} markers")
    if model.trained and not any(len(a.poses) for answer in answers for a in answer.cameras):
        raise StageError("pose_node found nobody with trained weights")
