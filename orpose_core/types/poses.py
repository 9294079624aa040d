"""The people found in an image, and how they change with it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import IntEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from orpose_core.skeleton import Skeleton, convert_joints
from orpose_core.types.arrays import FloatArray, check_array
from orpose_core.types.images import Resize


class Visibility(IntEnum):
    """COCO's flag of a joint."""

    ABSENT = 0
    OCCLUDED = 1
    VISIBLE = 2


class Source3D(IntEnum):
    """Where a 3D joint comes from; the values of ``Keypoint3D.source``."""

    NONE = 0
    DEPTH = 1
    LIFTED = 2
    FUSED = 3
    PREDICTED = 4


@dataclass(frozen=True)
class Poses:
    """The people found in one image; nobody is m = 0, never None. All n joints always, in skeleton order.

    Score 0, "absent" and NaN coordinates always go together.

    Attributes:
        skeleton: the joint set.
        xy_px: float32 (m, n, 2), px of the source image, integer = pixel centre, NaN = absent.
        scores: float32 (m, n) in [0, 1], 0 = absent.
        person_scores: float32 (m,).
        boxes_px: float32 (m, 4), x1 y1 x2 y2, in the same px: the whole image is -0.5 -0.5 w-0.5 h-0.5.
        xyz_root_m: float32 (m, n, 3) or None, relative to the pelvis (mean of the hips), NaN = unknown.
        xyz_cam_m: float32 (m, n, 3) or None, in the camera's optical frame, NaN = unknown.
        visibility: uint8 (m, n) of :class:`Visibility`, or None where the source does not tell.
        hidden_probability: float32 (m, n) or None, in [0, 1], how probable it is that something hides the
            joint, where the source knows more than ``visibility``; NaN = absent.
        sigma_px: float32 (m, n) or None, standard deviation of ``xy_px`` along one axis, NaN = unknown.
        sigma_m: float32 (m, n) or None, standard deviation of ``xyz_cam_m`` (root mean square over the three
            axes), NaN = unknown.
        source_3d: uint8 (m, n) of :class:`Source3D`, or None.
        track_ids: int64 (m,) or None: the same person has the same id in every frame.
        box_scores: float32 (m,) or None, the detector's score of each person's box alone; ``person_scores``
            may weigh it with the joints.
    """

    skeleton: Skeleton
    xy_px: FloatArray
    scores: FloatArray
    person_scores: FloatArray
    boxes_px: FloatArray
    xyz_root_m: FloatArray | None = None
    xyz_cam_m: FloatArray | None = None
    visibility: NDArray[np.uint8] | None = None
    hidden_probability: FloatArray | None = None
    sigma_px: FloatArray | None = None
    sigma_m: FloatArray | None = None
    source_3d: NDArray[np.uint8] | None = None
    track_ids: NDArray[np.int64] | None = None
    box_scores: FloatArray | None = None

    def __post_init__(self) -> None:
        m, n = len(self.person_scores), len(self.skeleton)
        check_array("Poses.xy_px", self.xy_px, np.float32, (m, n, 2))
        check_array("Poses.scores", self.scores, np.float32, (m, n))
        check_array("Poses.person_scores", self.person_scores, np.float32, (m,))
        check_array("Poses.boxes_px", self.boxes_px, np.float32, (m, 4))
        optional: tuple[tuple[str, type, tuple[int, ...]], ...] = (
            ("xyz_root_m", np.float32, (m, n, 3)),
            ("xyz_cam_m", np.float32, (m, n, 3)),
            ("visibility", np.uint8, (m, n)),
            ("hidden_probability", np.float32, (m, n)),
            ("sigma_px", np.float32, (m, n)),
            ("sigma_m", np.float32, (m, n)),
            ("source_3d", np.uint8, (m, n)),
            ("track_ids", np.int64, (m,)),
            ("box_scores", np.float32, (m,)),
        )
        for name, dtype, shape in optional:
            if getattr(self, name) is not None:
                check_array(f"Poses.{name}", getattr(self, name), dtype, shape)
        if not np.all((self.scores >= 0) & (self.scores <= 1)):
            raise ValueError("Poses.scores: expected values in [0, 1]")
        absent = self.scores == 0
        if not np.array_equal(absent, np.isnan(self.xy_px).any(axis=-1)):
            raise ValueError("Poses: a joint's score must be 0 exactly where its coordinates are NaN")

    def __len__(self) -> int:
        return len(self.person_scores)

    @classmethod
    def nobody(cls, skeleton: Skeleton) -> Poses:
        """Return the poses of an empty image."""
        n = len(skeleton)
        return cls(
            skeleton,
            xy_px=np.zeros((0, n, 2), np.float32),
            scores=np.zeros((0, n), np.float32),
            person_scores=np.zeros(0, np.float32),
            boxes_px=np.zeros((0, 4), np.float32),
        )

    def select(self, people: Sequence[int] | NDArray) -> Poses:
        """Return only these people: indices, in the order given, or a boolean mask (m,)."""
        index = np.asarray(people)
        if index.size == 0:
            index = index.astype(np.int64)
        chosen = {
            name: value[index]
            for name, value in vars(self).items()
            if name != "skeleton" and value is not None
        }
        return replace(self, **chosen)

    def resized(self, resize: Resize) -> Poses:
        """Return the same people in px of ``resize.target_hw``; they are in px of ``resize.source_hw``.

        Joints in space stay where they are. ``sigma_px`` grows with the geometric mean of both axes' scales.
        """
        stretch = np.float32(np.sqrt(resize.scale_xy[0] * resize.scale_xy[1]))
        return replace(
            self,
            xy_px=resize.to_target(self.xy_px),
            boxes_px=resize.to_target(self.boxes_px.reshape(-1, 2, 2)).reshape(-1, 4),
            sigma_px=None if self.sigma_px is None else self.sigma_px * stretch,
        )

    def mirrored(self, width: int) -> Poses:
        """Return the people as the mirrored image shows them: left joints become right ones; its own inverse.

        Args:
            width: of the image, px. In space x changes its sign, as seen by the mirrored camera, whose
                principal point lies at ``width - 1 - cx``.
        """
        order = list(self.skeleton.flip_permutation)
        xy_px, boxes_px = self.xy_px[:, order].copy(), self.boxes_px.copy()
        xy_px[..., 0] = width - 1 - xy_px[..., 0]
        boxes_px[:, [0, 2]] = width - 1 - self.boxes_px[:, [2, 0]]
        changed: dict[str, Any] = {"xy_px": xy_px, "boxes_px": boxes_px, "scores": self.scores[:, order]}
        for name in (
            "visibility",
            "hidden_probability",
            "sigma_px",
            "sigma_m",
            "source_3d",
            "xyz_root_m",
            "xyz_cam_m",
        ):
            values = getattr(self, name)
            if values is not None:
                turned = values[:, order]
                changed[name] = turned * np.array([-1, 1, 1], np.float32) if turned.ndim == 3 else turned
        return replace(self, **changed)

    def moved(self, scale: float, offset_px: NDArray, size_hw: tuple[int, int]) -> Poses:
        """Return the people after ``x -> scale * x + offset_px`` within an image of ``size_hw``.

        A joint that leaves the image is absent in 2D, a box is cut to the image. Joints in space stay: the
        image is that of a camera with another focal length and principal point.

        Args:
            scale: above 1 enlarges.
            offset_px: float (2,), x and y.
            size_hw: (height, width) of the image, px.
        """
        limit = np.array(size_hw[::-1], np.float32) - 0.5
        xy_px = (self.xy_px * np.float32(scale) + offset_px).astype(np.float32)
        inside = np.all((xy_px >= -0.5) & (xy_px <= limit), axis=-1)  # False where NaN
        boxes = self.boxes_px.reshape(-1, 2, 2) * np.float32(scale) + offset_px
        sigma_px, visibility, hidden = self.sigma_px, self.visibility, self.hidden_probability
        if sigma_px is not None:
            sigma_px = np.where(inside, sigma_px * np.float32(scale), np.float32(np.nan))
        if visibility is not None:
            visibility = np.where(inside, visibility, np.uint8(Visibility.ABSENT))
        if hidden is not None:
            hidden = np.where(inside, hidden, np.float32(np.nan))
        return replace(
            self,
            xy_px=np.where(inside[..., None], xy_px, np.float32(np.nan)),
            scores=np.where(inside, self.scores, np.float32(0)),
            boxes_px=np.clip(boxes, -0.5, limit).reshape(-1, 4).astype(np.float32),
            sigma_px=sigma_px,
            visibility=visibility,
            hidden_probability=hidden,
        )

    def converted(self, target: Skeleton) -> Poses:
        """Return the same people with the joints of ``target`` (see :func:`skeleton.convert_joints`).

        Per-joint values beside the coordinates (sigmas, visibility, source) are carried over only for joints
        of the same name; a derived joint's are unknown.
        """
        if target == self.skeleton:
            return self
        source = self.skeleton
        xy_px, scores = convert_joints(self.xy_px, self.scores, source, target)
        known = [j in source.joints for j in target.joints]
        index = [source.index(j) if j in source.joints else 0 for j in target.joints]

        def carried(values: NDArray | None, missing: float) -> NDArray | None:
            return None if values is None else np.where(known, values[:, index], missing).astype(values.dtype)

        def points(xyz: FloatArray | None) -> FloatArray | None:
            if xyz is None:
                return None
            there = np.where(np.isnan(xyz).any(axis=-1), 0.0, 1.0).astype(np.float32)
            return convert_joints(xyz, there, source, target)[0]

        return Poses(
            target,
            xy_px,
            scores,
            self.person_scores,
            self.boxes_px,
            xyz_root_m=points(self.xyz_root_m),
            xyz_cam_m=points(self.xyz_cam_m),
            visibility=carried(self.visibility, Visibility.ABSENT),
            hidden_probability=carried(self.hidden_probability, np.nan),
            sigma_px=carried(self.sigma_px, np.nan),
            sigma_m=carried(self.sigma_m, np.nan),
            source_3d=carried(self.source_3d, Source3D.NONE),
            track_ids=self.track_ids,
            box_scores=self.box_scores,
        )


