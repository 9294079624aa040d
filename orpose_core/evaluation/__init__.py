"""Evaluation of a model on a data set: run it, score it, and show where it fails."""

from orpose_core.evaluation.datasets import DATASETS, open_dataset
from orpose_core.evaluation.evaluation_sets import EvaluationSet
from orpose_core.evaluation.run import evaluate_model
from orpose_core.evaluation.scores import (
    BENCHMARK,
    METRICS,
    PUBLISHED,
    STRICT,
    Evaluation,
    Protocol,
    evaluate_files,
    evaluate_poses,
    evaluate_results,
    score_poses,
)
from orpose_core.evaluation.tables import report

__all__ = [
    "BENCHMARK",
    "DATASETS",
    "METRICS",
    "PUBLISHED",
    "STRICT",
    "Evaluation",
    "EvaluationSet",
    "Protocol",
    "evaluate_files",
    "evaluate_model",
    "evaluate_poses",
    "evaluate_results",
    "open_dataset",
    "report",
    "score_poses",
]
