"""The synthetic operating room: RGB-D video with exact ground truth, rendered from a seed."""

from orpose_core.simulation.frames import SimulatedFrame, simulate_frame
from orpose_core.simulation.splits import SPLITS, Split
from orpose_core.simulation.stream import StreamConfig, split_config

__all__ = ["SPLITS", "SimulatedFrame", "Split", "StreamConfig", "simulate_frame", "split_config"]
