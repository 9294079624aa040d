"""What the pose networks should answer: keypoint maps and part affinity fields drawn from poses.

Maps cover the same rectangle as the source image, at their own resolution: the centre of cell i of h lies at
source coordinate ``(i + 0.5) H / h - 0.5``. :func:`orpose_core.decoding.paf.decode_paf` is the inverse.
Formulas: RTPose (Cao et al. 2017), eqs. 6 to 9; coordinates stay fractional, nothing is rounded to cells.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from orpose_core.skeleton import OPENPOSE18, Skeleton
from orpose_core.types import FloatArray, Poses, Visibility


@dataclass(frozen=True)
class TargetConfig:
    """The shape of the targets, in cells of the map.

    Attributes:
        keypoint_sigma_cells: standard deviation of a joint's Gaussian. RTPose trains with 7 px at stride 8.
        limb_width_cells: a cell belongs to a limb if it is at most this far from it (RTPose's release: 1).
    """

    keypoint_sigma_cells: float = 0.875
    limb_width_cells: float = 1.0

    def __post_init__(self) -> None:
        for name in ("keypoint_sigma_cells", "limb_width_cells"):
            if not getattr(self, name) > 0:
                raise ValueError(
                    f"TargetConfig.{name}: expected a positive number, got {getattr(self, name)}"
                )


class Targets(NamedTuple):
    """The answer for one image.

    Attributes:
        keypoint_maps: float32 (n + 1, h, w) in [0, 1], n joints: per joint the highest Gaussian of all
            people; last channel 1 minus the highest of all joints.
        paf_maps: float32 (2 l, h, w), l limbs: unit vectors along the limbs, averaged over the people
            whose limb of this kind covers the cell.
        mask: float32 (h, w): 1 where the answer is known, 0 where people are who have no labels.
        visibility_maps: float32 (n, h, w): around each joint, as far as its Gaussian reaches, 1 if the
            camera sees it and 0 if it is hidden; where several people's joints reach a cell, what holds for
            the highest of their Gaussians. 0 elsewhere, and everywhere for people without visibility.
    """

    keypoint_maps: FloatArray
    paf_maps: FloatArray
    mask: FloatArray
    visibility_maps: FloatArray


class Known(NamedTuple):
    """Where the answer for one image is known, map by map, for labels that leave joints out.

    A teacher gives no joint that it is unsure of, and neither do many annotators. Such a joint is somewhere
    on its person: "not here" would be a wrong answer. Its maps are unknown within the person's box, but where
    another joint or limb of the same kind is drawn.

    Attributes:
        keypoint_maps: float32 (n + 1, h, w): 1 = known, 0 = not.
        paf_maps: float32 (2 l, h, w): likewise.
    """

    keypoint_maps: FloatArray
    paf_maps: FloatArray


_BOX_MARGIN = 0.15
"""How much further than its box, in parts of the longer side, somebody's missing joint may be."""
_DRAWN = 0.05


def known_maps(
    targets: Targets, poses: Poses, source_hw: tuple[int, int], skeleton: Skeleton = OPENPOSE18
) -> Known:
    """Return where targets are known if the joints that ``poses`` lacks are unknown, not absent.

    Args:
        targets: drawn from the same poses; its ``mask`` holds, too.
        poses: the labelled people.
        source_hw: (height, width) of the image that the coordinates of ``poses`` belong to.
        skeleton: joints and limbs of the maps.
    """
    poses = poses.converted(skeleton)
    joints, limbs = np.ones_like(targets.keypoint_maps), np.ones_like(targets.paf_maps)
    for lacking, box in zip(poses.scores <= 0, poses.boxes_px, strict=True):
        rows, columns = _cells_of(_grown(box), source_hw, targets.mask.shape)
        unknown = np.append(lacking, lacking.any())
        joints[unknown, rows, columns] = 0.0
        for edge, channels in zip(skeleton.edges, skeleton.paf_channels, strict=True):
            if lacking[list(edge)].any():
                limbs[list(channels), rows, columns] = 0.0
    presence = targets.keypoint_maps.copy()
    presence[-1] = 1.0 - presence[-1]
    joints[presence > _DRAWN] = 1.0
    for channels in skeleton.paf_channels:
        drawn = np.abs(targets.paf_maps[list(channels)]).max(axis=0) > _DRAWN
        for channel in channels:
            limbs[channel, drawn] = 1.0
    return Known(joints * targets.mask, limbs * targets.mask)


def _grown(box_px: FloatArray) -> FloatArray:
    margin = _BOX_MARGIN * float(max(box_px[2] - box_px[0], box_px[3] - box_px[1]))
    return box_px + np.array([-margin, -margin, margin, margin], np.float32)


def _cells_of(box_px: FloatArray, source_hw: tuple[int, int], map_hw: tuple[int, ...]) -> tuple[slice, slice]:
    """Return the rows and columns of a map that a box of source px touches."""
    scale = np.array([map_hw[1] / source_hw[1], map_hw[0] / source_hw[0]], np.float32)
    (x1, y1), (x2, y2) = ((box_px.reshape(2, 2) + 0.5) * scale).tolist()
    rows = slice(max(0, math.floor(y1)), max(0, math.ceil(y2)))
    return rows, slice(max(0, math.floor(x1)), max(0, math.ceil(x2)))


def render_targets(
    poses: Poses,
    source_hw: tuple[int, int],
    map_hw: tuple[int, int],
    config: TargetConfig | None = None,
    ignore_boxes_px: NDArray | None = None,
    skeleton: Skeleton = OPENPOSE18,
) -> Targets:
    """Draw the targets of one image.

    Args:
        poses: the labelled people; joints of any skeleton that knows those of ``skeleton``. An absent joint
            is not drawn, nor are its limbs. Joints beyond the border are drawn as far as they reach in.
        source_hw: (height, width) of the image that the coordinates of ``poses`` belong to.
        map_hw: (height, width) of the maps.
        config: shapes; None = the defaults.
        ignore_boxes_px: float (k, 4) x1 y1 x2 y2 in source px: regions with people who have no labels.
        skeleton: joints and limbs of the maps.
    """
    config = config or TargetConfig()
    if min(*source_hw, *map_hw) <= 0:
        raise ValueError(f"render_targets: sizes must be positive, got source {source_hw}, maps {map_hw}")
    height, width = map_hw
    scale = np.array([width / source_hw[1], height / source_hw[0]], np.float32)
    poses = poses.converted(skeleton)
    xy_cells = (poses.xy_px + np.float32(0.5)) * scale - np.float32(0.5)
    seen = np.zeros(xy_cells.shape[:2], np.bool_)
    if poses.visibility is not None:
        seen = poses.visibility == Visibility.VISIBLE
    keypoint_maps = np.zeros((len(skeleton) + 1, height, width), np.float32)
    paf_maps = np.zeros((2 * len(skeleton.edges), height, width), np.float32)
    visibility_maps = np.zeros((len(skeleton), height, width), np.float32)
    _draw_keypoints(xy_cells, seen, config.keypoint_sigma_cells, keypoint_maps, visibility_maps)
    edges, channels = (
        np.array(pairs, np.int64).reshape(-1, 2) for pairs in (skeleton.edges, skeleton.paf_channels)
    )
    _draw_limbs(xy_cells, edges, channels, config.limb_width_cells, paf_maps)
    mask = np.ones(map_hw, np.float32)
    for box in np.asarray(() if ignore_boxes_px is None else ignore_boxes_px, np.float32).reshape(-1, 4):
        mask[_cells_of(box, source_hw, map_hw)] = 0.0
    return Targets(keypoint_maps, paf_maps, mask, visibility_maps)


def people_map(
    poses: Poses, source_hw: tuple[int, int], map_hw: tuple[int, int], skeleton: Skeleton = OPENPOSE18
) -> FloatArray:
    """Return whose joint is nearest to each cell: float32 (h, w), the person's index; -1 = there is none.

    Args:
        poses: the labelled people.
        source_hw: (height, width) of the image that the coordinates of ``poses`` belong to.
        map_hw: (height, width) of the map.
        skeleton: its joints count.
    """
    poses = poses.converted(skeleton)
    scale = np.array([map_hw[1] / source_hw[1], map_hw[0] / source_hw[0]], np.float32)
    x, y = np.moveaxis((poses.xy_px + np.float32(0.5)) * scale - np.float32(0.5), -1, 0)  # (m, n) each
    across = np.square(np.arange(map_hw[1]) - x[..., None])[:, :, None]  # (m, n, 1, w)
    down = np.square(np.arange(map_hw[0]) - y[..., None])[..., None]  # (m, n, h, 1)
    away = np.where(np.isnan(across + down), np.inf, across + down)
    if not np.isfinite(away).any():
        return np.full(map_hw, -1.0, np.float32)
    return away.min(axis=1).argmin(axis=0).astype(np.float32)


@numba.njit(cache=True, nogil=True)
def _window(low: float, high: float, size: int) -> tuple[int, int]:
    """First cell and one past the last cell whose centres lie in [low, high], cut to the map."""
    return max(0, math.ceil(low)), min(size, math.floor(high) + 1)


@numba.njit(cache=True, nogil=True)
def _draw_keypoints(
    xy_cells: FloatArray, seen: NDArray, sigma: float, maps: FloatArray, visibility_maps: FloatArray
) -> None:
    """Draw float (m, n, 2) into zeroed maps (n + 1, h, w); the last becomes the background.

    bool (m, n) ``seen`` goes into zeroed ``visibility_maps`` (n, h, w).
    """
    people, joints = xy_cells.shape[:2]
    height, width = maps.shape[1:]
    reach = 4.0 * sigma  # exp(-8) = 0.0003 is left out
    for j in range(joints):
        for p in range(people):
            x, y = xy_cells[p, j, 0], xy_cells[p, j, 1]
            if math.isnan(x) or math.isnan(y):
                continue
            if x < -reach or y < -reach or x > width + reach or y > height + reach:
                continue
            column0, column1 = _window(x - reach, x + reach, width)
            row0, row1 = _window(y - reach, y + reach, height)
            for row in range(row0, row1):
                for column in range(column0, column1):
                    distance2 = (row - y) ** 2 + (column - x) ** 2
                    value = math.exp(-distance2 / (2.0 * sigma * sigma))
                    if value > maps[j, row, column]:
                        maps[j, row, column] = value
                        visibility_maps[j, row, column] = seen[p, j]
    for row in range(height):
        for column in range(width):
            highest = 0.0
            for j in range(joints):
                highest = max(highest, maps[j, row, column])
            maps[joints, row, column] = 1.0 - highest


@numba.njit(cache=True, nogil=True)
def _draw_limbs(
    xy_cells: FloatArray, edges: NDArray, channels: NDArray, limb_width: float, maps: FloatArray
) -> None:
    """Draw the limbs of float (m, n, 2) into zeroed maps (2 limbs, h, w).

    A cell is covered if its distance to the segment is at most ``limb_width``. Measuring to the segment, not
    only across it, lets a limb shorter than a cell (eye to ear, seen from the ceiling) cover cells too.
    """
    height, width = maps.shape[1:]
    count = np.zeros((height, width), np.int32)
    for limb in range(len(edges)):
        a, b = edges[limb]
        cx, cy = channels[limb]
        count[:] = 0
        for p in range(len(xy_cells)):
            ax, ay, bx, by = xy_cells[p, a, 0], xy_cells[p, a, 1], xy_cells[p, b, 0], xy_cells[p, b, 1]
            length = math.sqrt((bx - ax) ** 2 + (by - ay) ** 2)
            if not length > 1e-6:  # NaN too
                continue
            ux, uy = (bx - ax) / length, (by - ay) / length
            column0, column1 = _window(
                max(min(ax, bx) - limb_width, -1.0), min(max(ax, bx) + limb_width, width), width
            )
            row0, row1 = _window(
                max(min(ay, by) - limb_width, -1.0), min(max(ay, by) + limb_width, height), height
            )
            for row in range(row0, row1):
                for column in range(column0, column1):
                    along = (column - ax) * ux + (row - ay) * uy
                    nearest = min(max(along, 0.0), length)
                    dx, dy = column - (ax + nearest * ux), row - (ay + nearest * uy)
                    if dx * dx + dy * dy <= limb_width * limb_width:
                        maps[cx, row, column] += ux
                        maps[cy, row, column] += uy
                        count[row, column] += 1
        for row in range(height):
            for column in range(width):
                if count[row, column] > 1:
                    maps[cx, row, column] /= count[row, column]
                    maps[cy, row, column] /= count[row, column]
