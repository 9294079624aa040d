"""Settings of the fusion of one moment."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from orpose_core.fusion.body_prior import HEIGHT_SPREAD_M, LENGTH_SPREAD


@dataclass(frozen=True)
class FusionConfig:
    """How the skeletons of several cameras become one per person.

    Attributes:
        min_joints: people with fewer joints in an image are ignored there.
        joint_sigma: deviation of a 2D joint without a sigma, times its OKS constant, m on the person.
        least_score: confidences below count as this; a joint's deviation rises with 1/sqrt(confidence).
        calibration_rad: deviation of every ray, by the calibration and by what moves between exposures.
        depth_sigma_m: deviation of a measured depth without a sigma.
        least_depth_sigma_m: no measured depth is taken to be surer than this.
        twice_share: two people of one image whose joints lie closer than this share of their extent are one.
        ray_range_m: rays of different people pass each other at anything up to this distance.
        depth_range_m: people are anywhere within this length of a ray.
        joint_weight: how many independent statements the joints of a pair of detections are worth at most.
        min_gain: log odds that two detections are one person must exceed this.
        flip_nats: cost of saying that a view has left and right exchanged.
        max_residual: a view whose median joint is off by more than so many deviations is none of this person.
        iterations_alone: of the search with one view, at most.
        iterations: of the search with all views, at most.
        length_spread: deviation of the bones' lengths, as a share.
        height_spread_m: deviation of the heights of shoulders, hips, head and pelvis.
        stature_spread: people differ in size by this share; somebody seen by one camera without depth is that
            much less sure along the rays.
        single_min_joints: a person whom one camera sees, and nobody tracks, must have so many joints.
        single_min_score: and a mean confidence of so much.
        same_place: somebody seen by one camera within so many deviations of somebody surer is that person.
        max_sigma_m: a joint less sure than this is unknown.
    """

    min_joints: int = 3
    joint_sigma: float = 0.6
    least_score: float = 0.1
    calibration_rad: float = 0.004
    depth_sigma_m: float = 0.12
    least_depth_sigma_m: float = 0.03
    twice_share: float = 0.12
    ray_range_m: float = 1.0
    depth_range_m: float = 3.0
    joint_weight: float = 4.0
    min_gain: float = 1.0
    flip_nats: float = 2.0
    max_residual: float = 6.0
    iterations_alone: int = 4
    iterations: int = 8
    length_spread: float = LENGTH_SPREAD
    height_spread_m: float = HEIGHT_SPREAD_M
    stature_spread: float = 0.07
    single_min_joints: int = 6
    single_min_score: float = 0.2
    same_place: float = 3.0
    max_sigma_m: float = 0.6

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if name == "min_gain":
                continue
            if not (value >= 0 if name in ("single_min_score", "flip_nats") else value > 0):
                raise ValueError(f"FusionConfig.{name}: expected a positive number, got {value}")

    def limits(self) -> Limits:
        """Return the numbers that compiled code needs."""
        return Limits(*(float(getattr(self, name)) for name in Limits._fields))


class Limits(NamedTuple):
    """Numbers of :class:`FusionConfig`, as compiled code takes them."""

    joint_sigma: float
    least_score: float
    calibration_rad: float
    ray_range_m: float
    depth_range_m: float
    joint_weight: float
    min_gain: float
    flip_nats: float
    max_residual: float
    iterations_alone: float
    iterations: float
    length_spread: float
    height_spread_m: float
    stature_spread: float
    twice_share: float
