"""MoveNet as the teacher's first two stages: MultiPose finds people, Thunder finds the joints of each.

MultiPose processes the image at several sizes and optionally mirrored. Thunder processes a square crop around
each person, and its mirror image. Thunder joints far from those of MultiPose may belong to a
neighbor. Their scores are lowered, so that they are not part of the hard set.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import cv2
import numpy as np
import torch
from torch import Tensor
from torchvision.ops import nms

from orpose_core.checkpoints.movenet.files import load_movenet
from orpose_core.decoding.movenet import MoveNetPeople, decode_multipose, decode_single
from orpose_core.decoding.oks_nms import suppress_by_oks
from orpose_core.decoding.top_down import Crops, crops_of
from orpose_core.models.movenet import MULTIPLE, MoveNet
from orpose_core.skeleton import COCO17
from orpose_core.teacher.stages import PersonBoxes, PersonThresholds, StageInfo
from orpose_core.types import Float64Array, Picture, Poses

_FLIP = np.array(COCO17.flip_permutation)
_CROP = 256


@dataclass(frozen=True)
class MultiPoseConfig:
    """Settings of MultiPose.

    Attributes:
        sides: lengths of the longer image side, px, that are evaluated.
        flip: also evaluate the mirrored image.
        sure_score: people of this score or more are labelled. MoveNet's scores are low.
        min_score: people below are left out. Those between ``min_score`` and ``sure_score`` are regions to
            ignore: 0.12 finds more people in views from the ceiling, and more false positives.
        merge_iou: boxes of several passes that overlap by more are one person.
        most_people: highest number of people per image and pass.
    """

    sides: tuple[int, ...] = (256, 384)
    flip: bool = False
    sure_score: float = 0.25
    min_score: float = 0.12
    merge_iou: float = 0.6
    most_people: int = 20

    def __post_init__(self) -> None:
        if not self.sides or min(self.sides) < MULTIPLE:
            raise ValueError(
                f"MultiPoseConfig.sides: expected sides of {MULTIPLE} px or more, got {self.sides}"
            )
        for name in ("sure_score", "min_score", "merge_iou"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"MultiPoseConfig.{name}: expected 0 to 1, got {getattr(self, name)}")
        if self.most_people < 1:
            raise ValueError(f"MultiPoseConfig.most_people: expected 1 or more, got {self.most_people}")


@dataclass(frozen=True)
class ThunderConfig:
    """Settings of Thunder.

    Attributes:
        flip: average with the mirrored crop.
        padding: the crop is this many times as large as the longer side of the box.
        agreement: how far a joint may be from MultiPose's, as a share of the crop's side, to keep its score.
        disagreeing: factor on the scores of joints that are farther away.
        oks_threshold: people more similar than this to a better one are left out.
        batch: crops at once.
    """

    flip: bool = True
    padding: float = 1.25
    agreement: float = 0.1
    disagreeing: float = 0.5
    oks_threshold: float = 0.9
    batch: int = 8

    def __post_init__(self) -> None:
        if not self.padding > 0 or self.batch < 1:
            raise ValueError(
                f"ThunderConfig: expected a padding above 0 and a batch of 1 or more, got {self}"
            )
        for name in ("agreement", "disagreeing", "oks_threshold"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"ThunderConfig.{name}: expected 0 to 1, got {getattr(self, name)}")


class MultiPoseDetector:
    """Finds people, and roughly their joints.

    Args:
        model: a MoveNet with boxes, in evaluation mode.
        sha256: of its weights.
        trained: False for random weights.
        config: how it looks.
        device: where it computes.
    """

    def __init__(
        self,
        model: MoveNet,
        sha256: str,
        trained: bool = True,
        config: MultiPoseConfig | None = None,
        device: str = "cpu",
    ) -> None:
        self.config = config or MultiPoseConfig()
        self._model = model.eval().to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._device = device
        settings = asdict(self.config) | {"sides": list(self.config.sides)}
        self._info = StageInfo("movenet_multipose", sha256, trained, settings)

    @property
    def info(self) -> StageInfo:
        """What it is made of."""
        return self._info

    @property
    def thresholds(self) -> PersonThresholds:
        """What its scores mean."""
        return PersonThresholds(max(self.config.sure_score, self.config.min_score), self.config.min_score)

    def detect(self, images: Sequence[Picture]) -> list[PersonBoxes]:
        """Return the people in each image, best first, with MultiPose's joints as hints."""
        return [self._detect_one(image) for image in images]

    def _detect_one(self, image: Picture) -> PersonBoxes:
        looks = [self._look(image, side, False) for side in self.config.sides]
        if self.config.flip:
            looks += [self._look(image, side, True) for side in self.config.sides]
        boxes = np.concatenate([look.boxes_px for look in looks])
        scores = np.concatenate([look.person_scores for look in looks])
        joints = np.concatenate([look.xy_px for look in looks])
        joint_scores = np.concatenate([look.scores for look in looks])
        height, width = image.shape[:2]
        boxes = np.clip(boxes, 0, [width, height, width, height])
        sides = boxes[:, 2:] - boxes[:, :2]
        sure = np.flatnonzero((scores >= self.config.min_score) & (sides > 1).all(axis=1))
        kept = nms(torch.from_numpy(boxes[sure]), torch.from_numpy(scores[sure]), self.config.merge_iou)
        chosen = sure[kept.numpy()]
        hints = np.concatenate([joints[chosen] - 0.5, joint_scores[chosen][..., None]], axis=-1)
        return PersonBoxes(boxes[chosen], scores[chosen], hints)

    @torch.inference_mode()
    def _look(self, image: Picture, side: int, mirrored: bool) -> MoveNetPeople:
        """Return the people seen at one size, px of the image from its corner."""
        height, width = image.shape[:2]
        scale = side / max(height, width)
        h, w = max(1, round(height * scale)), max(1, round(width * scale))
        method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
        small = cv2.resize(image, (w, h), interpolation=method)
        padded = np.zeros((-(-h // MULTIPLE) * MULTIPLE, -(-w // MULTIPLE) * MULTIPLE, 3), np.uint8)
        padded[:h, :w] = small[:, ::-1] if mirrored else small
        maps = self._model(_tensor(padded[None]).to(self._device))
        maps = type(maps)(*(None if m is None else m.float().cpu() for m in maps))
        (people,) = decode_multipose(maps, self.config.most_people)
        to_image = np.array([width / w, height / h])
        xy, boxes = people.xy_px * to_image, people.boxes_px * np.tile(to_image, 2)
        scores = people.scores
        if mirrored:
            xy, scores = xy[:, _FLIP], scores[:, _FLIP]
            xy[..., 0] = width - xy[..., 0]
            boxes[:, [0, 2]] = width - boxes[:, [2, 0]]
        return MoveNetPeople(xy, scores, boxes, people.person_scores)


class ThunderKeypoints:
    """Finds the joints of people whose boxes are known.

    Args:
        model: a MoveNet without boxes, in evaluation mode.
        sha256: of its weights.
        trained: False for random weights.
        config: how it looks.
        device: where it computes.
    """

    def __init__(
        self,
        model: MoveNet,
        sha256: str,
        trained: bool = True,
        config: ThunderConfig | None = None,
        device: str = "cpu",
    ) -> None:
        self.config = config or ThunderConfig()
        self._model = model.eval().to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._device = device
        self._info = StageInfo("movenet_thunder", sha256, trained, asdict(self.config))

    @property
    def info(self) -> StageInfo:
        """What it is made of."""
        return self._info

    def keypoints(self, images: Sequence[Picture], people: Sequence[PersonBoxes]) -> list[Poses]:
        """Return the COCO17 poses of the people in each image, best first; doubles are left out."""
        return [self._of_image(image, found) for image, found in zip(images, people, strict=True)]

    def _of_image(self, image: Picture, people: PersonBoxes) -> Poses:
        if not len(people):
            return Poses.nobody(COCO17)
        crops = crops_of(people.boxes, (_CROP, _CROP), self.config.padding)
        xy, scores = self._look(image, crops)
        if self.config.flip:
            mirrored, mirrored_scores = self._look(image, crops, mirrored=True)
            xy, scores = (xy + mirrored) / 2, (scores + mirrored_scores) / 2
        xy = crops.to_image(xy, (_CROP, _CROP)) - 0.5
        if people.hints is not None:
            apart = np.hypot(*np.moveaxis(xy - people.hints[..., :2], -1, 0))  # (m, 17)
            near = apart <= self.config.agreement * crops.sizes_px[:, :1]
            scores = scores * np.where(near, 1.0, self.config.disagreeing)
        poses = _poses(xy, scores, people)
        return suppress_by_oks(poses, self.config.oks_threshold)

    @torch.inference_mode()
    def _look(
        self, image: Picture, crops: Crops, mirrored: bool = False
    ) -> tuple[Float64Array, Float64Array]:
        """Return joints (m, 17, 2) in px of the crops from their corner, and their scores (m, 17)."""
        cut = _cut_out(image, crops)
        inputs = np.ascontiguousarray(cut[:, :, ::-1]) if mirrored else cut
        xy, scores = [], []
        for start in range(0, len(inputs), self.config.batch):
            maps = self._model(_tensor(inputs[start : start + self.config.batch]).to(self._device))
            maps = type(maps)(*(None if m is None else m.float().cpu() for m in maps))
            place, score = decode_single(maps)
            xy.append(place)
            scores.append(score)
        places, confidence = np.concatenate(xy), np.concatenate(scores)
        if mirrored:
            places, confidence = places[:, _FLIP], confidence[:, _FLIP]
            places[..., 0] = _CROP - places[..., 0]
        return places, confidence


def _tensor(images: Picture) -> Tensor:
    """Return float (B, 3, H, W), 0 to 255, of uint8 (B, H, W, 3)."""
    return torch.from_numpy(images).permute(0, 3, 1, 2).float().contiguous(memory_format=torch.channels_last)


def _cut_out(image: Picture, crops: Crops) -> Picture:
    """Return the crops uint8 (m, 256, 256, 3), black outside the image; centers of pixels stay centers."""
    out = np.empty((len(crops.centres_px), _CROP, _CROP, 3), np.uint8)
    for k, (center, size) in enumerate(zip(crops.centres_px, crops.sizes_px[:, 0], strict=True)):
        scale = _CROP / size
        shift = _CROP / 2 - 0.5 + scale * (0.5 - center)
        matrix = np.array([[scale, 0, shift[0]], [0, scale, shift[1]]])
        out[k] = cv2.warpAffine(image, matrix, (_CROP, _CROP), flags=cv2.INTER_LINEAR)
    return out


def _poses(xy: Float64Array, scores: Float64Array, people: PersonBoxes) -> Poses:
    boxes = people.boxes - 0.5
    joint_scores = np.clip(scores, 1e-6, 1).astype(np.float32)
    return Poses(
        COCO17,
        xy.astype(np.float32),
        joint_scores,
        (people.scores * joint_scores.mean(axis=1)).astype(np.float32),
        boxes.astype(np.float32),
        box_scores=people.scores.astype(np.float32),
    )


def load_multipose(
    weights: str = "movenet_multipose", config: MultiPoseConfig | None = None, device: str = "cpu"
) -> MultiPoseDetector:
    """Return the detector with shipped weights, or those of a file; ValueError where there are none."""
    model, sha256 = load_movenet(weights, "movenet_multipose")
    return MultiPoseDetector(model, sha256, True, config, device)


def load_thunder(
    weights: str = "movenet_thunder", config: ThunderConfig | None = None, device: str = "cpu"
) -> ThunderKeypoints:
    """Return the keypoint stage with shipped weights, or those of a file; ValueError where there are none."""
    model, sha256 = load_movenet(weights, "movenet_thunder")
    return ThunderKeypoints(model, sha256, True, config, device)
