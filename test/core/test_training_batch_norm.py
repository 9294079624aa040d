"""Batch normalisation that is there only while a network trains: put in, taken out, and nothing is lost."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import pytest
import torch
from torch import nn

from orpose_core.checkpoints.files import load_checkpoint
from orpose_core.commands.recipes import train
from orpose_core.models import ModelConfig, build_model
from orpose_core.training.depthpose.batch_norm import (
    NormedConvolution,
    add_batch_norms,
    keep_answers,
    without_batch_norms,
)
from orpose_core.training.engine.optimisation import MeanWeights

RECIPES = Path(__file__).resolve().parents[2] / "training"
SMALL = ModelConfig(width=0.125, sr_width=0.125, input_hw=(24, 32), refinement_stages=1)
ARCHITECTURES = [
    SMALL,
    ModelConfig("rtpose", width=0.125, full_hw=(96, 128), refinement_stages=1),
    ModelConfig("sr_rtpose", width=0.125, input_hw=(24, 32), refinement_stages=1),
]


def images(seed: int, count: int = 2) -> torch.Tensor:
    return torch.rand(count, 1, 24, 32, generator=torch.Generator().manual_seed(seed))


def last_maps(model: nn.Module, batch: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        stage = model.eval()(batch).stages[-1]
    return torch.cat([stage.paf_maps, stage.keypoint_maps], dim=1)


@pytest.mark.parametrize("config", ARCHITECTURES, ids=lambda c: c.architecture)
def test_every_convolution_before_a_relu_is_normed_and_no_other(config: ModelConfig) -> None:
    plain = build_model(config, seed=1)
    model = add_batch_norms(copy.deepcopy(plain))
    before_relu = [
        f"{name}.{i}"
        for name, block in plain.named_modules()
        if isinstance(block, nn.Sequential)
        for i in range(len(block) - 1)
        if isinstance(block[i], nn.Conv2d) and isinstance(block[i + 1], nn.ReLU)
    ]
    frozen = [name for name in before_relu if name.startswith("super_resolver")]  # stays as it was trained
    normed = [name for name, m in model.named_modules() if isinstance(m, NormedConvolution)]
    assert normed == [name for name in before_relu if name not in frozen]
    assert len(normed) > 20 and bool(frozen) == (config.architecture == "sr_rtpose")


@pytest.mark.parametrize("config", ARCHITECTURES, ids=lambda c: c.architecture)
def test_a_trained_network_answers_as_before(config: ModelConfig) -> None:
    plain = build_model(config, seed=1)
    model = add_batch_norms(copy.deepcopy(plain))
    wanted = last_maps(plain, images(0))
    keep_answers(model, [images(1), images(2)])
    for layer in (m for m in model.modules() if isinstance(m, NormedConvolution)):
        used = layer.norm.running_var > 1e-12
        assert used.any() and not torch.allclose(layer.norm.weight[used], torch.ones(1))
    torch.testing.assert_close(last_maps(model, images(0)), wanted, rtol=1e-3, atol=1e-5)
    with pytest.raises(ValueError, match="at least one batch"):
        keep_answers(model, [])


def test_norms_are_multiplied_into_the_convolutions() -> None:
    model = add_batch_norms(build_model(SMALL, seed=1)).train()
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    for i in range(3):  # statistics, scales and shifts away from where they start
        loss = model(images(i)).stages[-1].keypoint_maps.square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    plain = without_batch_norms(model)
    assert model.training and not plain.training
    assert list(plain.state_dict()) == list(build_model(SMALL).state_dict())
    assert plain.config == SMALL
    torch.testing.assert_close(last_maps(plain, images(9)), last_maps(model, images(9)), rtol=1e-3, atol=1e-5)
    again = without_batch_norms(plain)
    assert all(torch.equal(a, b) for a, b in zip(again.parameters(), plain.parameters(), strict=True))


def test_the_mean_of_the_weights_has_the_mean_of_the_statistics() -> None:
    norm = nn.BatchNorm2d(1)
    mean = MeanWeights(norm, 0.5)
    norm.running_mean.fill_(1.0)
    norm.num_batches_tracked.fill_(7)
    mean.update(norm)  # the first update weighs 1 - 1/10
    assert mean.model.running_mean.item() == pytest.approx(0.9)
    assert mean.model.num_batches_tracked.item() == 7
    mean.update(norm)
    assert mean.model.running_mean.item() == pytest.approx(0.9 + 0.1 * (1 - 2 / 11))


def test_what_is_saved_is_the_network_of_the_paper(tmp_path: Path) -> None:
    """Trained with norms, resumed, written without; and a plain network goes on with them."""
    miniature = [
        "--config", str(RECIPES / "depthpose_64x48_small.yaml"), "--model.width=0.125",
        "--model.input_hw=[24,32]", "--model.refinement_stages=1", "--data.render_hw=[192,256]",
        "--engine.workers=0", "--engine.threads=1", "--engine.batch=2", "--engine.validate_steps=0",
        "--validation.frames=0", "--validation.final_frames=2", "--batch_norm=true", "--data.crop_hw=[16,16]",
    ]  # fmt: skip
    first, second = tmp_path / "first", tmp_path / "second"
    assert train("depthpose", [*miniature, "--out", str(first), "--engine.steps=2"]) == 0
    assert train("depthpose", ["--resume", str(first), "--engine.steps", "4"]) == 0
    results = json.loads((first / "results.json").read_text())
    assert results["steps"] == 4 and results["recipe"]["batch_norm"] is True
    saved = load_checkpoint(first / "weights.safetensors")
    assert list(saved.model.state_dict()) == list(build_model(saved.config).state_dict())

    start = str(first / "weights.safetensors")
    more = [*miniature, "--out", str(second), "--init.weights", start, "--engine.steps=1", "--optim.lr=1e-9"]
    assert train("depthpose", more) == 0
    same = load_checkpoint(second / "weights.safetensors").model
    wanted = last_maps(saved.model, images(5))
    off = (last_maps(same, images(5)) - wanted).abs().mean()
    assert off < 0.2 * wanted.std(), "one step of next to no length changed the answers"

    before = json.loads((second / "results.json").read_text())["earlier"]
    assert [entry["steps"] for entry in before] == [4]
    (second / "weights.safetensors").replace(start)  # the file that the run began with is another one now
    assert train("depthpose", ["--resume", str(second), "--engine.steps", "2"]) == 0
    results = json.loads((second / "results.json").read_text())
    assert results["earlier"] == before and results["steps"] == 2
