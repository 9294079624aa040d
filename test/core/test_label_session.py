"""Labelling message by message: what was missed, and what a second session makes of it."""

from __future__ import annotations

import json
import resource
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from orpose_core.data.image_messages import encode_color, encode_depth, encode_intrinsics
from orpose_core.data.recordings.camera_streams import CameraTopics
from orpose_core.labelling.options import LabelOptions
from orpose_core.labelling.session import Heard, LabelSession
from orpose_core.labelling.stamp_gaps import Gap, StampGaps
from orpose_core.teacher.loading import teacher_of
from orpose_core.teacher.teacher import Teacher
from orpose_core.types import Intrinsics

COLOR, DEPTH, INFO = "/door/color/image_raw", "/door/depth/image_raw", "/door/camera_info"
DOOR = CameraTopics("/door", COLOR, DEPTH, INFO)
STEP_NS = 100_000_000
OPTIONS = LabelOptions(batch=2)


@pytest.fixture(scope="module")
def teacher() -> Teacher:
    return teacher_of(
        "untrained:fasterrcnn_mobilenet_v3_large_320_fpn",
        None,
        "untrained:pose_hrnet_w4_64x64",
        None,
        min_score=0.9,
        flip=False,
        device="cpu",
    )


def stamp(k: int) -> int:
    return 10**12 + k * STEP_NS


