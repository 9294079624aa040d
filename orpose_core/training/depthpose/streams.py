"""Training data by sample number, from the synthetic room or from a folder."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Literal, cast

import cv2
import numpy as np
from torch.utils.data import Dataset

from orpose_core.models import MapConfig
from orpose_core.simulation import simulate_frame
from orpose_core.training.depthpose.label_file import LabelFile
from orpose_core.training.depthpose.samples import DataConfig, LabelledFrame, Sample, SampleMaker, trusted
from orpose_core.training.domain_streams import DomainStreams
from orpose_core.training.frame_cache import FrameCache
from orpose_core.types import FloatArray, Poses, Resize

logger = logging.getLogger(__name__)

_REPLAY_KEY = 1
_KEPT_BYTES = 400_000_000
"""Of depth that stays in memory, of each process that reads a folder."""


class SimulatedSamples(Dataset[Sample]):
    """An endless stream of synthetic samples; each shows another room.

    With a cache, only the first samples show different rooms. After them, all frames are repeated in another
    order with other augmentation. The first samples are bit for bit the same as without a cache, if the cache
    has the seed of the data.

    Args:
        data: domains, sizes, seed and augmentation.
        model: config of the network to train.
    """

    def __init__(self, data: DataConfig, model: MapConfig) -> None:
        self.data, self.make = data, SampleMaker(data, model)
        crowd = data.domain_crowds or data.crowd
        self.streams = DomainStreams(
            data.domains, data.domain_shares, data.render_hw, "depth", data.seed, crowd, data.varied_builds
        )
        self.caches = [] if data.cache.folder is None else self._filled_caches(data.cache.folder)

    def _filled_caches(self, folder: Path) -> list[FrameCache]:
        """Return a filled cache of each domain."""
        cache = self.data.cache
        seed = self.data.seed if cache.seed is None else cache.seed
        caches = [FrameCache(folder, replace(s, seed=seed), cache.frames) for s in self.streams.streams]
        for one in caches:
            logger.info("%s: up to %d frames are rendered, if they are not there", one.path, len(one))
            one.fill(workers=cache.workers)
        return caches

    def frame(self, index: int, rng: np.random.Generator) -> LabelledFrame:
        """Return frame ``index`` without augmentation, of a domain that is drawn with ``rng``."""
        domain = self.streams.draw(rng)
        if self.caches:
            epoch, turn = divmod(index, self.data.cache.frames)
            cached = self.caches[domain][self.places(domain, epoch)[turn]]
            return self._labelled(cached.depth_m, cached.poses)
        simulated = simulate_frame(self.streams.streams[domain], index)
        assert simulated.frame.depth_m is not None
        return self._labelled(simulated.frame.depth_m, simulated.poses)

    def places(self, domain: int, epoch: int) -> Sequence[int]:
        """Return the order of a domain's cached frames: first their own, then a new permutation each time."""
        count = self.data.cache.frames
        return _order(self.data.seed, domain, epoch, count) if epoch else range(count)

    def _labelled(self, depth_m: FloatArray, poses: Poses) -> LabelledFrame:
        poses = poses.converted(self.make.skeleton)  # once, and not again for each question about them
        sure = trusted(poses, self.data.min_visible_joints, self.make.skeleton)
        return LabelledFrame(depth_m, poses.select(sure), poses.boxes_px[~sure])

    def __getitem__(self, index: int) -> Sample:
        rng = np.random.default_rng([self.data.seed, index])
        return self.make(self.frame(index, rng), rng)


