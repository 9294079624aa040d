"""A contact sheet of a labelling run: labels drawn on the stored images only."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from orpose_core.evaluation.evaluation_sets import spread
from orpose_core.files import read_color, read_depth, write_picture
from orpose_core.image_ops import private_frame
from orpose_core.labelling.label_files import people_of, soft_poses
from orpose_core.render import contact_sheet, depth_picture, draw_poses, enlarged
from orpose_core.skeleton import COCO17
from orpose_core.teacher.stages import Picture
from orpose_core.types import Poses, RgbdFrame

_WIDTH_PX = 320
_CANVAS = 28


def write_label_sheet(
    path: str | Path, folder: Path, entries: Iterable[dict[str, Any]], images: int, count: int = 24
) -> bool:
    """Write a PNG of ``count`` frames spread over a run, and return whether there was anything to draw.

    Args:
        path: of the PNG.
        folder: of the run, in which the kept images lie; without them people stand on an empty canvas.
        entries: image and annotations of each labelled frame, in order.
        images: how many entries there are.
        count: how many to draw.
    """
    wanted = set(spread(images, count).tolist()) if images and count else set()
    pictures, titles = [], []
    for number, entry in enumerate(entries):
        if number in wanted:
            pictures.append(_drawn(folder, entry))
            titles.append(f"{number + 1}: {entry['image']['name'][-34:]}")
    if not pictures:
        return False
    write_picture(path, contact_sheet(pictures, titles))
    return True


def _drawn(folder: Path, entry: Mapping[str, Any]) -> Picture:
    poses = soft_poses(people_of(entry["annotations"]), str(folder))
    return draw_labels(folder, entry["image"], poses)


def draw_labels(folder: Path, image: Mapping[str, Any], poses: Poses) -> Picture:
    """Return people on the kept image of a frame, or on an empty canvas.

    Args:
        folder: of the run.
        image: the frame, as in the label file.
        poses: the people, px of the image.
    """
    size_hw = image["height"], image["width"]
    file = folder / image["file_name"]
    if file.is_file():
        canvas = enlarged(_picture(file, image["file_name"] == image.get("depth_file_name")), _WIDTH_PX)
    else:
        height = round(_WIDTH_PX * size_hw[0] / size_hw[1])
        canvas = np.full((height, _WIDTH_PX, 3), _CANVAS, np.uint8)
    return draw_poses(canvas, poses.converted(COCO17), size_hw, min_score=0.05)


def _picture(file: Path, is_depth: bool) -> Picture:
    """Return a stored image as a picture, at a size in which nobody can be recognised."""
    if not is_depth:
        rgb = private_frame(RgbdFrame(read_color(file), None, None)).rgb
        assert rgb is not None
        return rgb
    depth_m = private_frame(RgbdFrame(None, read_depth(file), None)).depth_m
    assert depth_m is not None
    return depth_picture(depth_m)
