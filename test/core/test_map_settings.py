"""What a weights file says of how its maps are read, and who overrides it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from orpose_core.checkpoints.files import Checkpoint, load_checkpoint, save_checkpoint
from orpose_core.data.targets import render_targets
from orpose_core.decoding.paf import PafDecoderConfig
from orpose_core.decoding.visibility import with_visibility
from orpose_core.estimators import EstimatorConfig, PoseEstimator
from orpose_core.estimators.map_settings import Calibration, MapSettings, SigmaModel
from orpose_core.metrics.sigma_law import RADII_PX, radii_m
from orpose_core.models import FastPoseConfig, PoseMaps, StageMaps, build_model
from orpose_core.reports.model_card import write_card
from orpose_core.simulation import StreamConfig, simulate_frame
from orpose_core.skeleton import OPENPOSE18
from orpose_core.training.depthpose.sigma_calibration import (
    Errors,
    coverage,
    fitted,
    joint_errors,
    recalibrate,
)
from orpose_core.training.depthpose.threshold_choice import ReadingConfig
from orpose_core.types import Poses, RgbdFrame, Visibility

ONES = ((1.0, 1.0),) * 18
LINE = SigmaModel((0.0, 1.0), ((4.0, 2.0), (2.0, 1.0)), ONES)
SETTINGS = MapSettings(
    PafDecoderConfig(keypoint_threshold=0.11, min_person_score=0.23),
    Calibration(LINE, SigmaModel((0.0,), ((3.0,), (2.0,)), ONES), {"px_68": 0.7}, "some frames"),
)
CPU = EstimatorConfig("cpu", "torch", flip_test=False, half_precision=False, threads=1)


def crowd() -> tuple[RgbdFrame, Poses]:
    """Return a synthetic frame with hidden and visible joints of several people."""
    for index in range(100):
        simulated = simulate_frame(StreamConfig("or", (96, 128), "depth", 3), index)
        if len(simulated.poses) >= 2:
            return simulated.frame, simulated.poses
    raise AssertionError("the synthetic room is empty")


class Drawn(nn.Module):
    """Answers with the true maps of :func:`crowd`, visibility included."""

    def forward(self, images: Tensor) -> PoseMaps:
        targets = render_targets(crowd()[1], (96, 128), (48, 64))
        paf, keypoints, seen = (
            torch.from_numpy(np.stack([maps] * len(images)))
            for maps in (targets.paf_maps, targets.keypoint_maps, targets.visibility_maps)
        )
        return PoseMaps((StageMaps(paf, keypoints),), visibility_logits=20 * seen - 10)


def drawn(settings: MapSettings, config: EstimatorConfig = CPU) -> PoseEstimator:
    network = FastPoseConfig(visibility=True)
    return PoseEstimator(Checkpoint(Drawn(), network, "drawn", "", "", True, settings.header()), config)


def test_settings_survive_the_file(tmp_path: Path) -> None:
    model = build_model(FastPoseConfig(widths=(8, 8)), seed=0)
    save_checkpoint(tmp_path / "x.safetensors", model, SETTINGS.header())
    there = load_checkpoint(tmp_path / "x.safetensors")
    assert MapSettings.from_header(there.name, there.metadata) == SETTINGS
    assert MapSettings.from_header("x", {}) == MapSettings()


def test_the_card_says_what_the_file_says(tmp_path: Path) -> None:
    facts = {
        "images": 10, "steps": 1, "minutes": 1, "data": "the synthetic room", "domains": ["or"],
        "processes": 1, "threads": 1,
    }  # fmt: skip
    real = {
        "people": {"people": 8, "found": 7, "pck_strict": 91.2, "pck_swap_allowed": 93.0,
                   "most_extra_in_a_frame": 1, "extra_in_background": 4},
        "more": {"people": 5, "found": 4, "pck_strict": 55.0, "pck_swap_allowed": 66.0, "in_empty_rooms": 2,
                 "above": 6, "above_found": 3, "most_extra_in_a_frame": 1},
    }  # fmt: skip
    coverage = {"px_68": 0.75, "px_95": 0.91}
    assert SETTINGS.calibration is not None
    settings = replace(SETTINGS, calibration=replace(SETTINGS.calibration, coverage=coverage))
    path = tmp_path / "fastpose_64x48.safetensors"
    model = build_model(FastPoseConfig(widths=(8, 8)), seed=0)
    save_checkpoint(path, model, {"training": json.dumps(facts), **settings.header()})
    (tmp_path / "real.json").write_text(json.dumps(real))
    card = write_card(str(path), real=tmp_path / "real.json").read_text()
    assert "people 0.23" in card and "| `sigma_px` | 75 | 91 |" in card and "in some frames" in card
    assert "for errors that are normal" in card and "t distribution" not in card
    assert "7 found" in card and "3 of 6 people seen from straight above" in card


@pytest.mark.parametrize(
    "header",
    [
        {"decoder": "{"},
        {"decoder": json.dumps({"threshold": 1})},
        {"decoder": json.dumps({"keypoint_threshold": 7})},
        {"calibration": json.dumps({"px": 1})},
        {"calibration": json.dumps({"px": {"scores": [1, 0], "curves": [[1, 1], [1, 1]], "joints": []}})},
        {"calibration": "[]"},
    ],
)
def test_settings_that_make_no_sense_are_refused_by_name(header: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=r"some_weights: its header holds no (decoder|calibration) settings"):
        MapSettings.from_header("some_weights", header)


def test_thresholds_are_those_of_the_file_until_the_user_says_otherwise() -> None:
    frame, truth = crowd()
    strict = MapSettings(PafDecoderConfig(min_person_score=1.0))
    seen = int((truth.converted(OPENPOSE18).scores > 0).sum(axis=1).max())
    assert seen > 3
    assert len(drawn(MapSettings()).estimate([frame])[0]) >= 2
    assert len(drawn(strict).estimate([frame])[0]) == 0
    for config in (
        replace(CPU, decoder=PafDecoderConfig()),
        replace(CPU, decoder_changes={"min_person_score": 0.18}),
    ):
        assert len(drawn(strict, config).estimate([frame])[0]) >= 2


def test_changes_of_the_decoder_are_checked() -> None:
    with pytest.raises(ValueError, match=r"decoder_changes: unknown \['threshold'\]"):
        EstimatorConfig(decoder_changes={"threshold": 0.1})
    with pytest.raises(ValueError, match="min_joints: expected 1 or more, got 0"):
        EstimatorConfig(decoder_changes={"min_joints": 0})


def test_joints_say_whether_they_are_seen() -> None:
    frame, truth = crowd()
    (found,) = drawn(MapSettings()).estimate([frame])
    assert found.visibility is not None
    assert np.array_equal(found.visibility == Visibility.ABSENT, found.scores == 0)
    asked = truth.converted(OPENPOSE18)
    right = of = 0
    for one in range(len(found)):
        distance = np.nanmean(np.linalg.norm(asked.xy_px - found.xy_px[one], axis=-1), axis=1)
        there = (found.scores[one] > 0) & (asked.scores[distance.argmin()] > 0)
        right += int((found.visibility[one] == asked.visibility[distance.argmin()])[there].sum())
        of += int(there.sum())
    assert of > 20 and right / of > 0.9
    hidden = found.hidden_probability
    assert hidden is not None and np.array_equal(np.isnan(hidden), found.scores == 0)
    assert np.array_equal(hidden[found.scores > 0] >= 0.5, (found.visibility == 1)[found.scores > 0])
    assert {int(v) for v in np.unique(found.visibility)} >= {1, 2}


def test_visibility_of_the_mirror_is_that_of_the_other_side() -> None:
    rng = np.random.default_rng(0)
    _, truth = crowd()
    poses = truth.converted(OPENPOSE18)
    image = rng.normal(size=(18, 48, 64)).astype(np.float32)
    mirror = image[list(OPENPOSE18.flip_permutation), :, ::-1]
    there = poses.scores > 0

    def seen(logits: np.ndarray, mirror_logits: np.ndarray | None = None) -> np.ndarray:
        visibility = with_visibility(poses, logits, (96, 128), mirror_logits).visibility
        assert visibility is not None
        return visibility[there]

    assert 0.2 < (seen(image) == Visibility.VISIBLE).mean() < 0.8
    np.testing.assert_array_equal(seen(image, mirror), seen(image))
    np.testing.assert_array_equal(seen(image, 3 * -mirror), seen(-image))  # the surer one decides


def test_a_joint_at_the_border_is_read_within_the_maps() -> None:
    _, truth = crowd()
    poses = truth.converted(OPENPOSE18)
    edge = np.where(np.isnan(poses.xy_px), np.float32(np.nan), np.array([127.49, 95.49], np.float32))
    maps = np.full((18, 48, 64), np.float32(-1))
    maps[:, -1, -1] = 1.0
    seen = with_visibility(replace(poses, xy_px=edge), maps, (96, 128)).visibility
    assert seen is not None and set(np.unique(seen)) <= {Visibility.ABSENT, Visibility.VISIBLE}
    assert len(with_visibility(Poses.nobody(OPENPOSE18), maps, (96, 128))) == 0


def test_sigmas_are_those_of_the_calibration() -> None:
    frame, _ = crowd()
    (plain,), (true,) = (
        drawn(s).estimate([frame]) for s in (MapSettings(), MapSettings(calibration=SETTINGS.calibration))
    )
    there = true.scores > 0
    hidden = true.visibility == Visibility.OCCLUDED
    cells = np.where(hidden, 4 - 2 * true.scores, 2 - true.scores)
    np.testing.assert_allclose(true.sigma_px[there], 2 * cells[there], rtol=1e-5)  # a cell is 2 px wide
    assert np.isnan(true.sigma_px[~there]).all()
    known = there & np.isfinite(true.sigma_m) & np.isfinite(plain.sigma_m)
    assert known.any() and (true.sigma_m[known] > plain.sigma_m[known]).all()


def errors_of(score: np.ndarray, visible: np.ndarray, px: np.ndarray, sigma_px: np.ndarray) -> Errors:
    joint = np.arange(len(score)) % 18
    return Errors(joint, visible, score, px, sigma_px, px, sigma_px, np.full(len(score), 1 / 3))


def spread(rng: np.random.Generator, deviations: np.ndarray) -> np.ndarray:
    """Return errors of Student's t distribution with four degrees of freedom, (k, axes)."""
    normal = rng.normal(size=deviations.shape) * deviations * np.sqrt(0.5)
    return normal / np.sqrt(rng.chisquare(4, len(normal)) / 4)[:, None]