def message(k: int, fields: dict[str, Any]) -> SimpleNamespace:
    header = SimpleNamespace(
        stamp=SimpleNamespace(sec=stamp(k) // 10**9, nanosec=stamp(k) % 10**9), frame_id="c"
    )
    return SimpleNamespace(header=header, **fields)


def color(k: int, there: bool = True) -> Heard:
    rgb = np.full((24, 32, 3), 10 * k % 256, np.uint8)
    return Heard(COLOR, stamp(k), message(k, encode_color(rgb)) if there else None)


def depth(k: int) -> Heard:
    return Heard(DEPTH, stamp(k), message(k, encode_depth(np.full((24, 32), 2.0, np.float32))))


def info(k: int) -> Heard:
    return Heard(INFO, stamp(k), message(k, encode_intrinsics(Intrinsics(30.0, 30.0, 15.5, 11.5, 32, 24))))


def session(out: Path, teacher: Teacher, **settings: Any) -> LabelSession:
    options = settings.pop("options", OPTIONS)
    return LabelSession("live", [DOOR], teacher, out, options, **settings)


def label(out: Path, teacher: Teacher, *events: Heard, **settings: Any) -> dict[str, Any]:
    """Run one session to its end and return its report."""
    one = session(out, teacher, **settings)
    for _ in one.run(events):
        pass
    one.write()
    one.close()
    return json.loads((out / "report.json").read_text())


def images(out: Path) -> list[dict[str, Any]]:
    return json.loads((out / "labels.json").read_text())["images"]


def files(folder: Path) -> dict[str, bytes]:
    return {str(f.relative_to(folder)): f.read_bytes() for f in folder.rglob("*") if f.is_file()}


def test_the_order_of_arrival_of_different_topics_changes_nothing(teacher: Teacher, tmp_path: Path) -> None:
    in_turn = [e for k in range(5) for e in (info(k), color(k), depth(k))]
    late = [*map(color, range(5)), *map(depth, range(5)), *map(info, range(5))]
    label(tmp_path / "a", teacher, *in_turn)
    label(tmp_path / "b", teacher, *late)
    assert files(tmp_path / "a") == files(tmp_path / "b")
    assert all("intrinsics" in image and "depth_file_name" in image for image in images(tmp_path / "a"))


@pytest.mark.parametrize("batches", [1, 2])
def test_a_session_that_was_killed_is_taken_up_by_a_replay_to_the_same_bytes(
    teacher: Teacher, tmp_path: Path, batches: int
) -> None:
    broken = encode_color(np.zeros((24, 32, 3), np.uint8)) | {"encoding": "yuv422"}
    bad = Heard(COLOR, stamp(1), message(1, broken))
    events = [info(0), *(e for k in range(6) for e in (bad if k == 1 else color(k), depth(k)))]
    label(tmp_path / "whole", teacher, *events)
    killed = session(tmp_path / "killed", teacher)
    for number, _ in enumerate(killed.run(events), start=1):
        if number == batches:
            break
    killed.close()
    with (tmp_path / "killed" / "journal.jsonl").open("a") as journal:
        journal.write('{"recording": 0, "frames": [{"ima')  # what a kill in the midst of writing leaves
    told = label(tmp_path / "killed", teacher, *events)
    assert files(tmp_path / "killed") == files(tmp_path / "whole")
    assert told["frames"] == 5 and len(told["skipped"]) == 1 and "yuv422" in told["skipped"][0]


def test_what_was_missed_is_no_longer_missed_once_it_came(teacher: Teacher, tmp_path: Path) -> None:
    heard = [k for k in range(16) if k not in (9, 10, 13)]
    events = [info(0), *(color(k, there=k not in (3, 4)) for k in heard)]
    told = label(tmp_path, teacher, *events)
    assert told["missed"] == {"/door": {"dropped": 2, "never_came": 3}} and told["frames"] == 11
    told = label(tmp_path, teacher, info(0), *(color(k) for k in range(13)))
    assert told["missed"] == {"/door": {"dropped": 0, "never_came": 1}} and told["frames"] == 15


def test_a_limit_counts_earlier_sessions_and_what_comes_after_it_is_not_missed(
    teacher: Teacher, tmp_path: Path
) -> None:
    options = LabelOptions(batch=2, limit=3)
    label(tmp_path, teacher, info(0), color(0), color(1), options=options)
    events = [info(0), *(e for k in range(12) for e in (color(k, there=k < 6), depth(k)))]
    told = label(tmp_path, teacher, *events, options=options)
    assert told["frames"] == 3 and told["missed"]["/door"] == {"dropped": 0, "never_came": 0}


def test_without_depth_or_camera_info_frames_wait_only_for_so_many_others(
    teacher: Teacher, tmp_path: Path
) -> None:
    said: list[str] = []
    one = session(tmp_path, teacher, most_waiting=4, skipped=lambda source, why: said.append(why))
    ran: list[int] = []

    def events() -> Iterator[Heard]:
        for k in range(8):
            yield color(k)
            ran.append(one.frames)

    for _ in one.run(events()):
        pass
    assert ran == [0, 0, 0, 0, 0, 2, 2, 4] and one.frames == 8
    assert said == ["no depth within 0.05 s"] * 8
    one.write()
    assert "intrinsics" not in images(tmp_path)[0]


def test_folders_of_another_kind_and_names_unfit_are_refused(teacher: Teacher, tmp_path: Path) -> None:
    one = session(tmp_path, teacher)
    with pytest.raises(ValueError, match="another process"):
        session(tmp_path, teacher)
    one.close()
    with pytest.raises(ValueError, match=r"other settings \(cameras\)"):
        LabelSession("live", [CameraTopics("/bed", "/bed/color/image_raw")], teacher, tmp_path, OPTIONS)
    for name in ("", "..", "a/b", ".hidden"):
        with pytest.raises(ValueError, match="fit for a folder"):
            LabelSession(name, [DOOR], teacher, tmp_path / "other", OPTIONS)
    with pytest.raises(ValueError, match="different names"):
        LabelSession("live", [DOOR, DOOR], teacher, tmp_path / "other", OPTIONS)


def gaps(stamps: list[int]) -> list[Gap]:
    found = StampGaps()
    return [gap for stamp_ns in stamps for gap in found.add(stamp_ns)] + found.settle()


def test_gaps_in_stamps() -> None:
    rng = np.random.default_rng(0)
    steady = [stamp(k) + int(rng.integers(-STEP_NS // 10, STEP_NS // 10)) for k in range(200)]
    assert gaps(steady) == []
    assert gaps([]) == gaps(steady[:1]) == []
    there = [k for k in range(200) if not 2 <= k < 4 and not 50 <= k < 90]
    assert [gap.missing for gap in gaps([steady[k] for k in there])] == [2, 40]
    # Most are lost, by chance: the period is still found, as some neighbours come.
    few = sorted(rng.choice(np.arange(1, 199), 80, replace=False).tolist())
    assert sum(gap.missing for gap in gaps([stamp(k) for k in (0, *few, 199)])) == 118
    # The clock jumps back, as where a bag begins again, and a message is a little late.
    assert gaps([*map(stamp, range(30)), *map(stamp, range(30))]) == []
    assert gaps([stamp(k) for k in (*range(10), 11, 10, 12, 13)]) == [Gap(stamp(9), stamp(11), 1)]


def test_a_session_whose_journal_is_damaged_lets_the_folder_go(teacher: Teacher, tmp_path: Path) -> None:
    one = session(tmp_path, teacher)
    list(one.run([color(0), depth(0)]))
    one.close()
    journal = tmp_path / "journal.jsonl"
    whole = journal.read_text()
    journal.write_text(whole + "{\n")
    with pytest.raises(ValueError, match=r"journal\.jsonl: line \d is damaged") as held:
        session(tmp_path, teacher)
    journal.write_text(whole)
    session(tmp_path, teacher).close()
    assert held.value.__traceback__ is not None  # keeps the refused session alive, and not its lock


def test_frames_that_a_full_disk_kept_out_may_come_again(teacher: Teacher, tmp_path: Path) -> None:
    events = [event for k in range(6) for event in (color(k), depth(k))]
    whole = session(tmp_path / "whole", teacher)
    list(whole.run(events))
    whole.write()
    whole.close()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    for most_bytes in (60, (tmp_path / "whole" / "journal.jsonl").stat().st_size - 10):
        one = session(tmp_path / "full", teacher) if most_bytes > 60 else session(tmp_path / "none", teacher)
        resource.setrlimit(resource.RLIMIT_FSIZE, (most_bytes, hard))
        try:
            with pytest.raises(OSError, match="File too large"):
                list(one.run(events))
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        list(one.run(events))
        assert one.frames == 6
        one.write()
        one.close()
    for name in ("full", "none"):
        assert images(tmp_path / name) == images(tmp_path / "whole")
        assert {f.name for f in (tmp_path / name).rglob("*")} == {
            f.name for f in (tmp_path / "whole").rglob("*")
        }