class FolderSamples(Dataset[Sample]):
    """An endless stream of recorded images with labels. The images are repeated with other augmentation.

    Args:
        data: folder, label file and thresholds.
        model: config of the network to train.

    Raises:
        ValueError: the label file is not valid, or no image shows a person to train on.
    """

    def __init__(self, data: DataConfig, model: MapConfig) -> None:
        assert data.folder is not None and data.labels is not None
        self.data, self.make = data, SampleMaker(data, model)
        self.labels = LabelFile(
            data.labels, data.folder, data.person_score, data.joint_score, data.min_joints
        )
        self.groups = self.labels.by_people() if data.balanced else [self.labels.with_people()]
        labels = self.labels
        rule = (
            f"a score of {labels.person_score:g} or more and at least {labels.min_joints} joints above "
            f"{labels.joint_score:g}"
        )
        self._kept: dict[int, LabelledFrame] = {}
        self._most_kept = _KEPT_BYTES // (4 * math.prod(data.render_hw))
        masked, people = labels.masked()
        if not any(self.groups):
            raise ValueError(f"{data.labels}: none of the {people} people has {rule}")
        if masked > people / 2:
            logger.warning(
                "%s: %d of %d people are masked, because they do not have %s; set data.person_score, "
                "data.joint_score or data.min_joints to train on more of them",
                data.labels, masked, people, rule,
            )  # fmt: skip

    def image_of(self, index: int) -> int:
        """Return the image of sample ``index``. Groups take turns; their images are reshuffled each time."""
        turn, group = divmod(index, len(self.groups))
        images = self.groups[group]
        epoch, place = divmod(turn, len(images))
        return images[_order(self.data.seed, group, epoch, len(images))[place]]

    def __getitem__(self, index: int) -> Sample:
        frame = self._frame(self.image_of(index))
        return self.make(frame, np.random.default_rng([self.data.seed, index]))

    def _frame(self, image: int) -> LabelledFrame:
        """Return an image at the size at which it is augmented; images are kept while memory allows."""
        if image in self._kept:
            return self._kept[image]
        frame = _resized(self.labels.frame(image), self.data.render_hw)
        if len(self._kept) < self._most_kept:
            self._kept[image] = frame
        return frame


class ReplayedSamples(Dataset[Sample]):
    """A stream of recorded images mixed with synthetic ones, whose share is ``data.replay``.

    Args:
        data: settings of both kinds.
        model: config of the network to train.
    """

    def __init__(self, data: DataConfig, model: MapConfig) -> None:
        self.data = data
        self.recorded = FolderSamples(data, model)
        absent: Literal["unknown", "background"] = "unknown" if data.absent_is_unknown else "background"
        synthetic = replace(data, source="simulation", replay=0.0, absent_joints=absent)  # alike in a batch
        self.synthetic = SimulatedSamples(synthetic, model)

    def is_replayed(self, index: int) -> bool:
        """Return whether a sample is synthetic."""
        chance = np.random.default_rng([self.data.seed, index, _REPLAY_KEY]).uniform()
        return bool(chance < self.data.replay)

    def __getitem__(self, index: int) -> Sample:
        return self.synthetic[index] if self.is_replayed(index) else self.recorded[index]


@lru_cache(maxsize=16)
def _order(seed: int, group: int, epoch: int, count: int) -> list[int]:
    return np.random.default_rng([seed, group, epoch]).permutation(count).tolist()


def _resized(frame: LabelledFrame, size_hw: tuple[int, int]) -> LabelledFrame:
    """Resize a recorded frame to the size at which frames are augmented, without mixing depths."""
    height, width = frame.depth_m.shape
    if (height, width) == size_hw:
        return frame
    resize = Resize((height, width), size_hw)
    depth_m = cast(
        FloatArray, cv2.resize(frame.depth_m, size_hw[::-1], interpolation=cv2.INTER_NEAREST_EXACT)
    )
    ignored_px = resize.to_target(frame.ignored_px.reshape(-1, 2, 2)).reshape(-1, 4)
    return LabelledFrame(depth_m, frame.poses.resized(resize), ignored_px)


def samples(data: DataConfig, model: MapConfig) -> Dataset[Sample]:
    """Return the data set that ``data`` describes."""
    if data.source == "simulation":
        return SimulatedSamples(data, model)
    return ReplayedSamples(data, model) if data.replay else FolderSamples(data, model)
