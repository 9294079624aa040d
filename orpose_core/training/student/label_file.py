"""Label files that a student learns from: a teacher's, or the exact ones of a synthetic recording."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from orpose_core.files import read_color, read_json
from orpose_core.labelling.label_files import pseudo_labels
from orpose_core.skeleton import BODY24, COCO17, H36M17
from orpose_core.types import Poses, PseudoLabels, boxes_of_xywh

EXACT = "exact"
"""What stands for the teacher where labels are the truth of a simulation."""

_NUMBERS = {
    "keypoints": 3 * len(COCO17),
    "keypoints_soft": 3 * len(COCO17),
    "keypoints3d_soft": 3 * len(H36M17),
    "keypoints3d_hard": 3 * len(H36M17),
    "body24_cam_m": 4 * len(BODY24),
}
_REQUIRED = {True: ("keypoints", "keypoints_soft"), False: ("keypoints", "body24_cam_m")}
"""Of pseudo labels, and of exact ones."""


def exact_labels(poses: Poses, image_id: int) -> PseudoLabels:
    """Return true poses as labels: both sets alike, every joint in the image with confidence 1.

    The joints that COCO lacks are derived from its 17, as the student derives them when it lifts.

    Args:
        poses: BODY24 with ``xyz_root_m``.
        image_id: of the image.
    """
    derived = poses.converted(COCO17).converted(BODY24)
    labels = Poses(
        BODY24,
        derived.xy_px,
        derived.scores,
        poses.person_scores,
        poses.boxes_px,
        xyz_root_m=poses.xyz_root_m,
    )
    return PseudoLabels(labels, labels, image_id, EXACT)


class StudentLabelFile:
    """A COCO file with labels and where its images lie, checked as it is read.

    Either what `orpose label` writes, or the ``annotations.json`` of `orpose simulate`.

    Args:
        path: of the file.
        folder: where its ``file_name`` start; None = beside the file.
        empty_images: whether images without anybody are kept; detectron2, with which the paper trained,
            leaves them out.

    Attributes:
        teacher: fingerprint of who labelled, or :data:`EXACT`.
        has_3d: whether every person has labels in space.

    Raises:
        ValueError: names the file, and the image and annotation that is not as expected.
    """

    def __init__(self, path: Path, folder: Path | None = None, empty_images: bool = False) -> None:
        self.path = Path(path)
        self.folder = self.path.parent if folder is None else Path(folder)
        content = read_json(self.path)
        if not isinstance(content, dict) or not {"images", "annotations"} <= content.keys():
            raise ValueError(f"{path}: expected a COCO file with images and annotations")
        info = content.get("info")
        teacher = info.get("teacher_sha256") if isinstance(info, dict) else None
        self.pseudo = isinstance(teacher, str)
        self.teacher = str(teacher) if self.pseudo else EXACT
        images = [self._image(i, image) for i, image in enumerate(content["images"])]
        by_id: dict[Any, list[dict[str, Any]]] = {image["id"]: [] for image in images}
        if len(by_id) != len(images):
            raise ValueError(f"{path}: expected every image id once")
        names = {image["id"]: image for image in images}
        for annotation in content["annotations"]:
            image = names.get(annotation.get("image_id") if isinstance(annotation, dict) else None)
            if image is None:
                raise ValueError(f"{path}: expected annotations of its images, got {str(annotation)[:80]}")
            self._check(annotation, image)
            by_id[image["id"]].append(annotation)
        self.images = [image for image in images if empty_images or by_id[image["id"]]]
        self.people = [by_id[image["id"]] for image in self.images]
        self.has_3d = all(
            not self.pseudo or "keypoints3d_soft" in person for people in self.people for person in people
        )
        if not self.images:
            raise ValueError(f"{path}: expected images with people, got none")
        missing = next((i for i in self.images if not (self.folder / i["file_name"]).is_file()), None)
        if missing:
            raise ValueError(
                f"{path}: image {missing['id']}: expected a picture at {self.folder / missing['file_name']}; "
                "labels made with --keep none have none"
            )

    def __len__(self) -> int:
        return len(self.images)

    def _image(self, number: int, image: Any) -> dict[str, Any]:
        sides = [image.get("width"), image.get("height")] if isinstance(image, dict) else []
        good = bool(sides) and "id" in image and isinstance(image.get("file_name"), str)
        if not good or not all(isinstance(side, int) and side > 0 for side in sides):
            raise ValueError(
                f"{self.path}: images[{number}]: expected id, file_name, width and height, "
                f"got {str(image)[:80]}"
            )
        return {k: image[k] for k in ("id", "file_name", "width", "height")}

    def _check(self, annotation: Mapping[str, Any], image: Mapping[str, Any]) -> None:
        """Raise ValueError, naming image and annotation, unless the labels can be learnt from."""
        where = f"{self.path}: image {image['id']} ({image['file_name']}), annotation {annotation.get('id')}"
        for key in _REQUIRED[self.pseudo]:
            if key not in annotation:
                raise ValueError(f"{where}: expected {key!r}, got none")
        for key, count in {**_NUMBERS, "bbox": 4}.items():
            values = annotation.get(key, [] if key == "bbox" else None)
            if values is None:
                continue
            unknown = key.startswith("keypoints3d")  # null = unknown
            if not isinstance(values, list) or len(values) != count:
                got = len(values) if isinstance(values, list) else type(values).__name__
                raise ValueError(f"{where}: expected {count} numbers as {key!r}, got {got}")
            wrong = [v for v in values if not (_finite(v) or (unknown and v is None))]
            if wrong:
                raise ValueError(f"{where}: expected finite numbers as {key!r}, got {wrong[0]!r}")
        x, y, w, h = annotation["bbox"]
        least = 1e-6 if self.pseudo else 0.0  # of a distant person in a simulation one column may be seen
        inside = x < image["width"] and y < image["height"] and x + w > -0.5 and y + h > -0.5
        if not (min(w, h) >= least and inside):
            raise ValueError(
                f"{where}: expected a box inside the {image['width']}x{image['height']} image, "
                f"got x, y, width, height = {annotation['bbox']}"
            )
        confidences = annotation.get("keypoints_soft", [0.0])[2::3]
        if any(not 0 <= c <= 1 for c in confidences):
            raise ValueError(f"{where}: expected confidences in [0, 1] in 'keypoints_soft'")

    def labels(self, number: int) -> PseudoLabels:
        """Return the labels of image ``number``, px of it, BODY24."""
        image_id = int(self.images[number]["id"])
        if self.pseudo:
            return pseudo_labels(self.people[number], image_id, self.teacher, str(self.path))
        return exact_labels(_true_poses(self.people[number]), image_id)

    def size_hw(self, number: int) -> tuple[int, int]:
        """Return (height, width) of image ``number``, px."""
        return self.images[number]["height"], self.images[number]["width"]

    def picture(self, number: int) -> NDArray[np.uint8]:
        """Read image ``number``, uint8 (H, W, 3), red first; ValueError names a file that is none."""
        path = self.folder / self.images[number]["file_name"]
        picture = read_color(path)
        height, width = self.size_hw(number)
        if picture.shape[:2] != (height, width):
            raise ValueError(
                f"{path}: image {self.images[number]['id']}: expected {width}x{height}, "
                f"got {picture.shape[1]}x{picture.shape[0]}"
            )
        return picture


def _finite(value: Any) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


def _true_poses(annotations: list[dict[str, Any]]) -> Poses:
    """Return the people of an image of a synthetic recording, BODY24."""
    m = len(annotations)
    keypoints = np.array([a["keypoints"] for a in annotations], np.float32).reshape(m, len(COCO17), 3)
    there = keypoints[..., 2] > 0
    boxes = np.array([a["bbox"] for a in annotations], np.float32).reshape(m, 4)
    xyz = np.array([a["body24_cam_m"] for a in annotations], np.float32).reshape(m, len(BODY24), 4)[..., :3]
    root = xyz[:, [BODY24.index("left_hip"), BODY24.index("right_hip")]].mean(axis=1, keepdims=True)
    derived = Poses(
        COCO17,
        np.where(there[..., None], keypoints[..., :2], np.float32(np.nan)),
        there.astype(np.float32),
        np.ones(m, np.float32),
        boxes_of_xywh(boxes),
    ).converted(BODY24)
    return Poses(
        BODY24, derived.xy_px, derived.scores, derived.person_scores, derived.boxes_px, xyz_root_m=xyz - root
    )
