"""The stream of simulated frames: exact truth, determinism, smooth motion, fronts that differ from backs."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from orpose_core.geometry import project
from orpose_core.simulation import (
    SPLITS,
    StreamConfig,
    simulate_frame,
    split_config,
)
from orpose_core.simulation.dice import Dice
from orpose_core.simulation.people import activities, bodies, casting, kinematics, motion, outfits
from orpose_core.simulation.sensing import raycast
from orpose_core.simulation.sensing.cameras import aim, mvor_camera
from orpose_core.simulation.sensing.sensor import draw_sensor, sense
from orpose_core.simulation.sensing.solids import Solids
from orpose_core.simulation.stream import scene_of
from orpose_core.simulation.truth import THICKNESS_SHARES
from orpose_core.skeleton import BODY24
from orpose_core.types import Intrinsics, Visibility

pytestmark = pytest.mark.timeout(900)  # the first run compiles for a minute of processor time

SMALL = StreamConfig("or", (120, 160), seed=11)
FRAMES = 25


@pytest.fixture(scope="module", params=["or", "general", "everyday", "anywhere"])
def frames(request):
    config = replace(SMALL, domain=request.param, size_hw=(240, 320))
    return [simulate_frame(config, i) for i in range(FRAMES)]


def test_projected_3d_joints_are_the_2d_joints(frames):
    checked = 0
    for f in frames:
        if not len(f.poses):
            continue
        seen = f.poses.visibility > 0
        xy = project(f.poses.xyz_cam_m.astype(np.float64), f.frame.intrinsics)
        assert np.abs(xy - f.poses.xy_px)[seen].max(initial=0) < 0.01
        checked += int(seen.sum())
    assert checked > 300


def test_visible_joints_lie_inside_the_own_body_and_occluded_ones_behind_something(frames):
    visible = occluded = 0
    for f in frames:
        height, width = f.frame.size_hw
        for m in range(len(f.poses)):
            shape = 2.0 * 1.4  # taller and heavier than anybody who is cast
            for j in range(len(BODY24)):
                flag = f.poses.visibility[m, j]
                if flag == Visibility.ABSENT:
                    continue
                u, v = np.floor(f.poses.xy_px[m, j] + 0.5).astype(int)
                u, v = min(max(u, 0), width - 1), min(max(v, 0), height - 1)
                behind = f.poses.xyz_cam_m[m, j, 2] - f.true_depth_m[v, u]
                if flag == Visibility.VISIBLE:
                    visible += 1
                    beside = not behind > 0  # a silhouette passes beside the joint: nothing is before it
                    assert beside or (behind <= THICKNESS_SHARES[j] * shape + 0.031 and f.people[v, u] == m)
                else:
                    occluded += 1
                    assert behind > 0
    assert visible > 200
    assert occluded > 50


def test_boxes_and_areas_are_of_the_pixels_that_show_a_person(frames):
    for f in frames:
        for m in range(len(f.poses)):
            rows, columns = np.nonzero(f.people == m)
            assert len(rows) == f.areas_px[m]
            edges = [columns.min() - 0.5, rows.min() - 0.5, columns.max() + 0.5, rows.max() + 0.5]
            np.testing.assert_array_equal(f.poses.boxes_px[m], np.float32(edges))
        assert f.people.max(initial=-1) == len(f.poses) - 1


def test_depth_is_metric_and_has_holes_noise_and_a_border(frames):
    invalid = [np.isnan(f.frame.depth_m).mean() for f in frames]
    assert 0.02 < np.mean(invalid) < 0.8
    errors = []
    for f in frames:
        both = np.isfinite(f.frame.depth_m) & np.isfinite(f.true_depth_m)
        millimetres = f.frame.depth_m[both].astype(np.float64) * 1000
        np.testing.assert_allclose(millimetres, np.round(millimetres), atol=1e-3)
        errors.append(np.median(np.abs(f.frame.depth_m - f.true_depth_m)[both] / f.true_depth_m[both] ** 2))
    assert 5e-4 < np.median(errors) < 0.02


def test_room_pose_of_the_camera_puts_feet_on_the_floor(frames):
    ankles = [BODY24.index("left_ankle"), BODY24.index("right_ankle")]
    heights = []
    for f in frames:
        for m, role in enumerate(f.roles):
            if role != "patient":
                xyz = f.poses.xyz_cam_m[m, ankles].astype(np.float64)
                heights.append((xyz @ f.room_from_camera[:3, :3].T + f.room_from_camera[:3, 3])[:, 2].min())
    assert len(heights) > 20
    assert 0.03 < np.median(heights) < 0.11
    assert min(heights) > 0.02


def digest(frame) -> str:
    h = hashlib.sha256()
    depth = np.nan_to_num(frame.frame.depth_m * np.float32(1000), nan=0.0)
    h.update(np.round(depth).astype("<u2").tobytes())
    h.update(np.round(frame.poses.xyz_cam_m * np.float32(1000)).astype("<i4").tobytes())
    if frame.frame.rgb is not None:
        h.update(frame.frame.rgb.tobytes())
    return h.hexdigest()


PINNED = {
    "or": "6f0ee5021f02c8e05b8b4a485064a16150c9e98c76fd28faf8ca6b2603d84d5b",
    "everyday": "4c6db97db04cfd8ccd5d1b5a22cac99cf7331a4e67e342c7a298ea5ab9a8d4b6",
    "general": "df945511a36c06d750da5d9ff96fe77ffdd047b084d86745b11c08aab582815a",
}


@pytest.mark.parametrize("domain", ["or", "general", "everyday"])
def test_same_seed_same_bytes_on_every_machine(domain):
    config = StreamConfig(domain, (96, 128), "rgbd", seed=2026)
    assert digest(simulate_frame(config, 3)) == PINNED[domain]


def test_frames_do_not_depend_on_the_order_in_which_they_are_asked_for():
    config = replace(SMALL, frames_per_sequence=3, cameras=2, modality="rgbd")
    forwards = [digest(simulate_frame(config, i)) for i in range(8)]
    backwards = [digest(simulate_frame(config, i)) for i in reversed(range(8))]
    assert forwards == backwards[::-1]
    assert len(set(forwards)) == 8
    assert digest(simulate_frame(replace(config, seed=12), 0)) != forwards[0]


def test_modalities_agree_and_the_ideal_sensor_gives_the_true_depth():
    both = simulate_frame(replace(SMALL, modality="rgbd"), 4)
    depth = simulate_frame(SMALL, 4)
    color = simulate_frame(replace(SMALL, modality="color"), 4)
    np.testing.assert_array_equal(both.frame.depth_m, depth.frame.depth_m)
    np.testing.assert_array_equal(both.frame.rgb, color.frame.rgb)
    assert depth.frame.rgb is None
    assert color.frame.depth_m is None
    ideal = simulate_frame(replace(SMALL, sensor=False), 4)
    np.testing.assert_array_equal(ideal.frame.depth_m, ideal.true_depth_m)


@pytest.mark.parametrize("domain", ["or", "general", "everyday", "anywhere"])
def test_a_sequence_is_a_smooth_video_of_the_same_people(domain):
    config = replace(
        SMALL, domain=domain, frames_per_sequence=60, rate_hz=30.0, sensor=False, size_hw=(60, 80)
    )
    people = 0
    for sequence in range(3):
        tracks: dict[int, list[np.ndarray]] = {}
        for moment in range(0, 60):
            f = simulate_frame(config, sequence * 60 + moment)
            assert (f.sequence, f.moment) == (sequence, moment)
            assert np.all(np.diff(f.poses.track_ids) > 0) if len(f.poses) else True
            for m in range(len(f.poses)):
                tracks.setdefault(int(f.poses.track_ids[m]), []).append((moment, f.poses.xyz_cam_m[m]))
        for track in tracks.values():
            for (t0, a), (t1, b) in pairwise(track):
                if t1 == t0 + 1:
                    assert np.linalg.norm(b - a, axis=-1).max() < 0.30  # 9 m/s: hands are fast, nothing jumps
                    people += 1
    assert people > 60


def test_bones_keep_their_length_whatever_a_person_does():
    d = kinematics.dimensions(1.8, 1.0, 0.0)
    bones = [("left_shoulder", "left_elbow", d[kinematics.UPPER_ARM]), ("right_elbow", "right_wrist", d[6]),
             ("left_hip", "left_knee", d[kinematics.THIGH]), ("right_knee", "right_ankle",
             d[kinematics.SHANK]), ("left_hip", "right_hip", 2 * d[kinematics.HIP_HALF])]  # fmt: skip
    for n, activity in enumerate(
        [
            *activities.GENERAL_ACTIVITIES,
            *activities.TABLE_ACTIVITIES,
            *activities.OR_ACTIVITIES,
            "lie",
            "wave",
        ]
    ):
        actor = activities.Actor(activity, 0.5, -0.2, 0.3 * n, n, (0.4, 0.3, 1.1), 0.9)
        joints, frames = kinematics.joints_of(motion.pose_at(actor, d, 0.7), d)
        for a, b, length in bones:
            assert np.linalg.norm(joints[BODY24.index(a)] - joints[BODY24.index(b)]) == pytest.approx(length)
        np.testing.assert_allclose(
            frames @ frames.transpose(0, 2, 1), np.tile(np.eye(3), (8, 1, 1)), atol=1e-9
        )


def test_the_nose_is_in_front_and_left_is_left_when_standing():
    d = kinematics.dimensions(1.7, 1.0, 1.0)
    for yaw in (0.0, 1.0, -2.5):
        actor = activities.Actor("rest", 0.0, 0.0, yaw, 3)
        joints, _ = kinematics.joints_of(motion.pose_at(actor, d, 0.0), d)
        front = np.array([-np.sin(yaw), np.cos(yaw), 0.0])
        left = np.array([-np.cos(yaw), -np.sin(yaw), 0.0])
        at = {name: joints[i] for i, name in enumerate(BODY24.joints)}
        assert (at["nose"] - at["head"]) @ front > 0.03
        assert (at["left_shoulder"] - at["right_shoulder"]) @ left > 0.25
        assert (at["left_hip"] - at["right_hip"]) @ left > 0.1
        assert at["head_top"][2] == pytest.approx(1.7, abs=0.10)


def test_bodies_look_different_from_the_front_and_from_behind():
    """The shape of the surface alone tells the two: toes and face jut out towards where a person looks."""
    lens, toes, faces = Intrinsics(200.0, 200.0, 63.5, 95.5, 128, 192), {}, {}
    for yaw in (np.pi, 0.0):
        toes[yaw], faces[yaw] = [], []
        for n in range(8):
            person = casting.passer_by(Dice(5, n))
            solids = Solids.with_room_for(bodies.SOLIDS_PER_PERSON)
            actor = activities.Actor("rest", 0.0, 0.0, yaw, n)
            joints = bodies.add_body(solids, person, motion.pose_at(actor, person.dimensions, 0.0), 0, 0)
            assert solids.count < bodies.SOLIDS_PER_PERSON
            depth = raycast.look(solids, np.linalg.inv(aim((0.0, -2.6, 1.0), np.pi / 2, 0.0)), lens).depth_m
            ankle, nose = joints[BODY24.index("left_ankle")], joints[BODY24.index("nose")]
            feet = depth[round(200.0 * (1.0 - ankle[2]) / 2.6 + 95.5) :]
            toes[yaw].append(ankle[1] + 2.6 - feet[np.isfinite(feet)].min())
            row = depth[round(200.0 * (1.0 - nose[2]) / 2.6 + 95.5)]
            faces[yaw].append(abs(nose[1] + 2.6 - row[np.isfinite(row)].min()))
    assert np.mean(toes[np.pi]) > np.mean(toes[0.0]) + 0.08
    assert np.max(faces[np.pi]) < 0.05  # seen from the front the nose is the nearest point of its row
    assert np.min(faces[0.0]) > 0.1


def test_people_are_seen_from_all_sides():
    yaws = []
    config = StreamConfig("general", (48, 64), sensor=False, seed=3)
    for i in range(150):
        f = simulate_frame(config, i)
        for m in range(len(f.poses)):
            left, right = f.poses.xyz_cam_m[m, 5], f.poses.xyz_cam_m[m, 6]
            yaws.append(np.arctan2(left[2] - right[2], left[0] - right[0]))
    counts, _ = np.histogram(yaws, np.linspace(-np.pi, np.pi, 5))
    assert counts.min() > 0.14 * len(yaws)


def test_mvor_cameras_are_where_mvor_has_them(realdata):
    import json

    for number, truth in enumerate(json.loads((realdata / "mvor" / "stats.json").read_text())["cameras"]):
        camera = mvor_camera(number, Dice(1), jitter=0.0)
        matrix = np.array(truth["T_room_from_cam"]).reshape(4, 4)
        np.testing.assert_allclose(camera.room_from_camera[:3, :3], matrix[:3, :3], atol=2e-3)
        position = matrix[:3, 3] / 1000 + [0, 0, 1.03]
        np.testing.assert_allclose(camera.room_from_camera[:3, 3], position, atol=2e-3)
        k = camera.intrinsics
        np.testing.assert_allclose(
            [k.fx, k.fy, k.cx, k.cy], [truth[n] for n in ("fx", "fy", "cx", "cy")], atol=0.01
        )


def wall(depth: float, hw=(60, 80)) -> dict:
    normals = np.zeros((*hw, 3), np.float32)
    normals[..., 2] = -1
    return {"depth": np.full(hw, depth), "solid": np.zeros(hw, np.int32), "normals": normals}


def through(traits: dict, scene: dict, surfaces=(0.0, 0.0), seed: int = 3) -> np.ndarray:
    from orpose_core.simulation.sensing import sensor as s

    t = draw_sensor(Dice(1)).traits * 0.0
    t[[s.FOCAL_BASELINE, s.FAR_M, s.FAR_SOFT_M, s.GAIN, s.HOLE_CELL_PX, s.RAGGED_CELL_PX]] = (
        40,
        20,
        1,
        1,
        10,
        4,
    )
    t[s.SPECKLE] = 99
    for name, value in traits.items():
        t[getattr(s, name)] = value
    noise = np.random.default_rng(0).standard_normal(scene["depth"].shape).astype(np.float32)
    camera = np.array([60.0, 60.0, 40.0, 30.0])
    return sense(
        scene["depth"], scene["solid"], scene["normals"], np.array([surfaces]), camera, noise, t, seed, 5
    )


def test_sensor_without_faults_rounds_to_millimetres():
    assert np.unique(through({}, wall(2.0))).tolist() == [2000]


def test_noise_grows_with_the_square_of_the_depth():
    near, far = (np.std(through({"NOISE_PX": 0.1}, wall(z)).astype(float)) for z in (1.5, 3.0))
    assert far / near == pytest.approx(4.0, rel=0.1)


def test_disparity_is_quantised():
    steps = np.unique(through({"NOISE_PX": 0.2, "STEP_PX": 0.125}, wall(3.0)))
    assert len(steps) < 20
    assert np.diff(steps).min() > 20  # a step of disparity at 3 m is 28 mm


def test_the_emitter_casts_a_shadow_beside_what_is_near():
    scene = wall(4.0)
    scene["depth"][:, 30:50] = 1.0
    depth = through({"SHADOW_PX_M": 40.0 * 8}, scene)
    dark = np.flatnonzero((depth == 0).mean(axis=0) > 0.5)
    # f b (1 / near - 1 / far) = 40 px * (1 - 1/4) = 30 px, to the left of what is near
    assert dark.min() <= 2
    assert dark.max() == 29
    assert (depth[:, 30:50] == 1000).all()


def test_dark_glossy_grazing_and_far_surfaces_lose_their_return():
    assert (through({"DARK": 1.0}, wall(4.0), (1.0, 0.0)) == 0).mean() > 0.3
    assert (through({"DARK": 1.0}, wall(1.0), (0.0, 0.0)) == 0).mean() == 0
    assert (through({"FAR_M": 3.0}, wall(4.5)) == 0).all()
    assert (through({"NEAR_M": 0.5}, wall(0.4)) == 0).all()
    border = through({"LEFT": 80.0, "TOP": 40.0}, wall(2.0))
    assert (border[:, :10] == 0).all()
    assert (border[:5] == 0).all()
    assert (border[5:, 10:] > 0).all()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("domain", "ward"),
        ("modality", "infrared"),
        ("seed", -1),
        ("seed", 1 << 32),
        ("seed", SPLITS["or-val-v1"].key),
        ("cameras", 4),
        ("cameras", 0),
        ("frames_per_sequence", 0),
        ("rate_hz", 0.0),
        ("size_hw", (4, 4)),
        ("rig", "none"),
        ("crowd", -1),
        ("split", "or-val-v9"),
    ],
)
def test_bad_configurations_are_refused_by_name(field, value):
    with pytest.raises(ValueError, match=rf"StreamConfig\.{field}: expected .*got"):
        StreamConfig(**{field: value})


def test_everyday_cameras_hang_anywhere_and_people_sit_stand_lie_and_bend_over_tables():
    scenes = [scene_of(StreamConfig("everyday", seed=9), i) for i in range(300)]
    heights = np.array([s.cameras[0].room_from_camera[2, 3] for s in scenes])
    assert heights.min() < 0.9 and heights.max() > 2.8
    assert 0.3 < np.mean(heights > 1.8) < 0.6
    for scene in scenes:
        x, y, z = scene.cameras[0].room_from_camera[:3, 3]
        assert (
            z < scene.room.height_m
            and abs(x) < scene.room.half_size_m[0]
            and abs(y) < scene.room.half_size_m[1]
        )
        assert scene.people and all(person.role == "person" for person in scene.people)
    done = {actor.activity for s in scenes for actor in s.actors}
    assert {"lie", *activities.GENERAL_ACTIVITIES, *activities.TABLE_ACTIVITIES} - {"anything"} <= done
    worn = np.array([person.outfit for s in scenes for person in s.people])
    for row in (outfits.GOWN, outfits.APRON_ON, outfits.CAP_VOLUME, outfits.MASKED, outfits.BACKPACK):
        assert 0.03 < np.mean(worn[:, row] > 0) < 0.5


@pytest.mark.parametrize("domain", ["or", "general", "everyday", "anywhere"])
def test_a_crowd_is_more_people_and_never_fills_an_empty_room(domain):
    usual = [scene_of(StreamConfig(domain, seed=5), i).people for i in range(60)]
    crowd = [scene_of(StreamConfig(domain, seed=5, crowd=3), i).people for i in range(60)]
    standing = [sum(p.role != "patient" for p in people) for people in usual]
    more = [sum(p.role != "patient" for p in people) for people in crowd]
    assert 1.5 < np.mean(more) - np.mean(standing) <= 3.0
    assert max(more) > max(standing)
    if domain in ("or", "anywhere"):
        assert any(n == 0 for n in more)


@pytest.mark.parametrize("domain", ["general", "everyday", "anywhere", "near"])
def test_everyday_rooms_have_one_camera_and_indices_are_not_negative(domain):
    with pytest.raises(ValueError, match="cameras"):
        StreamConfig(domain, cameras=2)
    with pytest.raises(ValueError, match="index of 0 or more, got -1"):
        simulate_frame(SMALL, -1)


def test_splits_are_named_and_their_seeds_cannot_be_trained_on():
    assert {"or-val-v1", "general-val-v1", "or-test-v1", "general-test-v1"} <= set(SPLITS)
    assert len({split.key for split in SPLITS.values()}) == len(SPLITS)
    for name, split in SPLITS.items():
        config = split_config(name)
        assert config.scene_seed == split.key >= 1 << 32  # all that a seed can be lies below
        assert replace(config, split=None).scene_seed == config.seed < 1 << 32
        assert split.frames % (split.cameras * split.frames_per_sequence) == 0
    with pytest.raises(ValueError, match="or-val-v1"):
        split_config("or-val-v9")


@pytest.mark.parametrize("limit", [1, 12, 60, 100, 200, 400, 1199])
@pytest.mark.parametrize("name", sorted(SPLITS))
def test_a_subset_of_a_split_has_all_cameras_and_moments_of_its_rooms(name, limit):
    split = SPLITS[name]
    numbers = split.subset(limit)
    per_room = split.cameras * split.frames_per_sequence
    assert len(numbers) == min(max(limit // per_room, 1) * per_room, split.frames)
    assert (np.diff(numbers) > 0).all() and numbers[-1] < split.frames
    rooms, counts = np.unique(numbers // per_room, return_counts=True)
    assert set(counts) == {per_room}
    assert set(np.bincount(numbers % split.cameras)) == {len(numbers) // split.cameras}
    if len(rooms) > 1:
        assert np.ptp(np.diff(rooms)) <= 1  # spread evenly


def test_a_whole_split_stays_as_it_is_and_no_split_has_no_frames():
    for split in SPLITS.values():
        for limit in (None, split.frames, 10 * split.frames):
            assert np.array_equal(split.subset(limit), np.arange(split.frames))
        with pytest.raises(ValueError, match="positive number of frames, got 0"):
            split.subset(0)


def test_scenes_have_what_an_operating_room_has():
    scene = scene_of(StreamConfig("or", cameras=3, rig="mvor", seed=4), 0)
    assert len(scene.cameras) == 3
    assert scene.room.table is not None
    roles = [p.role for i in range(12) for p in scene_of(StreamConfig("or", seed=4), i).people]
    assert {"clinician", "patient"} <= set(roles)
