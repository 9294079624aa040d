"""The lifter is trained for real, at miniature size: bodies, noise, Human3.6M's file, resume, export."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from orpose_core.commands.recipes import parse, train
from orpose_core.data.human36m import read_human36m
from orpose_core.reports.model_card import write_card
from orpose_core.skeleton import BODY24, COCO17, H36M17
from orpose_core.teacher.lifting import load_lifter, read_lifting_model
from orpose_core.training.engine.run_folder import RunFolder
from orpose_core.training.stages.lifter import LIFTER, LifterRecipe, lifted, lifter_scores, split_bodies
from orpose_core.training.stages.lifter_samples import (
    JointNoiseConfig,
    LifterDataConfig,
    LifterSamples,
    collate_people,
    detected,
    lifter_input,
)

RECIPE = Path(__file__).resolve().parents[2] / "training/lifter.yaml"
MINIATURE = [
    "--config", str(RECIPE), "--model.width=64", "--data.views=16", "--engine.batch=2", "--engine.workers=0",
    "--engine.threads=1", "--engine.validate_steps=0", "--validation.final_frames=30",
    "--engine.half_precision=false",
]  # fmt: skip
NO_NOISE = JointNoiseConfig((1e-6, 1e-6), 0.0, 0.0, 0.0, 0.0, 0.0, 0.0)


def write_human36m(path: Path, positions: object) -> Path:
    np.savez_compressed(path, positions_3d=np.array(positions, object))
    return path


def test_a_sample_is_a_function_of_its_number() -> None:
    stream = LifterSamples(LifterDataConfig(views=8))
    first, again = stream[3], LifterSamples(LifterDataConfig(views=8))[3]
    assert all(np.array_equal(a, b, equal_nan=True) for a, b in zip(first, again, strict=True))
    assert first[0].shape[1:] == (16, 2) and first[1].shape[1:] == (16, 3)
    assert not np.array_equal(first[1], LifterSamples(LifterDataConfig(views=8, seed=2))[3][1])


def test_true_joints_are_projections_and_targets_are_relative_to_the_hips() -> None:
    seen = LifterSamples(LifterDataConfig(views=12)).bodies(1)
    assert len(seen.xy_px) > 4
    wrist, hips = BODY24.index("left_wrist"), [BODY24.index("left_hip"), BODY24.index("right_hip")]
    where = seen.targets_m() + seen.xyz_cam_m[:, hips].mean(axis=1, keepdims=True)
    np.testing.assert_allclose(where[:, 12], seen.xyz_cam_m[:, wrist], atol=1e-5)  # 13th of H36M17
    xy, there = detected(seen, np.random.default_rng(0), None)
    assert (there.sum(axis=1) >= 8).all() and np.isnan(xy[there == 0]).all()
    assert np.nanmin(xy) + 0.5 >= 0 and np.nanmax(xy[..., 0]) <= 639.5


def test_noise_does_what_it_says() -> None:
    seen = LifterSamples(LifterDataConfig(views=64)).bodies(2)
    true, there = detected(seen, np.random.default_rng(0), None)
    same, known = detected(seen, np.random.default_rng(0), NO_NOISE)
    np.testing.assert_array_equal(known, there)
    np.testing.assert_allclose(same, true, atol=1e-2, equal_nan=True)
    noisy, left = detected(seen, np.random.default_rng(0), JointNoiseConfig((1.0, 1.0), missing=0.5))
    assert left.sum() < there.sum()
    moved = np.linalg.norm(noisy - true, axis=-1)
    hip, eye = COCO17.index("left_hip"), COCO17.index("left_eye")
    assert np.nanmedian(moved[:, hip]) > 2 * np.nanmedian(moved[:, eye]) > 0
    swapped, _ = detected(seen, np.random.default_rng(0), JointNoiseConfig(**vars(NO_NOISE) | {"swap": 1.0}))
    np.testing.assert_allclose(swapped, true[:, list(COCO17.flip_permutation)], atol=1e-2, equal_nan=True)


def test_impossible_settings_are_named() -> None:
    with pytest.raises(ValueError, match=r"noise\.missing: expected a number in \[0, 1\], got 2"):
        JointNoiseConfig(missing=2)
    with pytest.raises(ValueError, match=r"data\.domains"):
        LifterDataConfig(domains=("street",))
    with pytest.raises(ValueError, match=r"'human36m' needs data\.file"):
        LifterDataConfig(source="human36m")


def test_human36m_is_read_and_seen_by_random_cameras(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    standing = np.zeros((32, 3), np.float32)
    standing[:, 2] = np.linspace(0.0, 1.7, 32)
    standing[:, :2] = rng.uniform(-0.3, 0.3, (32, 2))
    frames = np.stack([standing, standing + np.float32([1, 0, 0])])
    path = write_human36m(
        tmp_path / "data_3d_h36m.npz", {"S1": {"Walking": frames}, "S9": {"Eating": frames}}
    )
    (walking,) = read_human36m(path, ("S1",))
    np.testing.assert_array_equal(walking[0, H36M17.index("left_shoulder")], standing[17])
    data = LifterDataConfig(source="human36m", file=path, subjects=("S1",), views=32)
    xy, xyz = LifterSamples(data)[0]
    assert len(xy) > 8 and np.isfinite(xyz).all()
    length = np.linalg.norm(xyz[:, 1] - xyz[:, 0], axis=-1)  # right hip to right knee, however it is seen
    np.testing.assert_allclose(length, np.linalg.norm(standing[2] - standing[1]), atol=1e-4)


def test_bad_human36m_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"none\.npz: no such file"):
        read_human36m(tmp_path / "none.npz")
    (tmp_path / "text.npz").write_text("no archive")
    with pytest.raises(ValueError, match=r"text\.npz: expected an npz file with positions_3d"):
        read_human36m(tmp_path / "text.npz")
    harmful = write_human36m(tmp_path / "harmful.npz", {"S1": {"Walking": Path("x")}})
    with pytest.raises(ValueError, match=r"harmful\.npz: .*got: pathlib"):
        read_human36m(harmful, ("S1",))
    small = write_human36m(tmp_path / "small.npz", {"S1": {"Walking": np.zeros((4, 5, 3), np.float32)}})
    with pytest.raises(ValueError, match=r"S1/Walking: expected shape \(frames, 32, 3\)"):
        read_human36m(small, ("S1",))
    with pytest.raises(ValueError, match=r"expected the subjects \['S5'\], there are \['S1'\]"):
        read_human36m(small, ("S5",))


def test_some_steps_lower_the_error(tmp_path: Path) -> None:
    out = tmp_path / "run"
    argv = [*MINIATURE, "--out", str(out), "--engine.batch=8", "--optim.lr=0.003", "--optim.ema_decay=0.9"]
    recipe = parse("x", LifterRecipe, argv).recipe
    bodies = {"or-val-v1": split_bodies("or-val-v1", 30, recipe.data)}
    before = lifter_scores(LIFTER.build(recipe), bodies, recipe.validation)
    assert train("lifter", [*argv, "--engine.steps=50"]) == 0
    after = lifter_scores(read_lifting_model(out / "weights.safetensors")[0], bodies, recipe.validation)
    assert after["or_true_mpjpe"] < 0.6 * before["or_true_mpjpe"]
    assert after["or_true_mean_pose_mpjpe"] == pytest.approx(before["or_true_mean_pose_mpjpe"], rel=1e-2)
    assert 0 < after["or_noisy_known_pct"] < after["or_true_known_pct"] <= 100


def test_resume_is_exact_and_the_export_lifts(tmp_path: Path) -> None:
    for name, parts in (("whole", (4,)), ("broken", (2, 4))):
        argv = [*MINIATURE, "--out", str(tmp_path / name), "--optim.schedule=constant"]
        for part in parts:
            resumed = ["--resume", str(tmp_path / name)] if part != parts[0] else argv
            assert train("lifter", [*resumed, f"--engine.steps={part}"]) == 0
    whole, broken = (RunFolder(tmp_path / n).load()[1] for n in ("whole", "broken"))
    for key, value in whole["model"].items():
        assert torch.equal(value, broken["model"][key]), key
    with pytest.raises(ValueError, match="there is a run already"):
        train("lifter", [*MINIATURE, "--out", str(tmp_path / "whole")])

    exported = tmp_path / "lifter_tiny.safetensors"
    assert train("lifter", ["--resume", str(tmp_path / "broken"), "--export", str(exported)]) == 0
    lifter = load_lifter(exported)
    assert lifter.info.trained and lifter.info.settings["width"] == 64
    seen = LifterSamples(LifterDataConfig(views=8)).bodies(1)
    xy, there = detected(seen, np.random.default_rng(0), None)
    answer = lifted(lifter, xy, there, (480, 640))
    with torch.inference_mode():
        direct = lifter._model.metres(torch.from_numpy(lifter_input(xy, there))).numpy()
    known = np.isfinite(answer)
    np.testing.assert_allclose(answer[known], direct[known], atol=1e-5)
    text = write_card(str(exported)).read_text()
    assert "--lifter lifter_tiny" in text and "synthetic people only" in text and "or-val-v1" in text


def test_batches_join_the_people_of_samples() -> None:
    stream = LifterSamples(LifterDataConfig(views=4))
    samples = [stream[i] for i in range(3)]
    batch = collate_people(samples)
    assert len(batch["xy_px"]) == len(batch["xyz_root_m"]) == sum(len(xy) for xy, _ in samples)
