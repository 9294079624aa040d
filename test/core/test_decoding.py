"""The decoder on ideal maps, on the maps of a bad day, and beside one that upsamples first."""

from __future__ import annotations

import time

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import maximum_filter

from orpose_core.data.targets import render_targets
from orpose_core.decoding.paf import PafDecoderConfig, decode_paf
from orpose_core.skeleton import OPENPOSE18
from orpose_core.types import Poses

SOURCE_HW = (480, 640)
# A standing person, in units of the distance from ankle to head top; y down, the origin between the hips.
STANDING = {
    "nose": (0.0, -0.55), "neck": (0.0, -0.38), "right_shoulder": (-0.13, -0.38),
    "left_shoulder": (0.13, -0.38), "right_elbow": (-0.2, -0.16), "left_elbow": (0.2, -0.16),
    "right_wrist": (-0.22, 0.05), "left_wrist": (0.22, 0.05), "right_hip": (-0.09, 0.0),
    "left_hip": (0.09, 0.0), "right_knee": (-0.1, 0.2), "left_knee": (0.1, 0.2), "right_ankle": (-0.1, 0.4),
    "left_ankle": (0.1, 0.4), "right_eye": (-0.03, -0.58), "left_eye": (0.03, -0.58),
    "right_ear": (-0.07, -0.56), "left_ear": (0.07, -0.56),
}  # fmt: skip
BODY = np.array([STANDING[joint] for joint in OPENPOSE18.joints])


def as_poses(xy_px) -> Poses:
    xy_px = np.asarray(xy_px, np.float32).reshape(-1, len(OPENPOSE18), 2)
    there = ~np.isnan(xy_px).any(axis=-1)
    scores = there.astype(np.float32)
    return Poses(
        OPENPOSE18, xy_px, scores, np.ones(len(xy_px), np.float32), np.zeros((len(xy_px), 4), np.float32)
    )


