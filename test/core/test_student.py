"""The student network: the paper's size and cost, and what must hold of its answers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.flop_counter import FlopCounterMode

from orpose_core.checkpoints.files import load_checkpoint, save_checkpoint
from orpose_core.estimators import EstimatorConfig, load_estimator
from orpose_core.geometry import anchor_at_root
from orpose_core.image_ops import enlarge, seen_at_low_resolution
from orpose_core.models.student.config import SMALL_STUDENT, StudentConfig
from orpose_core.models.student.heads import pool_regions
from orpose_core.models.student.network import Student, StudentOutput
from orpose_core.skeleton import BODY24
from orpose_core.types import Intrinsics, Poses, RgbdFrame, Source3D

TINY = replace(SMALL_STUDENT, full_hw=(96, 128), people=6, score_threshold=0.0)


def test_parameters_of_the_paper() -> None:
    with torch.device("meta"):
        model = Student(StudentConfig())
    assert sum(p.numel() for p in model.parameters()) == 67_855_703  # 67.9 M in Table 1


@pytest.mark.parametrize(("people", "published"), [(1, 147), (4, 168), (12, 225)])
def test_cost_of_the_paper(people: int, published: int) -> None:
    """GFLOPs at 640x480 with 1000 proposals; 1 multiply-add = 2."""
    config = StudentConfig()
    with torch.device("meta"):
        model, image = Student(config).eval(), torch.zeros(1, 3, 480, 640)
        boxes = torch.zeros(config.proposals, 4)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        features = model.features(image)
        model.rpn(features)
        model.box_head(torch.zeros(len(boxes), 256, 7, 7, device="meta"))
        model.keypoint_head(torch.zeros(people, 256, 14, 14, device="meta"))
        joints = torch.zeros(people, 16, 2, device="meta")
        model.lift(joints, joints)
    assert counter.get_total_flops() / 1e9 == pytest.approx(published, abs=1)


def test_stride_is_where_the_config_says() -> None:
    for in_1x1 in (True, False):
        with torch.device("meta"):
            block = Student(StudentConfig(stride_in_1x1=in_1x1)).backbone.trunk.stages[1][0]
        assert (block.conv1.stride, block.conv2.stride) == (((2, 2), (1, 1)) if in_1x1 else ((1, 1), (2, 2)))


@pytest.fixture(scope="module")
def model() -> Student:
    """A small student whose seeded heads tell people apart."""
    torch.manual_seed(0)
    model = Student(TINY).eval()
    with torch.no_grad():
        model.box_head.logits.weight.mul_(20)
        model.box_head.deltas.weight.mul_(20)
        model.rpn.logits.weight.mul_(20)
    return model


@pytest.fixture(scope="module")
def images() -> torch.Tensor:
    coarse = torch.rand(3, 3, 6, 8, generator=torch.Generator().manual_seed(1))
    return torch.nn.functional.interpolate(coarse, (96, 128), mode="bilinear")


def split(output: StudentOutput) -> list[tuple[torch.Tensor, ...]]:
    parts = (output.boxes, output.scores, output.maps.soft, output.maps.hard)
    return list(zip(*(p.split(list(output.counts)) for p in parts), strict=True))


@pytest.mark.parametrize("mirror", [False, True])
def test_a_batch_is_its_images(model: Student, images: torch.Tensor, mirror: bool) -> None:
    run = model.forward_with_mirror if mirror else model.forward
    with torch.inference_mode():
        together = split(run(images))
        for i, found in enumerate(together):
            assert len(found[0]) > 0
            for a, b in zip(found, split(run(images[i : i + 1]))[0], strict=True):
                torch.testing.assert_close(a, b, atol=1e-3, rtol=1e-3)


def test_a_mirrored_image_gives_the_mirrored_answer(model: Student, images: torch.Tensor) -> None:
    with torch.inference_mode():
        a, b = model.forward_with_mirror(images), model.forward_with_mirror(images.flip(-1))
    order = list(TINY.flip_permutation)
    for there, back in zip(split(a), split(b), strict=True):
        mirrored = torch.stack(
            [128 - back[0][:, 2], back[0][:, 1], 128 - back[0][:, 0], back[0][:, 3]], dim=1
        )
        torch.testing.assert_close(mirrored, there[0], atol=1e-2, rtol=1e-3)
        torch.testing.assert_close(back[1], there[1], atol=1e-4, rtol=1e-3)
        torch.testing.assert_close(back[2][:, order].flip(-1), there[2], atol=1e-2, rtol=1e-2)


def test_nobody(model: Student, images: torch.Tensor) -> None:
    with torch.inference_mode():
        output = model(images, min_score=1.0)
    assert output.counts == (0, 0, 0)
    assert output.boxes.shape == (0, 4) and output.maps.mean.shape == (0, 17, 56, 56)


def test_half_precision_moves_boxes_and_maps_little(model: Student, images: torch.Tensor) -> None:
    """The same regions' maps in bf16, and boxes to a tenth of a px: coordinates themselves stay float32."""
    with torch.inference_mode():
        features = model.features(images)
        with torch.autocast("cpu", torch.bfloat16):
            half = model.features(images)
            boxes = [torch.tensor([[10.0, 12.0, 70.0, 90.0]])] * 3
            maps = model.keypoint_maps(half, boxes).soft
        full = model.keypoint_maps(features, boxes).soft
        assert maps.dtype == torch.float32
        assert ((maps - full).abs().mean() / full.std()) < 0.05
        pooled = pool_regions([f.to(torch.bfloat16) for f in features[:4]], boxes, 7)
        assert pooled.dtype == torch.float32


