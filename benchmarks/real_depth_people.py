"""Does a network trained in the synthetic room find real people? Fifteen real depth frames.

    python benchmarks/real_depth_people.py depthpose_64x48 --draw real_people.png

Two sets are scored apart. ``people`` are four frames with eight people. ``more`` are four frames with five
people, a room with nobody but a humanoid robot, and six frames with one person each, seen from straight
above, without joints.
The joints were labelled by eye (+-5 to 10 px at 640x480): far too few to tune anything on, enough to see
that a network works at all. The frames are not part of the project; give their folder with ``--data``.
"""

from __future__ import annotations

import argparse
import json
import os
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from orpose_core.estimators import EstimatorConfig, PoseEstimator, load_estimator
from orpose_core.files import read_depth
from orpose_core.metrics.pck import PckConfig, match_by_extent
from orpose_core.metrics.people import People
from orpose_core.skeleton import MVOR10, OPENPOSE18
from orpose_core.types import FloatArray, Poses, RgbdFrame, boxes_of_xywh

SETS = {"people": "depth_people_labels.json", "more": "depth_more/labels.json"}
FROM_ABOVE = "above_"
"""Frames whose name begins so show one person from straight above, without joints."""
FAR_BEHIND_M = 1.0
"""An extra detection so far behind the last labelled person is in the background, where others may be."""
ABOVE_FLOOR_M = 0.5
"""A detection from above is the person if half its joints are so far above what most of the image shows."""


@dataclass(frozen=True)
class RealFrame:
    """One real depth frame and its labelled people.

    Attributes:
        name: of the depth file.
        depth_m: float32 (H, W), metres, NaN = no return.
        truth: MVOR10.
        others: whether there may be people without labels.
    """

    name: str
    depth_m: FloatArray
    truth: Poses
    others: bool


def default_folder() -> Path:
    """Where the real recordings are: $ORPOSE_REALDATA, or shared/realdata beside the checkout."""
    beside = Path(__file__).resolve().parents[2] / "shared" / "realdata"
    return Path(os.environ.get("ORPOSE_REALDATA", beside))


def read_frames(folder: Path, labels: str) -> list[RealFrame]:
    """Read the frames of a label file; ValueError names a file that is missing."""
    content = json.loads((folder / labels).read_text())
    if tuple(content["keypoint_names"]) != MVOR10.joints:
        raise ValueError(f"{folder / labels}: expected the joints {MVOR10.joints}")
    frames = []
    for image in content["images"]:
        depth_m = read_depth(folder / image["folder"] / image["depth"])
        people = [a for a in content["annotations"] if a["image_id"] == image["id"]]
        keypoints = np.array([a["keypoints"] for a in people], np.float32).reshape(-1, len(MVOR10), 3)
        there = keypoints[..., 2] > 0
        boxes = boxes_of_xywh(np.array([a["bbox"] for a in people], np.float32).reshape(-1, 4))
        truth = Poses(
            MVOR10,
            np.where(there[..., None], keypoints[..., :2], np.float32(np.nan)),
            there.astype(np.float32),
            np.ones(len(people), np.float32),
            boxes,
        )
        frames.append(RealFrame(image["depth"], depth_m, truth, bool(image["other_people_unlabelled"])))
    return frames


def _correct(distance_px: np.ndarray, size_px: np.ndarray) -> np.ndarray:
    return np.where(np.isnan(distance_px), np.inf, distance_px) <= 0.2 * size_px[:, None]


def _depth_of(poses: Poses, depth_m: FloatArray) -> np.ndarray:
    """Return the median depth at each person's joints, metres, NaN = none known."""
    depths = np.full(len(poses), np.nan)
    height, width = depth_m.shape
    for i, xy in enumerate(poses.xy_px):
        xy = np.rint(xy[~np.isnan(xy).any(axis=1)]).astype(int)
        inside = xy[(xy >= 0).all(axis=1) & (xy < (width, height)).all(axis=1)]
        values = depth_m[inside[:, 1], inside[:, 0]]
        if np.isfinite(values).any():
            depths[i] = np.nanmedian(values)
    return depths


def _score_from_above(frame: RealFrame, found: Poses) -> dict[str, float]:
    """Return counts of a frame with one person without joints, seen from straight above."""
    floor_m = float(np.nanmedian(frame.depth_m))
    persons = int((_depth_of(found, frame.depth_m) < floor_m - ABOVE_FLOOR_M).sum())
    return {"above": 1, "above_found": int(persons > 0), "extra": len(found) - int(persons > 0)}


