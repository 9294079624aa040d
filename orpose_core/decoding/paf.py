"""Maps of RTPose and DepthPose to people, at the resolution of the maps.

The steps are those of RTPose (Cao et al. 2017, Sect. 2.2 and 2.3): peaks of the keypoint maps, line integrals
over the part affinity fields, bipartite matching limb by limb, assembly of the limbs into people. The
released decoders first resize all maps to 640x480 (nearly all of their time) and then take whole pixels; here
peaks are refined between the cells, and the fields are sampled bilinearly.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numba
import numpy as np
from numpy.typing import NDArray

from orpose_core.decoding.peaks import PEAK_SCORE, PEAK_VARIANCE, PEAK_X, PEAK_Y, find_peaks
from orpose_core.skeleton import OPENPOSE18, Skeleton
from orpose_core.types import FloatArray, Poses


@dataclass(frozen=True)
class PafDecoderConfig:
    """Thresholds of the decoder. The defaults are those of RTPose unless stated otherwise.

    Attributes:
        keypoint_threshold: a peak must exceed it. RTPose uses 0.1. Small networks have low peaks where they
            are uncertain, above all at wrists. 0.07 has a PCK 0.8 higher on 150 synthetic frames that no
            split contains.
        paf_threshold: a sample of a limb counts if the field along the limb is above it there.
        min_sample_share: at least this share of a limb's samples must count.
        samples: how many samples per limb, both ends included.
        min_joints: fewest joints of a person; raise it to drop fragments.
        min_mean_score: lowest (sum of joint and limb scores) / (number of joints) of a person.
        min_person_score: lowest person score (see :func:`decode_paf`). RTPose has none. 0.18 removes the
            fragments of people that a small network produces: four tenths of the false detections of
            ``depthpose_64x48`` on those 150 frames, at a cost of 0.1 PCK. It also removes people with
            three visible joints or fewer, which 0.12 keeps. Use 0.12 for networks after little training, too.
        max_people: the people with the highest scores are kept.
        max_peaks: at most this many candidates per joint, the highest.
        target_sigma_cells: standard deviation of the Gaussians in the target maps.
        min_sigma_cells: lower bound of a joint's standard deviation.
    """

    keypoint_threshold: float = 0.07
    paf_threshold: float = 0.05
    min_sample_share: float = 0.8
    samples: int = 10
    min_joints: int = 3
    min_mean_score: float = 0.2
    min_person_score: float = 0.18
    max_people: int = 64
    max_peaks: int = 64
    target_sigma_cells: float = 0.875
    min_sigma_cells: float = 0.1

    def __post_init__(self) -> None:
        for name in (
            "keypoint_threshold",
            "paf_threshold",
            "min_sample_share",
            "min_mean_score",
            "min_person_score",
        ):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"PafDecoderConfig.{name}: expected 0 to 1, got {getattr(self, name)}")
        for name, least in (("samples", 2), ("min_joints", 1), ("max_people", 1), ("max_peaks", 1)):
            if getattr(self, name) < least:
                raise ValueError(
                    f"PafDecoderConfig.{name}: expected {least} or more, got {getattr(self, name)}"
                )
        for name in ("target_sigma_cells", "min_sigma_cells"):
            if not getattr(self, name) > 0:
                raise ValueError(
                    f"PafDecoderConfig.{name}: expected a positive number, got {getattr(self, name)}"
                )


def decode_paf(
    keypoint_maps: FloatArray,
    paf_maps: FloatArray,
    source_hw: tuple[int, int],
    config: PafDecoderConfig | None = None,
    skeleton: Skeleton = OPENPOSE18,
) -> Poses:
    """Find the people in the maps of one image.

    Args:
        keypoint_maps: float32 (n + 1, h, w), n joints; the last channel (background) is not used.
        paf_maps: float32 (2 l, h, w), l limbs.
        source_hw: (height, width) of the image in whose px the answer is wanted; the maps cover the same
            rectangle.
        config: thresholds; None = the defaults.
        skeleton: joints and limbs of the maps.

    Returns:
        The people, best first. ``scores`` are the heights of the refined peaks. ``person_scores`` are the sum
        of the joints' and the limbs' scores over the n + l that there could be (18 + 19), so in [0, 1]: 1 is
        everything found with certainty. ``boxes_px`` is the extent of the joints found. ``sigma_px`` is what
        the peak's width tells: a network trained with the L2 loss answers the mean of the Gaussians over the
        places where the joint may be, so the variance of the place is the measured variance minus the trained
        one (not below ``min_sigma_cells``); uncalibrated.

    Raises:
        ValueError: maps of another type or shape, or with values that are not finite.
    """
    config = config or PafDecoderConfig()
    height, width = _check_maps(keypoint_maps, paf_maps, source_hw, skeleton)
    peaks, counts = find_peaks(
        keypoint_maps[: len(skeleton)],
        config.keypoint_threshold,
        config.target_sigma_cells,
        config.max_peaks,
    )
    members, sums = _assemble(
        peaks,
        counts,
        paf_maps,
        np.array(skeleton.edges, np.int64).reshape(-1, 2),
        np.array(skeleton.paf_channels, np.int64).reshape(-1, 2),
        config.samples,
        config.paf_threshold,
        config.min_sample_share,
    )
    joints_found = (members >= 0).sum(axis=1)
    person_scores = np.minimum(sums / (len(skeleton) + len(skeleton.edges)), 1.0).astype(np.float32)
    good = (joints_found >= config.min_joints) & (sums >= config.min_mean_score * joints_found)
    chosen = np.flatnonzero(good & (person_scores >= config.min_person_score))
    chosen = chosen[np.argsort(-person_scores[chosen], kind="stable")][: config.max_people]
    cell_px = np.array([source_hw[1] / width, source_hw[0] / height], np.float32)
    return _poses(peaks, members[chosen], person_scores[chosen], cell_px, config, skeleton)


def _check_maps(
    keypoint_maps: FloatArray, paf_maps: FloatArray, source_hw: tuple[int, int], skeleton: Skeleton
) -> tuple[int, int]:
    """Return (height, width) of the maps, or raise ValueError."""
    for name, maps, channels in (
        ("keypoint_maps", keypoint_maps, len(skeleton) + 1),
        ("paf_maps", paf_maps, 2 * len(skeleton.edges)),
    ):
        if maps.dtype != np.float32 or maps.ndim != 3 or maps.shape[0] != channels:
            raise ValueError(
                f"decode_paf: expected {name} float32 ({channels}, h, w), got {maps.dtype} {maps.shape}"
            )
        if not np.isfinite(maps.sum(dtype=np.float64)):
            raise ValueError(f"decode_paf: {name} hold values that are not finite")
    if keypoint_maps.shape[1:] != paf_maps.shape[1:]:
        raise ValueError(
            f"decode_paf: keypoint_maps are {keypoint_maps.shape[1:]} but paf_maps {paf_maps.shape[1:]}"
        )
    if min(source_hw) <= 0:
        raise ValueError(f"decode_paf: expected a positive source_hw, got {source_hw}")
    return int(keypoint_maps.shape[1]), int(keypoint_maps.shape[2])


def _poses(
    peaks: FloatArray,
    members: NDArray,
    person_scores: FloatArray,
    cell_px: FloatArray,
    config: PafDecoderConfig,
    skeleton: Skeleton,
) -> Poses:
    """Gather the peaks of each person (m, n indices, -1 = absent) into Poses in source px."""
    if not len(members):
        return Poses.nobody(skeleton)
    absent = members < 0
    found = peaks[np.arange(len(skeleton)), members]  # (m, n, 4); the last peak where absent
    found[absent] = np.nan
    xy_px = (found[..., [PEAK_X, PEAK_Y]] + np.float32(0.5)) * cell_px - np.float32(0.5)
    spread = np.sqrt(
        np.maximum(found[..., PEAK_VARIANCE] - config.target_sigma_cells**2, config.min_sigma_cells**2)
    )
    return Poses(
        skeleton,
        xy_px,
        np.where(absent, np.float32(0), found[..., PEAK_SCORE]),
        person_scores,
        np.concatenate([np.nanmin(xy_px, axis=1), np.nanmax(xy_px, axis=1)], axis=1),
        sigma_px=(spread * np.sqrt(cell_px.prod())).astype(np.float32),
    )


@numba.njit(cache=True, nogil=True)
def _field_strength(peak: NDArray, paf_x: NDArray, paf_y: NDArray) -> float:
    """Return the length of the field's vector in the cell that ``peak`` is in."""
    row = min(max(int(peak[PEAK_Y] + 0.5), 0), paf_x.shape[0] - 1)
    column = min(max(int(peak[PEAK_X] + 0.5), 0), paf_x.shape[1] - 1)
    return math.sqrt(paf_x[row, column] ** 2 + paf_y[row, column] ** 2)


