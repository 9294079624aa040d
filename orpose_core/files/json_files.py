"""JSON files."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from orpose_core.files.atomic import write_text
from orpose_core.files.strangers import refuse_stranger


def read_json(path: str | os.PathLike) -> Any:
    """Return the content of a JSON file, with or without a byte order mark.

    Raises:
        ValueError: names the file and the place where it is damaged.
    """
    try:
        return json.loads(Path(path).read_text(encoding="utf-8-sig"))
    except RecursionError:
        raise ValueError(f"{path}: expected JSON, but it is nested too deeply") from None
    except ValueError as error:  # also UnicodeDecodeError, and integers of thousands of digits
        refuse_stranger(path, "JSON")
        raise ValueError(f"{path}: expected JSON, but it is damaged: {error}") from error


def write_json(path: str | os.PathLike, content: Any, *, indent: int | None = None) -> None:
    """Write JSON, all or nothing; NaN, which JSON does not have, becomes null."""
    write_text(path, json.dumps(_json_safe(content), indent=indent, allow_nan=False))


def _json_safe(value: Any) -> Any:
    """Replace NaN by null."""
    if isinstance(value, dict):
        return {key: _json_safe(v) for key, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_json_safe(v) for v in value]
    return None if isinstance(value, float) and value != value else value
