"""PNG, JPEG and RVL data: sizes before pixels, and nothing broken gets through."""

from __future__ import annotations

import struct
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from orpose_core.data.image_messages import decode_color, decode_depth, size_of
from orpose_core.data.rvl import decode_rvl, encode_rvl
from orpose_core.types import Intrinsics
from orpose_core.undistortion import Undistortion


@pytest.mark.parametrize("form", [".png", ".jpg"])
def test_the_header_tells_the_size_and_the_limit_holds_before_decoding(form, monkeypatch):
    rgb = np.random.default_rng(0).integers(0, 255, (30, 40, 3)).astype(np.uint8)
    data = cv2.imencode(form, rgb)[1].ravel()
    message = SimpleNamespace(data=data, format=f"rgb8; {form[1:]} compressed bgr8")
    assert size_of(message) == (30, 40)
    assert decode_color(message).shape == (30, 40, 3)
    monkeypatch.setattr(cv2, "imdecode", lambda *_: pytest.fail("decoded"))
    with pytest.raises(ValueError, match="at most 1000 px, got 40x30"):
        decode_color(message, 1000)


def test_the_size_of_compressed_depth_is_told_before_decoding():
    depth = np.arange(12, dtype=np.uint16).reshape(3, 4)
    png = bytes(12) + cv2.imencode(".png", depth)[1].tobytes()
    rvl = bytes(12) + struct.pack("<II", 4, 3) + encode_rvl(depth).tobytes()
    for data, form in ((png, "png"), (rvl, "rvl"), (png, "")):
        message = SimpleNamespace(data=data, format=f"16UC1; compressedDepth {form}".rstrip())
        assert size_of(message) == (3, 4)
        np.testing.assert_allclose(np.nan_to_num(decode_depth(message)), depth / 1000)
        with pytest.raises(ValueError, match="11 px, got 4x3"):
            decode_depth(message, most_pixels=11)
    with pytest.raises(ValueError, match="8 bytes"):
        size_of(SimpleNamespace(data=bytes(15), format="16UC1; compressedDepth rvl"))
    with pytest.raises(ValueError, match="neither"):
        size_of(SimpleNamespace(data=b"GIF89a", format="rgb8; gif"))


@given(arrays(np.uint16, (5, 7), elements=st.sampled_from([0, 0, 1, 900, 1000, 65535])))
@settings(max_examples=60, deadline=None)
def test_rvl_gives_back_what_went_in(depth):
    np.testing.assert_array_equal(decode_rvl(encode_rvl(depth), (5, 7)), depth)


def test_rvl_of_noise_and_of_known_bytes():
    rng = np.random.default_rng(2)
    depth = rng.integers(0, 65536, (48, 64)).astype(np.uint16)
    depth[rng.random((48, 64)) < 0.5] = 0
    np.testing.assert_array_equal(decode_rvl(encode_rvl(depth), (48, 64)), depth)
    # By hand from the paper's code: no zeros, two values, 3 (code 6), 2 (code 1), then three zeros, none.
    known = np.array([0x02613000], "<u4").view(np.uint8)
    np.testing.assert_array_equal(encode_rvl(np.array([[3, 2, 0, 0, 0]], np.uint16)), known)


def test_rvl_that_does_not_fit_is_refused():
    depth = np.random.default_rng(3).integers(1, 5000, (10, 10)).astype(np.uint16)
    data = encode_rvl(depth)
    for broken, size_hw in ((data[:40], (10, 10)), (data, (20, 20)), (data, (2, 2)), (data[:0], (1, 1))):
        with pytest.raises(ValueError, match="RVL"):
            decode_rvl(broken, size_hw)


@pytest.mark.parametrize("model", ["rational_polynomial", "equidistant"])
def test_a_lens_is_corrected_by_its_own_model(model):
    k = Intrinsics(150.0, 150.0, 79.5, 59.5, 160, 120)
    d = (0.2, -0.1, 0.0, 0.0, 0.01, 0.1, 0.0, 0.0) if model[0] == "r" else (0.05, 0.01, 0.0, 0.0)
    matrix = np.array([[150.0, 0, 79.5], [0, 150.0, 59.5], [0, 0, 1]])
    pixels = np.stack(np.meshgrid(np.arange(160.0), np.arange(120.0)), axis=-1).reshape(-1, 1, 2)
    undo = cv2.undistortPoints if model[0] == "r" else cv2.fisheye.undistortPoints
    rays = undo(pixels, matrix, np.array(d)).reshape(120, 160, 2)
    straight = Undistortion(k, model, d).depth((5 + rays[..., 0]).astype(np.float32))
    wanted = np.broadcast_to(5 + (np.arange(160) - 79.5) / 150, (120, 160))
    inside = np.isfinite(straight)
    assert inside.mean() > 0.8
    np.testing.assert_allclose(straight[inside], wanted[inside], atol=0.01)


@pytest.mark.parametrize(
    ("model", "d", "words"), [("mine", (1.0,), "distortion model of"), ("plumb_bob", (0.1,), "4 or 5 or 8")]
)
def test_a_lens_that_is_not_known_is_refused(model, d, words):
    with pytest.raises(ValueError, match=words):
        Undistortion(Intrinsics(1.0, 1.0, 0.0, 0.0, 2, 2), model, d)
