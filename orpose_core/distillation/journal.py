"""What a labelling run has done so far, on disk, so that a killed run goes on as if nothing had happened.

One JSON line per batch and one at the end of each recording; a line that a kill cut short is taken off. The
networks see the same batches again after a kill, hence the same numbers come out, to the last bit.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any


class Journal:
    """An append-only record of one run.

    Args:
        path: the file; made where it is missing.
        header: what the run depends on; a file of another run is refused.

    Raises:
        ValueError: the file is of a run with other settings, teacher or recordings, or no journal.
    """

    def __init__(self, path: Path, header: dict[str, Any]) -> None:
        self.path = path
        line = json.dumps(header, sort_keys=True)
        whole = self._cut_to_whole_lines()
        if whole == 0:
            self._append(line)
        else:
            with path.open(encoding="utf-8") as file:
                first = file.readline().rstrip("\n")
            if first != line:
                raise ValueError(
                    f"{path}: of a run with other settings ({_difference(first, header)}); choose another "
                    f"folder, or remove this one"
                )

    def _cut_to_whole_lines(self) -> int:
        """Take an unfinished last line off and return how many bytes stay."""
        if not self.path.exists():
            return 0
        with self.path.open("r+b") as file:
            end = 0
            for line in file:
                if line.endswith(b"\n"):
                    end += len(line)
            file.truncate(end)
        return end

    def _append(self, line: str) -> None:
        with self.path.open("a", encoding="utf-8") as file:
            file.write(line + "\n")

    def add(self, entry: dict[str, Any]) -> None:
        """Append an entry."""
        self._append(json.dumps(entry, allow_nan=False))

    def entries(self) -> Iterator[dict[str, Any]]:
        """Yield the entries, one in memory at a time; ValueError names the line that is damaged."""
        with self.path.open(encoding="utf-8") as file:
            next(file)
            for number, line in enumerate(file, start=2):
                yield self._entry(line, number)

    def _entry(self, line: str, number: int) -> dict[str, Any]:
        try:
            return json.loads(line)
        except json.JSONDecodeError as error:
            raise ValueError(f"{self.path}: line {number} is damaged: {error}") from None


def _difference(first: str, header: dict[str, Any]) -> str:
    """Name what differs between the header of a file and that of this run."""
    try:
        other = json.loads(first)
    except json.JSONDecodeError:
        return "it is no journal"
    if not isinstance(other, dict):
        return "it is no journal"
    return ", ".join(k for k in header if other.get(k) != header[k]) or "another version"
