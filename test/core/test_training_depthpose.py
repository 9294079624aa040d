"""DepthPose's recipes for real, at miniature size: data, losses, a few steps, resume, export, report."""

from __future__ import annotations

import importlib.util
import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from orpose_core.checkpoints.files import load_checkpoint, save_checkpoint
from orpose_core.commands.recipes import parse, train
from orpose_core.decoding.paf import decode_paf
from orpose_core.metrics.pck_interval import FrameCounts
from orpose_core.models import ModelConfig, PoseMaps, StageMaps, build_model
from orpose_core.reports.depthpose_report import PUBLISHED, Row, report, write_report
from orpose_core.reports.model_card import write_card
from orpose_core.reports.pages import number, table, verdict
from orpose_core.simulation import SPLITS, StreamConfig, simulate_frame, split_config
from orpose_core.skeleton import BODY24, OPENPOSE18
from orpose_core.training.augment.depth import AugmentConfig, augmented, mirrored, zoomed
from orpose_core.training.depthpose.initialisation import InitConfig, initialise
from orpose_core.training.depthpose.losses import LossConfig, hr_loss, pose_losses
from orpose_core.training.depthpose.recipe import DepthPoseRecipe, DepthPoseTask, gflops
from orpose_core.training.depthpose.samples import (
    DataConfig,
    LabelledFrame,
    SampleMaker,
    crop_corner,
    grid_of,
    true_sr_image,
)
from orpose_core.training.depthpose.streams import SimulatedSamples
from orpose_core.training.engine.recipe_run import recipe_values
from orpose_core.training.engine.run_folder import RunFolder
from orpose_core.types import Poses

RECIPES = Path(__file__).resolve().parents[2] / "training"
CHANNELS = torch.tensor(OPENPOSE18.paf_channels)
NO_CHANGE = AugmentConfig(0.0, (1.0, 1.0), 0.0, 0.0, 0.0, 0.0, 0.0)
SMALL = ModelConfig(width=0.125, sr_width=0.125, input_hw=(24, 32), refinement_stages=1)
PLAIN = replace(SMALL, sr_image=False)  # for frames smaller than the SR image
MINIATURE = [
    "--model.width=0.125", "--model.sr_width=0.125", "--model.input_hw=[24,32]",
    "--model.refinement_stages=1", "--data.render_hw=[192,256]", "--engine.workers=0", "--engine.threads=1",
    "--engine.batch=2", "--validation.frames=2", "--validation.final_frames=2", "--engine.validate_steps=0",
    "--data.crop_hw=null",
]  # fmt: skip


def simulated(seed: int = 3, size_hw: tuple[int, int] = (96, 128)) -> LabelledFrame:
    """Return a frame with at least two people, all of whose joints are in the image."""
    config = StreamConfig(domain="or", size_hw=size_hw, seed=seed)
    for index in range(100):
        frame = simulate_frame(config, index)
        if len(frame.poses) >= 2:
            assert frame.frame.depth_m is not None
            return LabelledFrame(frame.frame.depth_m, frame.poses, np.zeros((0, 4), np.float32))
    raise AssertionError("the synthetic room is empty")


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


def test_a_sample_is_a_function_of_its_number_and_decodes_to_its_people() -> None:
    data = DataConfig(domains=("or",), render_hw=(192, 256), augment=NO_CHANGE, shrink_methods=("median",))
    model = ModelConfig(input_hw=(48, 64), sr_image=False)
    stream = SimulatedSamples(data, model)
    first, again = stream[5], SimulatedSamples(data, model)[5]
    assert all(np.array_equal(first[name], again[name]) for name in first)
    assert not np.array_equal(first["image"], stream[6]["image"])
    assert first["image"].shape == (1, 48, 64) and "high_resolution" not in first
    assert first["image"].min() >= 0 and first["image"].max() <= 1
    frame = stream.frame(5, np.random.default_rng([data.seed, 5]))
    truth = frame.poses.converted(OPENPOSE18)
    found = decode_paf(first["keypoint_maps"], first["paf_maps"], (192, 256))
    assert len(truth) and abs(len(found) - len(truth)) <= 1
    distance = np.linalg.norm(found.xy_px[:, None] - truth.xy_px[None], axis=-1)
    assert np.nanmin(np.nanmedian(distance, axis=-1), axis=1).max() < 2.0


