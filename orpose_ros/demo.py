"""The whole graph at work on a scene that the project renders itself: real nodes over real DDS.

    camera (this process) -> lowres_gateway -> pose_node -> skeleton_markers -> this process

What comes back is drawn on the low-resolution images, and written with COCO results and 3D joints.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from orpose_core.data.coco_results import poses_as_results
from orpose_core.data.skeleton_messages import from_skeletons, stamp_ns_of
from orpose_core.estimation.results import people_3d
from orpose_core.files import write_json, write_picture
from orpose_core.render import beside, contact_sheet, overlay, view_3d, write_video
from orpose_core.simulation import SimulatedFrame, StreamConfig, simulate_frame
from orpose_core.types import Poses, RgbdFrame

MODEL = "depthpose_64x48"
CAMERA = "ceiling_1"
START_LIMIT_S = 60.0
PLAY_LIMIT_S = 20.0
PATIENCE_S = 1.0  # the camera waits so long for the skeletons of a frame before it sends the next
QUIET_S = 2.0  # so long without a new skeleton after the last image, and the rest is taken as dropped
WANTED_PEOPLE = 3
SHEET = 6


class StageError(Exception):
    """A stage of the graph gave nothing, or ended."""


@dataclass
class Seen:
    """What came back, by stamp (ns)."""

    small: dict[int, Any] = field(default_factory=dict)  # Image
    flat: dict[int, Any] = field(default_factory=dict)  # Skeleton2DArray
    space: dict[int, Any] = field(default_factory=dict)  # Skeleton3DArray
    latencies_s: list[float] = field(default_factory=list)
    models: list[Any] = field(default_factory=list)  # PoseModelInfo
    marker_arrays: int = 0
    markers: int = 0


class Nodes:
    """The nodes, each in a process of its own, with its log in a file; all ended on leaving."""

    def __init__(self, log_folder: Path) -> None:
        self._log_folder = log_folder
        self._processes: dict[str, subprocess.Popen] = {}

    def start(self, name: str, *arguments: str) -> None:
        """Start the node that the module ``orpose_ros.<name>`` has."""
        self._log_folder.mkdir(parents=True, exist_ok=True)
        code = f"from orpose_ros.{name} import main; main()"
        with self._log(name).open("wb") as log:
            self._processes[name] = subprocess.Popen(
                [sys.executable, "-c", code, "--ros-args", *arguments], stdout=log, stderr=log
            )

    def check(self) -> None:
        """Raise StageError where a node has ended."""
        for name, process in self._processes.items():
            if process.poll() is not None:
                tail = "\n".join(self._log(name).read_text(errors="replace").splitlines()[-15:])
                raise StageError(f"{name} ended with status {process.returncode}:\n{tail}")

    def warnings(self) -> list[str]:
        """Return the nodes' warnings so far, in the order of time (``[WARN] [seconds] [node]: sentence``)."""
        texts = [self._log(name).read_text(errors="replace") for name in self._processes]
        lines = [line for text in texts for line in text.splitlines()]
        lines = [line for line in lines if line.startswith(("[WARN] [", "[ERROR] [", "[FATAL] ["))]
        return sorted(lines, key=lambda line: line.split("[")[2])

    def __enter__(self) -> Nodes:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for process in self._processes.values():
            if process.poll() is None:
                process.send_signal(signal.SIGINT)
        end = time.monotonic() + 5
        while any(process.poll() is None for process in self._processes.values()) and time.monotonic() < end:
            time.sleep(0.05)
        for process in self._processes.values():
            process.kill()  # does nothing to one that has ended
            process.wait()

    def _log(self, name: str) -> Path:
        return self._log_folder / f"{name}.log"


