"""``foxglove_msgs/ImageAnnotations``: skeletons that Foxglove draws on the low-resolution image.

Foxglove's origin is the corner of the image, ours the centre of the first pixel, so half a px is added.
"""

from __future__ import annotations

import numpy as np
from foxglove_msgs.msg import (
    CircleAnnotation,
    Color,
    ImageAnnotations,
    Point2,
    PointsAnnotation,
    TextAnnotation,
)
from numpy.typing import NDArray

from orpose_core.render import track_color
from orpose_ros.bridges.people import ImagePeople

_BONE_PX = 0.35
_JOINT_PX = 0.8
_TEXT_PX = 12.0
_NOTHING = (0.0, 0.0, 0.0, 0.0)


def to_annotations(people: ImagePeople) -> ImageAnnotations:
    """Return bones, joints (circles with a radius of one standard deviation, if known) and ids."""
    out, stamp, poses = ImageAnnotations(), people.header.stamp, people.poses
    scale = people.image_hw[1] / 64
    for row in range(len(poses)):
        xy = poses.xy_px[row].astype(np.float64) + 0.5
        shown = np.isfinite(xy).all(axis=-1)
        if not shown.any():
            continue
        track = -1 if poses.track_ids is None else int(poses.track_ids[row])
        color = _color(track)
        bones = [p for a, b in poses.skeleton.edges if shown[a] and shown[b] for p in (xy[a], xy[b])]
        out.points.append(
            PointsAnnotation(
                timestamp=stamp, type=PointsAnnotation.LINE_LIST, points=[_point(p) for p in bones],
                outline_color=color, thickness=_BONE_PX * scale,
            )
        )  # fmt: skip
        for j in np.flatnonzero(shown):
            sigma = np.nan if poses.sigma_px is None else float(poses.sigma_px[row, j])
            out.circles.append(
                CircleAnnotation(
                    timestamp=stamp, position=_point(xy[j]), thickness=0.5 * _BONE_PX * scale,
                    diameter=2 * sigma if np.isfinite(sigma) else _JOINT_PX * scale, outline_color=color,
                    fill_color=_color(track, 0.15),
                )
            )  # fmt: skip
        out.texts.append(
            TextAnnotation(
                timestamp=stamp, position=_point(xy[shown].min(axis=0)), font_size=_TEXT_PX,
                text=f"{'' if track < 0 else track} {poses.person_scores[row]:.2f}".strip(),
                text_color=color, background_color=Color(**dict(zip("rgba", _NOTHING, strict=True))),
            )
        )  # fmt: skip
    return out


def _point(xy: NDArray[np.float64]) -> Point2:
    return Point2(x=float(xy[0]), y=float(xy[1]))


def _color(track_id: int, alpha: float = 1.0) -> Color:
    red, green, blue = (200, 200, 200) if track_id < 0 else track_color(track_id)
    return Color(r=red / 255, g=green / 255, b=blue / 255, a=alpha)
