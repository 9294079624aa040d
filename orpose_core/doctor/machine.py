"""What is installed on this machine, and whether caches can be written."""

from __future__ import annotations

import importlib.util
import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import torch

from orpose_core.checkpoints.weights_file import find_weights, weights_names
from orpose_core.doctor.finding import Finding
from orpose_core.engines import installed_backends
from orpose_core.files import stranger
from orpose_core.models.inference import bf16_is_fast

_LEAST_FREE = 2 << 30  # bytes


def look_at_machine() -> Iterator[Finding]:
    """Yield what is found."""
    version = platform.python_version()
    supported = sys.version_info >= (3, 10)
    yield Finding(
        "Python", "good" if supported else "bad", version, "" if supported else "orpose needs 3.10 or newer"
    )
    yield from _torch()
    yield Finding("OpenCV", "good", _version("opencv-python-headless", "opencv-python"))
    yield Finding("engines", "good", ", ".join(installed_backends()))
    yield from _weights()
    yield from _ros()
    yield from _caches()


def _weights() -> Iterator[Finding]:
    names = weights_names()
    instead = {name: stranger(find_weights(name)) for name in names}
    good = [name for name in names if instead[name] is None]
    mend = "" if good else "install orpose again, or run `git lfs pull` in the checkout"
    yield Finding("weights", "good" if good else "bad", ", ".join(good) or "none", mend)
    for name, what in instead.items():
        if what is not None:
            yield Finding(f"weights {name}", "bad", what)


def _torch() -> Iterator[Finding]:
    gpu = torch.cuda.is_available()
    device = torch.device("cuda" if gpu else "cpu")
    name = torch.cuda.get_device_name() if gpu else f"no CUDA; {os.cpu_count()} CPUs"
    yield Finding("PyTorch", "good", f"{torch.__version__}, {name}")
    half = bf16_is_fast(device)
    yield Finding(
        "bf16", "good" if half else "note", "in hardware" if half else "not in hardware: float32 is used"
    )


def _ros() -> Iterator[Finding]:
    if importlib.util.find_spec("rclpy") is None:
        mend = "source /opt/ros/jazzy/setup.bash, or use the commands of orpose that need no ROS"
        yield Finding("ROS 2", "note", "rclpy is not there: no nodes", mend)
        return
    distribution = os.environ.get("ROS_DISTRO", "")
    yield Finding("ROS 2", "good", f"rclpy is there{f', {distribution}' if distribution else ''}")
    messages = importlib.util.find_spec("orpose_ros") is not None and _has_messages()
    mend = "" if messages else "build the package: colcon build --packages-select orpose_ros"
    yield Finding(
        "messages of orpose", "good" if messages else "bad", "built" if messages else "not built", mend
    )
    settings = ("RMW_IMPLEMENTATION", "ROS_DOMAIN_ID", "ROS_AUTOMATIC_DISCOVERY_RANGE", "ROS_LOCALHOST_ONLY")
    there = [f"{name}={os.environ[name]}" for name in settings if name in os.environ]
    yield Finding("DDS settings", "good", " ".join(there) or "defaults")
    viewer = shutil.which("rviz2")
    yield Finding(
        "rviz2", "good" if viewer else "note", viewer or "not there: skeletons cannot be shown in RViz"
    )


def _has_messages() -> bool:
    try:
        return importlib.util.find_spec("orpose_ros.msg") is not None
    except ImportError:
        return False


def _caches() -> Iterator[Finding]:
    numba = os.environ.get("NUMBA_CACHE_DIR")
    compiled = Path(numba) if numba else Path(__file__).parents[1]
    temporary = Path(tempfile.gettempdir())
    for what, folder in (("cache of compiled code", compiled), ("temporary files", temporary)):
        good = os.access(folder, os.W_OK)
        mend = "" if good else "export NUMBA_CACHE_DIR=/a/folder/that/can/be/written"
        said = str(folder) if good else f"{folder} cannot be written: each start compiles again"
        yield Finding(what, "good" if good else "note", said, mend)
    free = shutil.disk_usage(Path.cwd()).free
    yield Finding("disk", "good" if free >= _LEAST_FREE else "bad", f"{free / (1 << 30):.1f} GiB free here")


def _version(*names: str) -> str:
    installed = {distribution.metadata["Name"] for distribution in metadata.distributions()}
    return next((metadata.version(name) for name in names if name in installed), "of another package")
