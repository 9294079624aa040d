"""Labels for people to correct, in CVAT or any tool that reads COCO keypoints, and the way back.

Stored images are enlarged, so that joints can be placed between their pixels. Tools of annotation put the
origin at the corner of the image, orpose at the centre of the first pixel; both ways take that into account.
"""

from __future__ import annotations

import re
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from orpose_core.data.coco_file import CocoFile, CocoImage, CocoPerson, read_coco_file
from orpose_core.data.coco_writing import write_coco
from orpose_core.evaluation.evaluation_sets import spread
from orpose_core.files import read_color, read_depth, write_picture
from orpose_core.labelling.frame_labeller import IMAGES
from orpose_core.labelling.label_files import ignored_region
from orpose_core.labelling.results import LABELS
from orpose_core.render import depth_picture, enlarged
from orpose_core.types import Picture

REVIEW, CORRECTED = "review", "corrected.json"
_LEAST_WIDTH_PX = 640
_ROUNDED = 3
_OWN_PICTURE = re.compile(r"\d{6,}\.png")


@dataclass(frozen=True)
class Review:
    """What was written for a review, or what came back from it.

    Attributes:
        file: the COCO file.
        images: how many it has.
        people: how many it has.
    """

    file: Path
    images: int
    people: int


def write_review(folder: str | Path, limit: int | None = None, within: str | Path | None = None) -> Review:
    """Write ``review/annotations.json`` and ``review/images/`` beside the labels of a run.

    Pictures of an earlier review are removed: an image without annotations would be taken for one that shows
    nobody.

    Args:
        folder: of a labelling run that kept images.
        limit: at most this many images, one from each equal part of them; None = all.
        within: COCO file, only whose images are taken, such as a part of an adaptation; None = all.

    Raises:
        ValueError: there are no labels, or no images.
    """
    folder = Path(folder)
    file = _labels(folder)
    chosen = _chosen(file, limit, within)
    people = file.people_of_images()
    out = folder / REVIEW
    _make_room(out / "images", folder / IMAGES)

    def entries() -> Iterator[tuple[dict[str, Any], list[dict[str, Any]]]]:
        for number in chosen:
            image = file.images[number]
            picture = _enlarged(folder, image)
            write_picture(out / "images" / _name(number), picture)
            size = {"height": picture.shape[0], "width": picture.shape[1]}
            posed = [p for p in people[number] if not p.crowd and _has_joints(p)]
            factor = picture.shape[1] / image.width
            yield (
                {"id": number + 1, "file_name": _name(number), **size},
                [_for_review(person, factor) for person in posed],
            )

    path = out / "annotations.json"
    count = write_coco(path, entries(), info={"description": "labels to correct"}, skeleton=file.skeleton)
    return Review(path, *count)


def read_review(folder: str | Path, export: str | Path) -> Review:
    """Write ``corrected.json`` into the folder of a run: what a tool of annotation exported, in its px.

    Every image of the export counts as looked at: who is not in it is not there. A person without a single
    joint becomes a region to ignore.

    Args:
        folder: of the labelling run.
        export: COCO keypoints file of images that :func:`write_review` wrote.

    Raises:
        ValueError: an image that is not of this run, or other joints; names it.
    """
    folder = Path(folder)
    file, corrected = _labels(folder), read_coco_file(export)
    if corrected.skeleton != file.skeleton:
        raise ValueError(
            f"{export}: expected the joints of {file.skeleton.name}, got those of {corrected.skeleton.name}"
        )
    numbers = {_name(number): number for number in range(len(file.images))}
    people = corrected.people_of_images()

    def entries() -> Iterator[tuple[dict[str, Any], list[dict[str, Any]]]]:
        for own, image in zip(people, corrected.images, strict=True):
            number = numbers.get(Path(image.file_name).name)
            if number is None:
                raise ValueError(
                    f"{image.where}: expected an image of {folder / REVIEW}, got {image.file_name}"
                )
            labelled = file.images[number]
            factor = _factor(folder, labelled, image)
            yield dict(labelled.entry), [_from_review(person, factor) for person in own]

    path = folder / CORRECTED
    info = {"description": "labels corrected by hand"}
    images, _ = write_coco(path, entries(), info=info, skeleton=file.skeleton)
    return Review(path, images, sum(map(_has_joints, corrected.people)))


