"""Projection, rigid transforms, and people placed in space. Metres, pixels, optical frame."""

from orpose_core.geometry.anchoring import anchor_at_root
from orpose_core.geometry.lookup_plan import SURFACE_OFFSETS, SurfaceOffset
from orpose_core.geometry.placement import Metric3DConfig, metric_3d, relative_to_root
from orpose_core.geometry.projection import back_project, project, transform_points

__all__ = [
    "SURFACE_OFFSETS",
    "Metric3DConfig",
    "SurfaceOffset",
    "anchor_at_root",
    "back_project",
    "metric_3d",
    "project",
    "relative_to_root",
    "transform_points",
]
