"""Does the memory of `orpose label` stay flat over a long recording?

    python benchmarks/label_memory.py --frames 5000

Writes a bag of synthetic color and depth frames, labels it with a tiny teacher of random weights, picked by
motion and balanced, and prints the resident memory every 250 frames and its slope after the first fifth.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore

from orpose_core.checkpoints.keypoint_networks import random_keypoint_network
from orpose_core.data.image_messages import encode_color, encode_depth
from orpose_core.data.skeleton_messages import rosbags_types
from orpose_core.labelling.labelling import label_recordings
from orpose_core.labelling.options import LabelOptions
from orpose_core.models.hrnet import HRNetConfig
from orpose_core.teacher.detector import DetectorConfig, random_detector
from orpose_core.teacher.keypoint_stage import KeypointStageConfig, TopDownKeypoints
from orpose_core.teacher.lifting import random_lifter
from orpose_core.teacher.teacher import PseudoLabelConfig, Teacher

SIZE_HW = (120, 160)
RATE_HZ = 15


def frames(count: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield color uint8 and depth float32 (m): noise, and a block that moves every frame."""
    rng = np.random.default_rng(0)
    for k in range(count):
        rgb = rng.integers(80, 100, (*SIZE_HW, 3)).astype(np.uint8)
        depth_m = rng.uniform(2.0, 3.0, SIZE_HW).astype(np.float32)
        x = (k * 24) % 120
        rgb[30:100, x : x + 30] = 200
        depth_m[30:100, x : x + 30] = 1.5
        yield rgb, depth_m


def write_bag(path: Path, count: int) -> Path:
    typestore = get_typestore(Stores.ROS2_JAZZY)
    types = rosbags_types(typestore)
    image = types.lookup("sensor_msgs/msg/Image")
    with Writer(path, version=9, storage_plugin=StoragePlugin.MCAP) as bag:
        topics = {
            name: bag.add_connection(f"/camera/{name}/image_raw", image.__msgtype__, typestore=typestore)
            for name in ("color", "depth")
        }
        for k, (rgb, depth_m) in enumerate(frames(count)):
            stamp_ns = 1_700_000_000_000_000_000 + k * 1_000_000_000 // RATE_HZ
            header = types.header(stamp_ns, "camera")
            for name, content in (("color", encode_color(rgb)), ("depth", encode_depth(depth_m, "16UC1"))):
                message = image(header=header, **content)
                bag.write(topics[name], stamp_ns, typestore.serialize_cdr(message, image.__msgtype__))
    return path


def tiny_teacher() -> Teacher:
    look = DetectorConfig(min_score=0.0, scales=(32,), flip=False, max_people=2)
    network = HRNetConfig(width=4, input_hw=(64, 64), modules=(1, 1, 1), blocks=1)
    return Teacher(
        random_detector("fasterrcnn_mobilenet_v3_large_320_fpn", look),
        TopDownKeypoints(random_keypoint_network(network), KeypointStageConfig(flip=False)),
        random_lifter(width=32),
        PseudoLabelConfig(min_joints=0, hard_joint_score=0.02),
    )


def resident_mb() -> float:
    """Return the resident memory of this process, MB."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) / 1024


def slope_kb(points: list[tuple[int, float]], count: int) -> float:
    """Return the least-squares slope after the first fifth, KB per frame."""
    late = np.array([p for p in points if p[0] >= count / 5])
    return float(np.polyfit(late[:, 0], late[:, 1], 1)[0]) * 1024


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--frames", type=int, default=5000, help="of the recording (default: %(default)s)")
    parser.add_argument(
        "--every", type=int, default=250, help="frames between reports (default: %(default)s)"
    )
    args = parser.parse_args()
    torch.set_num_threads(1)
    points: list[tuple[int, float]] = []

    def look(done: int, total: int) -> None:
        if done // args.every > len(points):
            points.append((done, resident_mb()))
            print(f"{done:6d} frames {points[-1][1]:8.1f} MB", flush=True)

    with tempfile.TemporaryDirectory() as folder:
        bag = write_bag(Path(folder) / "bag", args.frames)
        options = LabelOptions(motion=0.01, balance=0)
        summary = label_recordings([bag], tiny_teacher(), Path(folder) / "labels", options, look)
        end = resident_mb()
    print(f"{summary.frames} labelled, {summary.images} kept; {end:.1f} MB after the files were written")
    print(
        json.dumps({"slope_kb_per_frame": round(slope_kb(points, args.frames), 3), "end_mb": round(end, 1)})
    )


if __name__ == "__main__":
    main()
