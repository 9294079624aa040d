"""What differs between kinds of answers: the tensor that enters a network, and how its answer becomes poses.

The table of networks says what kind of answer each gives (:data:`orpose_core.models.builder.NETWORKS`); a new
network with an answer of a known kind needs nothing here.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar, NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor

from orpose_core.checkpoints.files import Checkpoint
from orpose_core.decoding.flip import merged, with_mirror
from orpose_core.decoding.paf import PafDecoderConfig, decode_paf
from orpose_core.decoding.roi import RoiDecoderConfig, decode_roi
from orpose_core.decoding.visibility import with_visibility
from orpose_core.engines import AUTO, Engine, choose_engine
from orpose_core.estimators.config import EstimatorConfig
from orpose_core.estimators.map_settings import MapSettings
from orpose_core.estimators.roi_settings import roi_decoder_of
from orpose_core.geometry import anchor_at_root, metric_3d
from orpose_core.image_ops import (
    low_resolution_color,
    low_resolution_depth,
    normalise_depth,
    seen_at_low_resolution,
)
from orpose_core.models import MapConfig, network_of
from orpose_core.models.inference import bf16_is_fast, choose_device
from orpose_core.skeleton import Skeleton, by_name
from orpose_core.types import FloatArray, Intrinsics, Poses, RgbdFrame

if TYPE_CHECKING:
    from orpose_core.models.student.network import StudentOutput


class Seen(NamedTuple):
    """What a network sees of a frame.

    Attributes:
        image: float32 (C, h, w) in [0, 1].
        depth_m: float32 (h, w), the low-resolution depth that ``image`` was made of, or None where it was
            made of color.
    """

    image: FloatArray
    depth_m: FloatArray | None


class AnswerReader(Protocol):
    """Runs a network and reads its answer.

    Attributes:
        lifts: see :class:`~orpose_core.estimators.config.ModelInfo`.
        enlarges: likewise.
        backend: likewise.
        device: where it runs.
        lanes: how many threads may call :meth:`run` at the same time.
        skeleton: joint set of the poses.
    """

    lifts: ClassVar[bool]
    enlarges: ClassVar[bool]
    backend: str
    device: torch.device
    lanes: int
    skeleton: Skeleton

    def see(self, frame: RgbdFrame, config: EstimatorConfig) -> Seen:
        """Return what the network sees of a frame that has its modality."""

    def run(self, images: Tensor, config: EstimatorConfig, flip_test: bool) -> object:
        """Run the network on float32 (B, C, h, w), and on the mirror images if so wanted."""

    def decode(
        self, answer: object, sizes_hw: Sequence[tuple[int, int]], config: EstimatorConfig
    ) -> list[Poses]:
        """Return the poses of each image, in px of images of these sizes."""

    def place(
        self, poses: Poses, depth_m: FloatArray, intrinsics: Intrinsics, config: EstimatorConfig
    ) -> Poses:
        """Add metric 3D from low-resolution depth; ``intrinsics`` are of the image the poses are in."""


class MapAnswer(NamedTuple):
    """The maps of a batch.

    Attributes:
        keypoint_maps: float32 (B, n + 1, h, w), n joints; with the flip test the means of image and mirror.
        paf_maps: float32 (B, 2 l, h, w), l limbs; likewise.
        visibility_logits: float32 (B, n, h, w), the log odds that the camera sees the joint of each map; with
            the flip test (2B, n, h, w), the images' maps first, then those of their mirrors. None where the
            network does not say.
    """

    keypoint_maps: FloatArray
    paf_maps: FloatArray
    visibility_logits: FloatArray | None


class MapReader:
    """Keypoint maps and part affinity fields, at any resolution: DepthPose, FastPose, RTPose, SR+RTPose."""

    lifts: ClassVar[bool] = False
    enlarges: ClassVar[bool] = False

    def __init__(self, checkpoint: Checkpoint, config: EstimatorConfig, engine: Engine | None = None) -> None:
        if not isinstance(checkpoint.config, MapConfig):
            raise ValueError(f"{checkpoint.name}: expected the config of a network with maps")
        self._config: MapConfig = checkpoint.config
        self.skeleton = by_name(self._config.skeleton)
        if self._config != self._config.with_skeleton(self.skeleton):
            raise ValueError(
                f"{checkpoint.name}: expected {2 * len(self.skeleton.edges)} PAF and "
                f"{len(self.skeleton) + 1} keypoint channels for skeleton {self.skeleton.name}, "
                f"got {self._config.paf_channels} and {self._config.keypoint_channels}"
            )
        self.settings = MapSettings.from_header(checkpoint.name, checkpoint.metadata)
        self._engine = engine or choose_engine(
            checkpoint.model,
            self._config,
            config.backend,
            config.device,
            config.half_precision,
            config.threads,
            config.lanes,
        )
        self.backend, self.device = self._engine.backend, self._engine.device
        self.lanes = self._engine.lanes

    def see(self, frame: RgbdFrame, config: EstimatorConfig) -> Seen:
        """Shrink what the network reads to its input."""
        size_hw = self._config.input_hw
        if self._config.modality == "depth":
            assert frame.depth_m is not None  # the estimator saw to it
            small_m = low_resolution_depth(frame.depth_m, size_hw, config.depth_method)
            image = (normalise_depth(small_m, self._config.depth_range_m) / np.float32(255))[None]
            return Seen(image, small_m)
        assert frame.rgb is not None
        small = low_resolution_color(frame.rgb, size_hw, config.color_method)
        return Seen(np.moveaxis(small, -1, 0).astype(np.float32) / np.float32(255), None)

    def run(self, images: Tensor, config: EstimatorConfig, flip_test: bool) -> object:
        """Return a :class:`MapAnswer`; with the flip test means of image and mirror."""
        maps = self._engine.predict(with_mirror(images) if flip_test else images)
        paf_maps, keypoint_maps = (one.numpy() for one in maps.stages[-1])
        if flip_test:
            keypoint_maps, paf_maps = merged(keypoint_maps, paf_maps, self.skeleton)
        logits = maps.visibility_logits
        return MapAnswer(keypoint_maps, paf_maps, None if logits is None else logits.numpy())

    def decoder(self, config: EstimatorConfig) -> PafDecoderConfig:
        """Return the decoder's settings: the user's, else those of the weights file."""
        return replace(config.decoder or self.settings.decoder, **config.decoder_changes)

    def decode(
        self, answer: object, sizes_hw: Sequence[tuple[int, int]], config: EstimatorConfig
    ) -> list[Poses]:
        """Assemble people from the maps of each image."""
        assert isinstance(answer, MapAnswer)
        decoder = self.decoder(config)
        keypoint_maps, paf_maps = (
            np.ascontiguousarray(maps, np.float32) for maps in (answer.keypoint_maps, answer.paf_maps)
        )
        logits = answer.visibility_logits
        found = []
        for i, size_hw in enumerate(sizes_hw):
            poses = decode_paf(keypoint_maps[i], paf_maps[i], size_hw, decoder, self.skeleton)
            if logits is not None:
                mirror = i + len(keypoint_maps)
                poses = with_visibility(
                    poses, logits[i], size_hw, logits[mirror] if mirror < len(logits) else None
                )
            if (calibration := self.settings.calibration) is not None:
                cells = keypoint_maps.shape[-2:]
                poses = calibration.in_image(poses, math.sqrt(math.prod(size_hw) / math.prod(cells)))
            found.append(poses)
        return found

    def place(
        self, poses: Poses, depth_m: FloatArray, intrinsics: Intrinsics, config: EstimatorConfig
    ) -> Poses:
        """Look each joint up in depth."""
        placed = metric_3d(poses, depth_m, intrinsics, config.lookup)
        calibration = self.settings.calibration
        return placed if calibration is None else calibration.in_space(placed)


class PeopleAnswer(NamedTuple):
    """The boxes and maps of a batch.

    Attributes:
        output: of the network; with the flip test means of image and mirror.
        flip_test: whether the mirror images were seen; joints are then lifted from their mirror images, too.
    """

    output: StudentOutput
    flip_test: bool


class PeopleReader:
    """Boxes with keypoint maps and lifters: the student of ORPose. Color is brought to its training size.

    Half precision applies to the keypoint head only. Which of two similar boxes is kept can depend on
    rounding, and a person's keypoints depend on the box, so boxes are found in float32.
    """

    lifts: ClassVar[bool] = True
    enlarges: ClassVar[bool] = True

    def __init__(self, checkpoint: Checkpoint, config: EstimatorConfig) -> None:
        from orpose_core.models.student.network import Student  # and torchvision, which is slow to import

        assert isinstance(checkpoint.model, Student)
        if config.backend not in (AUTO, "torch"):
            raise ValueError(
                f"{checkpoint.name}: expected backend auto or torch for a student, got {config.backend}"
            )
        self.device, self.lanes = choose_device(config.device), 1
        self._bf16 = config.half_precision and bf16_is_fast(self.device)
        self._model = checkpoint.model.eval().to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._decoder = roi_decoder_of(checkpoint.name, checkpoint.metadata)
        self.skeleton = by_name(self.decoder(config).skeleton)
        precision = "float32, keypoint head bf16" if self._bf16 else "float32"
        self.backend = f"torch {torch.__version__.split('+')[0]} {self.device} {precision}"

    def see(self, frame: RgbdFrame, config: EstimatorConfig) -> Seen:
        """Return the image at the network's size, with no more in it than its low resolution holds."""
        assert frame.rgb is not None
        low_hw, full_hw = self._model.config.input_hw, self._model.config.full_hw
        seen = seen_at_low_resolution(frame.rgb, low_hw, full_hw, config.color_method)
        return Seen(np.moveaxis(seen, -1, 0).astype(np.float32) / np.float32(255), None)

    @torch.inference_mode()
    def run(self, images: Tensor, config: EstimatorConfig, flip_test: bool) -> object:
        """Return a :class:`PeopleAnswer`."""
        images = images.to(self.device, memory_format=torch.channels_last)
        forward = self._model.forward_with_mirror if flip_test else self._model.forward
        head_dtype = torch.bfloat16 if self._bf16 else None
        return PeopleAnswer(forward(images, self.decoder(config).min_person_score, head_dtype), flip_test)

    def decoder(self, config: EstimatorConfig) -> RoiDecoderConfig:
        """Return the decoder's settings: the user's, else those of the weights file."""
        return replace(config.roi_decoder or self._decoder, **config.roi_changes)

    def decode(
        self, answer: object, sizes_hw: Sequence[tuple[int, int]], config: EstimatorConfig
    ) -> list[Poses]:
        """Read the joints of each box, and lift them."""
        assert isinstance(answer, PeopleAnswer)
        return decode_roi(self._model, answer.output, sizes_hw, self.decoder(config), answer.flip_test)

    def place(
        self, poses: Poses, depth_m: FloatArray, intrinsics: Intrinsics, config: EstimatorConfig
    ) -> Poses:
        """Anchor lifted people at the depth of their torso."""
        return anchor_at_root(poses, depth_m, intrinsics, config.lookup)


READERS: dict[str, Callable[[Checkpoint, EstimatorConfig], AnswerReader]] = {
    "maps": MapReader,
    "people": PeopleReader,
}
"""By the kind of answer that the table of networks names."""


def reader_of(checkpoint: Checkpoint, config: EstimatorConfig, engine: Engine | None = None) -> AnswerReader:
    """Return the reader of a network's answer; ValueError if it gives no poses.

    Args:
        checkpoint: the network.
        config: how it is used.
        engine: what runs a network that answers with maps; None = as the config says.
    """
    network = network_of(checkpoint.config)
    if network.answer not in READERS:
        raise ValueError(
            f"{checkpoint.name}: expected a network that gives poses, got {network.architecture}, which "
            f"gives {network.answer}"
        )
    if engine is not None and network.answer == "maps":
        return MapReader(checkpoint, config, engine)
    return READERS[network.answer](checkpoint, config)
