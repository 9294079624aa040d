"""Each family of depth cameras has its own faults, and only those."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from orpose_core.simulation.dice import Dice
from orpose_core.simulation.sensing import depth_cameras as c
from orpose_core.simulation.sensing.depth_cameras import draw_depth_camera, measure

pytestmark = pytest.mark.timeout(900)  # the first run compiles for a minute of processor time

HW = (120, 160)


def wall(depth: float) -> dict:
    normals = np.zeros((*HW, 3), np.float32)
    normals[..., 2] = -1
    return {"depth": np.full(HW, depth), "solid": np.zeros(HW, np.int32), "normals": normals}


def through(traits: dict, scene: dict, surfaces=((0.0, 0.0),), seed: int = 3) -> np.ndarray:
    t = np.zeros(c.TRAIT_COUNT)
    t[[c.FOCAL_BASELINE, c.FAR_M, c.FAR_SOFT_M, c.GAIN, c.HOLE_CELL_PX, c.EDGE_CELL_PX, c.WAVE_CELL_PX]] = (
        40, 20, 1, 1, 40, 4, 10,
    )  # fmt: skip
    for name, value in traits.items():
        t[getattr(c, name)] = value
    noise = np.random.default_rng(0).standard_normal(HW).astype(np.float32)
    camera = np.array([130.0, 130.0, 79.5, 59.5])
    return measure(
        scene["depth"], scene["solid"], scene["normals"], np.array(surfaces), camera, noise, t, seed, 5
    )


def person_before_wall(near: float = 1.5, far: float = 3.0) -> dict:
    scene = wall(far)
    scene["depth"][30:, 60:100] = near
    return scene


def test_without_faults_depth_is_rounded_to_millimetres():
    assert np.unique(through({}, wall(2.0))).tolist() == [2000]


def test_matching_cameras_are_noisier_with_the_square_of_the_depth():
    near, far = (np.std(through({"NOISE_PX": 0.1}, wall(z)).astype(float)) for z in (1.5, 3.0))
    assert far / near == pytest.approx(4.0, rel=0.15)


def test_steps_of_disparity_grow_with_the_square_of_the_depth():
    steps = [
        np.diff(np.unique(through({"NOISE_PX": 0.3, "STEP_PX": 0.125}, wall(z)))).mean() for z in (2.0, 4.0)
    ]
    assert steps[1] / steps[0] == pytest.approx(4.0, rel=0.15)


@pytest.mark.parametrize("step_m", [0.010, 0.030])
def test_eight_bits_are_equal_steps_up_to_a_range(step_m):
    traits = {"NOISE_M": 0.02, "STEP_M": step_m, "STEPS": 255.0}
    depth = through(traits, wall(2.0))
    assert np.unique(np.diff(np.unique(depth[depth > 0]))).tolist() == [round(1000 * step_m)]
    assert (through({**traits, "NOISE_M": 1e-6}, wall(255 * step_m + 0.05)) == 0).all()


def test_what_never_returns_is_a_hole_of_the_thing_s_shape_in_every_family():
    scene = person_before_wall()
    scene["solid"][30:, 60:100] = 1
    for family in ("structured_light", "time_of_flight", "active_stereo"):
        dice = next(d for d in (Dice(9, i) for i in range(99)) if draw_depth_camera(d).family == family)
        sensor = next(s for s in (draw_depth_camera(dice) for _ in range(99)) if s.family == family)
        noise = np.zeros(HW, np.float32)
        depth = measure(
            scene["depth"], scene["solid"], scene["normals"], np.array([[0.0, 0.0], [3.0, 0.0]]),
            np.array([130.0, 130.0, 79.5, 59.5]), noise, sensor.traits, 3, 5,
        )  # fmt: skip
        assert (depth[45:, 70:90] == 0).all(), family


def test_structured_light_has_a_shadow_on_one_side_and_ragged_silhouettes():
    scene = person_before_wall()
    depth = through({"SHADOW_PX_M": 40.0 * 4}, scene)  # 40 px m in this image
    row = depth[80]
    assert (row[48:59] == 0).all() and (row[101:] > 0).all()
    edge = through({"EDGE_PX": 12.0, "EDGE_CELL_PX": 16.0}, scene)
    borders = {int(np.flatnonzero(r == 1500)[0]) for r in edge[40:]}
    assert len(borders) > 2


def test_time_of_flight_loses_its_corners_and_the_outline_or_lets_it_fly():
    depth = through({"CORNERS": 1.2}, wall(3.0))
    assert (depth[:6, :6] == 0).mean() > 0.8 and (depth[50:70, 60:100] > 0).all()
    scene = person_before_wall()
    cut = through({"OUTLINE": 1.0}, scene)
    assert (cut[60:, 59] == 0).all() and (cut[60:, 70:90] == 1500).all()
    flown = through({"FLYING": 1.0, "CORNERS": 0.01}, scene)
    between = (flown > 1550) & (flown < 2950)
    assert between[40:, 56:61].mean() > 0.1 and not between[:, :50].any()
    dark = through({"NOISE_M": 0.004, "DARK": 0.5}, wall(3.0), ((0.6, 0.0),)).astype(float)
    bright = through({"NOISE_M": 0.004, "DARK": 0.5}, wall(3.0)).astype(float)
    assert np.std(dark[dark > 0]) > 1.15 * np.std(bright)


def test_active_stereo_fattens_silhouettes_and_waves():
    scene = person_before_wall()
    fat = through({"FATTEN_PX": 12.0}, scene)
    assert (fat == 1500).sum() > (through({}, scene) == 1500).sum() + 4 * 80
    waves = through({"WAVE_PX": 0.2, "WAVE_CELL_PX": 40.0}, wall(3.0)).astype(float)
    assert waves.std() > 5.0
    assert np.abs(np.diff(waves, axis=1)).mean() < 0.35 * waves.std()  # neighbours move together


def test_lonely_pixels_go_and_pinholes_close():
    image = np.zeros((9, 9), np.uint16)
    image[4, 4] = 2000
    assert (c._clean(image) == 0).all()
    image[:] = 2000
    image[4, 4] = 0
    assert (c._clean(image)[1:-1, 1:-1] == 2000).all()


def test_some_cameras_of_every_family_give_eight_bits():
    sensors = [draw_depth_camera(Dice(5, i)) for i in range(300)]
    families = Counter(s.family for s in sensors)
    assert set(families) == set(c.FAMILIES) and min(families.values()) > 50
    eight = [s for s in sensors if s.traits[c.STEPS] > 0]
    assert {s.family for s in eight} == set(c.FAMILIES)
    assert all(0.010 <= s.traits[c.STEP_M] < 0.030 for s in eight)