def test_training_never_sees_the_benchmark() -> None:
    """No seed that a training stream accepts gives a frame of a benchmark split."""
    for split in SPLITS:
        benchmark = simulate_frame(split_config(split, (48, 64), "depth"), 0)
        for seed in (0, 1, 2**32 - 1):
            own = simulate_frame(StreamConfig(SPLITS[split].domain, (48, 64), seed=seed, rig="mvor"), 0)
            assert not np.array_equal(own.true_depth_m, benchmark.true_depth_m, equal_nan=True)
    with pytest.raises(ValueError, match="seed"):
        StreamConfig(seed=2**32)


def test_mirror_twice_is_nothing_and_moves_left_to_right() -> None:
    frame = simulated()
    depth_m, poses = mirrored(*mirrored(frame.depth_m, frame.poses))
    np.testing.assert_array_equal(depth_m, frame.depth_m)
    np.testing.assert_allclose(poses.xy_px, frame.poses.xy_px, atol=1e-4)
    np.testing.assert_allclose(poses.boxes_px, frame.poses.boxes_px, atol=1e-4)
    once = mirrored(frame.depth_m, frame.poses)[1]
    left, right = BODY24.index("left_wrist"), BODY24.index("right_wrist")
    np.testing.assert_allclose(once.xy_px[:, left, 0], 127 - frame.poses.xy_px[:, right, 0], atol=1e-4)


def test_zoom_keeps_joints_on_their_pixels() -> None:
    depth_m = np.full((60, 80), 5.0, np.float32)
    depth_m[20:23, 30:33] = 2.0  # the joint's surface
    xy_px = np.full((1, len(BODY24), 2), np.nan, np.float32)
    xy_px[0, 0], xy_px[0, 1] = (31, 21), (2, 2)
    scores = np.isfinite(xy_px[..., 0]).astype(np.float32)
    poses = Poses(BODY24, xy_px, scores, np.ones(1, np.float32), np.array([[0, 0, 79, 59]], np.float32))
    moved, there = zoomed(depth_m, poses, 2.0, np.array([5, -3], np.float32))
    x, y = np.rint(there.xy_px[0, 0]).astype(int)
    assert moved[y, x] == 2.0 and there.scores[0, 1] == 0  # the other joint left the image
    smaller, _ = zoomed(depth_m, poses, 0.5, np.zeros(2, np.float32))
    assert np.isnan(smaller[0, 0]) and np.isfinite(smaller[30, 40])


def test_augmentation_is_repeatable_and_can_be_off() -> None:
    frame = simulated()
    once = augmented(frame.depth_m, frame.poses, np.random.default_rng(4), AugmentConfig())
    again = augmented(frame.depth_m, frame.poses, np.random.default_rng(4), AugmentConfig())
    np.testing.assert_array_equal(once[0], again[0])
    same = augmented(frame.depth_m, frame.poses, np.random.default_rng(4), NO_CHANGE)
    np.testing.assert_array_equal(same[0], frame.depth_m)
    np.testing.assert_allclose(same[1].xy_px, frame.poses.xy_px, atol=1e-4)


def batch_of(sample: dict[str, np.ndarray]) -> dict[str, torch.Tensor]:
    return {name: torch.from_numpy(value)[None] for name, value in sample.items()}


def test_the_right_maps_cost_nothing_and_masked_people_neither() -> None:
    frame = simulated()
    sample = SampleMaker(DataConfig(augment=NO_CHANGE), PLAIN)(frame, np.random.default_rng(0))
    batch = batch_of(sample)
    right = StageMaps(batch["paf_maps"], batch["keypoint_maps"])
    config = LossConfig(foreground=3.0)
    assert float(pose_losses(PoseMaps((right, right)), batch, CHANNELS, config)) == 0
    wrong = StageMaps(right.paf_maps + 0.5, right.keypoint_maps)
    one = pose_losses(PoseMaps((wrong,)), batch, CHANNELS, LossConfig())
    assert float(one) == pytest.approx(0.25, rel=1e-5)
    assert float(pose_losses(PoseMaps((wrong, wrong)), batch, CHANNELS, LossConfig())) == pytest.approx(0.5)
    assert pose_losses(PoseMaps((wrong,)), batch, CHANNELS, config) > one  # limbs weigh more
    masked = {**batch, "mask": torch.zeros_like(batch["mask"])}
    assert float(pose_losses(PoseMaps((wrong,)), masked, CHANNELS, config)) == 0

    everyone = np.concatenate([frame.poses.boxes_px])
    hidden = LabelledFrame(frame.depth_m, frame.poses.select([]), everyone)
    mask = SampleMaker(DataConfig(augment=NO_CHANGE), PLAIN)(hidden, np.random.default_rng(0))["mask"]
    x1, y1, x2, y2 = everyone[0] / 4
    assert mask[0, int((y1 + y2) / 2), int((x1 + x2) / 2)] == 0 and mask.max() == 1


