"""Frames of several domains of the synthetic room, one drawn for each sample."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from orpose_core.simulation import SimulatedFrame, StreamConfig, simulate_frame


def check_domains(domains: Sequence[str], shares: Sequence[float]) -> None:
    """Raise ValueError if there is no domain, or if the number of shares differs from that of domains."""
    if shares and len(shares) != len(domains):
        raise ValueError(f"data.domain_shares: expected one for each of {domains}, got {shares}")
    if not domains:
        raise ValueError("data.domains: expected at least one")


class DomainStreams:
    """One stream per domain. Every stream has a frame for every sample number.

    Args:
        domains: names of the domains.
        shares: relative frequency with which each domain is drawn; empty = all equally often.
        size_hw: (height, width) of the frames, px.
        modality: "depth" or "color".
        seed: seed of the simulation.
        crowd: number of additional people in a room, for all domains or one for each.
        varied_builds: share of the people whose proportions are beyond those of average adults.

    Attributes:
        streams: one per domain, in the order of ``domains``.
    """

    def __init__(
        self,
        domains: Sequence[str],
        shares: Sequence[float],
        size_hw: tuple[int, int],
        modality: str,
        seed: int,
        crowd: int | Sequence[int],
        varied_builds: float = 0.0,
    ) -> None:
        weights = np.asarray(shares or [1.0] * len(domains), np.float64)
        self._shares = weights / weights.sum()
        crowds = [crowd] * len(domains) if isinstance(crowd, int) else crowd
        self.streams = [
            StreamConfig(d, size_hw, modality, seed, crowd=more, varied_builds=varied_builds)
            for d, more in zip(domains, crowds, strict=True)
        ]

    def draw(self, rng: np.random.Generator) -> int:
        """Return the number of a domain, drawn with the probability of its share."""
        return int(rng.choice(len(self.streams), p=self._shares))

    def frame(self, index: int, rng: np.random.Generator) -> SimulatedFrame:
        """Return frame ``index`` of a domain that is drawn with ``rng``."""
        return simulate_frame(self.streams[self.draw(rng)], index)
