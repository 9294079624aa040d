"""Pictures of the test part, drawn on low-resolution depth: labels, the network before and after."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from orpose_core.adaptation.scoring import SiteFrames, with_joints
from orpose_core.evaluation.evaluation_sets import spread
from orpose_core.files import write_picture
from orpose_core.image_ops import private_frame
from orpose_core.render import beside, depth_picture, draw_poses, enlarged
from orpose_core.types import Poses, RgbdFrame

_COUNT = 12
WORST = 6
_WIDTH_PX = 320
_LEAST_SCORE = 0.05


def write_pictures(
    folder: Path,
    parts: Mapping[str, SiteFrames],
    found: Mapping[str, Mapping[str, Poses]],
    worst: Sequence[str],
) -> list[Path]:
    """Write pictures of frames spread over the test part and of the worst, three views beside each other.

    Those of an earlier time are removed.

    Args:
        folder: for the pictures: ``01.png`` and so on, and ``worst_01.png`` and so on.
        parts: the test part by who labelled it; ``truth`` is drawn where there is some.
        found: by network and image name, px of the frames.
        worst: names of frames that are drawn beside those.
    """
    part = parts.get("truth", parts["teacher"])
    shown = spread(len(part), _COUNT).tolist()
    chosen = {f"{number:02d}.png": index for number, index in enumerate(shown, start=1)}
    chosen |= {f"worst_{k:02d}.png": part.names.index(name) for k, name in enumerate(worst, start=1)}
    for old in (*folder.glob("[0-9]*.png"), *folder.glob("worst_*.png")):
        old.unlink()
    for file, index in chosen.items():
        name, frame = part.names[index], part.frames[index]
        views = (part.truth[index], found["before"][name], found["after"][name])
        write_picture(folder / file, beside(*(_drawn(frame, poses) for poses in views)))
    return [folder / file for file in chosen]


def _drawn(frame: RgbdFrame, poses: Poses) -> np.ndarray:
    depth_m = private_frame(frame).depth_m
    assert depth_m is not None
    canvas = enlarged(depth_picture(depth_m), _WIDTH_PX)
    posed = with_joints(poses)
    return draw_poses(canvas, posed, frame.size_hw, min_score=_LEAST_SCORE)
