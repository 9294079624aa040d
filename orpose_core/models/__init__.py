"""The networks: tensors in, tensors out."""

from orpose_core.models.builder import ModelConfig, build_model
from orpose_core.models.depthpose import DepthPose, SrRtPose
from orpose_core.models.maps import PoseMaps, StageMaps
from orpose_core.models.rtpose import RTPose
from orpose_core.models.super_resolution import SuperResolver

__all__ = [
    "DepthPose",
    "ModelConfig",
    "PoseMaps",
    "RTPose",
    "SrRtPose",
    "StageMaps",
    "SuperResolver",
    "build_model",
]
