"""Whether a change of PCK on a site's test part is more than chance: an interval over blocks of time.

Frames that follow each other show the same people in the same places, so a bootstrap over single frames would
give an interval that is too narrow. The test part is cut into blocks of time, and whole blocks are resampled
(:func:`orpose_core.metrics.pck_interval.difference_interval`), the same ones before and after. With few
blocks, the percentiles of a bootstrap are too close together; they are moved outward to those that a
Student's t interval would have (the expanded percentile interval; Hesterberg 2015, "What Teachers Should Know
About the Bootstrap", Sect. 5.2).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, stdtrit

from orpose_core.adaptation.splitting import Shot, sessions
from orpose_core.metrics.pck_interval import FrameCounts, difference_interval

BLOCK_S = 60.0
"""Length of a block. Shorter ones would show the same people in the same places as the ones beside them."""
FEWEST_BLOCKS = 6
"""With fewer blocks there is no interval: it would hardly be narrower than all that can be drawn."""
_CONFIDENCE = 0.95


def time_blocks(shots: Sequence[Shot], block_s: float = BLOCK_S) -> NDArray[np.int64] | None:
    """Return the block of time that each image belongs to.

    Images of all cameras of one session share its blocks: they show the same moments. A pause that is longer
    than a block begins a new one. What is between two pauses is cut into equal blocks of about
    ``block_s``, into one if it is shorter.

    Args:
        shots: of the images.
        block_s: seconds.

    Returns:
        int64 (f,), numbers of blocks from 0; None = an image has no time.
    """
    stamps_s = np.array([shot.stamp_ns for shot in shots], np.float64) / 1e9
    if not stamps_s.all():
        return None
    block = np.zeros(len(shots), np.int64)
    count = 0
    for session in sessions(shots):
        own = np.array(session)[np.argsort(stamps_s[session], kind="stable")]
        pauses = np.flatnonzero(np.diff(stamps_s[own]) > block_s) + 1
        for piece in np.split(own, pauses):
            since_s = stamps_s[piece] - stamps_s[piece[0]]
            blocks = max(1, round(since_s[-1] / block_s))
            width_s = max(since_s[-1] / blocks, 1e-9)
            block[piece] = count + np.minimum((since_s / width_s).astype(np.int64), blocks - 1)
            count += blocks
    return block


def gain_of(before: FrameCounts, after: FrameCounts, timed: bool) -> dict[str, Any]:
    """Return how PCK changed, and between which changes chance may have moved it.

    Args:
        before: counts of the network before the training; rooms are blocks of time.
        after: of the network after it, on the same frames.
        timed: whether the images have times; otherwise nobody knows what is independent.

    Returns:
        ``points``, the change of the average; ``interval``, the two ends of the 95 % interval, or None where
        there is none; ``timed``; ``blocks`` with people, ``fewest_blocks`` that an interval needs, and
        ``block_s``. Empty = nobody is labeled.
    """
    if not before.counted.any():
        return {}
    blocks = len(np.unique(before.room[before.counted.any(axis=1)])) if timed else 0
    interval = None
    if blocks >= FEWEST_BLOCKS:
        interval = [round(end, 3) for end in difference_interval([after], [before], _expanded(blocks))]
    return {
        "points": float(after.average_pct()[0] - before.average_pct()[0]),
        "interval": interval,
        "timed": timed,
        "blocks": blocks,
        "fewest_blocks": FEWEST_BLOCKS,
        "block_s": BLOCK_S,
    }


def _expanded(blocks: int) -> float:
    """Return the share of resamples between percentiles that are as far apart as those of Student's t."""
    reach = stdtrit(blocks - 1, (1 + _CONFIDENCE) / 2) * math.sqrt(blocks / (blocks - 1))
    return float(2 * ndtr(reach) - 1)
