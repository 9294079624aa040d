"""Image files: read without trust in their headers, written all or nothing."""

from __future__ import annotations

import io
import os
import warnings
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from orpose_core.files.atomic import write_bytes
from orpose_core.files.strangers import refuse_stranger

MOST_PIXELS = 1 << 26
"""Images with more px (8192 x 8192) are refused before they are decoded."""

_JPEG = (".jpg", ".jpeg")
_FAST_PNG = (cv2.IMWRITE_PNG_COMPRESSION, 1, cv2.IMWRITE_PNG_STRATEGY, cv2.IMWRITE_PNG_STRATEGY_RLE)

os.environ.setdefault("OPENCV_IO_ENABLE_OPENEXR", "1")  # read when the first EXR file is decoded


def image_size_hw(content: bytes) -> tuple[int, int] | None:
    """Return (height, width) as the header of an encoded image says, None where it is of no known kind.

    Nothing is decoded, so that a header that lies about its size costs nothing.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it warns of large images, which is what is asked here
        try:
            with Image.open(io.BytesIO(content)) as image:
                return image.height, image.width
        except Image.DecompressionBombError:
            return 1 << 31, 1 << 31
        except Exception:  # whatever a damaged header raises in one of its many readers
            return None


def decode_image(
    content: bytes | memoryview | NDArray[np.uint8], flags: int, most_pixels: int = MOST_PIXELS
) -> NDArray:
    """Decode PNG, JPEG, TIFF, WebP, BMP or EXR with OpenCV.

    Args:
        content: the encoded image.
        flags: ``cv2.IMREAD_...``.
        most_pixels: an image of more px by its header is refused before it is decoded.

    Returns:
        (H, W) or (H, W, channels), blue first, with the bits that the flags ask for.

    Raises:
        ValueError: no image, a damaged one, or one of more than ``most_pixels``.
    """
    data = np.frombuffer(content, np.uint8)
    size_hw = image_size_hw(data.tobytes())
    if size_hw is not None and size_hw[0] * size_hw[1] > most_pixels:
        raise ValueError(f"expected an image of at most {most_pixels} px, got {size_hw[1]}x{size_hw[0]}")
    try:
        image = cv2.imdecode(data, flags) if data.size else None
    except cv2.error as error:
        raise ValueError(f"expected an image, but OpenCV refuses it: {error.err or error}") from None
    if image is None:
        raise ValueError("expected an image, got a file that is no image or is damaged")
    return np.asarray(image)


def read_image(path: str | os.PathLike, flags: int) -> NDArray:
    """Decode an image file (see :func:`decode_image`); ValueError names the file."""
    try:
        return decode_image(Path(path).read_bytes(), flags)
    except ValueError as error:
        refuse_stranger(path, "an image")
        raise ValueError(f"{path}: {error}") from None


def read_color(path: str | os.PathLike) -> NDArray[np.uint8]:
    """Read an image as uint8 (H, W, 3), red first.

    Raises:
        ValueError: names the file and says what it is instead.
        OSError: the file cannot be read.
    """
    return np.asarray(cv2.cvtColor(read_image(path, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB), np.uint8)


def write_picture(path: str | os.PathLike, picture: NDArray[np.uint8], *, fast: bool = False) -> None:
    """Write a PNG or JPEG, all or nothing.

    Args:
        path: of the file, ending in ``.png``, ``.jpg`` or ``.jpeg``.
        picture: uint8 (H, W, 3), red first.
        fast: compress PNG by run lengths alone, which suits noisy images.

    Raises:
        ValueError: another ending.
        OSError: the file could not be written.
    """
    bgr = cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)
    if Path(path).suffix.lower() in _JPEG:
        write_image(path, cv2.imencode(".jpg", bgr))
    else:
        write_image(path, encoded_png(path, np.asarray(bgr), fast))


def encoded_png(path: str | os.PathLike, image: NDArray, fast: bool) -> tuple[bool, NDArray[np.uint8]]:
    """Encode as PNG; ValueError if ``path`` has another ending."""
    if Path(path).suffix.lower() != ".png":
        raise ValueError(f"{path}: expected a name that ends in .png (or .jpg, for pictures)")
    done, data = cv2.imencode(".png", image, _FAST_PNG if fast else ())
    return done, np.asarray(data, np.uint8)


def write_image(path: str | os.PathLike, encoded: tuple[bool, NDArray[np.uint8]]) -> None:
    """Write what ``cv2.imencode`` gave, all or nothing."""
    done, data = encoded
    if not done:
        raise ValueError(f"{path}: OpenCV could not encode the image")
    write_bytes(path, data.tobytes())
