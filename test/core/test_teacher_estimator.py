"""A teacher where a model is expected: px of the frame that was given, whatever its size; refusals."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from orpose_core.skeleton import COCO17
from orpose_core.teacher.stages import PersonBoxes, PersonThresholds, Picture, StageInfo
from orpose_core.teacher.teacher import PseudoLabelConfig, Teacher
from orpose_core.teacher.teacher_estimator import TeacherEstimator, teacher_estimator
from orpose_core.types import Poses, RgbdFrame

SIZE_HW = (48, 64)


class BrightestPlace:
    """Finds one person: a box around the bright pixels, all joints in their middle."""

    thresholds = PersonThresholds(0.0, 0.0)
    info = StageInfo("bright", "0", True)

    def __init__(self) -> None:
        self.seen: list[tuple[int, ...]] = []

    def detect(self, images: Sequence[Picture]) -> list[PersonBoxes]:
        self.seen += [image.shape for image in images]
        found = []
        for image in images:
            y, x = np.nonzero(image[..., 0] > 127)
            found.append(
                PersonBoxes(
                    np.array([[x.min(), y.min(), x.max() + 1, y.max() + 1]], np.float64), np.array([0.2])
                )
            )
        return found

    def keypoints(self, images: Sequence[Picture], people: Sequence[PersonBoxes]) -> list[Poses]:
        poses = []
        for boxes in people:
            edges = boxes.boxes.astype(np.float32)
            middle = (edges[:, :2] + edges[:, 2:]) / 2 - np.float32(0.5)
            xy_px = np.repeat(middle[:, None], 17, axis=1)
            scores = np.full((len(edges), 17), 0.1, np.float32)
            poses.append(
                Poses(COCO17, xy_px, scores, boxes.scores.astype(np.float32), edges - np.float32(0.5))
            )
        return poses


@pytest.mark.parametrize("scale", [1, 4])
def test_poses_are_in_px_of_the_frame(scale: int) -> None:
    stage = BrightestPlace()
    estimator = TeacherEstimator(
        Teacher(stage, stage, None, PseudoLabelConfig(min_joints=0)), "teacher", SIZE_HW
    )
    height, width = SIZE_HW[0] // scale, SIZE_HW[1] // scale
    rgb = np.zeros((height, width, 3), np.uint8)
    y, x = height // 2, width // 4
    rgb[y, x] = 255
    (poses,) = estimator.estimate([RgbdFrame(rgb, None, None)])
    assert stage.seen == [(*SIZE_HW, 3)]  # it looks at the enlarged image
    assert poses.skeleton.name == "body24" and len(poses) == 1
    nose = poses.xy_px[0, poses.skeleton.index("nose")]
    np.testing.assert_allclose(nose, [x, y], atol=0.26)


def test_a_description_makes_a_teacher_that_leaves_nobody_out() -> None:
    """`orpose label` leaves people of few confident joints out; average precision wants them all."""
    estimator = teacher_estimator(
        "teacher:detector=untrained:fcos_small,"
        "keypoints=untrained:pose_hrnet_w4_64x64,flip=no,size=64x48,scales=32+48,min_score=0"
    )
    assert estimator._teacher.description()["detector"]["settings"]["scales"] == [32, 48]
    assert estimator.info.modality == "color" and not estimator.info.trained
    frame = RgbdFrame(np.random.default_rng(0).integers(0, 255, (24, 32, 3), np.uint8), None, None)
    (poses,) = estimator.estimate([frame])
    assert poses.skeleton.name == "body24"
    assert estimator._teacher.config.min_joints == 0
    with pytest.raises(ValueError, match="only depth"):
        estimator.estimate([RgbdFrame(None, np.ones((4, 4), np.float32), None)])


@pytest.mark.parametrize(
    ("description", "message"),
    [
        ("teacher:detector=a,hands=b", "expected KEY=VALUE with keys of"),
        ("teacher:detector", "expected KEY=VALUE"),
        ("teacher:detector=a", r"expected \['keypoints'\]"),
        ("teacher:detector=a,keypoints=b,flip=maybe", "flip=yes or flip=no"),
        ("teacher:detector=a,keypoints=b,min_score=high", "a number as min_score"),
        ("teacher:detector=a,keypoints=b,scales=240,320", "expected KEY=VALUE"),
        ("teacher:detector=a,keypoints=b,scales=240+", r"expected scales=PX\+PX, got '240\+'"),
    ],
)
def test_a_description_that_is_none_is_refused(description: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        teacher_estimator(description)
