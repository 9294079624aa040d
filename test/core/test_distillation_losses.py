"""What the student is trained with: each loss on its own, and all of them on simulated labels."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn import functional

from orpose_core.models.lifter import Lifter, LiftingStatistics
from orpose_core.models.student.config import SMALL_STUDENT, StudentConfig
from orpose_core.models.student.network import Student
from orpose_core.models.student.rpn import decode_boxes, encode_boxes
from orpose_core.simulation import StreamConfig, simulate_frame
from orpose_core.training.student.detection_losses import (
    DetectionLossConfig,
    match_anchors,
    sample,
    sample_regions,
)
from orpose_core.training.student.losses import (
    LabelSet,
    StudentLoss,
    StudentLossConfig,
    StudentTargets,
    heatmap_loss,
    lifting_loss,
    student_targets,
)
from orpose_core.types import Poses, PseudoLabels

HW = (96, 128)
TINY = replace(
    SMALL_STUDENT, full_hw=HW, trunk_width=0.25, fpn_channels=16, box_channels=32, keypoint_channels=16,
    keypoint_convs=2, lifter_width=32, lifter_hw=HW, anchor_sizes_px=(8.0, 16.0, 32.0, 64.0, 128.0),
)  # fmt: skip


@pytest.fixture(scope="module")
def simulated() -> list[tuple[np.ndarray, Poses]]:
    stream = StreamConfig(size_hw=HW, modality="color", seed=3, min_area_px=80.0)
    frames = [simulate_frame(stream, i) for i in range(4)]
    assert sum(len(f.poses) for f in frames) >= 4
    pairs = [(f.frame.rgb, f.poses) for f in frames]
    return [(rgb, poses) for rgb, poses in pairs if rgb is not None]


def batch(
    simulated: list[tuple[np.ndarray, Poses]], config: StudentConfig
) -> tuple[torch.Tensor, list[StudentTargets]]:
    images = torch.from_numpy(np.stack([rgb for rgb, _ in simulated])).permute(0, 3, 1, 2).float() / 255
    labels = [PseudoLabels(poses, poses, i, "simulated") for i, (_, poses) in enumerate(simulated)]
    return images, [student_targets(label, HW, config) for label in labels]


@pytest.mark.parametrize("branches", ["soft_hard", "single"])
def test_loss_falls_on_simulated_labels(simulated: list, branches: str) -> None:
    config = replace(TINY, branches=branches)
    images, targets = batch(simulated, config)
    torch.manual_seed(0)
    loss = StudentLoss(Student(config).train())
    optimiser = torch.optim.Adam(loss.parameters(), 3e-3)
    totals = []
    for _ in range(10):
        terms = loss(images, targets)
        assert set(terms) == {
            "rpn_objectness", "rpn_box", "box_class", "box", "soft_2d", "hard_2d", "soft_3d", "hard_3d",
        }  # fmt: skip
        total = sum(terms.values())
        optimiser.zero_grad()
        total.backward()
        optimiser.step()
        totals.append(total.item())
    assert np.isfinite(totals).all()
    assert totals[-1] < 0.9 * totals[0]


def gradients(loss: StudentLoss, total: torch.Tensor) -> set[str]:
    loss.zero_grad(set_to_none=True)
    total.backward()
    return {n for n, p in loss.model.named_parameters() if p.grad is not None and p.grad.abs().sum() > 0}


def test_each_loss_reaches_its_own_branch(simulated: list) -> None:
    images, targets = batch(simulated, TINY)
    torch.manual_seed(0)
    loss = StudentLoss(Student(TINY).train())
    reached = {}
    for term in ("soft_2d", "hard_2d", "soft_3d", "hard_3d", "box", "rpn_box"):
        reached[term] = gradients(loss, loss(images, targets)[term])
    for name, other in (("soft", "hard"), ("hard", "soft")):
        two_d, three_d = reached[f"{name}_2d"], reached[f"{name}_3d"]
        assert f"keypoint_head.deconvs.{name}.weight" in two_d
        assert "backbone.trunk.stem.0.weight" in two_d  # the features are trained through the heatmaps
        assert not any(other in n or n.startswith("lifters") for n in two_d)
        assert three_d and all(n.startswith(f"lifters.{name}.") for n in three_d)  # from the labels' 2D alone
    assert "box_head.deltas.weight" in reached["box"] and not any("keypoint" in n for n in reached["box"])
    assert "rpn.deltas.weight" in reached["rpn_box"] and not any("box_head" in n for n in reached["rpn_box"])
    every = set().union(*reached.values()) | gradients(loss, sum(loss(images, targets).values()))
    assert every == {n for n, _ in loss.model.named_parameters()}


def test_weights_choose_the_ablation(simulated: list) -> None:
    images, targets = batch(simulated[:2], TINY)
    config = replace(TINY, branches="single")
    torch.manual_seed(0)
    hard_only = StudentLoss(Student(config).train(), StudentLossConfig(soft_2d=0, soft_3d=0))
    assert not any("soft" in name for name in hard_only(images, targets))
    assert len(hard_only.model.lifters) == 1


def test_images_without_people(simulated: list) -> None:
    """A batch where nobody is labelled still has a loss, a gradient, and nothing that is not finite."""
    images, targets = batch(simulated[:2], TINY)
    nobody = [StudentTargets(t.boxes[:0], *(LabelSet(*(x[:0] for x in s)) for s in t[1:])) for t in targets]
    torch.manual_seed(0)
    loss = StudentLoss(Student(TINY).train())
    terms = loss(images, nobody)
    sum(terms.values()).backward()
    assert all(torch.isfinite(t) for t in terms.values())
    assert terms["soft_2d"] == 0 and terms["hard_3d"] == 0 and terms["rpn_objectness"] > 0
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in loss.parameters())
    with pytest.raises(ValueError, match="as many targets as images"):
        loss(images, nobody[:1])


def test_confidence_flattens_the_soft_maps() -> None:
    """L_2Dsoft is the cross-entropy of the map times the confidence; L_2Dhard that with confidence 1."""
    torch.manual_seed(0)
    maps, boxes = torch.randn(2, 3, 8, 8), torch.tensor([[0.0, 0.0, 8.0, 8.0]] * 2)
    keypoints = torch.rand(2, 3, 3) * 8
    keypoints[..., 2] = torch.tensor([[1.0, 0.4, 0.0], [0.9, 0.1, 1.0]])
    keypoints[1, 2, 0] = 9.0  # outside its region
    cell = keypoints[..., 1].floor() * 8 + keypoints[..., 0].floor()
    counted = [(0, 0), (0, 1), (1, 0), (1, 1)]
    expected = sum(
        functional.cross_entropy((maps[i, k] * keypoints[i, k, 2]).flatten()[None], cell[i, k].long()[None])
        for i, k in counted
    ) / len(counted)
    torch.testing.assert_close(heatmap_loss(maps, keypoints, boxes), expected)
    nothing = heatmap_loss(maps, keypoints * torch.tensor([1.0, 1.0, 0.0]), boxes)
    assert nothing == 0


def test_lifting_loss_leaves_out_what_has_no_label() -> None:
    torch.manual_seed(0)
    lifter, statistics = Lifter(width=16).eval(), LiftingStatistics(image_hw=HW)
    xy, xyz = torch.rand(3, 16, 2) * 90, torch.randn(3, 16, 3)
    labelled = LabelSet(torch.zeros(3, 17, 3), xy, xyz)
    whole = lifting_loss(lifter, statistics, [labelled])
    expected = functional.smooth_l1_loss(
        lifter(statistics.standardise_2d(xy)), statistics.standardise_3d(xyz)
    )
    torch.testing.assert_close(whole, expected)
    nan = torch.full((1, 16, 3), torch.nan)
    more = LabelSet(torch.zeros(1, 17, 3), torch.full((1, 16, 2), torch.nan), nan)
    torch.testing.assert_close(lifting_loss(lifter, statistics, [labelled, more]), whole)
    one = LabelSet(*(t[:1] for t in labelled))
    lifter.train()
    assert torch.isfinite(lifting_loss(lifter, statistics, [one])) and lifter.training


def test_anchors_and_regions() -> None:
    config = DetectionLossConfig()
    people = torch.tensor([[0.0, 0.0, 10.0, 10.0], [50.0, 50.0, 60.0, 90.0]])
    anchors = torch.tensor(
        [[0.0, 0.0, 10.0, 9.0], [0.0, 0.0, 10.0, 20.0], [30.0, 0.0, 40.0, 10.0], [48.0, 60.0, 60.0, 80.0]]
    )
    # A good one; one between the thresholds; background; a poor one that is all its person has.
    assert match_anchors(people, anchors, config).tolist() == [0, -2, -1, 1]
    assert match_anchors(people[:0], anchors, config).tolist() == [-1] * 4
    torch.manual_seed(0)
    chosen = sample(torch.tensor([0, 1, 2, 3, -1, -1, -1, -2]), 4, 2)
    assert len(chosen) == 4 and (chosen < 4).sum() == 2 and 7 not in chosen
    regions = sample_regions([anchors], [people], config)[0]
    assert {tuple(b) for b in people.tolist()} <= {tuple(b) for b in regions.boxes.tolist()}
    weights = (10.0, 10.0, 5.0, 5.0)
    deltas = encode_boxes(people, anchors[[0, 3]], weights)
    torch.testing.assert_close(decode_boxes(deltas, anchors[[0, 3]], weights), people)


def test_targets_in_the_network_s_px(simulated: list) -> None:
    _, poses = simulated[0]
    config = replace(TINY, full_hw=(192, 256))
    targets = student_targets(PseudoLabels(poses, poses, 0, "simulated"), HW, config)
    np.testing.assert_allclose(
        targets.boxes[:, :2].numpy(), (poses.boxes_px[:, :2] + 0.5).clip(0) * 2, atol=1e-3
    )
    soft = targets.soft.keypoints
    seen = soft[..., 2] > 0
    assert seen.any() and torch.isfinite(soft).all()
    assert (targets.hard.keypoints[..., 2][seen] == 1).all()
    assert targets.soft.lifter_target.shape[1:] == (16, 3)


def test_a_label_without_a_box_is_named(simulated: list) -> None:
    poses = next(p for _, p in simulated if len(p) > 1)
    boxes = poses.boxes_px.copy()
    boxes[1] = [500, 20, 510, 30]
    broken = replace(poses, boxes_px=boxes)
    with pytest.raises(ValueError, match=r"image 77: person 1 has no box inside the image"):
        student_targets(PseudoLabels(broken, broken, 77, "simulated"), HW, TINY)
