"""Image messages to arrays and back, with no ROS: anything that has the fields of the message will do.

The objects of rclpy, of `rosbags` (ROS 1 and 2) and a ``SimpleNamespace`` in a test all have the fields of
``sensor_msgs/Image``, ``CompressedImage`` and ``CameraInfo``; only those fields are read. REP 118: depth is
either 16UC1, millimetres with 0 = no return, or 32FC1, metres with NaN = no return. Arrays that come back are
copies: a message's buffer may be reused by whoever received it.
"""

from __future__ import annotations

import struct
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from orpose_core.data.rvl import decode_rvl
from orpose_core.files import MILLIMETRE_M as MILLIMETRE_M
from orpose_core.files import MOST_PIXELS, decode_image, image_size_hw, metres, millimetres
from orpose_core.types import FloatArray, Intrinsics

# encoding: (dtype, channels). 8UC1 and 8UC3 are what OpenCV users publish: grey, and blue-green-red.
_COLOR: dict[str, tuple[str, int]] = {
    "rgb8": ("u1", 3), "bgr8": ("u1", 3), "8UC3": ("u1", 3), "rgba8": ("u1", 4), "bgra8": ("u1", 4),
    "mono8": ("u1", 1), "8UC1": ("u1", 1),
}  # fmt: skip
_DEPTH: dict[str, tuple[str, int]] = {"16UC1": ("u2", 1), "mono16": ("u2", 1), "32FC1": ("f4", 1)}

COLOR_ENCODINGS = tuple(_COLOR)
"""What :func:`decode_color` reads of an uncompressed image."""
DEPTH_ENCODINGS = tuple(_DEPTH)
"""What :func:`decode_depth` reads of an uncompressed image."""

_TO_RGB = {
    "bgr8": cv2.COLOR_BGR2RGB, "8UC3": cv2.COLOR_BGR2RGB, "rgba8": cv2.COLOR_RGBA2RGB,
    "bgra8": cv2.COLOR_BGRA2RGB, "mono8": cv2.COLOR_GRAY2RGB, "8UC1": cv2.COLOR_GRAY2RGB,
}  # fmt: skip
_FROM_RGB = {
    "bgr8": cv2.COLOR_RGB2BGR, "rgba8": cv2.COLOR_RGB2RGBA, "bgra8": cv2.COLOR_RGB2BGRA,
    "mono8": cv2.COLOR_RGB2GRAY,
}  # fmt: skip

_JPEG_MAGIC = b"\xff\xd8\xff"
_PNG_MAGIC = b"\x89PNG\r\n\x1a\n"
_COMPRESSED_DEPTH_HEADER = struct.Struct("<iff")  # codec, depthQuantA, depthQuantB
_RVL_HEADER = struct.Struct("<II")  # width, height


def is_compressed(message: Any) -> bool:
    """Return whether a message is a ``CompressedImage`` (it has a format) and not an ``Image``."""
    return hasattr(message, "format") and not hasattr(message, "encoding")


def decode_color(message: Any, most_pixels: int = MOST_PIXELS) -> NDArray[np.uint8]:
    """Return the picture of an ``Image`` (see :data:`COLOR_ENCODINGS`) or ``CompressedImage`` (JPEG, PNG).

    Args:
        message: the image.
        most_pixels: a compressed image whose header tells of more is refused before it is decoded.

    Returns:
        uint8 (H, W, 3), red first. Grey images have three equal channels; alpha is dropped.

    Raises:
        ValueError: the encoding is no color, or the message contradicts itself; says what was expected.
    """
    if is_compressed(message):
        return _decode_compressed_color(message, most_pixels)
    pixels = _pixels(message, _COLOR, "color")
    conversion = _TO_RGB.get(message.encoding)
    if conversion is None:
        return np.ascontiguousarray(pixels).copy()
    return np.asarray(cv2.cvtColor(np.ascontiguousarray(pixels), conversion), np.uint8)


def decode_depth(message: Any, unit_m: float = MILLIMETRE_M, most_pixels: int = MOST_PIXELS) -> FloatArray:
    """Return the depth of an ``Image`` (16UC1, mono16, 32FC1) or of a losslessly compressed one (PNG, RVL).

    Args:
        message: the image.
        unit_m: what one step of 16-bit depth is, m.
        most_pixels: a compressed image whose header tells of more is refused before it is decoded.

    Returns:
        float32 (H, W), metres, NaN = no return (0 in millimetres; NaN, infinite or not positive in metres).

    Raises:
        ValueError: the encoding is no depth (JPEG changes depth and is refused), or the message contradicts
            itself; says what was expected.
    """
    if is_compressed(message):
        return _decode_compressed_depth(message, unit_m, most_pixels)
    return _metres(_pixels(message, _DEPTH, "depth"), unit_m)


