"""What runs a network that answers with maps: PyTorch, OpenVINO or ONNX Runtime."""

from orpose_core.engines.choosing import (
    AUTO,
    BACKENDS,
    Engine,
    check_backend,
    choose_engine,
    installed_backends,
)
from orpose_core.engines.exported import is_exported, read_exported

__all__ = [
    "AUTO",
    "BACKENDS",
    "Engine",
    "check_backend",
    "choose_engine",
    "installed_backends",
    "is_exported",
    "read_exported",
]
