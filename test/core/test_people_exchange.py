"""People of recorded images in the places of others: what is cut out, where it goes, and what follows it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from orpose_core.models import ModelConfig
from orpose_core.skeleton import COCO17
from orpose_core.training.augment.depth import AugmentConfig
from orpose_core.training.augment.exchange import background_of, cut_out, put_in_place
from orpose_core.training.depthpose.label_file import LabelFile
from orpose_core.training.depthpose.people_exchange import PeopleExchange
from orpose_core.training.depthpose.samples import DataConfig, LabelledFrame
from orpose_core.training.depthpose.streams import FolderSamples
from orpose_core.types import Poses

HW = (96, 128)
ROOM_M, TABLE_M = 4.0, 1.5
TABLE = np.s_[80:, :]
Where = tuple[int, int, float]
"""Column and row of somebody's upper left corner, and the distance, metres."""


def room() -> np.ndarray:
    depth_m = np.full(HW, ROOM_M, np.float32)
    depth_m[TABLE] = TABLE_M
    return depth_m


def body(where: Where) -> tuple[slice, slice]:
    """Somebody is 8 px wide and 24 px high at 2 m."""
    x, y, distance_m = where
    return slice(y, y + round(48 / distance_m)), slice(x, x + round(16 / distance_m))


def image_of(*people: Where) -> tuple[np.ndarray, Poses]:
    depth_m = room()
    xy, boxes = [], []
    for x, y, distance_m in people:
        rows, columns = body((x, y, distance_m))
        depth_m[rows, columns] = np.minimum(depth_m[rows, columns], distance_m)
        height, width = rows.stop - rows.start, columns.stop - columns.start
        down = np.linspace(1, height - 2, 17)
        aside = np.where(np.arange(17) % 2, 1, -1) * (x % 3)  # so that people can be told apart
        xy.append(np.column_stack([x + width / 2 + aside, y + down]))
        boxes.append([x, y, x + width, y + height])
    m = len(people)
    poses = Poses(
        COCO17, np.array(xy, np.float32).reshape(m, 17, 2), np.ones((m, 17), np.float32),
        np.ones(m, np.float32), np.array(boxes, np.float32).reshape(m, 4),
    )  # fmt: skip
    return depth_m, poses


def test_the_empty_room_is_seen_past_people_who_move() -> None:
    frames = [image_of((10 * i, 20, 2.0))[0] for i in range(8)]
    np.testing.assert_array_equal(background_of(frames), room())
    blind = [np.where(np.arange(HW[1]) < 3, np.float32(np.nan), frame) for frame in frames]
    background_m = background_of(blind)
    assert np.isnan(background_m[:, :3]).all() and np.isfinite(background_m[:, 3:]).all()


def test_who_stands_before_what_is_out_of_range_is_not_taken_for_the_room() -> None:
    images = [image_of((10 + 3 * i, 20, 2.0), (70, 20, 3.0)) for i in range(8)]
    beyond = [np.where(depth_m == ROOM_M, np.float32(np.nan), depth_m) for depth_m, _ in images]
    somebody = [
        *beyond[:4],
        *[np.where(depth_m == 3.0, np.float32(np.nan), depth_m) for depth_m in beyond[4:]],
    ]
    background_m = background_of(somebody)
    assert np.isnan(background_m[:80]).all() and (background_m[TABLE] == TABLE_M).all()
    cut = cut_out(somebody[0], background_m, images[0][1], 1)
    assert cut is not None and np.isfinite(cut.depth_m[body((70, 20, 3.0))]).all()


def test_somebody_is_cut_out_and_nothing_else() -> None:
    where = (30, 20, 2.0)
    depth_m, poses = image_of(where, (60, 20, 3.0))
    cut = cut_out(depth_m, room(), poses, 0)
    assert cut is not None and cut.distance_m == pytest.approx(2.0)
    expected = np.zeros(HW, bool)
    expected[body(where)] = True
    np.testing.assert_array_equal(np.isfinite(cut.depth_m), expected)
    unsure = replace(poses, scores=np.zeros_like(poses.scores), xy_px=np.full_like(poses.xy_px, np.nan))
    assert cut_out(depth_m, room(), unsure, 0) is None


def test_who_comes_is_as_large_and_as_far_as_the_place_asks() -> None:
    (there_m, there), (other_m, other) = image_of((30, 20, 3.0)), image_of((80, 30, 2.0))
    leaves, comes = cut_out(there_m, room(), there, 0), cut_out(other_m, room(), other, 0)
    assert leaves is not None and comes is not None
    placed = put_in_place(there_m, room(), leaves, comes, other)
    assert placed is not None
    depth_m, poses = placed
    new = depth_m < ROOM_M - 0.1
    new[TABLE] = False
    np.testing.assert_allclose(depth_m[new], 3.0, atol=1e-5)
    assert new.sum() == pytest.approx((8 * 24) * (2 / 3) ** 2, rel=0.2)
    joints = np.rint(poses.xy_px[0]).astype(int)
    assert new[joints[:, 1], joints[:, 0]].all()


