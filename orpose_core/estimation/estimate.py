"""What `orpose estimate` does: a recording in, files out, with no ROS graph.

Every frame is brought to low resolution before anything else sees it, as the gateway does beside the camera;
poses are written in px of the image that was recorded.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from orpose_core.data.recordings.recording import Recording
from orpose_core.estimation.frame_log import FrameLog
from orpose_core.estimation.frames import EstimatedFrame, Trackers, estimated_batches
from orpose_core.estimation.options import RunOptions, RunSummary
from orpose_core.estimation.remarks import Remarks
from orpose_core.estimation.results import write_results
from orpose_core.estimators import PoseEstimator
from orpose_core.files import file_name, is_own_output, mark_own_output, remove_temporaries, write_picture
from orpose_core.image_ops import private_frame
from orpose_core.render import overlay
from orpose_core.rotation import turned_back
from orpose_core.types import Picture, Poses

logger = logging.getLogger(__name__)

OVERLAYS = "overlays"

Progress = Callable[[int, int], object]
"""Is told how many frames are done, and about how many there are."""


def estimate_recording(
    recording: Recording,
    estimator: PoseEstimator,
    out: str | Path,
    options: RunOptions | None = None,
    progress: Progress | None = None,
) -> RunSummary:
    """Run a model over a recording and write what it finds.

    Files:

    * ``frames.jsonl``: what was found in each frame, line by line while the run goes on. With
      ``options.resume`` a run that was killed goes on after its last whole batch, and all files come out as
      those of an unbroken run.
    * ``results.json``: COCO results; ``image_id`` counts the frames from 1.
    * ``skeletons_3d.json``: per frame its stamp, and per person the joints in metres with sigma and source.
    * ``run.json``: model, options, the frames with name, stamp and size, what was read, and what was skipped
      and why.
    * ``joints.csv`` or ``joints.parquet``, if ``options.format`` says so: one row per joint.
    * ``overlays/NAME.png``: people on the enlarged low-resolution image.

    An interrupt (Ctrl-C) ends the run early; the files then hold what was done so far.

    Args:
        recording: not yet entered.
        estimator: the model.
        out: folder to write into; made where it is missing.
        options: see :class:`RunOptions`.
        progress: see :data:`Progress`.

    Raises:
        ValueError: not one frame could be estimated, or the folder has another run or somebody's overlays.
    """
    options, out = options or RunOptions(), Path(out)
    out.mkdir(parents=True, exist_ok=True)
    remove_temporaries(out)
    depends_on = {"model": _model(estimator), "settings": options.settings()}
    log = FrameLog(out, depends_on, options.batch, options.resume)
    interrupted = False
    with recording:
        drawing = _Overlays(out / OVERLAYS, recording.frame_count(), estimator, options)
        drawing.catch_up(log)
        try:
            _estimate(recording, estimator, options, log, drawing, progress)
        except KeyboardInterrupt:
            interrupted = True
        skipped = tuple(recording.skipped.sentences())
    if not interrupted and next(log.entries(options.limit), None) is None:
        raise ValueError(f"expected frames to estimate, got none: {'; '.join(skipped) or 'it is empty'}")
    run = {
        **depends_on,
        "interrupted": interrupted,
        "taken": list(recording.taken),
        "skipped": list(skipped),
    }
    remarks = Remarks()
    totals, files = write_results(log, out, options, run, remarks)
    return RunSummary(
        totals.frames,
        totals.people,
        totals.joints_3d,
        recording.taken,
        skipped,
        tuple(remarks.sentences()),
        (log.path, *files, *drawing.files),
        interrupted,
    )


def _estimate(
    recording: Recording,
    estimator: PoseEstimator,
    options: RunOptions,
    log: FrameLog,
    drawing: _Overlays,
    progress: Progress | None,
) -> None:
    """Estimate what the log does not have yet."""
    total = -(-recording.frame_count() // options.every)
    total = min(total, options.limit) if options.limit is not None else total
    for batch in estimated_batches(recording, estimator, options, log.done):
        for estimated in batch:
            drawing.add(estimated)
        log.add(batch)  # last, so that a kill before it repeats the whole batch
        if progress is not None and batch:
            done = batch[-1].index + 1
            progress(done, max(done, total))


def is_drawn(index: int, step: int, count: int) -> bool:
    """Return whether a frame is drawn: one of every ``step`` of about ``count``.

    Which one is random with a fixed seed. At a regular one, all could be of one camera where cameras take
    turns.
    """
    part, place = divmod(index, step)
    there = min(step, max(1, count - part * step))
    return place == int(np.random.default_rng(part).integers(there))


class _Overlays:
    """Draws some of a run's frames, with the ids of their people.

    Args:
        folder: where they are written; it is ours alone.
        count: about how many frames the recording has.
        estimator: the model.
        options: how many to draw, and whether to go on with an earlier run.

    Raises:
        ValueError: the folder has pictures of somebody else.
    """

    def __init__(self, folder: Path, count: int, estimator: PoseEstimator, options: RunOptions) -> None:
        self.files: list[Path] = []
        self._folder, self._options = folder, options
        self._modality = estimator.info.modality
        self._trackers = Trackers(options.track)
        count = -(-count // options.every)
        self._count = min(count, options.limit) if options.limit is not None else count
        self._step = max(1, -(-self._count // options.overlays)) if options.overlays else 0
        if folder.is_dir() and not is_own_output(folder) and any(folder.iterdir()):
            raise ValueError(f"{folder}: holds files that orpose did not write; choose another --out")
        if self._step or folder.is_dir():
            mark_own_output(folder, "estimate")
            remove_temporaries(folder)
        for stale in () if options.resume else folder.glob("*.png"):
            stale.unlink()

    def catch_up(self, log: FrameLog) -> None:
        """Give the trackers what an earlier run found, so that ids go on."""
        for image, poses in log.entries(self._options.limit):
            self._trackers.update(image["camera"], poses, image["stamp_ns"])

    def add(self, estimated: EstimatedFrame) -> None:
        """Look at a frame, and draw it if it is its turn."""
        recorded = estimated.recorded
        poses = self._trackers.update(recorded.camera, estimated.poses, recorded.frame.stamp_ns)
        is_full = len(self.files) >= self._options.overlays
        if not self._step or is_full or not is_drawn(estimated.index, self._step, self._count):
            return
        path = self._folder / file_name(recorded.name, ".png")
        write_picture(path, self._drawn(estimated, poses))
        self.files.append(path)

    def _drawn(self, estimated: EstimatedFrame, poses: Poses) -> Picture:
        """Draw people on the image that the model saw, which is upright; nobody in it can be recognised."""
        rotation, size_hw = self._options.rotation, estimated.upright_hw or estimated.image_hw
        if rotation:
            turned_hw = estimated.image_hw if rotation == 180 else estimated.image_hw[::-1]
            poses = turned_back(poses, 360 - rotation, turned_hw)
        return overlay(private_frame(estimated.recorded.frame), poses, size_hw, self._modality)


def _model(estimator: PoseEstimator) -> dict[str, Any]:
    info = estimator.info
    model = {k: getattr(info, k) for k in ("name", "sha256", "licence", "backend", "modality", "trained")}
    return model | {
        "input_hw": list(info.input_hw),
        "skeleton": info.skeleton.name,
        "flip_test": estimator.config.flip_test,
    }
