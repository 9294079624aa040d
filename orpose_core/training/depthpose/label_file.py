"""Labels of a folder of depth images: by hand, or detections on color as pseudo ground truth (Sect. 2.2)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from orpose_core.files import read_depth, read_json
from orpose_core.skeleton import COCO17, SKELETONS, Skeleton
from orpose_core.training.depthpose.samples import LabelledFrame
from orpose_core.types import FloatArray, Poses, boxes_of_xywh

PEOPLE_GROUPS = 4
"""Images with one, two, three, and four or more people."""


class LabelFile:
    """A COCO-style label file, checked as it is read.

    ``images`` have ``id``, ``width``, ``height`` and ``depth_file_name`` (else ``file_name``) of a 16-bit
    PNG in millimetres. ``annotations`` have ``image_id``, ``bbox`` x y width height, and ``keypoints``: x, y
    and a third value that is the joint's score where the annotation has a ``score``, else COCO's visibility
    (0 = absent). Joints are those that the first category names, else COCO's 17.

    A person below ``person_score``, or with fewer than ``min_joints`` joints above ``joint_score``, or
    without keypoints, is kept as a box to ignore.

    Raises:
        ValueError: naming the file and the entry, if something is missing or of another shape.
    """

    def __init__(
        self, path: Path, folder: Path, person_score: float, joint_score: float, min_joints: int
    ) -> None:
        self.path, self.folder = Path(path), Path(folder)
        self.person_score, self.joint_score, self.min_joints = person_score, joint_score, min_joints
        content = read_json(self.path)
        if not isinstance(content, dict) or not {"images", "annotations"} <= content.keys():
            raise ValueError(f"{path}: expected a COCO-style file with images and annotations")
        self.skeleton = self._skeleton(content.get("categories") or [{}])
        self.images: list[dict[str, Any]] = [self._image(image) for image in content["images"]]
        numbers = {image["id"]: i for i, image in enumerate(self.images)}
        if len(numbers) != len(self.images):
            raise ValueError(f"{path}: expected every image id once")
        self.people: list[list[tuple[FloatArray, FloatArray, bool]]] = [[] for _ in self.images]
        for i, annotation in enumerate(content["annotations"]):
            number = numbers.get(annotation.get("image_id"))
            if number is None:
                raise ValueError(
                    f"{path}: annotation {i}: no image has the id {annotation.get('image_id')!r}"
                )
            self.people[number].append(self._person(i, annotation))

    def _skeleton(self, categories: list[dict[str, Any]]) -> Skeleton:
        names = tuple(categories[0].get("keypoints", COCO17.joints))
        for skeleton in SKELETONS.values():
            if skeleton.joints == names:
                return skeleton
        raise ValueError(f"{self.path}: no skeleton has the joints {names}; there are {sorted(SKELETONS)}")

    def _image(self, image: dict[str, Any]) -> dict[str, Any]:
        name = image.get("depth_file_name", image.get("file_name"))
        if "id" not in image or not isinstance(name, str):
            raise ValueError(f"{self.path}: expected images with id and file_name, got {image}")
        return {"id": image["id"], "file": name}

    def _person(self, i: int, annotation: dict[str, Any]) -> tuple[FloatArray, FloatArray, bool]:
        """Return keypoints (n, 3) with scores in [0, 1], the box, and whether the person is trained on."""
        where = f"{self.path}: annotation {i}"
        try:
            box = np.asarray(annotation["bbox"], np.float32)
            keypoints = np.asarray(annotation.get("keypoints") or [0] * 3 * len(self.skeleton), np.float32)
            score = float(annotation.get("score", 1.0))
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(
                f"{where}: expected bbox, keypoints and score as numbers, got {error}"
            ) from error
        if box.shape != (4,) or keypoints.shape != (3 * len(self.skeleton),):
            raise ValueError(
                f"{where}: expected a bbox of 4 and {3 * len(self.skeleton)} keypoint numbers "
                f"({self.skeleton.name}), got {box.size} and {keypoints.size}"
            )
        if not (np.isfinite(box).all() and np.isfinite(keypoints).all()):
            raise ValueError(f"{where}: expected finite numbers")
        keypoints = keypoints.reshape(-1, 3).copy()
        if "score" not in annotation:
            keypoints[:, 2] = keypoints[:, 2] > 0
        keypoints[:, 2] = np.clip(np.where(keypoints[:, 2] > self.joint_score, keypoints[:, 2], 0), 0, 1)
        good = score >= self.person_score and int((keypoints[:, 2] > 0).sum()) >= self.min_joints
        return keypoints, boxes_of_xywh(box[None])[0], good

    def people_in(self, image: int) -> int:
        """Return how many people of an image are trained on."""
        return sum(good for _, _, good in self.people[image])

    def with_people(self) -> list[int]:
        """Return the images that have somebody to train on."""
        return [i for i in range(len(self.images)) if self.people_in(i)]

    def by_people(self) -> list[list[int]]:
        """Return the images with one, two, three, and four or more people, empty groups left out."""
        groups: list[list[int]] = [[] for _ in range(PEOPLE_GROUPS)]
        for i in self.with_people():
            groups[min(self.people_in(i), PEOPLE_GROUPS) - 1].append(i)
        return [group for group in groups if group]

    def frame(self, image: int) -> LabelledFrame:
        """Read one image; ValueError names the file if it is missing or no 16-bit depth image."""
        depth_m = read_depth(self.folder / self.images[image]["file"])
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