def apart(people: int, rng: np.random.Generator, columns: int = 4) -> Poses:
    """People in a grid, moved, scaled, limbs shaken, none reaching into its neighbour's cell."""
    columns = min(people, columns)
    rows = -(-people // columns)
    xy = []
    for i in range(people):
        cell = np.array([640 / columns, 480 / rows])
        size = min(0.8 * cell[1], 1.5 * cell[0], rng.uniform(130, 300))
        body = BODY * size * [rng.choice([-1, 1]), 1] + rng.normal(size=BODY.shape) * 0.02 * size
        body += [0, 0.08 * size]  # from between the hips to the middle of the body
        room = np.maximum((cell - np.ptp(body, axis=0)) / 2 - 3, 0)
        xy.append(body + (np.array([i % columns, i // columns]) + 0.5) * cell + rng.uniform(-room, room))
    return as_poses(xy)


def crowd(people: int, rng: np.random.Generator) -> Poses:
    """People who stand in each other's way: centres within a body's width or two."""
    centres = [320, 240] + rng.uniform(-1, 1, size=(people, 2)) * [25 * people, 25]
    sizes = rng.uniform(200, 320, size=people)
    return as_poses(
        [
            BODY * s * [rng.choice([-1, 1]), 1] + rng.normal(size=BODY.shape) * 0.03 * s + c
            for c, s in zip(centres, sizes, strict=True)
        ]
    )


def maps_of(poses: Poses, map_hw=(48, 64)):
    targets = render_targets(poses, SOURCE_HW, map_hw)
    return targets.keypoint_maps, targets.paf_maps


def matched(truth: Poses, found_xy: np.ndarray, tolerance_px: float) -> list[np.ndarray]:
    """For each true person the errors (px) of the joints of its own detection that are within tolerance."""
    if not len(found_xy):
        return [np.zeros(0)] * len(truth)
    distance = np.linalg.norm(truth.xy_px[:, None] - found_xy[None], axis=-1)  # (true, found, joints)
    hits = (distance < tolerance_px).sum(axis=-1)
    errors = [np.zeros(0)] * len(truth)
    for pair in np.argsort(-hits, axis=None, kind="stable"):
        t, f = np.unravel_index(pair, hits.shape)
        if hits[t, f] > 0:
            errors[t] = distance[t, f][distance[t, f] < tolerance_px]
            hits[t] = hits[:, f] = 0
    return errors


@pytest.mark.parametrize("map_hw", [(48, 64), (60, 80)])
@pytest.mark.parametrize("people", [1, 4, 8, 12])
def test_people_who_stand_apart_are_all_found(people, map_hw):
    rng = np.random.default_rng(people)
    errors, found_people, scenes = [], 0, 20
    for _ in range(scenes):
        truth = apart(people, rng)
        found = decode_paf(*maps_of(truth, map_hw), SOURCE_HW)
        assert len(found) == people
        joints = matched(truth, found.xy_px, 5.0)
        found_people += sum(len(e) >= 9 for e in joints)
        errors += joints
    assert found_people == people * scenes
    errors = np.concatenate(errors)
    assert len(errors) >= 0.99 * people * scenes * len(OPENPOSE18)
    assert errors.mean() < 0.5


@settings(max_examples=60, deadline=None)
@given(
    x=st.floats(-0.5, 639.4),
    y=st.floats(-0.5, 479.4),
    joint=st.sampled_from(range(len(OPENPOSE18))),
)
def test_a_joint_anywhere_comes_back_where_it_was_up_to_the_border(x, y, joint):
    # Three joints, so that it counts as a person; limbs must be longer than nothing to have a direction.
    edge = next(e for e in OPENPOSE18.edges if joint in e)
    third = next(e for e in OPENPOSE18.edges if len({*e, *edge}) == 3)
    xy = np.full((1, len(OPENPOSE18), 2), np.nan)
    for i, j in enumerate(dict.fromkeys((joint, *edge, *third))):
        toward = np.where(np.array([x, y]) > [320, 240], -1.0, 1.0)
        xy[0, j] = [x, y] + toward * i * [60, 45]
    truth = as_poses(xy)
    found = decode_paf(*maps_of(truth), SOURCE_HW, PafDecoderConfig(min_person_score=0.12))
    assert len(found) == 1
    np.testing.assert_allclose(found.xy_px[0, joint], [x, y], atol=0.1)
    assert found.scores[0, joint] == pytest.approx(1.0, abs=0.01)
    absent = np.isnan(xy[0, :, 0])
    np.testing.assert_array_equal(found.scores[0] == 0, absent)


def test_nobody_gives_nobody():
    keypoint_maps, paf_maps = maps_of(Poses.nobody(OPENPOSE18))
    assert len(decode_paf(keypoint_maps, paf_maps, SOURCE_HW)) == 0
    assert len(decode_paf(0 * keypoint_maps, paf_maps - 1, SOURCE_HW)) == 0


def test_what_poses_promise():
    truth = apart(8, np.random.default_rng(0))
    found = decode_paf(*maps_of(truth), SOURCE_HW)
    assert found.skeleton is OPENPOSE18
    assert np.all(np.diff(found.person_scores) <= 0)
    assert np.all((found.person_scores > 0.95) & (found.person_scores <= 1))
    np.testing.assert_allclose(found.boxes_px[:, :2], np.nanmin(found.xy_px, axis=1))
    np.testing.assert_allclose(found.boxes_px[:, 2:], np.nanmax(found.xy_px, axis=1))
    # Peaks as narrow as trained: nothing is uncertain but for the configured floor, a tenth of a 10 px cell.
    np.testing.assert_allclose(found.sigma_px, 1.0, atol=1e-3)


@pytest.mark.parametrize("spread_px", [6.0, 10.0, 15.0])
def test_sigma_px_is_the_spread_of_where_the_joint_may_be(spread_px):
    # The answer of a network trained with L2 that knows the place only up to a normal distribution.
    rng = np.random.default_rng(1)
    truth = apart(1, rng)
    keypoint_maps, paf_maps = (
        np.mean(maps, axis=0, dtype=np.float32)
        for maps in zip(
            *(maps_of(as_poses(truth.xy_px + rng.normal(size=2) * spread_px)) for _ in range(300)),
            strict=True,
        )
    )
    found = decode_paf(keypoint_maps, paf_maps, SOURCE_HW)
    assert np.nanmedian(found.sigma_px) == pytest.approx(spread_px, rel=0.15)


def test_the_answer_is_in_the_pixels_asked_for():
    truth = apart(4, np.random.default_rng(2))
    maps = maps_of(truth)
    large, small = decode_paf(*maps, (480, 640)), decode_paf(*maps, (48, 64))
    np.testing.assert_allclose((large.xy_px + 0.5) / 10 - 0.5, small.xy_px, atol=1e-4)
    np.testing.assert_allclose(large.sigma_px / 10, small.sigma_px, rtol=1e-4)


def test_bf16_maps_with_their_plateaus_give_no_ghosts():
    for seed in range(10):
        truth = apart(8, np.random.default_rng(seed))
        coarse = [np.round(m * 32) / 32 for m in maps_of(truth)]  # 5 bits: neighbours tie everywhere
        found = decode_paf(*coarse, SOURCE_HW)
        assert len(found) == 8
        errors = np.concatenate(matched(truth, found.xy_px, 10.0))
        assert len(errors) >= 0.99 * 8 * len(OPENPOSE18)
        assert errors.mean() < 1.0


def test_joints_of_two_people_on_diagonal_cells_are_two_peaks():
    truth = apart(1, np.random.default_rng(0), columns=1)
    both = as_poses(np.concatenate([truth.xy_px, truth.xy_px + np.array([12.0, 11.0])]))
    found = decode_paf(*maps_of(both), SOURCE_HW)
    assert len(found) == 2
    assert (found.scores > 0).sum() == 2 * len(OPENPOSE18)


def test_joints_in_the_same_place_still_belong_together():
    # Far away, with coarse maps, nose and eye fall onto the same point: a limb without direction.
    truth = apart(1, np.random.default_rng(0))
    keypoint_maps, paf_maps = maps_of(truth)
    nose, eye = OPENPOSE18.index("nose"), OPENPOSE18.index("right_eye")
    keypoint_maps[eye] = keypoint_maps[nose]
    found = decode_paf(keypoint_maps, paf_maps, SOURCE_HW)
    assert len(found) == 1
    np.testing.assert_array_equal(found.xy_px[0, nose], found.xy_px[0, eye])


def test_a_flat_map_is_one_peak_and_no_crash():
    keypoint_maps, paf_maps = maps_of(apart(1, np.random.default_rng(0)))
    assert len(decode_paf(np.ones_like(keypoint_maps), np.zeros_like(paf_maps), SOURCE_HW)) == 0
    found = decode_paf(np.ones_like(keypoint_maps), np.ones_like(paf_maps), SOURCE_HW)
    assert len(found) <= 1


def test_noise_below_and_above_zero_makes_no_people():
    rng = np.random.default_rng(0)
    truth = apart(4, rng)
    for _ in range(10):
        keypoint_maps, paf_maps = maps_of(truth)
        keypoint_maps = keypoint_maps + rng.normal(size=keypoint_maps.shape).astype(np.float32) * 0.03
        paf_maps = paf_maps + rng.normal(size=paf_maps.shape).astype(np.float32) * 0.03
        found = decode_paf(keypoint_maps, paf_maps, SOURCE_HW)
        assert len(found) == 4
        errors = np.concatenate(matched(truth, found.xy_px, 10.0))
        assert len(errors) >= 0.97 * 4 * len(OPENPOSE18)
        assert errors.mean() < 1.0


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), scale=st.sampled_from([1e-30, 0.1, 1.0, 1e4]))
def test_any_finite_maps_decode_to_valid_poses(seed, scale):
    rng = np.random.default_rng(seed)
    keypoint_maps = (rng.normal(size=(19, 12, 16)) * scale).astype(np.float32)
    paf_maps = (rng.normal(size=(38, 12, 16)) * scale).astype(np.float32)
    found = decode_paf(
        keypoint_maps,
        paf_maps,
        SOURCE_HW,
        PafDecoderConfig(min_mean_score=0.0, min_person_score=0.0, max_peaks=8),
    )
    xy = found.xy_px[found.scores > 0]
    assert np.all((xy >= -5.5) & (xy <= [640 + 5, 480 + 5]))


def test_maps_of_one_cell_or_one_row_decode():
    for shape in ((1, 1), (1, 16), (12, 1)):
        found = decode_paf(np.ones((19, *shape), np.float32), np.ones((38, *shape), np.float32), SOURCE_HW)
        assert len(found) <= 1


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda k, p: (np.where(k > 0.9, np.nan, k).astype(np.float32), p), "keypoint_maps hold values"),
        (lambda k, p: (k, np.where(p > 0.5, np.inf, p).astype(np.float32)), "paf_maps hold values"),
        (lambda k, p: (k[:18], p), r"keypoint_maps float32 \(19, h, w\), got float32 \(18, 48, 64\)"),
        (lambda k, p: (k, p.astype(np.float64)), "paf_maps float32"),
        (lambda k, p: (k, p[:, :40]), "keypoint_maps are"),
    ],
)
def test_maps_that_are_none_are_refused(change, sentence):
    with pytest.raises(ValueError, match=sentence):
        decode_paf(*change(*maps_of(apart(1, np.random.default_rng(0)))), SOURCE_HW)


