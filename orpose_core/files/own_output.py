"""Folders of images that orpose wrote itself, which are never read as somebody's recording."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from orpose_core.files.atomic import write_text

MARK = ".orpose_output"
_LONGEST_STEM = 180  # bytes; leaves room for endings and temporary names


def mark_own_output(folder: str | os.PathLike, command: str) -> None:
    """Make a folder, and mark it as output of a command."""
    path = Path(folder) / MARK
    if not path.is_file():
        write_text(path, f"Written by orpose {command}. A recording around this folder is read without it.\n")


def is_own_output(folder: str | os.PathLike) -> bool:
    """Whether a folder is marked as output."""
    return (Path(folder) / MARK).is_file()


def file_name(name: str, ending: str) -> str:
    """Return a file name that every file system takes: one that is too long is cut and gets a hash.

    Args:
        name: without slashes.
        ending: with its dot.
    """
    encoded = os.fsencode(name)
    if len(encoded) > _LONGEST_STEM:
        digest = hashlib.sha256(encoded).hexdigest()[:12]
        name = f"{encoded[: _LONGEST_STEM - 13].decode(errors='ignore')}_{digest}"
    return name + ending
