"""Pictures of depth, people and whole runs. People are only ever drawn on low-resolution images.

Pictures are uint8 (H, W, 3), red first.
"""

from __future__ import annotations

import colorsys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from orpose_core.files import replacing
from orpose_core.image_ops import MAX_PRIVATE_PIXELS
from orpose_core.skeleton import Skeleton
from orpose_core.types import FloatArray, Picture, Poses, Resize, RgbdFrame

_HOLE = (38, 24, 44)
_BACKGROUND = (18, 20, 26)
_GRID = (52, 58, 70)
_CAMERA = (150, 158, 175)
_TEXT = (225, 228, 235)
_SUBPIXEL_BITS = 4
_GOLDEN = 0.618033988749895


def depth_picture(depth_m: FloatArray, range_m: float | None = None) -> Picture:
    """Show depth in shades of blue grey, near bright, far dark; no return is dull violet.

    Args:
        depth_m: float32 (H, W), metres, NaN = no return.
        range_m: depth that is darkest; None = that of the farthest 2 % of the image.
    """
    valid = np.isfinite(depth_m)
    if range_m is None:
        range_m = float(np.quantile(depth_m[valid], 0.98)) if valid.any() else 1.0
    share = np.clip(np.nan_to_num(depth_m, nan=0.0) / max(range_m, 1e-3), 0, 1)
    grey = 1 - 0.86 * share**0.8
    picture = np.stack([grey * 232, grey * 240, 14 + grey * 241], axis=-1).astype(np.uint8)
    picture[~valid] = _HOLE
    return picture


def frame_picture(frame: RgbdFrame, modality: str = "depth", range_m: float | None = None) -> Picture:
    """Show what a network of this modality reads of a frame."""
    if modality == "color" and frame.rgb is not None:
        return frame.rgb
    if frame.depth_m is None:
        assert frame.rgb is not None  # a frame has one of the two
        return frame.rgb
    return depth_picture(frame.depth_m, range_m)


def track_color(track_id: int) -> tuple[int, int, int]:
    """Return a bright color; ids that follow each other are far apart in hue."""
    red, green, blue = colorsys.hsv_to_rgb((0.07 + track_id * _GOLDEN) % 1.0, 0.72, 1.0)
    return int(red * 255), int(green * 255), int(blue * 255)


def enlarged(picture: Picture, width: int) -> Picture:
    """Enlarge a picture to ``width`` px with square pixels left as they are."""
    height = round(picture.shape[0] * width / picture.shape[1])
    return np.asarray(cv2.resize(picture, (width, height), interpolation=cv2.INTER_NEAREST), np.uint8)


def draw_poses(
    picture: Picture, poses: Poses, image_hw: tuple[int, int], *, min_score: float = 0.0, labels: bool = True
) -> Picture:
    """Draw people on a copy of a picture, in the colors of their tracks.

    Args:
        picture: of any size; covers the same rectangle as the image that the poses are in.
        poses: px of an image of size ``image_hw``.
        image_hw: (height, width) of that image.
        min_score: joints below are left out.
        labels: write track id (or number) and score above each person.
    """
    out = np.ascontiguousarray(picture).copy()
    height, width = out.shape[:2]
    xy_px = Resize(image_hw, (height, width)).to_target(poses.xy_px.astype(np.float64))
    thickness = max(1, round(width / 260))
    for m in range(len(poses)):
        color = track_color(m if poses.track_ids is None else int(poses.track_ids[m]))
        shown = np.isfinite(xy_px[m]).all(axis=-1) & (poses.scores[m] > min_score)
        _draw_person(out, xy_px[m], shown, poses.skeleton, color, thickness)
        if labels and shown.any():
            name = f"{m if poses.track_ids is None else int(poses.track_ids[m])}"
            top = xy_px[m][shown]
            place = (int(top[:, 0].mean()) - 12, max(12, int(top[:, 1].min()) - 8))
            _write(out, f"{name}  {poses.person_scores[m]:.2f}", place, color)
    return out


