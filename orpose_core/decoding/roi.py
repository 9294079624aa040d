"""From the student's boxes and keypoint maps to people, in 2D and 3D (ORPose Sect. 2.3, "Inference").

The network's px are continuous (pixel i covers [i, i + 1]); those of :class:`Poses` are not (integer = pixel
centre). The half pixel between them is taken off here, at the very end, and nowhere else.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from orpose_core.decoding.oks_nms import suppress_by_oks
from orpose_core.decoding.roi_peaks import highest_resampled
from orpose_core.models.student.config import Place
from orpose_core.skeleton import BODY24, COCO17, H36M17, Skeleton, by_name, convert_joints, joint_rules
from orpose_core.types import Poses, Source3D

if TYPE_CHECKING:  # it imports torchvision, which takes as long as torch
    from orpose_core.models.student.network import Student, StudentOutput

LIFTER_INPUT = tuple(j for j in H36M17.joints if j != "thorax")
"""The 16 joints that the released lifters read. Human3.6M's own set leaves out the nose instead: the released
network is fed the mean of the ears where the statistics speak of the thorax. It was trained so."""

LIFTER_OUTPUT = tuple(j for j in H36M17.joints if j != "pelvis")
"""The 16 joints that they give, relative to the pelvis."""

SHARPENING = 3.0
"""Of a map whose mean is its joint: the network is trained to spread its logits by its doubt, and the doubt's
far tails would pull the mean to the middle of the box."""

_LEAST_SCORE = 1e-6
"""A joint is always somewhere in its box; 0 would say that it is absent."""


@dataclass(frozen=True)
class RoiDecoderConfig:
    """How the student's output becomes people.

    Attributes:
        skeleton: joints wanted: ``"body24"`` has all joints that 2D (COCO) and 3D (Human3.6M) have between
            them, and converts to either without loss.
        person_score: ``"box"`` is the probability of the box, as the released evaluation ranks people;
            ``"box_times_keypoints"`` multiplies it by the mean keypoint score.
        min_person_score: people below are left out, by the score of their box.
        min_keypoint_score: joints below are absent. 0 keeps all 17, as the paper does.
        min_mean_keypoint_score: people whose 17 keypoints have a lower mean score are left out: in a thing
            that looks like somebody no joint stands out. 0 keeps all, as the paper does.
        oks_nms: people as similar as this to a better one are the same person; None relies on the boxes'
            suppression, as the paper does.
    """

    skeleton: str = "body24"
    person_score: Literal["box", "box_times_keypoints"] = "box"
    min_person_score: float = 0.05
    min_keypoint_score: float = 0.0
    min_mean_keypoint_score: float = 0.0
    oks_nms: float | None = None

    def __post_init__(self) -> None:
        by_name(self.skeleton)
        if self.person_score not in ("box", "box_times_keypoints"):
            raise ValueError(
                f"RoiDecoderConfig.person_score: expected 'box' or 'box_times_keypoints', "
                f"got {self.person_score!r}"
            )
        scores = "min_person_score", "min_keypoint_score", "min_mean_keypoint_score"
        for name in (*scores, "oks_nms"):
            value = getattr(self, name)
            if value is not None and not 0 <= value <= 1:
                raise ValueError(f"RoiDecoderConfig.{name}: expected a number in [0, 1], got {value}")


def heatmaps_to_keypoints(maps: Tensor, boxes: Tensor, place: Place = "peak") -> Tensor:
    """Return where each map says that its joint is.

    Args:
        maps: float32 (R, K, S, S), logits.
        boxes: float32 (R, 4), continuous px.
        place: ``"peak"`` is detectron2's convention: the map is resampled (bicubic) to one value per px of
            its box, rounded up; the highest is the joint. ``"mean"`` is the expectation (Sun et al. 2018) of
            the map read as a distribution and sharpened, softmax(:data:`SHARPENING` * logits): it moves as
            little as the map does.

    Returns:
        float32 (R, K, 3): x and y in continuous px, and the score: how far the joint stands out among the
        cells of the map, 1 / sum(exp(logit - highest)), about 1 for a sharp peak, 1 / S^2 for a flat map.
    """
    sizes = (boxes[:, 2:] - boxes[:, :2]).clamp(min=1)
    if place == "mean":
        p = functional.softmax(SHARPENING * maps.flatten(2), dim=2).view(maps.shape)
        cells = torch.arange(maps.shape[-1], dtype=maps.dtype, device=maps.device) + 0.5
        mean = torch.stack([(p.sum(dim=-2) * cells).sum(dim=-1), (p.sum(dim=-1) * cells).sum(dim=-1)], dim=-1)
        xy, highest = mean * (sizes / maps.shape[-1])[:, None] + boxes[:, None, :2], maps.amax(dim=(2, 3))
    else:
        grids = sizes.ceil()
        found = torch.from_numpy(
            highest_resampled(
                np.ascontiguousarray(maps.detach().cpu().numpy(), np.float32),
                np.ascontiguousarray(grids.flip(1).cpu().numpy(), np.int64),
            )
        ).to(maps)  # (R, K, 3): column, row, value
        xy, highest = (found[..., :2] + 0.5) * (sizes / grids)[:, None] + boxes[:, None, :2], found[..., 2]
    score = 1.0 / torch.exp(maps - highest[..., None, None]).sum(dim=(2, 3))
    return torch.cat([xy, score[..., None]], dim=2)


def map_spread(maps: Tensor, boxes: Tensor) -> Tensor:
    """Return the standard deviation along one axis, float (R, K), px, of the maps read as distributions."""
    side = maps.shape[-1]
    p = functional.softmax(maps.flatten(2), dim=2).view(maps.shape)  # (R, K, S, S)
    cell = torch.arange(side, dtype=maps.dtype, device=maps.device)
    scale = (boxes[:, 2:] - boxes[:, :2]) / side  # (R, 2), px per cell
    variances = []
    for axis, s in ((-2, scale[:, 0]), (-1, scale[:, 1])):
        q = p.sum(dim=axis)  # (R, K, S), along x, then along y
        mean = (q * cell).sum(dim=-1, keepdim=True)
        variances.append((q * (cell - mean) ** 2).sum(dim=-1) * s[:, None] ** 2)
    return torch.sqrt((variances[0] + variances[1]) / 2)


@lru_cache(maxsize=4)
def _averages(source: Skeleton, joints: tuple[str, ...], target: Skeleton) -> NDArray[np.float32]:
    """Return the matrix (joints, n_source) that averages present joints into those of ``target``."""
    matrix = np.zeros((len(joints), len(source)), np.float32)
    for row, joint in enumerate(joints):
        parents = list(joint_rules(source, target)[target.index(joint)][0])
        matrix[row, parents] = 1.0 / len(parents)
    return matrix


def lifter_input(coco_px: Tensor) -> Tensor:
    """Return the joints (R, 16, 2) that the lifters read, of COCO keypoints (R, 17, 2); any unit."""
    matrix = torch.from_numpy(_averages(COCO17, LIFTER_INPUT, H36M17)).to(coco_px)
    return torch.einsum("jk,rkc->rjc", matrix, coco_px)


def _mirror_order(joints: tuple[str, ...]) -> list[int]:
    swap = {"left_": "right_", "right_": "left_"}
    mirrored = [next((b + j.removeprefix(a) for a, b in swap.items() if j.startswith(a)), j) for j in joints]
    return [joints.index(j) for j in mirrored]


@torch.inference_mode()
def lift_keypoints(model: Student, output: StudentOutput, flip_test: bool = False) -> Tensor:
    """Return the 3D joints float32 (R, 16, 3) of :data:`LIFTER_OUTPUT`, metres, relative to the root.

    Each branch's keypoints go through its own lifter and the results are averaged.

    Args:
        model: whose lifters to use.
        output: what it found.
        flip_test: average with the mirrored joints' result, mirrored back, so that mirroring the people
            mirrors the result.
    """
    place = model.config.keypoint_place
    soft = heatmaps_to_keypoints(output.maps.soft, output.boxes, place)[..., :2]
    single = output.maps.soft is output.maps.hard
    hard = soft if single else heatmaps_to_keypoints(output.maps.hard, output.boxes, place)[..., :2]
    (height, width), (lifter_height, lifter_width) = output.image_hw, model.config.lifter_hw
    scale = soft.new_tensor([lifter_width / width, lifter_height / height])
    soft_px, hard_px = lifter_input(soft * scale), lifter_input(hard * scale)  # (R, 16, 2)
    joints = model.lift(soft_px, hard_px)  # (R, 16, 3)
    if flip_test:
        order = _mirror_order(LIFTER_INPUT)
        sign, shift = soft.new_tensor([-1.0, 1.0]), soft.new_tensor([lifter_width, 0.0])
        mirrored = model.lift((soft_px * sign + shift)[:, order], (hard_px * sign + shift)[:, order])
        back = mirrored[:, _mirror_order(LIFTER_OUTPUT)] * soft.new_tensor([-1.0, 1.0, 1.0])
        joints = (joints + back) / 2.0
    return joints


def decode_roi(
    model: Student,
    output: StudentOutput,
    source_hw: Sequence[tuple[int, int]],
    config: RoiDecoderConfig | None = None,
    flip_test: bool = False,
) -> list[Poses]:
    """Return the people of each image of a batch.

    Args:
        model: whose lifters turn 2D into 3D.
        output: what it found.
        source_hw: (height, width) of each image, in whose px the poses are wanted.
        config: see :class:`RoiDecoderConfig`.
        flip_test: see :func:`lift_keypoints`.

    Returns:
        for each image, its people, best first: ``xy_px``, ``boxes_px`` (integer = pixel centre), ``scores``,
        ``sigma_px`` of the network's own joints, and ``xyz_root_m`` where the lifters give the joint.
    """
    config = config or RoiDecoderConfig()
    if output.boxes.shape[0] == 0:
        return [_nobody(by_name(config.skeleton)) for _ in output.counts]
    with torch.inference_mode():
        keypoints = heatmaps_to_keypoints(output.maps.mean, output.boxes, model.config.keypoint_place)
        sigma = map_spread(output.maps.mean, output.boxes)
        xyz = lift_keypoints(model, output, flip_test)
    height, width = output.image_hw
    per_image = np.array([(w / width, h / height) for h, w in source_hw], np.float32)
    scale = np.repeat(per_image, output.counts, axis=0)  # (R, 2)
    found = keypoints.float().cpu().numpy()
    poses = _poses(
        found[..., :2] * scale[:, None] - np.float32(0.5),
        np.clip(found[..., 2], _LEAST_SCORE, 1.0),
        output.scores.float().cpu().numpy(),
        output.boxes.float().cpu().numpy() * np.tile(scale, 2) - np.float32(0.5),
        sigma.float().cpu().numpy() * np.sqrt(scale.prod(axis=1, keepdims=True)),
        xyz.float().cpu().numpy(),
        config,
    )
    ends = np.cumsum(output.counts)
    clear = np.clip(found[..., 2], _LEAST_SCORE, 1.0).mean(axis=1) >= config.min_mean_keypoint_score
    rows = [np.arange(e - n, e) for e, n in zip(ends, output.counts, strict=True)]
    people = [poses.select(own[clear[own]]) for own in rows]
    return [_ranked(p, config) for p in people]


def _nobody(skeleton: Skeleton) -> Poses:
    """Return nobody, with the optional values that :func:`decode_roi` fills for people."""
    n = len(skeleton)
    return _filled(Poses.nobody(skeleton), np.zeros((0, n, 3), np.float32), np.zeros((0, n), np.float32))


def _filled(poses: Poses, xyz_root_m: NDArray[np.float32], sigma_px: NDArray[np.float32]) -> Poses:
    source = np.where(np.isnan(xyz_root_m).any(axis=-1), Source3D.NONE, Source3D.LIFTED).astype(np.uint8)
    return Poses(
        poses.skeleton,
        poses.xy_px,
        poses.scores,
        poses.person_scores,
        poses.boxes_px,
        xyz_root_m=xyz_root_m,
        sigma_px=sigma_px,
        source_3d=source,
    )


def _poses(
    xy_px: NDArray[np.float32],
    scores: NDArray[np.float32],
    person_scores: NDArray[np.float32],
    boxes_px: NDArray[np.float32],
    sigma_px: NDArray[np.float32],
    xyz_m: NDArray[np.float32],
    config: RoiDecoderConfig,
) -> Poses:
    """Return all people as one: COCO's joints and Human3.6M's, in the skeleton wanted."""
    if config.person_score == "box_times_keypoints":
        person_scores = person_scores * scores.mean(axis=1)
    absent = scores < config.min_keypoint_score
    xy_px = np.where(absent[..., None], np.nan, xy_px).astype(np.float32)
    scores = np.where(absent, 0, scores).astype(np.float32)
    sigma_px = np.where(absent, np.nan, sigma_px).astype(np.float32)
    two_d = Poses(
        COCO17,
        xy_px,
        scores,
        np.asarray(person_scores, np.float32),
        boxes_px.astype(np.float32),
        sigma_px=sigma_px,
    )
    target = by_name(config.skeleton)
    whole = two_d.converted(BODY24).converted(target)
    xyz = np.concatenate([np.zeros((len(xyz_m), 1, 3), np.float32), xyz_m], axis=1)  # the root first
    xyz_root_m, _ = convert_joints(xyz, np.ones(xyz.shape[:2], np.float32), H36M17, target)
    assert whole.sigma_px is not None
    return _filled(whole, xyz_root_m, whole.sigma_px)


def _ranked(poses: Poses, config: RoiDecoderConfig) -> Poses:
    """Return the people best first, those too weak or the same as a better one left out."""
    poses = poses.select(np.argsort(-poses.person_scores, kind="stable"))
    poses = poses.select(poses.person_scores >= config.min_person_score) if config.min_person_score else poses
    return poses if config.oks_nms is None else suppress_by_oks(poses, config.oks_nms)
