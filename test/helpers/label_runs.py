"""A labelling run for tests: recordings with every kind of trouble, and a teacher whose counts are known.

The detector reads the number of people off the first pixel.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore

from orpose_core.data.image_messages import encode_color
from orpose_core.data.skeleton_messages import rosbags_types
from orpose_core.labelling.options import LabelOptions
from orpose_core.skeleton import COCO17
from orpose_core.teacher.stages import PersonBoxes, PersonThresholds, Picture, StageInfo
from orpose_core.types import Poses

SIZE_HW = (24, 32)
COUNTS = [0, 1, 2, 2, 3, 1, 7, 1, 2, 0, 4, 1, 1, 2, 3, 5, 1, 9, 2, 2, 3, 1, 1]
PICKED = LabelOptions(batch=3, low_resolution_hw=(12, 16), motion=0.01, balance=0)


class CountReader:
    """A detector that finds as many people as the first pixel says, one beside the other."""

    thresholds = PersonThresholds(0.0, 0.0)
    info = StageInfo("count_reader", "0" * 64, False)

    def detect(self, images: Sequence[Picture]) -> list[PersonBoxes]:
        found = []
        for image in images:
            left = np.arange(int(image[0, 0, 0]), dtype=np.float64) * 3
            boxes = np.stack([left, left * 0 + 4, left + 3, left * 0 + 20], axis=1)
            found.append(PersonBoxes(boxes, np.ones(len(left))))
        return found


class MiddleOfBox:
    """Puts all joints into the middle of the box."""

    info = StageInfo("middle_of_box", "1" * 64, False)

    def keypoints(self, images: Sequence[Picture], people: Sequence[PersonBoxes]) -> list[Poses]:
        return [self._poses(p) for p in people]

    def _poses(self, people: PersonBoxes) -> Poses:
        middle = people.boxes.reshape(-1, 2, 2).mean(axis=1)
        xy = np.repeat(middle[:, None], len(COCO17), axis=1).astype(np.float32)
        boxes = people.boxes.astype(np.float32)
        return Poses(COCO17, xy, np.ones(xy.shape[:2], np.float32), people.scores.astype(np.float32), boxes)


class Killed(Exception):
    """What a test ends a run with."""


def pictures(counts: Sequence[int]) -> Iterator[Picture]:
    """Yield an image per count: a block that wanders; each fourth image shows what the one before it did."""
    rng = np.random.default_rng(3)
    for k, count in enumerate(counts):
        image = rng.integers(90, 94, (*SIZE_HW, 3)).astype(np.uint8)
        place = 4 + (k - (k % 4 == 3)) % 10
        image[8:16, place : place + 8] = 200
        image[0, 0] = count
        yield image


def write_images(root: Path, counts: Sequence[int]) -> Path:
    root.mkdir()
    for k, image in enumerate(pictures(counts)):
        cv2.imwrite(str(root / f"{k:03d}.png"), image)
    return root


def write_troubled_bag(path: Path) -> Path:
    """Write 10 color images: the clock jumps back onto stamps it had, and one has an unknown encoding."""
    typestore = get_typestore(Stores.ROS2_JAZZY)
    types = rosbags_types(typestore)
    kind = types.lookup("sensor_msgs/msg/Image")
    with Writer(path, version=9, storage_plugin=StoragePlugin.MCAP) as bag:
        topic = bag.add_connection("/ward/color/image_raw", kind.__msgtype__, typestore=typestore)
        for k, image in enumerate(pictures([1, 2, 2, 3, 1, 1, 2, 4, 1, 1])):
            content = encode_color(image) | ({"encoding": "nonsense"} if k == 4 else {})
            stamp_ns = (100 + 10 * (k % 6)) * 1_000_000_000
            message = kind(header=types.header(stamp_ns, "ward"), **content)
            bag.write(topic, 10**9 * (k + 1), typestore.serialize_cdr(message, kind.__msgtype__))
    return path


def files(folder: Path) -> dict[str, bytes]:
    return {str(f.relative_to(folder)): f.read_bytes() for f in folder.rglob("*") if f.is_file()}