class Stage:
    """This process's node: it plays the camera and hears everything that the others publish."""

    def __init__(self) -> None:
        import rclpy
        from rclpy.executors import SingleThreadedExecutor
        from rclpy.qos import DurabilityPolicy, QoSProfile
        from sensor_msgs.msg import CameraInfo, Image
        from visualization_msgs.msg import MarkerArray

        from orpose_ros.msg import PoseModelInfo, Skeleton2DArray, Skeleton3DArray

        rclpy.init()
        self.seen = Seen()
        self.sent_s: dict[int, float] = {}  # steady time by stamp
        self.last_heard_s = time.monotonic()
        self._node = rclpy.create_node("demo", namespace=CAMERA)
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self._node)
        self._depth = self._node.create_publisher(Image, "depth/image_raw", QoSProfile(depth=5))
        self._info = self._node.create_publisher(CameraInfo, "camera_info", QoSProfile(depth=5))
        latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        many = QoSProfile(depth=100)
        seen, subscribe = self.seen, self._node.create_subscription
        self._subscriptions = [
            subscribe(Image, "lowres/depth/image_raw", self._keeper(seen.small), many),
            subscribe(Skeleton2DArray, "skeletons_2d", self._hear_skeletons, many),
            subscribe(Skeleton3DArray, "skeletons_3d", self._keeper(seen.space), many),
            subscribe(MarkerArray, "skeleton_markers", self._hear_markers, many),
            subscribe(PoseModelInfo, "/model_info", seen.models.append, latched),
        ]

    def wait(self, nodes: Nodes) -> None:
        """Spin until every node is there and connected."""
        end = time.monotonic() + START_LIMIT_S
        topics = ("lowres/depth/image_raw", "skeletons_2d", "skeletons_3d", "skeleton_markers")
        while True:
            nodes.check()
            missing = [topic for topic in topics if not self._node.count_publishers(topic)]
            missing += [] if self._depth.get_subscription_count() else ["a subscriber of depth/image_raw"]
            missing += [] if self._info.get_subscription_count() else ["a subscriber of camera_info"]
            missing += [] if self.seen.models else ["model_info"]
            # The pose node listens to the gateway, the markers to the pose node.
            missing += (
                [] if self._node.count_subscribers("lowres/depth/image_raw") > 1 else ["pose_node's input"]
            )
            missing += [] if self._node.count_subscribers("skeletons_3d") > 1 else ["skeleton_markers' input"]
            if not missing:
                return
            if time.monotonic() > end:
                raise StageError(f"not within {START_LIMIT_S:g} s: {', '.join(missing)}")
            self.spin(0.1)

    def rehearse(self, frame: RgbdFrame, nodes: Nodes) -> None:
        """Send one frame until its skeletons come back: only then have all the others found each other.

        What came back until then does not count.
        """
        end = time.monotonic() + START_LIMIT_S
        while not (self.seen.flat and self.seen.space and self.seen.marker_arrays):
            nodes.check()
            if time.monotonic() > end:
                silent = [
                    name
                    for name, heard in (
                        ("lowres_gateway", self.seen.small),
                        ("pose_node", self.seen.flat),
                        ("skeleton_markers", self.seen.marker_arrays),
                    )
                    if not heard
                ]
                raise StageError(f"nothing within {START_LIMIT_S:g} s from {', '.join(silent)}")
            self._send(frame, time.time_ns())
            self.spin(PATIENCE_S)
        for heard in (self.seen.small, self.seen.flat, self.seen.space, self.seen.latencies_s, self.sent_s):
            heard.clear()
        self.seen.marker_arrays = self.seen.markers = 0

    def play(self, frames: Sequence[RgbdFrame], rate_hz: float, nodes: Nodes) -> None:
        """Publish the frames, and spin until nothing more comes back.

        The rate is kept where the nodes can serve it. On a slower machine the camera waits for them a little,
        so that the video is whole; it stops when its time is over.
        """
        begin_s, begin_ns = time.monotonic(), time.time_ns()
        for k, frame in enumerate(frames):
            if time.monotonic() - begin_s > PLAY_LIMIT_S:
                break
            self.spin(begin_s + k / rate_hz - time.monotonic())
            nodes.check()
            stamp_ns = begin_ns + round(k / rate_hz * 1e9)
            self._send(frame, stamp_ns)
            while stamp_ns not in self.seen.flat and time.monotonic() - self.sent_s[stamp_ns] < PATIENCE_S:
                self.spin(0.005)
        self.last_heard_s = time.monotonic()
        while time.monotonic() - self.last_heard_s < QUIET_S and len(self.seen.flat) < len(self.sent_s):
            self.spin(0.1)
        self.spin(0.3)  # the last markers

    def _send(self, frame: RgbdFrame, stamp_ns: int) -> None:
        from orpose_ros import conversions

        assert frame.depth_m is not None and frame.intrinsics is not None  # the simulator gives both
        header = conversions.Header(stamp=conversions.stamp_of(stamp_ns), frame_id=frame.frame_id)
        self.sent_s[stamp_ns] = time.monotonic()
        self._info.publish(conversions.camera_info_message(frame.intrinsics, header))
        self._depth.publish(conversions.depth_message(frame.depth_m, header, "16UC1"))

    def spin(self, seconds: float) -> None:
        """Hear what comes for so long."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self._executor.spin_once(timeout_sec=left)

    def close(self) -> None:
        """Leave the graph."""
        import rclpy

        self._executor.shutdown()
        self._node.destroy_node()
        rclpy.try_shutdown()

    def _keeper(self, place: dict[int, Any]) -> Any:
        def keep(message: Any) -> None:
            place[stamp_ns_of(message)] = message

        return keep

    def _hear_skeletons(self, message: Any) -> None:
        now_s, stamp_ns = time.monotonic(), stamp_ns_of(message)
        self.seen.flat[stamp_ns] = message
        self.last_heard_s = now_s
        if stamp_ns in self.sent_s:
            self.seen.latencies_s.append(now_s - self.sent_s[stamp_ns])

    def _hear_markers(self, message: Any) -> None:
        self.seen.marker_arrays += 1
        self.seen.markers += sum(marker.action == marker.ADD for marker in message.markers)


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
    from orpose_ros import conversions

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


def run(out: Path, model: str, count: int, rate_hz: float, seed: int) -> None:
    """Run the demo; StageError where a stage gave nothing."""
    # A domain of its own: the demo must not talk into a graph that is running here. rclpy.init reads it.
    os.environ["ROS_DOMAIN_ID"] = str(1 + os.getpid() % 100)
    os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
    with ExitStack() as stack:
        nodes = stack.enter_context(Nodes(out / "log"))
        small, full = ("lowres/depth/image_raw", "lowres/camera_info"), ("depth/image_raw", "camera_info")
        nodes.start("pose_node", "-p", f"model:={model}", "-p", f"cameras:=[{CAMERA}]", *_reliable(small))
        nodes.start("lowres_gateway", "-r", f"__ns:=/{CAMERA}", *_reliable(full))
        nodes.start("skeleton_markers", "-p", f"cameras:=[{CAMERA}]")
        print(f"rendering {count} frames of an operating room ...", flush=True)
        scene = render_scene(count, rate_hz, seed)
        stage = Stage()
        stack.callback(stage.close)
        print("waiting for the nodes ...", flush=True)
        stage.wait(nodes)
        stage.rehearse(scene[0].frame, nodes)
        untrained = [line for line in nodes.warnings() if "UNTRAINED" in line]
        print("\n".join([*untrained, f"playing {count} frames at {rate_hz:g} Hz ..."]), flush=True)
        said = len(nodes.warnings())  # while nothing was played yet they named the silence, rightly
        stage.play([s.frame for s in scene], rate_hz, nodes)
        nodes.check()
        for line in nodes.warnings()[said:]:
            print(line)
        answers = answers_of(stage.seen)
        report(stage, answers, scene)
        up = scene[0].room_from_camera[:3, :3].T @ np.array([0.0, 0.0, 1.0])
        for path in write_outputs(out, answers, up, rate_hz):
            print(f"wrote         {path}")


def _reliable(topics: Sequence[str]) -> list[str]:
    """Arguments that make a node ask for reliable images: a busy machine loses large best-effort ones."""
    names = [f"qos_overrides./{CAMERA}/{topic}.subscription.reliability" for topic in topics]
    return [argument for name in names for argument in ("-p", f"{name}:=reliable")]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the demo from the command line; exit status 1 where a stage gave nothing."""
    parser = argparse.ArgumentParser(prog="python -m orpose_ros.demo", description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("demo_output"), help="folder to write into")
    parser.add_argument("--model", default=MODEL, metavar="NAME|FILE", help="default: %(default)s")
    parser.add_argument("--frames", type=int, default=80, help="how many (default: 80)")
    parser.add_argument("--rate", type=float, default=8.0, help="frames a second (default: 8)")
    parser.add_argument("--seed", type=int, default=1, help="of the scene")
    args = parser.parse_args(argv)
    if args.frames < 1 or not args.rate > 0:
        parser.error(f"expected frames and rate above 0, got {args.frames} and {args.rate}")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the nodes are ended too
    started_s = time.monotonic()
    try:
        run(args.out, args.model, args.frames, args.rate, args.seed)
    except (StageError, ValueError) as error:
        print(f"the demo failed: {error}", file=sys.stderr)
        return 1
    print(f"done in {time.monotonic() - started_s:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
