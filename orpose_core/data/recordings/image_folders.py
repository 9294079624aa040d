"""Images on disk as recordings: single files, folders of color and depth pairs, MVOR-like trees.

A depth image is a 16-bit grey PNG in millimetres, 0 = no return. It belongs to the color image whose path is
the same once the words for color and depth are taken out: ``a_color.png`` and ``a_depth_mm16.png``,
``cam1/color/000001.png`` and ``cam1/depth/000001.png``. ``camera_info.json`` in the folder of an image, or in
one above it, holds the pinhole camera: ``fx``, ``fy``, ``cx``, ``cy``, ``width`` and ``height``, px.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from orpose_core.data.recordings.recording import Modality, RecordedFrame, SkipLog
from orpose_core.files import read_color, read_depth
from orpose_core.types import Intrinsics, RgbdFrame

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp")
CAMERA_FILE = "camera_info.json"

_DEPTH_WORDS = re.compile(r"(?<![a-z])(depth(_?mm)?(_?16)?|aligned_depth)(?![a-z])", re.IGNORECASE)
_COLOR_WORDS = re.compile(r"(?<![a-z])(colou?r|rgb)(?![a-z])", re.IGNORECASE)
_NANOSECONDS = re.compile(r"\d{16,19}")


@dataclass(frozen=True)
class _Pair:
    """The files of one moment, relative to the folder."""

    key: str
    color: Path | None = None
    depth: Path | None = None


class ImageRecording:
    """A folder of images, or one image; with its partner of the other kind where that lies beside it.

    Args:
        path: folder or file.
        modality: what is wanted; frames that lack it are skipped and reported.
        intrinsics: of all images; None = as ``camera_info.json`` says.

    Raises:
        ValueError: no image there that can be used.
    """

    def __init__(
        self, path: str | Path, modality: Modality = "depth", intrinsics: Intrinsics | None = None
    ) -> None:
        self.skipped = SkipLog()
        path = Path(path)
        if path.is_file() and path.suffix.lower() not in IMAGE_SUFFIXES:
            raise ValueError(
                f"{path}: expected a bag (.mcap, .db3, .bag) or an image ({', '.join(IMAGE_SUFFIXES)})"
            )
        self._root = path if path.is_dir() else path.parent
        self._modality = modality
        self._intrinsics = intrinsics
        self._cameras: dict[Path, Intrinsics | None] = {}
        files = _image_files(self._root, recursive=path.is_dir())
        pairs = _paired(self._root, files)
        if path.is_file():
            pairs = [p for p in pairs if path in (p.color, p.depth)]
        self._pairs = [p for p in pairs if self._has_what_is_wanted(p)]
        if not self._pairs:
            said = "; ".join(self.skipped.sentences()[:3]) or f"there are {len(files)} images"
            raise ValueError(f"{path}: expected {_what(modality)}, found none: {said}")

    def __enter__(self) -> ImageRecording:
        return self

    def __exit__(self, *error: object) -> None:
        return None

    def frame_count(self) -> int:
        """How many frames there are."""
        return len(self._pairs)

    def frames(self) -> Iterator[RecordedFrame]:
        """Yield the frames in the order of their names; what cannot be read is skipped and reported."""
        for pair in self._pairs:
            frame = self._read(pair)
            if frame is not None:
                yield RecordedFrame(frame, pair.key.replace("/", "_"), str(Path(pair.key).parent).strip("."))

    def _has_what_is_wanted(self, pair: _Pair) -> bool:
        if self._modality in ("depth", "rgbd") and pair.depth is None:
            self.skipped.add(str(pair.color), "no depth image belongs to it")
            return False
        if self._modality in ("color", "rgbd") and pair.color is None:
            self.skipped.add(str(pair.depth), "no color image belongs to it")
            return False
        return True

    def _read(self, pair: _Pair) -> RgbdFrame | None:
        main = pair.depth if self._modality == "depth" else pair.color
        assert main is not None  # the constructor saw to it
        try:
            depth_m = None if pair.depth is None else read_depth(pair.depth)
            rgb = None if pair.color is None else read_color(pair.color)
        except ValueError as error:
            self.skipped.add(str(main), str(error).removeprefix(f"{main}: "))
            return None
        if rgb is not None and depth_m is not None and rgb.shape[:2] != depth_m.shape:
            why = f"its partner has another size ({depth_m.shape[::-1]} and {rgb.shape[1::-1]})"
            if self._modality == "rgbd":
                self.skipped.add(str(main), why)
                return None
            self.skipped.add(str(pair.color if self._modality == "depth" else pair.depth), why)
            rgb, depth_m = (None, depth_m) if self._modality == "depth" else (rgb, None)
        height, width = (depth_m if rgb is None else rgb).shape[:2]  # type: ignore[union-attr]
        intrinsics = self._camera_of(main.parent)
        if intrinsics is not None and (intrinsics.height, intrinsics.width) != (height, width):
            why = (
                f"{CAMERA_FILE} is for {intrinsics.width}x{intrinsics.height}, the image is {width}x{height}"
            )
            self.skipped.add(str(main.parent / CAMERA_FILE), why)
            intrinsics = None
        stamp = _NANOSECONDS.search(pair.key)
        return RgbdFrame(rgb, depth_m, intrinsics, Path(pair.key).parent.name, int(stamp[0]) if stamp else 0)

    def _camera_of(self, folder: Path) -> Intrinsics | None:
        """Return the camera written in the folder, or in the nearest one above it up to the root."""
        if self._intrinsics is not None:
            return self._intrinsics
        if folder not in self._cameras:
            file = folder / CAMERA_FILE
            if file.is_file():
                self._cameras[folder] = read_camera(file)
            elif folder == self._root or self._root not in folder.parents:
                self._cameras[folder] = None
            else:
                self._cameras[folder] = self._camera_of(folder.parent)
        return self._cameras[folder]


def read_camera(path: Path) -> Intrinsics:
    """Read ``camera_info.json``; ValueError names the file and what was expected."""
    names = ("fx", "fy", "cx", "cy", "width", "height")
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        fx, fy, cx, cy = (float(values[n]) for n in names[:4])
        return Intrinsics(fx, fy, cx, cy, int(values["width"]), int(values["height"]))
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path}: expected a JSON object with {', '.join(names)}: {error}") from None


def _what(modality: Modality) -> str:
    return {
        "depth": "16-bit depth images (PNG, mm)",
        "color": "color images",
        "rgbd": "pairs of color and 16-bit depth images",
    }[modality]


def _image_files(root: Path, recursive: bool) -> list[Path]:
    found = root.rglob("*") if recursive else root.iterdir()
    return sorted(f for f in found if f.suffix.lower() in IMAGE_SUFFIXES and f.is_file())


def _paired(root: Path, files: list[Path]) -> list[_Pair]:
    """Bring color and depth of the same moment together; a name that says neither is looked into."""
    pairs: dict[str, _Pair] = {}
    for file in files:
        name = str(file.relative_to(root).with_suffix(""))
        if _DEPTH_WORDS.search(name):
            depth = True
        elif _COLOR_WORDS.search(name):
            depth = False
        else:
            depth = _is_16_bit(file)
        key = re.sub(r"[-_ ]*(?=/|$)", "", _COLOR_WORDS.sub("", _DEPTH_WORDS.sub("", name)))
        key = re.sub(r"/+", "/", key).strip("/_-") or name
        known = pairs.get(key, _Pair(key))
        pairs[key] = _Pair(key, known.color, file) if depth else _Pair(key, file, known.depth)
    return [pairs[key] for key in sorted(pairs)]


def _is_16_bit(path: Path) -> bool:
    """Whether a PNG says in its header that it is grey with 16 bits."""
    with path.open("rb") as file:
        head = file.read(26)
    return head[:8] == b"\x89PNG\r\n\x1a\n" and len(head) == 26 and head[24] == 16 and head[25] == 0
