"""RVL, the lossless code of the compressedDepth transport for 16-bit depth.

A. D. Wilson, "Fast Lossless Depth Image Compression", ISS 2017. Runs of zeros and of other values
alternate, and the others are differences to the value before; numbers are written in nibbles of three bits
and a continuation bit, eight nibbles to a 32-bit word, the first in its highest bits.
"""

from __future__ import annotations

import numba
import numpy as np
from numpy.typing import NDArray

_OUT_OF_DATA = -1


def decode_rvl(data: NDArray[np.uint8], size_hw: tuple[int, int]) -> NDArray[np.uint16]:
    """Return the image, uint16 (H, W), of RVL data.

    Args:
        data: flat uint8, little-endian words; what is left over at the end is ignored.
        size_hw: (height, width).

    Raises:
        ValueError: the data end before the image is whole, or do not fit it.
    """
    words = np.frombuffer(data[: data.size // 4 * 4].tobytes(), "<u4")
    out = np.zeros(size_hw[0] * size_hw[1], np.uint16)
    if _decode(words, out) == _OUT_OF_DATA:
        raise ValueError(f"RVL: {data.size} bytes are no image of {size_hw[1]}x{size_hw[0]} px")
    return out.reshape(size_hw)


def encode_rvl(depth: NDArray[np.uint16]) -> NDArray[np.uint8]:
    """Return the RVL data, flat uint8, of uint16 (H, W); inverse of :func:`decode_rvl`."""
    words = np.zeros(2 + 3 * depth.size // 2, np.uint32)
    count = _encode(np.ascontiguousarray(depth).ravel(), words)
    return np.frombuffer(words[:count].astype("<u4").tobytes(), np.uint8)


@numba.njit(cache=True, nogil=True)
def _read(words: NDArray, nibble: int) -> tuple[int, int]:
    """Read one number; return it and the place of the next, (-1, nibble) where the words end."""
    value = np.int64(0)
    shift = 0
    while shift < 33:
        index = nibble // 8
        if index >= len(words):
            return _OUT_OF_DATA, nibble
        bits = (words[index] >> np.uint32(28 - 4 * (nibble % 8))) & np.uint32(15)
        nibble += 1
        value |= np.int64(bits & np.uint32(7)) << shift
        if not bits & np.uint32(8):
            return value, nibble
        shift += 3
    return _OUT_OF_DATA, nibble


@numba.njit(cache=True, nogil=True)
def _decode(words: NDArray, out: NDArray) -> int:
    """Fill ``out``; return 0, or -1 where the data do not fit it."""
    nibble, place, previous = 0, 0, np.int64(0)
    while place < len(out):
        zeros, nibble = _read(words, nibble)
        if zeros < 0 or place + zeros > len(out):
            return _OUT_OF_DATA
        place += zeros
        others, nibble = _read(words, nibble)
        if others < 0 or place + others > len(out):
            return _OUT_OF_DATA
        if zeros == 0 and others == 0:
            return _OUT_OF_DATA  # or it would never end
        for _ in range(others):
            code, nibble = _read(words, nibble)
            if code < 0:
                return _OUT_OF_DATA
            previous += (code >> 1) ^ -(code & 1)
            out[place] = np.uint16(previous & 0xFFFF)
            place += 1
    return 0


@numba.njit(cache=True, nogil=True)
def _write(words: NDArray, nibble: int, value: int) -> int:
    while True:
        bits = value & 7
        value >>= 3
        if value:
            bits |= 8
        words[nibble // 8] |= np.uint32(bits) << np.uint32(28 - 4 * (nibble % 8))
        nibble += 1
        if not value:
            return nibble


@numba.njit(cache=True, nogil=True)
def _encode(depth: NDArray, words: NDArray) -> int:
    """Fill ``words``; return how many were used."""
    nibble, place, previous = 0, 0, np.int64(0)
    while place < len(depth):
        start = place
        while place < len(depth) and depth[place] == 0:
            place += 1
        nibble = _write(words, nibble, place - start)
        start = place
        while place < len(depth) and depth[place] != 0:
            place += 1
        nibble = _write(words, nibble, place - start)
        for i in range(start, place):
            delta = np.int64(depth[i]) - previous
            nibble = _write(words, nibble, (delta << 1) ^ (delta >> 63))
            previous = np.int64(depth[i])
    return (nibble + 7) // 8