def test_the_fit_finds_how_wide_errors_are_at_each_score() -> None:
    rng = np.random.default_rng(0)
    score, visible = rng.uniform(0, 1, 40_000), rng.uniform(size=40_000) < 0.6
    width = np.where(visible, 1.0, 3.0) * (3.0 - 2.0 * score)
    px = np.linalg.norm(spread(rng, np.stack([width, width], axis=1)), axis=1)
    model = fitted(errors_of(score, visible, px, width), px, RADII_PX, OPENPOSE18)
    for at, value in zip(model.scores, model.curves[1], strict=True):
        assert value == pytest.approx(3.0 - 2.0 * at, rel=0.15)
    assert model.curves[0][5] == pytest.approx(6.0, rel=0.15)
    sigma = np.interp(score, model.scores, model.curves[1])
    sigma = np.where(visible, sigma, np.interp(score, model.scores, model.curves[0]))
    shares = coverage(errors_of(score, visible, px, sigma))
    assert shares["px_68"] == pytest.approx(0.68, abs=0.03)
    assert shares["px_visible_95"] == pytest.approx(0.95, abs=0.02)


def test_the_fit_in_space_follows_the_shape_of_each_error() -> None:
    rng = np.random.default_rng(0)
    across = np.exp(rng.uniform(-4, 1, 40_000))  # beside a deviation of 1 along the ray
    m = np.linalg.norm(spread(rng, np.stack([across, across, np.ones(40_000)], 1)), axis=1)
    variance = 2 * across**2 + 1
    ones = np.ones(40_000)
    errors = errors_of(0.5 * ones, ones > 0, m, np.sqrt(variance / 3))._replace(along=1 / variance)
    shares = coverage(errors)
    assert shares["m_68"] == pytest.approx(0.68, abs=0.01)
    assert shares["m_95"] == pytest.approx(0.95, abs=0.005)
    assert coverage(errors._replace(along=ones / 3))["m_68"] > 0.70
    model = fitted(errors, errors.m / errors.sigma_m, radii_m(errors.along), OPENPOSE18)
    assert 0.97 < model.curves[1][5] < 1.03


