"""Arguments of the launch files as numbers and files."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def number(name: str, text: str, kind: type) -> Any:
    """Return an argument as a number; ValueError names it."""
    try:
        return kind(text)
    except ValueError:
        what = "a whole number" if kind is int else "a number"
        raise ValueError(f"{name}:={text}: expected {what}") from None


def file_path(text: str) -> str:
    """Return the absolute path of a file, "" for none; shells do not expand ~ after ``:=``."""
    return str(Path(text).expanduser().absolute()) if text else ""
