"""Files of lines that only grow, such as the journal of a run that can be resumed."""

from __future__ import annotations

import os
from pathlib import Path
from typing import BinaryIO

_CHUNK = 1 << 16


class LineLog:
    """A file of UTF-8 lines, each of which is there as a whole or not at all.

    A line that cannot be written whole, because the disk is full, is taken off again. The part of a line that
    a kill left is taken off before the next one is added, so that the two are never joined.

    Args:
        path: of the file. It and its folder are made where they are missing.
    """

    def __init__(self, path: str | os.PathLike) -> None:
        self.path = Path(path)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.touch()

    def cut(self) -> int:
        """Take an unfinished last line off, and return how many bytes are left."""
        with self.path.open("r+b") as file:
            return _cut_to_whole_lines(file)

    def append(self, *lines: str, durable: bool = False) -> None:
        """Add lines, all of them or none.

        Args:
            lines: without their ends.
            durable: flush them to the disk, so that they also survive a loss of power.

        Raises:
            OSError: they could not be written; names the file.
        """
        data = memoryview("".join(f"{line}\n" for line in lines).encode())
        with self.path.open("r+b", buffering=0) as file:
            start = _cut_to_whole_lines(file)
            file.seek(start)
            try:
                while data:
                    data = data[file.write(data) :]
                if durable:
                    os.fsync(file.fileno())
            except BaseException as error:
                file.truncate(start)
                if isinstance(error, OSError):
                    error.filename = error.filename or str(self.path)
                raise


def _cut_to_whole_lines(file: BinaryIO) -> int:  # a raw file, too
    size = end = file.seek(0, os.SEEK_END)
    while end > 0:
        start = max(0, end - _CHUNK)
        file.seek(start)
        newline = file.read(end - start).rfind(b"\n")
        end = start if newline < 0 else start + newline + 1
        if newline >= 0:
            break
    if end < size:
        file.truncate(end)
    return end
