"""How fast network maps become people."""

from __future__ import annotations

import math
import time

import numpy as np

from orpose_core.benchmarking.text import milliseconds
from orpose_core.data.targets import render_targets
from orpose_core.decoding.paf import decode_paf
from orpose_core.skeleton import OPENPOSE18
from orpose_core.types import Poses


def decode(people: int = 8, repeats: int = 300) -> str:
    """Measure decoding alone, maps given: people apart from each other, 64x48 maps, one core.

    Args:
        people: drawn into the maps, at random places of a grid.
        repeats: of the same maps.
    """
    if people < 1 or repeats < 1:
        raise ValueError(f"expected at least 1 person and 1 repeat, got {people} and {repeats}")
    rng = np.random.default_rng(0)
    columns = math.ceil(math.sqrt(people))
    cell_px = np.array([640 / columns, 480 / columns])
    corners = np.array([[i % columns, i // columns] for i in range(people)]) * cell_px
    joints = len(OPENPOSE18)
    xy_px = corners[:, None] + rng.uniform(0.1, 0.9, size=(people, joints, 2)) * cell_px
    poses = Poses(
        OPENPOSE18,
        xy_px.astype(np.float32),
        np.ones((people, joints), np.float32),
        np.ones(people, np.float32),
        np.zeros((people, 4), np.float32),
    )
    targets = render_targets(poses, (480, 640), (48, 64))
    found = decode_paf(targets.keypoint_maps, targets.paf_maps, (480, 640))  # compiled before the clock runs
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        decode_paf(targets.keypoint_maps, targets.paf_maps, (480, 640))
        seconds.append(time.perf_counter() - start)
    return f"decoding {len(found)} of {people} people: {milliseconds(seconds)}"