def boxes_of_xywh(xywh: NDArray) -> NDArray:
    """Return :attr:`Poses.boxes_px` of COCO's boxes; inverse of :func:`xywh_of_boxes`.

    In COCO's files pixel i covers [i, i + 1], ours has its centre at i: half a pixel lies between them.

    Args:
        xywh: float (m, 4), x, y, width, height, px.
    """
    return np.concatenate([xywh[:, :2], xywh[:, :2] + xywh[:, 2:]], axis=1) - xywh.dtype.type(0.5)


def covered_shares(boxes_px: NDArray, by_px: NDArray) -> NDArray:
    """Return float (m, k): the share of each box that each of the others covers.

    Args:
        boxes_px: float (m, 4), x1 y1 x2 y2.
        by_px: float (k, 4), likewise; there may be none.
    """
    low = np.maximum(boxes_px[:, None, :2], by_px[None, :, :2])
    high = np.minimum(boxes_px[:, None, 2:], by_px[None, :, 2:])
    inside = np.clip(high - low, 0, None).prod(axis=-1)
    return inside / np.clip(boxes_px[:, 2:] - boxes_px[:, :2], 1e-6, None).prod(axis=-1)[:, None]


def box_ious(boxes_px: NDArray, others_px: NDArray) -> NDArray[np.float64]:
    """Return float64 (m, k): the intersection over union of each box with each of the others.

    Args:
        boxes_px: float (m, 4), x1 y1 x2 y2, NaN = unknown.
        others_px: float (k, 4), likewise.

    Returns:
        NaN where one of the boxes is unknown, or both are empty.
    """
    a, b = boxes_px[:, None].astype(np.float64), others_px[None].astype(np.float64)
    sides = np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2])
    common = sides.clip(min=0).prod(axis=-1)
    union = (a[..., 2:] - a[..., :2]).prod(axis=-1) + (b[..., 2:] - b[..., :2]).prod(axis=-1) - common
    return np.where(union > 0, common / np.where(union > 0, union, 1), np.nan)


def xywh_of_boxes(boxes_px: NDArray) -> NDArray:
    """Return COCO's boxes, x, y, width, height, of :attr:`Poses.boxes_px`, float (m, 4)."""
    corner = boxes_px[:, :2] + boxes_px.dtype.type(0.5)
    return np.concatenate([corner, boxes_px[:, 2:] - boxes_px[:, :2]], axis=1)
