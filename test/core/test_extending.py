"""A network, a skeleton and a data set are one entry each: all three are added, trained, run and scored."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
import pytest
import torch
import yaml
from torch import Tensor, nn

from orpose_core.checkpoints.files import load_checkpoint
from orpose_core.cli import main
from orpose_core.data.targets import render_targets
from orpose_core.decoding.flip import merged
from orpose_core.decoding.paf import PafDecoderConfig, decode_paf
from orpose_core.estimators import EstimatorConfig, load_estimator
from orpose_core.evaluation.datasets import DATASETS, annotated
from orpose_core.models import NETWORKS, MapConfig, ModelConfig, Network, build_model
from orpose_core.models.maps import PoseMaps, StageMaps
from orpose_core.simulation import StreamConfig, simulate_frame
from orpose_core.skeleton import SKELETONS, Skeleton, by_name
from orpose_core.training.depthpose.recipe import DepthPoseRecipe

TOY = Skeleton(
    "toy5",
    ("head", "left_shoulder", "right_shoulder", "left_hip", "right_hip"),
    ((0, 1), (0, 2), (1, 3), (2, 4), (3, 4)),
    (0.035, 0.079, 0.079, 0.107, 0.107),
)


@dataclass(frozen=True)
class ToyConfig(MapConfig):
    """A network of two convolutions."""

    architecture: Literal["toynet"] = "toynet"
    channels: int = 16


class ToyNet(nn.Module):
    """Two convolutions and two layers of maps, at the size of the image."""

    def __init__(self, config: ToyConfig) -> None:
        super().__init__()
        n = config.channels
        self.trunk = nn.Sequential(
            nn.Conv2d(config.in_channels, n, 5, padding=2), nn.ReLU(),
            nn.Conv2d(n, n, 5, padding=2), nn.ReLU(),
        )  # fmt: skip
        self.paf_maps = nn.Conv2d(n, config.paf_channels, 1)
        self.keypoint_maps = nn.Conv2d(n, config.keypoint_channels, 1)

    def forward(self, x: Tensor) -> PoseMaps:
        """Return one stage."""
        f = self.trunk(x)
        return PoseMaps((StageMaps(self.paf_maps(f), self.keypoint_maps(f)),))


@pytest.fixture
def _entries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(NETWORKS, "toynet", Network("toynet", ToyConfig, ToyNet, "maps"))
    monkeypatch.setitem(SKELETONS, TOY.name, TOY)
    monkeypatch.setitem(DATASETS, "toyset", annotated("toyset", ("labels.json",), ("depth",)))


def _recipe(folder: Path) -> Path:
    """Write a recipe that trains the toy network on the toy skeleton for a few seconds."""
    values = {
        "model": {"architecture": "toynet", "skeleton": "toy5", "input_hw": [24, 32], "channels": 12},
        "data": {"domains": ["general"], "render_hw": [48, 64], "min_visible_joints": 3},
        "loss": {"foreground": 10.0},
        "optim": {"name": "adamw", "lr": 0.01},
        "engine": {"steps": 30, "batch": 4, "device": "cpu", "workers": 0, "validate_steps": 0},
        "validation": {"split": "general-val-v1", "frames": 0, "final_frames": 3},
    }
    path = folder / "toy.yaml"
    path.write_text(yaml.safe_dump(values))
    return path


def _data_set(root: Path) -> Path:
    """Write three depth images and their COCO labels."""
    (root / "depth").mkdir(parents=True)
    images, annotations = [], []
    for k in range(3):
        simulated = simulate_frame(StreamConfig("general", (48, 64), "depth", seed=3), k)
        assert simulated.frame.depth_m is not None
        millimetres = np.nan_to_num(simulated.frame.depth_m * 1000).astype(np.uint16)
        cv2.imwrite(str(root / "depth" / f"{k}.png"), millimetres)
        images.append({"id": k, "file_name": f"{k}.png", "width": 64, "height": 48})
        poses = simulated.poses.converted(by_name("coco17"))
        for m in range(len(poses)):
            xy, there = np.nan_to_num(poses.xy_px[m]), poses.scores[m] > 0
            x1, y1, x2, y2 = poses.boxes_px[m].tolist()
            annotations.append(
                {
                    "id": len(annotations) + 1, "image_id": k, "category_id": 1, "iscrowd": 0,
                    "num_keypoints": int(there.sum()), "bbox": [x1, y1, x2 - x1, y2 - y1],
                    "area": (x2 - x1) * (y2 - y1),
                    "keypoints": np.concatenate([xy, 2.0 * there[:, None]], axis=1).reshape(-1).tolist(),
                }
            )  # fmt: skip
    category = {"id": 1, "name": "person", "keypoints": list(by_name("coco17").joints)}
    content = {"images": images, "annotations": annotations, "categories": [category]}
    (root / "labels.json").write_text(json.dumps(content))
    return root


@pytest.mark.usefixtures("_entries")
def test_a_toy_network_learns_a_toy_skeleton_and_is_scored_on_a_toy_data_set(tmp_path: Path) -> None:
    run = tmp_path / "run"
    assert main(["train", "depthpose", "--config", str(_recipe(tmp_path)), "--out", str(run)]) == 0
    results = json.loads((run / "results.json").read_text())
    assert results["scores"]["frames"] == 3
    assert (results["recipe"]["model"]["paf_channels"], results["recipe"]["model"]["keypoint_channels"]) == (
        10,
        6,
    )
    assert main(["train", "depthpose", "--resume", str(run), "--engine.steps", "31"]) == 0

    weights = run / "weights.safetensors"
    assert main(["report", "card", str(weights)]) == 0
    card = weights.with_suffix(".md").read_text()
    assert "toynet" in card and "10 part affinity and 6 keypoint maps (the 5 joints of toy5" in card
    config = load_checkpoint(weights).config
    assert isinstance(config, ToyConfig) and config == ToyConfig(
        channels=12, input_hw=(24, 32)
    ).with_skeleton(TOY)
    everybody = PafDecoderConfig(0.0, 0.0, 0.0, min_joints=1, min_mean_score=0.0, min_person_score=0.0)
    settings = EstimatorConfig(device="cpu", half_precision=False, decoder=everybody)
    estimator = load_estimator(weights, settings)
    assert estimator.info.architecture == "toynet" and estimator.info.skeleton == TOY
    frame = simulate_frame(StreamConfig("general", (480, 640), "depth", seed=9), 0).frame
    found = estimator.estimate([frame])[0]
    assert len(found) and found.skeleton == TOY
    assert found.xyz_cam_m is not None and np.isfinite(found.xyz_cam_m).any()

    words = ["evaluate", "--dataset", "toyset", "--root", str(_data_set(tmp_path / "set")), "--device", "cpu"]
    assert main([*words, "--model", str(weights), "--out", str(tmp_path / "scores")]) == 0
    assert json.loads((tmp_path / "scores" / "scores.json").read_text())["images"] == 3
    assert load_estimator("untrained:toynet_32x24", settings).info.input_hw == (24, 32)


@pytest.mark.usefixtures("_entries")
def test_maps_of_a_toy_skeleton_are_drawn_mirrored_and_decoded_by_its_own_joints() -> None:
    simulated = simulate_frame(StreamConfig("general", (480, 640), "depth", seed=4), 0)
    person = simulated.poses.select([0]).converted(TOY)
    assert (person.scores > 0).all()
    drawn = render_targets(person, (480, 640), (48, 64), skeleton=TOY)
    assert drawn.keypoint_maps.shape == (6, 48, 64) and drawn.paf_maps.shape == (10, 48, 64)
    found = decode_paf(drawn.keypoint_maps, drawn.paf_maps, (480, 640), skeleton=TOY)
    assert len(found) == 1 and found.skeleton == TOY
    np.testing.assert_allclose(found.xy_px, person.xy_px, atol=3.0)
    mirrored = render_targets(person.mirrored(640), (480, 640), (48, 64), skeleton=TOY)
    keypoint_maps, paf_maps = merged(
        np.stack([drawn.keypoint_maps, mirrored.keypoint_maps]),
        np.stack([drawn.paf_maps, mirrored.paf_maps]),
        TOY,
    )
    np.testing.assert_allclose(keypoint_maps[0], drawn.keypoint_maps, atol=1e-4)
    np.testing.assert_allclose(paf_maps[0], drawn.paf_maps, atol=1e-4)
    with pytest.raises(ValueError, match=r"expected keypoint_maps float32 \(19, h, w\)"):
        decode_paf(drawn.keypoint_maps, drawn.paf_maps, (480, 640))


@pytest.mark.usefixtures("_entries")
def test_a_skeleton_drives_the_channels_of_every_network_and_a_wrong_one_is_refused(tmp_path: Path) -> None:
    recipe = DepthPoseRecipe(model=ModelConfig(skeleton="toy5", width=0.0625))
    assert (recipe.model.paf_channels, recipe.model.keypoint_channels) == (10, 6)
    maps = build_model(recipe.model, seed=0).eval()(torch.zeros(1, 1, 48, 64)).stages[-1]
    assert maps.paf_maps.shape[1:] == (10, 48, 64) and maps.keypoint_maps.shape[1:] == (6, 48, 64)
    with pytest.raises(ValueError, match="no skeleton is called 'octopus'"):
        DepthPoseRecipe(model=ModelConfig(skeleton="octopus"))
    with pytest.raises(ValueError, match=r"no network is called 'octopus'.*toynet"):
        DepthPoseRecipe.for_network("octopus")
    with pytest.raises(ValueError, match="student: expected a network that answers with maps"):
        DepthPoseRecipe.for_network("student")
    with pytest.raises(ValueError, match="depthpose: expected a ModelConfig, got ToyConfig"):
        build_model(replace(ToyConfig(), architecture="depthpose"))
    lopsided = Skeleton("lopsided", ("left_hip", "right_hip", "left_knee"), ((0, 2),), (0.1, 0.1, 0.1))
    with pytest.raises(ValueError, match=r"no joint 'right_knee'|has no mirror image"):
        merged(np.zeros((2, 4, 2, 2), np.float32), np.zeros((2, 2, 2, 2), np.float32), lopsided)
    with pytest.raises(ValueError, match="each of 2 PAF channels once"):
        replace(lopsided, paf_channels=((0, 0),))


@pytest.mark.usefixtures("_entries")
def test_channels_that_do_not_fit_the_skeleton_are_refused(tmp_path: Path) -> None:
    from orpose_core.checkpoints.files import save_checkpoint

    odd = build_model(ToyConfig(skeleton="toy5"), seed=0)  # 38 and 19 channels
    save_checkpoint(tmp_path / "odd.safetensors", odd)
    with pytest.raises(ValueError, match="odd: expected 10 PAF and 6 keypoint channels for skeleton toy5"):
        load_estimator(tmp_path / "odd.safetensors")