@numba.njit(cache=True, nogil=True)
def _limb_score(
    a: NDArray, b: NDArray, paf_x: NDArray, paf_y: NDArray, samples: int, threshold: float, min_share: float
) -> float:
    """Return the line integral from peak ``a`` to peak ``b``: the mean field along the limb; 0 = no limb.

    The field is sampled bilinearly. As in RTPose's release, a limb longer than half the image's height loses
    score, and ``min_share`` of the samples must be above ``threshold``.
    """
    height, width = paf_x.shape
    dx, dy = b[PEAK_X] - a[PEAK_X], b[PEAK_Y] - a[PEAK_Y]
    length = math.sqrt(dx * dx + dy * dy)
    if length < 1e-6:  # eyes and nose seen from afar: no direction, but the field may still join them
        field = _field_strength(a, paf_x, paf_y)
        return field if field > threshold else 0.0
    ux, uy = dx / length, dy / length
    total, above = 0.0, 0
    for i in range(samples):
        t = i / (samples - 1.0)
        x = min(max(a[PEAK_X] + t * dx, 0.0), width - 1.0)
        y = min(max(a[PEAK_Y] + t * dy, 0.0), height - 1.0)
        column, row = min(int(x), max(width - 2, 0)), min(int(y), max(height - 2, 0))
        right, below = min(column + 1, width - 1), min(row + 1, height - 1)
        fx, fy = x - column, y - row
        w00, w01, w10, w11 = (1 - fx) * (1 - fy), fx * (1 - fy), (1 - fx) * fy, fx * fy
        along = ux * (
            w00 * paf_x[row, column]
            + w01 * paf_x[row, right]
            + w10 * paf_x[below, column]
            + w11 * paf_x[below, right]
        ) + uy * (
            w00 * paf_y[row, column]
            + w01 * paf_y[row, right]
            + w10 * paf_y[below, column]
            + w11 * paf_y[below, right]
        )
        total += along
        above += along > threshold
    if above < min_share * samples - 1e-9:
        return 0.0
    return max(total / samples + min(0.5 * height / length - 1.0, 0.0), 0.0)


