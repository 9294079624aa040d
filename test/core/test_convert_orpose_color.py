"""The students that the authors released: their 389 tensors, and detectron2's own numbers for seeded ones."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from orpose_core.checkpoints.convert_orpose_color import (
    read_h36_statistics,
    student_from_orpose_color,
    student_key,
)
from orpose_core.checkpoints.files import load_checkpoint
from orpose_core.checkpoints.published import convert_checkpoint
from orpose_core.decoding.roi import RoiDecoderConfig, decode_roi
from orpose_core.models.student.config import StudentConfig
from orpose_core.models.student.network import Student
from orpose_core.skeleton import COCO17, H36M17

DATA = Path(__file__).parent / "data"
IMAGE_HW = (90, 125)  # no multiples of 32
PEOPLE = 3
SHIFT_PX = 0.5  # detectron2's px are continuous, ours have their centre at integers


def key_list() -> list[tuple[str, tuple[int, ...]]]:
    """Names and shapes of the released files, in order."""
    lines = (DATA / "orpose_color_student_keys.tsv").read_text().splitlines()
    return [
        (name, tuple(json.loads(f"[{shape.strip('(),')}]"))) for name, shape in (x.split("\t") for x in lines)
    ]


def seeded_tensors() -> dict[str, torch.Tensor]:
    """Weights for every key, lively enough that boxes, scores and joints differ; the same on any machine."""
    tensors = {}
    for i, (key, shape) in enumerate(key_list()):
        noise = np.random.default_rng([2020, i]).random(shape, dtype=np.float32) * 2 - 1  # std 0.58
        if key.endswith("num_batches_tracked"):
            value = np.zeros(shape, np.int64)
        elif key.endswith("running_var"):
            value = 1 + 0.5 * noise
        elif "norm" in key and key.endswith("weight"):
            value = 0.5 + 0.2 * noise
        elif key.endswith(("bias", "running_mean")):
            value = 0.1 * noise
        elif "anchor_deltas" in key or "bbox_pred" in key:
            value = 0.005 * noise
        elif "objectness" in key or "cls_score" in key:
            value = 0.015 * noise
        else:
            fan_out = shape[0] * int(np.prod(shape[2:]))
            value = np.sqrt(6 / fan_out, dtype=np.float32) * noise
        tensors[key] = torch.from_numpy(np.asarray(value))
    return tensors


def seeded_image() -> np.ndarray:
    """A smooth random image, uint8 (90, 125, 3), red first."""
    coarse = np.random.default_rng(7).random((6, 8, 3), dtype=np.float32)
    rows, columns = np.linspace(0, 5, IMAGE_HW[0]), np.linspace(0, 7, IMAGE_HW[1])
    r, c = rows.astype(int).clip(max=4), columns.astype(int).clip(max=6)
    fr, fc = (rows - r)[:, None, None], (columns - c)[None, :, None]
    top = coarse[r][:, c] * (1 - fc) + coarse[r][:, c + 1] * fc
    low = coarse[r + 1][:, c] * (1 - fc) + coarse[r + 1][:, c + 1] * fc
    return (255 * (top * (1 - fr) + low * fr)).astype(np.uint8)


def seeded_statistics() -> dict[str, np.ndarray]:
    """Statistics in the layout of ``h36stats.json``: all 32 joints, 16 of them used."""
    rng = np.random.default_rng(36)
    used = sorted(rng.permutation(32)[:16].tolist())
    return {
        "data_mean_2d": rng.uniform(30, 90, 64), "data_std_2d": rng.uniform(10, 40, 64),
        "data_mean_3d": rng.uniform(-500, 500, 96), "data_std_3d": rng.uniform(50, 300, 96),
        "dim_to_use_2d": np.array([2 * j + k for j in used for k in range(2)]),
        "dim_to_use_3d": np.array([3 * j + k for j in used for k in range(3)]),
    }  # fmt: skip


@pytest.fixture(scope="module")
def statistics_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("h36") / "h36stats.json"
    path.write_text(json.dumps({k: v.tolist() for k, v in seeded_statistics().items()}))
    return path


@pytest.fixture(scope="module")
def tensors() -> dict[str, torch.Tensor]:
    return seeded_tensors()


def test_every_released_tensor_has_its_place() -> None:
    keys = key_list()
    assert len(keys) == 389
    with torch.device("meta"):
        ours = {k: tuple(v.shape) for k, v in Student(StudentConfig()).state_dict().items()}
    placed = {student_key(key, "file"): shape for key, shape in keys}
    assert len(placed) == 389  # no two in the same place
    statistics = {k for k in ours if k.startswith("statistics.")}
    assert placed == {k: v for k, v in ours.items() if k not in statistics}


def test_same_numbers_as_detectron2(tensors: dict[str, torch.Tensor], statistics_file: Path) -> None:
    """Boxes, scores, 2D and 3D that detectron2 with the authors' head gave for the same weights and image."""
    recorded = json.loads((DATA / "orpose_color_student_outputs.json").read_text())
    config = replace(StudentConfig(), lifter_hw=IMAGE_HW, people=PEOPLE)
    model = student_from_orpose_color(tensors, read_h36_statistics(statistics_file), "seeded", config)
    image = torch.from_numpy(seeded_image()).permute(2, 0, 1)[None].float() / 255
    with torch.inference_mode():
        output = model(image)
        poses = decode_roi(model, output, [IMAGE_HW], RoiDecoderConfig(min_person_score=0))[0]
    assert len(poses) == PEOPLE
    h36m = poses.converted(H36M17)
    assert h36m.xyz_root_m is not None
    coco = poses.converted(COCO17)
    np.testing.assert_allclose(poses.boxes_px + SHIFT_PX, recorded["boxes"], atol=1e-3)
    np.testing.assert_allclose(poses.person_scores, recorded["scores"], atol=1e-5)
    np.testing.assert_allclose(coco.xy_px + SHIFT_PX, recorded["keypoints"], atol=1e-3)
    np.testing.assert_allclose(coco.scores, recorded["keypoint_scores"], rtol=1e-3)
    np.testing.assert_allclose(1000 * h36m.xyz_root_m, recorded["joints_3d_mm"], atol=1e-1)
    assert np.ptp(poses.boxes_px, axis=0).min() > 0.1  # the people differ, else this shows little


