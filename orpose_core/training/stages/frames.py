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
    """Frames of a split with their ground truth.

    Attributes:
        images: RGB images, uint8 (H, W, 3) each.
        truth: BODY24 skeletons of all people who are at least partly visible.
        roles: roles of these people.
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
    """Settings of the validation of a stage of the teacher.

    Attributes:
        split: name of the simulated benchmark; not the one of the final evaluation.
        frames: number of its frames, in whole rooms, that are used during training; 0 = none.
        final_frames: number of frames at the end of the run.
        size_hw: (height, width) of the rendered frames, px.
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
        config: the frames.
        score: (network, images, ground truth in BODY24) -> scores.
    """

    def __init__(
        self,
        config: SplitConfig,
        score: Callable[[nn.Module, Sequence[NDArray[np.uint8]], Sequence[Poses]], dict[str, float]],
    ) -> None:
        self._config, self._score = config, score
        self._frames: Frames | None = None

    def while_training(self, model: nn.Module) -> dict[str, float]:
        """Return the scores on the fixed frames of the validation; no scores without frames."""
        if not self._config.frames:
            return {}
        if self._frames is None:
            self._frames = frames_of(self._config.split, self._config.frames, self._config.size_hw)
        return self._score(model, self._frames.images, self._frames.truth)

    def at_the_end(self, model: nn.Module) -> dict[str, Any]:
        """Return the scores on the final frames and the number of frames; no scores without frames."""
        count = self._config.final_frames
        if not count:
            return {}
        frames = frames_of(self._config.split, count, self._config.size_hw)
        return {"frames": count, **self._score(model, frames.images, frames.truth)}
