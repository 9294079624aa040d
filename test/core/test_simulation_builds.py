"""Varied builds: who is changed, what is not, and how far proportions go."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import pytest

from orpose_core.cli import main
from orpose_core.simulation import StreamConfig, simulate_frame
from orpose_core.simulation.dice import Dice
from orpose_core.simulation.people import builds, casting, kinematics
from orpose_core.simulation.stream import scene_of
from orpose_core.skeleton import BODY24
from orpose_core.training.depthpose.samples import DataConfig
from orpose_core.training.domain_streams import DomainStreams
from orpose_core.training.frame_cache import FrameCache

pytestmark = pytest.mark.timeout(900)  # the first run compiles for a minute of processor time


def scenes(share: float, count: int = 40, domain: str = "facing"):
    return [scene_of(StreamConfig(domain, seed=6, varied_builds=share), i) for i in range(count)]


def neck_to_hips_m(share: float) -> np.ndarray:
    """Of everybody in standing frames."""
    neck, left, right = (BODY24.index(n) for n in ("neck", "left_hip", "right_hip"))
    found = []
    for i in range(100):
        frame = simulate_frame(StreamConfig("facing", (24, 32), seed=6, sensor=False, varied_builds=share), i)
        joints = frame.poses.xyz_cam_m
        assert joints is not None
        found.append(np.linalg.norm(joints[:, neck] - 0.5 * (joints[:, left] + joints[:, right]), axis=1))
    return np.concatenate(found)


@pytest.mark.parametrize("domain", ["or", "general", "everyday", "site", "lying"])
def test_nothing_but_the_builds_changes(domain):
    for before, after in zip(scenes(0.0, 3, domain), scenes(1.0, 3, domain), strict=True):
        assert before.actors == after.actors and before.seed == after.seed
        assert before.first_materials == after.first_materials
        assert np.array_equal(before.room.materials, after.room.materials)
        for one in fields(before.room.solids):
            assert np.array_equal(getattr(before.room.solids, one.name), getattr(after.room.solids, one.name))
        for a, b in zip(before.people, after.people, strict=True):
            assert np.array_equal(a.outfit, b.outfit) and np.array_equal(a.colors, b.colors)
            assert not np.array_equal(a.dimensions, b.dimensions)


def test_the_share_is_that_of_the_people():
    pairs = [
        (a, b)
        for before, after in zip(scenes(0.0, 200), scenes(0.4, 200), strict=True)
        for a, b in zip(before.people, after.people, strict=True)
    ]
    changed = np.mean([not np.array_equal(a.dimensions, b.dimensions) for a, b in pairs])
    assert len(pairs) > 300
    assert changed == pytest.approx(0.4, abs=0.09)


def test_trunks_vary_as_much_as_those_that_people_mark():
    usual, varied = neck_to_hips_m(0.0), neck_to_hips_m(1.0)
    low, high = np.percentile(varied, [5, 95])
    assert low < 0.46 and high > 0.59
    assert high - low > 1.5 * np.subtract(*np.percentile(usual, [95, 5]))


def test_bones_have_the_lengths_of_the_build():
    person = casting.passer_by(Dice(3))
    d = builds.varied(person, Dice(4)).dimensions
    pose = np.zeros(kinematics.POSE_SIZE)
    pose[kinematics.HEIGHT] = 1.0
    for row, side in ((kinematics.LEFT_WRIST, -0.2), (kinematics.RIGHT_WRIST, 0.2)):
        pose[row : row + 3] = side, 0.3, -0.6
        pose[row + 6 : row + 9] = side, -1.0, -0.5
    kinematics.settle_arms(pose, d)
    joints = dict(zip(BODY24.joints, kinematics.joints_of(pose, d)[0], strict=True))
    for a, b, row in (
        ("left_shoulder", "left_elbow", kinematics.UPPER_ARM),
        ("right_elbow", "right_wrist", kinematics.FOREARM),
        ("left_hip", "left_knee", kinematics.THIGH),
        ("right_knee", "right_ankle", kinematics.SHANK),
    ):
        assert np.linalg.norm(joints[a] - joints[b]) == pytest.approx(d[row], rel=0.01)


def test_a_longer_neck_lifts_the_head_alone():
    usual, longer = kinematics.dimensions(1.75, 1.0, 0.0), kinematics.dimensions(1.75, 1.0, 0.0)
    longer[kinematics.NECK_LENGTH] = 1.5
    pose = np.zeros(kinematics.POSE_SIZE)
    pose[kinematics.HEIGHT] = 1.0
    pose[kinematics.LEFT_WRIST + 2] = pose[kinematics.RIGHT_WRIST + 2] = -1.0
    for d in (usual, longer):
        kinematics.settle_arms(pose, d)
    moved = kinematics.joints_of(pose, longer)[0] - kinematics.joints_of(pose, usual)[0]
    names = ["nose", "left_eye", "right_eye", "left_ear", "right_ear", "head", "neck_nose", "head_top"]
    of_head = [BODY24.index(name) for name in names]
    assert moved[of_head, 2] == pytest.approx(0.5 * 0.036 * 1.75)
    assert np.abs(np.delete(moved, of_head, axis=0)).max() == 0.0


def test_dimensions_stay_those_of_people():
    person = casting.passer_by(Dice(1))
    d = np.array([builds.varied(person, Dice(2, i)).dimensions for i in range(2000)])
    assert d.min(axis=0)[kinematics.THIGH] > 0.2 and d[:, kinematics.STATURE].min() > 1.0
    assert d[:, kinematics.STATURE].max() <= person.dimensions[kinematics.STATURE]
    small = d[:, kinematics.STATURE] < person.dimensions[kinematics.STATURE]
    assert small.mean() == pytest.approx(0.12, abs=0.03)
    heads = d[:, kinematics.HEAD_SCALE]
    assert heads[small].mean() > 1.05 * heads[~small].mean()
    assert person.dimensions[kinematics.NECK_LENGTH] == 1.0  # the original is not changed


def test_streams_and_their_caches_are_told_apart(tmp_path):
    usual, varied = (DomainStreams(("or",), (), (48, 64), "depth", 1, 0, share) for share in (0.0, 0.5))
    assert usual.streams[0] == StreamConfig("or", (48, 64), "depth", 1)
    assert varied.streams[0].varied_builds == 0.5
    paths = {FrameCache(tmp_path, one.streams[0], 128).path for one in (usual, varied)}
    assert len(paths) == 2


@pytest.mark.parametrize("share", [-0.1, 1.1])
def test_an_impossible_share_is_refused(share):
    with pytest.raises(ValueError, match=r"StreamConfig.varied_builds: expected a number in \[0, 1\]"):
        StreamConfig("or", varied_builds=share)
    with pytest.raises(ValueError, match=r"data.varied_builds: expected a number in \[0, 1\]"):
        DataConfig(varied_builds=share)


def test_the_command_passes_the_share_on_and_keeps_splits_as_they_are(tmp_path, capsys):
    argv = ["simulate", "--varied-builds", "0.5", "--contact-sheet", str(tmp_path / "sheet.png")]
    size = ["--size", "80x60", "--modality", "depth"]
    assert main([*argv, "--domain", "facing", "--frames", "1", "--out", str(tmp_path / "room"), *size]) == 0
    assert '"varied_builds": 0.5' in (tmp_path / "room" / "simulation.json").read_text()
    assert main([*argv, "--split", "facing-val-v1", *size]) != 0
    assert "--varied-builds: not with --split" in capsys.readouterr().err
