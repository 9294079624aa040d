"""Labels of a folder of depth images: manual, or detections in color as pseudo ground truth (Sect. 2.2)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from orpose_core.data.coco_file import CocoImage, CocoPerson, read_coco_file
from orpose_core.data.json_fields import finite_numbers
from orpose_core.files import read_depth
from orpose_core.training.depthpose.samples import LabelledFrame
from orpose_core.types import FloatArray, Poses, boxes_of_xywh

_PAPER = {"person_score": 0.7, "joint_score": 0.35, "min_joints": 4}
"""DepthPose, Sect. 3."""
PEOPLE_GROUPS = 4
"""Images with one, two, three, and four or more people."""


class LabelFile:
    """A COCO-style label file, validated while it is read.

    ``images`` have ``id`` and ``depth_file_name`` (or ``file_name``) of a 16-bit PNG in millimetres.
    ``annotations`` have ``image_id``, ``bbox`` x y width height, and ``keypoints``: x, y and a third value.
    The third value is the score of the joint if the annotation has a ``score``, otherwise COCO's visibility
    (0 = absent). The joints are those named by the category of people, or COCO's 17.

    A person below ``person_score``, or with fewer than ``min_joints`` joints above ``joint_score``, or
    without keypoints, becomes a box to ignore, and so does a crowd. A threshold of None stands for the one
    with which the file was labelled (``info.thresholds``), or for that of DepthPose (Sect. 3). With a lower
    ``joint_score`` than that, the joints of a teacher's labels are read from ``keypoints_soft``, which
    contains joints of all scores.

    Attributes:
        person_score, joint_score, min_joints: the thresholds in use.
        names: names of the depth images, relative to ``folder``.

    Raises:
        ValueError: a value is missing or has a wrong shape. The message names the file and the entry.
    """

    def __init__(
        self,
        path: Path,
        folder: Path,
        person_score: float | None = None,
        joint_score: float | None = None,
        min_joints: int | None = None,
    ) -> None:
        self.path, self.folder = Path(path), Path(folder)
        file = read_coco_file(self.path)
        own = _thresholds(file.content.get("info"), self.path)
        self.person_score = own["person_score"] if person_score is None else person_score
        self.joint_score = own["joint_score"] if joint_score is None else joint_score
        self._soft = self.joint_score < own["joint_score"]
        self.min_joints = int(own["min_joints"]) if min_joints is None else min_joints
        self.skeleton = file.skeleton
        self.names = [_depth_name(image) for image in file.images]
        self.people = [[self._person(person) for person in people] for people in file.people_of_images()]

    def __len__(self) -> int:
        return len(self.names)

    def _person(self, person: CocoPerson) -> tuple[FloatArray, FloatArray, bool]:
        """Return keypoints (n, 3) with scores in [0, 1], the box, and whether to train on the person."""
        empty = (0.0,) * (3 * len(self.skeleton))
        given = person.keypoints or empty
        if self._soft and person.entry.get("keypoints_soft") and any(given):
            given = tuple(
                finite_numbers(person.entry["keypoints_soft"], "keypoints_soft", person.where, (len(empty),))
            )
        keypoints = np.array(given, np.float32).reshape(-1, 3)
        if person.score is None:
            keypoints[:, 2] = keypoints[:, 2] > 0
        keypoints[:, 2] = np.clip(np.where(keypoints[:, 2] > self.joint_score, keypoints[:, 2], 0), 0, 1)
        enough = int((keypoints[:, 2] > 0).sum()) >= self.min_joints
        sure = person.score is None or person.score >= self.person_score
        box = boxes_of_xywh(np.array([person.bbox], np.float32))[0]
        return keypoints, box, enough and sure and not person.crowd

    def masked(self) -> tuple[int, int]:
        """Return the number of masked people and of all people; regions to ignore do not count."""
        there = [good for people in self.people for keypoints, _, good in people if good or keypoints.any()]
        return sum(not good for good in there), len(there)

    def people_in(self, image: int) -> int:
        """Return the number of people in an image who are used for training."""
        return sum(good for _, _, good in self.people[image])

    def with_people(self) -> list[int]:
        """Return the images with at least one person to train on."""
        return [i for i in range(len(self)) if self.people_in(i)]

    def by_people(self) -> list[list[int]]:
        """Return the images with one, two, three, and four or more people, without empty groups."""
        groups: list[list[int]] = [[] for _ in range(PEOPLE_GROUPS)]
        for i in self.with_people():
            groups[min(self.people_in(i), PEOPLE_GROUPS) - 1].append(i)
        return [group for group in groups if group]

    def frame(self, image: int) -> LabelledFrame:
        """Read one image; a ValueError names a file that is not a 16-bit depth image."""
        depth_m = read_depth(self.folder / self.names[image])
        kept = [(keypoints, box) for keypoints, box, good in self.people[image] if good]
        ignored = [box for _, box, good in self.people[image] if not good]
        return LabelledFrame(depth_m, self._poses(kept), np.array(ignored, np.float32).reshape(-1, 4))

    def _poses(self, people: list[tuple[FloatArray, FloatArray]]) -> Poses:
        if not people:
            return Poses.nobody(self.skeleton)
        keypoints = np.stack([person[0] for person in people])
        there = keypoints[..., 2] > 0
        return Poses(
            self.skeleton,
            np.where(there[..., None], keypoints[..., :2], np.float32(np.nan)),
            keypoints[..., 2],
            np.ones(len(people), np.float32),
            np.stack([person[1] for person in people]),
        )


def _thresholds(info: Any, path: Path) -> dict[str, float]:
    """Return the thresholds with which a file was labelled; those of the paper if the file has none."""
    told = info.get("thresholds", {}) if isinstance(info, dict) else {}
    if not isinstance(told, dict):
        raise ValueError(f"{path}: expected a mapping as info.thresholds, got {told!r}")
    values = dict(_PAPER)
    for name in values:
        if name in told:
            values[name] = finite_numbers([told[name]], f"thresholds.{name}", f"{path}: info")[0]
    return values


def _depth_name(image: CocoImage) -> str:
    name = image.entry.get("depth_file_name", image.file_name)
    if not name or not isinstance(name, str):
        raise ValueError(f"{image.where}: expected the name of a depth image as 'depth_file_name', got none")
    return name
