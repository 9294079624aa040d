"""Multi-person 2D and 3D pose estimation in the operating room from low-resolution images.

The names in ``__all__`` are the public interface. They are imported when they are first used, so that
``import orpose_core`` itself loads neither PyTorch nor NumPy. Nothing in this package imports ROS.
"""

import os
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orpose_core.compile_cache import choose_compile_cache, forget_outdated

__version__ = "0.1.0"

__all__ = [
    "BODY24",
    "COCO17",
    "H36M17",
    "MVOR10",
    "OPENPOSE18",
    "SKELETONS",
    "EstimatorConfig",
    "Intrinsics",
    "ModelInfo",
    "PoseEstimator",
    "Poses",
    "RgbdFrame",
    "Skeleton",
    "Source3D",
    "Tracker",
    "TrackerConfig",
    "Visibility",
    "__version__",
    "draw_poses",
    "evaluate_files",
    "evaluate_poses",
    "load_estimator",
    "open_recording",
]

_HOMES = {
    "orpose_core.data.recordings.opening": ("open_recording",),
    "orpose_core.estimators": ("EstimatorConfig", "ModelInfo", "PoseEstimator", "load_estimator"),
    "orpose_core.evaluation.scores": ("evaluate_files", "evaluate_poses"),
    "orpose_core.render": ("draw_poses",),
    "orpose_core.skeleton": (
        "BODY24", "COCO17", "H36M17", "MVOR10", "OPENPOSE18", "SKELETONS", "Skeleton",
    ),
    "orpose_core.tracking": ("Tracker", "TrackerConfig"),
    "orpose_core.types": ("Intrinsics", "Poses", "RgbdFrame", "Source3D", "Visibility"),
}  # fmt: skip
choose_compile_cache(Path(__file__).parent, os.environ)
forget_outdated(Path(__file__).parent)

_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

if TYPE_CHECKING:
    from orpose_core.data.recordings.opening import open_recording
    from orpose_core.estimators import EstimatorConfig, ModelInfo, PoseEstimator, load_estimator
    from orpose_core.evaluation.scores import evaluate_files, evaluate_poses
    from orpose_core.render import draw_poses
    from orpose_core.skeleton import BODY24, COCO17, H36M17, MVOR10, OPENPOSE18, SKELETONS, Skeleton
    from orpose_core.tracking import Tracker, TrackerConfig
    from orpose_core.types import Intrinsics, Poses, RgbdFrame, Source3D, Visibility


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used (PEP 562)."""
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_HOME_OF[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
