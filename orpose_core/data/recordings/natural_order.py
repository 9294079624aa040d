"""The order in which people number files: 1, 2, 10."""

from __future__ import annotations

import os
import re

_DIGITS = re.compile(r"(\d+)", re.ASCII)


def natural_key(path: str | os.PathLike) -> list[tuple[str, int, str]]:
    """Return a key that sorts numbers by value: ``rec_2/9.png``, ``rec_2/10.png``, ``rec_10/1.png``."""
    key = []
    for part in os.fspath(path).split("/"):
        words = _DIGITS.split(part)
        key += [(words[i], int(words[i + 1]), words[i + 1]) for i in range(0, len(words) - 1, 2)]
        key.append((words[-1], -1, ""))
    return key
