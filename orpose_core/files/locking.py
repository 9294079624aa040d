"""Locks that keep a second process out of a folder or file."""

from __future__ import annotations

import fcntl
from pathlib import Path
from typing import IO


def lock_alone(file: int | IO, path: Path, doing: str) -> None:
    """Lock an open file or folder until it is closed or this process ends.

    Args:
        file: it, or its descriptor.
        path: what the error names.
        doing: what a process that holds the lock does, such as "training in this folder".

    Raises:
        ValueError: another process holds the lock.
    """
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise ValueError(f"{path}: another process is {doing}") from None
