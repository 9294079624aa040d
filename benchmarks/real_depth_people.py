"""Does a network trained in the synthetic room find real people? Four real depth frames, eight people.

    python benchmarks/real_depth_people.py depthpose_64x48 --draw real_people.png

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
import torch
from torch import nn

from orpose_core.checkpoints.files import load_checkpoint
from orpose_core.metrics.pck import PckConfig, match_by_extent
from orpose_core.metrics.people import People
from orpose_core.models import ModelConfig
from orpose_core.models.inference import bf16_is_fast
from orpose_core.skeleton import MVOR10, OPENPOSE18
from orpose_core.training.depthpose.samples import network_input
from orpose_core.training.depthpose.validation import ValidationConfig, detect
from orpose_core.types import FloatArray, Poses, boxes_of_xywh

LABELS = "depth_people_labels.json"
FAR_BEHIND_M = 1.0
"""An extra detection so far behind the last labelled person is in the background, where others may be."""


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


def read_frames(folder: Path) -> list[RealFrame]:
    """Read the labelled frames; ValueError names a file that is missing."""
    content = json.loads((folder / LABELS).read_text())
    if tuple(content["keypoint_names"]) != MVOR10.joints:
        raise ValueError(f"{folder / LABELS}: expected the joints {MVOR10.joints}")
    frames = []
    for image in content["images"]:
        path = folder / image["folder"] / image["depth"]
        raw = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        if raw is None or raw.dtype != np.uint16:
            raise ValueError(f"{path}: expected a 16-bit depth PNG in millimetres")
        depth_m = np.where(raw > 0, raw.astype(np.float32) / 1000, np.float32(np.nan))
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


def score_frame(frame: RealFrame, found: Poses) -> dict[str, float]:
    """Return counts of one frame: people, people found, joints, correct joints, extra detections."""
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


def evaluate(
    model: nn.Module, config: ModelConfig, folder: Path, shrink_method: str = "median", flip_test: bool = True
) -> tuple[dict[str, float], list[tuple[RealFrame, Poses, dict[str, float]]]]:
    """Return the scores over all frames, and each frame with its people and counts."""
    settings = ValidationConfig(shrink_method=shrink_method, flip_test=flip_test)
    half = bf16_is_fast(next(model.parameters()).device)
    each = []
    for frame in read_frames(folder):
        image = torch.from_numpy(network_input(frame.depth_m, config, shrink_method))[None]
        height, width = frame.depth_m.shape
        found = detect(model, image, (height, width), settings, half)[0]
        each.append((frame, found, score_frame(frame, found)))
    total = {name: sum(counts[name] for _, _, counts in each) for name in each[0][2]}
    scores = {
        "people": total["people"],
        "found": total["found"],
        "pck_strict": 100.0 * total["correct"] / total["joints"],
        "pck_swap_allowed": 100.0 * total["correct_swap_allowed"] / total["joints"],
        "most_extra_in_a_frame": max(counts["extra"] for _, _, counts in each),
        "extra_in_background": total["extra_in_background"],
    }
    return scores, each


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
    checkpoint = load_checkpoint(args.model)
    assert isinstance(checkpoint.config, ModelConfig)
    scores, each = evaluate(checkpoint.model, checkpoint.config, args.data, args.shrink, not args.no_flip)
    for frame, found, counts in each:
        print(f"{frame.name}: {len(found)} detections, {counts}")
    print(json.dumps(scores, indent=2))
    if args.json:
        args.json.write_text(json.dumps(scores, indent=2) + "\n")
    if args.draw:
        pictures = [draw(frame, found) for frame, found, _ in each]
        rows = [np.hstack(pictures[i : i + 2]) for i in range(0, len(pictures), 2)]
        cv2.imwrite(str(args.draw), np.vstack(rows))


if __name__ == "__main__":
    main()
