"""How fast the synthetic room is rendered and written."""

from __future__ import annotations

import os
import tempfile
import time

from orpose_core.simulation import StreamConfig, simulate_frame
from orpose_core.simulation.writers.dataset import write_dataset


def simulate(frames: int = 200, workers: int = 1) -> str:
    """Measure the synthetic room: RGB-D frames to disk on several cores, and the depth stream on one.

    Args:
        frames: to measure.
        workers: processes of the first measurement.

    Returns:
        A few lines of text.

    Raises:
        ValueError: if an argument is below 1.
    """
    if frames < 1 or workers < 1:
        raise ValueError(f"expected at least 1 frame and 1 worker, got {frames} and {workers}")
    lines = [f"{os.cpu_count()} processors, load {os.getloadavg()[0]:.1f} before the measurement"]
    for domain in ("or", "general"):
        config = StreamConfig(domain, (480, 640), "rgbd", seed=1, frames_per_sequence=25)
        simulate_frame(config, 0)  # compiled or loaded before the clock runs
        with tempfile.TemporaryDirectory() as folder:
            start = time.perf_counter()
            write_dataset(config, frames, folder, workers)
            rate = frames / (time.perf_counter() - start)
        lines.append(
            f"{domain:8s} 640x480 RGB-D with ground truth, written, {workers} processes: {rate:.1f} frames/s"
        )
    for domain in ("or", "general"):
        config = StreamConfig(domain, (192, 256), "depth", seed=1)
        simulate_frame(config, 0)
        start = time.perf_counter()
        for index in range(1, frames + 1):
            simulate_frame(config, index)
        rate = frames / (time.perf_counter() - start)
        lines.append(
            f"{domain:8s} 256x192 depth with joints, each its own room, 1 process: {rate:.1f} frames/s"
        )
    return "\n".join(lines)
