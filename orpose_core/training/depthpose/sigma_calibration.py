"""Calibration of a network's standard deviations on synthetic frames.

The errors of joints, divided by their standard deviations, should be distributed by the law of
:mod:`orpose_core.metrics.sigma_law`. For each score, of joints that are hidden and of visible ones, the
deviation is the one that puts the two shares of that law on their radii.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import nn

from orpose_core.checkpoints.files import Checkpoint, load_checkpoint, save_checkpoint
from orpose_core.decoding.paf import PafDecoderConfig
from orpose_core.estimators import EstimatorConfig, PoseEstimator, estimate_all
from orpose_core.estimators.map_settings import Calibration, MapSettings, SigmaModel
from orpose_core.evaluation.annotators import as_mvor_annotates
from orpose_core.metrics.pck import PckConfig, match_by_extent
from orpose_core.metrics.people import People
from orpose_core.metrics.sigma_law import RADII_PX, SHARES, radii_m
from orpose_core.models import MapConfig
from orpose_core.skeleton import Skeleton
from orpose_core.training.depthpose.threshold_choice import (
    ReadingConfig,
    choose_thresholds,
    synthetic_frames,
)
from orpose_core.types import Float64Array, Intrinsics, Poses, RgbdFrame, Visibility

logger = logging.getLogger(__name__)

SIGMA_SEED = 3_518_264_907
_FEWEST = 30  # errors that a quantile needs; with fewer that of more joints serves
_SCORES = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.85, 1.0)


class Errors(NamedTuple):
    """Errors of joints that were found, one row each.

    Attributes:
        joint: int64 (k,).
        visible: bool (k,), visibility as predicted by the network; True if it predicts none.
        score: float64 (k,).
        px: float64 (k,), error in px.
        sigma_px: float64 (k,).
        m: float64 (k,), error in metres, NaN = no depth.
        sigma_m: float64 (k,), NaN = no depth.
        along: float64 (k,) in [0, 1], the share of the variance in space that lies along the ray, NaN = no
            depth; a third where it is not known.
    """

    joint: NDArray[np.int64]
    visible: NDArray[np.bool_]
    score: Float64Array
    px: Float64Array
    sigma_px: Float64Array
    m: Float64Array
    sigma_m: Float64Array
    along: Float64Array


def joint_errors(
    truth: Sequence[Poses],
    found: Sequence[Poses],
    skeleton: Skeleton,
    intrinsics: Sequence[Intrinsics | None] | None = None,
) -> Errors:
    """Return the errors of the joints of people who are matched one to one.

    Args:
        truth: ground truth with visibility. People whom MVOR's annotators would leave out are left out.
        found: detections with ``sigma_px`` and ``sigma_m``.
        skeleton: skeleton of ``found``.
        intrinsics: of the images that the joints are in; None = unknown.
    """
    asked = [as_mvor_annotates(poses).converted(skeleton) for poses in truth]
    matched = match_by_extent(People.of(asked, skeleton), People.of(found, skeleton), PckConfig.strict())
    pairs = np.flatnonzero(matched >= 0)
    if not len(pairs):
        nothing = np.zeros(0)
        return Errors(np.zeros(0, np.int64), np.zeros(0, bool), *[nothing] * 6)

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
    z_m = rows(found, "xyz_cam_m", mine)[..., 2]
    cameras = [None] * len(found) if intrinsics is None else intrinsics
    focal_px = np.concatenate(
        [
            np.full(len(p), np.nan if k is None else math.sqrt(k.fx * k.fy))
            for p, k in zip(found, cameras, strict=True)
        ]
    )[mine]
    with np.errstate(invalid="ignore"):
        along = 1 - 2 / 3 * (sigma_px * z_m / focal_px[:, None] / sigma_m) ** 2
    along = np.where(np.isnan(along), np.where(np.isnan(sigma_m), np.nan, 1 / 3), np.clip(along, 0, 1))
    values = (scores, px, sigma_px, metres, sigma_m, along)
    return Errors(joint, visible, *(v[person, joint].astype(np.float64) for v in values))


def fitted(
    errors: Errors,
    ratios: Float64Array,
    radii: tuple[float, ...] | Float64Array,
    skeleton: Skeleton,
) -> SigmaModel:
    """Return the sigmas, or factors of sigmas, for which the expected shares of errors lie within the radii.

    Args:
        errors: joints, visibility and scores of the errors.
        ratios: float64 (k,), errors divided by the quantity that the result multiplies, NaN = unknown.
        radii: radii within which 68 % and 95 % should lie, of all or float64 (k, 2).
        skeleton: skeleton of the joints.
    """
    known = ~np.isnan(ratios)
    relative = ratios[:, None] / np.broadcast_to(radii, (len(ratios), 2))
    centres = np.asarray(_SCORES)
    edges = (centres[1:] + centres[:-1]) / 2
    bins = np.digitize(errors.score, edges)
    of_all = _factor(relative[known], 1.0)
    curves = []
    for seen in (False, True):
        of_kind = _factor(relative[known & (errors.visible == seen)], of_all)
        of_bins = [known & (bins == i) for i in range(len(centres))]
        both = [_factor(relative[rows], of_kind) for rows in of_bins]
        curves.append(
            tuple(
                _factor(relative[rows & (errors.visible == seen)], otherwise)
                for rows, otherwise in zip(of_bins, both, strict=True)
            )
        )
    curve = SigmaModel(_SCORES, (curves[0], curves[1]), ((1.0, 1.0),) * len(skeleton))
    hidden, visible = (np.interp(errors.score, _SCORES, c) for c in curve.curves)
    left = relative / np.where(errors.visible, visible, hidden)[:, None]
    joints = []
    for joint in range(len(skeleton)):
        own = known & (errors.joint == joint)
        factors = [_factor(left[own & (errors.visible == seen)], 1.0) for seen in (False, True)]
        joints.append((factors[0], factors[1]))
    return replace(curve, joints=tuple(joints))


def coverage(errors: Errors) -> dict[str, float]:
    """Return the shares of joints within the radii of 68 % and 95 %, in the image and in space.

    Args:
        errors: errors of detections with calibrated sigmas.
    """
    shares = {}
    for name, ratios, radii in (
        ("px", errors.px / errors.sigma_px, np.broadcast_to(RADII_PX, (len(errors.px), 2))),
        ("m", errors.m / errors.sigma_m, radii_m(errors.along)),
    ):
        known = ~np.isnan(ratios)
        groups = {"": known, "_visible": known & errors.visible, "_hidden": known & ~errors.visible}
        for group, rows in groups.items():
            for i, share in enumerate(SHARES):
                if rows.any():
                    inside = float((ratios[rows] <= radii[rows, i]).mean())
                    shares[f"{name}{group}_{100 * share:.0f}"] = round(inside, 4)
    return shares


def calibrated(estimator: PoseEstimator, config: ReadingConfig, map_hw: tuple[int, int]) -> Calibration:
    """Measure the factors on some synthetic frames, and their coverage on others.

    Args:
        estimator: the network with its thresholds, without a calibration.
        config: the frames.
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

    cameras = [frame.intrinsics for frame in frames]
    errors = joint_errors(truth, corrected(plain, found, frames), skeleton, cameras)
    ratios = errors.m / errors.sigma_m
    calibration = Calibration(px, fitted(errors, ratios, radii_m(errors.along), skeleton))
    # The radii are those of the shape that the deviations have once they are calibrated.
    along = joint_errors(truth, corrected(calibration, found, frames), skeleton, cameras).along
    calibration = Calibration(px, fitted(errors, ratios, radii_m(along), skeleton))
    frames, truth = synthetic_frames(config, SIGMA_SEED + 1)
    found = corrected(calibration, estimate_all(estimator, frames), frames)
    errors = joint_errors(truth, found, skeleton, [frame.intrinsics for frame in frames])
    return replace(
        calibration,
        coverage=coverage(errors),
        measured_on=f"{config.frames} other frames of each of {', '.join(config.domains)}",
        law="t4",
    )


