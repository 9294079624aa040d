"""Shrinking: constants stay, holes stay, coordinates and slopes come back, medians are medians."""

from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orpose_core.geometry import back_project, project
from orpose_core.image_ops import (
    COLOR_METHODS,
    DEPTH_METHODS,
    LOW_RESOLUTIONS,
    low_resolution_color,
    low_resolution_depth,
    low_resolution_frame,
    normalise_depth,
    parse_resolution,
)
from orpose_core.types import Intrinsics, Resize, RgbdFrame

_SIZES = sorted(LOW_RESOLUTIONS.values())


def _depth(seed=0, holes=0.1, size_hw=(480, 640)):
    generator = np.random.default_rng(seed)
    depth = generator.uniform(0.5, 6, size_hw).astype(np.float32)
    depth[generator.random(size_hw) < holes] = np.nan
    return depth


@pytest.mark.parametrize("method", DEPTH_METHODS)
@pytest.mark.parametrize("size_hw", _SIZES)
def test_constant_depth_stays_constant(method, size_hw):
    small = low_resolution_depth(np.full((480, 640), 2.5, np.float32), size_hw, method)
    assert small.shape == size_hw and small.dtype == np.float32
    np.testing.assert_allclose(small, 2.5, rtol=1e-5)


@pytest.mark.parametrize("method", DEPTH_METHODS)
@pytest.mark.parametrize("size_hw", _SIZES)
def test_holes_stay_holes_and_appear_nowhere_else(method, size_hw):
    depth = np.full((480, 640), 2.0, np.float32)
    depth[120:360, :320] = np.nan
    small = low_resolution_depth(depth, size_hw, method)
    h, w = size_hw
    rows, columns = slice(h // 4 + 1, 3 * h // 4 - 1), slice(0, w // 2 - 1)
    assert np.isnan(small[rows, columns]).all()
    assert not np.isnan(small[:, w // 2 + 1 :]).any()
    assert np.isnan(low_resolution_depth(np.full((480, 640), np.nan, np.float32), size_hw, method)).all()


@pytest.mark.parametrize("method", ["median", "nearest", "area"])
def test_a_few_holes_do_not_change_the_value(method):
    depth = np.where(np.isnan(_depth(holes=0.2)), np.nan, 3.0).astype(np.float32)
    small = low_resolution_depth(depth, (48, 64), method)
    np.testing.assert_allclose(small[~np.isnan(small)], 3.0, rtol=1e-5)
    if method != "nearest":
        assert not np.isnan(small).any()


def test_the_median_is_a_return_of_the_footprint():
    depth = _depth(holes=0.3)
    small = low_resolution_depth(depth, (48, 64))
    for y, x in ((0, 0), (20, 31), (47, 63)):
        cell = np.sort(depth[10 * y : 10 * y + 10, 10 * x : 10 * x + 10].ravel())
        cell = cell[~np.isnan(cell)]
        assert small[y, x] == cell[(len(cell) - 1) // 2]


def test_an_edge_of_two_surfaces_gives_no_surface_between():
    depth = np.full((480, 640), 4.0, np.float32)
    depth[:, :325] = 1.0  # the edge goes through the middle of a footprint
    assert set(np.unique(low_resolution_depth(depth, (48, 64)))) == {1.0, 4.0}
    assert low_resolution_depth(depth, (48, 64), "area")[0, 32] == pytest.approx(2.5)


def test_53x40_is_no_integer_factor_and_every_pixel_counts_once():
    depth = np.zeros((480, 640), np.float32)
    depth[:] = np.arange(640) + 1
    small = low_resolution_depth(depth, (40, 53))
    centres = (np.arange(53) + 0.5) * 640 / 53 + 0.5
    assert np.abs(small[0] - centres).max() <= 1  # half a px for the border, half for an even number


@pytest.mark.parametrize("method", ["area", "bilinear", "bicubic"])
@pytest.mark.parametrize("size_hw", _SIZES)
def test_a_slope_stays_where_it_is_and_noise_averages_out(method, size_hw):
    x, y = np.meshgrid(np.arange(640, dtype=np.float32), np.arange(480, dtype=np.float32))
    small = low_resolution_depth(2 + x / 640 + y / 480, size_hw, method)
    u, v = np.meshgrid(np.arange(size_hw[1], dtype=np.float32), np.arange(size_hw[0], dtype=np.float32))
    source = Resize((480, 640), size_hw).to_source(np.stack([u, v], axis=-1))
    inner = (slice(3, -3), slice(3, -3))  # the filters are cut off at the border
    expected = 2 + source[..., 0] / 640 + source[..., 1] / 480
    np.testing.assert_allclose(small[inner], expected[inner], atol=2e-3)
    noise = low_resolution_depth(_depth(holes=0), size_hw, method)
    assert noise.std() < 0.25 * _depth(holes=0).std()  # antialiased: 8x fewer px, 8x less noise


@pytest.mark.parametrize("method", DEPTH_METHODS)
def test_the_low_resolution_itself_passes_unchanged(method):
    small = _depth(size_hw=(48, 64))
    np.testing.assert_array_equal(low_resolution_depth(small, (48, 64), method), small)


@pytest.mark.parametrize("method", COLOR_METHODS)
@pytest.mark.parametrize("size_hw", _SIZES)
def test_constant_color_stays_constant(method, size_hw):
    rgb = np.full((480, 640, 3), (10, 200, 30), np.uint8)
    small = low_resolution_color(rgb, size_hw, method)
    assert small.shape == (*size_hw, 3)
    assert (small == (10, 200, 30)).all()


@given(st.floats(0, 639), st.floats(0, 479), st.sampled_from(_SIZES))
@settings(max_examples=40, deadline=None)
def test_coordinates_and_rays_survive_the_shrinking(x, y, size_hw):
    camera = Intrinsics(525, 520, 319.5, 239.5, 640, 480)
    resize = Resize((480, 640), size_hw)
    source = np.array([[x, y]], np.float64)
    target = resize.to_target(source)
    np.testing.assert_allclose(resize.to_source(target), source, atol=1e-9)
    # The same point in space is seen at both places.
    point = back_project(source, np.array([2.0]), camera)
    np.testing.assert_allclose(project(point, camera.resized(size_hw)), target, atol=1e-9)


def test_a_blob_is_found_where_the_coordinates_say():
    depth = np.full((480, 640), 5.0, np.float32)
    depth[200:230, 300:360] = 1.0
    centre = np.array([[329.5, 214.5]])
    small = low_resolution_depth(depth, (48, 64)) < 2
    rows, columns = np.nonzero(small)
    found = np.array([[columns.mean(), rows.mean()]])
    np.testing.assert_allclose(Resize((480, 640), (48, 64)).to_source(found), centre, atol=1e-6)


def test_a_frame_shrinks_as_a_whole():
    camera = Intrinsics(525, 520, 319.5, 239.5, 640, 480)
    frame = RgbdFrame(np.zeros((480, 640, 3), np.uint8), _depth(), camera, "optical", 7)
    small = low_resolution_frame(frame, (40, 53))
    assert small.size_hw == (40, 53) and (small.frame_id, small.stamp_ns) == ("optical", 7)
    assert small.intrinsics == camera.resized((40, 53))
    assert small.intrinsics.fx == pytest.approx(525 * 53 / 640)
    assert small.intrinsics.fy == pytest.approx(520 / 12)


def test_normalised_depth():
    depth = np.array([[np.nan, 0.0, 4.0, 8.0, 99.0]], np.float32)
    normalised = normalise_depth(depth)
    assert normalised.dtype == np.float32
    np.testing.assert_allclose(normalised, [[0, 0, 127.5, 255, 255]], rtol=1e-6)
    assert np.isnan(depth[0, 0])  # the argument is left alone
    with pytest.raises(ValueError, match="positive range"):
        normalise_depth(depth, 0)


def test_what_cannot_be_is_refused():
    with pytest.raises(ValueError, match="at most the image's 64x48, got 80x60"):
        low_resolution_depth(_depth(size_hw=(48, 64)), (60, 80))
    with pytest.raises(ValueError, match="got 'lanczos'"):
        low_resolution_depth(_depth(), (48, 64), "lanczos")
    with pytest.raises(ValueError, match="got float64"):
        low_resolution_depth(_depth().astype(np.float64), (48, 64))
    with pytest.raises(ValueError, match="at most"):
        low_resolution_color(np.zeros((40, 53, 3), np.uint8), (48, 64))
    assert parse_resolution("64x48") == (48, 64)
    for text in ("64", "x48", "0x48", "64x48x2", "-64x48"):
        with pytest.raises(ValueError, match="WIDTHxHEIGHT"):
            parse_resolution(text)


@pytest.mark.parametrize("method", DEPTH_METHODS)
def test_shrinking_is_quick(method):
    depth = _depth()
    low_resolution_depth(depth, (48, 64), method)
    times = []
    for _ in range(15):
        start = time.perf_counter()
        low_resolution_depth(depth, (48, 64), method)
        times.append(time.perf_counter() - start)
    assert min(times) < 0.01  # 2 ms on an idle core; the margin is for a busy machine
