"""The one reader of COCO annotation files, made for files as tools write them.

Ground truth, labels by hand, pseudo labels and MVOR all go through :func:`read_coco_file`. Tools differ in
what they write, and all of these are read: ids and sizes as text, null for what is unknown, ``iscrowd`` as
text, ``keypoints: []`` for a box alone, a category "Person", a byte order mark, backslashes in paths. What
cannot be understood is refused with the file, the index and the field.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from orpose_core.data.json_fields import finite_numbers, objects, shown, whole_number
from orpose_core.files import read_json
from orpose_core.skeleton import COCO17, SKELETONS, Skeleton

_TRUE_OR_FALSE = {"0": False, "1": True, "false": False, "true": True}


@dataclass(frozen=True)
class CocoImage:
    """An image of a file.

    Attributes:
        id: unique in the file.
        file_name: relative to the data set's folder, with forward slashes; "" = the file does not tell.
        height: px, 0 = the file does not tell.
        width: likewise.
        entry: all that the file has of it.
        where: file, index and id, for messages.
    """

    id: int
    file_name: str
    height: int
    width: int
    entry: Mapping[str, Any]
    where: str


@dataclass(frozen=True)
class CocoPerson:
    """An annotated person, or a crowd.

    Attributes:
        id: unique in the file; its place, counted from 1, where the file gives no ids.
        image: index of the image.
        bbox: x, y, width, height in px; the extent of the keypoints where the file has no box.
        area: px2; that of the box where the file has none.
        crowd: a group of people, or a region to ignore (``ignore``).
        keypoints: x, y, third value of each joint, px, as the file has them; empty = none annotated.
        score: of the person; None = the file has none.
        person_id: -1 = the file does not tell.
        entry: all that the file has of it.
        where: file, index and id, for messages.
    """

    id: int
    image: int
    bbox: tuple[float, float, float, float]
    area: float
    crowd: bool
    keypoints: tuple[float, ...]
    score: float | None
    person_id: int
    entry: Mapping[str, Any]
    where: str


@dataclass(frozen=True)
class CocoFile:
    """A COCO file.

    Attributes:
        path: for messages.
        skeleton: joints of the people.
        images: in the order of the file.
        people: in the order of the file; other categories are left out.
        content: all of the file.
    """

    path: str
    skeleton: Skeleton
    images: tuple[CocoImage, ...]
    people: tuple[CocoPerson, ...]
    content: Mapping[str, Any]

    def people_of_images(self) -> list[list[CocoPerson]]:
        """Return the people of each image, crowds included."""
        people: list[list[CocoPerson]] = [[] for _ in self.images]
        for person in self.people:
            people[person.image].append(person)
        return people


def read_coco_file(path: str | os.PathLike) -> CocoFile:
    """Read a COCO annotation file.

    Raises:
        ValueError: names the file, the index and the field that is not as expected.
        OSError: the file cannot be read.
    """
    return coco_file(read_json(path), str(path))


def coco_file(content: Any, path: str) -> CocoFile:
    """Check the content of a COCO annotation file; ``path`` is for messages."""
    if not isinstance(content, dict) or not {"images", "annotations"} <= content.keys():
        got = sorted(content) if isinstance(content, dict) else shown(content)
        raise ValueError(f"{path}: expected a COCO file with images and annotations, got {got}")
    category, skeleton = _person_category(content.get("categories"), path)
    alone = category if len(content.get("categories") or ()) == 1 else None
    entries = objects(content["images"], f"{path}: images")
    images = tuple(_image(entry, f"{path}: images[{k}]") for k, entry in enumerate(entries))
    _refuse_repeated([image.id for image in images], f"{path}: images")
    numbers = {image.id: k for k, image in enumerate(images)}
    entries = objects(content["annotations"], f"{path}: annotations")
    people = []
    for k, entry in enumerate(entries):
        where = f"{path}: annotations[{k}]"
        if category is None or _category_of(entry, where, alone) == category:
            people.append(_person(entry, where, k, numbers, skeleton))
    _refuse_repeated([person.id for person in people], f"{path}: annotations")
    return CocoFile(path, skeleton, images, tuple(people), content)


def _image(entry: Mapping[str, Any], where: str) -> CocoImage:
    number = whole_number(entry.get("id"), "id", where)
    where = f"{where} (id {number})"
    name = entry.get("file_name")
    if name is not None and not isinstance(name, str):
        raise ValueError(f"{where}: expected a name as 'file_name', got {shown(name)}")
    height, width = (whole_number(entry.get(key), key, where, default=0) for key in ("height", "width"))
    if height < 0 or width < 0:
        raise ValueError(f"{where}: expected a positive size, got {width}x{height}")
    return CocoImage(number, (name or "").replace("\\", "/"), height, width, entry, where)


def _category_of(entry: Mapping[str, Any], where: str, alone: int | None) -> int:
    """Return the category of an annotation; without one it is of the file's only category."""
    return whole_number(entry.get("category_id"), "category_id", where, default=alone)


