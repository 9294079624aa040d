"""Checks of namespaces that are given as parameters."""

from __future__ import annotations

import re
from collections.abc import Sequence

_NAMESPACE = re.compile(r"/?[A-Za-z_]\w*(/[A-Za-z_]\w*)*", re.ASCII)


def check_cameras(cameras: Sequence[str]) -> None:
    """Raise ValueError if namespaces of cameras are missing, are the same, or cannot begin a topic's name."""
    if not cameras or len(set(cameras)) != len(cameras):
        raise ValueError(f"parameter cameras: expected different namespaces, got {list(cameras)}")
    for name in cameras:
        check_namespace("cameras", name)


def check_namespace(parameter: str, name: str) -> None:
    """Raise ValueError if a namespace cannot begin a topic's name; an empty one can."""
    if name and not _NAMESPACE.fullmatch(name):
        raise ValueError(
            f"parameter {parameter}: expected letters, digits and underscores, with slashes between them, "
            f"such as or_1/ceiling_1, got {name!r}"
        )
