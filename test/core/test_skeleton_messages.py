"""Poses -> messages -> Poses, over the classes of rosbags: nothing changes, and missing is NaN."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from rosbags.typesys import Stores, get_typestore

from orpose_core.data.skeleton_messages import (
    MESSAGES,
    MessageTypes,
    from_skeleton_info,
    from_skeletons,
    message_definitions,
    rosbags_types,
    stamp_ns_of,
    states_of,
    to_model_info,
    to_skeleton_info,
    to_skeletons_2d,
    to_skeletons_3d,
)
from orpose_core.skeleton import OPENPOSE18, SKELETONS
from orpose_core.tracking import TrackState
from orpose_core.types import Poses, Source3D, Visibility

STAMP_NS = 1_700_000_000_123_456_789
SOURCE = {"stamp_ns": STAMP_NS, "frame_id": "ceiling_1_optical"}
IMAGE = {"image_hw": (480, 640), "network_hw": (48, 64), "modality": "depth"}


def random_poses(m: int, seed: int = 0, skeleton: Any = OPENPOSE18) -> Poses:
    """People with some joints absent, everything else known."""
    rng = np.random.default_rng(seed)
    n = len(skeleton)
    absent = rng.random((m, n)) < 0.25
    scores = np.where(absent, 0, rng.uniform(0.05, 1, (m, n))).astype(np.float32)
    xy = np.where(absent[..., None], np.nan, rng.uniform(0, 480, (m, n, 2))).astype(np.float32)
    unknown = absent | (rng.random((m, n)) < 0.2)
    hips = [skeleton.index("left_hip"), skeleton.index("right_hip")]
    unknown[:, hips] = absent[:, hips] & (np.arange(m) > 0)[:, None]  # the first one's root is known
    xyz = rng.normal(0, 1, (m, n, 3)) + np.array([0, 0, 3])
    if "pelvis" in skeleton.joints:
        xyz[:, skeleton.index("pelvis")] = xyz[:, hips].mean(axis=1)
        unknown[:, skeleton.index("pelvis")] = unknown[:, hips].any(axis=1)
    xyz = np.where(unknown[..., None], np.nan, xyz).astype(np.float32)
    root = xyz[:, hips].astype(np.float64).mean(axis=1, keepdims=True)
    return Poses(
        skeleton,
        xy,
        scores,
        rng.uniform(0, 1, m).astype(np.float32),
        rng.uniform(0, 480, (m, 4)).astype(np.float32),
        xyz_root_m=(xyz - root).astype(np.float32),
        xyz_cam_m=xyz,
        visibility=np.where(absent, Visibility.ABSENT, Visibility.VISIBLE).astype(np.uint8),
        sigma_px=np.where(absent, np.nan, rng.uniform(0.5, 3, (m, n))).astype(np.float32),
        sigma_m=np.where(unknown, np.nan, rng.uniform(0.01, 0.1, (m, n))).astype(np.float32),
        source_3d=np.where(unknown, Source3D.NONE, Source3D.DEPTH).astype(np.uint8),
        track_ids=rng.permutation(m).astype(np.int64) + 7,
    )


def assert_same(a: Poses, b: Poses) -> None:
    assert a.skeleton == b.skeleton
    for name, value in vars(a).items():
        if name == "skeleton":
            continue
        other = getattr(b, name)
        if value is None:
            assert other is None, name
        elif name == "xyz_root_m":  # goes through float32 positions in space
            np.testing.assert_allclose(other, value, atol=1e-6, err_msg=name)
        else:
            np.testing.assert_array_equal(other, value, err_msg=name)


@pytest.fixture(scope="module")
def store() -> Any:
    return get_typestore(Stores.ROS2_JAZZY)


@pytest.fixture(scope="module")
def types(store: Any) -> MessageTypes:
    return rosbags_types(store)


def through_the_wire(store: Any, message: Any) -> Any:
    return store.deserialize_cdr(store.serialize_cdr(message, message.__msgtype__), message.__msgtype__)


def test_every_definition_is_found_and_every_field_has_a_comment() -> None:
    definitions = message_definitions()
    assert sorted(definitions) == sorted(f"orpose_ros/msg/{name}" for name in MESSAGES)
    for name, text in definitions.items():
        for line in text.splitlines():
            if line.strip() and not line.startswith("#"):
                constant = name.endswith("Array") and line.startswith("string MODALITY")
                assert "#" in line or constant, f"{name}: {line}"


@pytest.mark.parametrize("m", [0, 1, 5])
@pytest.mark.parametrize("skeleton", ["openpose18", "coco17", "h36m17"])
def test_round_trip_in_space(store: Any, types: MessageTypes, m: int, skeleton: str) -> None:
    poses = random_poses(m, seed=m, skeleton=SKELETONS[skeleton])
    states = np.full(m, TrackState.CONFIRMED, np.uint8)
    flat = through_the_wire(store, to_skeletons_2d(poses, types, states=states, **SOURCE, **IMAGE))
    space = through_the_wire(store, to_skeletons_3d(poses, types, **SOURCE))
    if m:
        assert_same(poses, from_skeletons(flat, space))
    assert len(from_skeletons(flat, space)) == m
    assert states_of(flat).tolist() == [2] * m
    assert stamp_ns_of(flat) == stamp_ns_of(space) == STAMP_NS
    assert flat.header.frame_id == space.header.frame_id == "ceiling_1_optical"
    assert (flat.image_width, flat.image_height) == (640, 480)
    assert (flat.network_input_width, flat.network_input_height) == (64, 48)
    assert space.kind == space.KIND_METRIC


def test_relative_positions_stay_relative_and_have_no_root(store: Any, types: MessageTypes) -> None:
    poses = replace(random_poses(3), xyz_cam_m=None)
    space = through_the_wire(store, to_skeletons_3d(poses, types, **SOURCE))
    assert space.kind == space.KIND_ROOT_RELATIVE
    assert all(np.isnan([p.root.x, p.root.y, p.root.z]).all() for p in space.skeletons)
    back = from_skeletons(to_skeletons_2d(poses, types, **SOURCE, **IMAGE), space)
    assert back.xyz_cam_m is None
    np.testing.assert_array_equal(back.xyz_root_m, poses.xyz_root_m)


def test_what_is_not_known_is_said_to_be_unknown_and_never_zero(store: Any, types: MessageTypes) -> None:
    full = random_poses(4)
    bare = Poses(full.skeleton, full.xy_px, full.scores, full.person_scores, full.boxes_px)
    flat = through_the_wire(store, to_skeletons_2d(bare, types, **SOURCE, **IMAGE))
    space = through_the_wire(store, to_skeletons_3d(bare, types, **SOURCE))
    assert len(space.skeletons) == 4
    for person, absent in zip(flat.skeletons, bare.scores == 0, strict=True):
        assert person.track_id == -1 and person.track_state == 0
        for keypoint, gone in zip(person.keypoints, absent, strict=True):
            assert np.isnan(keypoint.sigma_px)
            assert np.isnan([keypoint.x, keypoint.y]).all() == gone
            assert keypoint.visibility == (0 if gone else 255)
    for person in space.skeletons:
        for k in person.keypoints:
            assert np.isnan([k.position.x, k.position.y, k.position.z, k.sigma_m]).all()
            assert (k.score, k.source) == (0, Source3D.NONE)
    back = from_skeletons(flat)
    assert_same(bare, back)


def test_where_depth_or_a_network_gave_a_joint_is_kept_or_told_from_the_kind(types: MessageTypes) -> None:
    poses = replace(random_poses(2), source_3d=None)
    sources = {k.source for p in to_skeletons_3d(poses, types, **SOURCE).skeletons for k in p.keypoints}
    assert sources == {Source3D.NONE, Source3D.DEPTH}
    relative = replace(poses, xyz_cam_m=None)
    sources = {k.source for p in to_skeletons_3d(relative, types, **SOURCE).skeletons for k in p.keypoints}
    assert sources == {Source3D.NONE, Source3D.LIFTED}


@pytest.mark.parametrize("name", sorted(SKELETONS))
def test_skeleton_info_round_trip(store: Any, types: MessageTypes, name: str) -> None:
    skeleton = SKELETONS[name]
    message = through_the_wire(store, to_skeleton_info(skeleton, types))
    assert from_skeleton_info(message) == skeleton
    message.skeleton_model = "somebody_elses"
    other = from_skeleton_info(message)
    assert (other.joints, other.edges) == (skeleton.joints, skeleton.edges)
    assert other.flip_pairs == skeleton.flip_pairs


def test_an_untrained_model_says_so_in_its_name(store: Any, types: MessageTypes) -> None:
    model = SimpleNamespace(
        name="depthpose_64x48", sha256="", licence="", backend="torch 2.9 float32", device="cpu",
        modality="depth", input_hw=(48, 64), skeleton=OPENPOSE18, trained=False,
    )  # fmt: skip
    message = through_the_wire(store, to_model_info(model, types, max_pixels=3072))
    assert message.name == "untrained:depthpose_64x48"
    assert not message.trained
    assert (message.input_width, message.input_height, message.max_pixels) == (64, 48, 3072)
    model.trained = True
    assert to_model_info(model, types, max_pixels=0).name == "depthpose_64x48"


def test_messages_that_do_not_belong_together_are_refused(types: MessageTypes) -> None:
    poses = random_poses(3)
    flat = to_skeletons_2d(poses, types, **SOURCE, **IMAGE)
    with pytest.raises(ValueError, match="3 people"):
        from_skeletons(flat, to_skeletons_3d(poses.select([0, 1]), types, **SOURCE))
    with pytest.raises(ValueError, match="stamp"):
        from_skeletons(flat, to_skeletons_3d(poses, types, stamp_ns=5, frame_id=""))
    flat.skeletons[1].keypoints.pop()
    with pytest.raises(ValueError, match="expected 18 keypoints of openpose18, got 17"):
        from_skeletons(flat)
    flat.skeleton_model = "nonsense"
    with pytest.raises(ValueError, match="nonsense"):
        from_skeletons(flat)
