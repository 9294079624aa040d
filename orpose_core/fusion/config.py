"""Settings of the fusion of one moment."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from orpose_core.fusion.body_prior import HEIGHT_SPREAD_M, LENGTH_SPREAD


@dataclass(frozen=True)
class FusionConfig:
    """Settings of the fusion of several cameras.

    Attributes:
        min_joints: people with fewer joints in an image are ignored there.
        joint_sigma: deviation of a 2D joint without a sigma, times its OKS constant, m on the person.
        least_score: lower confidences count as this; a joint's deviation rises with 1/sqrt(confidence).
        calibration_rad: deviation of every ray due to calibration errors and motion between exposures.
        depth_sigma_m: deviation of a measured depth without a sigma.
        least_depth_sigma_m: lower bound of the deviation of a measured depth.
        twice_share: two people of one image whose joints lie closer than this share of their extent are one.
        ray_range_m: rays of different people pass each other at a uniform distance up to this.
        depth_range_m: people are uniformly distributed over this length of a ray.
        joint_weight: the joints of a pair of detections count as at most this many independent measurements.
        min_gain: log odds that two detections are one person must exceed this.
        flip_nats: cost of the hypothesis that a view has left and right exchanged.
        max_residual: a view does not show this person if its median residual exceeds this many deviations.
        iterations_alone: of the search with one view, at most.
        iterations: of the search with all views, at most.
        length_spread: deviation of the bones' lengths, as a share.
        height_spread_m: deviation of the heights of shoulders, hips, head and pelvis.
        stature_spread: relative deviation of people's sizes, which adds to the deviation along the rays of a
            person seen by one camera without depth.
        single_min_joints: fewest joints of an untracked person seen by only one camera.
        single_min_score: lowest mean confidence of such a person.
        same_place: a person seen by one camera within this many deviations of a more certain person is the
            same.
        max_sigma_m: a joint with a larger deviation is unknown.
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
