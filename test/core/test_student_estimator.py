"""The student as an estimator: what holds whatever it has learned, on one that knows one scene by heart.

Random weights have flat maps, whose maximum moves with every rounding; a few dozen steps on one image and its
mirror give sharp ones.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from orpose_core.checkpoints.files import Checkpoint, load_checkpoint
from orpose_core.data.coco import coco_truth
from orpose_core.decoding.roi import RoiDecoderConfig, decode_roi
from orpose_core.decoding.top_down import crops_of, decode_top_down
from orpose_core.estimators import EstimatorConfig, PoseEstimator, readers
from orpose_core.estimators.roi_settings import roi_decoder_of, roi_header
from orpose_core.evaluation.evaluation_sets import AnnotatedSet
from orpose_core.evaluation.scores import score_poses
from orpose_core.image_ops import low_resolution_frame, seen_at_low_resolution
from orpose_core.models.student.config import SMALL_STUDENT, Place
from orpose_core.models.student.heads import BranchMaps
from orpose_core.models.student.network import Student, StudentOutput
from orpose_core.simulation import StreamConfig, simulate_frame
from orpose_core.skeleton import COCO17
from orpose_core.training.student.losses import StudentLoss, student_targets
from orpose_core.types import FloatArray, Poses, PseudoLabels, RgbdFrame

TINY = replace(
    SMALL_STUDENT,
    full_hw=(120, 160),
    trunk_width=0.25,
    fpn_channels=32,
    anchor_sizes_px=(8.0, 16.0, 32.0, 64.0, 128.0),
    train_proposals_per_level=30,
    train_proposals=30,
    box_channels=64,
    keypoint_channels=48,
    keypoint_convs=3,
    lifter_width=32,
)
STEPS = 90
PEOPLE = 0.5
"""People above this score are those of the scene."""


@pytest.fixture(scope="module")
def scene() -> tuple[RgbdFrame, Poses]:
    """A 53x40 color frame of the synthetic room, and the people of whom most is in view, in px of it."""
    simulated = simulate_frame(StreamConfig("or", (480, 640), "color", seed=3), 0)
    poses = simulated.poses.select(np.flatnonzero((simulated.poses.scores > 0).sum(axis=1) >= 8))
    poses = Poses(
        poses.skeleton,
        poses.xy_px,
        poses.scores,
        poses.person_scores,
        poses.boxes_px,
        xyz_root_m=poses.xyz_root_m,
    )
    return low_resolution_frame(RgbdFrame(simulated.frame.rgb, None, None), (40, 53)), poses


def mirrored(frame: RgbdFrame) -> RgbdFrame:
    assert frame.rgb is not None
    return RgbdFrame(np.ascontiguousarray(frame.rgb[:, ::-1]), None, None)


@pytest.fixture(scope="module")
def empty() -> RgbdFrame:
    y = np.mgrid[:40, :53][0]  # its own mirror image
    return RgbdFrame(np.stack([3 * y, 2 * y + 60, 90 + y], axis=-1).astype(np.uint8), None, None)


@pytest.fixture(scope="module")
def student(scene: tuple[RgbdFrame, Poses], empty: RgbdFrame) -> Checkpoint:
    """A student that knows the scene, its mirror image, and a room without anybody."""
    torch.manual_seed(0)
    model = Student(TINY).train()
    frame, poses = scene
    assert len(poses) >= 2
    labels = [poses, poses.mirrored(640), poses.select(np.zeros(0, np.int64))]
    targets = [
        student_targets(PseudoLabels(p, p, i, "exact"), (480, 640), TINY) for i, p in enumerate(labels)
    ]
    seen = [
        seen_at_low_resolution(f.rgb, TINY.input_hw, TINY.full_hw) for f in (frame, mirrored(frame), empty)
    ]
    images = torch.from_numpy(np.stack([np.moveaxis(s, -1, 0) for s in seen]).astype(np.float32) / 255)
    loss = StudentLoss(model)
    optimiser = torch.optim.Adam(model.parameters(), lr=3e-3)
    schedule = torch.optim.lr_scheduler.LinearLR(optimiser, 1.0, 0.0, STEPS)
    for _ in range(STEPS):
        optimiser.zero_grad()
        total = torch.stack(list(loss(images, targets).values())).sum()
        total.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 10.0)
        optimiser.step()
        schedule.step()
    return Checkpoint(model.eval(), TINY, "by-heart", "", "", True, {})


def estimator_of(checkpoint: Checkpoint, flip: bool, half: bool = False) -> PoseEstimator:
    config = EstimatorConfig(device="cpu", flip_test=flip, half_precision=half, threads=1)
    return PoseEstimator(checkpoint, config)


def sure(poses: Poses) -> Poses:
    return poses.select(poses.person_scores > PEOPLE)


@pytest.mark.parametrize("flip", [False, True])
def test_batched_and_single_inference_agree(
    student: Checkpoint, scene: tuple[RgbdFrame, Poses], empty: RgbdFrame, flip: bool
) -> None:
    """To 0.001 px: a batch adds the same products in another order, and sharp maxima stay where they are."""
    estimator = estimator_of(student, flip)
    frames = [scene[0], empty, mirrored(scene[0])]
    together = estimator.estimate(frames)
    assert len(sure(together[0])) >= 2
    for poses, frame in zip(together, frames, strict=True):
        (alone,) = estimator.estimate([frame])
        assert len(alone) == len(poses)
        for name in ("xy_px", "boxes_px", "person_scores", "xyz_root_m"):
            np.testing.assert_allclose(getattr(alone, name), getattr(poses, name), atol=1e-3, err_msg=name)


@pytest.mark.parametrize("flip", [False, True])
def test_an_image_with_nobody_gives_an_empty_result(
    student: Checkpoint, empty: RgbdFrame, flip: bool
) -> None:
    (poses,) = estimator_of(student, flip).estimate([empty])
    assert len(poses) == 0 and poses.xy_px.shape == (0, 24, 2) and poses.boxes_px.shape == (0, 4)
    assert poses.xyz_root_m is not None and poses.xyz_root_m.shape == (0, 24, 3)


def test_mirrored_input_gives_mirrored_output(student: Checkpoint, scene: tuple[RgbdFrame, Poses]) -> None:
    """With the flip test; without it nothing but training makes the network treat both sides alike."""
    there, back = estimator_of(student, True).estimate([scene[0], mirrored(scene[0])])
    assert len(sure(there)) >= 2 and len(there) == len(back)
    back = back.mirrored(53)
    for name, atol in (("person_scores", 1e-4), ("boxes_px", 1e-3), ("xy_px", 1e-3), ("xyz_root_m", 1e-4)):
        np.testing.assert_allclose(getattr(back, name), getattr(there, name), atol=atol, err_msg=name)


def as_read(checkpoint: Checkpoint, place: Place) -> Checkpoint:
    """The same network, its joints read otherwise in their maps."""
    config = replace(TINY, keypoint_place=place)
    model = Student(config)
    model.load_state_dict(checkpoint.model.state_dict())
    return replace(checkpoint, model=model.eval(), config=config)


def moved_by_half_precision(
    checkpoint: Checkpoint, frames: Sequence[RgbdFrame], flip: bool, monkeypatch: pytest.MonkeyPatch
) -> FloatArray:
    """How far each joint (people, 24) moves, px of the frames; boxes and their scores must be the same."""
    monkeypatch.setattr(readers, "bf16_is_fast", lambda _: True)  # emulated it is the same
    exact, half = (estimator_of(checkpoint, flip, h) for h in (False, True))
    assert half.info.backend.endswith("keypoint head bf16") and exact.info.backend.endswith("float32")
    moved = []
    for wanted, found in zip(exact.estimate(frames), half.estimate(frames), strict=True):
        np.testing.assert_array_equal(found.boxes_px, wanted.boxes_px)
        np.testing.assert_array_equal(found.person_scores, wanted.person_scores)
        np.testing.assert_array_equal(np.isnan(found.xy_px), np.isnan(wanted.xy_px))
        moved.append(np.linalg.norm(found.xy_px - wanted.xy_px, axis=-1))
    joined = np.concatenate(moved)
    assert np.any(joined > 0), "it was another computation"
    return joined


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize(("place", "share"), [("mean", 1.0), ("peak", 0.95)])
def test_half_precision_moves_keypoints_by_less_than_half_a_pixel(
    student: Checkpoint,
    scene: tuple[RgbdFrame, Poses],
    place: Place,
    share: float,
    flip: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Of the 53x40 image: all that are read at the mean of their map; at the peak all but a few.

    A map with two maxima alike has its peak at either.
    """
    frames = [scene[0], mirrored(scene[0])]
    moved = moved_by_half_precision(as_read(student, place), frames, flip, monkeypatch)
    assert len(moved) >= 4
    assert np.nanmedian(moved) < 0.1 and np.mean(moved[~np.isnan(moved)] < 0.5) >= share


