"""Frames to poses: the one API that nodes, labeller, evaluator, validation, benchmark and demo use.

A frame is brought to the network's low resolution, whatever its size; a frame that already has it passes
unchanged. Poses come back in px of the frame that was given; metric 3D is read from the low-resolution depth.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from orpose_core.checkpoints.files import Checkpoint, load_checkpoint
from orpose_core.engines import Engine, is_exported, read_exported
from orpose_core.estimators.config import EstimatorConfig, ModelInfo
from orpose_core.estimators.readers import reader_of
from orpose_core.estimators.rehearsal import noise_frame, without_thresholds
from orpose_core.image_ops import low_resolution_depth
from orpose_core.types import FloatArray, Poses, RgbdFrame

logger = logging.getLogger(__name__)


class Prepared(NamedTuple):
    """What a network sees of a batch of frames.

    Attributes:
        images: float32 (B, C, h, w) in [0, 1].
        depths_m: of each frame the low-resolution depth float32 (h, w) that its image was made of, or None.
    """

    images: Tensor
    depths_m: tuple[FloatArray | None, ...]


class PoseEstimator:
    """A model ready to estimate.

    Attributes:
        info: what estimates.
        network: what the network was built from.
        config: may be replaced between calls; backend, device, precision, lanes, and the threads of a backend
            other than PyTorch stay as they were at the start.
        lanes: how many threads may call :meth:`estimate` at the same time.

    Args:
        checkpoint: the network.
        config: how to use it; None = the defaults.
        engine: what runs a network that answers with maps; None = as the config says.

    Raises:
        ValueError: the backend or the device is not there, or the network is none that gives poses.
    """

    def __init__(
        self, checkpoint: Checkpoint, config: EstimatorConfig | None = None, engine: Engine | None = None
    ) -> None:
        self.config = config or EstimatorConfig()
        self.network = checkpoint.config
        self._reader = reader_of(checkpoint, self.config, engine)
        self.lanes = self._reader.lanes
        self.info = ModelInfo(
            checkpoint.name,
            checkpoint.sha256,
            checkpoint.licence,
            self._reader.backend,
            str(self._reader.device),
            checkpoint.config.modality,
            checkpoint.config.input_hw,
            self._reader.skeleton,
            checkpoint.trained,
            checkpoint.config.architecture,
            sum(p.numel() for p in checkpoint.model.parameters()),
            self._reader.lifts,
            self._reader.enlarges,
        )

    def estimate(self, frames: Sequence[RgbdFrame], flip_test: bool | None = None) -> list[Poses]:
        """Find the people in frames, all in one batch.

        Args:
            frames: of any sizes, at least the network's input; low-resolution ones pass unchanged.
            flip_test: None = as the config says.

        Returns:
            For each frame its people in px of that frame, best first; with ``xyz_cam_m``, ``sigma_m``,
            ``xyz_root_m`` and ``source_3d`` where the frame has depth and intrinsics.

        Raises:
            ValueError: a frame lacks what the model reads, or is smaller than its input.
        """
        if not frames:
            return []
        seen = self.prepare(frames)
        found = self.decode(self.run(seen.images, flip_test), frames)
        return [self.place(*each) for each in zip(found, frames, seen.depths_m, strict=True)]

    def prepare(self, frames: Sequence[RgbdFrame]) -> Prepared:
        """Return what the network sees of the frames; the first step of :meth:`estimate`."""
        for frame in frames:
            self._check(frame)
        seen = [self._reader.see(frame, self.config) for frame in frames]
        images = torch.from_numpy(np.stack([one.image for one in seen]))
        return Prepared(images, tuple(one.depth_m for one in seen))

    def run(self, images: Tensor, flip_test: bool | None = None) -> object:
        """Run the network, flip test included; the second step."""
        flip_test = self.config.flip_test if flip_test is None else flip_test
        threads = self.config.threads
        # OpenMP counts threads per calling thread, so whoever calls must set them.
        if threads is not None and torch.get_num_threads() != threads:
            torch.set_num_threads(threads)
        return self._reader.run(images, self.config, flip_test)

    def decode(self, answer: object, frames: Sequence[RgbdFrame]) -> list[Poses]:
        """Turn the network's answer into poses in px of the frames; the third step."""
        return self._reader.decode(answer, [frame.size_hw for frame in frames], self.config)

    def place(self, poses: Poses, frame: RgbdFrame, small_m: FloatArray | None = None) -> Poses:
        """Add metric 3D where the frame has depth and intrinsics; the last step.

        Args:
            poses: in px of the frame.
            frame: as it was given.
            small_m: float32 (h, w), its low-resolution depth where :meth:`prepare` made one; None = the frame
                is shrunk now.
        """
        if not self.config.metric_3d or frame.depth_m is None or frame.intrinsics is None:
            return poses
        if small_m is None:
            (height, width), (h, w) = frame.size_hw, self.info.input_hw
            small_hw = min(h, height), min(w, width)
            small_m = low_resolution_depth(frame.depth_m, small_hw, self.config.depth_method)
        return self._reader.place(poses, small_m, frame.intrinsics, self.config)

    def warm_up(self, batch: int = 1, times: int = 2) -> None:
        """Estimate with and without the flip test, so that no real frame waits for compilation.

        An empty room and one full of people are estimated. A network finds nobody in noise. So the thresholds
        are off meanwhile: then noise gives people, and what only people need (assembly, places in space) is
        compiled, too. An engine compiles for each number of images, so the network alone runs on larger
        batches.

        Args:
            batch: the largest batch that will be estimated.
            times: how often the empty room is.
        """
        shape = self.info.input_hw
        depth_m = np.full(shape, np.nan, np.float32) if self.info.modality == "depth" else None
        rgb = np.zeros((*shape, 3), np.uint8) if self.info.modality == "color" else None
        empty = [RgbdFrame(rgb, depth_m, None)]
        usual = self.config
        for flip_test in (True, False):
            for _ in range(times):
                self._in_all_lanes(self.estimate, empty, flip_test)
            self.config = without_thresholds(usual)
            try:
                for size_hw in (shape, (shape[0] * 5 // 4, shape[1] * 5 // 4)):  # as it is, and to be shrunk
                    noise = [noise_frame(size_hw, color=rgb is not None)]
                    self._in_all_lanes(self.estimate, noise, flip_test)
            finally:
                self.config = usual
        done = {1, 2}  # images, mirror images included
        for size in range(2, batch + 1):
            images = self.prepare(empty * size).images
            for flip_test in (True, False):
                if (count := 2 * size if flip_test else size) not in done:
                    self._in_all_lanes(self.run, images, flip_test)
                    done.add(count)

    def _in_all_lanes(self, function: Callable[..., object], *arguments: object) -> None:
        """Do the same in every lane at the same time: each compiles for itself."""
        with ThreadPoolExecutor(self.lanes, "warm_up") as threads:
            for done in [threads.submit(function, *arguments) for _ in range(self.lanes)]:
                done.result()

    def _check(self, frame: RgbdFrame) -> None:
        wanted, name = self.info.modality, self.info.name
        got = frame.depth_m if wanted == "depth" else frame.rgb
        where = f" of {frame.frame_id!r}" if frame.frame_id else ""
        if got is None:
            other = "color" if wanted == "depth" else "depth"
            raise ValueError(f"{name} reads {wanted}, but the frame{where} has only {other}")
        (height, width), (h, w) = frame.size_hw, self.info.input_hw
        if not self.info.enlarges and (height < h or width < w):
            raise ValueError(
                f"{name} reads images of at least {w}x{h}, but the frame{where} is {width}x{height}"
            )


def estimate_all(
    estimator: PoseEstimator,
    frames: Sequence[RgbdFrame],
    batch: int = 8,
    progress: Callable[[int, int], object] | None = None,
) -> list[Poses]:
    """Find the people in any number of frames; see :meth:`PoseEstimator.estimate`.

    Args:
        estimator: of them.
        frames: as many as memory holds.
        batch: how many are estimated at once.
        progress: told how many frames are done, of how many.
    """
    found: list[Poses] = []
    for start in range(0, len(frames), batch):
        found += estimator.estimate(frames[start : start + batch])
        if progress is not None:
            progress(len(found), len(frames))
    return found


def load_estimator(name_or_path: str | Path, config: EstimatorConfig | None = None) -> PoseEstimator:
    """Load weights and make them ready.

    Args:
        name_or_path: a file, the name of shipped weights, ``"untrained:depthpose_64x48"``, or a file that
            `orpose export` wrote.
        config: None = the defaults.

    Raises:
        ValueError: no such weights, a damaged or foreign file, or a backend or device that is not there.
    """
    engine = None
    if is_exported(name_or_path):
        exported, settings = read_exported(name_or_path), config or EstimatorConfig()
        checkpoint = exported.checkpoint
        engine = exported.engine(
            settings.backend, settings.device, settings.half_precision, settings.threads, settings.lanes
        )
    else:
        checkpoint = load_checkpoint(name_or_path)
    estimator = PoseEstimator(checkpoint, config, engine)
    if not checkpoint.trained:
        logger.warning("%s is not trained: its poses mean nothing", checkpoint.name)
    return estimator
