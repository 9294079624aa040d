"""`orpose label` on real recordings, with networks that know nothing: what it keeps is what it may."""

from __future__ import annotations

import json
from pathlib import Path

import cv2

from orpose_core.cli import main


def test_bags_folders_and_images_end_to_end(realdata: Path, tmp_path: Path) -> None:
    sources = [
        realdata / "tue_rgbd" / "rosbag2_mcap_hero",
        realdata / "tue_rgbd" / "rosbag2_sqlite3_hero",
        realdata / "tue_rgbd" / "2019-05-03-12-41-38.bag",
        realdata / "or_color_53x40",
        realdata / "coco_sample" / "000000000785.jpg",
    ]
    teacher = [
        "--detector", "untrained:fasterrcnn_mobilenet_v3_large_320_fpn", "--scales", "32",
        "--min-box-score", "0", "--keypoints", "untrained:pose_hrnet_w4_64x64", "--no-flip",
    ]  # fmt: skip
    options = ["--limit", "2", "--motion", "0.0001", "--low-resolution", "64x48", "--quiet"]
    # This camera's color and depth are up to 0.34 s apart.
    options += ["--device", "cpu", "--tolerance", "0.4"]
    assert main(["label", *map(str, sources), "--out", str(tmp_path), *teacher, *options]) == 0
    images = json.loads((tmp_path / "labels.json").read_text())["images"]
    by_recording = [sum(i["recording"].startswith(f"{k:03d}_") for i in images) for k in range(len(sources))]
    assert by_recording == [2, 1, 1, 2, 1]
    for image in images:
        kept = cv2.imread(str(tmp_path / image["file_name"]), cv2.IMREAD_UNCHANGED)
        assert kept.shape[0] <= 48 and kept.shape[1] <= 64
    assert [("depth_file_name" in i) for i in images] == [True] * 4 + [False] * 3
    for file in tmp_path.glob("*.json*"):
        assert str(realdata) not in file.read_text(), file
