"""Training targets against their formulas, cell by cell, and what must hold of any people."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orpose_core.data.targets import TargetConfig, known_maps, render_targets
from orpose_core.skeleton import BODY24, COCO17, OPENPOSE18
from orpose_core.types import Poses

SOURCE_HW, MAP_HW = (480, 640), (48, 64)
N = len(OPENPOSE18)


def as_poses(xy_px, skeleton=OPENPOSE18) -> Poses:
    xy_px = np.asarray(xy_px, np.float32).reshape(-1, len(skeleton), 2)
    scores = (~np.isnan(xy_px).any(axis=-1)).astype(np.float32)
    m = len(xy_px)
    return Poses(skeleton, xy_px, scores, np.ones(m, np.float32), np.zeros((m, 4), np.float32))


def lone(**joints_px) -> Poses:
    xy = np.full((1, N, 2), np.nan)
    for joint, place in joints_px.items():
        xy[0, OPENPOSE18.index(joint)] = place
    return as_poses(xy)


def people(m: int, seed: int = 0) -> Poses:
    rng = np.random.default_rng(seed)
    centre = rng.uniform([60, 60], [580, 420], size=(m, 1, 2))
    return as_poses(centre + rng.normal(size=(m, N, 2)) * 40)


def cell_centres_px(map_hw=MAP_HW) -> np.ndarray:
    """(h, w, 2), x and y."""
    y = (np.arange(map_hw[0]) + 0.5) * SOURCE_HW[0] / map_hw[0] - 0.5
    x = (np.arange(map_hw[1]) + 0.5) * SOURCE_HW[1] / map_hw[1] - 0.5
    return np.stack(np.meshgrid(x, y), axis=-1)


def slow_targets(poses: Poses, config: TargetConfig) -> tuple[np.ndarray, np.ndarray]:
    """The formulas of RTPose (eqs. 6 to 9) over all cells, in units of cells."""
    cells = (cell_centres_px() + 0.5) / 10 - 0.5
    xy = (poses.xy_px.astype(float) + 0.5) / 10 - 0.5
    keypoints, pafs = np.zeros((N + 1, *MAP_HW)), np.zeros((38, *MAP_HW))
    for j in range(N):
        for p in xy[:, j]:
            if not np.isnan(p[0]):
                distance2 = ((cells - p) ** 2).sum(-1)
                keypoints[j] = np.maximum(
                    keypoints[j], np.exp(-distance2 / 2 / config.keypoint_sigma_cells**2)
                )
    keypoints[N] = 1 - keypoints[:N].max(axis=0)
    for (a, b), channels in zip(OPENPOSE18.edges, OPENPOSE18.paf_channels, strict=True):
        total, count = np.zeros((*MAP_HW, 2)), np.zeros(MAP_HW)
        for p, q in zip(xy[:, a], xy[:, b], strict=True):
            if np.isnan([p, q]).any():
                continue
            length = np.linalg.norm(q - p)
            unit = (q - p) / length
            along = np.clip((cells - p) @ unit, 0, length)
            covered = (
                np.linalg.norm(cells - (p + along[..., None] * unit), axis=-1) <= config.limb_width_cells
            )
            total += covered[..., None] * unit
            count += covered
        pafs[list(channels)] = np.moveaxis(total / np.maximum(count, 1)[..., None], -1, 0)
    return keypoints, pafs


@pytest.mark.parametrize("config", [TargetConfig(), TargetConfig(1.5, 0.7)])
def test_targets_are_the_papers_formulas(config):
    poses = people(5)
    targets = render_targets(poses, SOURCE_HW, MAP_HW, config)
    keypoints, pafs = slow_targets(poses, config)
    np.testing.assert_allclose(targets.keypoint_maps, keypoints, atol=4e-4)  # the tail beyond 4 sigma
    assert np.mean(np.abs(targets.paf_maps - pafs) > 1e-3) < 1e-4  # float32 at the very edge of a limb
    assert targets.keypoint_maps.dtype == targets.paf_maps.dtype == targets.mask.dtype == np.float32


def test_a_joint_at_a_cells_centre_is_one_there():
    place = cell_centres_px()[20, 30]
    maps = render_targets(lone(nose=place), SOURCE_HW, MAP_HW).keypoint_maps
    assert maps[0, 20, 30] == pytest.approx(1.0, abs=1e-6)
    assert maps[N, 20, 30] == pytest.approx(0.0, abs=1e-6)
    assert np.all(maps[1:N] == 0)


@settings(max_examples=40, deadline=None)
@given(x=st.floats(45, 595), y=st.floats(45, 435))
def test_fractions_are_kept(x, y):
    heat = render_targets(lone(nose=(x, y)), SOURCE_HW, MAP_HW).keypoint_maps[0]
    centre = (heat[..., None] * cell_centres_px()).sum((0, 1)) / heat.sum()
    np.testing.assert_allclose(centre, [x, y], atol=0.1)


def test_limbs_carry_unit_vectors_along_them():
    poses = lone(right_elbow=(200, 100), right_wrist=(260, 180))
    targets = render_targets(poses, SOURCE_HW, MAP_HW)
    limb = OPENPOSE18.edges.index((OPENPOSE18.index("right_elbow"), OPENPOSE18.index("right_wrist")))
    x, y = OPENPOSE18.paf_channels[limb]
    covered = np.hypot(targets.paf_maps[x], targets.paf_maps[y]) > 0
    np.testing.assert_allclose(targets.paf_maps[x][covered], 0.6, atol=1e-5)
    np.testing.assert_allclose(targets.paf_maps[y][covered], 0.8, atol=1e-5)
    others = [c for c in range(38) if c not in (x, y)]
    assert np.all(targets.paf_maps[others] == 0)


def test_where_limbs_cross_the_field_is_their_mean():
    across = lone(right_elbow=(200, 200), right_wrist=(300, 200)).xy_px
    down = lone(right_elbow=(250, 150), right_wrist=(250, 250)).xy_px
    maps = render_targets(as_poses(np.concatenate([across, down])), SOURCE_HW, MAP_HW).paf_maps
    x, y = OPENPOSE18.paf_channels[3]
    np.testing.assert_allclose(maps[[x, y], 20, 25], [0.5, 0.5])
    np.testing.assert_allclose(maps[[x, y], 20, 22], [1.0, 0.0])


@pytest.mark.parametrize("seed", range(3))
def test_the_order_of_people_does_not_matter(seed):
    poses = people(6, seed)
    forward, backward = (
        render_targets(p, SOURCE_HW, MAP_HW) for p in (poses, poses.select(list(range(6))[::-1]))
    )
    np.testing.assert_allclose(forward.keypoint_maps, backward.keypoint_maps)
    np.testing.assert_allclose(forward.paf_maps, backward.paf_maps, atol=1e-6)


def test_nobody_is_background_everywhere():
    targets = render_targets(Poses.nobody(OPENPOSE18), SOURCE_HW, MAP_HW)
    assert np.all(targets.keypoint_maps[:N] == 0)
    assert np.all(targets.keypoint_maps[N] == 1)
    assert np.all(targets.paf_maps == 0)
    assert np.all(targets.mask == 1)


def test_a_person_without_joints_is_nobody():
    nothing = render_targets(lone(), SOURCE_HW, MAP_HW)
    assert np.all(nothing.keypoint_maps[N] == 1)
    assert np.all(nothing.paf_maps == 0)


@pytest.mark.parametrize("place", [(-15, 240), (650, 470), (1e9, -1e9), (-1e30, 1e30)])
def test_joints_beyond_the_border_are_drawn_as_far_as_they_reach_in(place):
    targets = render_targets(lone(right_elbow=place, right_wrist=(320, 240)), SOURCE_HW, MAP_HW)
    assert np.all(np.isfinite(targets.keypoint_maps))
    assert np.all(np.isfinite(targets.paf_maps))
    assert (targets.keypoint_maps[3].max() > 0.05) == (abs(place[0]) < 1000)


@pytest.mark.parametrize("skeleton", [COCO17, BODY24])
def test_other_skeletons_are_converted(skeleton):
    rng = np.random.default_rng(0)
    poses = as_poses(rng.uniform(100, 300, size=(2, len(skeleton), 2)), skeleton)
    ours = render_targets(poses, SOURCE_HW, MAP_HW)
    converted = render_targets(poses.converted(OPENPOSE18), SOURCE_HW, MAP_HW)
    np.testing.assert_array_equal(ours.keypoint_maps, converted.keypoint_maps)
    assert ours.keypoint_maps[OPENPOSE18.index("neck")].max() > 0.5


def test_the_mask_covers_people_without_labels():
    boxes = [[99.5, 49.5, 199.5, 149.5], [-50, -50, 5, 5], [700, 500, 800, 600]]
    mask = render_targets(people(1), SOURCE_HW, MAP_HW, ignore_boxes_px=np.array(boxes)).mask
    assert np.all(mask[5:15, 10:20] == 0)
    assert mask[0, 0] == 0
    assert (mask == 0).sum() == 100 + 1


def two_people_of_whom_one_lacks_an_elbow() -> Poses:
    box = np.array([[100, 100, 299, 299]], np.float32)
    rng = np.random.default_rng(0)
    one, other = rng.uniform(110, 290, (2, N, 2))
    one[OPENPOSE18.index("left_elbow")] = np.nan
    poses = as_poses([one, other])
    return replace(poses, boxes_px=np.concatenate([box, box]))


def test_a_joint_that_a_label_lacks_is_unknown_on_its_person_and_known_elsewhere():
    poses = two_people_of_whom_one_lacks_an_elbow()
    targets = render_targets(poses, SOURCE_HW, MAP_HW)
    known = known_maps(targets, poses, SOURCE_HW)
    elbow, wrist = OPENPOSE18.index("left_elbow"), OPENPOSE18.index("left_wrist")
    inside, drawn = np.zeros(MAP_HW, bool), targets.keypoint_maps[elbow] > 0.05
    inside[7:33, 7:33] = True  # the box and 15 % more
    assert np.all(known.keypoint_maps[elbow][inside & ~drawn] == 0)
    assert drawn.any() and np.all(known.keypoint_maps[elbow][drawn | ~inside] == 1), "the other has an elbow"
    assert np.all(known.keypoint_maps[wrist] == 1)
    background = known.keypoint_maps[-1]
    assert np.all(background[~inside] == 1) and np.all(background[targets.keypoint_maps[-1] < 0.9] == 1)
    assert np.all(background[inside & (targets.keypoint_maps[-1] > 0.96)] == 0)
    for edge, (x, y) in zip(OPENPOSE18.edges, OPENPOSE18.paf_channels, strict=True):
        limb = known.paf_maps[[x, y]]
        assert (elbow in edge) == (limb == 0).any()
        there = np.abs(targets.paf_maps[[x, y]]).max(axis=0) > 0.05
        assert np.all(limb[:, there | ~inside] == 1)


def test_nothing_is_unknown_of_complete_labels_and_the_mask_holds():
    poses = people(2)
    targets = render_targets(poses, SOURCE_HW, MAP_HW, ignore_boxes_px=np.array([[100, 50, 199, 149]]))
    for maps in known_maps(targets, poses, SOURCE_HW):
        assert np.all(maps == targets.mask)


def test_five_people_take_less_than_two_milliseconds():
    poses = people(5)
    render_targets(poses, SOURCE_HW, MAP_HW)
    seconds = []
    for _ in range(50):
        start = time.perf_counter()
        render_targets(poses, SOURCE_HW, MAP_HW)
        seconds.append(time.perf_counter() - start)
    assert np.percentile(seconds, 20) < 2e-3


@pytest.mark.parametrize("values", [{"keypoint_sigma_cells": 0.0}, {"limb_width_cells": -1.0}])
def test_a_wrong_shape_is_refused_by_name(values):
    with pytest.raises(ValueError, match=next(iter(values))):
        TargetConfig(**values)


def test_an_impossible_size_is_refused():
    with pytest.raises(ValueError, match="sizes must be positive"):
        render_targets(people(1), SOURCE_HW, (0, 64))
