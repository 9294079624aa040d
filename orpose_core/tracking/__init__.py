"""Stable identities per camera, and optional smoothing: who of this frame is who of the last one.

Detections are assigned to tracks by the Hungarian method on a similarity of up to three parts: an OKS of the
joints that both have (against the position that the track's velocity predicts), the IoU of the boxes, and the
distance in metres where both have 3D joints. Every length is measured in the person's own size and every rate
in seconds, so the same settings hold at 64x48 and at 640x480, at 5 and at 30 frames per second.

The smoother is the 1 Euro filter (Casiez, Roussel, Vogel: "1 Euro Filter: A Simple Speed-based Low-pass
Filter for Noisy Input in Interactive Systems", CHI 2012).
"""

from orpose_core.tracking.config import OneEuroConfig, TrackerConfig, TrackState
from orpose_core.tracking.tracker import Tracker

__all__ = ["OneEuroConfig", "TrackState", "Tracker", "TrackerConfig"]
