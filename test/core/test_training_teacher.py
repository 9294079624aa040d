"""Detector and keypoint network are trained for real, at miniature size, and judged as a teacher."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from orpose_core.checkpoints.keypoint_networks import load_keypoint_network
from orpose_core.checkpoints.weights_file import read_weights
from orpose_core.commands.recipes import parse, train
from orpose_core.decoding.top_down import crops_of, peaks_of
from orpose_core.metrics.calibration import reliability
from orpose_core.models.keypoint_networks import build_keypoint_network
from orpose_core.models.small_detectors import fcos_small
from orpose_core.reports.model_card import write_card
from orpose_core.reports.stage_card import stage_card
from orpose_core.reports.teacher_evaluation import (
    Look,
    TeacherFiles,
    best_box_score,
    evaluate_teacher,
    trained_domains,
)
from orpose_core.reports.teacher_report import RESULTS, write_teacher_report
from orpose_core.simulation import simulate_frame
from orpose_core.skeleton import COCO17
from orpose_core.teacher.detector import load_detector
from orpose_core.teacher.lifting import random_lifter, save_lifter
from orpose_core.training.augment.clutter import ClutterConfig, cluttered
from orpose_core.training.augment.color import ColorAugmentConfig, apply_affine, random_affine
from orpose_core.training.engine.recipe_run import facts_of_run
from orpose_core.training.engine.run_folder import RunFolder, RunState
from orpose_core.training.stages.detector import (
    DETECTOR,
    DetectorDataConfig,
    DetectorRecipe,
    DetectorSamples,
    DetectorTask,
    boxes_as_poses,
    collate_views,
    seen_boxes_of,
)
from orpose_core.training.stages.frames import frames_of
from orpose_core.training.stages.keypoints import (
    KEYPOINTS,
    KeypointDataConfig,
    KeypointSamples,
    KeypointsRecipe,
    KeypointTask,
    collate_crops,
    gaussian_maps,
    true_boxes,
)

RECIPES = Path(__file__).resolve().parents[2] / "training"
ENGINE = [
    "--engine.workers=0", "--engine.threads=1", "--engine.validate_steps=0", "--engine.batch=1",
    "--engine.half_precision=false", "--validation.frames=0",
]  # fmt: skip
DETECTOR_MINIATURE = [
    "--config", str(RECIPES / "detector_small.yaml"), *ENGINE, "--data.views=1", "--data.render_hw=[96,128]",
    "--validation.final_frames=0",
]  # fmt: skip
KEYPOINTS_MINIATURE = [
    "--config", str(RECIPES / "keypoints_small.yaml"), *ENGINE, "--model.input_hw=[64,32]", "--data.crops=2",
    "--model.deconvolution_channels=8", "--data.render_hw=[96,128]", "--validation.final_frames=2",
    "--validation.size_hw=[96,128]",
]  # fmt: skip
STILL = ColorAugmentConfig(0.0, 0.0, (1.0, 1.0), 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0)


def test_an_unchanged_view_has_the_boxes_of_the_simulation() -> None:
    data = DetectorDataConfig(render_hw=(120, 160), views=1, min_area_px=1, augment=STILL)
    (image, boxes), truth = DetectorSamples(data)[4][0], simulate_frame(data.stream(), 4)
    np.testing.assert_array_equal(image, truth.frame.rgb)
    np.testing.assert_allclose(boxes, truth.poses.boxes_px + 0.5)
    again = DetectorSamples(data)[4][0][0]
    np.testing.assert_array_equal(image, again)


def test_changed_views_keep_boxes_on_people_and_people_small() -> None:
    data = DetectorDataConfig(render_hw=(120, 160), views=6, largest_person=0.2)
    for image, boxes in DetectorSamples(data)[1]:
        assert image.shape == (120, 160, 3)
        sides = boxes[:, 2:] - boxes[:, :2]
        assert (sides > 0).all() and (sides.prod(axis=1) <= 0.2 * 120 * 160).all()


def test_clutter_hides_people_or_stays_behind_them() -> None:
    people = np.full((60, 80), -1, np.int16)
    people[10:50, 30:45] = 0
    rgb = np.full((60, 80, 3), 100, np.uint8)
    behind = ClutterConfig(1.0, in_front=0.0)
    image, seen = cluttered(rgb, people, np.random.default_rng(1), behind)
    np.testing.assert_array_equal(seen, people)
    assert (image[people == 0] == 100).all() and (image[people < 0] != 100).any()
    front = ClutterConfig(1.0, in_front=1.0, most_hidden=1.0, largest=0.5)
    seen = [cluttered(rgb, people, np.random.default_rng(k), front)[1] for k in range(20)]
    hidden = np.array([(s == 0).sum() for s in seen])
    assert (hidden < 600).any() and hidden.max() <= 600
    np.testing.assert_array_equal(seen_boxes_of(people, 1), [[30, 10, 45, 50]])
    assert seen_boxes_of(people, 601).shape == (0, 4)
    with pytest.raises(ValueError, match=r"clutter\.in_front"):
        ClutterConfig(in_front=2)


def test_the_affine_map_moves_points_as_it_moves_pixels() -> None:
    image = np.zeros((60, 80), np.uint8)
    image[20, 30] = 255
    for seed in range(4):
        config = ColorAugmentConfig(zoom=(2.0, 2.0), squash=0.3)
        matrix, _ = random_affine(np.random.default_rng(seed), config, (60, 80))
        moved = cv2.warpAffine(image, matrix, (80, 60), flags=cv2.INTER_LINEAR)
        x, y = apply_affine(np.array([30.0, 20.0]), matrix)
        if moved.any():
            brightest = np.unravel_index(moved.argmax(), moved.shape)
            assert np.hypot(brightest[1] - x, brightest[0] - y) < 1.0


def test_joints_of_a_crop_are_where_the_decoder_looks() -> None:
    """Cut out, drawn as maps and decoded, the joints are back in the image."""
    data = KeypointDataConfig(render_hw=(240, 320), crops=3, box_jitter=0.0, augment=STILL)
    sample, truth = KeypointSamples(data, (128, 96))[2], simulate_frame(data.stream(), 2)
    maps = gaussian_maps(torch.from_numpy(sample["xy_cells"]), (32, 24), 2.0).numpy()
    xy, heights = peaks_of(maps)
    poses = truth.poses.converted(COCO17)
    seen = np.flatnonzero((poses.visibility == 2).sum(axis=1) >= data.min_visible_joints)
    crops = crops_of(true_boxes(poses.select(seen[[0]])).boxes, (128, 96))
    there = (heights[0] > 0.9) & (poses.scores[seen[0]] > 0)
    assert there.sum() >= 4
    back = crops.to_image(xy[:1], (32, 24))[0]
    cell_px = crops.sizes_px[0, 0] / 24
    assert np.abs(back - poses.xy_px[seen[0]])[there].max() < 0.6 * cell_px
    assert (maps[np.isnan(sample["xy_cells"]).any(axis=-1)] == 0).all()


def test_mirrored_crops_exchange_left_and_right() -> None:
    only_mirrored = ColorAugmentConfig(**vars(STILL) | {"flip": 1.0})
    data = [KeypointDataConfig(crops=1, box_jitter=0.0, augment=a) for a in (STILL, only_mirrored)]
    plain, mirrored = (KeypointSamples(d, (128, 96))[2] for d in data)
    order = list(COCO17.flip_permutation)
    np.testing.assert_allclose(
        mirrored["xy_cells"][0, :, 0], 95 / 4 - plain["xy_cells"][0, order, 0], atol=1e-3
    )


def test_some_steps_lower_the_losses() -> None:
    stream = DetectorSamples(DetectorDataConfig(render_hw=(120, 160), views=1, augment=STILL))
    keypoints = parse("x", KeypointsRecipe, KEYPOINTS_MINIATURE).recipe
    crops = KeypointSamples(keypoints.data, keypoints.model.input_hw)
    torch.manual_seed(0)
    cases = (
        (DetectorTask(DetectorRecipe()), fcos_small(), collate_views([stream[4]])),
        (
            KeypointTask(keypoints),
            build_keypoint_network(keypoints.model.network()),
            collate_crops([crops[2]]),
        ),
    )
    for task, model, batch in cases:
        optimizer, losses = torch.optim.Adam(model.train().parameters(), 1e-3), []
        for _ in range(6):
            total = torch.stack(list(task.losses(model, batch).values())).sum()
            optimizer.zero_grad()
            total.backward()
            optimizer.step()
            losses.append(float(total.detach()))
        assert losses[-1] < 0.8 * losses[0], losses


@pytest.mark.parametrize("kind", ["detector", "keypoints"])
def test_resume_is_exact_and_the_export_is_a_stage(tmp_path: Path, kind: str) -> None:
    miniature = {"detector": DETECTOR_MINIATURE, "keypoints": KEYPOINTS_MINIATURE}[kind]
    assert train(kind, [*miniature, "--out", str(tmp_path / "whole"), "--engine.steps=2"]) == 0
    assert train(kind, [*miniature, "--out", str(tmp_path / "broken"), "--engine.steps=1"]) == 0
    assert train(kind, ["--resume", str(tmp_path / "broken"), "--engine.steps=2"]) == 0
    whole, broken = (RunFolder(tmp_path / name).load()[1] for name in ("whole", "broken"))
    for key, value in whole["model"].items():
        assert torch.equal(value, broken["model"][key]), key
    exported = tmp_path / "tiny.safetensors"
    assert train(kind, ["--resume", str(tmp_path / "broken"), "--export", str(exported)]) == 0
    image = np.random.default_rng(0).integers(0, 255, (96, 128, 3), np.uint8)
    card = write_card(str(exported)).read_text()
    assert "synthetic people only" in card and f"--{kind} tiny" in card
    if kind == "detector":
        detector = load_detector("fcos_small", exported)
        assert detector.info.trained and len(detector.detect([image])) == 1
        with pytest.raises(ValueError, match=r"tiny\.safetensors: expected a keypoint network"):
            load_keypoint_network(exported)
        with pytest.raises(ValueError, match=r"tiny\.safetensors: expected a detector of kind"):
            load_detector("fasterrcnn_resnet50_fpn", exported)
        return
    network = load_keypoint_network(exported)
    assert network.trained and network.config.input_hw == (64, 32) and network.config.layers == 10
    with pytest.raises(ValueError, match=r"tiny\.safetensors: expected a person detector"):
        load_detector("fcos_small", exported)


def test_bad_stage_files_are_named(tmp_path: Path) -> None:
    damaged = tmp_path / "cut.safetensors"
    damaged.write_bytes(b"12345678")
    for load in (lambda: load_detector("fcos_small", damaged), lambda: load_keypoint_network(damaged)):
        with pytest.raises(ValueError, match=r"cut\.safetensors: not a readable safetensors file"):
            load()
    save_lifter(tmp_path / "lifter.safetensors", random_lifter(width=8))
    with pytest.raises(ValueError, match=r"expected a person detector, .* got a lifter"):
        read_weights(tmp_path / "lifter.safetensors", "detector")
    with pytest.raises(ValueError, match="fcos_small: expected a file of weights"):
        load_detector("fcos_small")
    with pytest.raises(ValueError, match=r"network: expected one of \['fcos_small'\], got 'yolo'"):
        DetectorRecipe(network="yolo")


def test_training_can_start_from_earlier_weights(tmp_path: Path) -> None:
    recipe = parse("x", DetectorRecipe, DETECTOR_MINIATURE).recipe
    model = DETECTOR.build(recipe)
    seen = {
        "domains": ["general"], "steps": 1, "images": 4, "minutes": 0.1, "processes": 1, "threads": 1,
    }  # fmt: skip
    DETECTOR.write(model, None, recipe, {**seen, "licence": "MIT"}, tmp_path / "earlier.safetensors")
    again = parse("x", DetectorRecipe, [*DETECTOR_MINIATURE, "--init", str(tmp_path / "earlier.safetensors")])
    for key, value in DETECTOR.build(again.recipe).state_dict().items():
        torch.testing.assert_close(value, model.state_dict()[key], atol=1e-2, rtol=1e-2)
    later = str(tmp_path / "later.safetensors")
    DETECTOR.write(
        model, None, recipe, {**seen, **DETECTOR.facts(again.recipe), "domains": ["everyday"]}, Path(later)
    )
    files = TeacherFiles("fcos_small", later, later, later)
    assert trained_domains(files)["detector"] == ["everyday", "general"]
    assert "4 images (domain general) in 1 steps" in stage_card(later)
    assert read_weights(later).licence == "MIT", "weights that start from others keep their licence"


def test_keypoints_can_go_on_with_crops_of_another_size(tmp_path: Path) -> None:
    recipe = parse("x", KeypointsRecipe, KEYPOINTS_MINIATURE).recipe
    model = KEYPOINTS.build(recipe)
    earlier = tmp_path / "earlier.safetensors"
    KEYPOINTS.write(model, None, recipe, {"licence": "MIT"}, earlier)
    words = [*KEYPOINTS_MINIATURE, "--init", str(earlier), "--model.input_hw=[96,64]"]
    again = parse("x", KeypointsRecipe, words).recipe
    assert KEYPOINTS.facts(again)["licence"] == "MIT" and KEYPOINTS.facts(recipe)["licence"] == "Apache-2.0"
    larger = KEYPOINTS.build(again)
    for key, value in larger.state_dict().items():
        torch.testing.assert_close(value, model.state_dict()[key], atol=1e-2, rtol=1e-2)
    assert larger(torch.zeros(1, 3, 96, 64)).shape == (1, 17, 24, 16)
    for other in ("--model.layers=18", "--model.architecture=hrnet"):
        with pytest.raises(ValueError, match=r"earlier\.safetensors: expected .*, of any input_hw"):
            KEYPOINTS.build(parse("x", KeypointsRecipe, [*words, other]).recipe)


def test_a_card_says_on_what_it_was_trained(tmp_path: Path) -> None:
    recipe = parse("x", KeypointsRecipe, KEYPOINTS_MINIATURE).recipe
    model, run = KEYPOINTS.build(recipe), RunState(step=2, images=8, seconds=60.0, processes=2)
    facts = facts_of_run(KEYPOINTS, recipe, run) | {"threads": 3}
    KEYPOINTS.write(model, None, recipe, facts, tmp_path / "cores.safetensors")
    assert "2 steps, 1 minutes in 2 process(es) of 3 thread(s). The" in stage_card(
        tmp_path / "cores.safetensors"
    )
    for before, name, device in (("cores", "gpu", "Some GPU"), ("gpu", "later", "")):
        again = replace(recipe, init=tmp_path / f"{before}.safetensors")
        facts = facts_of_run(KEYPOINTS, again, replace(run, device=device))
        KEYPOINTS.write(model, None, again, facts, tmp_path / f"{name}.safetensors")
    assert "1 minutes on 2 x Some GPU, after 8 images" in stage_card(tmp_path / "gpu.safetensors")
    assert "in 2 steps and 1 minutes on Some GPU before that" in stage_card(tmp_path / "later.safetensors")


def test_calibration_of_known_answers() -> None:
    confidence = np.linspace(0.05, 0.95, 100)
    right = np.zeros(100)
    right[50:] = 1
    result = reliability(confidence, right, 1 - confidence)
    assert result.rank_correlation == pytest.approx(-1) and result.overall == 0.5
    assert result.ece == pytest.approx(0.2727, abs=1e-3)
    assert result.correct.tolist() == [0.0] * 5 + [1.0] * 5 and result.count.sum() == 100
    answers = [np.arange(100) < 20, np.arange(100) < 80]
    honest = reliability(np.repeat([0.2, 0.8], 100), np.concatenate(answers), groups=2)
    assert honest.ece == pytest.approx(0)
    assert np.isnan(honest.rank_correlation)
    with pytest.raises(ValueError, match="as many outcomes"):
        reliability(confidence, right[:5])
    with pytest.raises(ValueError, match="from 0 to 1"):
        reliability(confidence * 2, right)


def test_the_threshold_separates_people_from_clutter() -> None:
    frames = frames_of("general-val-v1", 3, (60, 80))
    found = []
    for poses in frames.truth:
        people = true_boxes(poses)
        wrong = np.tile([[0.0, 0.0, 3.0, 3.0]], (2, 1))
        boxes = type(people)(
            np.concatenate([people.boxes, wrong]), np.r_[np.full(len(people), 0.6), np.full(2, 0.4)]
        )
        found.append(boxes_as_poses(boxes))
    assert best_box_score(frames.truth, found) == pytest.approx(0.6)


def test_an_untrained_teacher_is_judged_and_written_up(tmp_path: Path) -> None:
    recipe = parse("x", DetectorRecipe, DETECTOR_MINIATURE).recipe
    DETECTOR.write(DETECTOR.build(recipe), None, recipe, {}, tmp_path / "detector.safetensors")
    argv = [
        *KEYPOINTS_MINIATURE,
        "--out",
        str(tmp_path / "run"),
        "--engine.steps=1",
        "--validation.final_frames=0",
    ]
    train("keypoints", argv)
    save_lifter(tmp_path / "lifter.safetensors", random_lifter(width=8))
    files = TeacherFiles(
        "fcos_small", str(tmp_path / "detector.safetensors"), str(tmp_path / "run/weights.safetensors"),
        str(tmp_path / "lifter.safetensors"),
    )  # fmt: skip
    frames = frames_of("or-val-v1", 2, (120, 160))
    looks = (Look("once"), Look("flip and scales", True, (96, 120), (1.0, 1.2)))
    results = evaluate_teacher(files, frames, frames_of("general-val-v1", 2, (120, 160)), looks)
    assert set(results["looks"]) == {"once", "flip and scales"}
    once = results["looks"]["once"]
    assert once["people"] == sum(map(len, frames.truth)) and 0 <= once["box_AP"] <= 1
    results |= {"split": "or-val-v1", "tuning_split": "general-val-v1", "tuning_frames": 2}
    (tmp_path / RESULTS).write_text(json.dumps(results, allow_nan=False))
    text = write_teacher_report(tmp_path, tmp_path / "docs/results.md")
    assert (tmp_path / "docs/images/results.png").stat().st_size > 1000
    assert text == (tmp_path / "docs/results.md").read_text() and "| once |" in text
    with pytest.raises(ValueError, match=r"expected the scores of a teacher"):
        write_teacher_report(tmp_path / "docs", tmp_path / "other.md")
