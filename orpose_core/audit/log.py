"""Writing an audit log: append-only, through full disks and kills."""

from __future__ import annotations

import fcntl
import hashlib
import os
import threading
from collections import deque
from collections.abc import Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from orpose_core.audit.records import Head, opened, sealed
from orpose_core.files import LineLog, write_text

HEAD_SUFFIX = ".head"
"""Beside FILE lies FILE.head: number and hash of its last record."""

_MOST_WAITING = 1000


class AuditLog:
    """An audit log that is written to, by one process at a time; any thread may add records.

    What cannot be written, because the disk is full, waits in memory and is written as soon as there is
    room. What does not fit there is counted, and the count becomes a record. The part of a line that a kill
    left behind is taken off, and a record says so.

    Attributes:
        path: of the log.
        head: where it ends.
        trouble: why records wait, "" = none does.

    Args:
        path: of the log. It is made, with its folder, where it is missing.

    Raises:
        ValueError: the file is no whole audit log, or somebody else writes to it.
        OSError: it cannot be read or written.
    """

    def __init__(self, path: str | os.PathLike) -> None:
        self.path, self.trouble = Path(path), ""
        self._lines = LineLog(self.path)
        self._lock = threading.Lock()
        self._waiting: deque[tuple[str, str, dict[str, Any]]] = deque()
        self._lost = 0
        self._owner = self.path.open("rb")
        try:
            fcntl.flock(self._owner, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self._owner.close()
            raise ValueError(f"{self.path}: another process writes this audit log") from None
        try:
            self.head, torn = self._read_to_the_end()
        except BaseException:
            self._owner.close()
            raise
        if torn:
            self.add("torn_line", bytes=len(torn), sha256=hashlib.sha256(torn).hexdigest())

    def add(self, event: str, **fields: Any) -> None:
        """Add a record; ValueError refuses one that does not fit a log (see :func:`records.sealed`)."""
        time = datetime.now(timezone.utc).isoformat(timespec="milliseconds")
        with self._lock:
            sealed(self.head, time, event, fields)  # refuses it now, and not when the disk has room again
            if len(self._waiting) >= _MOST_WAITING:
                self._lost += 1
            else:
                self._waiting.append((time, event, fields))
            self._write()

    def flush(self) -> None:
        """Try again to write what waits."""
        with self._lock:
            self._write()

    @property
    def waiting(self) -> int:
        """How many records could not be written yet; those that are lost are counted, too."""
        return len(self._waiting) + self._lost

    def close(self) -> None:
        """Write what can be written, and let others write to the log."""
        self.flush()
        self._owner.close()

    def _write(self) -> None:
        try:
            while self._waiting:
                self._append(*self._waiting[0])
                self._waiting.popleft()
            if self._lost:
                time = datetime.now(timezone.utc).isoformat(timespec="milliseconds")
                self._append(time, "records_lost", {"count": self._lost})
                self._lost = 0
            self.trouble = ""
        except OSError as error:
            self.trouble = f"{self.path.name}: {error.strerror or error}"

    def _append(self, time: str, event: str, fields: Mapping[str, Any]) -> None:
        line, head = sealed(self.head, time, event, fields)
        self._lines.append(line, durable=True)
        self.head = head
        write_text(head_file(self.path), f"{head}\n")

    def _read_to_the_end(self) -> tuple[Head, bytes]:
        """Return the head of the log, and the part of a line that a kill left."""
        head = Head()
        with self.path.open("rb") as file:
            for k, line in enumerate(file, start=1):
                if not line.endswith(b"\n"):
                    return head, line
                try:
                    _, head = opened(line.decode().removesuffix("\n"), head)
                except ValueError as error:
                    raise ValueError(
                        f"{self.path}, line {k}: {error}; nothing is added to a log that is damaged. "
                        "Keep it, and name another file"
                    ) from None
        return head, b""


def head_file(path: Path) -> Path:
    """Return the file that the head of a log is in."""
    return path.with_name(path.name + HEAD_SUFFIX)