@pytest.mark.parametrize(
    ("model", "crop_hw"),
    [
        (PLAIN, (16, 20)),
        (replace(SMALL, architecture="rtpose", full_hw=(240, 320)), (16, 20)),  # maps of 30x40
        (replace(SMALL, architecture="rtpose", input_hw=(96, 128), full_hw=(96, 128)), (64, 80)),
    ],
    ids=["depthpose", "enlarged", "full resolution"],
)
def test_a_crop_is_a_window_of_the_whole_sample_mostly_around_somebody(
    model: ModelConfig, crop_hw: tuple[int, int]
) -> None:
    """And the network gives maps of the window's size."""
    whole = DataConfig(domains=("or",), render_hw=(96, 128), crowd=2)
    grid = grid_of(SimulatedSamples(whole, model)[0])
    rows, columns = (n * c // i for n, c, i in zip(grid, crop_hw, model.input_hw, strict=True))
    found, with_somebody = 0, 0
    for i in range(20):
        image = SimulatedSamples(whole, model)[i]
        window = SimulatedSamples(replace(whole, crop_hw=crop_hw), model)[i]
        assert window["image"].shape == (1, *crop_hw)
        for row in range(grid[0] - rows + 1):
            for column in range(grid[1] - columns + 1):
                found += all(
                    np.array_equal(part, _part(image[name], grid, (row, column), (rows, columns)))
                    for name, part in window.items()
                )
        with_somebody += window["keypoint_maps"][:-1].max() > 0.5
    assert found >= 20 and with_somebody >= 15
    with torch.no_grad():
        maps = build_model(model, seed=0).eval()(torch.from_numpy(window["image"])[None]).stages[-1]
    assert maps.paf_maps.shape[1:] == window["paf_maps"].shape


def _part(
    array: np.ndarray, grid: tuple[int, int], corner: tuple[int, int], size: tuple[int, int]
) -> np.ndarray:
    """Return the rows and columns of a grid over an array (c, h, w)."""
    height, width = array.shape[-2] // grid[0], array.shape[-1] // grid[1]
    (row, column), (rows, columns) = corner, size
    return array[..., row * height : (row + rows) * height, column * width : (column + columns) * width]


def test_crops_lie_inside_and_what_cannot_be_cut_is_refused() -> None:
    corners = [
        crop_corner(np.array([[0.1, 0.9]]), (48, 64), (32, 40), np.random.default_rng(i)) for i in range(200)
    ]
    rows, columns = np.array(corners).T
    assert rows.min() == 0 and rows.max() <= 16 and columns.min() >= 0 and columns.max() == 24
    assert np.mean(columns == 24) > 0.8, "somebody at the right border is seen"
    assert crop_corner(np.zeros((0, 2)), (48, 64), (48, 64), np.random.default_rng(0)) == (0, 0)
    for model, crop_hw, steps in (
        (PLAIN, (24, 34), r"\(1, 1\) up to \(24, 32\)"),
        (replace(SMALL, architecture="rtpose", full_hw=(240, 320)), (17, 20), r"\(4, 4\)"),
    ):
        data = DataConfig(render_hw=(96, 128), crop_hw=crop_hw)
        with pytest.raises(ValueError, match=rf"data.crop_hw: expected multiples of {steps}"):
            SimulatedSamples(data, model)[0]


def test_a_pattern_within_a_cell_costs() -> None:
    """What an average hides, the last pixel shuffle would be free to make."""
    image = torch.rand(2, 1, 16, 16)
    rows, columns = torch.meshgrid(torch.arange(16), torch.arange(16), indexing="ij")
    checkerboard = 0.3 * (1.0 - 2.0 * ((rows + columns) % 2))
    assert float(hr_loss(image + checkerboard, image)) == pytest.approx(0.09, rel=1e-4)
    assert float(hr_loss(image + 0.1, image)) == pytest.approx(0.01, rel=1e-4)
    with pytest.raises(ValueError, match=r"L_HR: expected a true image of \(2, 1, 16, 16\).*\(2, 1, 8, 8\)"):
        hr_loss(image, torch.nn.functional.avg_pool2d(image, 2))


def test_the_true_image_of_l_hr_has_the_size_of_the_super_resolved_one() -> None:
    model = replace(SMALL, input_hw=(6, 8))
    depth_m = np.full((96, 128), 4.0, np.float32)
    depth_m[:, 64:] = 2.0
    depth_m[0, :3] = np.nan
    true = true_sr_image(depth_m, model)
    assert true.shape == (1, 48, 64) and true[0, 0, 0] == pytest.approx(0.5, abs=1 / 255)
    assert true[0, 0, 1] == pytest.approx(0.5, abs=1 / 255) and true[0, 9, 40] == pytest.approx(
        0.25, abs=1 / 255
    )
    with pytest.raises(ValueError, match=r"at least \(48, 64\), 8 times the input \(6, 8\), got \(24, 32\)"):
        true_sr_image(depth_m[::4, ::4], model)
    small = DataConfig(render_hw=(96, 128))
    with pytest.raises(ValueError, match=r"data.render_hw: L_HR compares images of \(384, 512\)"):
        DepthPoseRecipe(data=small)
    assert not DepthPoseRecipe(data=small, loss=LossConfig(hr_weight=0.0)).network_config.sr_image


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


@pytest.mark.parametrize("architecture", ["depthpose", "rtpose", "super_resolution"])
def test_every_architecture_learns_from_one_batch(architecture: str) -> None:
    model_config = replace(SMALL, architecture=architecture, full_hw=(96, 128))
    hr = 0.0 if architecture == "rtpose" else 1.0
    recipe = DepthPoseRecipe(model=model_config, loss=LossConfig(hr_weight=hr))
    model = build_model(model_config, seed=0).train()
    batch = batch_of(
        SampleMaker(DataConfig(augment=NO_CHANGE), model_config)(
            simulated(size_hw=(192, 256)), np.random.default_rng(0)
        )
    )
    task, optimizer = DepthPoseTask(recipe, half=False), torch.optim.Adam(model.parameters(), 1e-3)
    losses = []
    for _ in range(25):
        parts = task.losses(model, batch)
        total = torch.stack(list(parts.values())).sum()
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
        losses.append(float(total.detach()))
    wanted = {"depthpose": {"pose", "high_resolution"}, "rtpose": {"pose"}}.get(
        architecture, {"high_resolution"}
    )
    assert set(parts) == wanted
    assert losses[-1] < 0.8 * losses[0]


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


def test_the_table_says_which_findings_show() -> None:
    """Of results as runs write them; runs that are not alike give no findings."""
    rows = [
        Row(name, {"steps": 3, "images": 6, "domains": ["or"], "processes": 1, "scores": scores(average),
                   "images_per_s": 1.0, "share_waiting_for_data": 0.0, "minutes": 1.0, "data": "rooms",
                   "recipe": recipe_values(DepthPoseRecipe())}, 10, 1.0, 1.0)
        for name, average in (("RTPose_640x480", 50.0), ("RTPose_64x48", 45.0), ("DepthPose_64x48", 49.2))
    ]  # fmt: skip
    text = report(rows, threads=1)
    assert "**shows**: DepthPose_64x48 is -0.8 points above RTPose_640x480" in text
    assert "**shows**: DepthPose_64x48 is +4.2 points above RTPose_64x48 (wanted +4 or more" in text
    assert "SR+RTPose_64x48 (wanted" not in text and "the best average is 50.0" in text
    assert ", between" not in text
    for row, correct in zip(rows, (50, 45, 49), strict=True):
        row.results["per_frame"] = {"correct": [[correct] * 10, [0] * 10], "counted": [[100] * 10, [0] * 10]}
    assert ", between" not in report(rows, threads=1)  # it was not recorded which room a frame shows
    for row in rows:
        row.results["per_frame"]["room"] = [0, 1]
    assert "above RTPose_64x48, between +4.0 and +4.0 (wanted" in report(rows, threads=1)
    again = replace(rows[2], results=json.loads(json.dumps(rows[2].results)))
    again.results["recipe"]["engine"]["seed"] = 1
    again.results["scores"] = scores(47.2)
    again.results["per_frame"]["correct"] = [[47] * 10, [0] * 10]
    text = report([*rows, again], threads=1)
    assert "DepthPose_64x48 is +3.2 points above RTPose_64x48, between +2.0 and +4.0 (wanted" in text
    assert "with 1 or 2 seeds" in text and "| 49.2, 47.2 |" in text and "**DepthPose_64x48** (seed 1)" in text
    rows[2].results["scores"] = scores(48.9)
    assert "**does not show**: DepthPose_64x48 is +3.9 points above RTPose_64x48" in report(rows, threads=1)
    rows[2].results["window_hw"] = [32, 40]
    assert "not alike in: windows" in report(rows, threads=1) and "**shows**" not in report(rows, threads=1)


def scores(average: float) -> dict[str, float]:
    parts = ("head", "shoulder", "hip", "elbow", "wrist", "average")
    return {f"pck_{part}": average for part in parts} | {"strict_pck_average": average, "frames": 2}


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


def test_the_real_depth_check_counts_what_it_says(realdata: Path) -> None:
    """Fed with the true people, their mirror twins and a stranger, not with a network."""
    spec = importlib.util.spec_from_file_location(
        "real_depth_people", RECIPES.parent / "benchmarks/real_depth_people.py"
    )
    assert spec is not None and spec.loader is not None
    check = importlib.util.module_from_spec(spec)
    sys.modules["real_depth_people"] = check
    spec.loader.exec_module(check)
    frames = check.read_frames(realdata, check.SETS["people"])
    assert [len(frame.truth) for frame in frames] == [5, 1, 1, 1]
    for frame in frames:
        found = frame.truth.converted(OPENPOSE18)
        counts = check.score_frame(frame, found)
        assert counts["found"] == counts["people"] == len(frame.truth)
        # the head is where the eyes are, and this skeleton was given none
        heads = int((frame.truth.scores[:, 0] > 0).sum())
        assert counts["correct"] == counts["joints"] - heads and counts["extra"] == 0
        twins = replace(
            found,
            xy_px=found.xy_px[:, list(OPENPOSE18.flip_permutation)],
            scores=found.scores[:, list(OPENPOSE18.flip_permutation)],
        )
        swapped = check.score_frame(frame, twins)
        assert swapped["correct"] < swapped["correct_swap_allowed"] == counts["correct"]
        stranger = replace(found, xy_px=np.clip(found.xy_px / 20, 0, 20))
        lost = check.score_frame(frame, stranger)
        assert lost["found"] == 0 and lost["extra"] + lost["extra_in_background"] == len(frame.truth)
    more = check.read_frames(realdata, check.SETS["more"])
    assert [len(frame.truth) for frame in more] == [2, 1, 1, 1, *[0] * 7]
    nobody, above = more[4], more[5]
    found = frames[1].truth.converted(OPENPOSE18)
    assert check.score_frame(nobody, found) == {"empty": 1, "extra": 1}
    assert check.score_frame(nobody, found.select([])) == {"empty": 1, "extra": 0}
    row, column = np.unravel_index(np.nanargmin(above.depth_m), above.depth_m.shape)
    there = np.where(np.isnan(found.xy_px), np.float32(np.nan), np.array([column, row], np.float32))
    assert check.score_frame(above, replace(found, xy_px=there)) == {"above": 1, "above_found": 1, "extra": 0}
    assert check.score_frame(above, found.select([]))["above_found"] == 0


def test_tables_and_verdicts_are_written_in_one_way() -> None:
    assert (
        table(["", "AP"], [["all", "1.0"], ["none", ""]]) == "| | AP |\n|---|---|\n| all | 1.0 |\n| none | |"
    )
    assert [verdict(True), verdict(False, True), verdict(False)] == [
        "**shows**", "**shows in part**", "**does not show**"
    ]  # fmt: skip
    assert verdict(True, can_tell=False) == "**cannot tell**"
    assert number(None) == "-" and number(0.1234, 1, 100) == "12.3"
