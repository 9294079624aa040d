"""Settings of the tracker and of the smoother, and how sure an identity is."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum


class TrackState(IntEnum):
    """How sure a person's identity is; the values of ``Skeleton2D.track_state``."""

    UNTRACKED = 0
    TENTATIVE = 1
    CONFIRMED = 2
    PREDICTED = 3


@dataclass(frozen=True)
class OneEuroConfig:
    """Settings of the 1 Euro filter. Less ``min_cutoff_hz`` = less jitter at rest, more ``beta`` = less lag.

    Attributes:
        min_cutoff_hz: cutoff frequency of a joint at rest.
        beta: how much the cutoff rises per unit of speed: Hz per body size a second in 2D (the body size is
            the square root of the box's area, about 0.9 m for an adult), Hz per m/s in 3D.
        derivative_cutoff_hz: cutoff frequency of the speed estimate.
    """

    min_cutoff_hz: float = 1.5
    beta: float = 4.0
    derivative_cutoff_hz: float = 1.0

    def __post_init__(self) -> None:
        if self.min_cutoff_hz <= 0 or self.derivative_cutoff_hz <= 0 or self.beta < 0:
            raise ValueError(f"OneEuroConfig: cutoffs must be positive and beta not negative, got {self}")


@dataclass(frozen=True)
class TrackerConfig:
    """Settings of :class:`Tracker`.

    Attributes:
        min_similarity: a detection less similar than this to every track, in [0, 1], begins a new one.
        slack: how far a joint may wander between frames by detection noise only, in body sizes (added to the
            joint's OKS constant).
        motion_per_s: how fast people may deviate from their predicted way, in body sizes a second.
        motion_m_per_s: the same for the 3D joints, in m/s.
        slack_m: noise of the 3D joints, m.
        velocity_time_s: time constant over which velocities are averaged, and over which a prediction comes
            to rest while its person is not seen.
        confirm_hits: this many detections make a track CONFIRMED.
        tentative_gap_s: a TENTATIVE track that is not seen for longer is forgotten.
        max_gap_s: a CONFIRMED track that is not seen for longer is forgotten; its id is never given again.
        smoothing: settings of the smoother, or None for joints exactly as detected.
    """

    min_similarity: float = 0.2
    slack: float = 0.1
    motion_per_s: float = 1.0
    motion_m_per_s: float = 1.0
    slack_m: float = 0.15
    velocity_time_s: float = 0.3
    confirm_hits: int = 3
    tentative_gap_s: float = 0.3
    max_gap_s: float = 1.0
    smoothing: OneEuroConfig | None = None

    def __post_init__(self) -> None:
        if not 0 < self.min_similarity <= 1:
            raise ValueError(f"TrackerConfig.min_similarity: expected (0, 1], got {self.min_similarity}")
        for name in ("slack", "motion_per_s", "motion_m_per_s", "slack_m", "velocity_time_s"):
            if getattr(self, name) <= 0:
                raise ValueError(
                    f"TrackerConfig.{name}: expected a positive number, got {getattr(self, name)}"
                )
        if self.tentative_gap_s < 0 or self.max_gap_s <= 0 or self.confirm_hits < 1:
            raise ValueError(f"TrackerConfig: expected gaps in seconds and at least 1 hit, got {self}")
