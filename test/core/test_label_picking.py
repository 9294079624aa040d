"""Which frames `orpose label` takes and keeps, whoever labels them and wherever it was killed.

The detector here reads the number of people off the first pixel, so that every count is known.
"""

from __future__ import annotations

import io
import json
import os
import stat
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any

import cv2
import numpy as np
import pytest
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore

from orpose_core.cli import build_parser
from orpose_core.data.image_messages import encode_color
from orpose_core.data.recordings.recording import RecordedFrame, uniquely_named
from orpose_core.data.skeleton_messages import rosbags_types
from orpose_core.labelling.journal import Journal
from orpose_core.labelling.labelling import Group, label_recordings
from orpose_core.labelling.options import LabelOptions
from orpose_core.labelling.picking import (
    Balance,
    chosen_frames,
    in_motion,
    moved_share,
)
from orpose_core.labelling.review import write_review
from orpose_core.skeleton import COCO17
from orpose_core.teacher.stages import PersonBoxes, PersonThresholds, Picture, StageInfo
from orpose_core.teacher.teacher import PseudoLabelConfig, Teacher
from orpose_core.types import Poses, RgbdFrame

SIZE_HW = (24, 32)
COUNTS = [0, 1, 2, 2, 3, 1, 7, 1, 2, 0, 4, 1, 1, 2, 3, 5, 1, 9, 2, 2, 3, 1, 1]
PICKED = LabelOptions(batch=3, low_resolution_hw=(12, 16), motion=0.01, balance=0)


class CountReader:
    """A detector that finds as many people as the first pixel says, one beside the other."""

    thresholds = PersonThresholds(0.0, 0.0)
    info = StageInfo("count_reader", "0" * 64, False)

    def detect(self, images: Sequence[Picture]) -> list[PersonBoxes]:
        found = []
        for image in images:
            left = np.arange(int(image[0, 0, 0]), dtype=np.float64) * 3
            boxes = np.stack([left, left * 0 + 4, left + 3, left * 0 + 20], axis=1)
            found.append(PersonBoxes(boxes, np.ones(len(left))))
        return found


class MiddleOfBox:
    """Puts all joints into the middle of the box."""

    info = StageInfo("middle_of_box", "1" * 64, False)

    def keypoints(self, images: Sequence[Picture], people: Sequence[PersonBoxes]) -> list[Poses]:
        return [self._poses(p) for p in people]

    def _poses(self, people: PersonBoxes) -> Poses:
        middle = people.boxes.reshape(-1, 2, 2).mean(axis=1)
        xy = np.repeat(middle[:, None], len(COCO17), axis=1).astype(np.float32)
        boxes = people.boxes.astype(np.float32)
        return Poses(COCO17, xy, np.ones(xy.shape[:2], np.float32), people.scores.astype(np.float32), boxes)


class _Killed(Exception):
    pass


@pytest.fixture(scope="module")
def teacher() -> Teacher:
    return Teacher(CountReader(), MiddleOfBox(), None, PseudoLabelConfig())


def pictures(counts: Sequence[int]) -> Iterator[Picture]:
    """Yield an image per count: a block that wanders; each fourth image shows what the one before it did."""
    rng = np.random.default_rng(3)
    for k, count in enumerate(counts):
        image = rng.integers(90, 94, (*SIZE_HW, 3)).astype(np.uint8)
        place = 4 + (k - (k % 4 == 3)) % 10
        image[8:16, place : place + 8] = 200
        image[0, 0] = count
        yield image


def write_images(root: Path, counts: Sequence[int]) -> Path:
    root.mkdir()
    for k, image in enumerate(pictures(counts)):
        cv2.imwrite(str(root / f"{k:03d}.png"), image)
    return root