def _draw_person(
    out: Picture, xy_px: NDArray, shown: NDArray, skeleton: Skeleton, color: tuple[int, ...], thickness: int
) -> None:
    points = np.rint(np.nan_to_num(xy_px) * (1 << _SUBPIXEL_BITS)).astype(int)
    for pass_color, extra in ((_BACKGROUND, 2), (color, 0)):  # a dark rim keeps bones apart from the picture
        for a, b in skeleton.edges:
            if shown[a] and shown[b]:
                ends = (int(points[a][0]), int(points[a][1])), (int(points[b][0]), int(points[b][1]))
                cv2.line(out, *ends, pass_color, thickness + extra, cv2.LINE_AA, _SUBPIXEL_BITS)
    radius = (thickness + 1) << _SUBPIXEL_BITS
    for j in np.flatnonzero(shown):
        centre = int(points[j][0]), int(points[j][1])
        cv2.circle(out, centre, radius, (255, 255, 255), -1, cv2.LINE_AA, _SUBPIXEL_BITS)
        cv2.circle(out, centre, radius, color, max(1, thickness // 2), cv2.LINE_AA, _SUBPIXEL_BITS)


def _write(
    out: Picture, text: str, place: tuple[int, int], color: Sequence[int] = _TEXT, size: float = 0.42
) -> None:
    font = cv2.FONT_HERSHEY_SIMPLEX
    cv2.putText(out, text, place, font, size, _BACKGROUND, 3, cv2.LINE_AA)
    cv2.putText(out, text, place, font, size, tuple(color), 1, cv2.LINE_AA)


def overlay(
    low_resolution: RgbdFrame,
    poses: Poses,
    image_hw: tuple[int, int],
    modality: str = "depth",
    width: int = 640,
    range_m: float | None = None,
) -> Picture:
    """Draw people on the enlarged low-resolution image; the picture holds no more than that image does.

    Args:
        low_resolution: what the network saw.
        poses: px of an image of size ``image_hw``.
        image_hw: (height, width) of that image.
        modality: which image is shown.
        width: of the picture.
        range_m: of the depth colors.

    Raises:
        ValueError: the image has more than :data:`MAX_PRIVATE_PIXELS`: people could be recognized.
    """
    height_px, width_px = low_resolution.size_hw
    if height_px * width_px > MAX_PRIVATE_PIXELS:
        raise ValueError(f"overlay: expected at most {MAX_PRIVATE_PIXELS} px, got {width_px}x{height_px}")
    return draw_poses(enlarged(frame_picture(low_resolution, modality, range_m), width), poses, image_hw)


def view_3d(
    poses: Poses, size_hw: tuple[int, int] = (480, 640), up: NDArray | None = None, turn_rad: float = 0.6
) -> Picture:
    """Show people in space from aside, on a floor grid of 1 m.

    Args:
        poses: with ``xyz_cam_m``; joints without are left out.
        size_hw: (height, width) of the picture.
        up: float (3,), away from the floor in the optical frame; None = from the people's own posture, or the
            camera's own up where there is nobody to tell.
        turn_rad: how far the view is turned about the vertical.
    """
    xyz_m = np.zeros((0, len(poses.skeleton), 3)) if poses.xyz_cam_m is None else poses.xyz_cam_m
    ids = range(len(poses)) if poses.track_ids is None else poses.track_ids.tolist()
    room_m = xyz_m.astype(np.float64) @ _level(_upright(xyz_m, poses.skeleton) if up is None else up).T
    return view_space(room_m, poses.skeleton, ids, size_hw=size_hw, turn_rad=turn_rad)


def view_space(
    xyz_m: NDArray,
    skeleton: Skeleton,
    track_ids: Sequence[int],
    *,
    size_hw: tuple[int, int] = (480, 640),
    turn_rad: float = 0.6,
    caption: str = "metric 3D, grid 1 m",
    places_m: NDArray | None = None,
    centre_m: NDArray | None = None,
) -> Picture:
    """Show people in a frame whose z points up from aside, on a floor grid of 1 m.

    Args:
        xyz_m: float (m, n, 3), joints, NaN = left out.
        skeleton: of the joints.
        track_ids: m ids, for the colors.
        size_hw: (height, width) of the picture.
        turn_rad: how far the view is turned about the vertical.
        caption: words below.
        places_m: float (c, 3), a room's cameras, drawn as squares; the view is of the whole room then.
        centre_m: float (3,), what is looked at; None = the middle of the room, or of the people.
    """
    height, width = size_hw
    out = np.full((height, width, 3), _BACKGROUND, np.uint8)
    known = np.isfinite(xyz_m).all(axis=-1)
    if not known.any() and places_m is None:
        _write(out, "no metric 3D", (width // 2 - 50, height // 2))
        return out
    centre, floor, zoom = np.array([0.0, 0.0, 1.1]), 0.0, 0.9
    if places_m is None:
        there, zoom = xyz_m[known], 1.3
        centre, floor = np.median(there, axis=0), float(np.quantile(there[:, 2], 0.02))
    centre = centre if centre_m is None else centre_m
    cos, sin = np.cos(turn_rad), np.sin(turn_rad)

    def placed(points: NDArray) -> NDArray:
        x, y, z = np.moveaxis(points - centre, -1, 0)
        right, depth = cos * x + sin * y, -sin * x + cos * y
        scale = zoom * min(width, height) / np.maximum(5.0 + 0.9 * depth, 1.0)
        higher = z + 0.35 * depth  # seen from a little above
        return np.stack([width / 2 + right * scale, height * 0.55 - higher * scale], axis=-1)

    _draw_grid(out, placed, centre, floor)
    for x, y in [] if places_m is None else placed(places_m).astype(int).tolist():
        cv2.rectangle(out, (x - 4, y - 4), (x + 4, y + 4), _CAMERA, -1)
    away = xyz_m @ np.array([-sin, cos, 0.0])
    far = [-np.nanmean(own) if k.any() else 0.0 for own, k in zip(away, known, strict=True)]
    for m in np.argsort(far):  # the farthest first
        color = track_color(int(track_ids[m]))
        _draw_person(out, placed(xyz_m[m]), known[m], skeleton, color, max(1, width // 260))
    _write(out, caption, (10, height - 12))
    return out


def _draw_grid(out: Picture, placed: Callable[[NDArray], NDArray], centre: NDArray, floor: float) -> None:
    """Draw 5 by 5 squares of 1 m on the floor."""
    low = np.floor(centre[:2]) - 2
    high = low + 5
    for k in range(6):
        for a, b in (
            ((low[0] + k, low[1]), (low[0] + k, high[1])),
            ((low[0], low[1] + k), (high[0], low[1] + k)),
        ):
            line = placed(np.array([[*a, floor], [*b, floor]]))
            ends = [(int(p[0]), int(p[1])) for p in line]
            cv2.line(out, ends[0], ends[1], _GRID, 1, cv2.LINE_AA)


def _upright(xyz_m: NDArray, skeleton: Skeleton) -> NDArray:
    """Return where the people's heads point to, in the optical frame; ``xyz_m`` is float (m, n, 3)."""
    joints = skeleton.joints

    def mean(names: tuple[str, ...]) -> NDArray:
        rows = [joints.index(n) for n in names if n in joints]
        return np.asarray(xyz_m[:, rows].mean(axis=1))

    spine = mean(("left_shoulder", "right_shoulder")) - mean(("left_hip", "right_hip"))
    spine = spine[np.isfinite(spine).all(axis=-1)]
    if len(spine) == 0:
        return np.array([0.0, -1.0, 0.0])
    lengths = np.linalg.norm(spine, axis=-1, keepdims=True)
    direction = np.median(spine / np.maximum(lengths, 1e-6), axis=0)
    norm = float(np.linalg.norm(direction))
    # A patient who lies alone does not tell where up is.
    return direction / norm if norm > 0.5 and direction[1] < 0 else np.array([0.0, -1.0, 0.0])


def _level(up: NDArray) -> NDArray:
    """Return the rotation (3, 3) that makes ``up`` the z axis and keeps the camera's right as x."""
    z = np.asarray(up, np.float64) / np.linalg.norm(up)
    x = np.array([1.0, 0.0, 0.0]) - z[0] * z
    x /= max(float(np.linalg.norm(x)), 1e-9)
    return np.stack([x, np.cross(z, x), z])


def beside(*pictures: Picture) -> Picture:
    """Put pictures of equal height side by side."""
    return np.concatenate(pictures, axis=1)


def contact_sheet(
    pictures: Sequence[Picture], titles: Sequence[str] | None = None, columns: int | None = None
) -> Picture:
    """Put pictures into a grid, each with a title above it.

    Args:
        pictures: of any sizes; each is fitted into the size of the first.
        titles: one per picture.
        columns: None = about a square.

    Raises:
        ValueError: there are none, or not as many titles.
    """
    if not pictures or (titles is not None and len(titles) != len(pictures)):
        raise ValueError(
            f"contact_sheet: expected pictures and as many titles, got {len(pictures)} and "
            f"{'none' if titles is None else len(titles)}"
        )
    columns = columns or int(np.ceil(np.sqrt(len(pictures))))
    rows = -(-len(pictures) // columns)
    height, width = pictures[0].shape[:2]
    bar, gap = 22 if titles else 0, 6
    sheet = np.full(
        (rows * (height + bar + gap) + gap, columns * (width + gap) + gap, 3), _BACKGROUND, np.uint8
    )
    for k, picture in enumerate(pictures):
        scale = min(height / picture.shape[0], width / picture.shape[1])
        size = max(1, round(picture.shape[1] * scale)), max(1, round(picture.shape[0] * scale))
        fitted = cv2.resize(picture, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_NEAREST)
        top, left = gap + k // columns * (height + bar + gap), gap + k % columns * (width + gap)
        if titles:
            _write(sheet, titles[k], (left + 4, top + 15))
        sheet[top + bar : top + bar + size[1], left : left + size[0]] = fitted
    return sheet


def write_video(path: str | Path, pictures: Iterable[Picture], rate_hz: float = 10.0) -> int:
    """Write an .mp4 (MPEG-4), or a .gif or .webp that browsers play, all or nothing.

    Args:
        path: its ending says which.
        pictures: of one size; for .mp4 they are taken one by one.
        rate_hz: pictures a second.

    Returns:
        How many pictures were written.

    Raises:
        ValueError: no pictures, another ending, or no encoder.
    """
    path = Path(path)
    with replacing(path) as temporary:
        if path.suffix == ".mp4":
            count = _write_mp4(temporary, pictures, rate_hz)
        elif path.suffix in (".gif", ".webp"):
            images = [Image.fromarray(p) for p in pictures]
            count = len(images)
            if images:
                images[0].save(
                    temporary, save_all=True, append_images=images[1:], duration=1000 / rate_hz, loop=0
                )
        else:
            raise ValueError(f"{path}: expected a name that ends in .mp4, .gif or .webp")
        if count == 0:
            raise ValueError(f"{path}: expected pictures, got none")
    return count


def _write_mp4(path: Path, pictures: Iterable[Picture], rate_hz: float) -> int:
    writer, count = None, 0
    for picture in pictures:
        if writer is None:
            size = picture.shape[1], picture.shape[0]
            writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), rate_hz, size)
            if not writer.isOpened():
                raise ValueError(f"{path}: OpenCV has no MPEG-4 encoder here; use .gif or .webp")
        writer.write(cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
        count += 1
    if writer is not None:
        writer.release()
        if int(cv2.VideoCapture(str(path)).get(cv2.CAP_PROP_FRAME_COUNT)) != count:
            raise OSError(f"{path}: the video could not be written; is the disk full?")
    return count
