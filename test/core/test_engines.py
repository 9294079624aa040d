"""Engines: each answers as PyTorch does, whatever the batch; what is missing or unfit is named."""

from __future__ import annotations

import logging
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from orpose_core import EstimatorConfig, RgbdFrame, load_estimator
from orpose_core.checkpoints.files import Checkpoint
from orpose_core.cli import main
from orpose_core.engines import BACKENDS, check_backend, choose_engine, choosing, installed_backends
from orpose_core.engines.graph import onnx_graph
from orpose_core.estimators import PoseEstimator
from orpose_core.files import write_depth
from orpose_core.models import FastPoseConfig, ModelConfig, PoseMaps, StageMaps, build_model, config_named
from orpose_core.models.inference import MapPredictor
from orpose_core.models.student.config import SMALL_STUDENT
from orpose_core.simulation import StreamConfig, simulate_frame

FAST = FastPoseConfig(widths=(8, 16), stem_channels=8, head_channels=8, input_hw=(24, 32), visibility=True)
NETWORKS = [
    FAST,
    FastPoseConfig(
        widths=(8, 8, 8, 8), stem_channels=8, head_channels=8, input_hw=(40, 53), modality="color"
    ),
    ModelConfig(width=0.0625, input_hw=(12, 16)),
    ModelConfig("rtpose", width=0.0625, input_hw=(12, 16), full_hw=(48, 64)),
    ModelConfig("sr_rtpose", width=0.0625, input_hw=(12, 16)),
]


@pytest.fixture(params=["openvino", "onnxruntime"])
def backend(request: pytest.FixtureRequest) -> str:
    if request.param not in installed_backends():
        pytest.skip(f"{request.param} is not installed")
    return request.param


def images(config: FastPoseConfig | ModelConfig, count: int) -> Tensor:
    drawn = torch.rand(
        count, config.in_channels, *config.input_hw, generator=torch.Generator().manual_seed(5)
    )
    return torch.where(drawn > 0.2, drawn, 0.0)


@pytest.mark.parametrize("config", NETWORKS, ids=lambda c: f"{c.architecture}_{c.modality}")
def test_an_engine_answers_as_pytorch_does(backend: str, config: FastPoseConfig | ModelConfig) -> None:
    model = build_model(config, seed=1)
    engine = choose_engine(model, config, backend, "cpu", half_precision=False, threads=1)
    wanted = MapPredictor(model, "cpu", half_precision=False)
    assert engine.backend.startswith(f"{backend} ") and engine.backend.endswith(" cpu float32")
    for count in (1, 3, 2):  # any batch, not the one that was recorded
        seen = images(config, count)
        got, expected = engine.predict(seen), wanted.predict(seen)
        torch.testing.assert_close(got.stages, expected.stages, atol=1e-4, rtol=1e-4)
        assert (got.visibility_logits is None) == (expected.visibility_logits is None)
        if expected.visibility_logits is not None:
            torch.testing.assert_close(
                got.visibility_logits, expected.visibility_logits, atol=1e-4, rtol=1e-4
            )


def test_an_answer_stays_what_it_was(backend: str) -> None:
    engine = choose_engine(build_model(FAST, seed=1), FAST, backend, "cpu", threads=1)
    first = engine.predict(images(FAST, 1)).stages[-1].paf_maps
    kept = first.clone()
    engine.predict(torch.zeros(1, 1, 24, 32))
    assert torch.equal(first, kept)


def test_lanes_answer_at_the_same_time_as_one_does_alone(backend: str) -> None:
    model = build_model(FAST, seed=1)
    engine = choose_engine(model, FAST, backend, "cpu", half_precision=False, threads=2, lanes=3)
    assert engine.lanes == (2 if backend == "openvino" else 1), "at most one per thread"
    seen = [images(FAST, 1 + i % 2) * (1 - i / 40) for i in range(20)]
    alone = choose_engine(model, FAST, backend, "cpu", half_precision=False, threads=1)
    with ThreadPoolExecutor(4) as threads:
        for maps, image in zip(threads.map(engine.predict, seen), seen, strict=True):
            torch.testing.assert_close(maps.stages, alone.predict(image).stages, atol=1e-5, rtol=1e-5)
    with pytest.raises(ValueError, match=r"EstimatorConfig.lanes: expected 1 or more, got 0"):
        EstimatorConfig(lanes=0)


@pytest.mark.parametrize("flip", [True, False])
def test_the_same_people_come_out(backend: str, flip: bool) -> None:
    frame = simulate_frame(StreamConfig("or", (480, 640), "depth", 5), 1).frame
    found = []
    for name in (backend, "torch"):
        config = EstimatorConfig("cpu", name, flip_test=flip, half_precision=False, threads=1)
        estimator = load_estimator("fastpose_64x48", config)
        assert estimator.info.backend.startswith(name)
        found += estimator.estimate([frame])
    assert len(found[0]) == len(found[1]) > 0
    np.testing.assert_allclose(found[0].xy_px, found[1].xy_px, atol=0.05, equal_nan=True)
    np.testing.assert_array_equal(found[0].visibility, found[1].visibility)


def test_auto_takes_openvino_on_a_cpu_where_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = choose_engine(build_model(FAST, seed=1), FAST, device="cpu")
    assert engine.backend.split()[0] == ("openvino" if "openvino" in installed_backends() else "torch")
    monkeypatch.setattr(choosing, "find_spec", lambda name: None)
    assert choose_engine(build_model(FAST, seed=1), FAST, device="cpu").backend.startswith("torch ")


