"""Where numba caches when nothing usual can be written."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from orpose_core.compile_cache import choose_compile_cache

NOWHERE = Path(__file__) / "no" / "such"  # below a file nothing can be made


def test_the_usual_places_are_left_alone(tmp_path: Path) -> None:
    for package, more in (
        (tmp_path, {}),
        (NOWHERE, {"XDG_CACHE_HOME": str(tmp_path / "made" / "later")}),
        (NOWHERE, {"NUMBA_CACHE_DIR": "/mine"}),
    ):
        environment = {"XDG_CACHE_HOME": str(NOWHERE), **more}
        before = dict(environment)
        choose_compile_cache(package, environment)
        assert environment == before


def test_a_machine_on_which_nothing_can_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    chosen = []
    for _ in range(2):
        environment = {"XDG_CACHE_HOME": str(NOWHERE)}
        choose_compile_cache(NOWHERE, environment)
        chosen.append(environment["NUMBA_CACHE_DIR"])
    assert chosen[0] == chosen[1] == str(tmp_path / f"orpose-compiled-{os.getuid()}")
    Path(chosen[0]).chmod(0o777)  # somebody else could have put code into it
    choose_compile_cache(NOWHERE, environment := {"XDG_CACHE_HOME": str(NOWHERE)})
    assert environment["NUMBA_CACHE_DIR"] != chosen[0]
    assert Path(environment["NUMBA_CACHE_DIR"]).stat().st_mode & 0o077 == 0
