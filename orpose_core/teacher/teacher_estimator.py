"""A teacher with the interface of an estimator, to be scored like its students (ORPose Table 1)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from orpose_core.image_ops import enlarge, parse_resolution
from orpose_core.teacher.loading import teacher_of
from orpose_core.teacher.teacher import Teacher
from orpose_core.types import Poses, Resize, RgbdFrame

TEACHER = "teacher:"
"""How the description of a teacher begins."""

_KEYS = ("detector", "detector_weights", "keypoints", "lifter", "flip", "scales", "size", "min_score")


@dataclass(frozen=True)
class TeacherInfo:
    """What estimates.

    Attributes:
        name: of the three stages.
        sha256: fingerprint of the teacher.
        modality: always color.
        trained: False if a stage has random weights.
    """

    name: str
    sha256: str
    modality: str
    trained: bool


class TeacherEstimator:
    """Estimates the teacher's soft poses in frames of any size.

    A low-resolution image is enlarged bilinearly first, as the student's is (Sect. 3.3).

    Args:
        teacher: the teacher.
        name: of the teacher.
        size_hw: (height, width) to which images are brought.
    """

    def __init__(self, teacher: Teacher, name: str, size_hw: tuple[int, int]) -> None:
        self._teacher, self._size_hw = teacher, size_hw
        self.info = TeacherInfo(name, teacher.fingerprint, "color", teacher.trained)

    def estimate(self, frames: Sequence[RgbdFrame]) -> list[Poses]:
        """Return the people of each frame, in px of the frame."""
        pictures = []
        for frame in frames:
            if frame.rgb is None:
                raise ValueError(f"{self.info.name} reads color, but a frame has only depth")
            pictures.append(enlarge(frame.rgb, self._size_hw).copy())  # Pillow's memory is read-only
        labels = self._teacher.label(pictures, range(len(pictures)))
        return [
            one.soft.resized(Resize(self._size_hw, frame.size_hw))
            for one, frame in zip(labels, frames, strict=True)
        ]


def teacher_estimator(description: str, device: str = "auto") -> TeacherEstimator:
    """Return the teacher that a description names.

    All detected people are reported (boxes down to 0.05, any number of confident joints), because AP
    ranks people by their score; `orpose label` is stricter.

    Args:
        description: ``teacher:detector=NAME,detector_weights=FILE,keypoints=FILE,lifter=FILE`` and optionally
            ``flip=no``, ``scales=240+320`` (image sides the detector looks at), ``size=WxH`` (the images it
            looks at, default 640x480) and ``min_score=0.05``.
        device: auto, cpu, cuda.

    Raises:
        ValueError: an unknown or missing key, or a file that is missing, damaged or does not fit.
    """
    values: dict[str, str] = {}
    for part in description.removeprefix(TEACHER).split(","):
        key, equals, value = part.partition("=")
        if not equals or key not in _KEYS:
            raise ValueError(f"{description}: expected KEY=VALUE with keys of {_KEYS}, got {part!r}")
        values[key] = value
    missing = {"detector", "keypoints"} - values.keys()
    if missing:
        raise ValueError(f"{description}: expected {sorted(missing)}")
    if values.get("flip", "yes") not in ("yes", "no"):
        raise ValueError(f"{description}: expected flip=yes or flip=no")
    try:
        min_score = float(values.get("min_score", "0.05"))
    except ValueError:
        raise ValueError(f"{description}: expected a number as min_score") from None
    sides = values["scales"].split("+") if "scales" in values else []
    if not all(side.isdecimal() and int(side) for side in sides):
        raise ValueError(f"{description}: expected scales=PX+PX, got {values['scales']!r}")
    teacher = teacher_of(
        values["detector"],
        values.get("detector_weights"),
        values["keypoints"],
        values.get("lifter"),
        min_score=min_score,
        scales=[int(side) for side in sides],
        flip=values.get("flip", "yes") == "yes",
        device=device,
    )
    teacher.config = replace(teacher.config, min_joints=0)
    return TeacherEstimator(teacher, "teacher", parse_resolution(values.get("size", "640x480")))
