"""Conversion of a depth frame with poses to a training sample: input, targets and mask."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, cast

import numpy as np

from orpose_core.data.targets import TargetConfig, known_maps, people_map, render_targets
from orpose_core.image_ops import DEPTH_METHODS, DepthMethod, low_resolution_depth, normalise_depth
from orpose_core.models import MapConfig
from orpose_core.skeleton import OPENPOSE18, Skeleton, by_name
from orpose_core.training.augment.depth import AugmentConfig, augmented
from orpose_core.training.domain_streams import check_domains
from orpose_core.training.frame_cache import CacheConfig
from orpose_core.types import FloatArray, Poses, Visibility

SHRINK_METHODS: tuple[str, ...] = tuple(DEPTH_METHODS)

Sample = dict[str, np.ndarray]


@dataclass(frozen=True)
class DataConfig:
    """The training data. The defaults aim at robustness; the recipes of the paper override them.

    Attributes:
        source: ``"simulation"`` streams frames of the synthetic room without files; ``"folder"`` reads a
            folder of depth images.
        domains: domains of the simulation; one is drawn for each frame.
        domain_shares: relative frequency of each domain; empty = all equally often.
        render_hw: size of the frames before they are shrunk; for L_HR at least that of the super-resolved
            image, 8 times the input of DepthPose.
        crowd: number of additional people per simulated room, so that each image shows more people.
        domain_crowds: ``crowd`` for each domain; empty = the same in all of them.
        varied_builds: share of the simulated people, 0 to 1, whose proportions are beyond those of average
            adults.
        crop_hw: (height, width) in px of the network's input, of a window that is cropped from each sample,
            usually around a person; None = whole images. Most of an image shows nobody but costs as much.
        shrink_methods: methods of shrinking frames, one drawn for each frame, so that the network does not
            depend on the method of the gateway.
        seed: seed of the simulation and of the augmentation.
        augment: settings of the augmentation.
        min_visible_joints: people with fewer visible joints of the network's are masked: they do not
            contribute to the loss.
        folder: for ``"folder"``: the folder to which ``file_name`` in the label file is relative, with 16-bit
            depth PNGs in millimeters.
        labels: for ``"folder"``: a COCO-style label file, manual or from a detector on color (Sect. 2.2).
        person_score: for ``"folder"``: people with a lower score are masked; None = the threshold in the
            label file (``info.thresholds``), or 0.7 (DepthPose Sect. 3).
        joint_score: for ``"folder"``: joints at or below this score are absent; None = the threshold in the
            label file, or 0.35.
        min_joints: for ``"folder"``: people with fewer joints are masked; None = the threshold in the label
            file, or 4.
        absent_joints: meaning of a joint that is missing in a label, for the cells of its person: it is in
            none of them (``"background"``), or its place is unknown (``"unknown"``). None = unknown for
            ``"folder"``, because teachers and annotators leave out uncertain joints, and background for
            ``"simulation"``, whose labels are complete. The same applies to joints that the augmentation
            moved out of the image.
        replay: for ``"folder"``: share of the samples that are synthetic frames of ``domains`` instead, so
            that a network that was trained on such frames does not forget them.
        people_maps: whether samples say whose each cell is (``people`` of :class:`SampleMaker`).
        balanced: for ``"folder"``: use images with one, two, three and four or more people equally often.
        target: settings of the target maps.
        cache: whether simulated frames are rendered once and kept.
    """

    source: Literal["simulation", "folder"] = "simulation"
    domains: tuple[str, ...] = ("or", "general")
    domain_shares: tuple[float, ...] = ()
    render_hw: tuple[int, int] = (384, 512)
    crowd: int = 0
    domain_crowds: tuple[int, ...] = ()
    varied_builds: float = 0.0
    crop_hw: tuple[int, int] | None = None
    shrink_methods: tuple[str, ...] = SHRINK_METHODS
    seed: int = 1
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    min_visible_joints: int = 5
    folder: Path | None = None
    labels: Path | None = None
    person_score: float | None = None
    joint_score: float | None = None
    min_joints: int | None = None
    absent_joints: Literal["background", "unknown"] | None = None
    replay: float = 0.0
    people_maps: bool = False
    balanced: bool = True
    target: TargetConfig = field(default_factory=TargetConfig)
    cache: CacheConfig = field(default_factory=CacheConfig)

    def __post_init__(self) -> None:
        unknown = set(self.shrink_methods) - set(SHRINK_METHODS)
        if unknown or not self.shrink_methods:
            raise ValueError(
                f"data.shrink_methods: expected some of {SHRINK_METHODS}, got {self.shrink_methods}"
            )
        check_domains(self.domains, self.domain_shares)
        if self.domain_crowds and len(self.domain_crowds) != len(self.domains):
            raise ValueError(
                f"data.domain_crowds: expected one for each of {self.domains}, got {self.domain_crowds}"
            )
        if not 0 <= self.varied_builds <= 1:
            raise ValueError(f"data.varied_builds: expected a number in [0, 1], got {self.varied_builds}")
        if self.source == "folder" and (self.folder is None or self.labels is None):
            raise ValueError("data.source: 'folder' needs data.folder and data.labels")
        if self.absent_joints not in (None, "background", "unknown"):
            raise ValueError(
                f"data.absent_joints: expected 'background' or 'unknown', got {self.absent_joints!r}"
            )
        if not 0 <= self.replay < 1:
            raise ValueError(f"data.replay: expected a number in [0, 1), got {self.replay}")
        if self.replay and self.source != "folder":
            raise ValueError("data.replay: only for data.source 'folder'; a simulation replays itself")

    @property
    def absent_is_unknown(self) -> bool:
        """Whether the place of a joint that is missing in a label counts as unknown."""
        return (self.absent_joints or ("unknown" if self.source == "folder" else "background")) == "unknown"


@dataclass(frozen=True)
class LabelledFrame:
    """A depth frame and the labels of its people.

    Attributes:
        depth_m: float32 (H, W), metres, NaN = no return.
        poses: the people to be found, px of the frame.
        ignored_px: float32 (k, 4), boxes x1 y1 x2 y2 of people without a reliable label, px.
    """

    depth_m: FloatArray
    poses: Poses
    ignored_px: FloatArray


class SampleMaker:
    """Converts frames to training samples for one network.

    A sample has ``image`` float32 (1, h, w) in [0, 1], ``paf_maps`` (2 l, h', w') of l limbs,
    ``keypoint_maps`` (n + 1, h', w') of n joints and ``mask`` (1, h', w'), 0 where people have no labels.
    For a network whose super-resolved image is trained, it also has ``high_resolution`` float32 (1, H, W) in
    [0, 1]. For a network that predicts visibility, it has ``visibility_maps`` (n, h', w') of
    :class:`orpose_core.data.targets.Targets` and ``knows_visibility`` (1, h', w'), 0 where the labels do not
    contain it. If absent joints are unknown, ``known_keypoints`` and ``known_pafs`` of
    :class:`orpose_core.data.targets.Known` replace the mask. With ``data.people_maps`` it has ``people``
    (1, h', w'), the index of the person whose joint is nearest; -1 = nobody's, and everywhere in synthetic
    frames, whose labels nobody doubts.
    """

    def __init__(self, data: DataConfig, model: MapConfig) -> None:
        self.data, self.model = data, model
        self.skeleton = by_name(model.skeleton)

    def __call__(self, frame: LabelledFrame, rng: np.random.Generator) -> Sample:
        """Return the sample of a frame, augmented with random numbers from ``rng``."""
        everyone, ignored = with_ignored(frame)
        depth_m, everyone = augmented(frame.depth_m, everyone, rng, self.data.augment)
        poses, boxes = everyone.select(~ignored), everyone.boxes_px[ignored]
        method = self.data.shrink_methods[int(rng.integers(len(self.data.shrink_methods)))]
        height, width = depth_m.shape
        map_hw, skeleton = self.model.map_hw, self.skeleton
        targets = render_targets(poses, (height, width), map_hw, self.data.target, boxes, skeleton)
        sample = {
            "image": network_input(depth_m, self.model, method),
            "paf_maps": targets.paf_maps,
            "keypoint_maps": targets.keypoint_maps,
            "mask": targets.mask[None],
        }
        if self.data.absent_is_unknown:
            known = known_maps(targets, poses, (height, width), skeleton)
            sample |= {"known_keypoints": known.keypoint_maps, "known_pafs": known.paf_maps}
        if self.data.people_maps:
            sample["people"] = np.full((1, *map_hw), -1.0, np.float32)
            if self.data.source == "folder":
                sample["people"][0] = people_map(poses, (height, width), map_hw, skeleton)
        if self.model.gives_sr_image:
            sample["high_resolution"] = true_sr_image(depth_m, self.model)
        if self.model.gives_visibility:
            sample["visibility_maps"] = targets.visibility_maps
            knows = poses.visibility is not None
            sample["knows_visibility"] = np.full((1, *map_hw), knows, np.float32)
        if self.data.crop_hw is None:
            return sample
        centres = (poses.boxes_px.reshape(-1, 2, 2).mean(axis=1)[:, ::-1] + 0.5) / (height, width)
        return cropped(sample, self.data.crop_hw, centres, rng)


_AROUND_SOMEBODY = 0.85


def grid_of(sample: Sample) -> tuple[int, int]:
    """Return the finest grid (rows, columns) into which all arrays of a sample can be divided."""
    heights, widths = zip(*(value.shape[-2:] for value in sample.values()), strict=True)
    return math.gcd(*heights), math.gcd(*widths)


def crop_corner(
    centres: np.ndarray, grid: tuple[int, int], crop: tuple[int, int], rng: np.random.Generator
) -> tuple[int, int]:
    """Draw the upper left corner (row, column) of a window: usually around a person, otherwise anywhere.

    Args:
        centres: float (m, 2), centres of the people, as shares (y, x) of the size of the image.
        grid: (rows, columns) of the image.
        crop: (rows, columns) of the window, at most those of the image.
        rng: random generator.
    """
    room = np.subtract(grid, crop)
    anywhere = rng.integers(0, room + 1)
    somebody = int(rng.integers(max(len(centres), 1)))
    chance, jitter = rng.uniform(), rng.uniform(-0.3, 0.3, 2)
    if not len(centres) or chance > _AROUND_SOMEBODY:
        row, column = anywhere.tolist()
        return row, column
    corner = np.rint(centres[somebody] * grid + (jitter - 0.5) * crop).astype(int)
    row, column = np.clip(corner, 0, room).tolist()
    return row, column


def cropped(
    sample: Sample, crop_hw: tuple[int, int], centres: np.ndarray, rng: np.random.Generator
) -> Sample:
    """Return a window of a sample: the same part of the image, of the maps and of the high-resolution image.

    Args:
        sample: see :class:`SampleMaker`.
        crop_hw: (height, width) of the window, px of ``image``.
        centres: see :func:`crop_corner`.
        rng: random generator.

    Raises:
        ValueError: the window is larger than the image, or ends within a cell of a map.
    """
    size_hw, grid = sample["image"].shape[-2:], grid_of(sample)
    cells = [crop * n / size for crop, n, size in zip(crop_hw, grid, size_hw, strict=True)]
    if any(c != int(c) or not 1 <= c <= n for c, n in zip(cells, grid, strict=True)):
        steps = tuple(size // n for size, n in zip(size_hw, grid, strict=True))
        raise ValueError(
            f"data.crop_hw: expected multiples of {steps} up to {size_hw} for this network, got {crop_hw}"
        )
    rows, columns = int(cells[0]), int(cells[1])
    row, column = crop_corner(centres, grid, (rows, columns), rng)
    window = {}
    for name, value in sample.items():
        v, h = value.shape[-2] // grid[0], value.shape[-1] // grid[1]
        part = value[..., row * v : (row + rows) * v, column * h : (column + columns) * h]
        window[name] = np.ascontiguousarray(part)
    return window


def network_input(depth_m: FloatArray, model: MapConfig, method: str) -> FloatArray:
    """Return the input of the network for a frame, float32 (1, h, w) in [0, 1], 0 = no return.

    Args:
        depth_m: float32 (H, W), metres, NaN = no return.
        model: config of the network, for its input size and depth range.
        method: method of shrinking. A frame of the input's size is not changed.
    """
    if depth_m.shape != model.input_hw:
        depth_m = low_resolution_depth(depth_m, model.input_hw, cast(DepthMethod, method))
    return (normalise_depth(depth_m, model.depth_range_m) / np.float32(255))[None]


def true_sr_image(depth_m: FloatArray, model: MapConfig) -> FloatArray:
    """Return the true image of L_HR, at the size of the super-resolved one.

    Args:
        depth_m: float32 (H, W), metres, NaN = no return. A frame that is larger than the super-resolved image
            is averaged down to it.
        model: config of the network, for its input size (h, w) and depth range.

    Returns:
        float32 (1, H, W) of the super-resolved image's size in [0, 1], 0 = no return.

    Raises:
        ValueError: the frame is smaller than the super-resolved image. A comparison at a smaller size would
            leave the last pixel shuffle untrained.
    """
    if any(n < wanted for n, wanted in zip(depth_m.shape, model.sr_hw, strict=True)):
        raise ValueError(
            f"L_HR: expected frames of at least {model.sr_hw}, {model.sr_scale} times the input "
            f"{model.input_hw}, got "
            f"{depth_m.shape}; give larger frames (data.render_hw, or recordings whose full-size depth was "
            "kept), or set loss.hr_weight to 0"
        )
    if depth_m.shape != model.sr_hw:
        depth_m = low_resolution_depth(depth_m, model.sr_hw, "area")
    return (normalise_depth(depth_m, model.depth_range_m) / np.float32(255))[None]


def with_ignored(frame: LabelledFrame) -> tuple[Poses, np.ndarray]:
    """Return all people and bool (m,), which of them are to be ignored; these have no joints.

    The boxes of ignored people are thus augmented together with the others.
    """
    poses, boxes = frame.poses, frame.ignored_px
    m, k, n = len(poses), len(boxes), len(poses.skeleton)
    everyone = Poses(
        poses.skeleton,
        np.concatenate([poses.xy_px, np.full((k, n, 2), np.nan, np.float32)]),
        np.concatenate([poses.scores, np.zeros((k, n), np.float32)]),
        np.ones(m + k, np.float32),
        np.concatenate([poses.boxes_px, boxes.astype(np.float32)]),
        visibility=None
        if poses.visibility is None
        else np.concatenate([poses.visibility, np.full((k, n), Visibility.ABSENT, np.uint8)]),
    )
    return everyone, np.arange(m + k) >= m


def trusted(poses: Poses, min_visible: int, skeleton: Skeleton = OPENPOSE18) -> np.ndarray:
    """Return bool (m,): whether enough joints of a person are visible to train on the person."""
    visibility = poses.converted(skeleton).visibility
    if visibility is None:
        return np.ones(len(poses), bool)
    return (visibility == Visibility.VISIBLE).sum(axis=1) >= min(min_visible, len(skeleton))