def test_furniture_hides_who_comes_and_who_left_is_gone() -> None:
    (there_m, there), (other_m, other) = image_of((30, 60, 2.0)), image_of((80, 30, 2.0))
    leaves, comes = cut_out(there_m, room(), there, 0), cut_out(other_m, room(), other, 0)
    assert leaves is not None and comes is not None
    placed = put_in_place(there_m, room(), leaves, comes, other)
    assert placed is not None
    np.testing.assert_array_equal(placed[0][TABLE], room()[TABLE])
    far = replace(comes, distance_m=9.0)
    assert put_in_place(there_m, room(), leaves, far, other) is None


def folder_of(folder: Path, images: list[list[Where]]) -> DataConfig:
    """Write images of one camera as a labelled folder."""
    entries, annotations = [], []
    for i, people in enumerate(images):
        depth_m, poses = image_of(*people)
        cv2.imwrite(str(folder / f"{i}.png"), np.rint(1000 * depth_m).astype(np.uint16))
        entries.append({
            "id": i, "file_name": f"{i}.png", "width": HW[1], "height": HW[0], "recording": "monday",
            "camera": "/ceiling",
        })  # fmt: skip
        for xy, (x1, y1, x2, y2) in zip(poses.xy_px, poses.boxes_px.tolist(), strict=True):
            keypoints = np.column_stack([xy, np.full(17, 2.0)]).reshape(-1).tolist()
            box = [x1, y1, x2 - x1, y2 - y1]
            annotations.append({"image_id": i, "category_id": 1, "bbox": box, "keypoints": keypoints})
    content = {
        "images": entries, "annotations": annotations,
        "categories": [{"id": 1, "keypoints": list(COCO17.joints)}],
    }  # fmt: skip
    (folder / "labels.json").write_text(json.dumps(content))
    plain = AugmentConfig(flip=0, zoom=(1, 1), shift=0, depth_gain=0, border=0, drop=0)
    return DataConfig(
        source="folder",
        folder=folder,
        labels=folder / "labels.json",
        render_hw=HW,
        augment=plain,
        exchange=1.0,
    )


def changed(before: LabelledFrame, after: LabelledFrame) -> list[bool]:
    pairs = zip(before.poses.xy_px, after.poses.xy_px, strict=True)
    return [not np.array_equal(a, b, equal_nan=True) for a, b in pairs]


def test_people_of_a_folder_change_places_and_their_joints_go_with_them(tmp_path: Path) -> None:
    places: list[list[Where]] = [[(11 * i + 5, 20 + i, 2.0 + 0.1 * i)] for i in range(9)]
    data = folder_of(tmp_path, places)
    labels = LabelFile(tmp_path / "labels.json", tmp_path)
    exchange = PeopleExchange(labels, labels.frame, 1.0)
    replaced = 0
    for image, ((_, _, distance_m),) in enumerate(places):
        before = labels.frame(image)
        after = exchange(before, image, np.random.default_rng(image))
        replaced += sum(changed(before, after))
        joints = np.rint(after.poses.xy_px[0]).astype(int)
        np.testing.assert_allclose(after.depth_m[joints[:, 1], joints[:, 0]], distance_m, atol=2e-3)
    assert replaced >= 6
    samples = FolderSamples(data, ModelConfig(width=0.125, sr_width=0.125, input_hw=(24, 32), sr_image=False))
    again = FolderSamples(data, samples.make.model)
    maps = [samples[i]["keypoint_maps"] for i in range(6)]
    assert all(np.array_equal(maps[i], again[i]["keypoint_maps"]) for i in range(6))
    never = FolderSamples(replace(data, exchange=0.0), samples.make.model)
    assert any(not np.array_equal(maps[i], never[i]["keypoint_maps"]) for i in range(6))


def test_people_who_overlap_stay_and_so_do_those_of_a_camera_that_was_moved(tmp_path: Path) -> None:
    pair: list[Where] = [(40, 20, 2.0), (44, 22, 2.5)]
    folder_of(tmp_path, [pair, *([(12 * i, 20, 2.0)] for i in range(6))])
    labels = LabelFile(tmp_path / "labels.json", tmp_path)
    exchange = PeopleExchange(labels, labels.frame, 1.0)
    overlapping, alone = labels.frame(0), labels.frame(1)
    moved = LabelledFrame(alone.depth_m - 0.7, alone.poses, alone.ignored_px)
    for seed in range(5):
        rng = np.random.default_rng(seed)
        assert not any(changed(overlapping, exchange(overlapping, 0, rng)))
        assert not any(changed(moved, exchange(moved, 1, rng)))


def test_a_share_outside_its_range_is_refused() -> None:
    with pytest.raises(ValueError, match=r"data\.exchange"):
        DataConfig(exchange=1.5)
