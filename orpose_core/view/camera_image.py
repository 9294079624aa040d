"""A camera's low-resolution image with the people in it, as SVG, which is sharp at any size.

The image is embedded with the pixels that it has; a browser enlarges it. Coordinates are px of that image.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from html import escape

import cv2
import numpy as np
from numpy.typing import NDArray

from orpose_core.render import track_color
from orpose_core.types import Picture, Poses, Resize
from orpose_core.view.moments import UNTRACKED, CameraMoment

_MOST_SIGMA = 0.25
"""An ellipse is drawn at most this large, as a share of the image's width: what is wider tells nothing."""

_LINE = 1 / 160
"""Width of a bone, as a share of the image's width."""


def camera_svg(name: str, moment: CameraMoment | None, sigmas: bool = True, labels: bool = True) -> str:
    """Return the SVG of a camera.

    Each person is a group of class ``person`` with the attribute ``data-track``; around each joint stands an
    ellipse of one standard deviation.

    Args:
        name: of the camera.
        moment: what it sees; None = nothing at this moment.
        sigmas: draw the ellipses.
        labels: write ids and scores.
    """
    if moment is None or (moment.picture is None and moment.poses is None):
        return (
            f'<svg class="camera" data-camera="{escape(name)}" viewBox="0 0 64 48" width="100%">'
            '<rect width="64" height="48" fill="#20242c"/><text x="32" y="25" font-size="3.2" '
            'text-anchor="middle" fill="#8a93a5">no image at this moment</text></svg>'
        )
    height, width = moment.image_hw if moment.picture is None else moment.picture.shape[:2]
    parts = [
        f'<svg class="camera" data-camera="{escape(name)}" data-people="{moment.people}" '
        f'viewBox="-0.5 -0.5 {width} {height}" width="100%" style="display:block;border-radius:4px">',
        _image(moment.picture, width, height),
    ]
    if moment.poses is not None:
        poses = moment.poses.resized(Resize(moment.image_hw, (height, width)))
        scale = width / moment.image_hw[1], height / moment.image_hw[0]
        ratio = float(np.sqrt(scale[0] * scale[1]))
        stretch = (scale[0] / ratio, scale[1] / ratio)  # one sigma in both axes of the image it was found in
        for row in range(len(poses)):
            parts += _person(poses, row, width, stretch if sigmas else None, labels)
    return "".join([*parts, "</svg>"])


def png_uri(picture: Picture) -> str:
    """Return a picture as the URI of a PNG."""
    written, data = cv2.imencode(".png", np.ascontiguousarray(picture[..., ::-1]))
    assert written
    return f"data:image/png;base64,{base64.b64encode(data.tobytes()).decode()}"


def hex_color(track_id: int) -> str:
    """Return the color of a track as in all our pictures, grey without one."""
    return "#c8c8c8" if track_id == UNTRACKED else "#{:02x}{:02x}{:02x}".format(*track_color(track_id))


def _image(picture: Picture | None, width: int, height: int) -> str:
    if picture is None:
        return f'<rect x="-0.5" y="-0.5" width="{width}" height="{height}" fill="#20242c"/>'
    return (
        f'<image x="-0.5" y="-0.5" width="{width}" height="{height}" preserveAspectRatio="none" '
        f'style="image-rendering:pixelated" href="{png_uri(picture)}"/>'
    )


def _person(
    poses: Poses, row: int, width: int, stretch: tuple[float, float] | None, labels: bool
) -> Iterator[str]:
    xy = poses.xy_px[row]
    shown = np.isfinite(xy).all(axis=-1) & (poses.scores[row] > 0)
    track = UNTRACKED if poses.track_ids is None else int(poses.track_ids[row])
    color, line = hex_color(track), width * _LINE
    score = float(poses.person_scores[row])
    yield f'<g class="person" data-track="{track}" fill="{color}" stroke="{color}">'
    yield f"<title>{'no id' if track == UNTRACKED else f'id {track}'}, score {score:.2f}</title>"
    if stretch is not None and poses.sigma_px is not None:
        yield from _ellipses(xy, poses.sigma_px[row], shown, stretch, width)
    bones = [(a, b) for a, b in poses.skeleton.edges if shown[a] and shown[b]]
    path = "".join(f"M{_point(xy[a])}L{_point(xy[b])}" for a, b in bones)
    if path:
        for stroke, extra in (("#12141a", 2.2), (color, 1.0)):  # a dark rim keeps bones apart
            yield f'<path d="{path}" stroke="{stroke}" stroke-width="{line * extra:.3f}" fill="none"/>'
    for j in np.flatnonzero(shown):
        yield (
            f'<circle cx="{xy[j, 0]:.2f}" cy="{xy[j, 1]:.2f}" r="{line * 1.2:.3f}" fill="#fff" '
            f'stroke-width="{line * 0.5:.3f}" opacity="{0.35 + 0.65 * poses.scores[row, j]:.2f}">'
            f"<title>{poses.skeleton.joints[j]} {poses.scores[row, j]:.2f}</title></circle>"
        )
    if labels and shown.any():
        yield _label(xy[shown], track, score, width)
    yield "</g>"


def _ellipses(
    xy: NDArray, sigma_px: NDArray, shown: NDArray, stretch: tuple[float, float], width: int
) -> Iterator[str]:
    for j in np.flatnonzero(shown & np.isfinite(sigma_px)):
        sigma = min(float(sigma_px[j]), _MOST_SIGMA * width)
        yield (
            f'<ellipse class="sigma" cx="{xy[j, 0]:.2f}" cy="{xy[j, 1]:.2f}" rx="{sigma * stretch[0]:.2f}" '
            f'ry="{sigma * stretch[1]:.2f}" fill-opacity="0.16" stroke="none"/>'
        )


def _label(points: NDArray, track: int, score: float, width: int) -> str:
    size = width / 24
    x = float(np.clip(points[:, 0].mean(), 2 * size, width - 2 * size))
    y = max(float(points[:, 1].min()) - 0.8 * size, size)
    name = "" if track == UNTRACKED else f"{track} "
    return (
        f'<text x="{x:.2f}" y="{y:.2f}" font-size="{size:.2f}" text-anchor="middle" stroke="#12141a" '
        f'stroke-width="{size / 5:.2f}" paint-order="stroke" font-family="sans-serif">'
        f'<tspan font-weight="bold">{name}</tspan>'
        f'<tspan font-size="{0.75 * size:.2f}">{score:.2f}</tspan></text>'
    )


def _point(xy: NDArray) -> str:
    return f"{xy[0]:.2f} {xy[1]:.2f}"
