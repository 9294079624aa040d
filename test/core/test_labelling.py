"""`orpose label` on synthetic recordings: what is written, what is kept, and what a kill leaves behind."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from orpose_core.checkpoints.keypoint_networks import random_keypoint_network
from orpose_core.cli import main
from orpose_core.commands.label import kept_words
from orpose_core.data.coco import read_coco
from orpose_core.data.recordings.opening import open_recording
from orpose_core.data.recordings.recording import RecordedFrame
from orpose_core.files import read_color, replacing
from orpose_core.labelling.frame_labeller import no_larger
from orpose_core.labelling.label_files import read_label_file
from orpose_core.labelling.labelling import label_recordings
from orpose_core.labelling.options import LabelOptions
from orpose_core.labelling.picking import at_rate
from orpose_core.models.hrnet import HRNetConfig
from orpose_core.rotation import upright
from orpose_core.simulation.stream import StreamConfig
from orpose_core.simulation.writers.bags import write_bag
from orpose_core.teacher.detector import DetectorConfig, random_detector
from orpose_core.teacher.keypoint_stage import KeypointStageConfig, TopDownKeypoints
from orpose_core.teacher.lifting import random_lifter
from orpose_core.teacher.teacher import PseudoLabelConfig, Teacher
from orpose_core.types import RgbdFrame

DETECTOR = "fasterrcnn_mobilenet_v3_large_320_fpn"
TINY = HRNetConfig(width=4, input_hw=(64, 64), modules=(1, 1, 1), blocks=1)
FRAMES = 7
SIZE_HW = (120, 160)
OPTIONS = LabelOptions(batch=2, low_resolution_hw=(60, 80))


class _Killed(Exception):
    pass


@pytest.fixture(scope="module")
def bag(tmp_path_factory: pytest.TempPathFactory) -> Path:
    config = StreamConfig(size_hw=SIZE_HW, modality="rgbd", frames_per_sequence=FRAMES, rate_hz=10.0)
    return write_bag(config, FRAMES, tmp_path_factory.mktemp("bags") / "theatre")


@pytest.fixture(scope="module")
def teacher() -> Teacher:
    detector = random_detector(DETECTOR, DetectorConfig(min_score=0.0, flip=False, max_people=2))
    keypoints = TopDownKeypoints(random_keypoint_network(TINY), KeypointStageConfig(flip=False))
    config = PseudoLabelConfig(min_joints=0, hard_joint_score=0.02)
    return Teacher(detector, keypoints, random_lifter(width=32), config)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three color images and one file that only looks like one."""
    root = tmp_path_factory.mktemp("folder") / "ward"
    root.mkdir()
    rng = np.random.default_rng(1)
    for k in range(3):
        cv2.imwrite(str(root / f"{k}_color.png"), rng.integers(0, 255, (48, 64, 3)).astype(np.uint8))
    (root / "3_color.png").write_bytes(b"no image")
    return root


