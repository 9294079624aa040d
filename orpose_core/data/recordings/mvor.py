"""MVOR as a recording: the images that its JSON lists, with their cameras and times.

The JSON of MVOR, of MVOR+ or of `orpose simulate` lies in the folder of the images, or in one beside it
(``annotations/``). Depth lies as MVOR has it: ``day1/cam2/depth/000017.png`` belongs to
``day1/cam2/color/000017.png``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from orpose_core.data.mvor import image_path, load_frame, mvor_truth
from orpose_core.data.recordings.natural_order import natural_key
from orpose_core.data.recordings.recording import Modality, RecordedFrame, SkipLog
from orpose_core.files import read_json
from orpose_core.types import RgbdFrame


class MvorRecording:
    """The images of one JSON file, camera after camera, in the order of their names, which is that of time.

    Args:
        path: the JSON file.
        modality: what is wanted; images that lack it are skipped and reported.

    Raises:
        ValueError: no list of images, or not one of them is there.
    """

    def __init__(self, path: str | Path, modality: Modality = "depth") -> None:
        self.skipped = SkipLog()
        self._path, self._modality = Path(path), modality
        content = read_json(self._path)
        if not isinstance(content, dict) or not content.get("images"):
            raise ValueError(f"{path}: expected a JSON file with a list of images, as MVOR's, got none")
        self._truth = mvor_truth({"annotations": [], **content}, str(path))
        self._stamps_ns = [_stamp_ns(image) for image in content["images"]]
        self._order = sorted(
            range(len(self._stamps_ns)), key=lambda k: natural_key(self._truth.file_names[k])
        )
        self._root = self._root_of()
        self.taken: tuple[str, ...] = (f"{len(self._order)} images that {self._path.name} lists",)

    def __enter__(self) -> MvorRecording:
        return self

    def __exit__(self, *error: object) -> None:
        return None

    def frame_count(self) -> int:
        """How many images the file lists."""
        return len(self._order)

    def frames(self) -> Iterator[RecordedFrame]:
        """Yield the frames; what cannot be read is skipped and reported."""
        for index in self._order:
            frame = self._read(index)
            if frame is None:
                continue
            name = Path(self._truth.file_names[index]).with_suffix("")
            camera = "/".join(p for p in name.parent.parts if p != "color")
            unique = "_".join(p for p in name.parts if p != "color")
            frame = replace(frame, frame_id=camera, stamp_ns=self._stamps_ns[index])
            yield RecordedFrame(frame, unique, camera)

    def _root_of(self) -> Path:
        """Return the folder in or below which the images lie: that of the file, or the one above it."""
        wanted = "depth" if self._modality == "depth" else "color"
        folders = [self._path.resolve().parent, self._path.resolve().parent.parent]
        for index in self._order:
            for folder in folders:
                if self._is_there(index, folder, wanted):
                    return folder
        raise ValueError(
            f"{self._path}: expected the {len(self._order)} images that it lists, such as "
            f"{self._truth.file_names[self._order[0]]}, in its folder or in the one above, got none of them"
        )

    def _is_there(self, index: int, folder: Path, modality: str) -> bool:
        try:
            image_path(self._truth, index, folder, modality)
        except ValueError:
            return False
        return True

    def _read(self, index: int) -> RgbdFrame | None:
        kinds = ["color", "depth"]
        main = {"depth": "depth", "color": "color"}.get(self._modality)
        absent = [k for k in kinds if not self._is_there(index, self._root, k)]
        for kind in absent:
            self.skipped.add(self._path.name, f"no {kind} image is there")
        if absent and main in (None, *absent):
            return None
        try:
            return load_frame(self._truth, index, self._root, [k for k in kinds if k not in absent])
        except ValueError as error:
            self.skipped.add(self._truth.file_names[index], self._without_folder(error))
        if main is None:
            return None
        try:
            return load_frame(self._truth, index, self._root, [main])
        except ValueError:
            return None  # reported above

    def _without_folder(self, error: ValueError) -> str:
        return str(error).replace(f"{self._root}/", "")


def _stamp_ns(image: dict[str, Any]) -> int:
    """Return ``stamp_ns``, or ``date_captured`` taken for UTC, as nanoseconds; 0 if there is neither."""
    if isinstance(image.get("stamp_ns"), int):  # of `orpose simulate`
        return image["stamp_ns"]
    try:
        moment = datetime.fromisoformat(str(image.get("date_captured"))).replace(tzinfo=timezone.utc)
    except ValueError:
        return 0
    since = moment - datetime(1970, 1, 1, tzinfo=timezone.utc)
    return (since.days * 86_400 + since.seconds) * 1_000_000_000 + since.microseconds * 1000
