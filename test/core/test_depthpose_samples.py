"""DepthPose's training samples, windows and augmentation, and the losses on them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from orpose_core.decoding.paf import decode_paf
from orpose_core.models import ModelConfig, PoseMaps, StageMaps, build_model
from orpose_core.simulation import SPLITS, StreamConfig, simulate_frame, split_config
from orpose_core.skeleton import BODY24, OPENPOSE18
from orpose_core.training.augment.depth import AugmentConfig, augmented, mirrored, zoomed
from orpose_core.training.depthpose.losses import LossConfig, hr_loss, pose_losses
from orpose_core.training.depthpose.recipe import DepthPoseRecipe, DepthPoseTask
from orpose_core.training.depthpose.samples import (
    DataConfig,
    LabelledFrame,
    SampleMaker,
    crop_corner,
    grid_of,
    true_sr_image,
)
from orpose_core.training.depthpose.streams import SimulatedSamples
from orpose_core.types import Poses

CHANNELS = torch.tensor(OPENPOSE18.paf_channels)
NO_CHANGE = AugmentConfig(0.0, (1.0, 1.0), 0.0, 0.0, 0.0, 0.0, 0.0)
SMALL = ModelConfig(width=0.125, sr_width=0.125, input_hw=(24, 32), refinement_stages=1)
PLAIN = replace(SMALL, sr_image=False)  # for frames smaller than the SR image


def simulated(seed: int = 3, size_hw: tuple[int, int] = (96, 128)) -> LabelledFrame:
    """Return a frame with at least two people, all of whose joints are in the image."""
    config = StreamConfig(domain="or", size_hw=size_hw, seed=seed)
    for index in range(100):
        frame = simulate_frame(config, index)
        if len(frame.poses) >= 2:
            assert frame.frame.depth_m is not None
            return LabelledFrame(frame.frame.depth_m, frame.poses, np.zeros((0, 4), np.float32))
    raise AssertionError("the synthetic room is empty")


def batch_of(sample: dict[str, np.ndarray]) -> dict[str, torch.Tensor]:
    return {name: torch.from_numpy(value)[None] for name, value in sample.items()}


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


def test_a_pattern_within_a_cell_costs() -> None:
    """What an average hides, the last pixel shuffle would be free to make."""
    image = torch.rand(2, 1, 16, 16)
    rows, columns = torch.meshgrid(torch.arange(16), torch.arange(16), indexing="ij")
    checkerboard = 0.3 * (1.0 - 2.0 * ((rows + columns) % 2))
    assert float(hr_loss(image + checkerboard, image)) == pytest.approx(0.09, rel=1e-4)
    assert float(hr_loss(image + 0.1, image)) == pytest.approx(0.01, rel=1e-4)
    with pytest.raises(ValueError, match=r"L_HR: expected a true image of \(2, 1, 16, 16\).*\(2, 1, 8, 8\)"):
        hr_loss(image, torch.nn.functional.avg_pool2d(image, 2))


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
