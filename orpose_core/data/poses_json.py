"""Poses as JSON, whole and exact: every field, NaN as null. One line per image makes a resumable record."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from orpose_core.skeleton import by_name
from orpose_core.types import Poses

_DTYPES: dict[str, type] = {
    "xy_px": np.float32,
    "scores": np.float32,
    "person_scores": np.float32,
    "boxes_px": np.float32,
    "xyz_root_m": np.float32,
    "xyz_cam_m": np.float32,
    "visibility": np.uint8,
    "hidden_probability": np.float32,
    "sigma_px": np.float32,
    "sigma_m": np.float32,
    "source_3d": np.uint8,
    "track_ids": np.int64,
}


def poses_to_json(poses: Poses) -> dict[str, Any]:
    """Return a dict that ``json`` can write; fields that are None are left out."""
    content: dict[str, Any] = {"skeleton": poses.skeleton.name, "people": len(poses)}
    for name in _DTYPES:
        values = getattr(poses, name)
        if values is not None:
            content[name] = _without_nan(values)
    return content


def poses_from_json(content: dict[str, Any], where: str) -> Poses:
    """Return the poses of a dict from :func:`poses_to_json`; ``where`` is for messages."""
    try:
        skeleton, m = by_name(content["skeleton"]), int(content["people"])
        n = len(skeleton)
        shapes = {"xy_px": (m, n, 2), "boxes_px": (m, 4), "person_scores": (m,), "track_ids": (m,)}
        shapes |= {"xyz_root_m": (m, n, 3), "xyz_cam_m": (m, n, 3)}
        fields: dict[str, Any] = {
            name: np.array([np.nan if v is None else v for v in content[name]], dtype).reshape(
                shapes.get(name, (m, n))
            )
            for name, dtype in _DTYPES.items()
            if name in content
        }
        return Poses(skeleton, **fields)
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{where}: expected poses as orpose writes them, got {error!r}") from error


def _without_nan(values: NDArray) -> list[Any]:
    flat = values.reshape(-1).tolist()
    return flat if values.dtype.kind != "f" else [None if v != v else v for v in flat]
