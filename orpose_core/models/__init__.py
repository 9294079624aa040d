"""The networks: tensors in, tensors out."""

from orpose_core.models.builder import (
    NETWORKS,
    Network,
    build_model,
    config_from_dict,
    config_named,
    config_of,
    network_named,
    network_of,
)
from orpose_core.models.config import MapConfig, ModelConfig, NetworkConfig
from orpose_core.models.depthpose import DepthPose, SrRtPose
from orpose_core.models.fastpose import FastPose, FastPoseConfig
from orpose_core.models.maps import PoseMaps, StageMaps
from orpose_core.models.rtpose import RTPose
from orpose_core.models.student.config import SMALL_STUDENT, StudentConfig
from orpose_core.models.super_resolution import SuperResolver

__all__ = [
    "NETWORKS",
    "SMALL_STUDENT",
    "DepthPose",
    "FastPose",
    "FastPoseConfig",
    "MapConfig",
    "ModelConfig",
    "Network",
    "NetworkConfig",
    "PoseMaps",
    "RTPose",
    "SrRtPose",
    "StageMaps",
    "StudentConfig",
    "SuperResolver",
    "build_model",
    "config_from_dict",
    "config_named",
    "config_of",
    "network_named",
    "network_of",
]
