"""How far joints lie behind the surface that depth shows: where the table in `geometry` comes from."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import numpy as np

from orpose_core.benchmarking.text import aligned
from orpose_core.geometry import SURFACE_OFFSETS, metric_3d
from orpose_core.image_ops import low_resolution_depth
from orpose_core.simulation import StreamConfig, simulate_frame
from orpose_core.skeleton import OPENPOSE18
from orpose_core.types import Visibility


def surface_offsets(frames: int = 300, seed: int = 77, sigma_px: float = 0.35) -> str:
    """Measure how far joints lie behind the surface that a 64x48 depth image shows of them.

    The table in :mod:`geometry` comes from here. Synthetic rooms of both domains, joints that are in view,
    their 2D position disturbed as a network's would be.

    Args:
        frames: of each domain.
        seed: of the rooms and the disturbance.
        sigma_px: standard deviation of the disturbance, px of the 64x48 image.

    Returns:
        A table, per part: median and spread (half of the middle 68 %), metres; how many joints were found,
        and how well :func:`geometry.metric_3d` does: median error, and the share within sqrt(3) sigma_m.
    """
    generator = np.random.default_rng(seed)
    measured: dict[str, list[tuple[float, float, float]]] = {}
    wanted: dict[str, int] = {}
    for domain, index in itertools.product(("or", "general"), range(frames)):
        simulated = simulate_frame(StreamConfig(domain, (480, 640), "depth", seed), index)
        truth = simulated.poses.converted(OPENPOSE18)
        if not len(truth):
            continue
        assert truth.xyz_cam_m is not None and truth.visibility is not None
        assert simulated.frame.depth_m is not None and simulated.frame.intrinsics is not None
        noise = generator.normal(0, 10 * sigma_px, truth.xy_px.shape)
        sigma = np.where(truth.scores > 0, np.float32(10 * sigma_px), np.float32(np.nan))
        poses = replace(
            truth, xy_px=(truth.xy_px + noise).astype(np.float32), sigma_px=sigma, visibility=None
        )
        small = low_resolution_depth(simulated.frame.depth_m, (48, 64))
        found = metric_3d(poses, small, simulated.frame.intrinsics)
        assert found.xyz_cam_m is not None and found.sigma_m is not None
        distance = np.linalg.norm(found.xyz_cam_m, axis=-1)
        along = (truth.xyz_cam_m * found.xyz_cam_m).sum(axis=-1) / distance  # the truth, along the ray
        error = np.linalg.norm(found.xyz_cam_m - truth.xyz_cam_m, axis=-1)
        for m, j in zip(*np.nonzero(truth.visibility == Visibility.VISIBLE), strict=True):
            part = OPENPOSE18.joints[j].removeprefix("left_").removeprefix("right_")
            wanted[part] = wanted.get(part, 0) + 1
            if np.isfinite(distance[m, j]):
                offset = along[m, j] - distance[m, j] + SURFACE_OFFSETS[part].mean_m
                measured.setdefault(part, []).append((offset, error[m, j], found.sigma_m[m, j]))
    rows: list[tuple[str, ...]] = [("part", "mean m", "spread m", "found", "error m", "within")]
    for part, values in sorted(measured.items()):
        offset, error, sigma = np.array(values).T
        low, middle, high = np.quantile(offset, (0.16, 0.5, 0.84))
        within = (error < math.sqrt(3) * sigma).mean()
        share = len(offset) / wanted[part]
        numbers = f"{middle:.3f}", f"{(high - low) / 2:.3f}", f"{share:.3f}", f"{np.median(error):.3f}"
        rows.append((part, *numbers, f"{within:.3f}"))
    return "\n".join(aligned(rows))
