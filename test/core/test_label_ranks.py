"""Several processes label one recording, each its share, and their journals are one."""

from __future__ import annotations

import io
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import pytest
from label_runs import PICKED, Killed, files

from orpose_core.labelling.journal import Journal
from orpose_core.labelling.labelling import Group, label_recordings
from orpose_core.teacher.teacher import Teacher


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
            raise Killed

    # Rank 0 of 3 dies after its third batch, rank 2 comes to its end, rank 1 never began.
    with pytest.raises(Killed):
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
