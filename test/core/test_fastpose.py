"""The fast network: any size, any stage, the same answers with and without norms, in batches and alone."""

from __future__ import annotations

import copy
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from orpose_core.checkpoints.files import load_checkpoint, save_checkpoint
from orpose_core.commands.recipes import parse, train
from orpose_core.estimators import PoseEstimator
from orpose_core.estimators.map_settings import MapSettings
from orpose_core.models import FastPose, FastPoseConfig, build_model, config_from_dict
from orpose_core.simulation import StreamConfig, simulate_frame
from orpose_core.skeleton import OPENPOSE18
from orpose_core.training.depthpose.batch_norm import (
    NormedConvolution,
    add_batch_norms,
    without_batch_norms,
)
from orpose_core.training.depthpose.losses import LossConfig, arm_channels, visibility_loss
from orpose_core.training.depthpose.recipe import DepthPoseRecipe, DepthPoseTask, gflops
from orpose_core.training.depthpose.samples import DataConfig, LabelledFrame, SampleMaker
from orpose_core.types import RgbdFrame

RECIPES = Path(__file__).resolve().parents[2] / "training"
SMALL = FastPoseConfig(
    input_hw=(24, 32), widths=(8, 16, 24), stem_channels=8, head_channels=8, visibility=True
)


def images(hw: tuple[int, int], count: int = 2, channels: int = 1) -> torch.Tensor:
    return torch.rand(count, channels, *hw, generator=torch.Generator().manual_seed(3))


def normed(config: FastPoseConfig = SMALL) -> torch.nn.Module:
    """Return a network with norms that have seen something."""
    model = add_batch_norms(build_model(config, seed=1)).train()
    for _ in range(3):
        model(images(config.input_hw, 4))
    return model.eval()


@pytest.mark.parametrize("hw", [(48, 64), (60, 80), (40, 53), (7, 5), (1, 1)])
@torch.no_grad()
def test_maps_have_the_size_of_the_image_whatever_it_is(hw: tuple[int, int]) -> None:
    maps = build_model(SMALL, seed=0).eval()(images(hw))
    assert len(maps.stages) == SMALL.stages and maps.sr_image is None
    for stage in maps.stages:
        assert stage.paf_maps.shape == (2, 38, *hw) and stage.keypoint_maps.shape == (2, 19, *hw)
    assert maps.visibility_logits is not None and maps.visibility_logits.shape == (2, 18, *hw)


@torch.no_grad()
def test_an_image_is_answered_alike_alone_and_in_a_batch() -> None:
    model, batch = normed(), images((24, 32), 3)
    together = model(batch).stages[-1].paf_maps
    for i in range(3):
        alone = model(batch[i : i + 1]).stages[-1].paf_maps
        torch.testing.assert_close(alone, together[i : i + 1], rtol=1e-4, atol=1e-6)


@torch.no_grad()
def test_a_cell_sees_the_whole_image() -> None:
    """Through the coarsest level: what is in one corner changes the answer in the other."""
    model, image = normed(FastPoseConfig(widths=(8, 8, 16, 16), stages=1)), images((48, 64), 1)
    changed = image.clone()
    changed[..., :8, :8] = 0
    difference = (model(image).stages[-1].paf_maps - model(changed).stages[-1].paf_maps).abs().amax(1)[0]
    assert difference[:8, :8].max() > 0 and difference[-8:, -8:].max() > 0


@torch.no_grad()
def test_no_return_is_told_from_nearness_by_the_validity_channel() -> None:
    with_it, without = (build_model(replace(SMALL, validity=v), seed=0).eval() for v in (True, False))
    assert with_it.stem[0].in_channels == 2 and without.stem[0].in_channels == 1
    nothing, near = torch.zeros(1, 1, 24, 32), torch.full((1, 1, 24, 32), 1e-7)
    assert not torch.allclose(
        with_it(nothing).stages[0].paf_maps, with_it(near).stages[0].paf_maps, rtol=1e-3
    )
    color = FastPose(replace(SMALL, modality="color"))
    assert color.stem[0].in_channels == 3 and color(images((24, 32), channels=3)).stages


def test_every_convolution_but_those_that_give_maps_has_a_norm_while_it_trains() -> None:
    plain, model = build_model(SMALL, seed=1), add_batch_norms(build_model(SMALL, seed=1))
    layers = [name for name, m in plain.named_modules() if isinstance(m, torch.nn.Conv2d)]
    normed_ones = {name for name, m in model.named_modules() if isinstance(m, NormedConvolution)}
    assert set(layers) - normed_ones == {
        "heads.0.maps", "heads.1.maps", "beliefs.0", "visibility"
    }  # fmt: skip
    assert normed_ones <= set(layers)


@torch.no_grad()
def test_norms_vanish_into_the_convolutions() -> None:
    model = normed()
    plain = without_batch_norms(model)
    assert not any(isinstance(m, torch.nn.BatchNorm2d) for m in plain.modules())
    assert set(plain.state_dict()) == set(build_model(SMALL).state_dict())
    wanted, got = model(images((24, 32))), plain(images((24, 32)))
    torch.testing.assert_close(got.stages[-1].paf_maps, wanted.stages[-1].paf_maps, rtol=1e-3, atol=1e-5)
    torch.testing.assert_close(got.visibility_logits, wanted.visibility_logits, rtol=1e-3, atol=1e-5)


