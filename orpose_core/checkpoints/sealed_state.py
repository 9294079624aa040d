"""The state of a training run on disk, with a checksum: a bit that flips on the disk is found.

The file is what `torch.save` writes, a ZIP archive. Its archive comment holds the sha256 of everything before
it, so that any reader of such files can still open it. PyTorch itself does not check what it reads.
"""

from __future__ import annotations

import hashlib
import zipfile
from pathlib import Path
from typing import Any, BinaryIO

import torch

from orpose_core.files import replacing

_MARK = b"orpose sha256 "
_COMMENT_LENGTH = len(_MARK) + 64
_NO_COMMENT = b"\0\0"
"""How an archive without a comment ends: the length of the comment, two bytes."""
_CHUNK = 1 << 20


class _Hashing:
    """A file that is hashed as it is written."""

    def __init__(self, file: BinaryIO) -> None:
        self._file, self.digest = file, hashlib.sha256()

    def write(self, content: Any) -> int:
        self.digest.update(content)
        return self._file.write(content)

    def flush(self) -> None:
        self._file.flush()


def save_state(path: Path, content: dict[str, Any]) -> None:
    """Write tensors and plain values with their checksum, all or nothing."""
    with replacing(path, durable=True) as temporary:
        with temporary.open("wb") as file:
            hashing = _Hashing(file)
            torch.save(content, hashing)  # type: ignore[arg-type]
        with temporary.open("r+b") as file:
            file.seek(-len(_NO_COMMENT), 2)
            if file.read() != _NO_COMMENT:
                raise ValueError(f"{path}: not written, torch.save left an archive with a comment")
            file.seek(-len(_NO_COMMENT), 2)
            comment = _MARK + hashing.digest.hexdigest().encode()
            file.write(len(comment).to_bytes(2, "little") + comment)


def load_state(path: Path) -> tuple[dict[str, Any], bool]:
    """Read a file of :func:`save_state`; no code in it is run.

    Returns:
        The content, and whether its checksum is there. A file of an earlier version has none; of it the
        CRC-32 of each entry is checked.

    Raises:
        ValueError: a damaged file, or something else than a mapping.
    """
    try:
        sealed = _is_sealed(path)
        if not sealed:
            with zipfile.ZipFile(path) as archive:
                damaged = archive.testzip()
            if damaged is not None:
                raise ValueError(f"the checksum of its entry {damaged} is wrong")
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch.load names no exceptions
        reason = (str(error).splitlines() or [repr(error)])[0]
        raise ValueError(f"damaged or of another kind ({reason})") from error
    if not isinstance(content, dict):
        raise ValueError(f"expected a mapping, got {type(content).__name__}")
    return content, sealed


def _is_sealed(path: Path) -> bool:
    """Return whether a file has a checksum; ValueError if it is wrong."""
    left = path.stat().st_size - len(_NO_COMMENT) - _COMMENT_LENGTH
    if left <= 0:
        return False
    digest = hashlib.sha256()
    with path.open("rb") as file:
        file.seek(left)
        length, comment = file.read(len(_NO_COMMENT)), file.read()
        if not comment.startswith(_MARK) or length != _COMMENT_LENGTH.to_bytes(2, "little"):
            return False
        file.seek(0)
        while left:
            chunk = file.read(min(left, _CHUNK))
            digest.update(chunk)
            left -= len(chunk)
    digest.update(_NO_COMMENT)
    if digest.hexdigest().encode() != comment.removeprefix(_MARK):
        raise ValueError("its checksum is wrong")
    return True