def write_troubled_bag(path: Path) -> Path:
    """Write 10 color images: the clock jumps back onto stamps it had, and one has an unknown encoding."""
    typestore = get_typestore(Stores.ROS2_JAZZY)
    types = rosbags_types(typestore)
    kind = types.lookup("sensor_msgs/msg/Image")
    with Writer(path, version=9, storage_plugin=StoragePlugin.MCAP) as bag:
        topic = bag.add_connection("/ward/color/image_raw", kind.__msgtype__, typestore=typestore)
        for k, image in enumerate(pictures([1, 2, 2, 3, 1, 1, 2, 4, 1, 1])):
            content = encode_color(image) | ({"encoding": "nonsense"} if k == 4 else {})
            stamp_ns = (100 + 10 * (k % 6)) * 1_000_000_000
            message = kind(header=types.header(stamp_ns, "ward"), **content)
            bag.write(topic, 10**9 * (k + 1), typestore.serialize_cdr(message, kind.__msgtype__))
    return path


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    root = tmp_path_factory.mktemp("pictures")
    first, second = write_images(root / "one", COUNTS), write_images(root / "two", COUNTS[::-1])
    (second / "005.png").write_bytes(b"no image")
    bag = write_troubled_bag(root / "bag")
    (whole,) = bag.glob("*.mcap")
    (root / "cut.mcap").write_bytes(whole.read_bytes()[: whole.stat().st_size * 7 // 10])
    return [first, root / "missing", second, bag, root / "cut.mcap"]


def files(folder: Path) -> dict[str, bytes]:
    return {str(f.relative_to(folder)): f.read_bytes() for f in folder.rglob("*") if f.is_file()}


@pytest.fixture(scope="module")
def unbroken(
    sources: list[Path], teacher: Teacher, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, bytes]:
    out = tmp_path_factory.mktemp("unbroken")
    label_recordings(sources, teacher, out, PICKED)
    return files(out)


def test_what_could_not_be_read_is_told(unbroken: dict[str, bytes]) -> None:
    report = json.loads(unbroken["report.json"])
    for recording, why in (
        ("001_missing", "nothing is there"), ("002_two", "005.png"), ("003_bag", "nonsense"),
        ("003_bag", "time jumps back by 50.0 s"), ("004_cut", "not read: "),
        ("000_one", "5 frames in which nothing moved"), ("003_bag", "2 frames in which nothing moved"),
    ):  # fmt: skip
        assert any(s.startswith(recording) and why in s for s in report["skipped"]), (recording, why)
    # Of the bag 9 frames can be read, of which the two that show nothing new are left out.
    by_recording: dict[int, int] = {}
    for line in unbroken["journal.jsonl"].splitlines()[1:]:
        entry = json.loads(line)
        for one in entry.get("frames", ()):
            by_recording[entry["recording"]] = by_recording.get(entry["recording"], 0) + ("image" in one)
    assert by_recording == {0: 18, 2: 17, 3: 7}


def test_images_of_each_number_of_people_are_kept_equally_often(
    sources: list[Path], teacher: Teacher, tmp_path: Path
) -> None:
    summary = label_recordings(sources[:1], teacher, tmp_path, replace(PICKED, motion=None))
    content = json.loads((tmp_path / "labels.json").read_text())
    people = [sum(a["image_id"] == i["id"] for a in content["annotations"]) for i in content["images"]]
    # 9 of one, 6 of two, 3 of three, 4 of four or more
    assert sorted(min(p, 4) for p in people) == [1] * 3 + [2] * 3 + [3] * 3 + [4] * 3
    assert summary.frames == len(COUNTS)
    assert any("found 8 of one person, 6 of two, 3 of three, 4 of four or more" in s for s in summary.skipped)
    kept = {i["file_name"] for i in content["images"]}
    assert {f"images/{f.relative_to(tmp_path / 'images')}" for f in tmp_path.rglob("images/*/*.png")} == kept


def test_the_labels_have_what_the_importer_of_cvat_insists_on(unbroken: dict[str, bytes]) -> None:
    """Its COCO reader (a fork of datumaro) refuses annotations without one of these, or of another type."""
    content = json.loads(unbroken["labels.json"])
    (category,) = content["categories"]
    joints = range(1, len(category["keypoints"]) + 1)
    assert category["name"] == "person" and {j for edge in category["skeleton"] for j in edge} == set(joints)
    kinds = {"id": int, "iscrowd": int, "keypoints": list, "segmentation": list, "bbox": list, "score": float}
    assert content["annotations"]
    for annotation in content["annotations"]:
        assert all(isinstance(annotation[key], kind) for key, kind in kinds.items())
        assert annotation["category_id"] == category["id"]


def test_a_balance_spreads_evenly_and_can_have_a_limit() -> None:
    people = [1] * 100 + [2] * 7 + [0] * 5 + [11] * 10
    kept = np.flatnonzero(list(Balance(people).kept(people)))
    of_one = kept[kept < 100]
    assert len(of_one) == 7 and set(np.diff(of_one)) <= {14, 15}
    assert list(kept[(kept >= 100) & (kept < 107)]) == list(range(100, 107))
    assert not set(kept) & set(range(107, 112)) and (kept >= 112).sum() == 7
    limited = Balance(people, most=3)
    assert limited.quota == 3 and sum(limited.kept(people)) == 9
    nobody = Balance([0, 0])
    assert list(nobody.kept([0, 0])) == [False, False]


def _frame(image: np.ndarray, name: str = "0", camera: str = "") -> RecordedFrame:
    return RecordedFrame(RgbdFrame(image.astype(np.uint8), None, None, stamp_ns=int(name) + 1), name, camera)


def _scene(noise: int, light: int = 0, moved: int = 0) -> np.ndarray:
    """Return noise about grey, light, and a bright block of 12 x 6 px that may have moved."""
    image = 90 + np.random.default_rng(noise).integers(-6, 7, (60, 80, 3))
    image[20:32, 10 + moved : 16 + moved] = 180
    return np.clip(image + light, 0, 255)


def test_noise_and_light_are_no_motion() -> None:
    still, noisy, brighter, moved = (_scene(*a).astype(np.uint8) for a in ((1,), (2,), (3, 30), (4, 0, 6)))
    assert moved_share(still, noisy, 12) == 0
    assert moved_share(still, brighter, 12) < 0.001
    assert moved_share(still, moved, 12) == pytest.approx(2 * 72 / 4800, abs=1e-3)


def test_motion_is_measured_from_the_last_frame_taken_of_each_camera() -> None:
    """Someone who creeps is seen at last; cameras do not disturb each other."""
    frames = [_frame(_scene(k, moved=k), str(k), f"cam{k % 2}") for k in range(12)]
    taken = [f.name for f in in_motion(iter(frames), 0.02, 12, (60, 80))]
    # A block of 12 rows that creeps 2 px a frame has changed 96 of 4800 px after two frames.
    assert taken == ["0", "1", "4", "5", "8", "9"]
    for_all = LabelOptions(motion=0.03, limit=4, every=2)
    left_out: dict[str, int] = {}
    assert [f.name for f in chosen_frames(iter(frames), for_all, left_out)] == ["0", "1", "8", "9"]
    assert left_out == {"between others": 4, "in which nothing moved": 2}


@pytest.mark.parametrize("cameras", [1, 2, 4])
def test_every_kth_frame_is_taken_of_each_camera(cameras) -> None:
    frames = [_frame(np.zeros((2, 2, 3)), str(k), f"cam{k % cameras}") for k in range(48)]
    taken = list(chosen_frames(iter(frames), LabelOptions(every=4)))
    assert len(taken) == 12
    assert {sum(f.camera == f"cam{c}" for f in taken) for c in range(cameras)} == {12 // cameras}


def test_labels_inside_of_the_folder_that_was_labelled_are_not_a_part_of_it(teacher, tmp_path) -> None:
    ward = write_images(tmp_path / "ward", [2, 1])
    label_recordings([ward], teacher, ward / "labels", LabelOptions(low_resolution_hw=(12, 16)))
    again = label_recordings([ward], teacher, tmp_path / "again", LabelOptions(low_resolution_hw=(12, 16)))
    assert again.frames == 2


@pytest.mark.parametrize(("size_hw", "mode"), [((12, 16), 0o755), ((120, 160), 0o700)])
def test_images_above_the_limit_are_for_their_owner_alone(size_hw, mode, teacher, tmp_path) -> None:
    ward, before = write_images(tmp_path / "ward", [2]), os.umask(0o022)
    try:
        options = LabelOptions(low_resolution_hw=size_hw, allow_full_resolution=True)
        label_recordings([ward], teacher, tmp_path / "out", options)
        write_review(tmp_path / "out")
    finally:
        os.umask(before)
    for folder in ("images", "review/images"):
        assert stat.S_IMODE((tmp_path / "out" / folder).stat().st_mode) == mode, folder


def test_frames_that_change_size_are_taken() -> None:
    frames = [_frame(np.zeros((h, 8, 3)), str(h)) for h in (8, 8, 6, 6)]
    assert [f.name for f in in_motion(iter(frames), 0.5, 12, (60, 80))] == ["8", "6"]


def test_a_moment_that_comes_twice_keeps_both_names() -> None:
    def at(stamp: int, camera: str) -> RecordedFrame:
        return RecordedFrame(
            RgbdFrame(np.zeros((2, 2, 3), np.uint8), None, None, "", stamp), str(stamp), camera
        )

    frames = [at(s, "a") for s in (5, 6, 6, 7, 5)] + [at(0, "b"), at(0, "b"), at(5, "c")]
    names = [(f.camera, f.name) for f in uniquely_named(iter(frames))]
    assert [n for _, n in names] == ["5", "6", "6_1", "7_1", "5_2", "0", "0", "5"]


def test_a_list_of_images_is_labelled_and_its_folder_is_not_written(teacher: Teacher, tmp_path: Path) -> None:
    ward = write_images(tmp_path / "ward", [2, 1])
    images = [{"id": k, "file_name": f"ward/{k:03d}.png", "height": 24, "width": 32} for k in range(3)]
    (ward / "001.png").write_bytes(b"no image")
    people = {"id": 1, "name": "person", "keypoints": list(COCO17.joints)}
    (tmp_path / "list.json").write_text(json.dumps({"images": images, "categories": [people]}))
    summary = label_recordings([tmp_path / "list.json"], teacher, tmp_path / "out")
    assert (summary.frames, summary.people) == (1, 2)
    assert any("001.png" in s and "no image or is damaged" in s for s in summary.skipped)
    for file in (tmp_path / "out").glob("*.json*"):
        assert str(tmp_path) not in file.read_text(), file


def test_a_recording_that_is_given_twice_is_refused(teacher: Teacher, tmp_path: Path) -> None:
    ward = write_images(tmp_path / "ward", [2])
    again = tmp_path / "again"
    again.symlink_to(ward)
    with pytest.raises(ValueError, match=r"expected each recording once, got .*ward, .*again"):
        label_recordings([ward, again], teacher, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_wrong_options_are_refused() -> None:
    for options, words in (({"motion": 0.0}, "share above 0"), ({"balance": -1}, "balance: expected 0")):
        with pytest.raises(ValueError, match=words):
            LabelOptions(**options)


def test_the_command_line_has_defaults_for_both() -> None:
    args = build_parser().parse_args(
        ["label", "x", "--out", "y", "--keypoints", "z", "--balance", "--motion"]
    )
    assert (args.balance, args.motion, args.motion_step) == (0, 0.01, LabelOptions().motion_step)


def test_killed_after_any_batch_it_comes_out_byte_for_byte(
    sources: list[Path], teacher: Teacher, unbroken: dict[str, bytes], tmp_path: Path
) -> None:
    batches = sum(b'"batch"' in line for line in unbroken["journal.jsonl"].splitlines()[1:])
    assert batches == 15 and sum(name.startswith("images") for name in unbroken) > 8
    for killed_after in (1, 2, 4, 6, 7, 9, 12, 14, 15):  # in each recording, and at its end
        out = tmp_path / str(killed_after)
        calls: Iterator[int] = iter(range(killed_after - 1))

        def kill(done: int, total: int, calls: Iterator[int] = calls) -> None:
            if next(calls, None) is None:
                raise _Killed

        with pytest.raises(_Killed):
            label_recordings(sources, teacher, out, PICKED, kill)
        with (out / "journal.jsonl").open("a") as file:
            file.write('{"recording": 0, "batch": 3, "fra')
        label_recordings(sources, teacher, out, PICKED)
        assert files(out) == unbroken, killed_after


def test_killed_while_results_are_written_it_comes_out_byte_for_byte(
    sources: list[Path], teacher: Teacher, unbroken: dict[str, bytes], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    def killed(*args: object) -> None:
        raise _Killed

    for step in ("orpose_core.labelling.results.write_label_sheet", "pathlib.Path.unlink"):
        with monkeypatch.context() as patch, pytest.raises(_Killed):
            if step.endswith("unlink"):  # the images that balance leaves out are being removed
                patch.setattr("orpose_core.labelling.labelling.remove_unlisted", killed)
            else:
                patch.setattr(step, killed)
            label_recordings(sources, teacher, tmp_path, PICKED)
    label_recordings(sources, teacher, tmp_path, PICKED)
    assert files(tmp_path) == unbroken


@dataclass(frozen=True)
class Together:
    """Threads as the processes of a group."""

    rank: int
    world: int
    barrier: threading.Barrier

    def wait_for_all(self) -> None:
        self.barrier.wait(timeout=60)


@dataclass(frozen=True)
class NeverWaits:
    """One of several processes whose fellows are slow and soon killed."""

    rank: int
    world: int

    def wait_for_all(self) -> None:
        pass


def label_together(world: int, sources: list[Path], teacher: Teacher, out: Path) -> list[object]:
    """Label with a thread per rank and return their summaries."""
    barrier = threading.Barrier(world)

    def work(rank: int) -> object:
        try:
            group: Group = Together(rank, world, barrier)
            return label_recordings(sources, teacher, out, PICKED, None, group)
        except BaseException:
            barrier.abort()
            raise

    with ThreadPoolExecutor(world) as pool:
        threads = [pool.submit(work, rank) for rank in range(world)]
    errors = [e for e in (t.exception() for t in threads) if e is not None]
    for error in errors:  # of those that waited for the broken one only if there is no other
        if not isinstance(error, threading.BrokenBarrierError):
            raise error
    return [thread.result() for thread in threads]


def batches_by_rank(out: Path) -> list[int]:
    """How many batches each journal has, rank 0's first."""
    found = [out / "journal.jsonl", *sorted(out.glob("journal.*.jsonl"))]
    return [f.read_text().count('"batch"') - 1 for f in found]  # the header has the word too


@pytest.mark.parametrize("world", [2, 5])
def test_several_ranks_write_the_files_of_one(
    sources: list[Path], teacher: Teacher, unbroken: dict[str, bytes], tmp_path: Path, world: int
) -> None:
    summaries = label_together(world, sources, teacher, tmp_path)
    assert files(tmp_path) == unbroken
    assert summaries[0] is not None and all(s == summaries[0] for s in summaries)


def test_after_killed_ranks_another_number_goes_on(
    sources: list[Path], teacher: Teacher, unbroken: dict[str, bytes], tmp_path: Path
) -> None:
    calls = iter(range(2))

    def kill(done: int, total: int) -> None:
        if next(calls, None) is None:
            raise _Killed

    # Rank 0 of 3 dies after its third batch, rank 2 comes to its end, rank 1 never began.
    with pytest.raises(_Killed):
        label_recordings(sources, teacher, tmp_path, PICKED, kill, NeverWaits(0, 3))
    with pytest.raises(ValueError, match="expected the report of rank 0, but it broke off"):
        label_recordings(sources, teacher, tmp_path, PICKED, None, NeverWaits(2, 3))
    assert batches_by_rank(tmp_path) == [3, 4]
    with (tmp_path / "journal.2.jsonl").open("a") as file:
        file.write('{"recording": 2, "ba')
    label_together(2, sources, teacher, tmp_path)
    assert files(tmp_path) == unbroken


def test_after_killed_ranks_a_single_process_goes_on(
    sources: list[Path], teacher: Teacher, unbroken: dict[str, bytes], tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match="the same frames in every process"):
        label_recordings(sources, teacher, tmp_path, PICKED, None, NeverWaits(0, 2))
    assert batches_by_rank(tmp_path) == [8]
    label_recordings(sources, teacher, tmp_path, PICKED)
    assert files(tmp_path) == unbroken


def test_two_runs_do_not_write_into_one_folder(sources: list[Path], teacher: Teacher, tmp_path: Path) -> None:
    def second(done: int, total: int) -> None:
        label_recordings(sources, teacher, tmp_path, PICKED)

    with pytest.raises(ValueError, match="another process is writing labels into this folder"):
        label_recordings(sources, teacher, tmp_path, PICKED, second)


class _JustBeginning(io.BytesIO):
    """A file whose header arrives right after its first line was looked for."""

    def readline(self, size: int | None = -1, /) -> bytes:
        return b"" if self.tell() == 0 else super().readline(size)


def test_the_header_of_a_rank_that_is_just_beginning_is_no_entry(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = Journal(tmp_path / "journal.jsonl", {"options": 1})
    journal.add({"recording": 0, "batch": 0, "frames": [{}, {}]})
    other = tmp_path / "journal.1.jsonl"
    other.write_text('{"options": 1}\n')
    opened, content = Path.open, other.read_bytes()

    def open_(path: Path, *args: str, **more: str) -> IO[Any]:
        return _JustBeginning(content) if path == other else opened(path, *args, **more)

    monkeypatch.setattr(Path, "open", open_)
    assert list(journal.done()) == [0]
    assert journal.done()[0].frames == 2


def test_a_journal_of_another_rank_and_other_settings_is_refused(tmp_path: Path) -> None:
    Journal(tmp_path / "journal.jsonl", {"options": 1})
    (tmp_path / "journal.3.jsonl").write_text('{"options": 2}\n')
    with pytest.raises(ValueError, match=r"journal\.3\.jsonl: of a run with other settings \(options\)"):
        Journal(tmp_path / "journal.jsonl", {"options": 1})
