"""`orpose adapt` end to end on a simulated site that the shipped networks do not know.

One room with its own furniture, a wide lens hung askew and a depth camera of its own; other people each day.
The recording is a bag of color and depth. Its truth is used for scores alone: training and thresholds see
only the teacher's labels.

    python benchmarks/adapt_site.py --out runs/site --frames 2000 --minutes 60

A run that was killed continues with the same command.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from rosbags.rosbag2 import Reader
from rosbags.typesys import Stores, get_typestore

from orpose_core.cli import main as orpose
from orpose_core.data.coco_writing import write_coco
from orpose_core.data.recordings.camera_streams import CameraTopics
from orpose_core.data.skeleton_messages import from_skeletons, register_messages, stamp_ns_of
from orpose_core.evaluation.annotators import as_mvor_annotates
from orpose_core.simulation import StreamConfig
from orpose_core.simulation.writers.bags import write_bag
from orpose_core.skeleton import BODY24, COCO17
from orpose_core.types import Poses, xywh_of_boxes

FRAMES_PER_DAY = 20


def site_config(seed: int) -> StreamConfig:
    """Return the recording: a frame every two seconds, 40 s each day."""
    return StreamConfig("site", (480, 640), "rgbd", seed, frames_per_sequence=FRAMES_PER_DAY, rate_hz=0.5)


def write_truth(bag: Path, path: Path) -> None:
    """Write the truth of a recording as COCO, with poses for those whom MVOR's annotators would give one."""
    typestore = get_typestore(Stores.ROS2_JAZZY)
    register_messages(typestore)

    def entries() -> Iterator[tuple[dict[str, Any], list[dict[str, Any]]]]:
        with Reader(bag) as reader:
            wanted = [c for c in reader.connections if c.topic.endswith("/ground_truth/skeletons_2d")]
            for number, (connection, _, raw) in enumerate(reader.messages(connections=wanted), start=1):
                message = typestore.deserialize_cdr(raw, connection.msgtype)
                camera = CameraTopics(connection.topic.split("/")[1])
                name = camera.frame_name(stamp_ns_of(message))
                image = {
                    "id": number,
                    "file_name": f"images/{bag.stem}/{name}_depth.png",
                    "height": int(message.image_height),
                    "width": int(message.image_width),
                }
                yield image, _people(from_skeletons(message, skeleton=BODY24))

    write_coco(path, entries(), info={"description": "truth of a simulated site"})


def _people(everybody: Poses) -> list[dict[str, Any]]:
    poses = as_mvor_annotates(everybody).converted(COCO17)
    if not len(poses):
        return []
    assert poses.visibility is not None
    people = []
    for m, (x, y, w, h) in enumerate(xywh_of_boxes(poses.boxes_px).tolist()):
        flags = np.where(poses.scores[m] > 0, poses.visibility[m], 0)
        xy = np.where((flags > 0)[:, None], poses.xy_px[m], 0).astype(float)
        keypoints = np.column_stack([xy, flags]).reshape(-1).tolist()
        box = {"bbox": [x, y, w, h], "area": w * h, "iscrowd": 0, "category_id": 1}
        people.append(box | {"keypoints": keypoints, "num_keypoints": int((flags > 0).sum())})
    return people


def main() -> int:
    """Write the recording and its truth where they are not there, adapt, and print the scores."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder of everything")
    parser.add_argument("--seed", type=int, default=5, help="of the site")
    parser.add_argument("--frames", type=int, default=480)
    parser.add_argument("--minutes", type=float, default=30.0, help="of training")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--workers", type=int, default=1, help="processes that render the recording")
    parser.add_argument("--model", default="fastpose_64x48")
    args = parser.parse_args()
    bag, truth, out = args.out / f"site{args.seed}", args.out / "truth.json", args.out / "adapted"
    config = site_config(args.seed)
    if not bag.exists():
        write_bag(config, args.frames, bag, workers=args.workers)
    if not truth.exists():
        write_truth(bag, truth)
    words = ["adapt", bag, "--out", out, "--truth", truth, "--model", args.model, "--minutes", args.minutes]
    status = orpose([str(word) for word in [*words, "--threads", args.threads]])
    if status == 0:
        scores = json.loads((out / "scores.json").read_text())
        print(json.dumps({name: scores[name] for name in ("before", "after")}, indent=2))
    return status


if __name__ == "__main__":
    sys.exit(main())
