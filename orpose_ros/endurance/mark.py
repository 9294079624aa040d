"""Images with a mark by which any part of them can be recognized."""

from __future__ import annotations

import base64
import re
import secrets

import numpy as np
from numpy.typing import NDArray

from orpose_core.files import image_size_hw, metres

_EVERY = 3  # rows; the median of what is shrunk is not changed by them
_PIXELS = 8
_IMAGE_HEADS = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"RIFF", b"II*\x00", b"MM\x00*")


class Mark:
    """A random row of px, and all forms in which a part of it could appear.

    Attributes:
        row_mm: uint16 (8,), depth of the marked px, mm, which is repeated along the row.
    """

    def __init__(self) -> None:
        self.row_mm = np.frombuffer(secrets.token_bytes(2 * _PIXELS), np.uint16) | np.uint16(0x4000)
        forms = {"16-bit px": self.row_mm, "px in m": metres(self.row_mm)}
        self._forms = {name: _pattern(_rotations(values)) for name, values in forms.items()}
        raw = np.tile(self.row_mm, 4).tobytes()
        # The row is long and periodic, so that it contains each of these parts at every alignment.
        texts = [base64.b64encode(raw)[:16], raw.hex().encode()[:24]]
        numbers = [str(int(v)) for v in self.row_mm[:4]]
        texts += [", ".join(numbers).encode(), ",".join(numbers).encode(), " ".join(numbers).encode()]
        octets = [str(v) for v in raw[:8]]
        texts += [", ".join(octets).encode(), ",".join(octets).encode(), " ".join(octets).encode()]
        self._forms["text"] = _pattern(texts)

    def put_on(self, depth_mm: NDArray[np.uint16]) -> NDArray[np.uint16]:
        """Return depth images, uint16 (..., H, W), with every third row replaced by the mark."""
        marked = depth_mm.copy()
        repeats = -(-depth_mm.shape[-1] // _PIXELS)
        marked[..., ::_EVERY, :] = np.tile(self.row_mm, repeats)[: depth_mm.shape[-1]]
        return marked

    def found_in(self, content: bytes) -> str:
        """Return the form in which ``content`` contains a part of the mark; "" = none."""
        return next((name for name, pattern in self._forms.items() if pattern.search(content)), "")


def large_image_in(content: bytes, most_pixels: int) -> str:
    """Return a description of an encoded image in ``content`` that has too many px; "" = none."""
    for head in _IMAGE_HEADS:
        at = content.find(head)
        while at >= 0:
            size = image_size_hw(content[at : at + (1 << 20)])
            if size is not None and size[0] * size[1] > most_pixels:
                return f"an image of {size[1]}x{size[0]} px"
            at = content.find(head, at + 1)
    return ""


def _rotations(values: NDArray) -> list[bytes]:
    """Return the bytes of six neighbouring px, for every position."""
    return [np.roll(values, -k)[:6].tobytes() for k in range(len(values))]


def _pattern(forms: list[bytes]) -> re.Pattern[bytes]:
    return re.compile(b"|".join(map(re.escape, forms)))
