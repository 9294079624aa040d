"""The teacher's third stage: COCO joints to Human3.6M joints in space (ORPose Sect. 2.2)."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from orpose_core.checkpoints.filling import filled
from orpose_core.checkpoints.weights_file import (
    WeightsFile,
    find_weights,
    read_weights,
    weights_names,
    write_weights,
)
from orpose_core.decoding.roi import LIFTER_INPUT, LIFTER_OUTPUT
from orpose_core.models.lifter import Lifter, LiftingStatistics
from orpose_core.skeleton import H36M17
from orpose_core.teacher.stages import StageInfo
from orpose_core.types import FloatArray, Poses

_MOST_STAGES, _LARGEST_WIDTH = 64, 16_384  # far beyond any use; a false config must not ask for more
_INPUT = [H36M17.index(j) for j in LIFTER_INPUT]
_OUTPUT = [H36M17.index(j) for j in LIFTER_OUTPUT]


class LiftingModel(nn.Module):
    """The network and the statistics that standardize its joints, stored in one checkpoint.

    Args:
        width: of the network.
        stages: of the network.
        image_hw: (height, width) of the image in whose px 2D joints are given.
        dropout: while it trains.
    """

    def __init__(self, width: int, stages: int, image_hw: tuple[int, int], dropout: float = 0.5) -> None:
        super().__init__()
        self.lifter = Lifter(len(LIFTER_INPUT), width, stages, dropout)
        self.statistics = LiftingStatistics(len(LIFTER_INPUT), image_hw)
        self.image_hw = image_hw
        self.settings = {"width": width, "stages": stages, "image_hw": list(image_hw)}

    def forward(self, xy_px: Tensor) -> Tensor:
        """Return the standardised root-relative joints (R, 16, 3) of continuous px (R, 16, 2), NaN = absent.

        An absent joint is replaced by the mean pose.
        """
        return self.lifter(torch.nan_to_num(self.statistics.standardise_2d(xy_px), nan=0.0))

    def metres(self, xy_px: Tensor) -> Tensor:
        """Return the joints in metres relative to the pelvis."""
        return self.statistics.metres(self(xy_px))


class ResidualLifter:
    """Lifts with the residual network of Martinez et al.

    An absent joint is replaced by the mean pose at the input and is unknown in the output. With fewer than
    ``least_joints`` of the 16 joints, the whole pose is unknown.

    Args:
        model: see :func:`load_lifter` and :func:`random_lifter`.
        name: of the file.
        sha256: of the file.
        trained: False for random weights.
        least_joints: see above.
    """

    def __init__(
        self, model: LiftingModel, name: str, sha256: str, trained: bool, least_joints: int = 8
    ) -> None:
        self._model = model.eval()
        self._least_joints = least_joints
        self._info = StageInfo(name, sha256, trained, {**model.settings, "least_joints": least_joints})

    @property
    def info(self) -> StageInfo:
        """What it is made of."""
        return self._info

    @torch.inference_mode()
    def lift(self, poses: Poses, image_hw: tuple[int, int]) -> FloatArray:
        """Return float32 (m, 17, 3), H36M17, metres relative to the pelvis, NaN = unknown."""
        h36m = poses.converted(H36M17)
        xyz = np.full((len(poses), len(H36M17), 3), np.nan, np.float32)
        if not len(poses):
            return xyz
        height, width = self._model.image_hw
        scale = np.array([width / image_hw[1], height / image_hw[0]], np.float32)
        xy = torch.from_numpy((h36m.xy_px[:, _INPUT] + np.float32(0.5)) * scale)  # continuous px
        xyz[:, _OUTPUT] = self._model.metres(xy).numpy()
        xyz[:, H36M17.index("pelvis")] = 0.0
        enough = (h36m.scores[:, _INPUT] > 0).sum(axis=1) >= self._least_joints
        known = (h36m.scores > 0) & enough[:, None]
        return np.where(known[..., None], xyz, np.nan).astype(np.float32)


def save_lifter(path: str | Path, lifter: ResidualLifter) -> str:
    """Write a lifter's weights and statistics, all or nothing, and return the file's sha256."""
    return save_lifting_model(path, lifter._model, {"trained": "yes" if lifter.info.trained else "no"})


def save_lifting_model(
    path: str | Path, model: LiftingModel, metadata: Mapping[str, str] | None = None, half: bool = False
) -> str:
    """Write a network and its statistics, all or nothing, and return the file's sha256.

    Args:
        path: of the file.
        model: the network.
        metadata: strings for the header: licence, training; ``"trained"`` is "yes" unless it says "no".
        half: store float16.
    """
    return write_weights(path, "lifter", model, model.settings, metadata, half)


def read_lifting_model(path: str | Path) -> tuple[LiftingModel, WeightsFile]:
    """Read the network of a file, and the file; ValueError names what is wrong."""
    path = Path(path)
    if not path.is_file() and str(path) in weights_names():
        path = find_weights(path)
    if not path.is_file():
        raise ValueError(f"{path}: no such lifter file; nothing is downloaded")
    file = read_weights(path, "lifter")
    build = file.built(_builder)
    return filled(file, build), file


def _builder(config: Mapping[str, Any]) -> Callable[[], LiftingModel]:
    """Return what builds the network of a config; ValueError if it is none."""
    height, width = config["image_hw"]
    neurons, stages = int(config["width"]), int(config["stages"])
    if not (1 <= neurons <= _LARGEST_WIDTH and 0 <= stages <= _MOST_STAGES and min(height, width) > 0):
        raise ValueError(f"a network of {neurons} neurons in {stages} stages for {width}x{height} px")
    return lambda: LiftingModel(neurons, stages, (int(height), int(width)))


def load_lifter(path: str | Path) -> ResidualLifter:
    """Load a file of :func:`save_lifter`, or weights that are shipped, by name.

    Raises:
        ValueError: names the file and what is wrong with it.
    """
    model, file = read_lifting_model(path)
    return ResidualLifter(model, file.path.stem, file.sha256, file.trained)


def random_lifter(
    width: int = 1024, stages: int = 2, image_hw: tuple[int, int] = (480, 640), seed: int = 0
) -> ResidualLifter:
    """Return a lifter with seeded random weights: for tests and for measuring time."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = LiftingModel(width, stages, image_hw)
    digest = hashlib.sha256()
    for key, value in sorted(model.state_dict().items()):
        digest.update(key.encode() + value.numpy().tobytes())
    return ResidualLifter(model, "untrained_lifter", digest.hexdigest(), False)
