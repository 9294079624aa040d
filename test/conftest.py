"""Fixtures that every test may use."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent


def realdata_folder() -> Path:
    """Where the real recordings are: $ORPOSE_REALDATA, or shared/realdata beside the checkout."""
    return Path(os.environ.get("ORPOSE_REALDATA", REPOSITORY.parent / "shared" / "realdata"))


@pytest.fixture(scope="session")
def realdata() -> Path:
    """The folder of real recordings; the test is skipped, saying so, where it is absent."""
    folder = realdata_folder()
    if not folder.is_dir():
        pytest.skip(f"no real recordings at {folder} (set ORPOSE_REALDATA)")
    return folder


@pytest.fixture(autouse=True)
def processes_end_with_their_test(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Kill what a failed test leaves: a node that stays would be in the graph of every later test."""
    begun = []
    begin = subprocess.Popen.__init__

    def recorded(self: subprocess.Popen[Any], *arguments: Any, **options: Any) -> None:
        begin(self, *arguments, **options)
        begun.append(self)

    monkeypatch.setattr(subprocess.Popen, "__init__", recorded)
    yield
    for process in begun:
        if process.poll() is None:
            process.kill()
            process.wait()
