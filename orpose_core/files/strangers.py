"""Files that are something else than their name says, because of how they were fetched."""

from __future__ import annotations

import os
from pathlib import Path

_LFS = b"version https://git-lfs"
_PAGES = (b"<!doctype html", b"<html", b"<?xml")


def stranger(path: str | os.PathLike) -> str | None:
    """Return what a file is instead of what its name says, and what to do; None = nothing of the kind."""
    try:
        with Path(path).open("rb") as file:
            head = file.read(512)
    except OSError:
        return None
    if not head:
        return "it is empty: fetch it again"
    if head.startswith(_LFS):
        return "it is a pointer of Git LFS, not the file itself: run `git lfs pull`"
    if head.lstrip().lower().startswith(_PAGES):
        return "it is a web page, not the file itself: the link leads to a page with the download"
    return None


def refuse_stranger(path: str | os.PathLike, wanted: str) -> None:
    """Raise ValueError, naming the file and what was wanted, if it is something else (:func:`stranger`)."""
    instead = stranger(path)
    if instead is not None:
        raise ValueError(f"{path}: expected {wanted}, but {instead}")
