"""The table of data sets on which a model can be evaluated."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

from orpose_core.data.mvor import read_mvor
from orpose_core.evaluation.evaluation_sets import (
    AnnotatedSet,
    EvaluationSet,
    SimulatedFolder,
    SyntheticSet,
)
from orpose_core.simulation import SPLITS
from orpose_core.simulation.writers.dataset import ANNOTATIONS, MANIFEST

Opener: TypeAlias = Callable[[Path | None, int | None, Path | None], EvaluationSet]
"""Opens a data set, given the root folder, the limit and the annotation file; None = not given."""


def annotated(name: str, annotations: tuple[str, ...], images: tuple[str, ...] = ("",)) -> Opener:
    """Return a function that opens images with a COCO-style annotation file.

    Args:
        name: name of the data set.
        annotations: paths of the file below the root folder; the first that exists is used.
        images: paths of the folder of the images, likewise.
    """

    def opened(root: Path | None, limit: int | None, given: Path | None) -> EvaluationSet:
        folder, path = _places(name, root, given, annotations)
        image_folder = next((folder / f for f in images if (folder / f).is_dir()), folder)
        return AnnotatedSet(name, read_mvor(path), image_folder, limit)

    return opened


def _simulated_folder(root: Path | None, limit: int | None, given: Path | None) -> EvaluationSet:
    """Open a folder of `orpose simulate`; with another annotation file, it is treated like any images."""
    folder, path = _places("folder", root, given, (ANNOTATIONS,))
    own = (folder / MANIFEST).is_file() and path.resolve() == (folder / ANNOTATIONS).resolve()
    return (SimulatedFolder if own else AnnotatedSet)("folder", read_mvor(path), folder, limit)


def _synthetic(name: str) -> Opener:
    """Return a function that opens a benchmark split; nothing is read from disk."""
    return lambda root, limit, given: SyntheticSet(name, limit)


def _places(name: str, root: Path | None, given: Path | None, usual: tuple[str, ...]) -> tuple[Path, Path]:
    """Return the root folder and the annotation file; raise ValueError if one does not exist."""
    if root is None:
        raise ValueError(f"evaluation: data set {name} needs --root, the folder of its images")
    candidates = [given] if given else [root / f for f in usual]
    path = next((c for c in candidates if c.is_file()), None)
    if path is None:
        raise ValueError(f"{root}: expected the annotations of {name} at {' or '.join(map(str, candidates))}")
    return root, path


_MVOR_2018, _MVOR_2019, _COCO = (
    (f"annotations/{file}", file)
    for file in ("camma_mvor_2018.json", "camma_mvor_2019_color.json", "person_keypoints_val2017.json")
)

DATASETS: dict[str, Opener] = {
    "mvor": annotated("mvor", _MVOR_2018),
    "mvor+": annotated("mvor+", _MVOR_2019),
    "coco": annotated("coco", _COCO, ("val2017", "images/val2017", "images", "")),
    "folder": _simulated_folder,
    **{name: _synthetic(name) for name in SPLITS},
}
"""All data sets. A new one is another entry (docs/extending.md)."""


def open_dataset(
    name: str,
    root: str | os.PathLike | None = None,
    limit: int | None = None,
    annotations: str | os.PathLike | None = None,
) -> EvaluationSet:
    """Open a data set by name.

    Args:
        name: one of :data:`DATASETS`.
        root: folder of the images (and of ``annotations/``); synthetic splits need none.
        limit: largest number of images, spread evenly over the set. Of a synthetic split, whole rooms are
            used, see :meth:`~orpose_core.simulation.splits.Split.subset`.
        annotations: the annotation file, if it is not at its default location below ``root``. A simulated
            folder with another annotation file is scored like any annotated images.
    """
    if name not in DATASETS:
        raise ValueError(f"evaluation: expected a data set of {', '.join(DATASETS)}, got {name!r}")
    opener = DATASETS[name]
    return opener(
        *(None if root is None else Path(root), limit, None if annotations is None else Path(annotations))
    )
