"""The teacher's keypoint network, trained on crops of people in synthetic color images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.data import Dataset

from orpose_core.checkpoints.history import earlier_trainings, inherited_licence
from orpose_core.checkpoints.keypoint_networks import (
    KeypointNetwork,
    load_keypoint_network,
    save_keypoint_network,
)
from orpose_core.decoding.top_down import TopDownConfig, crops_of
from orpose_core.metrics.coco_ap import ap_of_poses
from orpose_core.metrics.pck import PckConfig, pck_of_poses
from orpose_core.models.hrnet import HRNetConfig
from orpose_core.models.keypoint_networks import KeypointConfig, build_keypoint_network, standardised_crops
from orpose_core.models.simple_baselines import SimpleBaselinesConfig
from orpose_core.simulation import SimulatedFrame, StreamConfig, simulate_frame
from orpose_core.skeleton import COCO17
from orpose_core.teacher.keypoint_stage import KeypointStageConfig, TopDownKeypoints
from orpose_core.teacher.stages import PersonBoxes
from orpose_core.training.augment.color import (
    ColorAugmentConfig,
    apply_affine,
    random_affine,
    random_colors,
)
from orpose_core.training.engine.distributed import Processes
from orpose_core.training.engine.engine import Trainer
from orpose_core.training.engine.recipe_run import TrainedKind, header_of
from orpose_core.training.engine.run_folder import RunFolder
from orpose_core.training.engine.settings import EngineConfig, OptimConfig
from orpose_core.training.stages.frames import SplitConfig, SplitScores
from orpose_core.types import FloatArray, Poses, Visibility

Sample = dict[str, NDArray]
_PADDING = TopDownConfig().padding


@dataclass(frozen=True)
class KeypointDataConfig:
    """Training data of the keypoint network.

    Attributes:
        domain: domain of the synthetic room. The teacher is trained on ``"everyday"``, so that it never sees
            the rooms that it will label.
        render_hw: (height, width) of the rendered images, px.
        crowd: number of additional people in each image.
        seed: seed of the simulation and the augmentation.
        crops: number of crops from each rendered image. Its people take turns, with different augmentations.
        min_visible_joints: people with fewer visible joints, of 17, are left out.
        box_jitter: each side of a box moves by at most this share of the box, to imitate a detector.
        sigma_cells: standard deviation of the Gaussian of a joint, cells of the maps.
        augment: settings of the augmentation of a crop; zoom and shift are relative to the padded box.
    """

    domain: str = "everyday"
    render_hw: tuple[int, int] = (240, 320)
    crowd: int = 2
    seed: int = 1
    crops: int = 4
    min_visible_joints: int = 4
    box_jitter: float = 0.08
    sigma_cells: float = 2.0
    augment: ColorAugmentConfig = field(
        default_factory=lambda: ColorAugmentConfig(rotate_deg=40.0, zoom=(0.75, 1.25), shift=0.04)
    )

    def __post_init__(self) -> None:
        if self.crops < 1:
            raise ValueError(f"data.crops: expected 1 or more, got {self.crops}")
        if not self.sigma_cells > 0:
            raise ValueError(f"data.sigma_cells: expected a number above 0, got {self.sigma_cells}")
        if not 0 <= self.box_jitter < 0.5:
            raise ValueError(f"data.box_jitter: expected a number in [0, 0.5), got {self.box_jitter}")
        self.stream()

    def stream(self) -> StreamConfig:
        """Return the synthetic recording to train on."""
        return StreamConfig(self.domain, self.render_hw, "color", self.seed, crowd=self.crowd)


@dataclass(frozen=True)
class KeypointModelConfig:
    """The network; see :class:`SimpleBaselinesConfig` and :class:`HRNetConfig`.

    Attributes:
        architecture: one of the two architectures.
        input_hw: (height, width) of the crops, px.
        layers: layers of the ResNet of Simple Baselines.
        deconvolution_channels: channels of the deconvolutions of Simple Baselines.
        width: width of HRNet.
        modules: modules of HRNet.
        blocks: blocks of HRNet.
    """

    architecture: Literal["simple_baselines", "hrnet"] = "simple_baselines"
    input_hw: tuple[int, int] = (256, 192)
    layers: int = 50
    deconvolution_channels: int = 256
    width: int = 32
    modules: tuple[int, int, int] = (1, 4, 3)
    blocks: int = 4

    def network(self) -> KeypointConfig:
        """Return the network's config."""
        if self.architecture == "hrnet":
            return HRNetConfig(self.width, self.input_hw, len(COCO17), self.modules, self.blocks)
        return SimpleBaselinesConfig(
            self.layers, self.input_hw, len(COCO17), deconvolution_channels=self.deconvolution_channels
        )