def size_of(message: Any) -> tuple[int, int]:
    """Return (height, width) of an ``Image`` or ``CompressedImage`` without decoding a pixel.

    Raises:
        ValueError: a compressed image whose header cannot be read.
    """
    if not is_compressed(message):
        return int(message.height), int(message.width)
    data, form = _bytes_of(message.data), str(message.format)
    what = f"compressed image (format {form!r})"
    if "compressedDepth" in form:
        data = data[_COMPRESSED_DEPTH_HEADER.size :]
        if form.endswith("rvl"):
            return _rvl_size(data, what)
    size_hw = image_size_hw(data.tobytes())
    if size_hw is None:
        raise ValueError(f"{what}: expected JPEG or PNG data, got {data.size} bytes that are neither")
    return size_hw


def intrinsics_of(camera_info: Any, rectified: bool = False) -> Intrinsics:
    """Return the pinhole camera of a ``CameraInfo``, after region of interest and binning.

    The distortion coefficients are not used; :func:`distortion_of` gives them.

    Args:
        camera_info: of ROS 1 or 2.
        rectified: whether the images are rectified (``image_rect``): their camera is P, otherwise it is K.

    Raises:
        ValueError: the camera is not calibrated (K or P is zero), or a matrix or the size is malformed.
    """
    name, size = ("p", 12) if rectified else ("k", 9)
    values = getattr(camera_info, name, None)
    values = getattr(camera_info, name.upper()) if values is None else values  # ROS 1 writes them large
    k = np.asarray(values, np.float64).ravel()
    if k.size != size:
        raise ValueError(f"camera_info: expected {name.upper()} of {size} numbers, got {k.size}")
    k = k.reshape(3, -1)[:, :3].ravel()
    if k[0] == 0 or k[4] == 0:
        raise ValueError(
            f"camera_info: the camera is not calibrated: expected fx and fy in {name.upper()}, got 0"
        )
    width, height, cx, cy = int(camera_info.width), int(camera_info.height), float(k[2]), float(k[5])
    roi = getattr(camera_info, "roi", None)
    if roi is not None and roi.width and roi.height:
        width, height = int(roi.width), int(roi.height)
        cx, cy = cx - roi.x_offset, cy - roi.y_offset
    intrinsics = Intrinsics(float(k[0]), float(k[4]), cx, cy, width, height)
    binning_x = max(1, int(getattr(camera_info, "binning_x", 0)))
    binning_y = max(1, int(getattr(camera_info, "binning_y", 0)))
    if binning_x == binning_y == 1:
        return intrinsics
    return intrinsics.resized((height // binning_y, width // binning_x))


def distortion_of(camera_info: Any) -> tuple[str, tuple[float, ...]]:
    """Return the model and the coefficients of a camera's lens; no coefficients = it does not distort."""
    d = getattr(camera_info, "d", None)
    d = np.asarray(camera_info.D if d is None else d, np.float64).ravel()  # ROS 1 calls it D
    if not d.any():
        return str(camera_info.distortion_model), ()
    return str(camera_info.distortion_model), tuple(float(value) for value in d)


def encode_color(
    rgb: NDArray[np.uint8], encoding: str = "rgb8", *, row_padding: int = 0
) -> dict[str, int | str | NDArray[np.uint8]]:
    """Return the fields of an ``Image`` (all but the header) for uint8 (H, W, 3), red first.

    ``data`` is flat uint8, as `rosbags` wants it; for rclpy pass ``array.array("B", data.tobytes())``.

    Raises:
        ValueError: the encoding is not one of rgb8, bgr8, rgba8, bgra8, mono8, or the array is no color.
    """
    if rgb.ndim != 3 or rgb.shape[2] != 3 or rgb.dtype != np.uint8:
        raise ValueError(f"encode_color: expected uint8 of shape (H, W, 3), got {rgb.dtype} of {rgb.shape}")
    if encoding != "rgb8" and encoding not in _FROM_RGB:
        raise ValueError(f"encode_color: expected one of rgb8, {', '.join(_FROM_RGB)}, got {encoding!r}")
    pixels = rgb if encoding == "rgb8" else cv2.cvtColor(np.ascontiguousarray(rgb), _FROM_RGB[encoding])
    return _fields(np.asarray(pixels), encoding, False, row_padding)


def encode_depth(
    depth_m: FloatArray, encoding: str = "32FC1", *, big_endian: bool = False, row_padding: int = 0
) -> dict[str, int | str | NDArray[np.uint8]]:
    """Return the fields of an ``Image`` (all but the header) for float32 (H, W), metres, NaN = no return.

    16UC1 and mono16 round to millimetres; NaN and what does not fit (beyond 65.535 m) become 0.

    Raises:
        ValueError: the encoding is not one of :data:`DEPTH_ENCODINGS`, or the array is no depth.
    """
    if depth_m.ndim != 2 or depth_m.dtype != np.float32:
        raise ValueError(
            f"encode_depth: expected float32 of shape (H, W), got {depth_m.dtype} of {depth_m.shape}"
        )
    if encoding not in _DEPTH:
        raise ValueError(f"encode_depth: expected one of {', '.join(_DEPTH)}, got {encoding!r}")
    pixels: NDArray = depth_m
    if encoding != "32FC1":
        pixels = millimetres(depth_m)
    return _fields(pixels, encoding, big_endian, row_padding)


def encode_intrinsics(intrinsics: Intrinsics) -> dict[str, Any]:
    """Return the fields of a ``CameraInfo`` (all but the header) of a pinhole without distortion.

    The arrays are float64, as both rclpy and `rosbags` take them.
    """
    i = intrinsics
    return {
        "height": i.height,
        "width": i.width,
        "distortion_model": "plumb_bob",
        "d": np.zeros(5),
        "k": np.array([i.fx, 0, i.cx, 0, i.fy, i.cy, 0, 0, 1], np.float64),
        "r": np.eye(3).ravel(),
        "p": np.array([i.fx, 0, i.cx, 0, 0, i.fy, i.cy, 0, 0, 0, 1, 0], np.float64),
    }


def _bytes_of(data: Any) -> NDArray[np.uint8]:
    """View the data field (array.array, numpy array, bytes, list) as flat uint8."""
    if isinstance(data, list | tuple):
        return np.asarray(data, np.uint8)
    return np.frombuffer(memoryview(data).cast("B"), np.uint8)


def _pixels(message: Any, known: dict[str, tuple[str, int]], wanted: str) -> NDArray:
    """View an uncompressed image as (H, W) or (H, W, channels), having checked every size in it."""
    encoding, height, width = str(message.encoding), int(message.height), int(message.width)
    if encoding not in known:
        raise ValueError(f"{wanted} image: expected an encoding of {', '.join(known)}, got {encoding!r}")
    if height <= 0 or width <= 0:
        raise ValueError(f"{wanted} image ({encoding}): expected a positive size, got {width}x{height}")
    letter, channels = known[encoding]
    dtype = np.dtype(letter).newbyteorder(">" if message.is_bigendian else "<")
    row, step = width * channels * dtype.itemsize, int(message.step)
    if step < row:
        raise ValueError(
            f"{wanted} image ({encoding}, {width}x{height}): "
            f"expected a step of at least {row} bytes, got {step}"
        )
    data = _bytes_of(message.data)
    if data.size != step * height:
        raise ValueError(
            f"{wanted} image ({encoding}, {width}x{height}, step {step}): expected {step * height} bytes of "
            f"data, got {data.size}"
        )
    # Slice the padding off before the view, since a step need not be a multiple of the item's size.
    rows = np.ascontiguousarray(data.reshape(height, step)[:, :row]).view(dtype)
    return rows.reshape(height, width) if channels == 1 else rows.reshape(height, width, channels)


def _metres(pixels: NDArray, unit_m: float = MILLIMETRE_M) -> FloatArray:
    """Turn raw depth, uint16 steps or float32 m in either byte order, into float32 metres with NaN."""
    if pixels.dtype.kind == "u":
        return metres(pixels, unit_m)
    depth_m = pixels.astype(np.float32)
    depth_m[~((depth_m > 0) & (depth_m < np.inf))] = np.nan
    return depth_m


def _decode_compressed_color(message: Any, most_pixels: int) -> NDArray[np.uint8]:
    data = _bytes_of(message.data)
    what = f"compressed color image (format {message.format!r})"
    image = _imdecode(data, what, most_pixels)
    if image.dtype != np.uint8:
        raise ValueError(f"{what}: expected 8 bits per channel, got {image.dtype}")
    if image.ndim == 2:
        return np.asarray(cv2.cvtColor(image, cv2.COLOR_GRAY2RGB), np.uint8)
    image = image[..., :3]
    # "rgb8; png compressed rgb8": the transport wrote RGB where the codec expects BGR, so nothing to swap.
    if "compressed rgb" in str(message.format):
        return np.ascontiguousarray(image)
    return np.asarray(cv2.cvtColor(np.ascontiguousarray(image), cv2.COLOR_BGR2RGB), np.uint8)


def _decode_compressed_depth(message: Any, unit_m: float, most_pixels: int) -> FloatArray:
    """Read 16-bit PNG, plain or as the compressedDepth transport wraps it (12 bytes of header), or RVL."""
    data, form = _bytes_of(message.data), str(message.format)
    what = f"compressed depth image (format {form!r})"
    if data[:3].tobytes() == _JPEG_MAGIC or ("jpeg" in form and "compressedDepth" not in form):
        raise ValueError(f"{what}: JPEG changes depth values; expected PNG (compressedDepth) or raw images")
    quantisation = None
    if "compressedDepth" in form:
        if data.size < _COMPRESSED_DEPTH_HEADER.size:
            raise ValueError(f"{what}: expected a header of 12 bytes, got {data.size} bytes in all")
        quantisation = _COMPRESSED_DEPTH_HEADER.unpack(data[: _COMPRESSED_DEPTH_HEADER.size].tobytes())[1:]
        data = data[_COMPRESSED_DEPTH_HEADER.size :]
    image = _rvl(data, what, most_pixels) if form.endswith("rvl") else _depth_png(data, what, most_pixels)
    if quantisation is None or not form.startswith("32FC1"):
        return _metres(image, unit_m)
    # 32FC1 is sent as quantised inverse depth: code = A / z + B, 0 = no return.
    a, b = quantisation
    with np.errstate(divide="ignore"):
        return _metres(
            np.where(image > 0, np.float32(a) / (image.astype(np.float32) - np.float32(b)), np.nan)
        )


def _imdecode(data: NDArray[np.uint8], what: str, most_pixels: int) -> NDArray:
    try:
        return decode_image(data, cv2.IMREAD_UNCHANGED, most_pixels)
    except ValueError as error:
        raise ValueError(f"{what}: {error}") from None


def _depth_png(data: NDArray[np.uint8], what: str, most_pixels: int) -> NDArray[np.uint16]:
    if data[:8].tobytes() != _PNG_MAGIC:
        raise ValueError(f"{what}: expected PNG data, got bytes that begin {data[:4].tobytes().hex()}")
    image = _imdecode(data, what, most_pixels)
    if image.ndim != 2 or image.dtype != np.uint16:
        raise ValueError(f"{what}: expected one channel of 16 bits, got {image.dtype} of shape {image.shape}")
    return image


def _rvl_size(data: NDArray[np.uint8], what: str) -> tuple[int, int]:
    if data.size < _RVL_HEADER.size:
        raise ValueError(f"{what}: expected width and height in 8 bytes, got {data.size} bytes")
    width, height = _RVL_HEADER.unpack(data[: _RVL_HEADER.size].tobytes())
    return height, width


def _rvl(data: NDArray[np.uint8], what: str, most_pixels: int) -> NDArray[np.uint16]:
    height, width = _rvl_size(data, what)
    if not 0 < height * width <= most_pixels:
        raise ValueError(f"{what}: expected 1 to {most_pixels} px, got {width}x{height}")
    try:
        return decode_rvl(data[_RVL_HEADER.size :], (height, width))
    except ValueError as error:
        raise ValueError(f"{what}: {error}") from error


def _fields(
    pixels: NDArray, encoding: str, big_endian: bool, row_padding: int
) -> dict[str, int | str | NDArray[np.uint8]]:
    height, width = pixels.shape[:2]
    ordered = np.ascontiguousarray(pixels, pixels.dtype.newbyteorder(">" if big_endian else "<"))
    rows = ordered.reshape(height, -1).view(np.uint8)
    if row_padding:
        rows = np.pad(rows, ((0, 0), (0, row_padding)))
    return {
        "height": height,
        "width": width,
        "encoding": encoding,
        "is_bigendian": int(big_endian),
        "step": rows.shape[1],
        "data": rows.reshape(-1).copy(),
    }
