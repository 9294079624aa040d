"""The 1 Euro filter of a person's joints, with a clock for each joint.

Casiez, Roussel, Vogel: "1 Euro Filter: A Simple Speed-based Low-pass Filter for Noisy Input in Interactive
Systems", CHI 2012.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from orpose_core.tracking.config import OneEuroConfig
from orpose_core.types import FloatArray


@dataclass
class OneEuro:
    """The 1 Euro filter of one person's joints, each with its own clock."""

    values: FloatArray
    rates: FloatArray = field(init=False)
    stamps_ns: NDArray[np.int64] = field(init=False)

    def __post_init__(self) -> None:
        self.values = np.full_like(self.values, np.nan)
        self.rates = np.zeros_like(self.values)
        self.stamps_ns = np.zeros(len(self.values), np.int64)

    def update(
        self, measured: FloatArray, stamp_ns: int, unit: float, longest_s: float, config: OneEuroConfig
    ) -> FloatArray:
        """Return the filtered joints, (n, d); ``unit`` is the length that one unit of speed refers to.

        A joint absent now stays absent (nothing is invented), one absent for longer than ``longest_s`` starts
        afresh. One joint's cutoff follows its speed as a vector, so that the axes have no say in it.
        """
        dt_s = np.maximum(stamp_ns - self.stamps_ns, 0) * 1e-9
        there = np.asarray(~np.isnan(measured).any(axis=-1))
        fresh = there & (np.isnan(self.values).any(axis=-1) | (dt_s > longest_s))
        self.values[fresh], self.rates[fresh] = measured[fresh], 0
        self.stamps_ns[fresh] = stamp_ns
        moves = there & ~fresh & (dt_s > 0)
        dt = dt_s[moves, None].astype(np.float32)
        rates = (measured[moves] - self.values[moves]) / dt
        self.rates[moves] += _share(config.derivative_cutoff_hz, dt) * (rates - self.rates[moves])
        speed = np.linalg.norm(self.rates[moves], axis=-1, keepdims=True) / unit
        cutoff_hz = config.min_cutoff_hz + config.beta * speed
        self.values[moves] += _share(cutoff_hz, dt) * (measured[moves] - self.values[moves])
        self.stamps_ns[moves] = stamp_ns
        return np.where(there[:, None], self.values, np.float32(np.nan)).astype(np.float32)


def _share(cutoff_hz: float | NDArray, dt_s: NDArray) -> NDArray:
    """Return what a new measurement weighs in a first-order low-pass filter (Casiez et al., eq. 5)."""
    return (1 / (1 + 1 / (2 * np.pi * np.asarray(cutoff_hz, np.float32) * dt_s))).astype(np.float32)