@pytest.mark.parametrize(
    "values",
    [{"samples": 1}, {"keypoint_threshold": 1.5}, {"min_joints": 0}, {"target_sigma_cells": 0.0}],
)
def test_a_wrong_threshold_is_refused_by_name(values):
    with pytest.raises(ValueError, match=next(iter(values))):
        PafDecoderConfig(**values)


def test_filters():
    truth = apart(4, np.random.default_rng(3))
    xy = truth.xy_px.copy()
    xy[0, 5:] = np.nan  # five joints left
    maps = maps_of(as_poses(xy))
    assert len(decode_paf(*maps, SOURCE_HW)) == 4
    assert len(decode_paf(*maps, SOURCE_HW, PafDecoderConfig(min_joints=6))) == 3
    assert len(decode_paf(*maps, SOURCE_HW, PafDecoderConfig(min_person_score=0.5))) == 3
    assert len(decode_paf(*maps, SOURCE_HW, PafDecoderConfig(max_people=2))) == 2
    assert len(decode_paf(0.3 * maps[0], 0.0 * maps[1], SOURCE_HW)) == 0


def test_eight_people_take_at_most_a_millisecond():
    maps = maps_of(apart(8, np.random.default_rng(8)))
    decode_paf(*maps, SOURCE_HW)
    seconds = []
    for _ in range(100):
        start = time.perf_counter()
        decode_paf(*maps, SOURCE_HW)
        seconds.append(time.perf_counter() - start)
    assert np.percentile(seconds, 20) < 1e-3  # the machine may be busy with other things, too


