"""A thing that was looked at."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

_SIGNS = {"good": "ok", "note": "--", "bad": "!!"}


@dataclass(frozen=True)
class Finding:
    """A thing that was looked at.

    Attributes:
        what: was looked at.
        state: "good"; "note" = works without; "bad" = something will fail.
        said: what was found.
        mend: a line that mends it, "" where there is nothing to mend.
    """

    what: str
    state: Literal["good", "note", "bad"]
    said: str
    mend: str = ""


def page(findings: Iterable[Finding]) -> str:
    """Return findings as lines for people."""
    lines = []
    for finding in findings:
        lines.append(f"{_SIGNS[finding.state]}  {finding.what}: {finding.said}")
        if finding.mend:
            lines.append(f"      {finding.mend}")
    return "\n".join(lines)
