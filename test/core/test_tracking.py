"""Identities: independent of order, kept over gaps and crossings; the smoother neither jitters nor lags."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orpose_core.skeleton import OPENPOSE18
from orpose_core.tracking import OneEuroConfig, Tracker, TrackerConfig, TrackState
from orpose_core.types import Poses

STANDING = np.array(
    [[0, -80], [0, -62], [-18, -60], [-24, -32], [-26, -5], [18, -60], [24, -32], [26, -5], [-11, 0],
     [-12, 42], [-12, 84], [11, 0], [12, 42], [12, 84], [-4, -84], [4, -84], [-8, -82], [8, -82]],
    np.float32,
)  # fmt: skip
FRAME_NS = 100_000_000


def people(centres: Sequence[tuple[float, float]], z_m: Sequence[float] | None = None) -> Poses:
    """Standing people, their pelvis at these px; in 3D at these depths, 1 cm to a px."""
    m = len(centres)
    xy = np.stack([STANDING + np.asarray(c, np.float32) for c in centres]) if m else np.zeros((0, 18, 2))
    xy = xy.astype(np.float32)
    boxes = np.concatenate([xy.min(axis=1), xy.max(axis=1)], axis=1)
    xyz = None
    if z_m is not None:
        depth = np.broadcast_to(np.asarray(z_m, np.float32)[:, None, None], (m, 18, 1))
        xyz = np.concatenate([xy / 100, depth], axis=2)
    ones = np.ones((m, 18), np.float32)
    return Poses(OPENPOSE18, xy, ones, np.ones(m, np.float32), boxes, xyz_cam_m=xyz)


def without_joints(poses: Poses, joints: Sequence[int]) -> Poses:
    xy, scores = poses.xy_px.copy(), poses.scores.copy()
    xy[:, joints], scores[:, joints] = np.nan, 0
    return Poses(poses.skeleton, xy, scores, poses.person_scores, poses.boxes_px)


def test_nobody_is_tracked_as_nobody() -> None:
    tracker = Tracker()
    for i in range(3):
        out = tracker.update(Poses.nobody(OPENPOSE18), i * FRAME_NS)
        assert len(out) == 0
        assert out.track_ids is not None and out.track_ids.shape == (0,) and out.track_ids.dtype == np.int64
        assert tracker.states.shape == (0,)


def test_a_track_is_tentative_until_seen_often_enough() -> None:
    tracker = Tracker(TrackerConfig(confirm_hits=3))
    states = []
    for i in range(4):
        out = tracker.update(people([(100, 100)]), i * FRAME_NS)
        assert out.track_ids.tolist() == [1]
        states.append(int(tracker.states[0]))
    assert states == [TrackState.TENTATIVE] * 2 + [TrackState.CONFIRMED] * 2


@given(st.permutations(range(5)), st.integers(0, 2**32 - 1))
@settings(max_examples=30, deadline=None)
def test_the_order_of_the_detections_changes_nothing(order: list[int], seed: int) -> None:
    rng = np.random.default_rng(seed)
    straight, shuffled = (
        Tracker(TrackerConfig(smoothing=OneEuroConfig())),
        Tracker(TrackerConfig(smoothing=OneEuroConfig())),
    )
    centres = rng.uniform(0, 400, (5, 2))
    for i in range(4):
        centres += rng.normal(0, 15, (5, 2))
        poses = people([tuple(c) for c in centres], rng.uniform(2, 4, 5).tolist())
        a = straight.update(poses, i * FRAME_NS).select(order)
        b = shuffled.update(poses.select(order), i * FRAME_NS)
        assert a.track_ids.tolist() == b.track_ids.tolist()
        np.testing.assert_array_equal(a.xy_px, b.xy_px)
        assert straight.states[order].tolist() == shuffled.states.tolist()


@pytest.mark.parametrize("scale", [1.0, 0.1], ids=["640x480", "64x48"])
@pytest.mark.parametrize("rate_hz", [5, 30])
def test_ids_hold_for_walking_people_at_any_size_and_rate(scale: float, rate_hz: int) -> None:
    tracker = Tracker()
    rng = np.random.default_rng(1)
    ids = []
    for i in range(3 * rate_hz):
        t = i / rate_hz
        poses = people([(100 + 110 * t, 200), (500 - 90 * t, 420), (320, 100 + 60 * t)])
        noisy = (poses.xy_px + rng.normal(0, 3, poses.xy_px.shape)) * scale
        poses = Poses(
            OPENPOSE18, noisy.astype(np.float32), poses.scores, poses.person_scores, poses.boxes_px * scale
        )
        ids.append(tracker.update(poses, int(t * 1e9)).track_ids.tolist())
    assert ids == [ids[0]] * len(ids)
    assert len(set(ids[0])) == 3


@pytest.mark.parametrize("missing", [1, 4, 8])
def test_an_id_survives_a_short_gap(missing: int) -> None:
    tracker = Tracker()
    x = [100 + 8 * i for i in range(40)]
    before = [tracker.update(people([(x[i], 200)]), i * FRAME_NS).track_ids[0] for i in range(10)]
    for i in range(10, 10 + missing):
        assert len(tracker.update(Poses.nobody(OPENPOSE18), i * FRAME_NS)) == 0
    after = tracker.update(people([(x[10 + missing], 200)]), (10 + missing) * FRAME_NS)
    assert set(before) == set(after.track_ids.tolist())


def test_an_id_is_given_up_after_a_long_gap_and_never_given_again() -> None:
    tracker = Tracker(TrackerConfig(max_gap_s=1.0))
    for i in range(5):
        tracker.update(people([(100, 100)]), i * FRAME_NS)
    again = tracker.update(people([(100, 100)]), 4 * FRAME_NS + 1_100_000_000)
    assert again.track_ids.tolist() == [2]
    assert tracker.states.tolist() == [TrackState.TENTATIVE]


@pytest.mark.parametrize("hidden", [0, 3], ids=["both seen", "one hidden while they cross"])
def test_ids_survive_a_crossing(hidden: int) -> None:
    tracker = Tracker()
    first, last = None, None
    for i in range(41):
        left, right = (100 + 10 * i, 200), (500 - 10 * i, 210)
        both = people([left, right])
        seen = both.select([0]) if abs(i - 20) < (hidden + 1) / 2 and hidden else both
        out = tracker.update(seen, i * FRAME_NS)
        if i == 0:
            first = out.track_ids.tolist()
        last = out.track_ids.tolist()
    assert first == last


def test_depth_tells_people_apart_who_overlap_in_the_image() -> None:
    """Two people in one place of the image, far apart in space, who change places in the list."""
    tracker = Tracker()
    first = tracker.update(people([(200, 200), (202, 200)], [2.0, 4.0]), 0)
    second = tracker.update(people([(200, 200), (202, 200)], [4.0, 2.0]), FRAME_NS)
    assert second.track_ids.tolist() == first.track_ids.tolist()[::-1]


def test_someone_far_away_is_someone_new() -> None:
    tracker = Tracker()
    tracker.update(people([(100, 100)]), 0)
    out = tracker.update(people([(500, 400)]), FRAME_NS // 3)
    assert out.track_ids.tolist() == [2]


def test_a_place_in_space_of_long_ago_does_not_make_two_people_one() -> None:
    """Depth gives somebody no joint for half a minute; who then appears at another end is somebody else."""
    tracker = Tracker()
    for i in range(300):
        poses = people([(100, 100)], [2.0])
        if i > 2:
            poses = replace(poses, xyz_cam_m=np.full_like(poses.xyz_cam_m, np.nan))
        tracker.update(poses, i * FRAME_NS)
    out = tracker.update(people([(500, 400)], [4.0]), 300 * FRAME_NS)
    assert out.track_ids.tolist() == [2]


def test_a_sure_pair_is_not_given_up_for_two_doubtful_ones() -> None:
    tracker = Tracker()
    first = tracker.update(people([(100, 100), (170, 100)]), 0)
    out = tracker.update(people([(135, 100), (100, 100)]), FRAME_NS)
    assert out.track_ids[1] == first.track_ids[0]


def test_people_of_whom_different_joints_are_seen_keep_their_id() -> None:
    tracker = Tracker()
    upper = without_joints(people([(100, 100)]), range(8, 14))
    lower = without_joints(people([(102, 100)]), [*range(8), *range(14, 18)])
    first, second = tracker.update(upper, 0), tracker.update(lower, FRAME_NS)
    assert first.track_ids.tolist() == second.track_ids.tolist()


def test_time_jumping_back_resets() -> None:
    tracker = Tracker()
    for i in range(5):
        tracker.update(people([(100, 100)]), (1000 + i) * FRAME_NS)
    assert tracker.states.tolist() == [TrackState.CONFIRMED]
    out = tracker.update(people([(100, 100)]), 0)
    assert tracker.states.tolist() == [TrackState.TENTATIVE]
    assert out.track_ids.tolist() == [2]


def test_the_same_stamp_twice_is_harmless() -> None:
    tracker = Tracker(TrackerConfig(smoothing=OneEuroConfig()))
    for _ in range(3):
        out = tracker.update(people([(100, 100)], [3.0]), 5)
        assert out.track_ids.tolist() == [1]
        assert np.isfinite(out.xy_px).all()


def test_without_a_smoother_the_joints_are_untouched() -> None:
    poses = people([(100, 100), (300, 120)], [2, 3])
    tracker = Tracker()
    for i in range(3):
        out = tracker.update(poses, i * FRAME_NS)
        np.testing.assert_array_equal(out.xy_px, poses.xy_px)
        np.testing.assert_array_equal(out.xyz_cam_m, poses.xyz_cam_m)


def test_smoothing_a_constant_is_the_identity() -> None:
    poses = without_joints(people([(100, 100), (300, 120)]), [3, 9])
    tracker = Tracker(TrackerConfig(smoothing=OneEuroConfig()))
    for i in range(10):
        out = tracker.update(poses, i * FRAME_NS)
        np.testing.assert_array_equal(out.xy_px, poses.xy_px)
        np.testing.assert_array_equal(out.scores, poses.scores)


def test_smoothing_halves_the_jitter_of_someone_at_rest() -> None:
    rng = np.random.default_rng(0)
    tracker = Tracker(TrackerConfig(smoothing=OneEuroConfig()))
    raw, smooth = [], []
    for i in range(150):
        poses = people([(100, 100)], [3.0])
        noisy = (poses.xy_px + rng.normal(0, 2, poses.xy_px.shape)).astype(np.float32)
        xyz = (poses.xyz_cam_m + rng.normal(0, 0.02, poses.xyz_cam_m.shape)).astype(np.float32)
        poses = Poses(OPENPOSE18, noisy, poses.scores, poses.person_scores, poses.boxes_px, xyz_cam_m=xyz)
        out = tracker.update(poses, i * FRAME_NS // 3)
        raw.append((poses.xy_px, 100 * poses.xyz_cam_m[..., :2]))
        smooth.append((out.xy_px, 100 * out.xyz_cam_m[..., :2]))
    for k in range(2):
        noise_raw = np.std([r[k] for r in raw[30:]], axis=0).mean()
        noise_smooth = np.std([s[k] for s in smooth[30:]], axis=0).mean()
        assert noise_smooth < 0.5 * noise_raw


def test_the_smoother_hardly_lags_and_settles_when_motion_stops() -> None:
    tracker = Tracker(TrackerConfig(smoothing=OneEuroConfig()))
    errors = []
    for i in range(90):  # 30 Hz: two seconds' walk at 200 px/s, then one second at rest
        x = 50 + 200 * min(i / 30, 2.0)
        out = tracker.update(people([(x, 200)]), i * FRAME_NS // 3)
        errors.append(abs(float(out.xy_px[0, 8, 0]) - (x - 11)))
    assert max(errors[15:60]) < 12  # under 6 % of a second
    assert errors[66] < 1.5  # a fifth of a second after the stop
    assert errors[-1] < 0.05


def test_the_smoother_invents_no_joint_and_starts_afresh_after_a_long_absence() -> None:
    tracker = Tracker(TrackerConfig(smoothing=OneEuroConfig(), max_gap_s=0.5))
    poses = people([(100, 100)])
    tracker.update(poses, 0)
    gone = tracker.update(without_joints(poses, [4]), FRAME_NS)
    assert np.isnan(gone.xy_px[0, 4]).all() and gone.scores[0, 4] == 0
    for i in range(2, 8):
        tracker.update(without_joints(poses, [4]), i * FRAME_NS)
    moved = people([(100, 100)])
    moved.xy_px[0, 4] += 20
    back = tracker.update(moved, 8 * FRAME_NS)
    np.testing.assert_array_equal(back.xy_px[0, 4], moved.xy_px[0, 4])


@pytest.mark.parametrize(
    "wrong",
    [{"min_similarity": 0.0}, {"slack": -1.0}, {"confirm_hits": 0}, {"max_gap_s": 0.0}],
)
def test_wrong_settings_are_refused(wrong: dict) -> None:
    with pytest.raises(ValueError, match="TrackerConfig"):
        TrackerConfig(**wrong)
    with pytest.raises(ValueError, match="OneEuroConfig"):
        OneEuroConfig(min_cutoff_hz=0)


def test_the_speed_in_space_is_right_after_depth_was_missing() -> None:
    """Somebody walks away from the camera at 1 m/s; for half a second depth has no return."""
    tracker = Tracker()
    speeds = []
    for i in range(20):
        poses = people([(100, 100)], [2 + i * FRAME_NS * 1e-9])
        if 10 <= i < 15:
            poses = replace(poses, xyz_cam_m=np.full_like(poses.xyz_cam_m, np.nan))
        tracker.update(poses, i * FRAME_NS)
        speeds.append(float(tracker._tracks[0].space.velocity[2]))
    assert max(speeds) < 1.01 and min(speeds[15:]) > 0.9
