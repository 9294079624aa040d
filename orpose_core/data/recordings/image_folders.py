"""Images on disk as recordings: single files, folders of color and depth pairs, MVOR-like trees.

Header and name decide what a file is (:mod:`~orpose_core.data.recordings.image_kinds`). A depth image belongs
to the color image whose path is the same once the words for color and depth are taken out: ``a_color.png``
and ``a_depth_mm16.png``, ``cam1/color/000001.png`` and ``cam1/depth/000001.png``. A camera file
(:mod:`~orpose_core.data.recordings.camera_files`) in the folder of an image, or in one above it, holds the
pinhole camera.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from orpose_core.data.recordings.camera_files import find_camera_file, read_camera
from orpose_core.data.recordings.image_kinds import (
    COLOR_WORDS,
    DEPTH_WORDS,
    IMAGE_SUFFIXES,
    Kind,
    content_kind,
    left_out,
)
from orpose_core.data.recordings.natural_order import natural_key
from orpose_core.data.recordings.recording import Modality, RecordedFrame, SkipLog
from orpose_core.files import MILLIMETRE_M, is_own_output, read_color, read_depth, refuse_stranger, stranger
from orpose_core.types import Intrinsics, RgbdFrame

_NANOSECONDS = re.compile(r"\d{16,19}")


@dataclass(frozen=True)
class _Pair:
    """The files of one moment.

    Attributes:
        key: what their paths share, relative to the folder.
        name: unique in the recording, fit for a file name.
        color: file.
        depth: file.
    """

    key: str
    name: str = ""
    color: Path | None = None
    depth: Path | None = None


class ImageRecording:
    """A folder of images, or one image; with its partner of the other kind where that lies beside it.

    Attributes:
        skipped: what was left out.
        taken: what is read, one line per kind.

    Args:
        path: folder or file.
        modality: what is wanted; frames that lack it are skipped and reported.
        intrinsics: of all images; None = as the camera files say.
        depth_unit_m: what one step of 16-bit depth is, m.

    Raises:
        ValueError: no image there that can be used.
    """

    def __init__(
        self,
        path: str | Path,
        modality: Modality = "depth",
        intrinsics: Intrinsics | None = None,
        depth_unit_m: float = MILLIMETRE_M,
    ) -> None:
        self.skipped, self._depth_unit_m = SkipLog(), depth_unit_m
        path = Path(path)
        if path.is_file() and path.suffix.lower() not in IMAGE_SUFFIXES:
            raise ValueError(
                f"{path}: expected a bag (.mcap, .db3, .bag), a video (.mp4, .avi, .webm, .mov) or an image "
                f"({', '.join(IMAGE_SUFFIXES)})"
            )
        if path.is_file():
            refuse_stranger(path, "an image")
        self._root = path if path.is_dir() else path.parent
        self._modality = modality
        self._intrinsics = intrinsics
        self._cameras: dict[Path, Intrinsics | None] = {}
        skipped = self.skipped if path.is_dir() else SkipLog()  # of a file, its neighbors do not matter
        files = _image_files(self._root, path.is_dir(), skipped)
        kinds = {file: content_kind(file) for file in files}
        pairs = _paired(self._root, kinds, skipped)
        if path.is_file():
            why = left_out(path.stem, kinds[path]) if path in kinds else "its name is hidden"
            if why is not None:
                raise ValueError(f"{path}: expected {_what(modality)}, got {why}")
            pairs = [p for p in pairs if path in (p.color, p.depth)]
        self._pairs = [p for p in pairs if self._has_what_is_wanted(p)]
        if not self._pairs:
            said = "; ".join(self.skipped.sentences()[:3]) or f"there are {len(files)} images"
            raise ValueError(f"{path}: expected {_what(modality)}, found none: {said}")
        self.taken = self._description(kinds)

    def __enter__(self) -> ImageRecording:
        return self

    def __exit__(self, *error: object) -> None:
        return None

    def frame_count(self) -> int:
        """How many frames there are."""
        return len(self._pairs)

    def frames(self) -> Iterator[RecordedFrame]:
        """Yield the frames in the order of their names, numbers by value; what cannot be read is skipped."""
        for pair in self._pairs:
            frame = self._read(pair)
            if frame is not None:
                yield RecordedFrame(frame, pair.name, str(Path(pair.key).parent).strip("."))

    def _description(self, kinds: dict[Path, Kind]) -> tuple[str, ...]:
        lines = []
        for what, files in (
            ("color", [p.color for p in self._pairs]),
            ("depth", [p.depth for p in self._pairs]),
        ):
            there = [file for file in files if file is not None]
            if there:
                endings = "/".join(sorted({file.suffix.lower().lstrip(".") for file in there}))
                detail = "" if what == "color" else f" ({', '.join(sorted({kinds[f].value for f in there}))})"
                lines.append(
                    f"{what}: {len(there)} images ({endings}), such as {self._inside(there[0])}{detail}"
                )
        return tuple(lines)

    def _inside(self, file: Path) -> str:
        return str(file.relative_to(self._root))

    def _has_what_is_wanted(self, pair: _Pair) -> bool:
        for kind, file, other in (("depth", pair.depth, pair.color), ("color", pair.color, pair.depth)):
            if self._modality in (kind, "rgbd") and file is None:
                assert other is not None
                self.skipped.add_file(self._inside(other), f"no {kind} image belongs to it")
                return False
        return True

    def _read(self, pair: _Pair) -> RgbdFrame | None:
        main = pair.depth if self._modality == "depth" else pair.color
        assert main is not None  # the constructor saw to it
        depth_m = rgb = None
        for file, kind in ((pair.depth, "depth"), (pair.color, "color")):
            if file is None:
                continue
            try:
                if kind == "depth":
                    depth_m = read_depth(file, self._depth_unit_m)
                else:
                    rgb = read_color(file)
            except (ValueError, OSError) as error:
                self.skipped.add_file(self._inside(file), str(error).removeprefix(f"{file}: "))
                if file == main or self._modality == "rgbd":
                    return None
        if rgb is not None and depth_m is not None and rgb.shape[:2] != depth_m.shape:
            why = f"its partner has another size ({depth_m.shape[::-1]} and {rgb.shape[1::-1]})"
            if self._modality == "rgbd":
                self.skipped.add_file(self._inside(main), why)
                return None
            other = pair.color if self._modality == "depth" else pair.depth
            assert other is not None
            self.skipped.add_file(self._inside(other), why)
            rgb, depth_m = (None, depth_m) if self._modality == "depth" else (rgb, None)
        height, width = (depth_m if rgb is None else rgb).shape[:2]  # type: ignore[union-attr]
        intrinsics = self._fitting(main.parent, (height, width))
        stamp = _NANOSECONDS.search(pair.key)
        return RgbdFrame(rgb, depth_m, intrinsics, Path(pair.key).parent.name, int(stamp[0]) if stamp else 0)

    def _fitting(self, folder: Path, size_hw: tuple[int, int]) -> Intrinsics | None:
        """Return the folder's camera, None where it is of another size."""
        camera = self._intrinsics or self._camera_of(folder)
        if camera is None or (camera.height, camera.width) == size_hw:
            return camera
        why = (
            f"is for {camera.width}x{camera.height}, the image is {size_hw[1]}x{size_hw[0]}: poses stay in px"
        )
        self.skipped.add("camera file", why)
        return None

    def _camera_of(self, folder: Path) -> Intrinsics | None:
        """Return the camera written in the folder, or in the nearest one above it up to the root."""
        if folder not in self._cameras:
            file = find_camera_file(folder)
            if file is not None:
                self._cameras[folder], distorted = read_camera(file)
                if distorted:
                    self.skipped.add(self._inside(file), "its distortion: images are taken as rectified")
            elif folder == self._root or self._root not in folder.parents:
                self._cameras[folder] = None
            else:
                self._cameras[folder] = self._camera_of(folder.parent)
        return self._cameras[folder]