def _labels(folder: Path) -> CocoFile:
    if not (folder / LABELS).is_file():
        raise ValueError(f"{folder}: expected the folder of a labeling run with {LABELS}, got none")
    return read_coco_file(folder / LABELS)


def _name(number: int) -> str:
    return f"{number + 1:06d}.png"


def _make_room(pictures: Path, images: Path) -> None:
    """Remove the pictures of an earlier review; who cannot open the images cannot open the new ones."""
    pictures.mkdir(parents=True, exist_ok=True)
    if images.is_dir():
        pictures.chmod(stat.S_IMODE(images.stat().st_mode))
    for picture in pictures.glob("*.png"):
        if _OWN_PICTURE.fullmatch(picture.name):
            picture.unlink()


def _chosen(file: CocoFile, limit: int | None, within: str | Path | None) -> list[int]:
    """Return the numbers of the images to correct."""
    numbers = list(range(len(file.images)))
    if within is not None:
        names = {image.file_name for image in read_coco_file(within).images}
        numbers = [number for number in numbers if file.images[number].file_name in names]
        if not numbers:
            raise ValueError(f"{within}: expected images of {file.path}, got none of them")
    return [numbers[place] for place in spread(len(numbers), limit).tolist()]


def _has_joints(person: CocoPerson) -> bool:
    return any(flag > 0 for flag in person.keypoints[2::3])


def _enlarged(folder: Path, image: CocoImage) -> Picture:
    """Return a stored image as a picture, a whole number of times larger; depth is drawn in shades."""
    path = folder / image.file_name
    if not path.is_file():
        raise ValueError(f"{image.where}: expected an image at {path}; runs with --keep none have none")
    is_depth = image.file_name == image.entry.get("depth_file_name")
    picture = depth_picture(read_depth(path)) if is_depth else read_color(path)
    times = -(-_LEAST_WIDTH_PX // picture.shape[1])
    return picture if times == 1 else enlarged(picture, times * picture.shape[1])


def _factor(folder: Path, labelled: CocoImage, image: CocoImage) -> float:
    """Return how much larger the picture was; an export without sizes has those that were written."""
    width = image.width or -(-_LEAST_WIDTH_PX // labelled.width) * labelled.width
    return width / labelled.width


def _for_review(person: CocoPerson, factor: float) -> dict[str, Any]:
    keypoints = _scaled(person.keypoints, lambda xy: (xy + 0.5) * factor)
    box = [round((value + 0.5 * (i < 2)) * factor, _ROUNDED) for i, value in enumerate(person.bbox)]
    return _annotation(keypoints, box)


def _from_review(person: CocoPerson, factor: float) -> dict[str, Any]:
    box = [round(value / factor - 0.5 * (i < 2), _ROUNDED) for i, value in enumerate(person.bbox)]
    if not _has_joints(person):
        return ignored_region(np.array(box))
    keypoints = _scaled(person.keypoints, lambda xy: xy / factor - 0.5)
    if not person.entry.get("bbox") or not (box[2] > 0 and box[3] > 0):
        there = keypoints.reshape(-1, 3)
        xy = there[there[:, 2] > 0, :2]
        low, high = xy.min(axis=0), xy.max(axis=0)
        box = [round(float(value), _ROUNDED) for value in (*low, *(high - low))]
    return _annotation(keypoints, box)


def _scaled(keypoints: Sequence[float], move: Any) -> np.ndarray:
    """Return float64 (3 n,), every joint that is there moved, the others zero."""
    values = np.array(keypoints, np.float64).reshape(-1, 3)
    there = values[:, 2:] > 0
    return np.concatenate([np.where(there, move(values[:, :2]), 0), values[:, 2:]], axis=1).reshape(-1)


def _annotation(keypoints: np.ndarray, box: Sequence[float]) -> dict[str, Any]:
    flags = np.where(keypoints[2::3] > 0, np.maximum(np.rint(keypoints[2::3]), 1), 0)
    rounded = np.round(keypoints, _ROUNDED)
    rounded[2::3] = flags
    values = [int(v) if i % 3 == 2 else float(v) for i, v in enumerate(rounded)]
    return {
        "category_id": 1,
        "bbox": list(box),
        "area": round(box[2] * box[3], _ROUNDED),
        "iscrowd": 0,
        "segmentation": [],
        "keypoints": values,
        "num_keypoints": int((flags > 0).sum()),
    }