@dataclass(frozen=True)
class KeypointsRecipe:
    """A training run of the keypoint network.

    Attributes:
        model: the network.
        init: weights file of an earlier training on crops of any size; None = random weights.
        data: the training data.
        foreground: the weight of a cell is ``1 + foreground * (value of the Gaussian)``; 0 in the releases.
            It helps when training starts from random weights.
        optim: the optimizer.
        engine: settings of the engine; ``batch`` counts rendered images with ``data.crops`` crops each.
        validation: settings of the validation, which uses true boxes and is thus independent of a detector.
    """

    model: KeypointModelConfig = field(default_factory=KeypointModelConfig)
    init: Path | None = None
    data: KeypointDataConfig = field(default_factory=KeypointDataConfig)
    foreground: float = 0.0
    optim: OptimConfig = field(default_factory=OptimConfig)
    engine: EngineConfig = field(default_factory=EngineConfig)
    validation: SplitConfig = field(default_factory=SplitConfig)

    def __post_init__(self) -> None:
        if self.foreground < 0:
            raise ValueError(f"foreground: expected 0 or more, got {self.foreground}")
        self.model.network()


class KeypointSamples(Dataset[Sample]):
    """Samples by number: crops of the people of a rendered image, with the positions of joints in the maps.

    ``crops`` uint8 RGB (k, H, W, 3); ``xy_cells`` float32 (k, 17, 2), in cells of the maps, NaN = not in the
    image; ``known`` bool (k,), False for crops without a person.
    """

    def __init__(self, data: KeypointDataConfig, input_hw: tuple[int, int]) -> None:
        self.data, self.input_hw, self.stream = data, input_hw, data.stream()

    def __getitem__(self, index: int) -> Sample:
        simulated = simulate_frame(self.stream, index)
        rng = np.random.default_rng([self.data.seed, index])
        poses = simulated.poses.converted(COCO17)
        assert poses.visibility is not None
        seen = (poses.visibility == Visibility.VISIBLE).sum(axis=1)
        there = np.flatnonzero(seen >= self.data.min_visible_joints)
        k, (height, width) = self.data.crops, self.input_hw
        crops = np.zeros((k, height, width, 3), np.uint8)
        xy_cells = np.full((k, len(COCO17), 2), np.nan, np.float32)
        for row in range(k if len(there) else 0):
            person = int(there[row % len(there)])
            crops[row], xy_cells[row] = self._crop(simulated, poses, person, rng)
        return {"crops": crops, "xy_cells": xy_cells, "known": np.full(k, len(there) > 0)}

    def _crop(
        self, simulated: SimulatedFrame, poses: Poses, person: int, rng: np.random.Generator
    ) -> tuple[NDArray[np.uint8], FloatArray]:
        rgb, box = simulated.frame.rgb, poses.boxes_px[person].astype(np.float64) + 0.5
        assert rgb is not None
        sides = np.tile(box[2:] - box[:2], 2)
        box = box + sides * rng.uniform(-self.data.box_jitter, self.data.box_jitter, 4)
        cut = np.vstack([crops_of(box, self.input_hw, _PADDING).matrices(self.input_hw)[0], [0, 0, 1]])
        change, mirrored = random_affine(rng, self.data.augment, self.input_hw)
        matrix = change @ cut
        height, width = self.input_hw
        crop = cv2.warpAffine(rgb, matrix, (width, height), flags=cv2.INTER_LINEAR)
        xy = apply_affine(poses.xy_px[person], matrix)
        if mirrored:
            xy = xy[list(COCO17.flip_permutation)]
        crop = random_colors(np.asarray(crop, np.uint8), rng, self.data.augment)
        return crop, (xy / 4).astype(np.float32)  # a map's cell is four px, (0, 0) on (0, 0)


def collate_crops(samples: Sequence[Sample]) -> dict[str, Tensor]:
    """Make a batch of the crops of several images."""
    return {name: torch.from_numpy(np.concatenate([s[name] for s in samples])) for name in samples[0]}


