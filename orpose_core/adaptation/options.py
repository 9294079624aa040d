"""The options of an adaptation."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from orpose_core.files import MILLIMETRE_M
from orpose_core.labelling.options import LabelOptions


@dataclass(frozen=True)
class AdaptOptions:
    """What is adapted, on how much of the recordings, and for how long.

    Attributes:
        model: the depth network to start from: a shipped name or a file.
        frames: about this many frames are labelled, spread evenly over each recording.
        minutes: of training.
        split: how the parts are divided: by time within each recording, or by whole recordings; ``"auto"``
            takes whole recordings where there are five or more.
        validate_share: of the frames, for the choice of thresholds.
        test_share: of the frames, for the scores alone.
        learning_rate: at the beginning of the training; a third of what the shipped networks began with,
            because they have learned most of it.
        joint_score: joints to which the teacher gives at most this score are not learned from: they are
            unknown, not absent.
        replay: share of the training samples that are synthetic frames as those from which the shipped
            networks learned, so that what they know is not forgotten.
        sides: who says which of somebody's sides is left: the ``"teacher"``'s labels, or the ``"network"``
            before the training, while the labels say where the joints are
            (:mod:`orpose_core.adaptation.sides`).
        threads: of PyTorch, also for the teacher; 0 = PyTorch's default.
        workers: processes that prepare training data; 0 = none beside the training.
        seed: of the training.
        batch: frames that the teacher labels at once.
        tolerance_s: largest difference between the stamps of color and depth of one frame, s.
        depth_unit_m: what one step of 16-bit depth is, m.
        rectified: the images of bags are rectified: their camera is P of camera_info, not K.
        rotation: by how many degrees images are turned clockwise to be upright.
        keep_depth: full-size depth stays when all is done; otherwise it is removed.
    """

    model: str = "fastpose_64x48"
    frames: int = 2000
    minutes: float = 30.0
    split: Literal["auto", "time", "recording"] = "auto"
    validate_share: float = 0.1
    test_share: float = 0.2
    learning_rate: float = 5e-4
    joint_score: float = 0.2
    replay: float = 0.3
    sides: Literal["network", "teacher"] = "network"
    threads: int = 0
    workers: int = 0
    seed: int = 0
    batch: int = 4
    tolerance_s: float = 0.05
    depth_unit_m: float = MILLIMETRE_M
    rectified: bool = False
    rotation: int = 0
    keep_depth: bool = False

    def __post_init__(self) -> None:
        if self.frames < 10:
            raise ValueError(f"frames: expected 10 or more, got {self.frames}")
        if not self.minutes > 0 or not self.learning_rate > 0:
            raise ValueError(
                f"minutes and learning_rate: expected more than 0, got {self.minutes} and "
                f"{self.learning_rate}"
            )
        if not 0 <= self.joint_score < 1 or not 0 <= self.replay < 1:
            raise ValueError(
                f"joint_score, replay: expected numbers in [0, 1), got {self.joint_score}, {self.replay}"
            )
        if self.sides not in ("network", "teacher"):
            raise ValueError(f"sides: expected network or teacher, got {self.sides!r}")
        if self.split not in ("auto", "time", "recording"):
            raise ValueError(f"split: expected auto, time or recording, got {self.split!r}")
        shares = self.validate_share, self.test_share
        if min(shares) <= 0 or sum(shares) > 0.8:
            raise ValueError(
                f"validate_share, test_share: expected more than 0 and together at most 0.8, got {shares}"
            )

    def labelling(self, every: int) -> LabelOptions:
        """Return the options of the labelling: full-size depth is kept, and no color."""
        return LabelOptions(
            keep="depth",
            every=every,
            batch=self.batch,
            tolerance_s=self.tolerance_s,
            depth_unit_m=self.depth_unit_m,
            rectified=self.rectified,
            rotation=self.rotation,
        )

    def identity(self) -> dict[str, Any]:
        """Return what the result depends on, as JSON values, by which a run is known again."""
        values = asdict(self)
        del values["keep_depth"], values["threads"], values["workers"]
        return values


@dataclass(frozen=True)
class SiteFolder:
    """The files of one adaptation.

    Attributes:
        path: the folder.
    """

    path: Path

    @property
    def labels(self) -> Path:
        """Folder of the labelling run."""
        return self.path / "labels"

    @property
    def label_file(self) -> Path:
        """What the teacher said of all images."""
        return self.labels / "labels.json"

    def part(self, name: str) -> Path:
        """Return the label file of a part: ``train``, ``validate`` or ``test``."""
        return self.path / "parts" / f"{name}.json"

    @property
    def parts(self) -> Path:
        """What was divided how; written last, so that the parts are whole where it is there."""
        return self.path / "parts" / "parts.json"

    @property
    def training(self) -> Path:
        """Folder of the training run."""
        return self.path / "training"

    @property
    def replayed(self) -> Path:
        """Folder of the synthetic frames that are mixed in."""
        return self.path / "training" / "frames"

    @property
    def best(self) -> Path:
        """Weights of the validation that went best."""
        return self.path / "training" / "best.safetensors"

    @property
    def validations(self) -> Path:
        """What the start and the best weights reached on the validation part."""
        return self.path / "training" / "best.json"

    @property
    def weights(self) -> Path:
        """The adapted network."""
        return self.path / f"{self.path.resolve().name}.safetensors"

    @property
    def scores(self) -> Path:
        """Scores before and after."""
        return self.path / "scores.json"

    @property
    def report(self) -> Path:
        """The page to look at."""
        return self.path / "report.html"

    @property
    def pictures(self) -> Path:
        """Folder of the report's pictures."""
        return self.path / "pictures"

    @property
    def settings(self) -> Path:
        """What the run was asked."""
        return self.path / "adapt.json"