def test_a_released_file_becomes_ours(
    tensors: dict[str, torch.Tensor], statistics_file: Path, tmp_path: Path
) -> None:
    beside = {"pixel_mean": torch.zeros(3, 1, 1), "pixel_std": torch.ones(3, 1, 1)}
    beside |= {f"proposal_generator.anchor_generator.cell_anchors.{i}": torch.zeros(3, 4) for i in range(5)}
    path, target = tmp_path / "model_final.pth", tmp_path / "orpose_fixed_12x.safetensors"
    torch.save({"model": {**tensors, **beside}, "iteration": 9999}, path)
    sentence = convert_checkpoint(path, target, "student_53x40", h36_statistics=statistics_file)
    assert "CC BY-NC-SA" in sentence
    checkpoint = load_checkpoint(target)
    assert checkpoint.trained and checkpoint.licence == "CC BY-NC-SA 4.0"
    assert checkpoint.config == replace(StudentConfig(), input_hw=(40, 53))
    state = checkpoint.model.state_dict()
    for key, value in tensors.items():
        assert torch.equal(state[student_key(key, path)], value.float()), key
    stored, used = state["statistics.mean_2d"], seeded_statistics()["dim_to_use_2d"]
    np.testing.assert_allclose(stored.flatten(), seeded_statistics()["data_mean_2d"][used], rtol=1e-6)


def test_what_does_not_fit_is_named(
    tensors: dict[str, torch.Tensor], statistics_file: Path, tmp_path: Path
) -> None:
    path, target = tmp_path / "model_final.pth", tmp_path / "out.safetensors"
    few = {k: v for k, v in tensors.items() if "res4" not in k and "box_head" not in k}
    torch.save({"model": few}, path)
    with pytest.raises(ValueError, match=r"model_final.pth: the weights do not fit.*no backbone.trunk"):
        convert_checkpoint(path, target, "student", h36_statistics=statistics_file)
    with pytest.raises(ValueError, match=r"h36stats\.json"):
        convert_checkpoint(path, target, "student")
    with pytest.raises(ValueError, match="cannot become student_small"):
        convert_checkpoint(path, target, "student_small", h36_statistics=statistics_file)
    with pytest.raises(ValueError, match=r"mask_head\.predictor"):
        student_key("roi_heads.mask_head.predictor.weight", path)
    broken = tmp_path / "stats.json"
    broken.write_text('{"data_mean_2d": [1, 2]}')
    with pytest.raises(ValueError, match=r"stats\.json"):
        read_h36_statistics(broken)
    assert not target.exists()


def test_the_authors_statistics(realdata: Path) -> None:
    statistics = read_h36_statistics(realdata / "or_color_53x40" / "h36stats.json")
    torch.testing.assert_close(statistics["mean_2d"][0], torch.tensor([532.08350, 419.74138]))
    assert statistics["mean_3d"].shape == (16, 3)
    # Metres, y down: the right ankle is below the pelvis, the top of the head above it.
    assert 0.5 < statistics["mean_3d"][2, 1] < 0.9
    assert -0.8 < statistics["mean_3d"][9, 1] < -0.4
