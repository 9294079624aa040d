"""The lines of an audit log: JSON records, each of which holds the hash of the one before.

A line is the record in canonical JSON (sorted keys, no spaces) with these fields besides its own:

    number    0, 1, 2 ...
    time      UTC, ISO 8601
    event     what happened
    previous  hash of the record before; 64 zeros in the first
    hash      SHA-256, hex, of the canonical JSON of all the other fields

So a line that is changed, left out, inserted or moved breaks the chain. A log that was cut at its end is
still a chain: that shows only in comparison with its head, the number and hash of the last line, kept
elsewhere.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

NOTHING_BEFORE = "0" * 64
"""``previous`` of the first record."""

_CHAIN = ("number", "time", "event", "previous", "hash")

LONGEST_LINE = 65_536
"""Characters of a line. A record holds names, limits and counts; nothing of a picture fits a record."""


@dataclass(frozen=True)
class Head:
    """Where a log ends.

    Attributes:
        number: of the last record; -1 = there is none.
        sha256: its hash, hex.
    """

    number: int = -1
    sha256: str = NOTHING_BEFORE

    def __str__(self) -> str:
        return f"{self.number}:{self.sha256}"

    @classmethod
    def parse(cls, text: str) -> Head:
        """Return the head that :meth:`__str__` wrote; ValueError names what was expected."""
        number, _, sha256 = text.strip().partition(":")
        is_hash = len(sha256) == 64 and set(sha256) <= set("0123456789abcdef")
        if not (number.isdecimal() and is_hash):
            raise ValueError(f"expected the head of an audit log, NUMBER:SHA256, got {text.strip()[:100]!r}")
        return cls(int(number), sha256)


def canonical(record: Mapping[str, Any]) -> str:
    """Return a record as the one line of JSON that it has."""
    return json.dumps(record, sort_keys=True, separators=(",", ":"), allow_nan=False)


def hash_of(record: Mapping[str, Any]) -> str:
    """Return the hash of a record, whatever its own field ``hash`` says."""
    content = canonical({key: value for key, value in record.items() if key != "hash"})
    return hashlib.sha256(content.encode()).hexdigest()


def sealed(head: Head, time: str, event: str, fields: Mapping[str, Any]) -> tuple[str, Head]:
    """Return the line of the record that follows ``head``, and the new head.

    Raises:
        ValueError: a field has a name that the chain needs, no place in JSON, or is too long.
    """
    if taken := sorted(set(fields) & set(_CHAIN)):
        raise ValueError(f"audit record {event!r}: the fields {', '.join(taken)} belong to the chain")
    number = head.number + 1
    record = {**fields, "number": number, "time": time, "event": event, "previous": head.sha256}
    try:
        sha256 = hash_of(record)
    except TypeError as error:
        raise ValueError(f"audit record {event!r}: {error}") from error
    line = canonical({**record, "hash": sha256})
    if len(line) > LONGEST_LINE:
        raise ValueError(
            f"audit record {event!r}: expected at most {LONGEST_LINE} characters, got {len(line)}"
        )
    return line, Head(number, sha256)


def opened(line: str, head: Head) -> tuple[dict[str, Any], Head]:
    """Return the record of a line that must follow ``head``, and the new head.

    Raises:
        ValueError: says what is wrong with the line.
    """
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        raise ValueError("it is no JSON") from None
    if not isinstance(record, dict) or not set(_CHAIN) <= set(record):
        raise ValueError(f"expected the fields {', '.join(_CHAIN)}")
    if record["number"] != head.number + 1:
        raise ValueError(f"expected record {head.number + 1}, got record {str(record['number'])[:40]}")
    if record["previous"] != head.sha256:
        raise ValueError("it does not follow the record before: one was changed, left out or inserted")
    if hash_of(record) != record["hash"] or canonical(record) != line:
        raise ValueError("it was changed after it was written")
    return record, Head(record["number"], record["hash"])