def test_the_figures_that_the_documentation_gives() -> None:
    model = build_model(FastPoseConfig())
    assert sum(p.numel() for p in model.parameters()) == pytest.approx(3.94e6, rel=0.005)
    assert gflops(FastPoseConfig()) == pytest.approx(3.0, abs=0.1)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"architecture": "depthpose"}, "expected one of .'fastpose',., got 'depthpose'"),
        ({"modality": "sound"}, "modality"),
        ({"depth_range_m": 0.0}, "positive number, got 0"),
        ({"widths": ()}, "widths: expected at least one number"),
        ({"widths": (8, 0)}, r"got \(8, 0\)"),
        ({"stages": 0}, "stages: expected 1 to 16, got 0"),
        ({"head_channels": 0}, "head_channels: expected 1"),
        ({"dilations": (1, 2)}, r"dilations: expected one for each of \(48, 96, 160, 192\)"),
        ({"dilations": (1, 1, 1, 0)}, "dilations: expected 1 to 16"),
        ({"sr_scale": 9}, "sr_scale: expected 0 to 8, got 9"),
        ({"input_hw": (0, 64)}, r"positive \(height, width\), got \(0, 64\)"),
    ],
)
def test_a_config_that_cannot_be_built_is_refused(wrong: dict, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        FastPoseConfig(**wrong)


def test_images_of_other_channels_are_refused() -> None:
    with pytest.raises(ValueError, match=r"FastPose: expected images \(B, 1, H, W\), got \(2, 3, 24, 32\)"):
        build_model(SMALL)(images((24, 32), channels=3))


def test_a_file_brings_back_the_same_network(tmp_path: Path) -> None:
    model = build_model(SMALL, seed=4)
    save_checkpoint(tmp_path / "fast.safetensors", model)
    there = load_checkpoint(tmp_path / "fast.safetensors")
    assert there.config == SMALL and isinstance(there.model, FastPose)
    for name, value in model.state_dict().items():
        assert torch.equal(value, there.model.state_dict()[name])
    assert config_from_dict({"architecture": "fastpose", "widths": [8, 16]}).widths == (8, 16)
    with pytest.raises(ValueError, match="unknown \\['widht'\\]"):
        FastPoseConfig.from_dict({"widht": 3})


def test_names_of_untrained_networks() -> None:
    checkpoint = load_checkpoint("untrained:fastpose_53x40")
    assert checkpoint.config == FastPoseConfig(input_hw=(40, 53)) and not checkpoint.trained
    with pytest.raises(ValueError, match="expected the name of a network"):
        load_checkpoint("untrained:fastpose_64x48@0.5")


def test_frames_become_poses() -> None:
    estimator = PoseEstimator(load_checkpoint("untrained:fastpose_64x48"))
    frame = RgbdFrame(None, np.full((96, 128), 3.0, np.float32), None)
    (poses,) = estimator.estimate([frame])
    assert poses.skeleton == OPENPOSE18 and estimator.info.architecture == "fastpose"


def sample_of(frame: LabelledFrame, model: FastPoseConfig = SMALL) -> dict[str, torch.Tensor]:
    made = SampleMaker(DataConfig(), model)(frame, np.random.default_rng(0))
    return {name: torch.from_numpy(value)[None] for name, value in made.items()}


def simulated() -> LabelledFrame:
    for index in range(100):
        frame = simulate_frame(StreamConfig("or", (96, 128), "depth", 3), index)
        if len(frame.poses) >= 2:
            assert frame.frame.depth_m is not None
            return LabelledFrame(frame.frame.depth_m, frame.poses, np.zeros((0, 4), np.float32))
    raise AssertionError("the synthetic room is empty")


def test_it_learns_from_one_batch_where_joints_are_and_whether_they_are_seen() -> None:
    recipe = DepthPoseRecipe(model=SMALL, loss=LossConfig(hr_weight=0, foreground=4, visibility_weight=0.1))
    model, batch = add_batch_norms(build_model(SMALL, seed=0)).train(), sample_of(simulated())
    assert "high_resolution" not in batch and batch["visibility_maps"].shape == (1, 18, 24, 32)
    task, optimizer = DepthPoseTask(recipe, half=False), torch.optim.Adam(model.parameters(), 3e-3)
    losses = []
    for _ in range(25):
        parts = task.losses(model, batch)
        optimizer.zero_grad()
        sum(parts.values()).backward()
        optimizer.step()
        losses.append({name: float(part.detach()) for name, part in parts.items()})
    assert set(parts) == {"pose", "visibility"}
    assert all(losses[-1][name] < 0.8 * losses[0][name] for name in parts)


def test_a_super_resolved_image_teaches_the_features_and_is_never_made_in_use() -> None:
    config = replace(SMALL, sr_scale=4)
    recipe = DepthPoseRecipe(model=config, data=DataConfig(render_hw=(96, 128)), loss=LossConfig())
    model, batch = build_model(config, seed=0).train(), sample_of(simulated(), config)
    assert batch["high_resolution"].shape == (1, 1, 96, 128)
    parts = DepthPoseTask(recipe, half=False).losses(model, batch)
    parts["high_resolution"].backward()
    assert model.sr_image.weight.grad.abs().max() > 0 and model.stem[0].weight.grad.abs().max() > 0
    with torch.no_grad():
        assert model.eval()(batch["image"]).sr_image is None
    without = DepthPoseRecipe(model=config, loss=LossConfig(hr_weight=0)).network_config
    assert without == SMALL and "high_resolution" not in sample_of(simulated(), without)
    with pytest.raises(ValueError, match=r"L_HR compares images of \(96, 128\), 4 times"):
        DepthPoseRecipe(model=config, data=DataConfig(render_hw=(48, 64)))


@torch.no_grad()
def test_a_dilated_level_sees_further() -> None:
    seen = []
    for dilations in ((), (1, 3)):
        config = replace(SMALL, widths=(8, 8), stages=1, dilations=dilations)
        model, image = normed(config), torch.full((1, 1, 24, 32), 0.5)
        changed = image.clone()
        changed[0, 0, 12, 16] = 0.9
        maps = model(torch.cat([image, changed])).stages[0].paf_maps
        seen.append(int((maps[0] != maps[1]).any(0).sum()))
        assert maps.shape[-2:] == (24, 32)
    assert seen[1] > seen[0]


def test_visibility_costs_only_where_joints_are() -> None:
    batch = sample_of(simulated())
    right = torch.where(batch["visibility_maps"] > 0, 20.0, -20.0)
    assert float(visibility_loss(right, batch)) == pytest.approx(0, abs=1e-6)
    elsewhere = torch.where(batch["keypoint_maps"][:, :-1] > 0, right, -right)
    assert float(visibility_loss(elsewhere, batch)) == pytest.approx(0, abs=1e-6)
    assert float(visibility_loss(-right, batch)) > 10
    nobody = {**batch, "keypoint_maps": torch.zeros_like(batch["keypoint_maps"])}
    assert float(visibility_loss(-right, nobody)) == 0


def test_a_sample_knows_which_joints_are_seen() -> None:
    batch = sample_of(simulated())
    seen = float((batch["visibility_maps"] * batch["keypoint_maps"][:, :-1]).sum())
    assert 0.1 < seen / float(batch["keypoint_maps"][:, :-1].sum()) < 0.95


def test_the_arms_are_elbows_and_wrists_and_their_limbs() -> None:
    limbs, joints = arm_channels(OPENPOSE18)
    assert {OPENPOSE18.joints[j] for j in joints} == {
        f"{side}_{part}" for side in ("left", "right") for part in ("elbow", "wrist")
    }
    assert len(limbs) == 8 and len(set(limbs)) == 8  # two arms of two limbs of two channels


def test_visibility_is_trained_only_where_the_network_gives_it() -> None:
    with pytest.raises(ValueError, match=r"loss\.visibility_weight: expected 0 for fastpose"):
        DepthPoseRecipe(model=FastPoseConfig(), loss=LossConfig(visibility_weight=1.0))


def test_train_resume_and_export(tmp_path: Path) -> None:
    config, out = str(RECIPES / "fastpose_64x48.yaml"), tmp_path / "run"
    recipe = parse("x", DepthPoseRecipe, ["--config", config]).recipe
    assert recipe.model == FastPoseConfig(visibility=True) and recipe.data.cache.folder is not None
    argv = [
        "--config", config, "--out", str(out), "--model.widths=[8,16]", "--model.input_hw=[24,32]",
        "--data.render_hw=[48,64]", "--data.crop_hw=[16,20]", f"--data.cache.folder={tmp_path / 'frames'}",
        "--data.cache.frames=4", "--engine.workers=0", "--engine.threads=1", "--engine.batch=2",
        "--engine.validate_steps=0", "--validation.frames=2", "--validation.final_frames=2",
        "--reading.frames=2",
    ]  # fmt: skip
    assert train("depthpose", [*argv, "--engine.steps=2"]) == 0
    assert train("depthpose", ["--resume", str(out), "--engine.steps", "3"]) == 0
    results = json.loads((out / "results.json").read_text())
    assert results["recipe"]["model"]["architecture"] == "fastpose"
    assert (results["steps"], results["scores"]["frames"]) == (3, 12)  # a whole room
    exported = tmp_path / "fastpose_24x32.safetensors"
    assert train("depthpose", ["--resume", str(out), "--export", str(exported)]) == 0
    there = load_checkpoint(exported)
    settings = MapSettings.from_header(there.name, there.metadata)
    assert settings.calibration is not None and settings.calibration.coverage is not None
    assert there.trained and there.config.widths == (8, 16)
    again = load_checkpoint(out / "weights.safetensors").model.state_dict()
    assert all(torch.equal(value, again[name]) for name, value in copy.copy(there.model.state_dict()).items())
