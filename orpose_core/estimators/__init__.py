"""Frames to poses: the one API that nodes, labeller, evaluator, validation, benchmark and demo all call."""

from orpose_core.estimators.config import EstimatorConfig, ModelInfo
from orpose_core.estimators.estimator import PoseEstimator, Prepared, estimate_all, load_estimator

__all__ = ["EstimatorConfig", "ModelInfo", "PoseEstimator", "Prepared", "estimate_all", "load_estimator"]
