"""Fields of the entries of JSON files, checked; every message names where the field is."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from orpose_core.metrics.people import IndexArray
from orpose_core.types import Float64Array

_LARGEST = 2**63 - 1
_WHOLE = re.compile(r"[+-]?[0-9]{1,20}")


def shown(value: Any) -> str:
    """Return a value as JSON has it, cut off where it is long."""
    if value is None:
        return "null"
    if isinstance(value, (list, tuple)) and len(value) > 8:
        return f"{len(value)} values"
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def objects(entries: Any, where: str) -> Sequence[Mapping[str, Any]]:
    """Return a list of objects."""
    if not isinstance(entries, list):
        raise ValueError(f"{where}: expected a list, got {shown(entries)}")
    for k, entry in enumerate(entries):
        if not isinstance(entry, dict):
            raise ValueError(f"{where}[{k}]: expected an object, got {shown(entry)}")
    return entries


def whole_number(value: Any, key: str, where: str, default: int | None = None) -> int:
    """Return a whole number of 64 bits, which a tool may have written as text or with a decimal point.

    Args:
        value: of the field; None = it is missing or null.
        key: name of the field.
        where: for the message.
        default: what a missing field means; None = it must be there.

    Raises:
        ValueError: it is no such number.
    """
    if value is None and default is not None:
        return default
    number = None
    if isinstance(value, int) and not isinstance(value, bool):
        number = value
    elif (isinstance(value, float) and value.is_integer()) or (
        isinstance(value, str) and len(value) < 25 and value.strip().lstrip("+-").isdecimal()
    ):
        number = int(value)
    if number is None or abs(number) > _LARGEST:
        raise ValueError(f"{where}: expected a whole number of 64 bits as {key!r}, got {shown(value)}")
    return number


def finite_numbers(
    values: Any, key: str, where: str, counts: Sequence[int] = (), *, unknown: bool = False
) -> tuple[float, ...]:
    """Return a list of numbers as floats.

    Args:
        values: of the field.
        key: name of the field.
        where: for the message.
        counts: how many there may be; the last is what the message asks for. Empty = any number.
        unknown: whether null is allowed; it becomes NaN.

    Raises:
        ValueError: another number of them, or one that is no finite number.
    """
    if not isinstance(values, (list, tuple)) or (counts and len(values) not in counts):
        got = len(values) if isinstance(values, (list, tuple)) else shown(values)
        wanted = counts[-1] if counts else "a list of"
        raise ValueError(f"{where}: expected {wanted} numbers as {key!r}, got {got}")
    for value in values:
        if value is None and unknown:
            continue
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not _is_finite(value):
            raise ValueError(f"{where}: expected finite numbers as {key!r}, got {shown(value)}")
    return tuple(math.nan if value is None else float(value) for value in values)


def _is_finite(value: float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # an integer too large for a float
        return False


def rows(
    entries: Sequence[Mapping[str, Any]], key: str, count: int, where: Sequence[str], *, unknown: bool = False
) -> Float64Array:
    """Return float64 (entries, count): a list of numbers from each entry, null as NaN where ``unknown``."""
    values = [
        finite_numbers(entry.get(key), key, place, (count,), unknown=unknown)
        for entry, place in zip(entries, where, strict=True)
    ]
    return np.array(values, np.float64).reshape(-1, count)


def image_index(
    entries: Sequence[Mapping[str, Any]], image_ids: IndexArray, where: Sequence[str]
) -> IndexArray:
    """Return int64 (entries,): the index of each entry's image; ValueError on an unknown one."""
    number = {int(image): k for k, image in enumerate(image_ids)}
    found = []
    for entry, place in zip(entries, where, strict=True):
        image = whole_number(entry.get("image_id"), "image_id", place)
        if image not in number:
            raise ValueError(
                f"{place}: expected the id of one of the {len(number)} annotated images as 'image_id', "
                f"got {image}"
            )
        found.append(number[image])
    return np.array(found, np.int64)