@pytest.fixture(scope="module")
def unbroken(bag: Path, folder: Path, teacher: Teacher, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("unbroken")
    seen: list[tuple[int, int]] = []
    missing = bag.parent / "missing"
    summary = label_recordings(
        [bag, missing, folder], teacher, out, OPTIONS, lambda done, total: seen.append((done, total))
    )
    assert (summary.frames, summary.images) == (FRAMES + 3, FRAMES + 3)
    assert summary.people > 0
    assert [done for done, _ in seen] == [2, 4, 6, 7, 9, 10]
    # the folder seems to have a fourth image until it is read
    assert {total for _, total in seen} == {FRAMES + 4}
    return out


def _files(folder: Path) -> dict[str, bytes]:
    return {str(f.relative_to(folder)): f.read_bytes() for f in folder.rglob("*") if f.is_file()}


def test_labels_images_report_and_sheet_are_written(unbroken: Path) -> None:
    truth = read_coco(unbroken / "labels.json")
    assert len(truth.image_ids) == FRAMES + 3
    for name, size_hw in zip(truth.file_names, truth.sizes_hw, strict=True):
        image = cv2.imread(str(unbroken / name), cv2.IMREAD_UNCHANGED)
        assert image.shape[:2] == size_hw and image.shape[0] <= 60 and image.shape[1] <= 80
    content = json.loads((unbroken / "labels.json").read_text())
    assert content["info"]["trained"] is False
    first = content["images"][0]
    assert (first["recorded_width"], first["width"], first["stamp_ns"] > 0) == (160, 80, True)
    depth = cv2.imread(str(unbroken / first["depth_file_name"]), cv2.IMREAD_UNCHANGED)
    assert depth.dtype == np.uint16 and depth.shape == (60, 80) and 500 < np.median(depth[depth > 0]) < 9000
    assert first["intrinsics"]["cx"] == pytest.approx(39.5, abs=3)
    assert cv2.imread(str(unbroken / "contact_sheet.png")) is not None


def test_nothing_larger_than_the_student_sees_reaches_the_disk(unbroken: Path) -> None:
    pictures = [f for f in unbroken.rglob("*.png") if f.name != "contact_sheet.png"]
    assert len(pictures) == 2 * FRAMES + 3
    for file in pictures:
        image = cv2.imread(str(file), cv2.IMREAD_UNCHANGED)
        assert image.shape[0] <= 60 and image.shape[1] <= 80


def test_what_was_skipped_is_listed_without_the_folders_of_hospitals(unbroken: Path, bag: Path) -> None:
    text = (unbroken / "report.json").read_text()
    skipped = json.loads(text)["skipped"]
    assert any("nothing is there" in s for s in skipped)
    assert any("3_color.png" in s and "no image" in s for s in skipped)
    for file in unbroken.glob("*.json*"):
        assert str(bag.parent) not in file.read_text(), file


@pytest.mark.parametrize("batches", [1, 3, 4])
def test_a_killed_run_comes_out_byte_for_byte(
    bag: Path, folder: Path, teacher: Teacher, unbroken: Path, tmp_path: Path, batches: int
) -> None:
    sources = [bag, bag.parent / "missing", folder]
    calls = 0

    def kill(done: int, total: int) -> None:
        nonlocal calls
        calls += 1
        if calls == batches:
            raise _Killed

    with pytest.raises(_Killed):
        label_recordings(sources, teacher, tmp_path, OPTIONS, kill)
    assert not (tmp_path / "labels.json").exists()
    # A kill in the midst of writing: half a line, half a picture under its temporary name.
    with (tmp_path / "journal.jsonl").open("a") as file:
        file.write('{"recording": 0, "frames": [{"ima')
    half = replacing(tmp_path / "images" / "half.png")
    half.__enter__().write_bytes(b"half")
    (tmp_path / "._holiday.png").write_bytes(b"somebody else's")
    label_recordings(sources, teacher, tmp_path, OPTIONS)
    assert (tmp_path / "._holiday.png").read_bytes() == b"somebody else's"
    (tmp_path / "._holiday.png").unlink()
    assert _files(tmp_path) == _files(unbroken)


def test_a_finished_run_is_not_done_again(bag: Path, folder: Path, teacher: Teacher, unbroken: Path) -> None:
    before = _files(unbroken)
    label_recordings(
        [bag, bag.parent / "missing", folder], teacher, unbroken, OPTIONS,
        lambda done, total: pytest.fail("labelled again"),
    )  # fmt: skip
    assert _files(unbroken) == before


def test_another_run_does_not_go_into_the_same_folder(
    bag: Path, folder: Path, teacher: Teacher, unbroken: Path
) -> None:
    sources = [bag, bag.parent / "missing", folder]
    with pytest.raises(ValueError, match=r"other settings \(options\)"):
        label_recordings(sources, teacher, unbroken, LabelOptions(batch=3))
    with pytest.raises(ValueError, match=r"other settings \(recordings\)"):
        label_recordings(sources[:2], teacher, unbroken, OPTIONS)


def test_keep_none_writes_no_image_and_labels_in_px_of_the_recording(
    bag: Path, teacher: Teacher, unbroken: Path, tmp_path: Path
) -> None:
    options = LabelOptions(batch=2, keep="none", every=2)
    summary = label_recordings([bag], teacher, tmp_path, options)
    assert summary.images == 4 and not (tmp_path / "images").exists()
    full, small = read_label_file(tmp_path / "labels.json"), read_label_file(unbroken / "labels.json")
    # Frame 0 was in a batch with another frame in each run: the same up to the last bits.
    big, low = full[0][1].soft, small[0][1].soft
    assert np.allclose((big.boxes_px + 0.5) / 2 - 0.5, low.boxes_px, atol=5e-3)
    assert np.allclose((big.xy_px + 0.5) / 2 - 0.5, low.xy_px, atol=5e-3, equal_nan=True)
    assert cv2.imread(str(tmp_path / "contact_sheet.png")) is not None


def test_a_damaged_bag_is_reported_and_survived(
    bag: Path, folder: Path, teacher: Teacher, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (whole,) = bag.glob("*.mcap")
    cut = tmp_path / "cut.mcap"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    summary = label_recordings([cut, folder], teacher, tmp_path / "out", OPTIONS)
    assert summary.frames == 3
    assert any(why.startswith("000_cut: not read: ") for why in summary.skipped), summary.skipped
    assert str(tmp_path) not in caplog.text and "000_cut" in caplog.text


def test_frames_with_too_few_people_are_left_out_and_counted(
    folder: Path, teacher: Teacher, tmp_path: Path
) -> None:
    summary = label_recordings([folder], teacher, tmp_path, LabelOptions(batch=2, min_people=9))
    assert (summary.frames, summary.images) == (3, 0)
    assert "3 frames with fewer than 9 people" in summary.skipped


def test_nothing_to_label_is_an_error(teacher: Teacher, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="expected frames to label, got none"):
        label_recordings([tmp_path / "missing"], teacher, tmp_path / "out")
    with pytest.raises(ValueError, match="'lowres', 'depth' or 'none'"):
        LabelOptions(keep="all")  # type: ignore[arg-type]


def test_frames_at_a_rate_are_spread_and_survive_clock_jumps() -> None:
    def frames(stamps: list[int]) -> list[RecordedFrame]:
        image = np.zeros((2, 2, 3), np.uint8)
        return [RecordedFrame(RgbdFrame(image, None, None, stamp_ns=s), str(s)) for s in stamps]

    second = 1_000_000_000
    steady = frames([second + k * second // 30 for k in range(90)])
    assert len(list(at_rate(iter(steady), 5.0))) == 15
    assert len(list(at_rate(iter(steady), 100.0))) == 90
    assert len(list(at_rate(iter(frames([0] * 7)), 5.0))) == 7  # images without a time
    jump = frames([100 * second, 100 * second + 1, 3 * second, 3 * second + 1, 4 * second])
    assert [f.frame.stamp_ns for f in at_rate(iter(jump), 1.0)] == [100 * second, 3 * second, 4 * second]


def test_the_command_labels_and_says_what_it_is(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["label", str(folder), "--out", str(tmp_path), "--keypoints", "untrained:pose_hrnet_w4_64x64"]
    random = ["--detector", f"untrained:{DETECTOR}", "--min-box-score", "0.99", "--quiet", "--no-flip"]
    assert main([*command, *random]) == 0
    out, err = capsys.readouterr()
    assert "3 of 3 frames" in out and "random weights" in err and "skipped: " in err
    assert main([*command, "--detector", "fasterrcnn_resnet50_fpn_v2"]) == 2
    assert "fetch https://" in capsys.readouterr().err


def test_depth_is_kept_as_recorded_on_purpose_and_color_is_not(
    bag: Path, folder: Path, teacher: Teacher, tmp_path: Path
) -> None:
    options = LabelOptions(batch=3, keep="depth", depth_unit_m=0.0005)
    summary = label_recordings([bag, folder], teacher, tmp_path, options)
    assert summary.images == FRAMES  # a folder of color has no depth to keep
    assert any("ward" in why for why in summary.skipped)
    pictures = sorted((tmp_path / "images").rglob("*.png"))
    assert len(pictures) == FRAMES and all(file.name.endswith("_depth.png") for file in pictures)
    content = json.loads((tmp_path / "labels.json").read_text())
    assert all(image["file_name"] == image["depth_file_name"] for image in content["images"])
    assert {(i["height"], i["width"]) for i in content["images"]} == {SIZE_HW}
    stored = cv2.imread(str(pictures[0]), cv2.IMREAD_UNCHANGED)
    with open_recording(bag, "rgbd") as recording:
        recorded = next(recording.frames()).frame.depth_m
    assert recorded is not None
    # half a millimetre a step, stored in millimetres
    np.testing.assert_allclose(stored, np.nan_to_num(recorded) * 500, atol=0.51)
    sheet = cv2.imread(str(tmp_path / "contact_sheet.png"))
    assert sheet is not None and sheet.std() > 5


def test_a_camera_on_its_side_is_labelled_and_stored_upright(
    bag: Path, teacher: Teacher, tmp_path: Path
) -> None:
    options = LabelOptions(batch=4, low_resolution_hw=(60, 80), rotation=90, limit=2)
    label_recordings([bag], teacher, tmp_path, options)
    image = json.loads((tmp_path / "labels.json").read_text())["images"][0]
    assert (image["recorded_width"], image["recorded_height"], image["rotation"]) == (160, 120, 90)
    with open_recording(bag, "rgbd") as recording:
        frame = next(recording.frames()).frame
    small = no_larger(upright(frame, 90), (60, 80))
    assert (image["height"], image["width"]) == small.size_hw
    assert small.rgb is not None
    np.testing.assert_array_equal(read_color(tmp_path / image["file_name"]), small.rgb)


def test_color_in_which_people_can_be_recognised_needs_permission(
    bag: Path, teacher: Teacher, tmp_path: Path, capsys: pytest.CaptureFixture[str], caplog
) -> None:
    with pytest.raises(ValueError, match="people can be recognized in such color images"):
        LabelOptions(low_resolution_hw=(480, 640))
    words = ["label", str(bag), "--out", str(tmp_path / "a"), "--low-resolution", "160x120", "--quiet"]
    assert main(words) == 2
    assert "--allow-full-resolution" in capsys.readouterr().err
    tiny = ["--detector", f"untrained:{DETECTOR}", "--keypoints", "untrained:pose_hrnet_w4_64x64"]
    assert main([*words, *tiny, "--limit", "1", "--device", "cpu", "--allow-full-resolution"]) == 0
    assert "PEOPLE CAN BE RECOGNISED" in caplog.text
    options = LabelOptions(low_resolution_hw=(120, 160), allow_full_resolution=True)
    assert options.recognisable


def test_what_is_stored_for_how_long_and_what_it_is_good_for_is_said(tmp_path: Path) -> None:
    assert "No images" in kept_words(LabelOptions(keep="none"), "out")
    assert "until you delete" in kept_words(LabelOptions(keep="depth"), "out")
    assert "at most 80x60" in kept_words(LabelOptions(), "out")
