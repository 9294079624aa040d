"""A labelling run for the tests of labelling, made once for each of their files."""

from __future__ import annotations

from pathlib import Path

import pytest
from label_runs import COUNTS, PICKED, CountReader, MiddleOfBox, files, write_images, write_troubled_bag

from orpose_core.labelling.labelling import label_recordings
from orpose_core.teacher.teacher import PseudoLabelConfig, Teacher


@pytest.fixture(scope="module")
def teacher() -> Teacher:
    return Teacher(CountReader(), MiddleOfBox(), None, PseudoLabelConfig())


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    root = tmp_path_factory.mktemp("pictures")
    first, second = write_images(root / "one", COUNTS), write_images(root / "two", COUNTS[::-1])
    (second / "005.png").write_bytes(b"no image")
    bag = write_troubled_bag(root / "bag")
    (whole,) = bag.glob("*.mcap")
    (root / "cut.mcap").write_bytes(whole.read_bytes()[: whole.stat().st_size * 7 // 10])
    return [first, root / "missing", second, bag, root / "cut.mcap"]


@pytest.fixture(scope="module")
def unbroken(
    sources: list[Path], teacher: Teacher, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, bytes]:
    out = tmp_path_factory.mktemp("unbroken")
    label_recordings(sources, teacher, out, PICKED)
    return files(out)