def score_frame(frame: RealFrame, found: Poses) -> dict[str, float]:
    """Return counts of one frame: people, people found, joints, correct joints, extra detections."""
    if frame.name.startswith(FROM_ABOVE):
        return _score_from_above(frame, found)
    if not len(frame.truth):
        return {"empty": 1, "extra": len(found)}
    gt, dt = People.of([frame.truth], MVOR10), People.of([found], OPENPOSE18)
    matched = match_by_extent(gt, dt, PckConfig.strict())
    low, high = np.split(gt.extents_px(), 2, axis=1)
    size_px = (high - low).max(axis=1)
    annotated = ~np.isnan(gt.xy_px).any(axis=-1)
    detected = np.concatenate([dt.converted(MVOR10).xy_px, np.full((1, len(MVOR10), 2), np.nan)])[matched]
    as_found = _correct(np.linalg.norm(detected - gt.xy_px, axis=-1), size_px)
    swapped = detected[:, list(MVOR10.flip_permutation)]
    as_swapped = _correct(np.linalg.norm(swapped - gt.xy_px, axis=-1), size_px)
    either = np.where((as_swapped.sum(axis=1) > as_found.sum(axis=1))[:, None], as_swapped, as_found)
    extra = found.select(np.setdiff1d(np.arange(len(found)), matched))
    behind = _depth_of(extra, frame.depth_m) > np.nanmax(_depth_of(frame.truth, frame.depth_m)) + FAR_BEHIND_M
    return {
        "people": len(frame.truth),
        "found": int((matched >= 0).sum()),
        "joints": int(annotated.sum()),
        "correct": int((as_found & annotated).sum()),
        "correct_swap_allowed": int((either & annotated).sum()),
        "extra": len(extra) - int(behind.sum() if frame.others else 0),
        "extra_in_background": int(behind.sum() if frame.others else 0),
    }


Looked = list[tuple[RealFrame, Poses, dict[str, float]]]


def look(estimator: PoseEstimator, folder: Path, labels: str) -> Looked:
    """Return each frame of a label file with the people found in it and their counts."""
    each = []
    for frame in read_frames(folder, labels):
        (found,) = estimator.estimate([RgbdFrame(None, frame.depth_m, None)])
        each.append((frame, found, score_frame(frame, found)))
    return each


def scores_of(each: Looked) -> dict[str, float]:
    """Return the scores over all frames of a set."""

    def total(name: str) -> float:
        return sum(counts.get(name, 0) for _, _, counts in each)

    scores = {
        "people": total("people"),
        "found": total("found"),
        "pck_strict": round(100.0 * total("correct") / total("joints"), 1),
        "pck_swap_allowed": round(100.0 * total("correct_swap_allowed") / total("joints"), 1),
        "extra": total("extra"),
        "most_extra_in_a_frame": max(counts["extra"] for _, _, counts in each),
        "extra_in_background": total("extra_in_background"),
    }
    if total("empty"):
        scores["in_empty_rooms"] = sum(counts["extra"] for _, _, counts in each if "empty" in counts)
    if total("above"):
        scores |= {"above": total("above"), "above_found": total("above_found")}
    return scores


def draw(frame: RealFrame, found: Poses) -> np.ndarray:
    """Return a picture, uint8 (H, W, 3) blue first: depth, true joints as circles, found people as lines."""
    grey = np.nan_to_num(np.clip(1 - frame.depth_m / 6, 0, 1) * 255).astype(np.uint8)
    picture = cv2.cvtColor(grey, cv2.COLOR_GRAY2BGR)
    for i in range(len(found)):
        colour = tuple(int(c) for c in cv2.applyColorMap(np.uint8([[i * 47 % 256]]), cv2.COLORMAP_HSV)[0, 0])
        for a, b in OPENPOSE18.edges:
            ends = found.xy_px[i, [a, b]]
            if not np.isnan(ends).any():
                side = OPENPOSE18.joints[b].startswith("right")
                (x1, y1), (x2, y2) = np.rint(ends).astype(int).tolist()
                cv2.line(picture, (x1, y1), (x2, y2), (0, 0, 255) if side else colour, 2)
    for xy in frame.truth.xy_px.reshape(-1, 2):
        if not np.isnan(xy).any():
            cv2.circle(picture, (int(xy[0]), int(xy[1])), 4, (255, 255, 255), 1)
    return picture


def sheet(pictures: list[np.ndarray], height: int = 480) -> np.ndarray:
    """Return pictures of one height, two in a row."""
    same = [cv2.resize(p, (round(p.shape[1] * height / p.shape[0]), height)) for p in pictures]
    width = max(p.shape[1] for p in same)
    padded = [cv2.copyMakeBorder(p, 0, 0, 0, width - p.shape[1], cv2.BORDER_CONSTANT) for p in same]
    if len(padded) % 2:
        padded.append(np.zeros_like(padded[0]))
    return np.vstack([np.hstack(padded[i : i + 2]) for i in range(0, len(padded), 2)])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", help="name in weights/, or a .safetensors file")
    parser.add_argument("--data", type=Path, default=default_folder(), help="folder of the real recordings")
    parser.add_argument("--shrink", default="median", help="how the frames become low-resolution")
    parser.add_argument("--no-flip", action="store_true", help="without the flip test")
    parser.add_argument("--draw", type=Path, help="picture to write")
    parser.add_argument("--json", type=Path, help="scores to write")
    args = parser.parse_args()
    settings = EstimatorConfig(flip_test=not args.no_flip, depth_method=args.shrink, metric_3d=False)
    estimator = load_estimator(args.model, settings)
    scores, pictures = {}, []
    for name, labels in SETS.items():
        each = look(estimator, args.data, labels)
        for frame, found, counts in each:
            print(f"{frame.name}: {len(found)} detections, {counts}")
        scores[name] = scores_of(each)
        pictures += [draw(frame, found) for frame, found, _ in each]
    print(json.dumps(scores, indent=2))
    if args.json:
        args.json.write_text(json.dumps(scores, indent=2) + "\n")
    if args.draw:
        cv2.imwrite(str(args.draw), sheet(pictures))


if __name__ == "__main__":
    main()
