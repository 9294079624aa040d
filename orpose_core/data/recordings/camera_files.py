"""Files that describe a camera beside its images: our JSON, and the YAML of ROS's tools.

Read are ``fx``, ``fy``, ``cx``, ``cy`` with ``width`` and ``height``; nine numbers as ``K``, ``k`` or
``camera_matrix``, as camera_calibration writes them (``image_width``, ``image_height``); and a ``CameraInfo``
that was echoed into a file.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from orpose_core.data.json_fields import finite_numbers, shown, whole_number
from orpose_core.files import read_json, read_yaml
from orpose_core.types import Intrinsics

CAMERA_FILES = tuple(
    f"{name}{ending}"
    for name in ("camera_info", "camera", "intrinsics", "calibration", "ost")
    for ending in (".json", ".yaml", ".yml")
)
"""Names of such files, in the order in which they are looked for."""

_WANTED = "fx, fy, cx, cy, width and height, or K of nine numbers with the size"


def find_camera_file(folder: Path) -> Path | None:
    """Return the camera file of a folder, None where there is none."""
    return next((folder / name for name in CAMERA_FILES if (folder / name).is_file()), None)


def read_camera(path: Path) -> tuple[Intrinsics, bool]:
    """Read a camera file.

    Returns:
        The pinhole camera, px, and whether the file has distortion coefficients other than 0, which are not
        used: images are taken as rectified.

    Raises:
        ValueError: names the file and what was expected.
    """
    content = read_json(path) if path.suffix == ".json" else read_yaml(path)
    if not isinstance(content, dict):
        raise ValueError(f"{path}: expected an object with {_WANTED}, got {shown(content)}")
    where = str(path)
    width, height = (
        whole_number(content.get(key, content.get(f"image_{key}")), key, where) for key in ("width", "height")
    )
    matrix = next((content[k] for k in ("K", "k", "camera_matrix") if content.get(k) is not None), None)
    if matrix is not None:
        k = finite_numbers(_flat(matrix), "K", where, (9,))
        fx, fy, cx, cy = k[0], k[4], k[2], k[5]
    elif {"fx", "fy", "cx", "cy"} <= content.keys():
        four = [content[name] for name in ("fx", "fy", "cx", "cy")]
        fx, fy, cx, cy = finite_numbers(four, "fx, fy, cx, cy", where, (4,))
    else:
        raise ValueError(f"{path}: expected {_WANTED}, got {sorted(map(str, content))}")
    if not (fx > 0 and fy > 0 and width > 0 and height > 0):
        raise ValueError(
            f"{path}: expected a calibrated camera, got fx {fx:g} and fy {fy:g} for {width}x{height} px"
        )
    distortion = _flat(content.get("d", content.get("D", content.get("distortion_coefficients"))) or [])
    return Intrinsics(fx, fy, cx, cy, width, height), any(distortion)


def _flat(matrix: Any) -> Any:
    """Return the numbers of a matrix: a list, rows, or rows, cols and data."""
    if isinstance(matrix, Mapping):
        matrix = matrix.get("data")
    if isinstance(matrix, list) and matrix and all(isinstance(row, list) for row in matrix):
        return [value for row in matrix for value in row]
    return matrix
