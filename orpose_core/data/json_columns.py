"""Columns of numbers out of the entries of annotation files, checked."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from orpose_core.metrics.people import IndexArray
from orpose_core.types import Float64Array


def image_index(entries: Sequence[dict[str, Any]], image_ids: IndexArray, path: str) -> IndexArray:
    """Return int64: for each annotation or detection the index of its image; ValueError on an unknown one."""
    number = {int(image): k for k, image in enumerate(image_ids)}
    try:
        return np.array([number[e["image_id"]] for e in entries], np.int64)
    except (KeyError, TypeError):
        k = next(k for k, e in enumerate(entries) if e.get("image_id") not in number)
        raise ValueError(
            f"{path}: {name_of(entries[k], k)}: expected an image_id of the {len(image_ids)} annotated "
            f"images, got {entries[k].get('image_id')!r}"
        ) from None


def column(entries: Sequence[dict[str, Any]], key: str, kind: str, path: str) -> NDArray:
    """Return one number per entry; ValueError names the first entry that has none."""
    for k, entry in enumerate(entries):
        value = entry.get(key)
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not np.isfinite(value):
            raise ValueError(f"{path}: {kind} {k}: expected a number as {key!r}, got {value!r:.60}")
    values = [entry[key] for entry in entries]
    return np.array(values, np.int64 if key == "id" else np.float64)


def rows_of(
    entries: Sequence[dict[str, Any]], key: str, length: int, path: str, kind: str = "annotation"
) -> Float64Array:
    """Return float64 (entries, length); ValueError names the first entry that has another number of them."""
    try:
        rows = np.array([entry[key] for entry in entries], np.float64)
        if rows.shape == (len(entries), length) or not entries:
            return rows.reshape(-1, length)
    except (KeyError, ValueError, TypeError):
        pass  # which entry it was is found below
    for k, entry in enumerate(entries):
        value = entry.get(key)
        numbers = value if isinstance(value, list) else []
        if len(numbers) != length or not all(isinstance(v, (int, float)) for v in numbers):
            got = f"{len(value)} values" if isinstance(value, list) else f"{value!r:.60}"
            where = name_of(entry, k) if kind == "annotation" else f"{kind} {k}"
            raise ValueError(f"{path}: {where}: expected {length} numbers as {key!r}, got {got}")
    raise ValueError(f"{path}: expected {length} numbers as {key!r} in every {kind}")


def name_of(entry: dict[str, Any], k: int) -> str:
    """Name an annotation by its id, or a detection by its place ``k``."""
    return f"annotation id {entry['id']}" if "id" in entry else f"detection {k}"


def repeated(values: Iterable[Any]) -> Any:
    """Return the smallest value that occurs more than once."""
    unique, count = np.unique(np.asarray(list(values)), return_counts=True)
    return unique[count > 1][0]
