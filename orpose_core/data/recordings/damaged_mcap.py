"""MCAP files that were never closed: a recorder was killed, a disk ran full, a copy broke off.

Such a file has no index at its end, without which `rosbags` refuses it, but its records are whole up to some
point. :class:`RepairedMcap` looks like the path of the same file, cut after the last whole record and closed
with an empty footer, so that it is read from front to back.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import BinaryIO

_MAGIC = b"\x89MCAP0\r\n"
_DATA_END, _FOOTER = 0x0F, 0x02
_EMPTY_FOOTER = bytes([_FOOTER]) + (20).to_bytes(8, "little") + bytes(20) + _MAGIC


class RepairedMcap:
    """The path of an MCAP file that opens as if it had been closed.

    Args:
        path: of the file.

    Raises:
        ValueError: the file does not begin as MCAP files do.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._end = _end_of_records(path)

    @property
    def suffix(self) -> str:
        """Ending of the file's name."""
        return self._path.suffix

    @property
    def name(self) -> str:
        """The file's name."""
        return self._path.name

    def exists(self) -> bool:
        """Whether the file is there."""
        return self._path.exists()

    def is_dir(self) -> bool:
        """Never."""
        return False

    def open(self, mode: str = "rb") -> BinaryIO:
        """Open for reading."""
        return io.BufferedReader(_WithFooter(self._path.open("rb"), self._end))

    def __str__(self) -> str:
        return str(self._path)


class _WithFooter(io.RawIOBase):
    """The first ``end`` bytes of a file, and an empty footer."""

    def __init__(self, file: BinaryIO, end: int) -> None:
        self._file, self._end, self._at = file, end, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        size = self._end + len(_EMPTY_FOOTER)
        self._at = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: size}[whence]
        return self._at

    def tell(self) -> int:
        return self._at

    def readinto(self, buffer) -> int:  # type: ignore[no-untyped-def,override]
        if self._at < self._end:
            self._file.seek(self._at)
            data = self._file.read(min(len(buffer), self._end - self._at))
        else:
            data = _EMPTY_FOOTER[self._at - self._end :][: len(buffer)]
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)

    def close(self) -> None:
        self._file.close()
        super().close()


def _end_of_records(path: Path) -> int:
    """Return where the data section's last whole record ends."""
    size = path.stat().st_size
    with path.open("rb") as file:
        if file.read(8) != _MAGIC:
            raise ValueError(f"{path}: expected an MCAP file, got one that begins differently")
        end = 8
        while True:
            head = file.read(9)
            if len(head) < 9 or head[0] in (_DATA_END, _FOOTER):
                return end
            following = end + 9 + int.from_bytes(head[1:], "little")
            if following > size:
                return end
            file.seek(following)
            end = following
