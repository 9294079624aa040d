"""Image messages: every encoding there and back, both byte orders, padded rows, and every malformed one."""

from __future__ import annotations

import array
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orpose_core.data.image_messages import (
    COLOR_ENCODINGS,
    decode_color,
    decode_depth,
    encode_color,
    encode_depth,
    encode_intrinsics,
    intrinsics_of,
)
from orpose_core.types import Intrinsics


def _rgb(height=6, width=7, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def _depth(height=6, width=7, seed=0):
    generator = np.random.default_rng(seed)
    depth = (generator.integers(300, 9000, (height, width)) / 1000).astype(np.float32)
    depth[generator.random((height, width)) < 0.2] = np.nan
    return depth


def _message(fields, **changes):
    return SimpleNamespace(**(fields | changes))


@given(
    encoding=st.sampled_from(["16UC1", "mono16", "32FC1"]),
    big_endian=st.booleans(),
    padding=st.integers(0, 5),
    height=st.integers(1, 9),
    width=st.integers(1, 9),
    seed=st.integers(0, 99),
)
@settings(max_examples=60, deadline=None)
def test_depth_comes_back_from_every_encoding(encoding, big_endian, padding, height, width, seed):
    depth = _depth(height, width, seed)
    message = _message(encode_depth(depth, encoding, big_endian=big_endian, row_padding=padding))
    decoded = decode_depth(message)
    assert decoded.dtype == np.float32
    np.testing.assert_allclose(decoded, depth, atol=1e-6, equal_nan=True)


def test_16uc1_and_32fc1_of_one_depth_are_equal():
    depth = _depth()
    millimetres = decode_depth(_message(encode_depth(depth, "16UC1")))
    np.testing.assert_allclose(millimetres, decode_depth(_message(encode_depth(depth, "32FC1"))), atol=1e-6)


@pytest.mark.parametrize("encoding", ["rgb8", "bgr8", "rgba8", "bgra8", "mono8"])
@pytest.mark.parametrize("padding", [0, 3])
def test_color_comes_back_from_every_encoding(encoding, padding):
    rgb = _rgb()
    if encoding == "mono8":
        rgb = np.repeat(rgb[..., :1], 3, axis=2)
    decoded = decode_color(_message(encode_color(rgb, encoding, row_padding=padding)))
    assert decoded.dtype == np.uint8
    np.testing.assert_array_equal(decoded, rgb)


@pytest.mark.parametrize("container", [bytes, lambda d: array.array("B", d.tobytes()), list, np.asarray])
def test_data_may_be_what_rclpy_rosbags_or_a_test_holds(container):
    rgb = _rgb()
    fields = encode_color(rgb)
    np.testing.assert_array_equal(decode_color(_message(fields, data=container(fields["data"]))), rgb)


def test_decoded_images_are_copies():
    fields = encode_color(_rgb())
    decoded = decode_color(_message(fields))
    before = decoded.copy()
    fields["data"][:] = 0
    np.testing.assert_array_equal(decoded, before)
    depth_fields = encode_depth(_depth())
    depth = decode_depth(_message(depth_fields))
    before = depth.copy()
    depth_fields["data"][:] = 0
    np.testing.assert_array_equal(depth, before)


def test_no_return_is_nan_whatever_the_camera_writes():
    raw = np.array([[0.0, -1.0, np.inf], [np.nan, -np.inf, 2.0]], np.float32)
    fields = encode_depth(raw)
    assert np.isnan(decode_depth(_message(fields))).tolist() == [[True, True, True], [True, True, False]]
    far = encode_depth(np.array([[70.0, 2.0]], np.float32), "16UC1")
    assert np.isnan(decode_depth(_message(far))).tolist() == [[True, False]]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"data": b"\0" * 5}, "expected 168 bytes of data, got 5"),
        ({"step": 3}, "expected a step of at least 28 bytes, got 3"),
        ({"height": 0}, "expected a positive size, got 7x0"),
        ({"width": 0}, "expected a positive size, got 0x6"),
        ({"encoding": "bayer_rggb8"}, "got 'bayer_rggb8'"),
        ({"encoding": ""}, "got ''"),
    ],
)
def test_a_malformed_depth_image_is_refused_with_what_was_expected(changes, expected):
    with pytest.raises(ValueError, match="expected") as error:
        decode_depth(_message(encode_depth(_depth()), **changes))
    assert expected in str(error.value)


@given(st.binary(max_size=64), st.integers(0, 9), st.integers(0, 9), st.integers(0, 99),
       st.sampled_from([*COLOR_ENCODINGS, "16UC1", "32FC1", "mono16", "yuv422"]))  # fmt: skip
@settings(max_examples=80, deadline=None)
def test_no_message_raises_anything_but_value_error(data, height, width, step, encoding):
    message = SimpleNamespace(
        data=data, height=height, width=width, step=step, encoding=encoding, is_bigendian=0
    )
    compressed = SimpleNamespace(data=data, format=encoding + "; compressedDepth png")
    for decode in (decode_color, decode_depth):
        for candidate in (message, compressed):
            _decodes_or_says_what_it_expected(decode, candidate)


