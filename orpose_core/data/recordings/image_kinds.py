"""What an image file is, by its header and its name: color, depth, or something that is neither.

16 bits of grey, in PNG or TIFF, are depth in millimetres; floats, in TIFF or EXR, are depth in metres. All
else is color. A name may contradict: infrared and masks are no color, a colored picture of depth is no depth.
"""

from __future__ import annotations

import re
from enum import Enum
from pathlib import Path

from PIL import Image

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".webp", ".exr")

DEPTH_WORDS = re.compile(r"(?<![a-z])(depth(_?mm)?(_?16)?|aligned_depth)(?![a-z])", re.IGNORECASE)
COLOR_WORDS = re.compile(r"(?<![a-z])(colou?r|rgb)(?![a-z])", re.IGNORECASE)
_INFRARED = "infrared"
_OTHER_WORDS = {
    what: re.compile(rf"(?<![a-z])({words})(?![a-z])", re.IGNORECASE)
    for what, words in {
        _INFRARED: r"ir|infra(red)?",
        "a mask": r"masks?|seg(mentation)?s?|instances?|semantics?",
        "a disparity or confidence image": r"disparit(y|ies)|disp|confidence|normals?",
    }.items()
}
_PNG = b"\x89PNG\r\n\x1a\n"
_FLOATS_AND_16_BITS = ("F", "I;16", "I;16B", "I;16L", "I;16N", "I")


class Kind(Enum):
    """What a file may be taken for."""

    COLOR = "color"
    GREY = "grey"
    DEPTH_MM = "depth of 16 bits, mm"
    DEPTH_M = "depth of floats, m"
    DAMAGED = "damaged"


def content_kind(path: Path) -> Kind:
    """Return what the header of an image file says; what it does not tell, reading will."""
    suffix = path.suffix.lower()
    if suffix == ".exr":
        return Kind.DEPTH_M
    if suffix in (".tif", ".tiff"):
        return _tiff_kind(path)
    if suffix != ".png":
        return Kind.COLOR
    with path.open("rb") as file:
        head = file.read(26)
    if head[:8] != _PNG or len(head) < 26:
        return Kind.DAMAGED
    bits, color_type = head[24], head[25]
    if bits == 16 and color_type == 0:
        return Kind.DEPTH_MM
    return Kind.GREY if color_type in (0, 3) else Kind.COLOR  # 3: a palette, as masks have


def _tiff_kind(path: Path) -> Kind:
    try:
        with Image.open(path) as image:
            mode = image.mode
    except Exception:  # whatever a damaged header raises
        return Kind.DAMAGED
    if mode in _FLOATS_AND_16_BITS:
        return Kind.DEPTH_M if mode == "F" else Kind.DEPTH_MM
    return Kind.GREY if mode in ("L", "P", "1") else Kind.COLOR


def left_out(name: str, kind: Kind) -> str | None:
    """Return why an image is neither color nor depth, by its path in the recording; None = it is one.

    Args:
        name: path relative to the recording, without its ending.
        kind: of its content.
    """
    is_depth = kind in (Kind.DEPTH_MM, Kind.DEPTH_M)
    named_depth = bool(DEPTH_WORDS.search(name))
    for what, words in _OTHER_WORDS.items():
        if words.search(name) and not (named_depth and what == _INFRARED):
            return what
    if named_depth:
        good = is_depth or kind == Kind.DAMAGED
        return None if good else f"called depth, but it is a picture ({kind.value}, 8 bits)"
    if COLOR_WORDS.search(name) and is_depth:
        return f"{kind.value}, by its content, but color by its name"
    return None
