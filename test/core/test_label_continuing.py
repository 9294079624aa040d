"""A labelling run that was killed comes out as one that was not; two do not share a folder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from label_runs import PICKED, Killed, files

from orpose_core.labelling.labelling import label_recordings
from orpose_core.teacher.teacher import Teacher


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
                raise Killed

        with pytest.raises(Killed):
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
        raise Killed

    for step in ("orpose_core.labelling.results.write_label_sheet", "pathlib.Path.unlink"):
        with monkeypatch.context() as patch, pytest.raises(Killed):
            if step.endswith("unlink"):  # the images that balance leaves out are being removed
                patch.setattr("orpose_core.labelling.labelling.remove_unlisted", killed)
            else:
                patch.setattr(step, killed)
            label_recordings(sources, teacher, tmp_path, PICKED)
    label_recordings(sources, teacher, tmp_path, PICKED)
    assert files(tmp_path) == unbroken


def test_two_runs_do_not_write_into_one_folder(sources: list[Path], teacher: Teacher, tmp_path: Path) -> None:
    def second(done: int, total: int) -> None:
        label_recordings(sources, teacher, tmp_path, PICKED)

    with pytest.raises(ValueError, match="another process is writing labels into this folder"):
        label_recordings(sources, teacher, tmp_path, PICKED, second)
