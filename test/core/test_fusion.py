"""Several cameras' skeletons to one per person: who is who, where the joints are, and how sure that is."""

from __future__ import annotations

from dataclasses import replace

import fusion_rooms as rooms
import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment

from orpose_core.fusion.body_prior import body_tree
from orpose_core.fusion.config import FusionConfig
from orpose_core.fusion.fuse import fuse
from orpose_core.fusion.rig import RoomCamera, View
from orpose_core.geometry import transform_points
from orpose_core.skeleton import BODY24, COCO17, OPENPOSE18, SKELETONS, Skeleton
from orpose_core.types import Poses, Source3D


def _errors(people, truth) -> np.ndarray:
    """Distances (people, joints) of everybody from the one person of the truth that is theirs."""
    apart = np.linalg.norm(people.xyz_room_m[:, None] - truth[None], axis=-1)
    cost = np.where(np.isnan(apart), 1.0, apart).mean(axis=-1)
    rows, columns = linear_sum_assignment(cost)
    return np.array([apart[r, c] for r, c in zip(rows, columns, strict=True)])


@pytest.mark.parametrize("count", [2, 3, 4])
def test_everybody_is_found_where_they_are(count):
    errors, missing = [], 0
    for seed in range(6):
        rng, truth = np.random.default_rng(seed), rooms.bodies(4, seed)
        views = [rooms.seen(c, truth, rng) for c in rooms.cameras(count, seed)]
        whole = {i for i in range(4) if sum(i in v.poses.track_ids for v in views) >= 2}
        people = fuse(views)
        assert len(people) <= 5
        errors.append(_errors(people, truth))
        missing += max(0, len(whole) - len(people))
    errors = np.concatenate(errors)
    assert missing <= 1
    assert np.nanmedian(errors) < 0.03
    assert np.nanmean(errors) < 0.08


def test_exact_detections_give_exact_joints():
    truth = rooms.bodies(2, 5)
    people = fuse([rooms.seen(c, truth, np.random.default_rng(0), 0.0) for c in rooms.cameras(4, 5)])
    errors = _errors(people, truth)
    # What is known of bodies pulls a little: far less than anybody's joints are sure.
    assert np.nanmedian(errors) < 0.02


def test_sides_exchanged_in_one_view_are_put_right():
    truth = rooms.bodies(3, 2)
    views = [rooms.seen(c, truth, np.random.default_rng(1)) for c in rooms.cameras(3, 2)]
    straight = _errors(fuse(views), truth)
    exchanged = _errors(fuse([rooms.mirrored_sides(views[0]), *views[1:]]), truth)
    assert np.nanmean(exchanged) < np.nanmean(straight) + 0.01


def test_one_camera_alone_gives_places_and_says_how_unsure_they_are():
    inside, errors = [], []
    for seed in range(12):
        truth = rooms.bodies(3, seed)
        view = rooms.seen(rooms.cameras(1, seed)[0], truth, np.random.default_rng(seed))
        people = fuse([view])
        for person, covariance in zip(people.xyz_room_m, people.covariance_m2, strict=True):
            apart = np.nanmean(np.linalg.norm(person - truth, axis=-1), axis=-1)
            off = (person - truth[np.argmin(apart)])[np.isfinite(person[:, 0])]
            sigma = np.sqrt(np.diagonal(covariance, axis1=1, axis2=2))[np.isfinite(person[:, 0])]
            inside.append(np.abs(off) < sigma)
            errors.append(np.linalg.norm(off, axis=1))
    assert np.median(np.concatenate(errors)) < 0.35
    assert 0.55 < np.concatenate(inside).mean() < 0.95
    # Along the ray it is less sure than across.
    assert np.nanmedian(np.linalg.eigvalsh(covariance[np.isfinite(person[:, 0])])[:, 2]) > 0.01


def test_depth_of_one_view_places_a_person():
    truth = rooms.bodies(1, 4)
    camera = rooms.cameras(1, 4)[0]
    view = rooms.seen(camera, truth, np.random.default_rng(0))
    blind = fuse([view])
    rows = view.poses.track_ids
    xyz = transform_points(camera.camera_from_room, truth[rows]).astype(np.float32)
    depth = replace(view.poses, xyz_cam_m=xyz, sigma_m=np.full(xyz.shape[:2], 0.03, np.float32))
    seeing = fuse([View(camera, depth)])
    assert np.nanmean(_errors(seeing, truth)) < 0.06
    assert np.nanmedian(seeing.sigma_m) < 0.5 * np.nanmedian(blind.sigma_m)


