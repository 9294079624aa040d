"""Crops and maps of single people: the releases' formulas, and there and back."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orpose_core.decoding.top_down import (
    TopDownConfig,
    crops_of,
    cut_out,
    decode_top_down,
    mean_maps,
    peaks_of,
    unmirrored_maps,
)
from orpose_core.skeleton import COCO17

INPUT_HW, MAP_HW = (256, 192), (64, 48)
BOX = np.array([[100.0, 50.0, 180.0, 290.0]])


def _released_matrix(box: np.ndarray, size_wh: tuple[int, int]) -> np.ndarray:
    """The releases' way: a scale in units of 200 px, and an affine map through three points."""
    x, y, w, h = box[0], box[1], box[2] - box[0], box[3] - box[1]
    centre, aspect = np.array([x + w * 0.5, y + h * 0.5]), INPUT_HW[1] / INPUT_HW[0]
    if w > aspect * h:
        h = w / aspect
    elif w < aspect * h:
        w = h * aspect
    scale = np.array([w / 200, h / 200]) * 1.25
    up_source, up_target = np.array([0, scale[0] * 200 * -0.5]), np.array([0, size_wh[0] * -0.5])
    middle = np.array(size_wh) * 0.5

    def three(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return np.stack([a, a + b, a + b + np.array([b[1], -b[0]])]).astype(np.float32)

    return cv2.getAffineTransform(three(centre, up_source), three(middle, up_target))


def _gaussians(xy: np.ndarray, sigma: float = 2.0) -> np.ndarray:
    """Maps (m, n, h, w) with a Gaussian at each (m, n, 2), px of the map."""
    rows, columns = np.mgrid[: MAP_HW[0], : MAP_HW[1]]
    square = (columns - xy[..., 0, None, None]) ** 2 + (rows - xy[..., 1, None, None]) ** 2
    return np.exp(-square / (2 * sigma**2)).astype(np.float32)


@settings(max_examples=40, deadline=None)
@given(
    st.floats(-50, 500), st.floats(-50, 300), st.floats(2, 500), st.floats(2, 400),
    st.sampled_from([(192, 256), (48, 64)]),
)  # fmt: skip
def test_crops_are_those_of_the_releases(
    x: float, y: float, w: float, h: float, size: tuple[int, int]
) -> None:
    box = np.array([x, y, x + w, y + h])
    ours = crops_of(box, INPUT_HW).matrices((size[1], size[0]))[0]
    theirs = _released_matrix(box, size)
    corners = np.array([[x, y, 1], [x + w, y + h, 1]]).T
    assert np.allclose(ours @ corners, theirs @ corners, atol=0.05)


def test_places_go_there_and_back() -> None:
    crops = crops_of(np.concatenate([BOX, BOX + 31]), INPUT_HW)
    xy = np.random.default_rng(0).uniform(0, 40, (2, 17, 2))
    image = crops.to_image(xy, MAP_HW)
    matrices = crops.matrices(MAP_HW)
    back = np.einsum("mij,mnj->mni", matrices, np.concatenate([image, np.ones((2, 17, 1))], axis=-1))
    assert np.allclose(back, xy)


def test_a_dot_is_found_where_it_was() -> None:
    image = np.zeros((400, 400, 3), np.uint8)
    cv2.circle(image, (141, 171), 4, (255, 255, 255), -1)
    crops = crops_of(BOX, INPUT_HW)
    crop = cut_out(image, crops, INPUT_HW)[0, ..., 0].astype(np.float64)
    rows, columns = np.mgrid[: INPUT_HW[0], : INPUT_HW[1]]
    centre = np.array([[[(crop * columns).sum(), (crop * rows).sum()]]]) / crop.sum()
    assert np.allclose(crops.to_image(centre, INPUT_HW), [[[141, 171]]], atol=0.1)


@pytest.mark.parametrize(("decoding", "tolerance"), [("quarter", 0.36), ("dark", 0.05)])
def test_rendered_joints_are_decoded(decoding: str, tolerance: float) -> None:
    rng = np.random.default_rng(1)
    xy = np.stack([rng.uniform(8, 39, (3, 17)), rng.uniform(8, 55, (3, 17))], axis=-1)
    config = TopDownConfig(decoding=decoding, oks_threshold=1.0)  # type: ignore[arg-type]
    found, heights = peaks_of(_gaussians(xy), config)
    assert np.linalg.norm(found - xy, axis=-1).max() < tolerance
    boxes = np.repeat(BOX, 3, axis=0) + np.array([[0], [90], [180]])
    crops = crops_of(boxes, INPUT_HW)
    poses = decode_top_down(_gaussians(xy), crops, boxes, np.array([0.9, 0.8, 0.7]), config)
    assert poses.skeleton == COCO17 and len(poses) == 3
    cell = crops.sizes_px[0, 0] / MAP_HW[1]
    assert np.abs(poses.xy_px - crops.to_image(xy, MAP_HW)).max() < tolerance * cell
    assert np.allclose(poses.boxes_px, boxes - 0.5)
    assert np.allclose(poses.person_scores, [0.9, 0.8, 0.7] * heights.mean(axis=1))


def test_the_quarter_goes_to_the_higher_neighbour_and_not_at_the_border() -> None:
    maps = np.zeros((1, 17, *MAP_HW), np.float32)
    maps[0, :, 20, 10], maps[0, :, 20, 11], maps[0, :, 19, 10] = 1.0, 0.5, 0.4
    maps[0, 1] = 0
    maps[0, 1, 1, 20] = 1.0
    xy, _ = peaks_of(maps)
    assert xy[0, 0].tolist() == [10.25, 19.75]
    assert xy[0, 1].tolist() == [20, 1]


def test_a_mirrored_network_agrees_with_itself() -> None:
    xy = np.random.default_rng(2).uniform(10, 38, (2, 17, 2))
    maps = _gaussians(xy)
    mirrored = maps[:, list(COCO17.flip_permutation), :, ::-1]
    assert np.array_equal(unmirrored_maps(mirrored, shift=False), maps)
    shifted = unmirrored_maps(mirrored)
    assert np.array_equal(shifted[..., 1:], maps[..., :-1])
    assert np.array_equal(shifted[..., 0], maps[..., 0])


def test_empty_maps_are_absent_joints_and_nobody_is_nobody() -> None:
    maps = _gaussians(np.full((1, 17, 2), 20.0))
    maps[0, 3], maps[0, 4] = 0, -1
    poses = decode_top_down(maps, crops_of(BOX, INPUT_HW), BOX, np.ones(1))
    assert np.isnan(poses.xy_px[0, 3:5]).all() and (poses.scores[0, 3:5] == 0).all()
    assert poses.person_scores[0] == pytest.approx(1.0)  # absent joints do not count
    empty = np.zeros((0, 4))
    nobody = decode_top_down(maps[:0], crops_of(empty, INPUT_HW), empty, np.zeros(0))
    assert len(nobody) == 0


def test_weak_joints_do_not_count_for_the_person() -> None:
    maps = _gaussians(np.full((1, 17, 2), 20.0))
    maps[0, :10] *= 0.15
    maps[0, 10:] *= 0.8
    poses = decode_top_down(maps, crops_of(BOX, INPUT_HW), BOX, np.array([0.5]))
    assert poses.person_scores[0] == pytest.approx(0.4, abs=1e-6)


def test_the_same_person_twice_is_one_person() -> None:
    boxes = np.concatenate([BOX, BOX + 1, BOX + 300])
    maps = _gaussians(np.random.default_rng(3).uniform(10, 38, (1, 17, 2)).repeat(3, axis=0))
    poses = decode_top_down(maps, crops_of(boxes, INPUT_HW), boxes, np.array([0.6, 0.9, 0.5]))
    assert np.allclose(poses.boxes_px, boxes[[1, 2]] - 0.5)


def test_a_batch_is_what_its_people_are() -> None:
    boxes = np.concatenate([BOX, BOX + 200])
    maps = _gaussians(np.random.default_rng(4).uniform(5, 40, (2, 17, 2)))
    both = decode_top_down(maps, crops_of(boxes, INPUT_HW), boxes, np.array([0.9, 0.8]))
    for k in range(2):
        one = decode_top_down(
            maps[k : k + 1], crops_of(boxes[k], INPUT_HW), boxes[k : k + 1], np.full(1, 0.9)
        )
        assert np.array_equal(one.xy_px[0], both.xy_px[k])


def test_crops_of_several_sizes_agree_on_a_joint() -> None:
    box, joint = crops_of(BOX, INPUT_HW), np.array([[[150.0, 180.0]]])
    factors = (1.0, 0.8, 1.25)
    maps = []
    for factor in factors:
        crop = box.scaled(factor)
        place = (joint - crop.centres_px[:, None]) * (MAP_HW[1] / crop.sizes_px[0, 0]) + np.array([24, 32])
        maps.append(_gaussians(place, sigma=2.0 / factor))
    merged = mean_maps(maps, factors)
    found, _ = peaks_of(merged, TopDownConfig(decoding="dark"))
    assert np.allclose(box.to_image(found, MAP_HW), joint, atol=0.5)
    assert np.array_equal(mean_maps(maps[:1], (1.0,)), maps[0])


def test_what_makes_no_sense_is_refused() -> None:
    with pytest.raises(ValueError, match="x1 < x2"):
        crops_of(np.array([5.0, 5.0, 5.0, 9.0]), INPUT_HW)
    with pytest.raises(ValueError, match="'quarter' or 'dark'"):
        TopDownConfig(decoding="half")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="expected maps of shape"):
        decode_top_down(np.zeros((1, 18, 4, 4), np.float32), crops_of(BOX, INPUT_HW), BOX, np.ones(1))


def test_nobody_has_no_peaks() -> None:
    xy, heights = peaks_of(np.zeros((0, 17, *MAP_HW), np.float32))
    assert xy.shape == (0, 17, 2) and heights.shape == (0, 17)
