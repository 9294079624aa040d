"""Joint sets and the mappings between them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orpose_core.skeleton import (
    BODY24,
    COCO17,
    H36M17,
    MVOR10,
    OPENPOSE18,
    SKELETONS,
    Skeleton,
    by_name,
    convert_joints,
    joint_rules,
)

ALL = list(SKELETONS.values())
PAIRS = [(a, b) for a in ALL for b in ALL]


@pytest.mark.parametrize("skeleton", ALL, ids=lambda s: s.name)
def test_a_mirror_twice_is_nothing(skeleton: Skeleton) -> None:
    order = np.array(skeleton.flip_permutation)
    assert order[order].tolist() == list(range(len(skeleton)))
    assert sorted(order) == list(range(len(skeleton)))
    for i, j in enumerate(order):
        left, right = skeleton.joints[i], skeleton.joints[j]
        swapped = left.replace("left_", "RIGHT_").replace("right_", "left_").replace("RIGHT_", "right_")
        assert right == swapped
    sided = sum(joint.startswith(("left_", "right_")) for joint in skeleton.joints)
    assert 2 * len(skeleton.flip_pairs) == sided


@pytest.mark.parametrize("skeleton", ALL, ids=lambda s: s.name)
def test_limbs_connect_everything_and_mirror_onto_limbs(skeleton: Skeleton) -> None:
    reached, grown = {skeleton.edges[0][0]}, True
    while grown:
        more = {j for edge in skeleton.edges for j in edge if set(edge) & reached} - reached
        reached |= more
        grown = bool(more)
    named = {j for edge in skeleton.edges for j in edge}
    assert reached == named
    if skeleton != BODY24:  # it draws COCO's limbs alone
        assert named == set(range(len(skeleton)))
    order = skeleton.flip_permutation
    edges = {frozenset(edge) for edge in skeleton.edges}
    assert {frozenset((order[a], order[b])) for a, b in skeleton.edges} == edges


def test_sizes_and_orders_of_the_papers() -> None:
    assert [len(s) for s in (COCO17, OPENPOSE18, H36M17, MVOR10, BODY24)] == [17, 18, 17, 10, 24]
    assert len(OPENPOSE18.edges) == len(OPENPOSE18.paf_channels) == 19
    assert sorted(c for pair in OPENPOSE18.paf_channels for c in pair) == list(range(38))
    assert COCO17.joints[0] == "nose" and COCO17.joints[11:13] == ("left_hip", "right_hip")
    assert OPENPOSE18.joints[1] == "neck" and OPENPOSE18.joints[2] == "right_shoulder"
    assert H36M17.joints[0] == "pelvis" and H36M17.joints[1] == "right_hip"
    assert set(BODY24.joints) == set().union(*(s.joints for s in ALL))
    sigmas = dict(zip(COCO17.joints, COCO17.sigmas, strict=True))
    assert sigmas["nose"] == 0.026 and sigmas["right_hip"] == 0.107 and sigmas["left_ankle"] == 0.089


def test_coco_sigmas_are_those_of_pycocotools() -> None:
    from pycocotools.cocoeval import Params

    np.testing.assert_allclose(COCO17.sigmas, Params("keypoints").kpt_oks_sigmas)


def test_mvors_order_is_that_of_its_file() -> None:
    assert MVOR10.joints == (
        "head", "neck", "left_shoulder", "right_shoulder", "left_hip", "right_hip", "left_elbow",
        "right_elbow", "left_wrist", "right_wrist",
    )  # fmt: skip


def random_people(seed: int, skeleton: Skeleton, m: int, absent: float) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    n = len(skeleton)
    scores = np.where(rng.random((m, n)) < absent, 0.0, rng.uniform(0.1, 1.0, (m, n)))
    values = np.where(scores[..., None] > 0, rng.normal(size=(m, n, 2)) * 100, np.nan)
    return values, scores


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from(PAIRS), st.integers(0, 4), st.sampled_from([0.0, 0.4, 1.0]))
def test_joints_of_the_same_name_are_kept_and_absence_stays(
    seed: int, pair: tuple[Skeleton, Skeleton], m: int, absent: float
) -> None:
    source, target = pair
    values, scores = random_people(seed, source, m, absent)
    out, out_scores = convert_joints(values, scores, source, target)
    assert out.shape == (m, len(target), 2) and out.dtype == values.dtype
    np.testing.assert_array_equal(np.isnan(out).any(axis=-1), out_scores == 0)
    assert (out_scores <= 1).all()
    for j, joint in enumerate(target.joints):
        if joint in source.joints:
            np.testing.assert_array_equal(out[:, j], values[:, source.index(joint)])
            np.testing.assert_array_equal(out_scores[:, j], scores[:, source.index(joint)])


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from(PAIRS), st.sampled_from([0.0, 0.4]))
def test_converting_and_mirroring_commute(seed: int, pair: tuple[Skeleton, Skeleton], absent: float) -> None:
    """But for the head of MVOR, whose rule asks for the right eye before the left one."""
    source, target = pair
    values, scores = random_people(seed, source, 3, absent)
    mirrored_first = convert_joints(
        values[:, source.flip_permutation], scores[:, source.flip_permutation], source, target
    )
    converted_first = convert_joints(values, scores, source, target)
    for a, b in zip(mirrored_first, converted_first, strict=True):
        for j, joint in enumerate(target.joints):
            if joint == "head" and "head" not in source.joints and absent:
                continue
            np.testing.assert_allclose(a[:, j], b[:, target.flip_permutation[j]], rtol=1e-12)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from(PAIRS), st.tuples(st.floats(-50, 50), st.floats(0.1, 10)))
def test_converting_commutes_with_shift_and_scale(
    seed: int, pair: tuple[Skeleton, Skeleton], change: tuple[float, float]
) -> None:
    source, target = pair
    values, scores = random_people(seed, source, 2, 0.3)
    shift, scale = change
    after, _ = convert_joints(values * scale + shift, scores, source, target)
    before, _ = convert_joints(values, scores, source, target)
    np.testing.assert_allclose(after, before * scale + shift, atol=1e-9)


def _head_and_neck(present: dict[str, tuple[float, float]]) -> tuple[np.ndarray, np.ndarray]:
    values = np.full((1, 17, 2), np.nan)
    for joint, xy_px in present.items():
        values[0, COCO17.index(joint)] = xy_px
    scores = np.where(np.isnan(values).any(axis=-1), 0.0, 0.5)
    out, _ = convert_joints(values, scores, COCO17, MVOR10)
    return out[0, 0], out[0, 1]


def test_mvors_head_is_eyes_then_ears_then_the_first_that_is_there() -> None:
    face = {
        "left_eye": (10.0, 0.0), "right_eye": (20.0, 0.0), "left_ear": (0.0, 8.0), "right_ear": (40.0, 8.0),
        "nose": (15.0, 5.0),
    }  # fmt: skip
    expected = [
        ((), (15.0, 0.0)),  # the eyes' mean
        (("left_eye",), (20.0, 8.0)),  # the ears' mean, though the nose and an eye are there
        (("left_ear",), (15.0, 5.0)),  # the nose
        (("nose",), (20.0, 0.0)),  # the right eye
        (("right_eye",), (40.0, 8.0)),  # no left eye either: the right ear
        (("right_ear",), (np.nan, np.nan)),
    ]
    for gone, head in expected:
        for joint in gone:
            del face[joint]
        np.testing.assert_array_equal(_head_and_neck(face)[0], head)
    np.testing.assert_array_equal(_head_and_neck({"left_eye": (1, 2), "right_ear": (3, 4)})[0], (1, 2))
    np.testing.assert_array_equal(_head_and_neck({"left_ear": (1, 2)})[0], (1, 2))


def test_mvors_neck_is_the_shoulders_mean_or_the_one_there_is() -> None:
    left, right = (10.0, 4.0), (30.0, 8.0)
    assert _head_and_neck({"left_shoulder": left, "right_shoulder": right})[1].tolist() == [20.0, 6.0]
    assert _head_and_neck({"left_shoulder": left})[1].tolist() == list(left)
    assert _head_and_neck({"right_shoulder": right})[1].tolist() == list(right)
    assert np.isnan(_head_and_neck({"nose": (1.0, 1.0)})[1]).all()


def test_joints_that_cannot_be_derived_have_no_rule() -> None:
    rules = dict(zip(COCO17.joints, joint_rules(MVOR10, COCO17), strict=True))
    assert rules["nose"] == () and rules["left_knee"] == ()
    assert rules["left_wrist"] == ((MVOR10.index("left_wrist"),),)


def test_the_lowest_parent_score_is_the_derived_ones() -> None:
    values, scores = np.zeros((1, 17, 2)), np.full((1, 17), 0.9)
    scores[0, COCO17.index("left_shoulder")] = 0.2
    _, out = convert_joints(values, scores, COCO17, OPENPOSE18)
    assert out[0, OPENPOSE18.index("neck")] == pytest.approx(0.2)


def test_float32_stays_float32() -> None:
    values, scores = random_people(0, COCO17, 2, 0.2)
    out, out_scores = convert_joints(values.astype(np.float32), scores.astype(np.float32), COCO17, MVOR10)
    assert out.dtype == out_scores.dtype == np.float32


def test_unknown_names_are_refused() -> None:
    with pytest.raises(ValueError, match=r"no skeleton is called 'kinect'; there are \['body24'"):
        by_name("kinect")
    with pytest.raises(ValueError, match="coco17 has no joint 'tail'"):
        COCO17.index("tail")
    with pytest.raises(ValueError, match="joint names must differ"):
        Skeleton("two", ("a", "a"), (), (0.1, 0.1))
    with pytest.raises(ValueError, match="2 sigmas, got 1"):
        Skeleton("two", ("a", "b"), (), (0.1,))
    with pytest.raises(ValueError, match=r"edge \(0, 2\)"):
        Skeleton("two", ("a", "b"), ((0, 2),), (0.1, 0.1))
    for skeleton in ALL:
        assert by_name(skeleton.name) is skeleton
