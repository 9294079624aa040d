"""Frames turned upright and poses turned back: geometry stays exact."""

from __future__ import annotations

import numpy as np
import pytest

from orpose_core.rotation import ROTATIONS, turned_back, upright
from orpose_core.skeleton import COCO17
from orpose_core.types import Intrinsics, Poses, RgbdFrame

CAMERA = Intrinsics(70.0, 68.0, 30.0, 25.0, 64, 48)


def people(points_m: np.ndarray, k: Intrinsics) -> Poses:
    """Project points of the optical frame, (m, 17, 3)."""
    xy = points_m[..., :2] / points_m[..., 2:] * [k.fx, k.fy] + [k.cx, k.cy]
    xy = xy.astype(np.float32)
    boxes = np.concatenate([xy.min(axis=1), xy.max(axis=1)], axis=1)
    count = len(points_m)
    ones = np.ones((count, 17), np.float32)
    root = (points_m - points_m[:, :1]).astype(np.float32)
    return Poses(COCO17, xy, ones, ones[:, 0], boxes, root, points_m.astype(np.float32))


@pytest.mark.parametrize("rotation", ROTATIONS)
def test_a_point_keeps_its_place_in_space(rotation: int) -> None:
    rng = np.random.default_rng(rotation)
    points_m = rng.uniform([-0.6, -0.5, 2.0], [0.6, 0.5, 3.0], (3, 17, 3))
    truth = people(points_m, CAMERA)
    image = rng.uniform(1, 5, (48, 64)).astype(np.float32)
    frame = RgbdFrame(None, image, CAMERA, "ceiling", 7)
    turned = upright(frame, rotation)
    assert turned.depth_m is not None and turned.intrinsics is not None
    assert (turned.frame_id, turned.stamp_ns) == ("ceiling", 7)
    # What the turned camera sees of the same points.
    angle = np.deg2rad(rotation)
    turn = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    seen = people(points_m @ turn.T, turned.intrinsics)
    back = turned_back(seen, rotation, (48, 64))
    np.testing.assert_allclose(back.xy_px, truth.xy_px, atol=1e-4)
    np.testing.assert_allclose(back.boxes_px, truth.boxes_px, atol=1e-4)
    np.testing.assert_allclose(back.xyz_cam_m, truth.xyz_cam_m, atol=1e-5)
    np.testing.assert_allclose(back.xyz_root_m, truth.xyz_root_m, atol=1e-5)
    # A px of the turned image shows what that of the camera's image does.
    y, x = np.mgrid[:48, :64].reshape(2, -1)
    pixels = np.stack([x, y], axis=-1).astype(np.float32)
    count = len(pixels) // 17
    grid = Poses(
        COCO17,
        pixels[: 17 * count].reshape(count, 17, 2),
        np.ones((count, 17), np.float32),
        np.ones(count, np.float32),
        np.zeros((count, 4), np.float32),
    )
    source = turned_back(grid, rotation, (48, 64)).xy_px.reshape(-1, 2).astype(int)
    there = ((source >= 0) & (source < (64, 48))).all(axis=1)
    assert there.sum() >= 48 * 48 - 17
    (u, v), (x, y) = pixels[: 17 * count][there].astype(int).T, source[there].T
    np.testing.assert_array_equal(turned.depth_m[v, u], image[y, x])


@pytest.mark.parametrize("rotation", [90, 270])
def test_an_image_on_its_side_is_padded_with_nothing(rotation: int) -> None:
    rgb = np.full((48, 64, 3), 200, np.uint8)
    turned = upright(RgbdFrame(rgb, np.ones((48, 64), np.float32), CAMERA), rotation)
    assert turned.size_hw == (64, 86)
    assert turned.rgb is not None and turned.depth_m is not None
    assert (turned.rgb[:, 48:] == 0).all() and np.isnan(turned.depth_m[:, 48:]).all()
    assert np.isfinite(turned.depth_m[:, :48]).all()


def test_upright_images_pass_as_they_are_and_odd_angles_are_refused() -> None:
    frame = RgbdFrame(None, np.ones((48, 64), np.float32), None)
    assert upright(frame, 0) is frame
    nobody = Poses.nobody(COCO17)
    assert len(turned_back(nobody, 90, (48, 64))) == 0
    with pytest.raises(ValueError, match="one of 0, 90, 180, 270 degrees, got 45"):
        upright(frame, 45)
