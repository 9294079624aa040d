"""Files that come with orpose, found by name: weights, recipes, message definitions, node and RViz settings.

A source checkout has them in its folders ``weights/``, ``training/``, ``msg/``, ``config/`` and ``rviz/``.
The wheel carries the same folders in ``orpose_core/share``, and a colcon installation in
``share/orpose_ros``, with and without ``--symlink-install``.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

ResourceKind = Literal["weights", "training", "msg", "config", "rviz"]

_PACKAGE = "orpose_ros"
_CHECKOUT_HAS = "package.xml"


def resource_folders(kind: ResourceKind) -> list[Path]:
    """Return the existing folders of one kind of files, in the order in which they are searched.

    First the checkout that this module belongs to, then the wheel, then the installation prefix that this
    module lies in, then every prefix of ``AMENT_PREFIX_PATH``.
    """
    # A symlinked installation must be found by its own prefix, so links are resolved only for the checkout.
    package = Path(__file__).absolute().parent
    checkout = Path(__file__).resolve().parents[1]
    candidates = [checkout / kind] if (checkout / _CHECKOUT_HAS).is_file() else []
    candidates.append(package / "share" / kind)
    prefixes = [Path(p) for p in os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep) if p]
    candidates += [prefix / "share" / _PACKAGE / kind for prefix in (*package.parents, *prefixes)]
    return [folder for folder in dict.fromkeys(candidates) if folder.is_dir()]


def resource_names(kind: ResourceKind, suffix: str) -> list[str]:
    """Return the names, without ``suffix``, of all files of one kind that end in it, sorted."""
    files = {file.name for folder in resource_folders(kind) for file in folder.glob(f"*{suffix}")}
    return sorted(name.removesuffix(suffix) for name in files)


def find_resource(kind: ResourceKind, name_or_path: str | Path, suffix: str) -> Path | None:
    """Return the file that a path or a bare name means, or None if there is no such file.

    Args:
        kind: the folder to search.
        name_or_path: an existing file, or a name as :func:`resource_names` has it, with or without
            ``suffix``.
        suffix: how the files end, such as ``".yaml"``.
    """
    path = Path(name_or_path).expanduser()
    if path.is_file():
        return path
    if path.name != str(path):
        return None
    for folder in resource_folders(kind):
        for candidate in (folder / path.name, folder / f"{path.name}{suffix}"):
            if candidate.is_file():
                return candidate
    return None


def find_recipe(name_or_path: str | Path) -> Path:
    """Return the recipe or experiment that a path or a bare name means.

    Raises:
        ValueError: no such file; lists the names there are.
    """
    found = find_resource("training", name_or_path, ".yaml")
    if found is None:
        names = ", ".join(resource_names("training", ".yaml")) or "none"
        raise ValueError(f"{name_or_path}: no such file, nor a recipe of that name; there are: {names}")
    return found
