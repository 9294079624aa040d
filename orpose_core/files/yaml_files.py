"""YAML files."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import yaml

from orpose_core.files.strangers import refuse_stranger


def read_yaml(path: str | os.PathLike) -> Any:
    """Return the first document of a YAML file, with or without a byte order mark; None where it is empty.

    Raises:
        ValueError: names the file and the place where it is damaged.
        OSError: the file cannot be read.
    """
    try:
        content = next(yaml.safe_load_all(Path(path).read_text(encoding="utf-8-sig")), None)
    except RecursionError:
        raise ValueError(f"{path}: expected YAML, but it is nested too deeply") from None
    except (yaml.YAMLError, ValueError) as error:  # ValueError: not UTF-8, or a date that no calendar has
        refuse_stranger(path, "YAML")
        raise ValueError(
            f"{path}: expected YAML, but it is damaged: {' '.join(str(error).split())}"
        ) from error
    if isinstance(content, str):  # a pointer of Git LFS and plain text are YAML, too
        refuse_stranger(path, "YAML")
    return content
