"""The one writer of COCO annotation files: entry by entry, so that memory stays flat."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable, Mapping
from tempfile import TemporaryFile
from typing import Any, TextIO

from orpose_core.files import replacing
from orpose_core.skeleton import COCO17, Skeleton


def person_category(skeleton: Skeleton = COCO17) -> dict[str, Any]:
    """Return the category "person" with the joints and limbs of a skeleton; limbs count from 1."""
    return {
        "id": 1,
        "name": "person",
        "supercategory": "person",
        "keypoints": list(skeleton.joints),
        "skeleton": [[a + 1, b + 1] for a, b in skeleton.edges],
    }


def write_coco(
    path: str | os.PathLike,
    entries: Iterable[tuple[Mapping[str, Any], Iterable[Mapping[str, Any]]]],
    *,
    info: Mapping[str, Any],
    skeleton: Skeleton = COCO17,
    **more: Any,
) -> tuple[int, int]:
    """Write a COCO annotation file, all or nothing.

    Args:
        path: of the file.
        entries: an image with its ``id``, and the annotations of its people. They need neither ``id`` nor
            ``image_id``; ids count from 1, since an id of 0 never matches in ``COCOeval``.
        info: the file's ``info``.
        skeleton: joints of the people.
        more: further keys of the file, before ``images``.

    Returns:
        How many images and annotations were written.

    Raises:
        ValueError: a number is not finite.
        OSError: the file could not be written.
    """
    images = people = 0
    with (
        replacing(path) as temporary,
        temporary.open("w", encoding="utf-8") as out,
        TemporaryFile("w+", encoding="utf-8", dir=temporary.parent) as later,
    ):
        head = json.dumps({"info": dict(info), **more}, sort_keys=True, allow_nan=False)
        out.write(head[:-1] + ',\n"images": [')
        for image, annotations in entries:
            images += 1
            _write_item(out, image, first=images == 1)
            for annotation in annotations:
                people += 1
                numbered = {"id": people, "image_id": image["id"], **annotation}
                _write_item(later, numbered, first=people == 1)
        out.write('\n],\n"annotations": [')
        later.seek(0)
        shutil.copyfileobj(later, out)
        out.write('\n],\n"categories": ' + json.dumps([person_category(skeleton)]) + "}\n")
    return images, people


def _write_item(file: TextIO, value: Mapping[str, Any], first: bool) -> None:
    file.write(("\n" if first else ",\n") + json.dumps(value, allow_nan=False))