def test_few_errors_leave_the_factor_of_many() -> None:
    few = errors_of(np.full(40, 0.5), np.ones(40, bool), np.full(40, 2.0), np.ones(40))
    model = fitted(few, few.px, RADII_PX, OPENPOSE18)
    assert len(set(model.curves[0] + model.curves[1])) == 1 and model.joints == ONES


def test_a_file_is_calibrated_again_and_keeps_everything_else(tmp_path: Path) -> None:
    model = build_model(FastPoseConfig(widths=(8, 8)), seed=0)
    facts = {"training": "{}", "licence": "Apache-2.0"}
    path, copy = tmp_path / "x.safetensors", tmp_path / "y.safetensors"
    save_checkpoint(path, model, {**facts, **SETTINGS.header()}, half=True)
    config = ReadingConfig(domains=("or",), frames=1, size_hw=(96, 128))
    before, after = recalibrate(path, config, copy)
    assert before == SETTINGS.calibration and after != before
    assert (before.law, after.law) == ("normal", "t4")
    old, new = load_checkpoint(path), load_checkpoint(copy)
    settings = MapSettings.from_header("y", new.metadata)
    assert settings == MapSettings(SETTINGS.decoder, after)
    assert {key: new.metadata[key] for key in facts} == facts and new.config == old.config
    for name, tensor in old.model.state_dict().items():
        assert torch.equal(tensor, new.model.state_dict()[name]), name
    save_checkpoint(path, build_model(FastPoseConfig(widths=(8, 8), modality="color"), seed=0), facts)
    with pytest.raises(ValueError, match="maps of depth"):
        recalibrate(path, config)


def test_errors_are_those_of_matched_people() -> None:
    frame, truth = crowd()
    (found,) = drawn(MapSettings()).estimate([frame])
    empty = Poses.nobody(OPENPOSE18)
    assert coverage(joint_errors([truth], [empty], OPENPOSE18)) == {}
    errors = joint_errors([truth.select([]), truth], [empty, found], OPENPOSE18)
    assert len(errors.px) > 10 and np.median(errors.px) < 1.0
    assert np.isfinite(errors.m).any() and set(np.unique(errors.visible)) <= {True, False}
    known = np.isfinite(errors.sigma_m)
    assert (errors.along[known] == 1 / 3).all() and np.isnan(errors.along[~known]).all()
    along = joint_errors([truth], [found], OPENPOSE18, [frame.intrinsics]).along
    assert ((along[known] > 0.3) & (along[known] <= 1)).mean() > 0.8 and np.isnan(along[~known]).all()
