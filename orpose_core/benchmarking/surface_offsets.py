"""How far joints lie behind the surface that depth shows: where the table in `geometry` comes from."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from scipy.optimize import least_squares

from orpose_core.benchmarking.text import aligned
from orpose_core.evaluation.annotators import as_mvor_annotates
from orpose_core.geometry.lookup_plan import MOST_BEYOND_M
from orpose_core.geometry.placement import look_up, placed
from orpose_core.image_ops import low_resolution_depth
from orpose_core.simulation import StreamConfig, simulate_frame
from orpose_core.skeleton import OPENPOSE18, body_part
from orpose_core.types import Float64Array, Poses, RgbdFrame, Visibility

_DOMAINS = ("or", "general", "anywhere")
_SIZE_HW, _SMALL_HW = (192, 256), (48, 64)
_SIGMA_PX = {Visibility.VISIBLE: 0.5, Visibility.OCCLUDED: 0.9}  # of fastpose_64x48, px of the 64x48 image
_TAIL_M = 0.05  # residuals beyond it count by their size, not their square


class PartErrors(NamedTuple):
    """What was measured of one part of the body, seen or hidden; one row for each joint that was found.

    Attributes:
        behind_m: float64 (k,), how far the joint lies behind the surface, along the ray.
        beyond_m: float64 (k,), see :class:`~orpose_core.geometry.placement.Lookup`; 0 where unknown.
        error_m: float64 (k,), distance from the truth of the joint that :func:`geometry.metric_3d` gives.
        sigma_m: float64 (k,), what it promises.
        wanted: how many joints there were.
    """

    behind_m: Float64Array
    beyond_m: Float64Array
    error_m: Float64Array
    sigma_m: Float64Array
    wanted: int


class Offset(NamedTuple):
    """How far a part lies behind the surface: ``mean_m + lean * beyond_m``; ``spread_m`` is what is left."""

    mean_m: float
    lean: float
    spread_m: float


def surface_offsets(frames: int = 300, seed: int = 77) -> str:
    """Measure how far joints lie behind the surface that a 64x48 depth image shows of them.

    The table in :mod:`geometry` comes from here. Joints that are hidden lean on neighbours that are placed by
    the table as it is, so a changed table is measured again until it changes no more.

    Args:
        frames: of each domain of the synthetic room.
        seed: of the rooms and of the disturbance of the joints.

    Returns:
        A table, per part, seen and hidden: the :class:`Offset`, how many joints were found, and how well
        :func:`geometry.metric_3d` does: median error, and the share within sqrt(3) sigma_m.
    """
    measured = part_errors(_simulated(frames, seed), np.random.default_rng(seed))
    rows: list[tuple[str, ...]] = [("part", "", "mean m", "lean", "spread m", "found", "error m", "within")]
    for (part, visibility), errors in sorted(measured.items()):
        hidden = visibility == Visibility.OCCLUDED
        offset = fitted_offset(errors.behind_m, errors.beyond_m if hidden else None)
        within = (errors.error_m < math.sqrt(3) * errors.sigma_m).mean()
        numbers = (*offset, len(errors.behind_m) / errors.wanted, np.median(errors.error_m), within)
        rows.append((part, "hidden" if hidden else "seen", *(f"{number:.3f}" for number in numbers)))
    return "\n".join(aligned(rows))


def part_errors(
    frames: Iterable[tuple[RgbdFrame, Poses]], generator: np.random.Generator
) -> dict[tuple[str, Visibility], PartErrors]:
    """Return what is measured in frames with their truth, by part of the body and visibility.

    Args:
        frames: with depth and intrinsics; poses with visibility and ``xyz_cam_m``.
        generator: disturbs the joints in the image as a network does.
    """
    rows: dict[tuple[str, Visibility], list[Float64Array]] = {}
    for frame, people in frames:
        truth = as_mvor_annotates(people).converted(OPENPOSE18)  # whom a network would find
        assert truth.xyz_cam_m is not None and truth.visibility is not None
        assert frame.depth_m is not None and frame.intrinsics is not None
        pixel = frame.intrinsics.width / _SMALL_HW[1]
        sigma = np.full(truth.scores.shape, np.nan, np.float32)
        for visibility, sigma_px in _SIGMA_PX.items():
            sigma[truth.visibility == visibility] = pixel * sigma_px
        noise = generator.normal(size=truth.xy_px.shape) * sigma[..., None]
        poses = replace(truth, xy_px=(truth.xy_px + noise).astype(np.float32), sigma_px=sigma)
        small_m = low_resolution_depth(frame.depth_m, _SMALL_HW)
        seen = look_up(poses, small_m, frame.intrinsics)
        found = placed(poses, seen)
        assert found.xyz_cam_m is not None and found.sigma_m is not None
        behind = (truth.xyz_cam_m * seen.rays).sum(axis=-1) - seen.surface_m
        error = np.linalg.norm(found.xyz_cam_m - truth.xyz_cam_m, axis=-1)
        columns = np.stack([behind, np.nan_to_num(seen.beyond_m), error, found.sigma_m], axis=-1)
        for (j, joint), visibility in itertools.product(enumerate(OPENPOSE18.joints), _SIGMA_PX):
            of_part = rows.setdefault((body_part(joint), visibility), [])
            of_part.append(columns[truth.visibility[:, j] == visibility, j])
    errors = {}
    for key, parts in rows.items():
        table = np.concatenate(parts)
        behind, beyond, error, sigma_m = table[np.isfinite(table[:, 0])].T
        if len(behind):
            errors[key] = PartErrors(behind, beyond, error, sigma_m, len(table))
    return errors


def fitted_offset(behind_m: Float64Array, beyond_m: Float64Array | None) -> Offset:
    """Return the offset that fits most joints; without ``beyond_m`` their median, with lean 0."""
    if beyond_m is None:
        low, middle, high = np.quantile(behind_m, (0.16, 0.5, 0.84))
        return Offset(float(middle), 0.0, float(high - low) / 2)
    beyond_m = np.clip(beyond_m, -MOST_BEYOND_M, MOST_BEYOND_M)
    fit = least_squares(
        lambda x: x[0] + x[1] * beyond_m - behind_m,
        (np.median(behind_m), 0.5),
        bounds=((0.0, 0.0), (np.inf, 1.0)),
        loss="soft_l1",
        f_scale=_TAIL_M,
    )
    low, high = np.quantile(-fit.fun, (0.16, 0.84))
    return Offset(float(fit.x[0]), float(fit.x[1]), float(high - low) / 2)


def _simulated(frames: int, seed: int) -> Iterator[tuple[RgbdFrame, Poses]]:
    for domain, index in itertools.product(_DOMAINS, range(frames)):
        simulated = simulate_frame(StreamConfig(domain, _SIZE_HW, "depth", seed), index)
        yield simulated.frame, simulated.poses
