"""Pictures: sizes, colors, that people are drawn where they are, and never on a large image."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from PIL import Image

from orpose_core.files import write_picture
from orpose_core.render import (
    beside,
    contact_sheet,
    depth_picture,
    draw_poses,
    enlarged,
    frame_picture,
    overlay,
    track_color,
    view_3d,
    write_video,
)
from orpose_core.skeleton import COCO17
from orpose_core.types import Poses, RgbdFrame


def _poses(people=2, track_ids=None, with_3d=False):
    generator = np.random.default_rng(0)
    xy = generator.uniform(100, 300, (people, 17, 2)).astype(np.float32)
    xyz = np.stack([generator.normal(0, 0.5, (people, 17)), generator.normal(0, 0.5, (people, 17)),
                    generator.normal(3, 0.3, (people, 17))], axis=-1).astype(np.float32)  # fmt: skip
    return Poses(
        COCO17,
        xy,
        np.ones((people, 17), np.float32),
        np.ones(people, np.float32),
        np.zeros((people, 4), np.float32),
        xyz_cam_m=xyz if with_3d else None,
        track_ids=track_ids,
    )


def test_near_is_brighter_than_far_and_a_hole_is_neither():
    depth = np.array([[1.0, 3.0, 6.0, np.nan]], np.float32)
    picture = depth_picture(depth, range_m=6)
    brightness = picture.astype(int).sum(axis=-1)[0]
    assert brightness[0] > brightness[1] > brightness[2]
    assert len({tuple(p) for p in picture[0]}) == 4
    assert depth_picture(np.full((3, 4), np.nan, np.float32)).shape == (3, 4, 3)


def test_people_are_drawn_where_they_are_in_the_color_of_their_track():
    poses = _poses(2, track_ids=np.array([4, 9], np.int64))
    picture = np.zeros((960, 1280, 3), np.uint8)
    drawn = draw_poses(picture, poses, (480, 640), labels=False)
    assert not picture.any()  # a copy
    for m, track in enumerate((4, 9)):
        x, y = (poses.xy_px[m, 9] + 0.5) * 2 - 0.5
        near = drawn[int(y) - 8 : int(y) + 9, int(x) - 8 : int(x) + 9].reshape(-1, 3).astype(int)
        assert (np.abs(near - track_color(track)).sum(axis=1) < 60).any()
    rows, columns = np.nonzero(drawn.any(axis=-1))
    assert rows.min() > 2 * 100 - 15 and columns.max() < 2 * 300 + 15


def test_absent_joints_and_nobody_leave_no_trace():
    picture = np.zeros((48, 64, 3), np.uint8)
    assert not draw_poses(picture, Poses.nobody(COCO17), (48, 64)).any()
    poses = _poses(1)
    absent = Poses(
        COCO17,
        np.full_like(poses.xy_px, np.nan),
        np.zeros_like(poses.scores),
        poses.person_scores,
        poses.boxes_px,
    )
    assert not draw_poses(picture, absent, (48, 64)).any()
    assert not draw_poses(picture, poses, (480, 640), min_score=1.0).any()


def test_tracks_have_different_colors():
    colors = np.array([track_color(i) for i in range(8)]).astype(int)
    distances = np.abs(colors[:, None] - colors).sum(axis=-1) + 999 * np.eye(8, dtype=int)
    assert distances.min() > 60
    assert track_color(3) == track_color(3)


def test_an_overlay_holds_no_more_than_the_low_resolution_image():
    depth = np.random.default_rng(0).uniform(1, 5, (48, 64)).astype(np.float32)
    frame = RgbdFrame(None, depth, None)
    empty = overlay(frame, Poses.nobody(COCO17), (480, 640))
    assert empty.shape == (480, 640, 3)
    small = empty[5::10, 5::10]
    np.testing.assert_array_equal(enlarged(small, 640), empty)
    assert (overlay(frame, _poses(), (480, 640)) != empty).any()
    with pytest.raises(ValueError, match="at most 4800 px, got 81x60"):  # one column above the limit
        overlay(RgbdFrame(None, np.ones((60, 81), np.float32), None), _poses(), (480, 640))


def test_a_color_network_sees_color():
    rgb = np.full((40, 53, 3), 77, np.uint8)
    frame = RgbdFrame(rgb, np.ones((40, 53), np.float32), None)
    assert (frame_picture(frame, "color") == 77).all()
    assert not (frame_picture(frame, "depth") == 77).all()
    assert (frame_picture(RgbdFrame(rgb, None, None), "depth") == 77).all()


def test_the_3d_view_shows_people_or_says_that_there_is_nothing():
    nothing = view_3d(_poses(1))
    shown = view_3d(_poses(2, with_3d=True))
    assert shown.shape == nothing.shape == (480, 640, 3)
    color = np.array(track_color(1))
    assert (np.abs(shown.astype(int) - color).sum(axis=-1) < 40).sum() > 20
    assert not (np.abs(nothing.astype(int) - color).sum(axis=-1) < 40).any()
    part = _poses(2, with_3d=True)
    part.xyz_cam_m[0] = np.nan
    assert view_3d(part).shape == (480, 640, 3)
    assert view_3d(Poses.nobody(COCO17)).shape == (480, 640, 3)


def test_contact_sheets():
    pictures = [np.full((48, 64, 3), 50 * k, np.uint8) for k in range(1, 4)] + [
        np.full((96, 64, 3), 9, np.uint8)
    ]
    sheet = contact_sheet(pictures, [str(k) for k in range(4)])
    for k in range(1, 4):
        assert (sheet == 50 * k).all(axis=-1).sum() > 0.9 * 48 * 64
    assert contact_sheet(pictures[:1]).shape[0] < 70
    with pytest.raises(ValueError, match="as many titles"):
        contact_sheet(pictures, ["one"])
    with pytest.raises(ValueError, match="got 0"):
        contact_sheet([])


def test_pictures_and_videos_are_written_whole_or_not_at_all(tmp_path):
    picture = beside(np.full((48, 64, 3), (200, 10, 10), np.uint8), np.full((48, 64, 3), 30, np.uint8))
    write_picture(tmp_path / "new" / "a.png", picture)
    np.testing.assert_array_equal(cv2.imread(str(tmp_path / "new" / "a.png"))[..., ::-1], picture)
    frames = [np.roll(picture, k, axis=1) for k in range(5)]
    for name in ("v.mp4", "v.gif", "v.webp"):
        assert write_video(tmp_path / name, iter(frames), 5) == 5
    capture = cv2.VideoCapture(str(tmp_path / "v.mp4"))
    assert capture.isOpened() and int(capture.get(cv2.CAP_PROP_FRAME_COUNT)) == 5
    with Image.open(tmp_path / "v.gif") as image:
        assert image.n_frames == 5
    with pytest.raises(ValueError, match=r"\.mp4, \.gif or \.webp"):
        write_video(tmp_path / "v.avi", frames)
    with pytest.raises(ValueError, match="got none"):
        write_video(tmp_path / "empty.mp4", [])
    assert sorted(f.name for f in tmp_path.iterdir()) == ["new", "v.gif", "v.mp4", "v.webp"]
