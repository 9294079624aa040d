"""People followed in the room: one id each, whatever cameras do."""

from __future__ import annotations

from dataclasses import replace

import fusion_rooms as rooms
import numpy as np
import pytest

from orpose_core.fusion.rig import View
from orpose_core.fusion.room import Room, TimingConfig
from orpose_core.fusion.room_tracker import RoomTracker, RoomTrackerConfig
from orpose_core.skeleton import COCO17
from orpose_core.types import Poses, Source3D

S = 1_000_000_000


def _follow(rig, rate_hz, seconds, delays_s, dead_from_s=None, people=3, seed=4):
    """Run a room; return (time, moment) pairs and the truth at a time."""
    room, rng = Room(rig, COCO17), np.random.default_rng(0)
    events = []
    for c, camera in enumerate(rig):
        for k in range(int(seconds * rate_hz[c])):
            time_s = k / rate_hz[c] + delays_s[c]
            if not (dead_from_s is not None and c == 0 and time_s > dead_from_s):
                events.append((time_s, c, camera))
    moments = []
    for time_s, _, camera in sorted(events, key=lambda e: e[:2]):
        view = rooms.seen(camera, rooms.bodies(people, seed, time_s), rng)
        room.add(camera.name, view.poses, int(time_s * S))
        while room.ready():
            moments.append(room.fuse())
    return moments, lambda stamp_ns: rooms.bodies(people, seed, stamp_ns / S)


def _identities(moments, truth_at):
    """For each moment, the id of each true person, -1 = nobody near; and the errors."""
    ids, errors = [], []
    for moment in moments:
        truth, xyz = truth_at(moment.stamp_ns), moment.people.xyz_room_m
        row = []
        for person in truth:
            apart = np.linalg.norm(xyz - person, axis=-1)
            median = np.array([np.median(a[np.isfinite(a)]) if np.isfinite(a).any() else 9.0 for a in apart])
            near = int(np.argmin(median)) if len(median) else -1
            found = near >= 0 and median[near] < 0.3
            row.append(int(moment.people.track_ids[near]) if found else -1)
            errors.append(median[near] if found else np.nan)
        ids.append(row)
    return np.array(ids), np.array(errors)