def full_size_decoder(keypoint_maps: np.ndarray, paf_maps: np.ndarray) -> np.ndarray:
    """A decoder of the released kind (docs/checkpoints.md): maps upsampled first, whole pixels.

    Returns:
        float (m, 18, 2), px of the 640x480 image, NaN = absent.
    """
    size = (SOURCE_HW[1], SOURCE_HW[0])
    heat = np.stack([cv2.resize(m, size, interpolation=cv2.INTER_CUBIC) for m in keypoint_maps[:18]])
    paf = np.stack([cv2.resize(m, size, interpolation=cv2.INTER_CUBIC) for m in paf_maps])
    cross = np.array([[0, 1, 0], [1, 1, 1], [0, 1, 0]], bool)
    peaks = []
    for h in heat:
        rows, columns = np.nonzero((maximum_filter(h, footprint=cross) == h) & (h > 0.1))
        peaks.append(np.stack([columns, rows, h[rows, columns]], axis=1))
    people: list[dict] = []
    for (a, b), (cx, cy) in zip(OPENPOSE18.edges, OPENPOSE18.paf_channels, strict=True):
        candidates = []
        for i, p in enumerate(peaks[a]):
            for j, q in enumerate(peaks[b]):
                length = np.linalg.norm(q[:2] - p[:2])
                if length == 0:
                    continue
                x, y = (np.round(np.linspace(p[k], q[k], 10)).astype(int) for k in (0, 1))
                along = (paf[cx, y, x] * (q[0] - p[0]) + paf[cy, y, x] * (q[1] - p[1])) / length
                score = along.mean() + min(0.5 * SOURCE_HW[0] / length - 1, 0)
                if (along > 0.05).sum() > 8 and score > 0:
                    candidates.append((score, i, j))
        used_a, used_b = set(), set()
        for score, i, j in sorted(candidates, reverse=True):
            if i in used_a or j in used_b:
                continue
            used_a.add(i)
            used_b.add(j)
            joined = [p for p in people if p["joints"].get(a) == i or p["joints"].get(b) == j]
            if len(joined) == 2 and not set(joined[0]["joints"]) & set(joined[1]["joints"]):
                joined[0]["joints"] |= joined[1]["joints"]
                joined[0]["score"] += joined[1]["score"] + score
                people.remove(joined[1])
            elif joined:
                if joined[0]["joints"].get(b) != j:
                    joined[0]["joints"][b] = j
                    joined[0]["score"] += score + peaks[b][j][2]
            else:
                people.append({"joints": {a: i, b: j}, "score": score + peaks[a][i][2] + peaks[b][j][2]})
    found = []
    for person in people:
        if len(person["joints"]) >= 3 and person["score"] / len(person["joints"]) >= 0.2:
            xy = np.full((18, 2), np.nan)
            for joint, peak in person["joints"].items():
                xy[joint] = peaks[joint][peak][:2]
            found.append(xy)
    return np.array(found).reshape(-1, 18, 2)


def test_where_people_overlap_no_fewer_are_found_than_at_full_size():
    ours, theirs = np.zeros(2, int), np.zeros(2, int)
    for seed in range(20):
        rng = np.random.default_rng(seed)
        truth = crowd(2 + seed % 3, rng)
        maps = maps_of(truth)
        for count, xy in ((ours, decode_paf(*maps, SOURCE_HW).xy_px), (theirs, full_size_decoder(*maps))):
            joints = [len(e) for e in matched(truth, xy, 12.0)]
            count += [sum(n >= 9 for n in joints), sum(joints)]
    print(f"people and joints found: ours {ours}, at full size {theirs}")
    assert np.all(ours >= theirs)
