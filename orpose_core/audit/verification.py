"""Whether an audit log is whole."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orpose_core.audit.log import head_file
from orpose_core.audit.records import Head, opened


@dataclass(frozen=True)
class Verdict:
    """What a verification found.

    Attributes:
        records: those before the first fault.
        head: of them.
        faults: what is wrong, in words; none = the log is whole.
        compared: with which head the log's end was compared, in words; "" = with none.
        remarks: what is no fault and yet worth knowing.
    """

    records: tuple[dict[str, Any], ...]
    head: Head
    faults: tuple[str, ...]
    compared: str
    remarks: tuple[str, ...] = ()


def verify(path: Path, known: Head | None = None) -> Verdict:
    """Check the chain of an audit log, and its end against what is known of it.

    Args:
        path: of the log.
        known: a head that was kept elsewhere; None = what lies beside the log, if there is such a file.

    Raises:
        OSError: the log cannot be read.
        ValueError: the file of its head is damaged.
    """
    head, faults, remarks, records = Head(), [], [], []
    hashes = {}
    for k, line, whole in _lines(path):
        if not whole:
            remarks.append(f"line {k} is not finished: the writer was killed, or is writing now")
            break
        try:
            record, head = opened(line, head)
        except ValueError as error:
            faults.append(f"line {k}: {error}")
            break
        records.append(record)
        hashes[head.number] = head.sha256
    if not records and not faults:
        faults.append("it holds no record")
    known, compared = _known_head(path, known)
    if known is not None and not faults:
        if known.number > head.number:
            faults.append(
                f"its end is missing: it ends with record {head.number}, but record {known.number} was "
                f"written ({compared})"
            )
        elif hashes[known.number] != known.sha256:
            faults.append(f"record {known.number} is another one than that of {compared}: it was rewritten")
    return Verdict(tuple(records), head, tuple(faults), compared, tuple(remarks))


def _known_head(path: Path, known: Head | None) -> tuple[Head | None, str]:
    if known is not None:
        return known, "the head given"
    file = head_file(path)
    if not file.exists():
        return None, ""
    try:
        return Head.parse(file.read_text(encoding="utf-8", errors="replace")), file.name
    except ValueError as error:
        raise ValueError(f"{file}: {error}") from None


def _lines(path: Path) -> Iterator[tuple[int, str, bool]]:
    """Yield number, text and whether it is finished, of each line."""
    with path.open("rb") as file:
        for k, line in enumerate(file, start=1):
            yield k, line.decode(errors="replace").removesuffix("\n"), line.endswith(b"\n")
