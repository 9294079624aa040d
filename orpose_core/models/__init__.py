"""The networks: tensors in, tensors out."""

from orpose_core.models.builder import AnyConfig, ModelConfig, build_model, config_from_dict
from orpose_core.models.depthpose import DepthPose, SrRtPose
from orpose_core.models.maps import PoseMaps, StageMaps
from orpose_core.models.rtpose import RTPose
from orpose_core.models.student.config import SMALL_STUDENT, StudentConfig
from orpose_core.models.super_resolution import SuperResolver

__all__ = [
    "SMALL_STUDENT",
    "AnyConfig",
    "DepthPose",
    "ModelConfig",
    "PoseMaps",
    "RTPose",
    "SrRtPose",
    "StageMaps",
    "StudentConfig",
    "SuperResolver",
    "build_model",
    "config_from_dict",
]
