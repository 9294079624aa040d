"""Frames of synthetic benchmarks on which the teacher's stages are scored."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

from orpose_core.simulation import SPLITS, simulate_frame, split_config
from orpose_core.types import Poses


@dataclass(frozen=True)
class Frames:
    """Frames of a split that nobody labelled, and the truth to judge with.

    Attributes:
        images: uint8 (H, W, 3) each.
        truth: BODY24, everybody of whom something is seen.
        roles: of them.
    """

    images: tuple[NDArray[np.uint8], ...]
    truth: tuple[Poses, ...]
    roles: tuple[tuple[str, ...], ...]


def frames_of(split: str, count: int, size_hw: tuple[int, int] = (480, 640)) -> Frames:
    """Render the frames of rooms spread evenly over a split."""
    stream = split_config(split, size_hw, "color")
    rendered = [simulate_frame(stream, int(i)) for i in SPLITS[split].subset(count)]
    images = []
    for r in rendered:
        assert r.frame.rgb is not None
        images.append(r.frame.rgb)
    return Frames(tuple(images), tuple(r.poses for r in rendered), tuple(r.roles for r in rendered))


@dataclass(frozen=True)
class SplitConfig:
    """On what a stage of the teacher is scored while it trains and at its end.

    Attributes:
        split: name of the simulated benchmark; not the one that is judged in the end.
        frames: how many of its frames, in whole rooms, during training; 0 = none.
        final_frames: how many at the end.
        size_hw: size at which they are rendered.
    """

    split: str = "general-val-v1"
    frames: int = 60
    final_frames: int = 150
    size_hw: tuple[int, int] = (240, 320)

    def __post_init__(self) -> None:
        if self.split not in SPLITS:
            raise ValueError(f"validation.split: expected one of {sorted(SPLITS)}, got {self.split!r}")
        if min(self.frames, self.final_frames) < 0:
            raise ValueError("validation: frames and final_frames must not be negative")


class SplitScores:
    """Scores of a stage on the frames of a split; those of the validations are rendered once.

    Args:
        config: which frames.
        score: network, images and their true people (BODY24) to scores.
    """

    def __init__(
        self,
        config: SplitConfig,
        score: Callable[[nn.Module, Sequence[NDArray[np.uint8]], Sequence[Poses]], dict[str, float]],
    ) -> None:
        self._config, self._score = config, score
        self._frames: Frames | None = None

    def while_training(self, model: nn.Module) -> dict[str, float]:
        """Return the scores on the fixed frames of the validations; none = no scores."""
        if not self._config.frames:
            return {}
        if self._frames is None:
            self._frames = frames_of(self._config.split, self._config.frames, self._config.size_hw)
        return self._score(model, self._frames.images, self._frames.truth)

    def at_the_end(self, model: nn.Module) -> dict[str, Any]:
        """Return the scores on the final frames, and how many those are; none = no scores."""
        count = self._config.final_frames
        if not count:
            return {}
        frames = frames_of(self._config.split, count, self._config.size_hw)
        return {"frames": count, **self._score(model, frames.images, frames.truth)}
