"""The finished work of a labelling run on disk, from which a run that was killed resumes.

It has one JSON line per batch and one at the end of each recording; an incomplete last line is removed.
After a restart the networks see the same batches again, so the results are identical to the last bit.

With several processes, each writes its own file (``journal.jsonl``, ``journal.1.jsonl``, ...). At the end one
of them sorts all lines into the first file, which then equals that of a run with one process.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from orpose_core.files import LineLog, lock_alone, replacing


@dataclass
class Done:
    """What is done of one recording.

    Attributes:
        batches: numbers of the labelled ones.
        frames: how many are in them.
        total: how many batches there are; None as long as nobody has read the recording to its end.
    """

    batches: set[int] = field(default_factory=set)
    frames: int = 0
    total: int | None = None

    @property
    def finished(self) -> bool:
        """Whether nothing is left to do."""
        return self.total is not None and self.batches >= set(range(self.total))


class Journal:
    """An append-only record of one run; as a context manager it keeps other processes from writing it.

    Args:
        path: the file of the process of rank 0; the names of the others follow from it.
        header: what the run depends on; a file of another run is refused.
        rank: of this process.

    Raises:
        ValueError: the file is of a run with other settings, teacher or recordings, or no journal.
    """

    def __init__(self, path: Path, header: dict[str, Any], rank: int = 0) -> None:
        self.path = path
        self._own = path if rank == 0 else path.with_name(f"{path.stem}.{rank}{path.suffix}")
        self._header = header
        self._lock: BinaryIO | None = None
        self._log = LineLog(self._own)
        with self._locked():
            if self._log.cut() == 0:
                self._log.append(json.dumps(header, sort_keys=True))
        for file in self._files():
            self._check_header(file)

    def __enter__(self) -> Journal:
        self._lock = self._locked()
        return self

    def __exit__(self, *error: object) -> None:
        if self._lock is not None:
            self._lock.close()

    def _locked(self) -> BinaryIO:
        """Return the file, locked until it is closed or this process ends."""
        file = self._own.open("rb")
        try:
            lock_alone(file, self._own, "writing labels into this folder")
        except ValueError:
            file.close()
            raise
        return file

    def _files(self) -> list[Path]:
        """Return the files of all processes there ever were, rank 0's first."""
        others = self.path.parent.glob(f"{self.path.stem}.*{self.path.suffix}")
        return [self.path, *sorted(others)] if self.path.exists() else sorted(others)

    def _check_header(self, file: Path) -> None:
        with file.open(encoding="utf-8") as lines:
            first = lines.readline()
        # A line without an end is of a process that was killed, or is just beginning.
        if first.endswith("\n") and first.rstrip("\n") != json.dumps(self._header, sort_keys=True):
            raise ValueError(
                f"{file}: of a run with other settings ({_difference(first, self._header)}); choose another "
                f"folder, or remove this one"
            )

    def add(self, entry: dict[str, Any]) -> None:
        """Append an entry, as a whole or not at all."""
        self._log.append(json.dumps(entry, allow_nan=False))

    def entries(self) -> Iterator[dict[str, Any]]:
        """Yield the entries, one in memory at a time; ValueError names the line that is damaged."""
        for _, _, entry in _lines(self.path):
            yield entry

    def done(self) -> dict[int, Done]:
        """Return what all processes have done, by recording."""
        done: dict[int, Done] = {}
        for file in self._files():
            for _, _, entry in _lines(file):
                one = done.setdefault(entry["recording"], Done())
                if entry.get("finished"):
                    one.total = entry["batches"]
                elif entry["batch"] not in one.batches:
                    one.batches.add(entry["batch"])
                    one.frames += len(entry["frames"])
        return done

    def merge(self) -> None:
        """Put the lines of all processes in the order in which one process would have written them.

        The others must have stopped writing. All or nothing, and a second time it changes nothing.
        """
        files = self._files()
        places: dict[tuple[int, int, int], tuple[int, int, int]] = {}
        for number, file in enumerate(files):
            for start, length, entry in _lines(file):
                last = int(bool(entry.get("finished")))
                key = entry["recording"], last, 0 if last else entry["batch"]
                places.setdefault(key, (number, start, length))
        if len(files) == 1 and list(places) == sorted(places):
            return
        with ExitStack() as stack:
            out = stack.enter_context(stack.enter_context(replacing(self.path)).open("wb"))
            opened = [stack.enter_context(file.open("rb")) for file in files]
            out.write((json.dumps(self._header, sort_keys=True) + "\n").encode())
            for key in sorted(places):
                number, start, length = places[key]
                opened[number].seek(start)
                out.write(opened[number].read(length))
        for file in files:
            if file != self.path:
                file.unlink()


def _lines(path: Path) -> Iterator[tuple[int, int, dict[str, Any]]]:
    """Yield start and length in bytes and the entry of each whole line but the first."""
    with path.open("rb") as file:
        header = file.readline()
        if not header.endswith(b"\n"):
            return  # its process is just beginning: what it writes next is the header, not an entry
        start = len(header)
        for number, line in enumerate(file, start=2):
            if not line.endswith(b"\n"):
                return
            try:
                entry = json.loads(line)
            except ValueError as error:
                raise ValueError(f"{path}: line {number} is damaged: {error}") from None
            yield start, len(line), entry
            start += len(line)


def _difference(first: str, header: dict[str, Any]) -> str:
    """Name what differs between the header of a file and that of this run."""
    try:
        other = json.loads(first)
    except json.JSONDecodeError:
        return "it is no journal"
    if not isinstance(other, dict):
        return "it is no journal"
    return ", ".join(k for k in header if other.get(k) != header[k]) or "another version"
