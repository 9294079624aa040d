"""COCO keypoint annotations, checked as they are read, as arrays and as :class:`Poses`.

Coordinates are taken as the file has them, in px of the image. A joint at x = y = 0 is not annotated. A box
is x, y, width, height, its pixel i covers [i, i + 1]. Every complaint names the file and the annotation.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from orpose_core.data.coco_file import CocoFile, coco_file, read_coco_file
from orpose_core.metrics.people import IndexArray, People, missing
from orpose_core.skeleton import BODY24, COCO17, MVOR10, Skeleton
from orpose_core.types import Float64Array, Intrinsics, Poses, boxes_of_xywh

FILE_SKELETONS = (COCO17, MVOR10, BODY24)
_PER_ANNOTATION = ("annotation_ids", "keypoints", "boxes_xywh", "areas_px2", "crowd", "person_ids")


@dataclass(frozen=True)
class Joints3D:
    """3D joints of annotated people, in the optical frame of the camera that took the person's image.

    Attributes:
        skeleton: the joint set, n joints.
        xyz_cam_m: float64 (a, n, 3), metres, NaN = unknown.
        seen: bool (a, n), False where the annotator inferred the joint.
    """

    skeleton: Skeleton
    xyz_cam_m: Float64Array
    seen: NDArray[np.bool_]


@dataclass(frozen=True)
class CocoTruth:
    """The people annotated in a set of images; a annotations in i images, in the order of the file.

    Attributes:
        path: the file, for messages.
        skeleton: joints of ``keypoints``.
        image_ids: int64 (i,).
        file_names: i names relative to the data set's root.
        sizes_hw: i sizes in px.
        annotation_ids: int64 (a,).
        image: int64 (a,), index of each annotation's image.
        keypoints: float64 (a, n, 3), x, y in px, NaN = not annotated, and COCO's visibility 0, 1, 2.
        boxes_xywh: float64 (a, 4), px.
        areas_px2: float64 (a,): the file's ``area``, else that of the box.
        crowd: bool (a,).
        person_ids: int64 (a,), -1 = the file does not tell.
        joints_3d: where the file has them.
        pck_people: the people that PCK is about, where the file has them apart (MVOR+).
        intrinsics: one per image, or None.
    """

    path: str
    skeleton: Skeleton
    image_ids: IndexArray
    file_names: tuple[str, ...]
    sizes_hw: tuple[tuple[int, int], ...]
    annotation_ids: IndexArray
    image: IndexArray
    keypoints: Float64Array
    boxes_xywh: Float64Array
    areas_px2: Float64Array
    crowd: NDArray[np.bool_]
    person_ids: IndexArray
    joints_3d: Joints3D | None = field(default=None, repr=False)
    pck_people: People | None = field(default=None, repr=False)
    intrinsics: tuple[Intrinsics, ...] | None = field(default=None, repr=False)

    def people(self) -> People:
        """Return the annotated people, float64; crowds, and those with a box alone, have no joints."""
        ones = np.ones(len(self.annotation_ids))
        xy_px = np.where(self.crowd[:, None, None], np.nan, self.keypoints[..., :2])
        return People(self.skeleton, self.image, xy_px, ones)

    def of_images(self, images: IndexArray) -> CocoTruth:
        """Return the annotations of some images alone, which must be in ascending order."""
        if len(images) == len(self.image_ids):
            return self
        rows = np.flatnonzero(np.isin(self.image, images))
        number = np.full(len(self.image_ids), -1, np.int64)
        number[images] = np.arange(len(images))

        def chosen(people: People) -> People:
            image = number[people.image[rows]]
            return People(people.skeleton, image, people.xy_px[rows], people.person_scores[rows])

        joints = self.joints_3d
        return replace(
            self,
            image_ids=self.image_ids[images],
            file_names=tuple(self.file_names[i] for i in images),
            sizes_hw=tuple(self.sizes_hw[i] for i in images),
            image=number[self.image[rows]],
            **{name: getattr(self, name)[rows] for name in _PER_ANNOTATION},
            joints_3d=joints and Joints3D(joints.skeleton, joints.xyz_cam_m[rows], joints.seen[rows]),
            pck_people=None if self.pck_people is None else chosen(self.pck_people),
            intrinsics=None if self.intrinsics is None else tuple(self.intrinsics[i] for i in images),
        )

    def poses(self) -> list[Poses]:
        """Return the annotated people of each image, crowds left out.

        Box-only people have absent joints. With 3D joints of another skeleton than ``keypoints`` (MVOR+) the
        poses are of :data:`BODY24`, which has both.
        """
        skeleton = self.skeleton
        if self.joints_3d is not None and self.joints_3d.skeleton != skeleton:
            skeleton = BODY24
        keypoints = np.concatenate(
            [
                np.full((len(self.image), len(skeleton), 2), np.nan),
                np.zeros((len(self.image), len(skeleton), 1)),
            ],
            axis=-1,
        )
        keypoints[:, [skeleton.index(j) for j in self.skeleton.joints]] = self.keypoints
        xyz = None
        if self.joints_3d is not None:
            xyz = np.full((len(self.image), len(skeleton), 3), np.nan)
            xyz[:, [skeleton.index(j) for j in self.joints_3d.skeleton.joints]] = self.joints_3d.xyz_cam_m
        rows = [np.flatnonzero((self.image == i) & ~self.crowd) for i in range(len(self.image_ids))]
        return [self._poses_of(r, skeleton, keypoints[r], None if xyz is None else xyz[r]) for r in rows]

    def _poses_of(
        self, rows: IndexArray, skeleton: Skeleton, keypoints: Float64Array, xyz: Float64Array | None
    ) -> Poses:
        there = ~missing(keypoints[..., :2])
        return Poses(
            skeleton,
            keypoints[..., :2].astype(np.float32),
            there.astype(np.float32),
            np.ones(len(rows), np.float32),
            boxes_of_xywh(self.boxes_xywh[rows]).astype(np.float32),
            xyz_root_m=None if xyz is None else _relative_to_hips(xyz, skeleton).astype(np.float32),
            xyz_cam_m=None if xyz is None else xyz.astype(np.float32),
            visibility=keypoints[..., 2].astype(np.uint8),
            track_ids=self.person_ids[rows],
        )

    def coco_dict(self, *, keep_ids: bool) -> dict[str, Any]:
        """Return the person annotations as ``pycocotools`` wants them, category 1.

        Args:
            keep_ids: keep the file's annotation ids, also an id 0, which can never match in ``COCOeval``;
                otherwise they are numbered from 1.
        """
        ids = self.annotation_ids if keep_ids else np.arange(1, len(self.annotation_ids) + 1)
        flags = self.keypoints[..., 2]
        annotated = (flags > 0).sum(axis=1)
        flat = np.nan_to_num(self.keypoints, nan=0.0).reshape(len(flags), -1)
        annotations = [
            {
                "id": int(ids[a]),
                "image_id": int(self.image_ids[self.image[a]]),
                "category_id": 1,
                "bbox": self.boxes_xywh[a].tolist(),
                "area": float(self.areas_px2[a]),
                "iscrowd": int(self.crowd[a]),
                "keypoints": flat[a].tolist(),
                "num_keypoints": int(annotated[a]),
            }
            for a in range(len(ids))
        ]
        images = [{"id": int(i)} for i in self.image_ids]
        return {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "person"}]}


def read_coco(path: str | os.PathLike) -> CocoTruth:
    """Read a COCO keypoints annotation file (persons alone); ValueError says what is wrong, and where."""
    return truth_of(read_coco_file(path))


def coco_truth(content: Any, path: str) -> CocoTruth:
    """Check the content of a COCO annotation file and gather it; ``path`` is for messages."""
    return truth_of(coco_file(content, path))


def truth_of(file: CocoFile) -> CocoTruth:
    """Gather a COCO file as arrays; ValueError names an annotation that is no ground truth."""
    people = file.people
    return CocoTruth(
        file.path,
        file.skeleton,
        np.array([image.id for image in file.images], np.int64),
        tuple(image.file_name for image in file.images),
        tuple((image.height, image.width) for image in file.images),
        np.array([person.id for person in people], np.int64),
        np.array([person.image for person in people], np.int64),
        _keypoints(file),
        np.array([person.bbox for person in people], np.float64).reshape(-1, 4),
        np.array([person.area for person in people], np.float64),
        np.array([person.crowd for person in people], bool),
        np.array([person.person_id for person in people], np.int64),
    )


def _keypoints(file: CocoFile) -> Float64Array:
    """Return float64 (a, n, 3); an annotation without keypoints (a box) has none annotated.

    A joint of visibility 0 is not annotated, whatever its coordinates: some tools keep those of joints that
    were marked as absent.
    """
    n = len(file.skeleton)
    empty = (0.0,) * (3 * n)
    values = np.array([p.keypoints or empty for p in file.people], np.float64).reshape(-1, n, 3)
    wrong = np.flatnonzero(~np.isin(values[..., 2], (0, 1, 2)).all(axis=1))
    if len(wrong):
        seen = sorted(set(values[wrong[0], :, 2].tolist()))
        where = file.people[wrong[0]].where
        raise ValueError(f"{where}: expected visibilities 0, 1 or 2 in 'keypoints', got {seen}")
    xy_px = np.where(values[..., 2:] == 0, np.nan, present(values))
    return np.concatenate([xy_px, np.where(np.isnan(xy_px[..., :1]), 0.0, values[..., 2:])], axis=-1)


def present(keypoints: Float64Array) -> Float64Array:
    """Return the coordinates, NaN where x = y = 0 or one of them is no number."""
    xy_px = keypoints[..., :2]
    absent = (xy_px == 0).all(axis=-1) | ~np.isfinite(xy_px).all(axis=-1)
    return np.where(absent[..., None], np.nan, xy_px)


def _relative_to_hips(xyz: Float64Array, skeleton: Skeleton) -> Float64Array:
    hips = [skeleton.index("left_hip"), skeleton.index("right_hip")]
    return xyz - xyz[:, hips].mean(axis=1, keepdims=True)