def test_what_is_missing_is_named_with_the_extra(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys
) -> None:
    with pytest.raises(ValueError, match=r"expected one of auto, torch, openvino, onnxruntime, got 'tflite'"):
        EstimatorConfig(backend="tflite")
    monkeypatch.setattr(choosing, "find_spec", lambda name: None)
    for name in BACKENDS[2:]:
        with pytest.raises(ValueError, match=rf"pip install '/path/to/orpose\[{name}\]'"):
            check_backend(name)
    write_depth(tmp_path / "frame.png", np.full((48, 64), 2.0, np.float32))
    command = ["estimate", str(tmp_path / "frame.png"), "--model", "fastpose_64x48", "--out", str(tmp_path)]
    assert main([*command, "--backend", "openvino"]) == 2
    assert "orpose[openvino]" in capsys.readouterr().err


def test_a_device_that_an_engine_cannot_use_is_refused(backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choosing, "choose_device", torch.device)
    with pytest.raises(ValueError, match=r"expected device cpu, got cuda|needs CUDAExecutionProvider"):
        choose_engine(build_model(FAST, seed=1), FAST, backend, "cuda")


def test_a_student_runs_in_pytorch() -> None:
    model = build_model(SMALL_STUDENT, seed=0).eval()
    checkpoint = Checkpoint(model, SMALL_STUDENT, "student", "", "", False, {})
    for name in installed_backends()[1:]:
        with pytest.raises(ValueError, match=f"expected backend auto or torch for a student, got {name}"):
            PoseEstimator(checkpoint, EstimatorConfig("cpu", name))
    assert PoseEstimator(checkpoint, EstimatorConfig("cpu")).info.backend.startswith("torch ")


class Decides(nn.Module):
    """A network whose Python decides by what it sees, which no recorded graph does."""

    def __init__(self) -> None:
        super().__init__()
        self.factor = nn.Parameter(torch.ones(1))

    def forward(self, x: Tensor) -> PoseMaps:
        factor = self.factor if float(x.sum()) > 0 else -self.factor
        return PoseMaps((StageMaps(*(x.repeat(1, n, 1, 1) * factor for n in (38, 19))),))


class Unknown(nn.Module):
    """A network with an operator that ONNX does not have."""

    def forward(self, x: Tensor) -> PoseMaps:
        maps = torch.special.bessel_j0(x)
        return PoseMaps((StageMaps(maps.repeat(1, 38, 1, 1), maps.repeat(1, 19, 1, 1)),))


@pytest.mark.parametrize(
    ("network", "says"),
    [(Decides, "does not answer as PyTorch does"), (Unknown, "Unknown cannot be converted to ONNX")],
)
def test_a_network_that_cannot_be_recorded_stays_in_pytorch(
    backend: str, network: type[nn.Module], says: str, caplog: pytest.LogCaptureFixture
) -> None:
    config = FastPoseConfig(input_hw=(12, 16))
    with pytest.raises(ValueError, match=says):
        choose_engine(network(), config, backend, "cpu")
    if backend == "openvino":
        with caplog.at_level(logging.WARNING):
            assert choose_engine(network(), config, device="cpu").backend.startswith("torch ")
        assert says in caplog.text


def test_a_graph_is_made_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    graph = onnx_graph(build_model(FAST, seed=1), 1, FAST.input_hw)
    assert graph.outputs == ("paf_maps", "keypoint_maps", "visibility_logits")
    assert onnx_graph(build_model(NETWORKS[2], seed=1), 1, (12, 16)).outputs == graph.outputs[:2]
    assert not list(tmp_path.iterdir())


def test_blind_frames_are_nobody(backend: str) -> None:
    estimator = load_estimator("fastpose_64x48", EstimatorConfig("cpu", backend, threads=1))
    estimator.warm_up(2)
    blind = RgbdFrame(None, np.full((48, 64), np.nan, np.float32), None)
    assert [len(poses) for poses in estimator.estimate([blind, blind])] == [0, 0]


def test_names_of_networks_are_configs() -> None:
    assert config_named("fastpose_64x48") == FastPoseConfig()


_SIGNALLED = """
import faulthandler, gc, os, signal
faulthandler.enable()  # it has an alternate signal stack, as the handlers of other libraries
from orpose_core.engines.graph import onnx_graph
from orpose_core.engines.openvino_engine import OpenVinoEngine
from orpose_core.models import FastPoseConfig, build_model
config = FastPoseConfig(widths=(8, 8, 8, 8))
graph = onnx_graph(build_model(config), config.in_channels, config.input_hw).content
engines = [OpenVinoEngine(graph, 1) for _ in range(2)]
while engines:
    engines.pop(0)
    gc.collect()
signal.signal(signal.SIGTERM, lambda number, frame: print("told to stop"))
os.kill(os.getpid(), signal.SIGTERM)
"""


def test_signals_are_handled_after_engines_that_overlapped() -> None:
    """The alternate signal stack that a core of OpenVINO puts back was gone: SIGTERM killed the process."""
    pytest.importorskip("openvino", reason="the extra orpose[openvino] is not installed")
    run = subprocess.run([sys.executable, "-c", _SIGNALLED], capture_output=True, text=True, check=False)
    assert (run.returncode, run.stdout) == (0, "told to stop\n"), run.stderr[-2000:]
