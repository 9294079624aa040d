"""The teacher's first stage: a detection model of torchvision or ORPose's cascade, scaled and mirrored.

Weights are local files. If one is missing, the error says which file to fetch.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torchvision.models import detection as detection_models
from torchvision.models import get_model, get_model_weights, list_models
from torchvision.ops import box_iou, nms

from orpose_core.checkpoints.detectron_files import load_cascade
from orpose_core.checkpoints.filling import fill_model
from orpose_core.checkpoints.small_detectors import load_small_detector, small_detector_file
from orpose_core.checkpoints.torch_files import read_state_dict
from orpose_core.models.cascade.config import CASCADE_URLS, CASCADES
from orpose_core.models.cascade.rcnn import CascadeRcnn
from orpose_core.models.small_detectors import SMALL_DETECTORS
from orpose_core.teacher.stages import PersonBoxes, PersonThresholds, StageInfo
from orpose_core.types import Picture

PERSON = 1
"""COCO's number of a person in torchvision's models."""

_LONG_TO_SHORT = 1333 / 800


@dataclass(frozen=True)
class DetectorConfig:
    """Settings of the detector.

    Attributes:
        min_score: people with at least this score are labelled; 0.7 as in DepthPose (Sect. 3).
        unsure_score: people below it are left out. Those between it and ``min_score`` are regions to ignore.
        scales: lengths of the shorter image side, px, that are evaluated; empty = only the model's own.
        flip: also evaluate the mirrored image.
        merge_iou: IoU from which on boxes of several views are one person.
        max_people: highest number of people per image; the best are kept.
    """

    min_score: float = 0.7
    unsure_score: float = 0.3
    scales: tuple[int, ...] = ()
    flip: bool = True
    merge_iou: float = 0.5
    max_people: int = 50

    def __post_init__(self) -> None:
        for name in ("min_score", "unsure_score", "merge_iou"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(
                    f"DetectorConfig.{name}: expected a number in [0, 1], got {getattr(self, name)}"
                )
        if self.max_people < 1 or any(s < 32 for s in self.scales):
            raise ValueError(f"DetectorConfig: expected scales of 32 px or more and people, got {self}")


class TorchvisionDetector:
    """Finds people with a detection model of torchvision, or one that is called as those are.

    Args:
        model: takes a list of float (3, H, W) in [0, 1], gives boxes, labels and scores.
        name: of the model.
        sha256: of its weights.
        trained: False for random weights.
        config: how it looks.
        device: where it computes.
    """

    def __init__(
        self,
        model: nn.Module,
        name: str,
        sha256: str,
        trained: bool,
        config: DetectorConfig | None = None,
        device: str = "cpu",
    ) -> None:
        self.config = config or DetectorConfig()
        self._model = model.eval().to(device)
        self._device = device
        settings = {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self.config).items()}
        self._info = StageInfo(name, sha256, trained, settings)

    @property
    def info(self) -> StageInfo:
        """What it is made of."""
        return self._info

    @property
    def thresholds(self) -> PersonThresholds:
        """What its scores mean."""
        return PersonThresholds(self.config.min_score, min(self.config.unsure_score, self.config.min_score))

    @torch.inference_mode()
    def detect(self, images: Sequence[Picture]) -> list[PersonBoxes]:
        """Return the people in each image, sure or unsure, best first."""
        if not images:
            return []
        tensors = [torch.from_numpy(i).to(self._device).permute(2, 0, 1).float() / 255.0 for i in images]
        views: list[list[PersonBoxes]] = [[] for _ in images]
        for scale in self.config.scales or (0,):
            for mirrored in (False, True) if self.config.flip else (False,):
                seen = self._look([t.flip(-1) for t in tensors] if mirrored else tensors, scale)
                for view, found, image in zip(views, seen, images, strict=True):
                    view.append(_unmirrored(found, image.shape[1]) if mirrored else found)
        return [self._ranked(merged_boxes(view, self.config.merge_iou)) for view in views]

    def _look(self, tensors: list[torch.Tensor], scale: int) -> list[PersonBoxes]:
        transform: Any = getattr(self._model, "transform", None)
        if scale and transform is None:
            raise ValueError(f"{self._info.name}: has no scale to set; leave DetectorConfig.scales empty")
        own = (transform.min_size, transform.max_size) if scale else None
        if scale:
            transform.min_size, transform.max_size = (scale,), int(scale * _LONG_TO_SHORT)
        try:
            outputs = self._model(tensors)
        finally:
            if own:
                transform.min_size, transform.max_size = own
        return [_people(output) for output in outputs]

    def _ranked(self, people: PersonBoxes) -> PersonBoxes:
        sides = people.boxes[:, 2:] - people.boxes[:, :2]
        kept = np.flatnonzero((people.scores >= self.thresholds.unsure) & (sides > 1).all(axis=1))
        kept = kept[np.argsort(-people.scores[kept], kind="stable")][: self.config.max_people]
        return PersonBoxes(people.boxes[kept], people.scores[kept])


def _people(output: dict[str, torch.Tensor]) -> PersonBoxes:
    persons = output["labels"] == PERSON
    boxes, scores = output["boxes"][persons], output["scores"][persons]
    return PersonBoxes(boxes.cpu().double().numpy(), scores.cpu().double().numpy())


def _unmirrored(people: PersonBoxes, width: int) -> PersonBoxes:
    x1, y1, x2, y2 = people.boxes.T
    return PersonBoxes(np.stack([width - x2, y1, width - x1, y2], axis=1), people.scores)


def merged_boxes(views: Sequence[PersonBoxes], iou: float) -> PersonBoxes:
    """Merge the boxes of several views of one image (data distillation, Radosavovic et al., CVPR 2018).

    The boxes of all views are pooled and suppressed. Each remaining box becomes the mean of those that it
    overlaps, weighted by their scores (box voting). Its score is the mean over the views, with 0 for views
    that did not find it, so a person found in one view of four has a low score.

    Args:
        views: at least one; a single one is returned unchanged.
        iou: overlap from which on two boxes are one person.
    """
    if len(views) == 1:
        return views[0]
    boxes = torch.from_numpy(np.concatenate([v.boxes for v in views]))
    scores = torch.from_numpy(np.concatenate([v.scores for v in views]))
    view_of = np.concatenate([np.full(len(v), k) for k, v in enumerate(views)])
    kept = nms(boxes, scores, iou)
    overlap = box_iou(boxes[kept], boxes).numpy()
    out_boxes, out_scores = np.zeros((len(kept), 4)), np.zeros(len(kept))
    for row, near in enumerate(overlap >= iou):
        near[int(kept[row])] = True  # also where rounding says otherwise
        weight = np.maximum(scores.numpy()[near], 1e-12)
        out_boxes[row] = (boxes.numpy()[near] * weight[:, None]).sum(axis=0) / weight.sum()
        best: NDArray[np.float64] = np.zeros(len(views))
        np.maximum.at(best, view_of[near], scores.numpy()[near])
        out_scores[row] = best.mean()
    return PersonBoxes(out_boxes, out_scores)


def detector_names() -> list[str]:
    """Return the detection models that torchvision has, and the cascades of :mod:`models.cascade_rcnn`."""
    return [*list_models(module=detection_models), *SMALL_DETECTORS, *CASCADES]


def load_detector(
    name: str, weights: str | Path | None = None, config: DetectorConfig | None = None, device: str = "cpu"
) -> TorchvisionDetector:
    """Return a detection model with weights from a file; nothing is downloaded.

    Args:
        name: such as ``fasterrcnn_resnet50_fpn_v2``; see :func:`detector_names`. Also that of
            shipped weights.
        weights: the file; None = the published one, in the current folder.
        config: how it looks.
        device: where it computes.

    Raises:
        ValueError: an unknown model; no such file (says which to fetch); a damaged file, or one that does not
            fit.
    """
    trained_here = small_detector_file(name, weights)
    if trained_here is not None:
        small, sha256 = load_small_detector(trained_here, name)
        return TorchvisionDetector(small, trained_here.stem, sha256, True, config, device)
    _check_name(name)
    url = CASCADE_URLS.get(name) if name in CASCADES else get_model_weights(name)["DEFAULT"].url
    path = Path(url.rsplit("/", 1)[-1] if url and weights is None else weights or f"{name}.pkl")
    if not path.is_file():
        advice = (
            f"fetch {url} on a machine with a network and put it at {path.absolute()}"
            if url
            else "none are published; it is for tests"
        )
        raise ValueError(
            f"{path}: no weights of {name} there, and nothing is downloaded unless requested: {advice}"
        )
    if name in CASCADES:
        cascade, sha256 = load_cascade(name, path)
        return TorchvisionDetector(cascade, name, sha256, True, config, device)
    tensors = read_state_dict(path)
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    promised = re.search(r"-([0-9a-f]{8})\.pth$", path.name)
    if promised and not sha256.startswith(promised[1]):
        raise ValueError(
            f"{path}: damaged: its sha256 begins with {sha256[:8]}, its name says {promised[1]}; "
            f"fetch it again"
        )
    model = get_model(name, weights=None, weights_backbone=None, num_classes=_classes(tensors))
    fill_model(model, tensors, str(path))
    return TorchvisionDetector(model, name, sha256, True, config, device)


def random_detector(
    name: str, config: DetectorConfig | None = None, seed: int = 0, device: str = "cpu"
) -> TorchvisionDetector:
    """Return a detection model with seeded random weights: for tests and for measuring time."""
    _check_name(name)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model: nn.Module = (
            CascadeRcnn(CASCADES[name])
            if name in CASCADES
            else SMALL_DETECTORS[name]()
            if name in SMALL_DETECTORS
            else get_model(name, weights=None, weights_backbone=None, num_classes=2)
        )
    digest = hashlib.sha256(name.encode())
    for key, value in sorted(model.state_dict().items()):
        digest.update(key.encode() + value.numpy().tobytes())
    return TorchvisionDetector(model, f"untrained_{name}", digest.hexdigest(), False, config, device)


def _check_name(name: str) -> None:
    if name not in detector_names():
        known = ", ".join(detector_names()[: -len(CASCADES)])
        raise ValueError(
            f"{name}: expected a detection model of torchvision: {known}; or a cascade: {', '.join(CASCADES)}"
        )


def _classes(tensors: dict[str, torch.Tensor]) -> int:
    """Return how many classes a file's head has; COCO's 91 where the head does not tell by itself."""
    head = tensors.get("roi_heads.box_predictor.cls_score.weight")
    return 91 if head is None else int(head.shape[0])
