"""Score detections against annotations: python evaluate_file.py ANNOTATIONS.json DETECTIONS.json."""

from __future__ import annotations

import sys

from orpose_core import evaluate_files


def main() -> None:
    """Read COCO-style files, as `orpose simulate` and `orpose estimate` write them, and print the scores."""
    scores = evaluate_files(sys.argv[1], sys.argv[2]).scores
    print(f"{scores['images']} images, {scores['people']} people, {scores['detections']} detections")
    for name in ("pck", "pck_strict"):  # as published, and without the flaws of the published evaluator
        if name in scores:
            print(f"{name:12} {scores[name]['Average']:.1f} %")
    for name in ("box_ap", "keypoint_ap"):
        if name in scores:
            print(f"{name:12} {100 * scores[name]['AP']:.1f} %")
    if "mpjpe" in scores:
        print(f"mpjpe        {scores['mpjpe']['MPJPE']:.0f} mm")


if __name__ == "__main__":
    main()
