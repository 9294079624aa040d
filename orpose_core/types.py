"""The values that flow between the parts: frozen dataclasses whose constructors check shape and dtype."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from orpose_core.skeleton import Skeleton, convert_joints

FloatArray = NDArray[np.float32]


def _check(name: str, array: NDArray, dtype: type, shape: tuple[int | None, ...]) -> None:
    """Raise ValueError unless ``array`` has this dtype and shape (None matches any length)."""
    if not isinstance(array, np.ndarray):
        raise ValueError(f"{name}: expected a numpy array, got {type(array).__name__}")
    fits = array.ndim == len(shape) and all(
        s is None or s == a for s, a in zip(shape, array.shape, strict=True)
    )
    if array.dtype != np.dtype(dtype) or not fits:
        wanted = "x".join("any" if s is None else str(s) for s in shape)
        raise ValueError(
            f"{name}: expected {np.dtype(dtype).name} of shape {wanted}, "
            f"got {array.dtype.name} of shape {'x'.join(map(str, array.shape))}"
        )


@dataclass(frozen=True)
class Intrinsics:
    """A pinhole camera without distortion: focal lengths and principal point in px of a width x height image.

    Pixel centres have integer coordinates, so the image spans [-0.5, width - 0.5] x [-0.5, height - 0.5].
    """

    fx: float
    fy: float
    cx: float
    cy: float
    width: int
    height: int

    def __post_init__(self) -> None:
        for name in ("fx", "fy", "cx", "cy"):
            if not np.isfinite(getattr(self, name)):
                raise ValueError(f"Intrinsics.{name}: expected a finite number, got {getattr(self, name)}")
        if self.fx <= 0 or self.fy <= 0:
            raise ValueError(f"Intrinsics: focal lengths must be positive, got fx={self.fx}, fy={self.fy}")
        if self.width <= 0 or self.height <= 0:
            raise ValueError(f"Intrinsics: expected a positive size, got {self.width}x{self.height}")

    def resized(self, size_hw: tuple[int, int]) -> Intrinsics:
        """Return the intrinsics of the same camera after its image was resized to ``size_hw``.

        Each axis has its own scale (53x40 is no integer factor of 640x480), and the principal point moves
        about the image's corner, not about the centre of its first pixel: ``c' = (c + 0.5) s - 0.5``.
        """
        height, width = size_hw
        sx, sy = width / self.width, height / self.height
        return Intrinsics(
            self.fx * sx, self.fy * sy, (self.cx + 0.5) * sx - 0.5, (self.cy + 0.5) * sy - 0.5, width, height
        )


@dataclass(frozen=True)
class RgbdFrame:
    """One moment of one camera.

    Attributes:
        rgb: uint8 (H, W, 3), red first, or None.
        depth_m: float32 (H, W), metres along the optical axis, NaN = no return, or None.
        intrinsics: of the images, or None where the camera is not calibrated.
        frame_id: name of the optical frame (x right, y down, z forward).
        stamp_ns: time of the exposure, nanoseconds since the epoch.
    """

    rgb: NDArray[np.uint8] | None
    depth_m: FloatArray | None
    intrinsics: Intrinsics | None
    frame_id: str = ""
    stamp_ns: int = 0

    def __post_init__(self) -> None:
        if self.rgb is None and self.depth_m is None:
            raise ValueError("RgbdFrame: expected a color or a depth image, got neither")
        if self.rgb is not None:
            _check("RgbdFrame.rgb", self.rgb, np.uint8, (None, None, 3))
        if self.depth_m is not None:
            _check("RgbdFrame.depth_m", self.depth_m, np.float32, (None, None))
        height, width = self.size_hw
        if self.rgb is not None and self.depth_m is not None and self.rgb.shape[:2] != self.depth_m.shape:
            raise ValueError(
                f"RgbdFrame: color is {self.rgb.shape[1]}x{self.rgb.shape[0]} but depth is "
                f"{self.depth_m.shape[1]}x{self.depth_m.shape[0]}; register the depth to the color camera"
            )
        if self.intrinsics and (self.intrinsics.width, self.intrinsics.height) != (width, height):
            raise ValueError(
                f"RgbdFrame: the image is {width}x{height} but its intrinsics are for "
                f"{self.intrinsics.width}x{self.intrinsics.height}"
            )

    @property
    def size_hw(self) -> tuple[int, int]:
        """(height, width) of the images in px."""
        image = self.depth_m if self.rgb is None else self.rgb
        assert image is not None  # the constructor saw to it
        return int(image.shape[0]), int(image.shape[1])


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
        sigma_px: float32 (m, n) or None, standard deviation of ``xy_px`` along one axis, NaN = unknown.
        sigma_m: float32 (m, n) or None, standard deviation of ``xyz_cam_m`` (root mean square over the three
            axes), NaN = unknown.
        source_3d: uint8 (m, n) of :class:`Source3D`, or None.
        track_ids: int64 (m,) or None: the same person has the same id in every frame.
    """

    skeleton: Skeleton
    xy_px: FloatArray
    scores: FloatArray
    person_scores: FloatArray
    boxes_px: FloatArray
    xyz_root_m: FloatArray | None = None
    xyz_cam_m: FloatArray | None = None
    visibility: NDArray[np.uint8] | None = None
    sigma_px: FloatArray | None = None
    sigma_m: FloatArray | None = None
    source_3d: NDArray[np.uint8] | None = None
    track_ids: NDArray[np.int64] | None = None

    def __post_init__(self) -> None:
        m, n = len(self.person_scores), len(self.skeleton)
        _check("Poses.xy_px", self.xy_px, np.float32, (m, n, 2))
        _check("Poses.scores", self.scores, np.float32, (m, n))
        _check("Poses.person_scores", self.person_scores, np.float32, (m,))
        _check("Poses.boxes_px", self.boxes_px, np.float32, (m, 4))
        optional: tuple[tuple[str, type, tuple[int, ...]], ...] = (
            ("xyz_root_m", np.float32, (m, n, 3)),
            ("xyz_cam_m", np.float32, (m, n, 3)),
            ("visibility", np.uint8, (m, n)),
            ("sigma_px", np.float32, (m, n)),
            ("sigma_m", np.float32, (m, n)),
            ("source_3d", np.uint8, (m, n)),
            ("track_ids", np.int64, (m,)),
        )
        for name, dtype, shape in optional:
            if getattr(self, name) is not None:
                _check(f"Poses.{name}", getattr(self, name), dtype, shape)
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
            sigma_px=carried(self.sigma_px, np.nan),
            sigma_m=carried(self.sigma_m, np.nan),
            source_3d=carried(self.source_3d, Source3D.NONE),
            track_ids=self.track_ids,
        )


