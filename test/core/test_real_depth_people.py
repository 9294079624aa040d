"""`benchmarks/real_depth_people.py` counts as it says, on people whose places are known."""

from __future__ import annotations

import importlib.util
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np

from orpose_core.skeleton import OPENPOSE18

REPOSITORY = Path(__file__).resolve().parents[2]


def test_the_real_depth_check_counts_what_it_says(realdata: Path) -> None:
    """Fed with the true people, their mirror twins and a stranger, not with a network."""
    spec = importlib.util.spec_from_file_location(
        "real_depth_people", REPOSITORY / "benchmarks/real_depth_people.py"
    )
    assert spec is not None and spec.loader is not None
    check = importlib.util.module_from_spec(spec)
    sys.modules["real_depth_people"] = check
    spec.loader.exec_module(check)
    frames = check.read_frames(realdata, check.SETS["people"])
    assert [len(frame.truth) for frame in frames] == [5, 1, 1, 1]
    for frame in frames:
        found = frame.truth.converted(OPENPOSE18)
        counts = check.score_frame(frame, found)
        assert counts["found"] == counts["people"] == len(frame.truth)
        # the head is where the eyes are, and this skeleton was given none
        heads = int((frame.truth.scores[:, 0] > 0).sum())
        assert counts["correct"] == counts["joints"] - heads and counts["extra"] == 0
        twins = replace(
            found,
            xy_px=found.xy_px[:, list(OPENPOSE18.flip_permutation)],
            scores=found.scores[:, list(OPENPOSE18.flip_permutation)],
        )
        swapped = check.score_frame(frame, twins)
        assert swapped["correct"] < swapped["correct_swap_allowed"] == counts["correct"]
        stranger = replace(found, xy_px=np.clip(found.xy_px / 20, 0, 20))
        lost = check.score_frame(frame, stranger)
        assert lost["found"] == 0 and lost["extra"] + lost["extra_in_background"] == len(frame.truth)
    more = check.read_frames(realdata, check.SETS["more"])
    assert [len(frame.truth) for frame in more] == [2, 1, 1, 1, *[0] * 7]
    nobody, above = more[4], more[5]
    found = frames[1].truth.converted(OPENPOSE18)
    assert check.score_frame(nobody, found) == {"empty": 1, "extra": 1}
    assert check.score_frame(nobody, found.select([])) == {"empty": 1, "extra": 0}
    row, column = np.unravel_index(np.nanargmin(above.depth_m), above.depth_m.shape)
    there = np.where(np.isnan(found.xy_px), np.float32(np.nan), np.array([column, row], np.float32))
    assert check.score_frame(above, replace(found, xy_px=there)) == {"above": 1, "above_found": 1, "extra": 0}
    assert check.score_frame(above, found.select([]))["above_found"] == 0
