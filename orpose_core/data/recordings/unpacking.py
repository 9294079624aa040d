"""Unpacked copies of compressed bag files, and bag files whose ending `rosbags` does not know.

Nothing of a recording may stay behind on a disk. The unpacked copy of a file has no name in any folder:
nobody else can open it, and the system frees it when this process ends, however it ends. Of a recording in
many parts, one is unpacked at a time.
"""

from __future__ import annotations

import io
import os
import shutil
import sys
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryFile, gettempdir
from typing import Any, BinaryIO

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd  # rosbags needs it, too

PACKED = (".zstd", ".zst")


class PlainFile:
    """The path of a bag file as `rosbags` knows it: its ending in small letters.

    Args:
        path: of the file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.suffix, self.stem, self.name = path.suffix.lower(), path.stem, path.name

    def exists(self) -> bool:
        """Whether the file is there."""
        return self._path.exists()

    def is_dir(self) -> bool:
        """Never."""
        return False

    def open(self, mode: str = "rb") -> BinaryIO:
        """Open for reading."""
        return self._path.open("rb")

    def stat(self) -> os.stat_result:
        """Return what the system knows of the file."""
        return self._path.stat()

    def __str__(self) -> str:
        return str(self._path)


class UnpackedFile(PlainFile):
    """The path of the unpacked copy of a file; the copy is gone once this is closed.

    Args:
        path: of the packed file.

    Raises:
        OSError: it cannot be read, or the folder of temporary files is full.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(Path(path.stem))
        self._packed = path
        self._copy = TemporaryFile(buffering=0)  # noqa: SIM115  (until close)
        try:
            with path.open("rb") as packed, zstd.open(packed, "rb") as source:
                shutil.copyfileobj(source, self._copy, 1 << 20)
        except OSError as error:
            self._copy.close()
            if error.filename is None:  # of writing, such as a full disk
                raise OSError(error.errno, f"{error.strerror} for its unpacked copy", gettempdir()) from error
            raise
        except BaseException:
            self._copy.close()
            raise

    def exists(self) -> bool:
        """Whether the file is there."""
        return not self._copy.closed

    def open(self, mode: str = "rb") -> BinaryIO:
        """Open for reading."""
        return io.BufferedReader(_Reading(self._copy.fileno()))

    def stat(self) -> os.stat_result:
        """Return what the system knows of the copy."""
        return os.fstat(self._copy.fileno())

    def close(self) -> None:
        """Give the space back."""
        self._copy.close()

    def __str__(self) -> str:
        return str(self._packed)


class _Reading(io.RawIOBase):
    """A place in an open file that others read, too."""

    def __init__(self, file: int) -> None:
        self._file, self._at = file, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        size = os.fstat(self._file).st_size
        self._at = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: size}[whence]
        return self._at

    def tell(self) -> int:
        return self._at

    def readinto(self, buffer) -> int:  # type: ignore[no-untyped-def,override]
        count = os.preadv(self._file, [buffer], self._at)
        self._at += count
        return count


Open = Callable[[UnpackedFile, ExitStack], Any]
"""Opens a reader of `rosbags` that the stack closes."""


class OneUnpacked:
    """Keeps the reader of one packed file open: the one that was asked for last."""

    def __init__(self) -> None:
        self._stack, self._of, self._reader = ExitStack(), Path(), None

    def reader(self, path: Path, open_: Open) -> Any:
        """Return the reader of a packed file; that of another one is closed, and its copy is gone."""
        if self._reader is None or self._of != path:
            self.close()
            with ExitStack() as stack:
                file = UnpackedFile(path)
                stack.callback(file.close)
                self._reader, self._of = open_(file, stack), path
                self._stack = stack.pop_all()
        return self._reader

    def close(self) -> None:
        """Close the reader, and give the space of the copy back."""
        self._reader = None
        self._stack.close()
