"""After the warm-up nothing is left to compile: no real frame, with people or without, waits for it."""

from __future__ import annotations

import subprocess
import sys

import pytest

# A process of its own: what other tests have compiled would hide what the warm-up leaves out.
PROGRAM = """
import sys
from numba.core.registry import CPUDispatcher
from orpose_core.estimators import EstimatorConfig, load_estimator
from orpose_core.image_ops import low_resolution_frame
from orpose_core.simulation import StreamConfig, simulate_frame

def compiled():
    found = {}
    for name, module in list(sys.modules.items()):
        if name.startswith("orpose_core.") and not name.startswith("orpose_core.simulation"):
            for key, value in vars(module).items():
                if isinstance(value, CPUDispatcher) and value.py_func.__module__ == name:
                    found[f"{name}.{key}"] = len(value.signatures)
    return found

modality = sys.argv[2]
config = StreamConfig(domain="or", size_hw=(480, 640), modality="rgbd", seed=5)
full = [simulate_frame(config, i).frame for i in range(3)]
small = [low_resolution_frame(frame, (60, 80)) for frame in full]
estimator = load_estimator(sys.argv[1], EstimatorConfig(device="cpu", threads=1))
before = compiled()
usual = estimator.config
estimator.warm_up(1)
assert estimator.config is usual
warm = compiled()
people = sum(len(poses) for frame in (*small, *full) for poses in estimator.estimate([frame]))
assert people, "somebody must be found, or nothing is tested"
late = {name: count for name, count in compiled().items() if count > warm.get(name, 0)}
assert not late, f"compiled after the warm-up: {late}"
assert warm != before
"""


@pytest.mark.parametrize(
    ("model", "modality"),
    [("fastpose_64x48", "depth"), ("depthpose_64x48", "depth"), ("student_small", "color")],
)
def test_nothing_is_compiled_after_the_warm_up(model: str, modality: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, model, modality], capture_output=True, text=True, timeout=1200
    )
    assert done.returncode == 0, done.stderr