def boxes_of_xywh(xywh: NDArray) -> NDArray:
    """Return :attr:`Poses.boxes_px` of COCO's boxes; inverse of :func:`xywh_of_boxes`.

    In COCO's files pixel i covers [i, i + 1], ours has its centre at i: half a pixel lies between them.

    Args:
        xywh: float (m, 4), x, y, width, height, px.
    """
    return np.concatenate([xywh[:, :2], xywh[:, :2] + xywh[:, 2:]], axis=1) - xywh.dtype.type(0.5)


def xywh_of_boxes(boxes_px: NDArray) -> NDArray:
    """Return COCO's boxes, x, y, width, height, of :attr:`Poses.boxes_px`, float (m, 4)."""
    corner = boxes_px[:, :2] + boxes_px.dtype.type(0.5)
    return np.concatenate([corner, boxes_px[:, 2:] - boxes_px[:, :2]], axis=1)


@dataclass(frozen=True)
class PseudoLabels:
    """What a teacher says of one image (ORPose Sect. 2.2).

    Attributes:
        soft: all joints with their confidence.
        hard: the same people, in the same order, confident joints alone.
        image_id: the image's id in its data set.
        teacher: fingerprint of the teacher: models, weights' sha256, settings.
    """

    soft: Poses
    hard: Poses
    image_id: int
    teacher: str

    def __post_init__(self) -> None:
        if len(self.soft) != len(self.hard):
            raise ValueError(
                f"PseudoLabels of image {self.image_id}: soft and hard must be the same people, "
                f"got {len(self.soft)} and {len(self.hard)}"
            )
        if self.soft.skeleton != self.hard.skeleton:
            raise ValueError(f"PseudoLabels of image {self.image_id}: soft and hard skeletons differ")