def _decodes_or_says_what_it_expected(decode, message):
    try:
        decode(message)
    except ValueError as error:
        assert "expected" in str(error)


def test_color_is_no_depth_and_depth_is_no_color():
    with pytest.raises(ValueError, match="got 'rgb8'"):
        decode_depth(_message(encode_color(_rgb())))
    with pytest.raises(ValueError, match="got '32FC1'"):
        decode_color(_message(encode_depth(_depth())))


def _compressed(extension, image, form):
    return SimpleNamespace(format=form, data=np.asarray(cv2.imencode(extension, image)[1]).ravel())


def test_compressed_color():
    rgb = _rgb(40, 48)
    png = _compressed(".png", rgb[..., ::-1], "rgb8; png compressed bgr8")
    np.testing.assert_array_equal(decode_color(png), rgb)
    swapped = _compressed(".png", rgb, "rgb8; png compressed rgb8")
    np.testing.assert_array_equal(decode_color(swapped), rgb)
    smooth = cv2.GaussianBlur(rgb, (15, 15), 5)
    jpeg = decode_color(_compressed(".jpg", smooth[..., ::-1], "jpeg"))
    assert np.abs(jpeg.astype(int) - smooth).mean() < 4
    grey = decode_color(_compressed(".png", rgb[..., 0], "mono8; png compressed"))
    np.testing.assert_array_equal(grey, np.repeat(rgb[..., :1], 3, axis=2))


def test_compressed_depth():
    depth = _depth()
    raw = np.nan_to_num(np.rint(depth * 1000)).astype(np.uint16)
    plain = _compressed(".png", raw, "16UC1; png compressed ")
    np.testing.assert_allclose(decode_depth(plain), depth, atol=1e-6)
    wrapped = SimpleNamespace(
        format="16UC1; compressedDepth png", data=np.zeros(12, np.uint8).tobytes() + plain.data.tobytes()
    )
    np.testing.assert_allclose(decode_depth(wrapped), depth, atol=1e-6)
    a, b = np.float32(2000.0), np.float32(-1.0)
    code = np.where(np.isnan(depth), 0, np.rint(a / np.nan_to_num(depth, nan=1) + b)).astype(np.uint16)
    inverse = SimpleNamespace(
        format="32FC1; compressedDepth png",
        data=np.array([0], "<i4").tobytes()
        + np.array([a, b], "<f4").tobytes()
        + np.asarray(cv2.imencode(".png", code)[1]).tobytes(),
    )
    np.testing.assert_allclose(decode_depth(inverse), depth, rtol=0.003)


def test_jpeg_depth_is_refused():
    picture = np.zeros((8, 8), np.uint8)
    for form in ("jpeg", "16UC1; jpeg compressed ", "16UC1; png compressed"):
        with pytest.raises(ValueError, match="JPEG changes depth"):
            decode_depth(_compressed(".jpg", picture, form))
    with pytest.raises(ValueError, match="16 bits"):
        decode_depth(_compressed(".png", picture, "png"))


def _camera_info(**changes):
    fields = {
        "binning_x": 0,
        "binning_y": 0,
        **encode_intrinsics(Intrinsics(525, 520, 319.5, 239.5, 640, 480)),
    }
    fields["roi"] = SimpleNamespace(x_offset=0, y_offset=0, width=0, height=0)
    return SimpleNamespace(**(fields | changes))


def test_intrinsics_come_back():
    camera = Intrinsics(525, 520, 319.5, 239.5, 640, 480)
    assert intrinsics_of(_camera_info()) == camera
    ros1 = SimpleNamespace(K=_camera_info().k, width=640, height=480)
    assert intrinsics_of(ros1) == camera
    assert intrinsics_of(_camera_info(binning_x=2, binning_y=2)) == camera.resized((240, 320))
    roi = SimpleNamespace(x_offset=100, y_offset=50, width=320, height=240)
    assert intrinsics_of(_camera_info(roi=roi)) == Intrinsics(525, 520, 219.5, 189.5, 320, 240)


def test_an_uncalibrated_camera_is_refused():
    with pytest.raises(ValueError, match="not calibrated"):
        intrinsics_of(_camera_info(k=np.zeros(9)))
    with pytest.raises(ValueError, match="positive size"):
        intrinsics_of(_camera_info(width=0))
    with pytest.raises(ValueError, match="9 numbers"):
        intrinsics_of(_camera_info(k=[1.0]))


def test_encoders_refuse_what_they_cannot_write():
    with pytest.raises(ValueError, match="got 'hsv'"):
        encode_color(_rgb(), "hsv")
    with pytest.raises(ValueError, match="expected uint8"):
        encode_color(_rgb().astype(np.float32))
    with pytest.raises(ValueError, match="got 'jpeg'"):
        encode_depth(_depth(), "jpeg")
    with pytest.raises(ValueError, match="expected float32"):
        encode_depth(_depth().astype(np.float64))
