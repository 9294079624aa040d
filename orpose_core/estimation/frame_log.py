"""``frames.jsonl``: what was found in each frame, one line each, written while a run goes on.

The first line says what the run depends on. Poses are whole and exact, without ids: everything else that a
run writes is made of this file, so that a run that was killed goes on as if nothing had happened.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from orpose_core.data.poses_json import poses_from_json, poses_to_json
from orpose_core.estimation.frames import EstimatedFrame
from orpose_core.files import LineLog
from orpose_core.types import Poses

FRAMES = "frames.jsonl"
_FORMAT = "orpose-estimates-1"


class FrameLog:
    """The frames of a run, on disk.

    Attributes:
        done: how many frames of the recording need not be read again, those that were left out included.

    Args:
        folder: of the run.
        depends_on: model and settings, as JSON values.
        batch: frames that were estimated together.
        resume: go on with what is there; otherwise start again.

    Raises:
        ValueError: the folder has a run with another model or other settings, or the file is damaged.
    """

    def __init__(self, folder: Path, depends_on: Mapping[str, Any], batch: int, resume: bool) -> None:
        self.path = folder / FRAMES
        header = json.dumps({"format": _FORMAT, **depends_on}, sort_keys=True)
        if not resume:
            self.path.unlink(missing_ok=True)
        self._log = LineLog(self.path)
        if self._log.cut() == 0:
            self._log.append(header)
        self._check(header)
        last = -1
        for _, line in self._lines():
            last = line["index"]
        self.done = (last + 1) // batch * batch
        self._forget_part_of_a_batch()

    def add(self, batch: Sequence[EstimatedFrame]) -> None:
        """Add the frames of a batch, all of them or none."""
        self._log.append(*(json.dumps(_entry(frame), allow_nan=False) for frame in batch))

    def entries(self, limit: int | None = None) -> Iterator[tuple[dict[str, Any], Poses]]:
        """Yield each frame and its poses, px of the recorded image, one in memory at a time.

        Args:
            limit: leave out what lies beyond this many frames of the recording; None = nothing.
        """
        for number, line in self._lines():
            if limit is not None and line["index"] >= limit:
                return
            poses = line.pop("poses")
            yield line, poses_from_json(poses, f"{self.path}: line {number}")

    def _check(self, header: str) -> None:
        with self.path.open(encoding="utf-8") as lines:
            first = lines.readline().rstrip("\n")
        if first == header:
            return
        differing = "it is no such file"
        try:
            there, wanted = json.loads(first), json.loads(header)
            differing = ", ".join(k for k in wanted if there.get(k) != wanted[k]) or "another version"
        except (ValueError, AttributeError):
            pass
        raise ValueError(
            f"{self.path}: of a run with other settings ({differing}); run without --resume, or choose "
            "another folder"
        )

    def _lines(self) -> Iterator[tuple[int, dict[str, Any]]]:
        with self.path.open(encoding="utf-8") as lines:
            next(lines, None)
            for number, line in enumerate(lines, start=2):
                yield number, _parsed(line, f"{self.path}: line {number}")

    def _forget_part_of_a_batch(self) -> None:
        """Take the lines of a batch off that a kill left half written: it is estimated again as a whole."""
        end = 0
        with self.path.open("rb") as lines:
            end += len(next(lines))
            for line in lines:
                if json.loads(line)["index"] >= self.done:
                    break
                end += len(line)
        with self.path.open("r+b") as file:
            file.truncate(end)


def read_frames(folder: Path) -> tuple[dict[str, Any], Iterator[tuple[dict[str, Any], Poses]]]:
    """Read the frames of a run that is not to go on.

    Args:
        folder: of the run.

    Returns:
        What the run depends on (``model`` and ``settings``), and each frame with its poses, px of the
        recorded image.

    Raises:
        ValueError: no such run there, or a damaged one.
    """
    path = folder / FRAMES
    if not path.is_file():
        raise ValueError(f"{path}: no such file; expected a folder that `orpose estimate` wrote")
    try:
        with path.open(encoding="utf-8") as lines:
            header = json.loads(lines.readline())
        if header["format"] != _FORMAT or not isinstance(header["model"], dict):
            raise ValueError(f"format {header['format']!r}")
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise ValueError(
            f"{path}: expected the frames of `orpose estimate`, got {type(error).__name__}: {error}"
        ) from None
    return header, _entries(path)


def _entries(path: Path) -> Iterator[tuple[dict[str, Any], Poses]]:
    with path.open(encoding="utf-8") as lines:
        next(lines, None)
        for number, text in enumerate(lines, start=2):
            line = _parsed(text, f"{path}: line {number}")
            yield line, poses_from_json(line.pop("poses"), f"{path}: line {number}")


def _parsed(line: str, where: str) -> dict[str, Any]:
    try:
        entry = json.loads(line)
        int(entry["index"])
    except (ValueError, TypeError, KeyError) as error:
        raise ValueError(f"{where} is damaged: {type(error).__name__}: {error}") from None
    return entry


def _entry(estimated: EstimatedFrame) -> dict[str, Any]:
    frame, (height, width) = estimated.recorded.frame, estimated.image_hw
    median_m = None
    if frame.depth_m is not None and np.isfinite(frame.depth_m).any():
        median_m = float(np.nanmedian(frame.depth_m))
    return {
        "index": estimated.index,
        "name": estimated.recorded.name,
        "camera": estimated.recorded.camera,
        "frame_id": frame.frame_id,
        "stamp_ns": frame.stamp_ns,
        "width": width,
        "height": height,
        "seen_width": frame.size_hw[1],
        "seen_height": frame.size_hw[0],
        "has_depth": frame.depth_m is not None,
        "has_camera": frame.intrinsics is not None,
        "median_depth_m": median_m,
        "poses": poses_to_json(estimated.poses),
    }