def _person(
    entry: Mapping[str, Any], where: str, place: int, numbers: Mapping[int, int], skeleton: Skeleton
) -> CocoPerson:
    number = whole_number(entry.get("id"), "id", where, default=place + 1)
    where = f"{where} (id {number})"
    image = whole_number(entry.get("image_id"), "image_id", where)
    if image not in numbers:
        raise ValueError(
            f"{where}: expected the id of one of the {len(numbers)} images as 'image_id', got {image}"
        )
    keypoints = finite_numbers(entry.get("keypoints") or [], "keypoints", where, (0, 3 * len(skeleton)))
    bbox = _box(entry, keypoints, where)
    area, score = entry.get("area"), entry.get("score")
    return CocoPerson(
        number,
        numbers[image],
        bbox,
        bbox[2] * bbox[3] if area is None else finite_numbers([area], "area", where)[0],
        _flag(entry.get("iscrowd"), "iscrowd", where) or _flag(entry.get("ignore"), "ignore", where),
        keypoints,
        None if score is None else finite_numbers([score], "score", where)[0],
        whole_number(entry.get("person_id"), "person_id", where, default=-1),
        entry,
        where,
    )


def _box(
    entry: Mapping[str, Any], keypoints: Sequence[float], where: str
) -> tuple[float, float, float, float]:
    given = entry.get("bbox")
    if not given:
        seen = [xy for xy in zip(keypoints[::3], keypoints[1::3], strict=True) if xy != (0, 0)]
        if not seen:
            raise ValueError(f"{where}: expected 4 numbers as 'bbox', got {shown(given)} and no keypoints")
        (x0, x1), (y0, y1) = ((min(axis), max(axis)) for axis in zip(*seen, strict=True))
        return x0, y0, x1 - x0, y1 - y0
    x, y, width, height = finite_numbers(given, "bbox", where, (4,))
    if width < 0 or height < 0:
        raise ValueError(f"{where}: expected a 'bbox' of positive size, got {[x, y, width, height]}")
    return x, y, width, height


def _flag(value: Any, key: str, where: str) -> bool:
    flag = _TRUE_OR_FALSE.get(str(value).strip().lower()) if value is not None else False
    if flag is None:
        raise ValueError(f"{where}: expected 0 or 1 as {key!r}, got {shown(value)}")
    return flag


def _person_category(categories: Any, path: str) -> tuple[int | None, Skeleton]:
    """Return id and skeleton of the people; None = every annotation is a person.

    The category is called "person", in any case; a file with a single category may call it otherwise.
    """
    entries = objects(categories or [], f"{path}: categories")
    if not entries:
        return None, COCO17
    named = [k for k, entry in enumerate(entries) if str(entry.get("name")).strip().lower() == "person"]
    if not named and len(entries) == 1 and entries[0].get("keypoints"):
        named = [0]
    if not named:
        raise ValueError(
            f"{path}: expected a category named person, got {[entry.get('name') for entry in entries]}"
        )
    k = next((k for k in named if entries[k].get("keypoints")), named[0])
    where = f"{path}: categories[{k}]"
    return whole_number(entries[k].get("id"), "id", where), _skeleton(entries[k], where)


def _skeleton(category: Mapping[str, Any], where: str) -> Skeleton:
    names = category.get("keypoints") or COCO17.joints
    joints = tuple(_joint(name) for name in names) if isinstance(names, (list, tuple)) else shown(names)
    for skeleton in SKELETONS.values():
        if joints == skeleton.joints:
            return skeleton
    raise ValueError(
        f"{where}: expected the joints of one of {sorted(SKELETONS)} as 'keypoints', got {joints}"
    )


def _joint(name: Any) -> str:
    """Return "Left Shoulder" and "left-shoulder" as ``left_shoulder``."""
    return re.sub(r"[\s-]+", "_", str(name).strip().lower())


def _refuse_repeated(ids: Sequence[int], where: str) -> None:
    seen: set[int] = set()
    for number in ids:
        if number in seen:
            raise ValueError(f"{where}: expected every id once, got {number} more than once")
        seen.add(number)
