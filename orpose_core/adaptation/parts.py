"""The label files of a site's parts, with regions to ignore where labels cannot be learned from."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

import numpy as np

from orpose_core.adaptation.options import AdaptOptions, SiteFolder
from orpose_core.adaptation.splitting import PARTS, Parts, Shot, divided
from orpose_core.adaptation.trust import TrustConfig, furniture, measured_share, missed_people
from orpose_core.data.coco_file import CocoFile, read_coco_file
from orpose_core.data.coco_writing import write_coco
from orpose_core.estimators import PoseEstimator
from orpose_core.files import write_json
from orpose_core.image_ops import low_resolution_depth
from orpose_core.labelling.label_files import ignored_region
from orpose_core.training.depthpose.label_file import LabelFile
from orpose_core.training.depthpose.samples import with_ignored
from orpose_core.types import FloatArray, Poses, Resize, RgbdFrame, Visibility, xywh_of_boxes

Progress = Callable[[int, int], object]


def write_parts(
    site: SiteFolder,
    estimator: PoseEstimator,
    options: AdaptOptions,
    progress: Progress | None = None,
    config: TrustConfig | None = None,
) -> dict[str, Any]:
    """Divide a site's labels and write the file of each part; return what ``parts.json`` says.

    The test part stays as the teacher labelled it. In the others, labels that depth does not show and people
    whom only the depth network sees become regions to ignore.

    Args:
        site: its labels are there.
        estimator: the network before its training.
        options: shares, and how to divide.
        progress: told how many images are looked at, of how many.
        config: see :class:`TrustConfig`.
    """
    config = config or TrustConfig()
    file = read_coco_file(site.label_file)
    shots = [Shot.of(image.entry) for image in file.images]
    parts = divided(shots, options.split, options.validate_share, options.test_share)
    labels = LabelFile(site.label_file, site.labels)
    learned = sorted((*parts.train, *parts.validate))
    unseen, missed = _looked_at(file, labels, estimator, learned, config, progress)
    facts = {
        "by": parts.by,
        "sessions": parts.sessions,
        "left_out": parts.left_out,
        "trust": asdict(config),
        **{name: _write_part(site, file, name, parts, unseen, missed) for name in PARTS},
    }
    write_json(site.parts, facts)
    return facts


def _looked_at(
    file: CocoFile,
    labels: LabelFile,
    estimator: PoseEstimator,
    images: Sequence[int],
    config: TrustConfig,
    progress: Progress | None,
) -> tuple[dict[int, set[int]], dict[int, FloatArray]]:
    """Return, by image, places of people whom depth does not show, and boxes of those without a label."""
    unseen: dict[int, set[int]] = {}
    found: dict[int, FloatArray] = {}
    for done, image in enumerate(images, start=1):
        depth_m = labels.frame(image).depth_m
        small = low_resolution_depth(depth_m, estimator.info.input_hw)
        to_small, people = Resize(depth_m.shape, small.shape), labels.people[image]  # type: ignore[arg-type]
        unseen[image] = {
            place
            for place, (keypoints, _, good) in enumerate(people)
            if good and measured_share(_joints(keypoints, to_small), small) < config.min_measured
        }
        poses = estimator.estimate([RgbdFrame(None, small, None)])[0]
        poses = poses.resized(Resize(small.shape, depth_m.shape))  # type: ignore[arg-type]
        boxes = np.array([box for _, box, _ in people], np.float32).reshape(-1, 4)
        found[image] = missed_people(poses, boxes, config.max_covered)
        if progress is not None:
            progress(done, len(images))
    return unseen, _without_furniture(file, found, config)


def _without_furniture(
    file: CocoFile, found: Mapping[int, FloatArray], config: TrustConfig
) -> dict[int, FloatArray]:
    """Leave out what stands at its place in most images of its camera."""
    cameras: dict[str, list[int]] = {}
    for image in found:
        cameras.setdefault(str(file.images[image].entry.get("camera", "")), []).append(image)
    kept: dict[int, FloatArray] = {}
    for images in cameras.values():
        boxes = np.concatenate([found[image] for image in images])
        of = np.repeat(images, [len(found[image]) for image in images])
        moves = ~furniture(boxes, of.tolist(), len(images), config)
        kept |= {image: boxes[(of == image) & moves] for image in images}
    return kept


def _joints(keypoints: FloatArray, resize: Resize) -> FloatArray:
    """Return float32 (n, 2), px of the small image, NaN = absent."""
    there = keypoints[:, 2:] > 0
    return resize.to_target(np.where(there, keypoints[:, :2], np.float32(np.nan)))


def _write_part(
    site: SiteFolder,
    file: CocoFile,
    name: str,
    parts: Parts,
    unseen: Mapping[int, set[int]],
    missed: Mapping[int, FloatArray],
) -> dict[str, int]:
    """Write the file of one part and return what is in it."""
    images = getattr(parts, name)
    known = images if name != "test" else ()
    ignored = sum(len(unseen[i]) for i in known)
    added = sum(len(missed[i]) for i in known)
    people = file.people_of_images()

    def entries() -> Iterator[tuple[dict[str, Any], list[dict[str, Any]]]]:
        for image in images:
            own = [
                dict(person.entry) | ({"ignore": 1} if place in unseen.get(image, ()) else {})
                for place, person in enumerate(people[image])
            ]
            boxes = missed.get(image, np.zeros((0, 4), np.float32))
            added = [ignored_region(xywh) for xywh in xywh_of_boxes(boxes)] if name != "test" else []
            for annotation in own:
                del annotation["id"]
            yield dict(file.images[image].entry), own + added

    info = {**dict(file.content.get("info") or {}), "part": name}
    write_coco(site.part(name), entries(), info=info, skeleton=file.skeleton)
    labels = LabelFile(site.part(name), site.labels)
    return {
        "images": len(labels),
        "images_with_people": len(labels.with_people()),
        "people": sum(labels.people_in(i) for i in range(len(labels))),
        "not_in_depth": ignored,
        "seen_only_in_depth": added,
    }


def everybody(labels: LabelFile, image: int) -> tuple[FloatArray, Poses]:
    """Return depth and all people of an image, regions to ignore as people without joints."""
    frame = labels.frame(image)
    poses, _ = with_ignored(frame)
    seen = np.where(poses.scores > 0, Visibility.VISIBLE, Visibility.ABSENT).astype(np.uint8)
    return frame.depth_m, replace(poses, visibility=seen)
