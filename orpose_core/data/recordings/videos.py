"""Videos as recordings of color, decoded with OpenCV."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from orpose_core.data.recordings.recording import Modality, RecordedFrame, SkipLog
from orpose_core.files import refuse_stranger
from orpose_core.types import RgbdFrame

VIDEO_SUFFIXES = (".mp4", ".avi", ".webm", ".mov", ".m4v")
NOT_READABLE = {
    ".svo": "a recording of a ZED camera: export it with Stereolabs' tools",
    ".svo2": "a recording of a ZED camera: export it with Stereolabs' tools",
    ".mkv": "Matroska, as Azure Kinect writes it: extract its tracks, or convert it to mp4",
    ".oni": "a recording of OpenNI: convert it to a bag",
    ".klg": "a recording of Logger2: convert it to a bag",
}
"""Recordings of cameras that are known and not read, and what to do."""


class VideoRecording:
    """A video file; its frames have color alone, no depth and no camera.

    Attributes:
        skipped: what was left out.
        taken: what is read.

    Args:
        path: the file.
        modality: what is wanted of it; only ``"color"`` is there.

    Raises:
        ValueError: no video, or depth is wanted.
    """

    def __init__(self, path: str | Path, modality: Modality = "color") -> None:
        self.skipped = SkipLog()
        self._path = Path(path)
        if modality != "color":
            raise ValueError(f"{path}: a video has no depth, which is wanted here; choose a model of color")
        try:
            self._name = str(self._path).encode().decode()
        except UnicodeEncodeError:  # it crashes OpenCV
            raise ValueError(f"{path!r}: expected a video whose name is UTF-8; rename it") from None
        video = self._opened()
        self._count = max(int(video.get(cv2.CAP_PROP_FRAME_COUNT)), 0)
        self._rate_hz = float(video.get(cv2.CAP_PROP_FPS))
        video.release()
        if not 0 < self._rate_hz < 1e6:
            self._rate_hz = 30.0
            self.skipped.add(self._path.name, "its frame rate, which is damaged: 30 a second are assumed")
        self.taken: tuple[str, ...] = (f"color: {self._path.name}, {self._rate_hz:g} frames a second",)

    def _opened(self) -> cv2.VideoCapture:
        video = cv2.VideoCapture(self._name)
        if not video.isOpened():
            refuse_stranger(self._path, "a video")
            raise ValueError(f"{self._path}: expected a video that OpenCV can decode, got something else")
        return video

    def __enter__(self) -> VideoRecording:
        return self

    def __exit__(self, *error: object) -> None:
        return None

    def frame_count(self) -> int:
        """How many frames the header says there are."""
        return self._count

    def frames(self) -> Iterator[RecordedFrame]:
        """Yield the frames; a video that breaks off is reported."""
        video, number = self._opened(), 0
        try:
            while True:
                there, bgr = video.read()
                if not there:
                    break
                stamp_ns = max(1, round(number * 1e9 / self._rate_hz))  # 0 would say that there is no time
                rgb = np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), np.uint8)
                yield RecordedFrame(
                    RgbdFrame(rgb, None, None, "", stamp_ns), f"{self._path.stem}_{number:06d}"
                )
                number += 1
        finally:
            video.release()
        if number < self._count:
            self.skipped.add(
                self._path.name, f"the rest cannot be decoded: {number} of {self._count} frames came"
            )