def measured_settings(
    model: nn.Module, network: MapConfig, config: ReadingConfig, decoder: PafDecoderConfig
) -> MapSettings:
    """Return the settings with which the maps of a network are decoded best, for its weights file.

    Args:
        model: the network in evaluation mode; it stays on its device.
        network: config of the network.
        config: the frames, and the thresholds to try.
        decoder: all other settings of the decoder.
    """
    device = str(next(model.parameters()).device)
    checkpoint = Checkpoint(model, network, "trained", "", "", True, {})
    estimator = PoseEstimator(checkpoint, EstimatorConfig(device, "torch"))
    chosen, counts = choose_thresholds(estimator, config, decoder)
    logger.info("%s: F1 %.3f, of %d tried", chosen, counts[chosen].f1, len(counts))
    estimator.config = replace(estimator.config, decoder=chosen)
    return MapSettings(chosen, calibrated(estimator, config, network.map_hw))


def recalibrate(
    name_or_path: str | Path, config: ReadingConfig, to: str | Path | None = None
) -> tuple[Calibration | None, Calibration]:
    """Measure the standard deviations of a network again, with the thresholds that its file has.

    Args:
        name_or_path: weights of a network that answers with maps.
        config: the frames.
        to: where to write the same weights with the new calibration; None = nowhere. May be the file itself.

    Returns:
        The calibration that the file has, if it has one, and the new one.

    Raises:
        ValueError: the network does not answer with maps of depth.
    """
    checkpoint = load_checkpoint(name_or_path)
    network = checkpoint.config
    if not isinstance(network, MapConfig) or network.modality != "depth":
        raise ValueError(f"{checkpoint.name}: expected a network that answers with maps of depth")
    before = MapSettings.from_header(checkpoint.name, checkpoint.metadata)
    metadata = {key: value for key, value in checkpoint.metadata.items() if key != "calibration"}
    bare = replace(checkpoint, metadata=metadata)
    estimator = PoseEstimator(bare, EstimatorConfig("cpu", "torch"))
    after = replace(before, calibration=calibrated(estimator, config, network.map_hw))
    if to is not None:
        save_checkpoint(to, checkpoint.model, {**metadata, **after.header()}, half=True)
    assert after.calibration is not None
    return before.calibration, after.calibration


def _factor(relative: NDArray, otherwise: float) -> float:
    """Return the geometric mean of the factors that would put the two quantiles of the errors on their radii.

    Args:
        relative: float (k, 2), errors as multiples of the two radii.
        otherwise: what is returned where there are too few errors.
    """
    if len(relative) < _FEWEST:
        return otherwise
    quantiles = [np.quantile(of_radius, share) for of_radius, share in zip(relative.T, SHARES, strict=True)]
    return float(np.exp(np.log(np.maximum(quantiles, 1e-6)).mean()))
