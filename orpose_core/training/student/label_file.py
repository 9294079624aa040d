"""Label files for training a student: a teacher's labels, or the ground truth of a synthetic recording."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from orpose_core.data.coco_file import CocoImage, CocoPerson, read_coco_file
from orpose_core.data.json_fields import finite_numbers, shown
from orpose_core.files import read_color
from orpose_core.labelling.label_files import pseudo_labels
from orpose_core.skeleton import BODY24, COCO17, H36M17
from orpose_core.types import Poses, PseudoLabels, boxes_of_xywh

EXACT = "exact"
"""Stands for the teacher's fingerprint where the labels are the ground truth of a simulation."""

_NUMBERS = {
    "keypoints": 3 * len(COCO17),
    "keypoints_soft": 3 * len(COCO17),
    "keypoints3d_soft": 3 * len(H36M17),
    "keypoints3d_hard": 3 * len(H36M17),
    "body24_cam_m": 4 * len(BODY24),
}
_REQUIRED = {True: ("keypoints", "keypoints_soft"), False: ("keypoints", "body24_cam_m")}
"""Skeletons of pseudo-labels and of ground truth."""


def exact_labels(poses: Poses, image_id: int) -> PseudoLabels:
    """Return the ground truth as labels: both sets are equal, every joint in the image has confidence 1.

    Joints that COCO lacks are derived from its 17 joints, as the student does for its lifters.

    Args:
        poses: BODY24 with ``xyz_root_m``.
        image_id: id of the image.
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
    """A COCO file with labels and the folder of its images, validated while it is read.

    The file was written by `orpose label`, or is the ``annotations.json`` of `orpose simulate`.

    Args:
        path: the file.
        folder: folder to which ``file_name`` is relative; None = the folder of the file.
        empty_images: whether to keep images without people; detectron2, which the paper used, leaves them
            out.

    Attributes:
        teacher: fingerprint of the teacher, or :data:`EXACT`.
        has_3d: whether every person has 3D labels.

    Raises:
        ValueError: a value is not valid. The message names the file, the image and the annotation.
    """

    def __init__(self, path: Path, folder: Path | None = None, empty_images: bool = False) -> None:
        self.path = Path(path)
        self.folder = self.path.parent if folder is None else Path(folder)
        file = read_coco_file(self.path)
        info = file.content.get("info")
        teacher = info.get("teacher_sha256") if isinstance(info, dict) else None
        self.pseudo = isinstance(teacher, str)
        self.teacher = str(teacher) if self.pseudo else EXACT
        if file.skeleton != COCO17:
            raise ValueError(f"{path}: expected labels of {COCO17.name}, got {file.skeleton.name}")
        for image in file.images:
            if not image.file_name or not image.height or not image.width:
                raise ValueError(
                    f"{image.where}: expected file_name, width and height, got {shown(image.entry)}"
                )
        for person in file.people:
            if not person.crowd:
                _check(person, file.images[person.image], self.pseudo)
        people = [[p for p in people if not p.crowd] for people in file.people_of_images()]
        pairs = [pair for pair in zip(file.images, people, strict=True) if empty_images or pair[1]]
        self.images = [image for image, _ in pairs]
        self.people = [[{**person.entry, "bbox": list(person.bbox)} for person in some] for _, some in pairs]
        self.has_3d = all(
            not self.pseudo or "keypoints3d_soft" in person for people in self.people for person in people
        )
        if not self.images:
            raise ValueError(f"{path}: expected images with people, got none")
        gone = next((image for image in self.images if not (self.folder / image.file_name).is_file()), None)
        if gone is not None:
            raise ValueError(
                f"{gone.where}: expected a picture at {self.folder / gone.file_name}; "
                "labels made with --keep none have none"
            )

    def __len__(self) -> int:
        return len(self.images)

    def labels(self, number: int) -> PseudoLabels:
        """Return the labels of image ``number``, in px of the image."""
        image_id = self.images[number].id
        if self.pseudo:
            return pseudo_labels(self.people[number], image_id, self.teacher, str(self.path))
        return exact_labels(_true_poses(self.people[number]), image_id)

    def size_hw(self, number: int) -> tuple[int, int]:
        """Return (height, width) of image ``number``, px."""
        return self.images[number].height, self.images[number].width

    def picture(self, number: int) -> NDArray[np.uint8]:
        """Read image ``number``, uint8 RGB (H, W, 3); a ValueError names a file that is not an image."""
        image = self.images[number]
        picture = read_color(self.folder / image.file_name)
        height, width = self.size_hw(number)
        if picture.shape[:2] != (height, width):
            raise ValueError(
                f"{image.where}: expected {image.file_name} of {width}x{height}, "
                f"got {picture.shape[1]}x{picture.shape[0]}"
            )
        return picture


def _check(person: CocoPerson, image: CocoImage, pseudo: bool) -> None:
    """Raise ValueError, naming the annotation, if the labels cannot be used for training."""
    entry, where = person.entry, person.where
    for key in _REQUIRED[pseudo]:
        if entry.get(key) is None:
            raise ValueError(f"{where}: expected {key!r}, got none")
    for key, count in _NUMBERS.items():
        if entry.get(key) is not None:
            finite_numbers(entry[key], key, where, (count,), unknown=key.startswith("keypoints3d"))
    x, y, w, h = person.bbox
    least = 1e-6 if pseudo else 0.0  # of a distant person in a simulation one column may be seen
    inside = x < image.width and y < image.height and x + w > -0.5 and y + h > -0.5
    if not (min(w, h) >= least and inside):
        raise ValueError(
            f"{where}: expected a 'bbox' inside the {image.width}x{image.height} image, "
            f"got x, y, width, height = {list(person.bbox)}"
        )
    if any(not 0 <= c <= 1 for c in entry.get("keypoints_soft", [0.0])[2::3]):
        raise ValueError(f"{where}: expected confidences in [0, 1] in 'keypoints_soft'")


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
