"""Where numba caches when nothing usual can be written, and that nothing outdated is used."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from orpose_core.compile_cache import choose_compile_cache, forget_outdated

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


def test_a_changed_constant_of_another_module_is_compiled_again(tmp_path: Path) -> None:
    """Numba itself would go on with the old one: it looks at the file of the function alone."""
    room = tmp_path / "package" / "room"
    room.mkdir(parents=True)
    for folder in (room.parent, room):
        (folder / "__init__.py").touch()
    (room / "kernel.py").write_text(
        "from numba import njit\nfrom package.room.size import SIZE\n\n"
        "@njit(cache=True)\ndef size():\n    return SIZE\n"
    )

    def found() -> str:
        program = "from package.room.kernel import size; print(size())"
        environment = os.environ | {"PYTHONPATH": str(tmp_path), "PYTHONDONTWRITEBYTECODE": "1"}
        environment.pop("NUMBA_CACHE_DIR", None)
        return subprocess.check_output([sys.executable, "-c", program], env=environment, text=True).strip()

    (room / "size.py").write_text("SIZE = 1\n")
    assert found() == "1"
    (room / "size.py").write_text("SIZE = 2\n")
    assert found() == "1", "numba tells by itself that a constant of another module has changed"
    forget_outdated(room.parent)
    assert found() == "2"
    compiled = {f: f.stat().st_mtime_ns for f in room.rglob("*.nbi")}
    forget_outdated(room.parent)
    assert compiled == {f: f.stat().st_mtime_ns for f in room.rglob("*.nbi")}, "what is up to date stays"