@pytest.mark.parametrize("name", ["student_small", "student_small_exact"])
def test_half_precision_of_shipped_students(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rooms they never saw, at 53x40: nobody's box changes, and every joint stays within half a pixel."""
    frames = []
    for index in range(6):
        rgb = simulate_frame(StreamConfig("or", (480, 640), "color", seed=91), index).frame.rgb
        frames.append(low_resolution_frame(RgbdFrame(rgb, None, None), (40, 53)))
    everybody = replace(load_checkpoint(name), metadata={})  # the thresholds of its file leave few
    moved = moved_by_half_precision(everybody, frames, False, monkeypatch)
    assert len(moved) >= 12 and np.nanmax(moved) < 0.5


BOXES_XYWH = ([40, 60, 4, 6], [200, 8, 5, 5], [636, 470, 4, 10], [0, 0, 640, 480])
"""Small ones, whose overlap half a pixel spoils, and the whole image."""


def _found_by_the_student(edges: np.ndarray) -> list[Poses]:
    boxes = torch.from_numpy(edges.astype(np.float32)) / 4
    maps = torch.zeros(len(boxes), 17, 56, 56)
    scores = torch.linspace(0.9, 0.6, len(boxes))
    output = StudentOutput(boxes, scores, (1,) * len(boxes), BranchMaps(maps, maps), TINY.full_hw)
    return decode_roi(Student(TINY).eval(), output, [(480, 640)] * len(boxes))


def _found_by_the_teacher(edges: np.ndarray) -> list[Poses]:
    maps = np.random.default_rng(0).random((1, 17, 16, 12))
    return [decode_top_down(maps, crops_of(box[None], (64, 48)), box[None], np.ones(1)) for box in edges]


@pytest.mark.parametrize("finder", [_found_by_the_student, _found_by_the_teacher, None])
def test_perfect_boxes_have_an_average_precision_of_one(finder: Callable[..., list[Poses]] | None) -> None:
    """In COCO's files a box has the outer edges of its pixels; whoever finds those has found it exactly."""
    annotations = [
        {"id": k + 1, "image_id": k, "category_id": 1, "iscrowd": 0, "bbox": list(box),
         "area": box[2] * box[3], "keypoints": [box[0] + 1, box[1] + 1, 2] * 17}
        for k, box in enumerate(BOXES_XYWH)
    ]  # fmt: skip
    content = {
        "images": [
            {"id": k, "file_name": f"{k}.png", "width": 640, "height": 480} for k in range(len(BOXES_XYWH))
        ],
        "annotations": annotations,
        "categories": [{"id": 1, "name": "person", "keypoints": list(COCO17.joints)}],
    }
    truth = coco_truth(content, "gt.json")
    xywh = np.array(BOXES_XYWH, np.float64)
    edges = np.concatenate([xywh[:, :2], xywh[:, :2] + xywh[:, 2:]], axis=1)
    found = truth.poses() if finder is None else finder(edges)
    scores = AnnotatedSet("coco", truth, Path()).evaluate(found, [{}] * len(found), ("box_ap",)).scores
    assert scores["box_ap"]["AP"] == pytest.approx(1.0, abs=1e-12)
    in_memory = score_poses(truth.poses(), found, ("box_ap",)).scores
    assert in_memory["box_ap"]["AP"] == pytest.approx(1.0, abs=1e-12)


def test_thresholds_of_a_students_file_hold_unless_others_are_given(
    student: Checkpoint, scene: tuple[RgbdFrame, Poses]
) -> None:
    everybody = estimator_of(student, False, False).estimate([scene[0]])[0]
    assert len(everybody) >= 2
    score = 0.999 * float(everybody.person_scores.max())
    header = roi_header(RoiDecoderConfig(min_person_score=score, oks_nms=0.5))
    stored = replace(student, metadata=student.metadata | header)
    strict = PoseEstimator(stored, EstimatorConfig("cpu", flip_test=False, half_precision=False))
    assert 1 <= len(strict.estimate([scene[0]])[0]) < len(everybody)
    changed = replace(strict.config, roi_changes={"min_person_score": 0.05, "oks_nms": None})
    loose = PoseEstimator(stored, changed)
    assert len(loose.estimate([scene[0]])[0]) == len(everybody)
    given = PoseEstimator(stored, replace(strict.config, roi_decoder=RoiDecoderConfig()))
    assert len(given.estimate([scene[0]])[0]) == len(everybody)
    strict.warm_up(times=1)  # with all thresholds off, and on again
    assert len(strict.estimate([scene[0]])[0]) < len(everybody)


def test_thresholds_that_are_none_are_refused() -> None:
    with pytest.raises(ValueError, match="mine: its header holds no roi_decoder settings"):
        roi_decoder_of("mine", {"roi_decoder": '{"min_person_score": 7}'})
    with pytest.raises(ValueError, match="roi_changes: unknown"):
        EstimatorConfig(roi_changes={"threshold": 0.5})
    assert roi_decoder_of("mine", {}) == RoiDecoderConfig()
    assert roi_header(RoiDecoderConfig()) == {}
