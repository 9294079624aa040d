"""Frames to poses: the one API that nodes, labeller, evaluator, validation, benchmark and demo all call."""

from orpose_core.estimators.config import EstimatorConfig, ModelInfo
from orpose_core.estimators.estimator import PoseEstimator, Prepared, load_estimator

__all__ = ["EstimatorConfig", "ModelInfo", "PoseEstimator", "Prepared", "load_estimator"]