def gaussian_maps(xy_cells: Tensor, map_hw: tuple[int, int], sigma_cells: float) -> Tensor:
    """Return float32 (B, 17, h, w): a Gaussian of height 1 at each joint, nothing where it is NaN."""
    rows = torch.arange(map_hw[0], device=xy_cells.device, dtype=torch.float32)
    columns = torch.arange(map_hw[1], device=xy_cells.device, dtype=torch.float32)
    scale = -0.5 / sigma_cells**2
    across = torch.exp(scale * (columns - xy_cells[..., :1]) ** 2)  # (B, 17, w)
    down = torch.exp(scale * (rows - xy_cells[..., 1:]) ** 2)  # (B, 17, h)
    return torch.nan_to_num(down[..., :, None] * across[..., None, :])


class KeypointTask:
    """The mean squared error of the maps; keypoint AP and PCK with true boxes."""

    def __init__(self, recipe: KeypointsRecipe) -> None:
        self.recipe, self.config = recipe, recipe.model.network()
        self.scores = SplitScores(recipe.validation, partial(keypoint_scores, self.config))

    def losses(self, model: nn.Module, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return the loss of the releases times 1000, for readable values."""
        images = standardised_crops(batch["crops"], self.config)
        images = images.contiguous(memory_format=torch.channels_last)
        maps = model(images).float()
        target = gaussian_maps(
            batch["xy_cells"], (int(maps.shape[2]), int(maps.shape[3])), self.recipe.data.sigma_cells
        )
        weight = (1 + self.recipe.foreground * target) * batch["known"][:, None, None, None]
        return {"maps": 500.0 * (weight * (maps - target) ** 2).mean()}

    def validate(self, model: nn.Module) -> dict[str, float]:
        """Return the scores on the fixed frames of the split."""
        return self.scores.while_training(model)


def true_boxes(poses: Poses) -> PersonBoxes:
    """Return the boxes of the ground truth in the form of a detector's output."""
    return PersonBoxes(poses.boxes_px.astype(np.float64) + 0.5, np.ones(len(poses)))


def keypoint_scores(
    config: KeypointConfig, model: nn.Module, images: Sequence[NDArray[np.uint8]], truth: Sequence[Poses]
) -> dict[str, float]:
    """Return keypoint AP and PCK@0.2 (percent, strict) with true boxes and the flip test."""
    network = KeypointNetwork(model, config, "in_training", "", trained=True)
    look = KeypointStageConfig(decoder=TopDownConfig(oks_threshold=1.0))
    stage = TopDownKeypoints(network, look, str(next(model.parameters()).device))
    found = [stage.keypoints([i], [true_boxes(t)])[0] for i, t in zip(images, truth, strict=True)]
    scores = ap_of_poses(truth, found, "keypoint").summary()
    strict = pck_of_poses(truth, found, PckConfig.strict()).summary()
    return {
        **{f"keypoint_{name}": float(scores[name]) for name in ("AP", "AP50", "AP75")},
        "pck": float(strict["Average"]),
    }


def _build(recipe: KeypointsRecipe) -> nn.Module:
    config = recipe.model.network()
    if recipe.init is not None:
        earlier = load_keypoint_network(recipe.init)
        if replace(earlier.config, input_hw=config.input_hw) != config:
            raise ValueError(
                f"{recipe.init}: expected {config}, of any input_hw, to start from, got {earlier.config}"
            )
        return earlier.model
    torch.manual_seed(recipe.engine.seed)
    return build_keypoint_network(config)


def _trainer(recipe: KeypointsRecipe, model: nn.Module, run: RunFolder, mine: Processes) -> Trainer:
    data = KeypointSamples(recipe.data, recipe.model.input_hw)
    return Trainer(model, KeypointTask(recipe), data, recipe.optim, recipe.engine, run, mine, collate_crops)


def _score(recipe: KeypointsRecipe, model: nn.Module, reading: None, half: bool) -> dict[str, Any]:
    return SplitScores(recipe.validation, partial(keypoint_scores, recipe.model.network())).at_the_end(model)


def _write(
    model: nn.Module, reading: None, recipe: KeypointsRecipe, facts: Mapping[str, Any], path: Path
) -> None:
    save_keypoint_network(path, model, recipe.model.network(), header_of(facts), half=True)


def _facts(recipe: KeypointsRecipe) -> dict[str, Any]:
    return {
        "network": recipe.model.architecture,
        "domains": [recipe.data.domain],
        "crops": recipe.data.crops,
        "split": recipe.validation.split,
        "licence": inherited_licence(recipe.init),
        **earlier_trainings(recipe.init),
    }


KEYPOINTS = TrainedKind("keypoints", _build, _trainer, _score, _write, _facts)
"""The keypoint network, as `orpose train keypoints` trains it."""
