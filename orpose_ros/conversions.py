"""Conversion between ROS messages and the types of the core.

:mod:`orpose_core.data.image_messages` decodes the images. ``cv_bridge`` is not used: it shears images whose
row step is not a multiple of the pixel size, and accepts a step that is shorter than a row.
"""

from __future__ import annotations

import array
from typing import Any

import numpy as np
from builtin_interfaces.msg import Time
from numpy.typing import NDArray
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_msgs.msg import Header

from orpose_core.data import image_messages
from orpose_core.data.reading import USUAL, Reading
from orpose_core.data.rvl import decode_rvl, encode_rvl
from orpose_core.types import Intrinsics, RgbdFrame


def stamp_ns(header: Header) -> int:
    """Return the stamp of a message's header, ns."""
    return int(header.stamp.sec) * 1_000_000_000 + int(header.stamp.nanosec)


def stamp_of(ns: int) -> Time:
    """Return a time message for a time in ns."""
    return Time(sec=ns // 1_000_000_000, nanosec=ns % 1_000_000_000)


def color_of(message: Image | CompressedImage, reading: Reading = USUAL) -> NDArray[np.uint8]:
    """Return the color image of a message, uint8 RGB (H, W, 3).

    Raises:
        ValueError: the encoding is not one of color, or the data do not fit. The text names both.
    """
    return reading.color(message)


def depth_of(message: Image | CompressedImage, reading: Reading = USUAL) -> NDArray[np.float32]:
    """Return the depth image of a message, float32 (H, W), m, NaN = no return.

    Raises:
        ValueError: the encoding is not one of depth (JPEG is lossy), or the data do not fit.
    """
    return reading.depth(message)


def intrinsics_of(message: CameraInfo, reading: Reading = USUAL) -> Intrinsics:
    """Return the pinhole camera of a camera_info; raise ValueError if it is not calibrated."""
    return reading.intrinsics(message)


def distortion_of(message: CameraInfo, reading: Reading = USUAL) -> tuple[str, tuple[float, ...]]:
    """Return the distortion model and its coefficients; none for rectified images."""
    return reading.distortion(message)


def compile_rvl() -> None:
    """Decode a small depth image in RVL, so that the first real image does not wait for compilation."""
    decode_rvl(encode_rvl(np.full((2, 2), 1000, np.uint16)), (2, 2))


def frame_of(
    color: Image | CompressedImage | None,
    depth: Image | CompressedImage | None,
    camera_info: CameraInfo | None,
    reading: Reading = USUAL,
) -> RgbdFrame:
    """Return the frame of a set of messages.

    The stamp is that of the depth image, or of the color image if there is no depth.

    Args:
        color: the color image, or None.
        depth: the depth image, registered to the color camera, or None.
        camera_info: camera_info of the images, or None.
        reading: settings for decoding.

    Raises:
        ValueError: both images are None, sizes or frame_ids differ, or an encoding is not supported. The text
            says what was expected and what was given.
    """
    leading = depth if depth is not None else color
    if leading is None:
        raise ValueError("expected a color or a depth image, got neither")
    frame_id = leading.header.frame_id
    image = "color" if depth is None else "depth"
    for name, other in (("color image", color), ("camera_info", camera_info)):
        if other is not None and other.header.frame_id != frame_id:
            raise ValueError(
                f"the {name} is in frame {other.header.frame_id!r} but the {image} image in {frame_id!r}; "
                "register the depth to the color camera"
            )
    return RgbdFrame(
        None if color is None else color_of(color, reading),
        None if depth is None else depth_of(depth, reading),
        None if camera_info is None else intrinsics_of(camera_info, reading),
        frame_id,
        stamp_ns(leading.header),
    )


def color_message(rgb: NDArray[np.uint8], header: Header) -> Image:
    """Return a uint8 RGB image (H, W, 3) as a message with encoding rgb8."""
    return _image(image_messages.encode_color(rgb), header)


def depth_message(depth_m: NDArray[np.float32], header: Header, encoding: str = "32FC1") -> Image:
    """Return float32 (H, W), m, NaN = no return, as 32FC1 (m, NaN) or 16UC1 (mm, 0 = no return)."""
    return _image(image_messages.encode_depth(depth_m, encoding), header)


def camera_info_message(intrinsics: Intrinsics, header: Header) -> CameraInfo:
    """Return the camera_info of a pinhole camera without distortion (K and P; no rotation, no binning)."""
    return CameraInfo(header=header, **image_messages.encode_intrinsics(intrinsics))


def resized_camera_info(message: CameraInfo, size_hw: tuple[int, int], header: Header) -> CameraInfo:
    """Return the camera_info of the same images after they were resized to ``size_hw``.

    Each axis has its own scale. Distortion and rotation do not change, since they act on directions. The
    region of interest and the binning of the source are included in K and P, and removed.
    """
    k = intrinsics_of(message).resized(size_hw)
    # The map from the pixels of the full sensor, which K and P are given for, to ours: u' = scale u + shift.
    scale_x, scale_y = k.fx / message.k[0], k.fy / message.k[4]
    shift_x, shift_y = k.cx - scale_x * message.k[2], k.cy - scale_y * message.k[5]
    p = np.array(message.p, np.float64).reshape(3, 4)
    to_small = np.array([[scale_x, 0.0, shift_x], [0.0, scale_y, shift_y], [0.0, 0.0, 1.0]])
    resized = CameraInfo(header=header, **image_messages.encode_intrinsics(k))
    resized.distortion_model, resized.d, resized.r = message.distortion_model, message.d, message.r
    if p[0, 0] > 0:  # zero where the driver fills in K alone
        resized.p = (to_small @ p).ravel()
    return resized


def _image(fields: dict[str, Any], header: Header) -> Image:
    data = array.array(
        "B", fields.pop("data").tobytes()
    )  # the one type that rclpy takes without looking at each byte
    return Image(header=header, data=data, **fields)