def test_a_ghost_of_one_view_is_refused_and_a_stranger_is_not_joined():
    truth = rooms.bodies(2, 6)
    views = [rooms.seen(c, truth, np.random.default_rng(2)) for c in rooms.cameras(3, 6)]
    ghost = views[0].poses.select([0])
    few = np.zeros(17, bool)
    few[[5, 6, 7]] = True
    ghost = replace(
        ghost,
        xy_px=np.where(few[None, :, None], ghost.xy_px[:, ::-1] * 0.5 + 20, np.nan).astype(np.float32),
        scores=np.where(few[None], 0.9, 0.0).astype(np.float32),
    )
    ghost = replace(ghost, scores=np.where(np.isnan(ghost.xy_px[..., 0]), 0, ghost.scores).astype(np.float32))
    both = {
        name: np.concatenate([getattr(views[0].poses, name), getattr(ghost, name)])
        for name in ("xy_px", "scores", "person_scores", "boxes_px")
    }
    haunted = fuse([View(views[0].camera, Poses(COCO17, **both)), *views[1:]])
    assert len(haunted) == len(fuse(views))


def test_nobody_and_nothing():
    camera = rooms.cameras(1)[0]
    assert len(fuse([])) == 0
    assert len(fuse([View(camera, Poses.nobody(COCO17))])) == 0
    assert fuse([View(camera, Poses.nobody(OPENPOSE18))]).skeleton == OPENPOSE18


def test_a_joint_has_a_covariance_exactly_where_it_has_a_place():
    rng = np.random.default_rng(0)
    rig = rooms.cameras(3, 8)
    truth = rooms.bodies(4, 8)
    views = [rooms.seen(c, truth, rng, missing=0.4) for c in rig]
    people = fuse(views)
    known = np.isfinite(people.xyz_room_m).all(axis=-1)
    assert known.any() and not known.all()
    assert np.array_equal(known, np.isfinite(people.sigma_m)) and np.array_equal(known, people.scores > 0)
    assert set(people.source_3d[known].tolist()) == {int(Source3D.FUSED)}
    assert (people.sigma_m[known] > 0).all()
    assert (np.linalg.eigvalsh(people.covariance_m2[known]) > 0).all()


TOY = Skeleton("toy", ("tip", "tail"), ((0, 1),), (0.1, 0.1))


@pytest.mark.parametrize("skeleton", [*SKELETONS.values(), TOY])
def test_every_skeleton_is_a_tree(skeleton):
    tree = body_tree(skeleton)
    placed = {int(tree.order[0])}
    for node in tree.order[1:]:
        assert int(tree.parents[node]) in placed
        placed.add(int(node))
    assert len(placed) == len(tree.order) >= len(skeleton)
    assert np.array_equal(tree.flip[tree.flip], np.arange(len(tree.order)))


def test_random_input_gives_no_pose_without_a_sigma():
    rng, rig = np.random.default_rng(7), rooms.cameras(4, 7)
    for _ in range(400):
        views = []
        for camera in rng.permutation(np.array(rig, object))[: rng.integers(0, 5)]:
            people = int(rng.integers(0, 5))
            xy = rng.normal(300, 10.0 ** rng.uniform(0, 7), (people, 17, 2)).astype(np.float32)
            xy[rng.random(xy.shape[:2]) < rng.random()] = np.nan
            scores = np.where(np.isnan(xy).any(axis=-1), 0, rng.uniform(0.01, 1, xy.shape[:2]))
            xyz = rng.normal(0, 3, (people, 17, 3)).astype(np.float32)
            xyz[rng.random(xyz.shape) < 0.2] = rng.choice([np.nan, np.inf, 0.0])
            sigma = rng.choice([np.nan, 0.0, -1.0, 0.5, 1e9], (people, 17)).astype(np.float32)
            poses = Poses(
                COCO17, xy, scores.astype(np.float32), rng.normal(0, 2, people).astype(np.float32),
                np.zeros((people, 4), np.float32), xyz_cam_m=xyz if rng.random() < 0.5 else None,
                sigma_px=sigma if rng.random() < 0.5 else None, sigma_m=sigma if rng.random() < 0.5 else None,
            )  # fmt: skip
            views.append(View(camera, poses, int(rng.integers(-(10**9), 10**9))))
        people = fuse(views)
        known = np.isfinite(people.xyz_room_m).all(axis=-1)
        assert np.array_equal(known, np.isfinite(people.sigma_m) & (people.sigma_m > 0))


def test_a_camera_must_have_a_pose():
    camera = rooms.cameras(1)[0]
    with pytest.raises(ValueError, match="rotation"):
        RoomCamera("c", camera.intrinsics, np.diag([1.0, 1.0, -1.0, 1.0]))
    with pytest.raises(ValueError, match="4x4"):
        RoomCamera("c", camera.intrinsics, np.full((4, 4), np.nan))


def test_settings_are_checked():
    with pytest.raises(ValueError, match=r"FusionConfig\.joint_sigma"):
        FusionConfig(joint_sigma=0.0)
    assert len(BODY24) == len(body_tree(BODY24).order)