def _what(modality: Modality) -> str:
    return {
        "depth": "depth images (16-bit PNG or TIFF in mm; TIFF or EXR of floats in m)",
        "color": "color images",
        "rgbd": "pairs of color and depth images",
    }[modality]


def _image_files(root: Path, recursive: bool, skipped: SkipLog) -> list[Path]:
    """Return the image files of a folder; hidden ones and orpose's own output below it are left out."""
    found: list[Path] = []
    folders = [root]
    while folders:
        folder = folders.pop()
        if folder != root and is_own_output(folder):
            skipped.add_file(str(folder.relative_to(root)), "output of an earlier run of orpose")
            continue
        for path in folder.iterdir():
            if path.name.startswith("."):
                continue
            if recursive and path.is_dir() and not path.is_symlink():
                folders.append(path)
            elif path.suffix.lower() in IMAGE_SUFFIXES and path.is_file():
                found.append(path)
    ordered = sorted(found, key=lambda file: natural_key(file.relative_to(root)))
    return [file for file in ordered if not _is_stranger(file, root, skipped)]


def _is_stranger(file: Path, root: Path, skipped: SkipLog) -> bool:
    """Whether a file is something else than an image, such as a pointer of Git LFS; it is reported."""
    instead = stranger(file)
    if instead is not None:
        skipped.add_file(str(file.relative_to(root)), f"not read: {instead}")
    return instead is not None


def _paired(root: Path, kinds: dict[Path, Kind], skipped: SkipLog) -> list[_Pair]:
    """Bring color and depth of the same moment together."""
    pairs: dict[str, _Pair] = {}
    for file, kind in kinds.items():
        inside = str(file.relative_to(root))
        name = inside[: -len(file.suffix)]
        why = left_out(name, kind)
        if why is not None:
            skipped.add_file(inside, f"not read: {why}")
            continue
        key = re.sub(r"[-_ ]*(?=/|$)", "", COLOR_WORDS.sub("", DEPTH_WORDS.sub("", name)))
        key = re.sub(r"/+", "/", key).strip("/_-") or name
        known = pairs.get(key, _Pair(key))
        damaged_depth = kind == Kind.DAMAGED and DEPTH_WORDS.search(name)
        role = "depth" if damaged_depth or kind in (Kind.DEPTH_MM, Kind.DEPTH_M) else "color"
        other = getattr(known, role)
        if other is not None:
            # 0001.png beside 0001.jpg is a mask more often than not.
            kept, dropped = (other, file) if kind == Kind.GREY or kinds[other] != Kind.GREY else (file, other)
            grey = "a gray image, such as a mask," if kinds[dropped] == Kind.GREY else f"another {role} image"
            skipped.add_file(str(dropped.relative_to(root)), f"not read: {grey} beside {kept.name}")
            file = kept
        pairs[key] = replace(known, depth=file) if role == "depth" else replace(known, color=file)
    return list(_named(pairs[key] for key in sorted(pairs, key=natural_key)))


def _named(pairs: Iterable[_Pair]) -> Iterator[_Pair]:
    """Give each pair a name of its own: ``a/b_1`` and ``a_b/1`` are two."""
    taken: set[str] = set()
    for pair in pairs:
        name = plain = pair.key.replace("/", "_")
        number = 1
        while name in taken:
            number += 1
            name = f"{plain}~{number}"
        taken.add(name)
        yield replace(pair, name=name)