@numba.njit(cache=True, nogil=True)
def _match(
    peaks_a: NDArray,
    peaks_b: NDArray,
    paf_x: NDArray,
    paf_y: NDArray,
    samples: int,
    threshold: float,
    min_share: float,
) -> NDArray:
    """Match two joints' peaks one to one, the best limb first (RTPose's greedy relaxation, eqs. 12 to 14).

    Best is by the limb's score times the geometric mean of its peaks. RTPose ranks by the limb's score
    only; then a noise peak that happens to lie on a true limb, nearer to its other end, takes the place of
    the true joint.

    Returns:
        float64 (k, 3): index into ``peaks_a``, index into ``peaks_b``, score of the limb.
    """
    na, nb = len(peaks_a), len(peaks_b)
    scores, ranks = np.empty(na * nb), np.empty(na * nb)
    for i in range(na):
        for j in range(nb):
            pair = i * nb + j
            scores[pair] = _limb_score(peaks_a[i], peaks_b[j], paf_x, paf_y, samples, threshold, min_share)
            ranks[pair] = scores[pair] * math.sqrt(peaks_a[i, PEAK_SCORE] * peaks_b[j, PEAK_SCORE])
    candidates = np.flatnonzero(scores > 0.0)
    order = candidates[np.argsort(-ranks[candidates], kind="mergesort")]
    free_a, free_b = np.ones(na, np.bool_), np.ones(nb, np.bool_)
    limbs, k = np.empty((min(na, nb), 3)), 0
    for pair in order:
        i, j = pair // nb, pair % nb
        if free_a[i] and free_b[j]:
            free_a[i] = free_b[j] = False
            limbs[k, 0], limbs[k, 1], limbs[k, 2] = i, j, scores[pair]
            k += 1
    return limbs[:k]


@numba.njit(cache=True, nogil=True)
def _assemble(
    peaks: NDArray,
    counts: NDArray,
    paf_maps: NDArray,
    edges: NDArray,
    channels: NDArray,
    samples: int,
    threshold: float,
    min_share: float,
) -> tuple[NDArray, NDArray]:
    """Join limbs that share a joint into people, in the order of ``edges``.

    A limb between two people joins them if they have no joint in common; otherwise, and where the place of
    its joint is taken, it is dropped: the limbs that came earlier are the more reliable ones.

    Returns:
        int64 (m, n) index of each person's peak per joint, -1 = none; float64 (m,) sum of its joint and limb
        scores.
    """
    joints, max_peaks = peaks.shape[:2]
    people = np.full((joints * max_peaks, joints), -1, np.int64)
    sums = np.zeros(joints * max_peaks)
    owner = np.full((joints, max_peaks), -1, np.int64)
    count = 0
    for limb in range(len(edges)):
        a, b = edges[limb]
        matched = _match(
            peaks[a, : counts[a]],
            peaks[b, : counts[b]],
            paf_maps[channels[limb, 0]],
            paf_maps[channels[limb, 1]],
            samples,
            threshold,
            min_share,
        )
        for k in range(len(matched)):
            i, j, score = int(matched[k, 0]), int(matched[k, 1]), matched[k, 2]
            first, second = owner[a, i], owner[b, j]
            if first < 0 and second < 0:
                first = second = count
                count += 1
            elif first >= 0 and second >= 0 and first != second:
                if np.any((people[first] >= 0) & (people[second] >= 0)):
                    continue
                _merge(people, sums, owner, first, second)
                second = first
            person = max(first, second)
            if people[person, a] not in (-1, i) or people[person, b] not in (-1, j):
                continue
            for joint, peak in ((a, i), (b, j)):
                if people[person, joint] < 0:
                    people[person, joint] = peak
                    owner[joint, peak] = person
                    sums[person] += peaks[joint, peak, PEAK_SCORE]
            sums[person] += score
    return people[:count], sums[:count]


@numba.njit(cache=True, nogil=True)
def _merge(people: NDArray, sums: NDArray, owner: NDArray, first: int, second: int) -> None:
    """Give all joints of ``second`` to ``first``; ``second`` stays as a person without joints."""
    for joint in range(people.shape[1]):
        peak = people[second, joint]
        if peak >= 0:
            people[first, joint] = peak
            owner[joint, peak] = first
            people[second, joint] = -1
    sums[first] += sums[second]
    sums[second] = 0.0
