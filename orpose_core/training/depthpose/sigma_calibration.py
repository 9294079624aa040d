"""What makes a network's standard deviations true, measured on synthetic frames.

A joint's error over its ``sigma`` should be distributed as the length of a normal vector: within 1.51 of them
in 68 % of cases in the image (two axes), within 1.87 in space (three axes), 95 % within 2.45 and 2.80. Errors
are not normal: most joints are near, some are those of another limb or of the other side. So the two shares
cannot both be met; the factors here lie between those that meet one of them.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import nn

from orpose_core.checkpoints.files import Checkpoint
from orpose_core.decoding.paf import PafDecoderConfig
from orpose_core.estimators import EstimatorConfig, PoseEstimator, estimate_all
from orpose_core.estimators.map_settings import Calibration, MapSettings, SigmaModel
from orpose_core.evaluation.annotators import as_mvor_annotates
from orpose_core.metrics.pck import PckConfig, match_by_extent
from orpose_core.metrics.people import People
from orpose_core.models import MapConfig
from orpose_core.skeleton import Skeleton
from orpose_core.training.depthpose.threshold_choice import (
    ReadingConfig,
    choose_thresholds,
    synthetic_frames,
)
from orpose_core.types import Float64Array, Poses, RgbdFrame, Visibility

logger = logging.getLogger(__name__)

SIGMA_SEED = 3_518_264_907
_SHARES = (0.68, 0.95)
RADII_PX, RADII_M = (1.5096, 2.4477), (1.8724, 2.7955)  # of the chi distribution with 2 and 3 degrees
_FEWEST = 30  # errors that a quantile needs; with fewer that of more joints serves
_WEIGHTS = (0.6, 0.4)  # of the two quantiles: a few far joints would widen the sigmas of all
_SCORES = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.85, 1.0)


class Errors(NamedTuple):
    """Errors of joints that were found, one row each.

    Attributes:
        joint: int64 (k,).
        visible: bool (k,), what the network says; True where it says nothing.
        score: float64 (k,).
        px: float64 (k,), error in px.
        sigma_px: float64 (k,).
        m: float64 (k,), error in metres, NaN = no depth.
        sigma_m: float64 (k,), NaN = no depth.
    """

    joint: NDArray[np.int64]
    visible: NDArray[np.bool_]
    score: Float64Array
    px: Float64Array
    sigma_px: Float64Array
    m: Float64Array
    sigma_m: Float64Array


def joint_errors(truth: Sequence[Poses], found: Sequence[Poses], skeleton: Skeleton) -> Errors:
    """Compare people matched one to one, joint by joint.

    Args:
        truth: with visibility; those that MVOR's annotators would leave out are left out.
        found: with ``sigma_px`` and ``sigma_m``.
        skeleton: of ``found``.
    """
    asked = [as_mvor_annotates(poses).converted(skeleton) for poses in truth]
    matched = match_by_extent(People.of(asked, skeleton), People.of(found, skeleton), PckConfig.strict())
    pairs = np.flatnonzero(matched >= 0)
    if not len(pairs):
        nothing = np.zeros(0)
        return Errors(np.zeros(0, np.int64), np.zeros(0, bool), *[nothing] * 5)

    def rows(poses: Sequence[Poses], name: str, which: NDArray) -> NDArray:
        return np.concatenate([getattr(p, name) for p in poses if len(p)])[which]

    mine, theirs = matched[pairs], pairs
    px = np.linalg.norm(rows(found, "xy_px", mine) - rows(asked, "xy_px", theirs), axis=-1)
    metres = np.linalg.norm(rows(found, "xyz_cam_m", mine) - rows(asked, "xyz_cam_m", theirs), axis=-1)
    person, joint = np.nonzero(~np.isnan(px))
    visible = np.ones(len(joint), bool)
    if all(poses.visibility is not None for poses in found if len(poses)):
        visible = rows(found, "visibility", mine)[person, joint] == Visibility.VISIBLE
    scores, sigma_px, sigma_m = (rows(found, name, mine) for name in ("scores", "sigma_px", "sigma_m"))
    values = (scores, px, sigma_px, metres, sigma_m)
    return Errors(joint, visible, *(v[person, joint].astype(np.float64) for v in values))


def fitted(
    errors: Errors, ratios: Float64Array, radii: tuple[float, float], skeleton: Skeleton
) -> SigmaModel:
    """Return the sigmas, or factors of sigmas, under which the errors fill the radii as they should.

    Args:
        errors: their joints, visibility and scores.
        ratios: float64 (k,), errors over what the result is a factor of, NaN = unknown.
        radii: within which 68 % and 95 % should lie.
        skeleton: of the joints.
    """
    known = ~np.isnan(ratios)
    centres = np.asarray(_SCORES)
    edges = (centres[1:] + centres[:-1]) / 2
    bins = np.digitize(errors.score, edges)
    of_all = _factor(ratios[known], radii, 1.0)
    curves = []
    for seen in (False, True):
        of_kind = _factor(ratios[known & (errors.visible == seen)], radii, of_all)
        of_bins = [known & (bins == i) for i in range(len(centres))]
        both = [_factor(ratios[rows], radii, of_kind) for rows in of_bins]
        curves.append(
            tuple(
                _factor(ratios[rows & (errors.visible == seen)], radii, otherwise)
                for rows, otherwise in zip(of_bins, both, strict=True)
            )
        )
    curve = SigmaModel(_SCORES, (curves[0], curves[1]), ((1.0, 1.0),) * len(skeleton))
    hidden, visible = (np.interp(errors.score, _SCORES, c) for c in curve.curves)
    left = ratios / np.where(errors.visible, visible, hidden)
    joints = []
    for joint in range(len(skeleton)):
        own = known & (errors.joint == joint)
        factors = [_factor(left[own & (errors.visible == seen)], radii, 1.0) for seen in (False, True)]
        joints.append((factors[0], factors[1]))
    return replace(curve, joints=tuple(joints))


def coverage(errors: Errors) -> dict[str, float]:
    """Return the shares of joints within the radii of 68 % and 95 %, in the image and in space.

    Args:
        errors: of calibrated sigmas, to see whether they are true.
    """
    shares = {}
    for name, ratios, radii in (
        ("px", errors.px / errors.sigma_px, RADII_PX),
        ("m", errors.m / errors.sigma_m, RADII_M),
    ):
        known = ~np.isnan(ratios)
        groups = {"": known, "_visible": known & errors.visible, "_hidden": known & ~errors.visible}
        for group, rows in groups.items():
            for share, radius in zip(_SHARES, radii, strict=True):
                if rows.any():
                    inside = float((ratios[rows] <= radius).mean())
                    shares[f"{name}{group}_{100 * share:.0f}"] = round(inside, 4)
    return shares


def calibrated(estimator: PoseEstimator, config: ReadingConfig, map_hw: tuple[int, int]) -> Calibration:
    """Measure the factors on some synthetic frames, and their coverage on others.

    Args:
        estimator: with the network and its thresholds, without a calibration.
        config: which frames.
        map_hw: (height, width) of the network's maps.
    """
    skeleton = estimator.info.skeleton
    frames, truth = synthetic_frames(config, SIGMA_SEED)
    found = estimate_all(estimator, frames)
    cell_px = math.sqrt(math.prod(config.size_hw) / math.prod(map_hw))
    errors = joint_errors(truth, found, skeleton)
    px = fitted(errors, errors.px / cell_px, RADII_PX, skeleton)
    plain = Calibration(px, SigmaModel((0.0,), ((1.0,), (1.0,)), ((1.0, 1.0),) * len(skeleton)))

    def corrected(by: Calibration, poses: Sequence[Poses], of: Sequence[RgbdFrame]) -> list[Poses]:
        there = [estimator.place(by.in_image(p, cell_px), f) for p, f in zip(poses, of, strict=True)]
        return [by.in_space(p) for p in there]

    errors = joint_errors(truth, corrected(plain, found, frames), skeleton)
    calibration = Calibration(px, fitted(errors, errors.m / errors.sigma_m, RADII_M, skeleton))
    frames, truth = synthetic_frames(config, SIGMA_SEED + 1)
    errors = joint_errors(truth, corrected(calibration, estimate_all(estimator, frames), frames), skeleton)
    return replace(
        calibration,
        coverage=coverage(errors),
        measured_on=f"{config.frames} other frames of each of {', '.join(config.domains)}",
    )


def chosen_decoder(
    model: nn.Module, network: MapConfig, config: ReadingConfig, decoder: PafDecoderConfig
) -> PafDecoderConfig:
    """Return the thresholds that :func:`choose_thresholds` finds; see :func:`measured_settings`."""
    chosen, counts = choose_thresholds(_estimator(model, network), config, decoder)
    logger.info("%s: F1 %.3f, of %d tried", chosen, counts[chosen].f1, len(counts))
    return chosen


def measured_settings(
    model: nn.Module, network: MapConfig, config: ReadingConfig, decoder: PafDecoderConfig
) -> MapSettings:
    """Return how a network's maps are read best, for its weights file.

    Args:
        model: in evaluation mode; it stays on its device.
        network: what it was built from.
        config: on which frames, and what is tried.
        decoder: what is not tried.
    """
    chosen = chosen_decoder(model, network, config, decoder)
    estimator = _estimator(model, network)
    estimator.config = replace(estimator.config, decoder=chosen)
    return MapSettings(chosen, calibrated(estimator, config, network.map_hw))


def _estimator(model: nn.Module, network: MapConfig) -> PoseEstimator:
    """Return a network ready to estimate, on its device."""
    device = str(next(model.parameters()).device)
    return PoseEstimator(
        Checkpoint(model, network, "trained", "", "", True, {}), EstimatorConfig(device, "torch")
    )


def _factor(ratios: NDArray, radii: tuple[float, float], otherwise: float) -> float:
    """Return the factor between those that would put each of the errors' two quantiles on its radius."""
    if len(ratios) < _FEWEST:
        return otherwise
    quantiles = np.quantile(ratios, _SHARES)
    return float(np.exp(np.dot(_WEIGHTS, np.log(np.maximum(quantiles, 1e-6) / radii))))
