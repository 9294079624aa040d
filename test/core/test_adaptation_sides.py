"""People whose sides a network tells, while their labels tell where the joints are."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from orpose_core.adaptation.options import AdaptOptions
from orpose_core.adaptation.sides import label_share, with_sides_of
from orpose_core.data.targets import known_maps, people_map, render_targets
from orpose_core.decoding.flip import paf_exchange_order
from orpose_core.models import FastPoseConfig
from orpose_core.skeleton import BODY24, COCO17, OPENPOSE18, Skeleton
from orpose_core.training.depthpose.samples import DataConfig, LabelledFrame, SampleMaker
from orpose_core.types import Poses

HW = (48, 64)
JOINTS = len(OPENPOSE18)


def two_people(exchanged: tuple[int, ...] = ()) -> Poses:
    """Two people side by side; of those who are named, left and right are exchanged."""
    rng = np.random.default_rng(3)
    xy = np.stack([rng.uniform((6, 6), (24, 40), (JOINTS, 2)), rng.uniform((38, 6), (58, 40), (JOINTS, 2))])
    for person in exchanged:
        xy[person] = xy[person, list(OPENPOSE18.flip_permutation)]
    boxes = np.concatenate([xy.min(axis=1), xy.max(axis=1)], axis=1)
    ones = np.ones((2, JOINTS), np.float32)
    return Poses(OPENPOSE18, xy.astype(np.float32), ones, ones[:, 0], boxes.astype(np.float32))


def maps(poses: Poses) -> dict[str, Tensor]:
    targets = render_targets(poses, HW, HW)
    known = known_maps(targets, poses, HW)
    arrays = {
        "keypoint_maps": targets.keypoint_maps,
        "paf_maps": targets.paf_maps,
        "known_keypoints": known.keypoint_maps,
        "known_pafs": known.paf_maps,
        "people": people_map(poses, HW, HW)[None],
    }
    return {name: torch.from_numpy(array)[None] for name, array in arrays.items()}


def shares(answer: Tensor) -> list[float]:
    batch = maps(two_people())
    people = batch["people"][:, 0].long()
    return label_share(batch["keypoint_maps"], answer, people, OPENPOSE18)[0].tolist()


@pytest.mark.parametrize("skeleton", [OPENPOSE18, COCO17, BODY24])
def test_exchanged_limbs_are_those_of_exchanged_joints(skeleton: Skeleton) -> None:
    xy = np.random.default_rng(4).uniform((4, 4), (60, 44), (1, len(skeleton), 2)).astype(np.float32)
    ones, box = np.ones((1, len(skeleton)), np.float32), np.array([[4, 4, 60, 44]], np.float32)
    label, other = (
        render_targets(Poses(skeleton, places, ones, ones[:, 0], box), HW, HW, skeleton=skeleton).paf_maps
        for places in (xy, xy[:, list(skeleton.flip_permutation)])
    )
    order, signs = paf_exchange_order(skeleton)
    np.testing.assert_allclose(np.array(signs)[:, None, None] * label[list(order)], other, atol=1e-6)
    assert (-1.0 in signs) == (skeleton is not OPENPOSE18), "the limb from hip to hip is turned"


def test_a_cell_belongs_to_the_person_whose_joint_is_nearest() -> None:
    people = people_map(two_people(), HW, (24, 32))
    assert people.shape == (24, 32) and people.dtype == np.float32
    assert (people[:, :12] == 0).all() and (people[:, 20:] == 1).all()
    assert (people_map(Poses.nobody(OPENPOSE18), HW, HW) == -1).all()
    nowhere = np.full((2, JOINTS, 2), np.nan, np.float32), np.zeros((2, JOINTS), np.float32)
    without = replace(two_people(), xy_px=nowhere[0], scores=nowhere[1])
    assert (people_map(without, HW, HW) == -1).all()


@pytest.mark.parametrize("sure", [0.3, 1.0])
def test_an_answer_with_the_sides_of_the_labels_agrees_however_sure_it_is(sure: float) -> None:
    assert shares(sure * maps(two_people())["keypoint_maps"]) == pytest.approx([1, 1], abs=1e-4)


def test_the_other_sides_disagree_for_that_person_alone() -> None:
    first, second = shares(maps(two_people(exchanged=(1,)))["keypoint_maps"])
    assert first > 0.95 and second < 0.15


def test_an_answer_that_cannot_tell_and_no_answer_favor_the_label() -> None:
    both = 0.5 * sum(maps(two_people(who))["keypoint_maps"] for who in ((), (0, 1)))
    assert all(0.5 < share < 0.75 for share in shares(both))
    assert shares(torch.zeros_like(both)) == pytest.approx([1, 1], abs=1e-4)


def test_labels_keep_their_places_and_take_the_sides_of_the_network() -> None:
    ours, other = maps(two_people()), maps(two_people(exchanged=(1,)))
    mixed = with_sides_of(other["keypoint_maps"], ours, OPENPOSE18)
    for name in ("keypoint_maps", "paf_maps"):
        left_half, right_half = mixed[name][..., :28], mixed[name][..., 34:]
        torch.testing.assert_close(left_half, ours[name][..., :28], atol=0.1, rtol=0)
        torch.testing.assert_close(right_half, other[name][..., 34:], atol=0.3, rtol=0)
        nearer = (right_half - other[name][..., 34:]).abs().sum() / (
            right_half - ours[name][..., 34:]
        ).abs().sum()
        assert nearer < 0.25
    torch.testing.assert_close(mixed["keypoint_maps"][:, -1], ours["keypoint_maps"][:, -1])


def test_what_is_unknown_is_unknown_on_the_side_where_it_may_be() -> None:
    poses = two_people()
    left, right = OPENPOSE18.index("left_wrist"), OPENPOSE18.index("right_wrist")
    scores, xy = poses.scores.copy(), poses.xy_px.copy()
    scores[1, left], xy[1, left] = 0, np.nan
    ours, other = maps(replace(poses, scores=scores, xy_px=xy)), maps(two_people(exchanged=(1,)))
    mixed = with_sides_of(other["keypoint_maps"], ours, OPENPOSE18)
    here = (ours["known_keypoints"][0, left] == 0) & (other["keypoint_maps"][0, [left, right]].amax(0) < 0.02)
    assert here.any() and (ours["known_keypoints"][0, right, here] == 1).all()
    assert (mixed["known_keypoints"][0, left, here] > 0.8).all()
    assert (mixed["known_keypoints"][0, right, here] < 0.2).all()


def test_nobody_and_synthetic_people_keep_the_sides_of_their_labels() -> None:
    network = FastPoseConfig(input_hw=HW)
    frame = LabelledFrame(np.full(HW, 2.0, np.float32), two_people(), np.zeros((0, 4), np.float32))
    samples = {}
    for source in ("simulation", "folder"):
        data = replace(DataConfig(people_maps=True, crop_hw=(32, 40)), source="simulation")
        object.__setattr__(data, "source", source)
        samples[source] = SampleMaker(data, network)(frame, np.random.default_rng(1))
    assert samples["folder"]["people"].max() >= 0
    assert samples["folder"]["people"].shape[1:] == samples["folder"]["mask"].shape[1:]
    assert (samples["simulation"]["people"] == -1).all()
    batch = {name: torch.from_numpy(value)[None] for name, value in samples["simulation"].items()}
    swapped = batch["keypoint_maps"][:, [*OPENPOSE18.flip_permutation, JOINTS]]
    mixed = with_sides_of(swapped, batch, OPENPOSE18)
    for name, value in batch.items():
        torch.testing.assert_close(mixed[name], value)


def test_only_teacher_and_network_tell_sides() -> None:
    with pytest.raises(ValueError, match="expected network or teacher"):
        AdaptOptions(sides="both")  # type: ignore[arg-type]
