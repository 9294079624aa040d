"""DepthPose's recipes and commands, run at miniature size: read, train, resume, export, report."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from orpose_core.checkpoints.files import load_checkpoint, save_checkpoint
from orpose_core.commands.recipes import parse, train
from orpose_core.metrics.pck_interval import FrameCounts
from orpose_core.models import ModelConfig, build_model
from orpose_core.reports.depthpose_report import PUBLISHED, write_report
from orpose_core.reports.model_card import write_card
from orpose_core.training.depthpose.initialisation import InitConfig, initialise
from orpose_core.training.depthpose.recipe import DepthPoseRecipe, gflops
from orpose_core.training.engine.run_folder import RunFolder

RECIPES = Path(__file__).resolve().parents[2] / "training"
SMALL = ModelConfig(width=0.125, sr_width=0.125, input_hw=(24, 32), refinement_stages=1)
MINIATURE = [
    "--model.width=0.125", "--model.sr_width=0.125", "--model.input_hw=[24,32]",
    "--model.refinement_stages=1", "--data.render_hw=[192,256]", "--engine.workers=0", "--engine.threads=1",
    "--engine.batch=2", "--validation.frames=2", "--validation.final_frames=2", "--engine.validate_steps=0",
    "--data.crop_hw=null",
]  # fmt: skip


def test_recipes_are_read_and_name_the_rows_of_the_table() -> None:
    rows: dict[str, set[str]] = {"paper": set(), "small": set()}
    for path in sorted(RECIPES.glob("*.yaml")):
        if not path.stem.startswith(("depthpose", "rtpose", "sr_rtpose", "super_resolution", "tiny")):
            continue  # a recipe of something else
        recipe = parse("orpose train depthpose", DepthPoseRecipe, ["--config", str(path)]).recipe
        if recipe.row:
            kind = "small" if path.stem.endswith("_small") else "paper"
            if recipe.optim.name == "sgd":
                assert kind == "paper" and recipe.model.width == 1.0
                assert (recipe.optim.lr, recipe.optim.momentum, recipe.engine.batch) == (1e-3, 0.9, 12)
                assert (recipe.optim.step_at, recipe.engine.steps) == ((12_000,), 32_000)
                assert recipe.data.shrink_methods == ("bicubic",) and recipe.loss.foreground == 0
            rows[kind].add(recipe.row)
    assert rows["paper"] == rows["small"] == set(PUBLISHED)


def test_command_line_overrides_the_file_and_unknown_keys_are_errors(tmp_path: Path) -> None:
    config = str(RECIPES / "depthpose_64x48_small.yaml")
    command = parse("x", DepthPoseRecipe, ["--config", config, "--optim.lr", "0.5", "--max-minutes", "3"])
    assert command.recipe.optim.lr == 0.5 and command.recipe.engine.max_minutes == 3
    assert command.recipe.optim.name == "adamw" and command.out == Path("runs/depthpose_64x48_small")
    with pytest.raises(ValueError, match=r"optim\.lrr"):
        parse("x", DepthPoseRecipe, ["--config", config, "--optim.lrr", "0.5"])
    broken = tmp_path / "broken.yaml"
    broken.write_text("model:\n  widht: 0.5\n")
    with pytest.raises(ValueError, match="widht"):
        parse("x", DepthPoseRecipe, ["--config", str(broken)])
    with pytest.raises(ValueError, match="sr_rtpose needs"):
        parse("x", DepthPoseRecipe, ["--model.architecture", "sr_rtpose"])
    with pytest.raises(ValueError, match=r"is it a training run|is missing"):
        parse("x", DepthPoseRecipe, ["--resume", str(tmp_path)])


def test_depthpose_starts_with_the_whole_super_resolution_network(tmp_path: Path) -> None:
    resolver = build_model(replace(SMALL, architecture="super_resolution"), seed=3)
    save_checkpoint(tmp_path / "sr.safetensors", resolver)
    init = InitConfig(super_resolution=str(tmp_path / "sr.safetensors"))
    model, plain = build_model(SMALL, seed=1), build_model(replace(SMALL, sr_image=False), seed=1)
    initialise(model, init, seed=0)
    initialise(plain, init, seed=0)
    for name, value in resolver.state_dict().items():
        assert torch.equal(model.state_dict()[name], value), name
        assert name.startswith("c16.") or torch.equal(plain.state_dict()[name], value), name


def test_train_resume_export_card_and_report(tmp_path: Path) -> None:
    """The way of a row of Table 1, by the commands: train, go on, export, card, table."""
    config = str(RECIPES / "depthpose_64x48_small.yaml")
    out = tmp_path / "run"
    argv = ["--config", config, "--out", str(out), *MINIATURE]
    assert train("depthpose", [*argv, "--engine.steps=2"]) == 0
    assert RunFolder(out).load()[0].step == 2
    with pytest.raises(ValueError, match="there is a run already"):
        train("depthpose", [*argv, "--engine.steps=2"])
    with RunFolder(out).held(), pytest.raises(ValueError, match="another process is training"):
        train("depthpose", ["--resume", str(out), "--engine.steps", "3"])
    assert train("depthpose", ["--resume", str(out), "--engine.steps", "3"]) == 0
    results = json.loads((out / "results.json").read_text())
    assert (results["steps"], results["images"], results["row"]) == (3, 6, "DepthPose_64x48")
    assert results["scores"]["frames"] == 12 and 0 <= results["scores"]["pck_average"] <= 100
    assert results["processes"] == 1 and "earlier" not in results
    counts = FrameCounts.from_values(results["per_frame"])
    assert counts.average_pct()[0] == pytest.approx(results["scores"]["pck_average"])

    exported = tmp_path / "depthpose_24x32.safetensors"
    assert train("depthpose", ["--resume", str(out), "--export", str(exported)]) == 0
    mine, theirs = load_checkpoint(exported), load_checkpoint(out / "weights.safetensors")
    assert mine.trained and mine.config.input_hw == (24, 32)
    for name, weights in mine.model.state_dict().items():
        assert torch.equal(weights, theirs.model.state_dict()[name])
    card = write_card(str(exported)).read_text()
    assert mine.sha256 in card and "6 images" in card

    text = write_report([out], tmp_path / "table.md", threads=1)
    assert "| DepthPose_64x48 |" in text and "<sub>66.5</sub>" in text and "| RTPose_64x48 |" not in text
    assert f"{gflops(mine.config):.1f}" in text and "Not run: RTPose_640x480" in text
    assert (tmp_path / "table.md").read_text() == text
    with pytest.raises(ValueError, match="more than once"):
        write_report([out, out], tmp_path / "table.md")
    with pytest.raises(ValueError, match="expected the results of a finished run"):
        write_report([tmp_path], tmp_path / "table.md")


def test_super_resolution_is_frozen_in_front_of_rtpose(tmp_path: Path) -> None:
    sr = tmp_path / "sr"
    config = str(RECIPES / "super_resolution_64x48_small.yaml")
    assert train("depthpose", ["--config", config, "--out", str(sr), *MINIATURE, "--engine.steps=2"]) == 0
    weights = sr / "weights.safetensors"
    config, out = str(RECIPES / "sr_rtpose_64x48_small.yaml"), tmp_path / "run"
    argv = ["--config", config, "--out", str(out), *MINIATURE, "--init.super_resolution", str(weights)]
    assert train("depthpose", [*argv, "--engine.steps=2"]) == 0
    before, after = load_checkpoint(weights).model, load_checkpoint(out / "weights.safetensors").model
    for name, value in before.state_dict().items():
        assert torch.equal(value, after.super_resolver.state_dict()[name]), name
    with pytest.raises(ValueError, match="do not fit the network"):
        train("depthpose", [*argv, "--out", str(tmp_path / "other"), "--model.sr_width", "0.25"])
