"""Labels frames as journal entries, and writes only the requested images to disk."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from orpose_core.data.recordings.recording import RecordedFrame
from orpose_core.files import mark_own_output, write_depth, write_picture
from orpose_core.image_ops import low_resolution_frame
from orpose_core.labelling.label_files import annotations_of
from orpose_core.labelling.options import LabelOptions
from orpose_core.rotation import upright
from orpose_core.teacher.teacher import Teacher
from orpose_core.types import PseudoLabels, Resize, RgbdFrame

IMAGES = "images"


def prepare_folder(out: Path, options: LabelOptions) -> None:
    """Make the folder of a run. No recording around it takes it for its own images.

    Images above the limit, full-size depth included, are in a folder that nobody but its owner can open.
    """
    mark_own_output(out, "label")
    if options.keep == "depth" or options.recognisable:
        (out / IMAGES).mkdir(mode=0o700, exist_ok=True)


class FrameLabeller:
    """Labels frames of one recording and writes what is kept of their images.

    Args:
        name: of the recording, fit for a folder.
        teacher: who labels.
        out: folder of the run.
        options: what is kept.
    """

    def __init__(self, name: str, teacher: Teacher, out: Path, options: LabelOptions) -> None:
        self._name, self._teacher, self._out, self._options = name, teacher, out, options

    def entries(self, batch: Sequence[RecordedFrame]) -> list[dict[str, Any]]:
        """Label a batch, write what is kept of its images and return its entries for the journal."""
        turned = [replace(r, frame=upright(r.frame, self._options.rotation)) for r in batch]
        pictures = [r.frame.rgb for r in turned if r.frame.rgb is not None]
        assert len(pictures) == len(batch)  # a color recording has color
        labels = self._teacher.label(pictures, range(len(batch)))
        return [
            self._entry(r, one, before.frame.size_hw)
            for r, one, before in zip(turned, labels, batch, strict=True)
        ]

    def _entry(
        self, recorded: RecordedFrame, labels: PseudoLabels, recorded_hw: tuple[int, int]
    ) -> dict[str, Any]:
        frame, options = recorded.frame, self._options
        if len(labels.soft) < options.min_people:
            return {"name": recorded.name, "people": len(labels.soft)}
        image: dict[str, Any] = {
            "recording": self._name,
            "name": recorded.name,
            "camera": recorded.camera,
            "frame_id": frame.frame_id,
            "stamp_ns": frame.stamp_ns,
            "recorded_width": recorded_hw[1],
            "recorded_height": recorded_hw[0],
        }
        if options.rotation:
            image["rotation"] = options.rotation
        image["file_name"] = f"{self._name}/{recorded.name}.png"
        if options.keep == "lowres":
            small = no_larger(frame, options.low_resolution_hw)
            to_small = Resize(frame.size_hw, small.size_hw)
            labels = labels.resized(to_small)
            image |= self._kept(small, f"{self._name}/{recorded.name}")
            frame = small
        elif options.keep == "depth":
            image |= self._kept(replace(frame, rgb=None), f"{self._name}/{recorded.name}")
        image["height"], image["width"] = frame.size_hw
        if frame.intrinsics is not None:
            image["intrinsics"] = {k: getattr(frame.intrinsics, k) for k in ("fx", "fy", "cx", "cy")}
        return {"image": image, "annotations": annotations_of(labels)}

    def _kept(self, frame: RgbdFrame, stem: str) -> dict[str, str]:
        """Write the images that a frame has and return their names; without color, depth has both names."""
        names = {}
        if frame.depth_m is not None:
            names["depth_file_name"] = f"{IMAGES}/{stem}_depth.png"
            write_depth(self._out / names["depth_file_name"], frame.depth_m)
        if frame.rgb is None:
            return {"file_name": names["depth_file_name"], **names}
        names["file_name"] = f"{IMAGES}/{stem}.png"
        write_picture(self._out / names["file_name"], frame.rgb)
        return names


def no_larger(frame: RgbdFrame, size_hw: tuple[int, int]) -> RgbdFrame:
    """Return the frame shrunk to at most this size; a frame that is small enough is returned unchanged.

    A frame that is smaller on only one side keeps that side.
    """
    height, width = frame.size_hw
    target = min(height, size_hw[0]), min(width, size_hw[1])
    return frame if target == (height, width) else low_resolution_frame(frame, target)
