"""Whether people keep their ids over time: IDF1 and switches.

IDF1 as in Ristani et al.: "Performance Measures and a Data Set for Multi-Target, Multi-Camera Tracking"
(ECCV 2016 workshops); switches as in CLEAR MOT (Bernardin, Stiefelhagen, 2008): a person's last pair is
kept while it is near enough, and the rest is paired at the least sum of distances.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy.optimize import linear_sum_assignment

from orpose_core.types import Float64Array


@dataclass
class IdentityCounts:
    """Counts over the moments of one recording; ids are unique in it.

    Attributes:
        true: how often somebody was there.
        found: how often somebody was said to be there, at a place that counts.
        matched: how often both were paired.
        switches: how often a person was paired with another id than the time before.
    """

    true: int = 0
    found: int = 0
    matched: int = 0
    switches: int = 0
    _near: Counter[tuple[int, int]] = field(default_factory=Counter)
    _last: dict[int, int] = field(default_factory=dict)
    _holder: dict[int, int] = field(default_factory=dict)  # who had an id last

    def add(
        self, true_ids: Sequence[int], found_ids: Sequence[int], distance_m: Float64Array, gate_m: float
    ) -> list[tuple[int, int]]:
        """Add a moment and return the pairs, (row of the truth, row of the found).

        Args:
            true_ids: of everybody who is there.
            found_ids: of everybody who was found.
            distance_m: float64 (true, found); NaN = cannot be told, which is never a pair.
            gate_m: pairs are nearer than this.
        """
        near = np.asarray(distance_m < gate_m)  # NaN is not
        self.true += len(true_ids)
        self.found += len(found_ids)
        for t, f in np.argwhere(near).tolist():
            self._near[true_ids[t], found_ids[f]] += 1
        pairs = self._kept(true_ids, found_ids, near)
        free_t = [t for t in range(len(true_ids)) if t not in {p[0] for p in pairs}]
        free_f = [f for f in range(len(found_ids)) if f not in {p[1] for p in pairs}]
        cost = np.where(near, distance_m, 1e6)[np.ix_(free_t, free_f)]
        for a, b in zip(*linear_sum_assignment(cost), strict=True):
            if cost[a, b] < gate_m:
                pairs.append((free_t[a], free_f[b]))
        for t, f in pairs:
            before = self._last.get(true_ids[t])
            self.switches += before is not None and before != found_ids[f]
            self._last[true_ids[t]], self._holder[found_ids[f]] = found_ids[f], true_ids[t]
        self.matched += len(pairs)
        return pairs

    def _kept(
        self, true_ids: Sequence[int], found_ids: Sequence[int], near: np.ndarray
    ) -> list[tuple[int, int]]:
        """Return each person's last pair that is still near enough, unless somebody else had the id since."""
        row = {number: f for f, number in enumerate(found_ids)}
        kept = []
        for t, number in enumerate(true_ids):
            last = self._last.get(number)
            if last is not None and last in row and self._holder[last] == number and near[t, row[last]]:
                kept.append((t, row[last]))
        return kept

    def idf1(self) -> float:
        """Return IDF1 in [0, 1]; NaN where nobody was there and nobody found."""
        truths, founds = (sorted({pair[k] for pair in self._near}) for k in (0, 1))
        together = np.zeros((len(truths), len(founds)))
        for (t, f), count in self._near.items():
            together[truths.index(t), founds.index(f)] = count
        best = together[linear_sum_assignment(together, maximize=True)].sum()
        total = self.true + self.found
        return float(2 * best / total) if total else float("nan")
