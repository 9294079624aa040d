"""Which frames are labelled (by number, rate and motion), and which labelled ones are kept (by people).

Which frames are labelled depends only on the recording: the selection always starts at its first frame, in
every process and after every restart. Which images are kept depends only on the number of people in all
labelled frames. Neither a restart nor the number of processes changes the result.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from itertools import islice

import numpy as np

from orpose_core.data.recordings.recording import RecordedFrame, every_kth
from orpose_core.labelling.frame_labeller import no_larger
from orpose_core.labelling.options import LabelOptions
from orpose_core.teacher.stages import Picture

logger = logging.getLogger(__name__)

MOST_COUNTED = 4
"""Images with this many people or more are one category (DepthPose Sect. 3)."""


def chosen_frames(
    frames: Iterator[RecordedFrame], options: LabelOptions, left_out: dict[str, int] | None = None
) -> Iterator[RecordedFrame]:
    """Yield the frames of one recording that the options select, before the networks run.

    Args:
        frames: in order.
        options: which.
        left_out: takes how many were left out so far, by reason.
    """
    left_out = {} if left_out is None else left_out
    if options.every > 1:
        frames = _noted(frames, lambda all_: every_kth(all_, options.every), left_out, "between others")
    if (rate_hz := options.rate_hz) is not None:
        frames = _noted(frames, lambda all_: at_rate(all_, rate_hz), left_out, f"beyond {rate_hz:g} a second")
    if (share := options.motion) is not None:
        step, size_hw = options.motion_step, options.low_resolution_hw
        frames = _noted(
            frames, lambda all_: in_motion(all_, share, step, size_hw), left_out, "in which nothing moved"
        )
    return frames if options.limit is None else islice(frames, options.limit)


def _noted(
    frames: Iterator[RecordedFrame],
    pick: Callable[[Iterator[RecordedFrame]], Iterator[RecordedFrame]],
    left_out: dict[str, int],
    why: str,
) -> Iterator[RecordedFrame]:
    """Yield what ``pick`` picks and keep count of what it does not."""
    left_out[why] = 0

    def counted() -> Iterator[RecordedFrame]:
        for recorded in frames:
            left_out[why] += 1
            yield recorded

    for recorded in pick(counted()):
        left_out[why] -= 1
        yield recorded


def at_rate(frames: Iterator[RecordedFrame], rate_hz: float) -> Iterator[RecordedFrame]:
    """Yield at most ``rate_hz`` frames per second and camera; start over when time jumps back.

    Frames without a time (stamp 0) are all yielded, with a warning.
    """
    period_ns = round(1e9 / rate_hz)
    due: dict[str, int] = {}
    warned = False
    for recorded in frames:
        stamp = recorded.frame.stamp_ns
        if stamp == 0:
            if not warned:
                logger.warning("images without a time are taken at any rate")
            warned = True
            yield recorded
            continue
        next_ns = due.get(recorded.camera)
        if next_ns is None or stamp >= next_ns or stamp < next_ns - period_ns:
            # The grid stays where the first frame put it, unless frames were missing.
            late = next_ns is None or not next_ns <= stamp < next_ns + period_ns
            due[recorded.camera] = (stamp if late or next_ns is None else next_ns) + period_ns
            yield recorded


def in_motion(
    frames: Iterator[RecordedFrame], share: float, step: int, size_hw: tuple[int, int]
) -> Iterator[RecordedFrame]:
    """Yield the first frame of each camera, and each frame with motion since the last one yielded.

    Args:
        frames: with color.
        share: of px that must have changed (:func:`moved_share`).
        step: levels.
        size_hw: images are compared at most at this size.
    """
    last: dict[str, Picture] = {}
    for recorded in frames:
        small = no_larger(replace(recorded.frame, depth_m=None), size_hw).rgb
        assert small is not None  # a color recording has color
        before = last.get(recorded.camera)
        if before is None or before.shape != small.shape or moved_share(before, small, step) >= share:
            last[recorded.camera] = small.copy()
            yield recorded


def moved_share(before: Picture, now: Picture, step: int) -> float:
    """Return the share of px that changed, robust to light that changes as a whole and to noise.

    The median difference of each color channel is subtracted first. People rarely fill half of an image, so
    the median is due to the light. A px has changed if the mean remaining difference over the channels is
    above ``step``.

    Args:
        before: uint8 (H, W, 3).
        now: likewise.
        step: levels of 255.
    """
    difference = now.astype(np.int16) - before
    light = np.median(difference, axis=(0, 1)).astype(np.int16)
    left = np.abs(difference - light).sum(axis=2)
    return float(np.count_nonzero(left > 3 * step) / left.size)


class Balance:
    """Keeps images of one, two, three, and four or more people equally often (DepthPose Sect. 3).

    The paper uses 20,000 of each and does not say how they were selected. Here each category keeps as many
    images as the rarest category that occurs has, at most ``most``, spread evenly over its images in the
    order of the recordings: of n images with quota q, image k (from 0) is kept if (k + 1) q // n > k q // n.
    Images without people belong to no category.

    Args:
        people: of each labelled image.
        most: of each category; 0 = any number.
    """

    def __init__(self, people: Iterable[int], most: int = 0) -> None:
        self.found = dict.fromkeys(range(1, MOST_COUNTED + 1), 0)
        for count in people:
            if count > 0:
                self.found[min(count, MOST_COUNTED)] += 1
        rarest = min((n for n in self.found.values() if n), default=0)
        self.quota = min(rarest, most) if most else rarest

    def kept(self, people: Iterable[int]) -> Iterator[bool]:
        """Yield for each image, in order, whether it is kept."""
        seen = dict.fromkeys(self.found, 0)
        for count in people:
            if count <= 0:
                yield False
                continue
            category = min(count, MOST_COUNTED)
            k, n = seen[category], self.found[category]
            seen[category] += 1
            yield (k + 1) * self.quota // n > k * self.quota // n

    def sentence(self) -> str:
        """Say what was found and what is kept, for the report."""
        names = ("one person", "two", "three", "four or more")
        found = ", ".join(f"{n} of {name}" for n, name in zip(self.found.values(), names, strict=True))
        return f"for balance {self.quota} images are kept of each number of people that occurs: found {found}"