def test_single_branch_has_one_of_each() -> None:
    with torch.device("meta"):
        single, double = (Student(replace(TINY, branches=b)) for b in ("single", "soft_hard"))
    assert single.soft_lifter is single.hard_lifter and double.soft_lifter is not double.hard_lifter
    assert sum(p.numel() for p in single.parameters()) < sum(p.numel() for p in double.parameters())
    maps = single.keypoint_head(torch.zeros(1, TINY.fpn_channels, 14, 14, device="meta"))
    assert maps.soft is maps.hard and maps.mean is maps.soft


def test_a_student_is_stored_and_named(tmp_path: Path) -> None:
    checkpoint = load_checkpoint("untrained:student_small_single_80x60")
    assert not checkpoint.trained and checkpoint.config.input_hw == (60, 80)
    assert isinstance(checkpoint.config, StudentConfig) and checkpoint.config.branches == "single"
    path = tmp_path / "student.safetensors"
    save_checkpoint(path, checkpoint.model, {"trained": "no"})
    again = load_checkpoint(path)
    assert again.config == checkpoint.config and not again.trained
    for key, value in again.model.state_dict().items():
        assert torch.equal(value, checkpoint.model.state_dict()[key].to(value.dtype)), key
    with pytest.raises(ValueError, match="student_tall"):
        load_checkpoint("untrained:student_tall")
    with pytest.raises(ValueError, match="keypoint_convs: expected 1 to 64"):
        StudentConfig(keypoint_convs=10**9)  # of a false header: it would be built for ever


def test_the_image_that_the_student_sees() -> None:
    rgb = np.random.default_rng(0).integers(0, 256, (40, 53, 3), np.uint8)
    seen = seen_at_low_resolution(rgb, (40, 53), (480, 640))
    pillow = Image.fromarray(rgb).resize((640, 480), Image.Resampling.BILINEAR)
    np.testing.assert_array_equal(seen, np.asarray(pillow))
    # A full image tells no more than its low-resolution version.
    big = enlarge(rgb, (480, 640))
    small = Image.fromarray(big).resize((53, 40), Image.Resampling.BILINEAR)
    np.testing.assert_array_equal(
        seen_at_low_resolution(big, (40, 53), (480, 640)), enlarge(np.asarray(small), (480, 640))
    )
    assert seen_at_low_resolution(big, (480, 640), (480, 640)) is big


def test_people_are_anchored_at_their_root() -> None:
    """A person two metres away in front of a flat depth image: lifted joints around the root's depth."""
    k = Intrinsics(50.0, 50.0, 31.5, 23.5, 64, 48)
    n = len(BODY24)
    xyz = np.zeros((2, n, 3), np.float32)
    xyz[..., 1] = np.linspace(-0.7, 0.7, n)
    xyz[:, BODY24.index("nose")] = np.nan
    xy = np.broadcast_to(np.array([31.5, 23.5], np.float32), (2, n, 2)).copy()
    xy[1, :, 0] = 5.0  # where the depth image has a hole
    boxes = np.array([[20, 5, 43, 44], [0, 5, 10, 44]], np.float32)
    poses = Poses(BODY24, xy, np.ones((2, n), np.float32), np.ones(2, np.float32), boxes, xyz_root_m=xyz)
    depth = np.full((48, 64), 2.0, np.float32)
    depth[:, :15] = np.nan
    placed = anchor_at_root(poses, depth, k)
    assert placed.xyz_cam_m is not None and placed.source_3d is not None
    root = placed.xyz_cam_m[0, BODY24.index("left_hip")] - xyz[0, BODY24.index("left_hip")]
    np.testing.assert_allclose(root, [0, 0, 2.1], atol=0.15)  # the surface, and half a body behind it
    lifted = ~np.isnan(xyz[0]).any(axis=-1)
    np.testing.assert_allclose(placed.xyz_cam_m[0, lifted] - root, xyz[0, lifted], atol=1e-5)
    assert (placed.source_3d[0, lifted] == Source3D.FUSED).all()
    assert placed.source_3d[0, BODY24.index("nose")] == Source3D.DEPTH
    assert np.isnan(placed.xyz_cam_m[1]).all() and (placed.source_3d[1, lifted] == Source3D.LIFTED).all()
    np.testing.assert_array_equal(placed.xyz_root_m, xyz)


def test_real_operating_room_frames(realdata: Path) -> None:
    """Real 53x40 frames through the estimator: people in px of the frame, batches as single images."""
    files = sorted((realdata / "or_color_53x40").glob("*.png"))[::120]
    frames = [RgbdFrame(np.asarray(Image.open(f).convert("RGB")), None, None) for f in files]
    estimator = load_estimator(
        "untrained:student_small", EstimatorConfig(flip_test=False, half_precision=False)
    )
    assert estimator.info.input_hw == (40, 53) and estimator.info.skeleton == BODY24
    poses = estimator.estimate(frames)
    for p, frame in zip(poses, frames, strict=True):
        alone = estimator.estimate([frame])[0]
        assert len(alone) == len(p)
        if len(p):
            assert p.boxes_px.min() >= -0.5 and p.boxes_px[:, 2].max() <= 52.5
            assert p.xyz_root_m is not None and p.xyz_cam_m is None
            np.testing.assert_allclose(np.sort(alone.person_scores), np.sort(p.person_scores), atol=1e-3)
    with pytest.raises(ValueError, match="color"):
        estimator.estimate([RgbdFrame(None, np.zeros((40, 53), np.float32), None)])
