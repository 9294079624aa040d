"""The teacher's second stage: HRNet or Simple Baselines on crops of people, mirrored and at several sizes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field

import numpy as np
import torch

from orpose_core.checkpoints.keypoint_networks import KeypointNetwork
from orpose_core.decoding.top_down import (
    Crops,
    TopDownConfig,
    crops_of,
    cut_out,
    decode_top_down,
    mean_maps,
    unmirrored_maps,
)
from orpose_core.models.keypoint_networks import standardised_crops
from orpose_core.teacher.stages import PersonBoxes, StageInfo
from orpose_core.types import FloatArray, Picture, Poses


@dataclass(frozen=True)
class KeypointStageConfig:
    """Settings of the keypoint stage.

    Attributes:
        flip: average the maps with those of the mirrored crop.
        shift: see :func:`decoding.top_down.unmirrored_maps`.
        scales: sizes of the crops that are evaluated, relative to the padded box; their maps are averaged
            (data distillation). The first must be 1.
        batch: crops at once.
        decoder: see :class:`TopDownConfig`.
    """

    flip: bool = True
    shift: bool = True
    scales: tuple[float, ...] = (1.0,)
    batch: int = 16
    decoder: TopDownConfig = field(default_factory=TopDownConfig)

    def __post_init__(self) -> None:
        if not self.scales or self.scales[0] != 1 or min(self.scales) <= 0:
            raise ValueError(f"KeypointStageConfig.scales: expected 1 first, then others, got {self.scales}")
        if self.batch < 1:
            raise ValueError(f"KeypointStageConfig.batch: expected 1 or more, got {self.batch}")


class TopDownKeypoints:
    """Finds the joints of people whose boxes are known.

    Args:
        network: HRNet or Simple Baselines.
        config: how it looks.
        device: where it computes.
    """

    def __init__(
        self, network: KeypointNetwork, config: KeypointStageConfig | None = None, device: str = "cpu"
    ) -> None:
        self.config = config or KeypointStageConfig()
        self._network, self._device = network, device
        self._model = network.model.eval().to(device)
        settings = asdict(self.config)
        settings["scales"] = list(self.config.scales)
        settings["network"] = {
            k: list(v) if isinstance(v, tuple) else v for k, v in asdict(network.config).items()
        }
        self._info = StageInfo(network.name, network.sha256, network.trained, settings)

    @property
    def info(self) -> StageInfo:
        """What it is made of."""
        return self._info

    def keypoints(self, images: Sequence[Picture], people: Sequence[PersonBoxes]) -> list[Poses]:
        """Return the COCO17 poses of the people in each image, best first; doubles are left out."""
        config, input_hw = self.config, self._network.config.input_hw
        crops = [crops_of(p.boxes, input_hw, config.decoder.padding) for p in people]
        maps = mean_maps([self._maps(images, crops, factor) for factor in config.scales], config.scales)
        poses, start = [], 0
        for found, crop in zip(people, crops, strict=True):
            own = maps[start : start + len(found)]
            poses.append(decode_top_down(own, crop, found.boxes, found.scores, config.decoder))
            start += len(found)
        return poses

    @torch.inference_mode()
    def _maps(self, images: Sequence[Picture], crops: Sequence[Crops], factor: float) -> FloatArray:
        """Return the maps float32 (people of all images, 17, h, w) at one size of the crops."""
        height, width = self._network.config.input_hw
        cut = [
            cut_out(i, c if factor == 1 else c.scaled(factor), (height, width))
            for i, c in zip(images, crops, strict=True)
        ]
        inputs = np.concatenate([np.zeros((0, height, width, 3), np.uint8), *cut])
        maps = [np.zeros((0, self._network.config.joints, height // 4, width // 4), np.float32)]
        for start in range(0, len(inputs), self.config.batch):
            crop = torch.from_numpy(inputs[start : start + self.config.batch]).to(self._device)
            x = standardised_crops(crop, self._network.config)
            both = self._model(torch.cat([x, x.flip(-1)]) if self.config.flip else x).float().cpu().numpy()
            if self.config.flip:
                plain, mirrored = both[: len(x)], both[len(x) :]
                both = (plain + unmirrored_maps(mirrored, shift=self.config.shift)) * np.float32(0.5)
            maps.append(both)
        return np.concatenate(maps)
