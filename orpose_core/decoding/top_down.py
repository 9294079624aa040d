"""One person at a time: crops of boxes, and keypoint maps of crops back to px of the image.

The conventions are those of HRNet's and Simple Baselines' releases, to the last quarter of a cell: the crop
is the box, grown to the network's shape and by a quarter; its centre meets (W/2, H/2) of the input and
(w/2, h/2) of the maps, with no half pixel; a pixel centre is an integer. Boxes are taken as the detector
gives them, continuous px (pixel i covers [i, i + 1]).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from orpose_core.decoding.oks_nms import suppress_by_oks
from orpose_core.skeleton import COCO17, Skeleton
from orpose_core.types import FloatArray, Poses

_TINY = 1e-10


@dataclass(frozen=True)
class TopDownConfig:
    """How maps of crops become people. The defaults are the releases' settings.

    Attributes:
        padding: the crop is this many times as large as the box.
        decoding: ``"quarter"`` shifts the highest cell by a quarter towards its higher neighbour; ``"dark"``
            takes the peak of a Gaussian fitted there (Zhang et al., CVPR 2020).
        dark_kernel: side in cells, odd, of the blur before that fit: 11 for networks trained with sigma 2
            (256x192), 17 for sigma 3 (384x288).
        min_joint_score: only joints above it count for a person's score.
        oks_threshold: people more similar than this to a better one are left out; 1 keeps all.
    """

    padding: float = 1.25
    decoding: Literal["quarter", "dark"] = "quarter"
    dark_kernel: int = 11
    min_joint_score: float = 0.2
    oks_threshold: float = 0.9

    def __post_init__(self) -> None:
        if self.decoding not in ("quarter", "dark"):
            raise ValueError(f"TopDownConfig.decoding: expected 'quarter' or 'dark', got {self.decoding!r}")
        if not self.padding > 0:
            raise ValueError(f"TopDownConfig.padding: expected a number above 0, got {self.padding}")
        if self.dark_kernel < 1 or self.dark_kernel % 2 == 0:
            raise ValueError(f"TopDownConfig.dark_kernel: expected an odd number, got {self.dark_kernel}")
        for name in ("min_joint_score", "oks_threshold"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(
                    f"TopDownConfig.{name}: expected a number in [0, 1], got {getattr(self, name)}"
                )


@dataclass(frozen=True)
class Crops:
    """Regions of one image with the shape of the network's input; m of them.

    Attributes:
        centres_px: float64 (m, 2), px.
        sizes_px: float64 (m, 2), width and height, px.
    """

    centres_px: NDArray[np.float64]
    sizes_px: NDArray[np.float64]

    def scaled(self, factor: float) -> Crops:
        """Return the regions grown about their centres."""
        return Crops(self.centres_px, self.sizes_px * factor)

    def matrices(self, size_hw: tuple[int, int]) -> NDArray[np.float64]:
        """Return float64 (m, 2, 3): px of the image to px of a crop (or map) of this size."""
        height, width = size_hw
        scale = width / self.sizes_px[:, 0]
        matrices = np.zeros((len(scale), 2, 3))
        matrices[:, 0, 0] = matrices[:, 1, 1] = scale
        matrices[:, :, 2] = np.array([width, height]) / 2 - self.centres_px * scale[:, None]
        return matrices

    def to_image(self, xy: NDArray, size_hw: tuple[int, int]) -> NDArray[np.float64]:
        """Map (m, n, 2) from a crop (or map) of this size to px of the image."""
        height, width = size_hw
        scale = (self.sizes_px[:, 0] / width)[:, None, None]
        return (xy - np.array([width, height]) / 2) * scale + self.centres_px[:, None]


def crops_of(boxes: NDArray, input_hw: tuple[int, int], padding: float = 1.25) -> Crops:
    """Return the regions around boxes.

    Args:
        boxes: (m, 4), x1 y1 x2 y2, px.
        input_hw: (height, width) of the network's input: the shorter side of a box grows to its shape.
        padding: see :class:`TopDownConfig`.

    Raises:
        ValueError: a box without an inside.
    """
    boxes = np.asarray(boxes, np.float64).reshape(-1, 4)
    sides = boxes[:, 2:] - boxes[:, :2]
    if not (np.isfinite(boxes).all() and (sides > 0).all()):
        raise ValueError(f"crops_of: expected boxes with x1 < x2 and y1 < y2, got {boxes.tolist()}")
    aspect = input_hw[1] / input_hw[0]
    width = np.maximum(sides[:, 0], sides[:, 1] * aspect)
    return Crops((boxes[:, :2] + boxes[:, 2:]) / 2, np.stack([width, width / aspect], axis=1) * padding)


def cut_out(image: NDArray[np.uint8], crops: Crops, input_hw: tuple[int, int]) -> NDArray[np.uint8]:
    """Return the crops uint8 (m, H, W, 3) of an image (h, w, 3); bilinear, black outside."""
    out = np.empty((len(crops.centres_px), *input_hw, 3), np.uint8)
    for k, matrix in enumerate(crops.matrices(input_hw)):
        out[k] = cv2.warpAffine(image, matrix, (input_hw[1], input_hw[0]), flags=cv2.INTER_LINEAR)
    return out


def unmirrored_maps(maps: FloatArray, skeleton: Skeleton = COCO17, shift: bool = True) -> FloatArray:
    """Turn the maps (m, n, h, w) of mirrored crops into maps of the crops.

    Args:
        maps: of the mirrored crops.
        skeleton: whose left and right change places.
        shift: move them one cell to the right, the first column kept, as the releases do (SHIFT_HEATMAP): a
            network whose stride is 4 sees a mirrored image three quarters of a cell off.
    """
    back = maps[:, list(skeleton.flip_permutation), :, ::-1].copy()
    if shift:
        back[..., 1:] = back[..., :-1].copy()
    return back


def peaks_of(maps: FloatArray, config: TopDownConfig | None = None) -> tuple[NDArray[np.float64], FloatArray]:
    """Return the place and height of every map's highest cell.

    Args:
        maps: float32 (m, n, h, w).
        config: says how the place is refined between the cells.

    Returns:
        ``(xy, heights)``: float64 (m, n, 2), px of the map, and float32 (m, n). Where nothing is above 0 the
        place is (0, 0), as in the releases.
    """
    config = config or TopDownConfig()
    m, n, height, width = maps.shape
    flat = maps.reshape(m, n, height * width)
    cell = flat.argmax(axis=2)
    heights = np.take_along_axis(flat, cell[..., None], axis=2)[..., 0]
    x, y = np.where(heights > 0, cell % width, 0), np.where(heights > 0, cell // width, 0)
    xy = np.stack([x, y], axis=-1).astype(np.float64)
    if config.decoding == "quarter":
        inside = (x > 1) & (x < width - 1) & (y > 1) & (y < height - 1)
        i, j = np.nonzero(inside)
        a, b = x[i, j], y[i, j]
        across = maps[i, j, b, a + 1] - maps[i, j, b, a - 1]
        down = maps[i, j, b + 1, a] - maps[i, j, b - 1, a]
        xy[i, j] += 0.25 * np.sign(np.stack([across, down], axis=1))
    else:
        inside = (x > 1) & (x < width - 2) & (y > 1) & (y < height - 2)
        for i, j in zip(*np.nonzero(inside), strict=True):
            xy[i, j] += _gaussian_offset(maps[i, j], x[i, j], y[i, j], config.dark_kernel)
    return xy, heights


def _gaussian_offset(heat: FloatArray, x: int, y: int, kernel: int) -> NDArray[np.float64]:
    """Return how far the peak of a Gaussian lies from its highest cell (DARK, eq. 4 to 9)."""
    smooth = cv2.GaussianBlur(heat, (kernel, kernel), 0, borderType=cv2.BORDER_CONSTANT).astype(np.float64)
    smooth *= heat.max() / max(smooth.max(), _TINY)
    log = np.log(np.maximum(smooth[y - 2 : y + 3, x - 2 : x + 3], _TINY))
    dx, dy = (log[2, 3] - log[2, 1]) / 2, (log[3, 2] - log[1, 2]) / 2
    dxx = (log[2, 4] - 2 * log[2, 2] + log[2, 0]) / 4
    dyy = (log[4, 2] - 2 * log[2, 2] + log[0, 2]) / 4
    dxy = (log[3, 3] - log[1, 3] - log[3, 1] + log[1, 1]) / 4
    hessian = np.array([[dxx, dxy], [dxy, dyy]])
    if abs(np.linalg.det(hessian)) < _TINY:
        return np.zeros(2)
    # A fit that leaves the cell's neighbourhood fitted noise.
    return np.clip(-np.linalg.solve(hessian, np.array([dx, dy])), -1.0, 1.0)


def decode_top_down(
    maps: FloatArray,
    crops: Crops,
    boxes: NDArray,
    box_scores: NDArray,
    config: TopDownConfig | None = None,
) -> Poses:
    """Return the people (COCO17) of one image, best first.

    A joint whose map is nowhere above 0 is absent. A person's score is the box's times the mean score of the
    joints above ``min_joint_score``. Joint scores are the maps' heights, at most 1.

    Args:
        maps: float32 (m, 17, h, w), one person each.
        crops: where they were cut out.
        boxes: (m, 4), continuous px.
        box_scores: (m,), in [0, 1].
        config: see :class:`TopDownConfig`.
    """
    config = config or TopDownConfig()
    if maps.ndim != 4 or maps.shape[1] != len(COCO17) or not len(maps) == len(boxes) == len(box_scores):
        raise ValueError(
            f"decode_top_down: expected maps of shape (people, {len(COCO17)}, h, w) and as many boxes and "
            f"scores, got {maps.shape}, {len(boxes)} and {len(box_scores)}"
        )
    if not len(maps):
        return Poses.nobody(COCO17)
    size_hw = int(maps.shape[2]), int(maps.shape[3])
    xy, heights = peaks_of(maps, config)
    scores = np.clip(heights, 0, 1).astype(np.float32)
    places = np.where(scores[..., None] > 0, crops.to_image(xy, size_hw), np.nan).astype(np.float32)
    counted = scores > config.min_joint_score
    mean = np.where(counted, scores, 0).sum(axis=1) / np.maximum(counted.sum(axis=1), 1)
    poses = Poses(
        COCO17,
        places,
        scores,
        (np.asarray(box_scores) * mean).astype(np.float32),
        (np.asarray(boxes, np.float64) - 0.5).astype(np.float32),  # integer = pixel centre from here on
        box_scores=np.asarray(box_scores, np.float32),
    )
    if config.oks_threshold >= 1:
        return poses.select(np.argsort(-poses.person_scores, kind="stable"))
    return suppress_by_oks(poses, config.oks_threshold, crops.sizes_px.prod(axis=1))


def mean_maps(maps: Sequence[FloatArray], factors: Sequence[float]) -> FloatArray:
    """Average the maps of crops of several sizes in the frame of the crop whose factor is 1.

    Args:
        maps: one (m, n, h, w) per factor.
        factors: how large each crop was; what a smaller crop did not see is left out of the mean there.
    """
    if len(maps) != len(factors) or not maps:
        raise ValueError(f"mean_maps: expected as many maps as factors, got {len(maps)} and {len(factors)}")
    m, n, height, width = maps[0].shape
    total, weight = np.zeros(maps[0].shape, np.float64), np.zeros((height, width))
    for some, factor in zip(maps, factors, strict=True):
        # map px of the reference to map px of the other crop, both about the middle
        matrix = np.array(
            [[1 / factor, 0, width / 2 * (1 - 1 / factor)], [0, 1 / factor, height / 2 * (1 - 1 / factor)]]
        )
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        seen = cv2.warpAffine(np.ones((height, width), np.float32), matrix, (width, height), flags=flags)
        weight += seen
        for i in range(m):
            for j in range(n):
                total[i, j] += (
                    some[i, j]
                    if factor == 1
                    else cv2.warpAffine(some[i, j], matrix, (width, height), flags=flags)
                )
    return np.asarray(total / np.maximum(weight, _TINY), np.float32)