@pytest.mark.timeout(900)
def test_everybody_keeps_an_id_though_cameras_differ_in_rate_and_time():
    moments, truth_at = _follow(rooms.cameras(3, 4), (12, 10, 7), 4.0, (0.0, 0.05, 0.09))
    ids, errors = _identities(moments, truth_at)
    later = ids[len(ids) // 4 :]
    assert (later > 0).mean() > 0.9
    for person in later.T:
        assert len(set(person[person > 0].tolist())) == 1
    assert np.nanmedian(errors) < 0.06
    stamps = [m.stamp_ns for m in moments]
    assert stamps == sorted(stamps)


@pytest.mark.timeout(900)
def test_a_camera_that_dies_costs_nobody():
    moments, truth_at = _follow(rooms.cameras(3, 4), (10, 10, 10), 4.0, (0.0, 0.02, 0.04), dead_from_s=2.0)
    ids, _ = _identities(moments, truth_at)
    after = np.array([m.stamp_ns > 2.2 * S for m in moments])
    assert after.sum() >= 10, "the others' moments go on"
    for person in ids.T:
        before = set(person[~after & (person > 0)].tolist())
        assert len(before) <= 1 and set(person[after & (person > 0)].tolist()) <= before
    assert "camera_1" not in moments[-1].cameras


def test_somebody_hidden_is_carried_on_with_a_growing_sigma_and_then_forgotten():
    rig, rng = rooms.cameras(2, 4), np.random.default_rng(0)
    tracker = RoomTracker(COCO17, config=RoomTrackerConfig(max_gap_s=1.0))
    truth = rooms.bodies(1, 4)
    for k in range(5):
        people = tracker.update([rooms.seen(c, truth, rng, stamp_ns=k * S // 10) for c in rig], k * S // 10)
    assert len(people) == 1
    seen = np.nanmedian(people.sigma_m)
    hidden = tracker.update([], S)
    known = hidden.scores > 0
    assert len(hidden) == 1 and hidden.track_ids.tolist() == people.track_ids.tolist()
    assert set(hidden.source_3d[known].tolist()) == {int(Source3D.PREDICTED)}
    assert np.nanmedian(hidden.sigma_m) > seen
    assert len(tracker.update([], 3 * S)) == 0


def test_somebody_who_was_lost_gets_the_id_back_near_there_and_nobody_else_does():
    rig, rng, truth = rooms.cameras(3, 4), np.random.default_rng(0), rooms.bodies(1, 4)

    def id_after(gap_s: float, shift_m: float) -> tuple[int, int]:
        tracker = RoomTracker(COCO17)
        times = [k / 10 for k in range(5)] + [gap_s + k / 10 for k in range(5)]
        for time_s in times:
            there = np.add(truth, [0.0 if time_s < 1 else shift_m, 0, 0])
            stamp_ns = round(time_s * S)
            people = tracker.update([rooms.seen(c, there, rng, stamp_ns=stamp_ns) for c in rig], stamp_ns)
            if time_s < 1:
                first = people
            elif time_s < gap_s + 0.05 and gap_s > 2:
                assert len(people) == 0, "lost, and nobody is confirmed at once"
        assert len(first) == len(people) == 1
        return int(first.track_ids[0]), int(people.track_ids[0])

    for gap_s, shift_m, same in ((1.5, 0.2, True), (6.0, 0.3, True), (6.0, 1.5, False), (60.0, 0.1, False)):
        before, after = id_after(gap_s, shift_m)
        assert (before == after) == same, (gap_s, shift_m)


def test_a_person_whose_views_split_keeps_the_id_when_one_half_is_seen_no_more():
    rig, rng, truth = rooms.cameras(3, 4), np.random.default_rng(0), rooms.bodies(1, 4)
    beside = np.add(truth, [0, 0.45, 0])
    tracker, ids = RoomTracker(COCO17), []
    for k in range(18):
        views = [rooms.seen(rig[0], beside if k >= 5 else truth, rng, stamp_ns=k * S // 10)]
        views += [rooms.seen(c, truth if k < 10 else truth[:0], rng, stamp_ns=k * S // 10) for c in rig[1:]]
        people = tracker.update(views, k * S // 10)
        ids.append(people.track_ids.tolist())
    assert len(ids[4]) == 1 and len(ids[9]) == 2
    assert ids[-1] == ids[4]
    assert np.nanmedian(np.linalg.norm(people.xyz_room_m[0] - beside[0], axis=-1)) < 0.3


def test_whom_one_camera_hardly_sees_where_others_see_nobody_is_not_published():
    rig, truth = rooms.cameras(3, 4), rooms.bodies(1, 4)
    assert all(camera.sees(truth[0]).mean() > 0.9 for camera in rig)
    for cameras, score, published in ((rig, 0.25, False), (rig, 0.8, True), (rig[:1], 0.25, True)):
        tracker, rng = RoomTracker(COCO17), np.random.default_rng(0)
        for k in range(10):
            stamp_ns, nobody = k * S // 10, Poses.nobody(COCO17)
            view = rooms.seen(cameras[0], truth, rng, stamp_ns=stamp_ns)
            doubtful = replace(view, poses=replace(view.poses, scores=score * view.poses.scores))
            people = tracker.update([doubtful, *(View(c, nobody, stamp_ns) for c in cameras[1:])], stamp_ns)
        assert (len(people) == 1) == published, (len(cameras), score)
    # Whom a second camera has seen once is somebody.
    both = [rooms.seen(c, truth, rng, stamp_ns=S) for c in rig[:2]]
    tracker = RoomTracker(COCO17)
    tracker.update(both, S)
    for k in range(1, 6):
        stamp_ns = S + k * S // 10
        people = tracker.update([doubtful, *(View(c, nobody, stamp_ns) for c in rig[1:])], stamp_ns)
    assert len(people) == 1


def test_a_camera_should_not_see_whom_somebody_hides():
    camera = rooms.cameras(1, 4)[0]
    place, truth = camera.room_from_camera[:3, 3], rooms.bodies(1, 4)[0]
    assert camera.sees(truth).all() and not camera.sees(np.full((1, 3), np.nan)).any()
    assert not camera.sees(2 * place - truth).any(), "behind the camera"
    toward = truth + 0.35 * (place - truth)
    tracker, rng = RoomTracker(COCO17), np.random.default_rng(0)
    for k in range(5):
        views = [rooms.seen(camera, np.stack([truth]), rng, stamp_ns=k * S // 10)]
        tracker.update(views, k * S // 10)
    (track,) = tracker._tracks
    assert tracker._share_in_view(camera, track) == 1
    behind = 2 * place - truth  # projects onto the same pixels
    tracker._tracks.append(replace(track, mean=np.hstack([behind, np.zeros_like(behind)])))
    assert tracker._share_in_view(camera, track) == 1
    tracker._tracks.pop()
    tracker._tracks.append(replace(track, mean=np.hstack([toward, np.zeros_like(toward)])))
    assert tracker._share_in_view(camera, track) < 0.2


def test_somebody_hidden_does_not_fly_away():
    """What was walking comes to rest within half a step; the sigma says how little is known."""
    rig, rng = rooms.cameras(3, 4), np.random.default_rng(0)
    tracker, truth, speed_m_s = RoomTracker(COCO17), rooms.bodies(1, 4), 1.5
    for k in range(15):
        stamp_ns, there = k * S // 10, np.add(truth, [speed_m_s * k / 10, 0, 0])
        people = tracker.update([rooms.seen(c, there, rng, stamp_ns=stamp_ns) for c in rig], stamp_ns)
    last = np.nanmedian(people.xyz_room_m[0, :, 0])
    moved = [np.nanmedian(tracker.update([], k * S // 10).xyz_room_m[0, :, 0]) - last for k in range(15, 20)]
    assert 0.1 < moved[0] < 0.2, "a moment later still at the old speed"
    assert moved[-1] < 0.5, "at that speed it would be 0.75 m"


def test_time_that_goes_back_starts_afresh_and_ids_are_not_given_twice():
    rig, rng = rooms.cameras(2, 4), np.random.default_rng(0)
    room, truth = Room(rig, COCO17), rooms.bodies(2, 4)
    seen = []
    for start_s in (100, 1):
        for k in range(6):
            for camera in rig:
                stamp_ns = start_s * S + k * S // 10
                room.add(camera.name, rooms.seen(camera, truth, rng).poses, stamp_ns)
            while room.ready():
                moment = room.fuse()
        seen.append(set(moment.people.track_ids.tolist()))
        assert moment.stamp_ns < (start_s + 1) * S
    assert seen[0] and seen[1] and not seen[0] & seen[1]


def test_a_late_camera_is_waited_for_and_no_longer():
    rig = rooms.cameras(2)
    room = Room(rig, COCO17, timing=TimingConfig(wait_s=0.1, live_s=0.5))
    nobody = Poses.nobody(COCO17)
    assert room.add("camera_1", nobody, S) and room.ready()
    room.fuse()
    assert room.add("camera_2", nobody, S + S // 100) and not room.add("camera_2", nobody, S)
    assert not room.ready(), "camera_1 is live and has said nothing new"
    assert room.add("camera_1", nobody, S + S // 50) and room.ready()
    assert room.fuse().cameras == ("camera_1", "camera_2")
    room.add("camera_1", nobody, S + S // 10)
    assert not room.ready()
    room.add("camera_1", nobody, S + 3 * S // 10)
    assert room.pending()
    with pytest.raises(ValueError, match="expected one of the cameras"):
        room.add("camera_9", nobody, S)


def test_two_moments_of_one_stamp_with_other_cameras():
    rig, rng = rooms.cameras(3, 6), np.random.default_rng(0)
    tracker, truth = RoomTracker(COCO17), rooms.bodies(1, 6)
    for k in range(4):
        tracker.update([rooms.seen(c, truth, rng, stamp_ns=k * S // 10) for c in rig], k * S // 10)
    again = tracker.update([rooms.seen(rig[0], truth, rng, stamp_ns=3 * S // 10)], 3 * S // 10)
    assert again.seen_by.shape == (1, 1) and again.seen_by.all()
    nobody_saw = tracker.update([], 3 * S // 10)
    assert nobody_saw.seen_by.shape == (1, 0) and not nobody_saw.views.any()
