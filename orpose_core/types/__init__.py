"""The values that flow between the parts: frozen dataclasses whose constructors check shape and dtype."""

from orpose_core.types.arrays import Float64Array, FloatArray, Picture
from orpose_core.types.images import Intrinsics, Resize, RgbdFrame
from orpose_core.types.labels import PseudoLabels
from orpose_core.types.poses import (
    Poses,
    Source3D,
    Visibility,
    box_ious,
    boxes_of_xywh,
    covered_shares,
    xywh_of_boxes,
)

__all__ = [
    "Float64Array",
    "FloatArray",
    "Intrinsics",
    "Picture",
    "Poses",
    "PseudoLabels",
    "Resize",
    "RgbdFrame",
    "Source3D",
    "Visibility",
    "box_ious",
    "boxes_of_xywh",
    "covered_shares",
    "xywh_of_boxes",
]
