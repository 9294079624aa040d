"""The one way to write a file: under a temporary name beside it, which replaces it once all is written."""

from __future__ import annotations

import errno
import itertools
import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_MARK = ".orpose-tmp-"
_TEMPORARY = re.compile(re.escape(_MARK) + r"\d+-\d+(\.\w+)*$")
_LONGEST_NAME = 255  # bytes; the limit of common file systems
_OF_WRITING = {
    getattr(errno, name)
    for name in ("ENOSPC", "EDQUOT", "EFBIG", "EIO", "EROFS", "ESTALE", "ENODEV", "ENXIO")
    if hasattr(errno, name)
}
"""What writing to a file that is open fails with; such errors name no file."""
_numbers = itertools.count()


@contextmanager
def replacing(path: str | os.PathLike, *, durable: bool = False) -> Iterator[Path]:
    """Give a temporary path to write to, and let it replace ``path`` when the block ends.

    The temporary path lies in the same folder and has the same ending. Whatever goes wrong, ``path`` keeps
    its old content, and the temporary file is removed; one that a kill leaves behind is found by
    :func:`remove_temporaries`. A file that is replaced keeps its permissions, and nobody else can read the
    new content on its way there.

    An OSError of the block is the file's own where it names the temporary file, or names no file and is one
    that writing gives, such as a full disk. It then names ``path``. All others, of a connection or of another
    file, leave the block as they are.

    Args:
        path: of the file. Missing folders are made.
        durable: flush the file to the disk first, so that it also survives a loss of power.

    Raises:
        OSError: the file could not be written; names ``path``.
    """
    path = Path(path)
    temporary = _temporary_beside(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        mode = _mode_of(path)
        if mode is not None:
            os.close(os.open(temporary, os.O_CREAT | os.O_EXCL, 0o600))
        yield temporary
        if durable:
            with temporary.open("rb") as file:
                os.fsync(file.fileno())
        if mode is not None:
            temporary.chmod(mode)
        temporary.replace(path)
    except BaseException as error:
        temporary.unlink(missing_ok=True)
        reason = _os_error(error)
        if reason is None or not _is_of_file(reason, temporary):
            raise
        raise OSError(reason.errno, reason.strerror or str(reason), str(path)) from error


def write_bytes(path: str | os.PathLike, content: bytes, *, durable: bool = False) -> None:
    """Write a file, all or nothing (see :func:`replacing`)."""
    with replacing(path, durable=durable) as temporary:
        temporary.write_bytes(content)


def write_text(path: str | os.PathLike, content: str, *, durable: bool = False) -> None:
    """Write a UTF-8 file, all or nothing (see :func:`replacing`)."""
    write_bytes(path, content.encode(), durable=durable)


def remove_temporaries(folder: str | os.PathLike, *, recursive: bool = False) -> int:
    """Remove the temporary files that a kill left in a folder, and return how many there were.

    Files that were not made by :func:`replacing` are never touched. Nobody else may be writing to the folder.
    """
    folder = Path(folder)
    files = [f for f in (folder.rglob("*") if recursive else folder.glob("*")) if is_temporary(f)]
    for file in files:
        file.unlink(missing_ok=True)
    return len(files)


def is_temporary(path: Path) -> bool:
    """Whether a path is that of a temporary file of :func:`replacing`."""
    return path.name.startswith(".") and bool(_TEMPORARY.search(path.name))


def _mode_of(path: Path) -> int | None:
    """Return the permissions of a file, None where there is none."""
    try:
        return stat.S_IMODE(path.stat().st_mode)
    except OSError:
        return None


def _os_error(error: BaseException | None) -> OSError | None:
    """Return the OSError that an error is or, as torch's writers hide it, that it came of."""
    while error is not None and not (isinstance(error, OSError) and error.errno):
        error = error.__context__
    return error


def _is_of_file(error: OSError, temporary: Path) -> bool:
    if error.filename is None:
        return error.errno in _OF_WRITING
    return os.fspath(error.filename) == str(temporary)


def _temporary_beside(path: Path) -> Path:
    mark = f"{_MARK}{os.getpid()}-{next(_numbers)}{path.suffix}"
    stem = os.fsencode(path.stem)[: _LONGEST_NAME - 1 - len(os.fsencode(mark))]
    return path.with_name(f".{os.fsdecode(stem)}{mark}")
