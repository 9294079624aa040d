"""The flip test: a mirror twice is nothing, and mirrored people are the mirror's people."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from orpose_core.data.targets import render_targets
from orpose_core.decoding.flip import (
    keypoint_flip_order,
    merged,
    paf_flip_order,
    with_mirror,
)
from orpose_core.skeleton import OPENPOSE18
from orpose_core.types import Poses

SOURCE_HW, MAP_HW = (480, 640), (48, 64)


def people(seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.uniform([20, 20], [620, 460], size=(3, len(OPENPOSE18), 2)).astype(np.float32)


def maps_of(xy_px: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    m = len(xy_px)
    scores = np.ones((m, len(OPENPOSE18)), np.float32)
    poses = Poses(OPENPOSE18, xy_px, scores, np.ones(m, np.float32), np.zeros((m, 4), np.float32))
    targets = render_targets(poses, SOURCE_HW, MAP_HW)
    return targets.keypoint_maps[None], targets.paf_maps[None]


def some_maps(batch: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(batch)
    return tuple(rng.normal(size=(batch, n, 6, 8)).astype(np.float32) for n in (19, 38))


def mirrored(xy_px: np.ndarray) -> np.ndarray:
    flipped = xy_px[:, list(OPENPOSE18.flip_permutation)].copy()
    flipped[..., 0] = SOURCE_HW[1] - 1 - flipped[..., 0]
    return flipped


def of_mirror(keypoints: np.ndarray, pafs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return what mirrors' maps contribute: their means with empty maps of the images, times two."""
    halves = merged(*(np.concatenate([0 * maps, maps]) for maps in (keypoints, pafs)))
    return 2 * halves[0], 2 * halves[1]


@pytest.mark.parametrize("seed", range(5))
def test_the_maps_of_mirrored_people_contribute_the_maps_of_the_people(seed):
    xy = people(seed)
    keypoints, pafs = of_mirror(*maps_of(mirrored(xy)))
    expected_keypoints, expected_pafs = maps_of(xy)
    np.testing.assert_allclose(keypoints, expected_keypoints, atol=1e-4)
    # A cell at the very edge of a limb may fall on either side of it.
    assert (np.abs(pafs - expected_pafs) > 1e-3).mean() < 1e-3


def test_a_mirror_twice_is_nothing():
    keypoints, pafs = some_maps(2)
    again = of_mirror(*of_mirror(keypoints, pafs))
    np.testing.assert_array_equal(again[0], keypoints)
    np.testing.assert_array_equal(again[1], pafs)


def test_every_channel_is_used_once_and_background_stays():
    order, signs = paf_flip_order()
    assert sorted(order) == list(range(38))
    assert sorted(keypoint_flip_order()) == list(range(19))
    assert keypoint_flip_order()[18] == 18
    assert [s for s in signs if s < 0] == [-1.0] * 19  # the x components


def test_the_order_is_the_released_one():
    # swap_heat and swap_paf of the released evaluation, see docs/checkpoints.md.
    assert keypoint_flip_order() == (0, 1, 5, 6, 7, 2, 3, 4, 11, 12, 13, 8, 9, 10, 15, 14, 17, 16, 18)
    order, signs = paf_flip_order()
    assert order == (
        6, 7, 8, 9, 10, 11, 0, 1, 2, 3, 4, 5, 20, 21, 22, 23, 24, 25, 26, 27, 12, 13, 14, 15, 16, 17, 18, 19,
        28, 29, 32, 33, 30, 31, 36, 37, 34, 35,
    )  # fmt: skip
    assert signs == (-1.0, 1.0) * 19


def test_merging_averages_image_and_mirror():
    images = torch.rand(2, 1, 6, 8)
    batch = with_mirror(images)
    assert batch.shape == (4, 1, 6, 8)
    assert torch.equal(batch[2:], images.flip(-1))
    keypoints, pafs = maps_of(people(0))
    flipped_keypoints, flipped_pafs = maps_of(mirrored(people(0)))
    merged_keypoints, merged_pafs = merged(
        np.concatenate([keypoints, 0 * flipped_keypoints]), np.concatenate([pafs, flipped_pafs])
    )
    np.testing.assert_allclose(merged_keypoints, keypoints / 2)
    assert (np.abs(merged_pafs - pafs) > 1e-3).mean() < 1e-3


def test_each_image_is_merged_with_its_own_mirror():
    keypoints, pafs = some_maps(6)
    mirrors = of_mirror(keypoints[3:], pafs[3:])
    for got, images, mirror in zip(merged(keypoints, pafs), (keypoints, pafs), mirrors, strict=True):
        np.testing.assert_allclose(got, (images[:3] + mirror) / 2, atol=1e-6)


def test_an_odd_batch_is_refused():
    with pytest.raises(ValueError, match="as many mirrors"):
        merged(*some_maps(3))
