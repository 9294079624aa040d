"""Fixtures that every test may use."""

from __future__ import annotations

import os
from pathlib import Path

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
