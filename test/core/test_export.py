"""Exported networks: the same answers, all metadata, no PyTorch needed to run them, and a way back in."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from orpose_core import EstimatorConfig, load_estimator
from orpose_core.checkpoints.files import load_checkpoint, save_checkpoint
from orpose_core.cli import main
from orpose_core.engines import installed_backends
from orpose_core.estimators.map_settings import MapSettings
from orpose_core.models import FastPoseConfig, build_model
from orpose_core.models.student.config import SMALL_STUDENT
from orpose_core.simulation import StreamConfig, simulate_frame

CONFIG = FastPoseConfig(widths=(8, 16), stem_channels=8, head_channels=8, input_hw=(24, 32), visibility=True)

# What somebody needs who has the file and not orpose: run where torch cannot be imported.
RUN_ALONE = """
import sys
sys.modules["torch"] = None
sys.modules["orpose_core"] = None
import json
import numpy as np
path, images, out = sys.argv[1:]
images = np.load(images)
if path.endswith(".onnx"):
    import onnxruntime
    session = onnxruntime.InferenceSession(path)
    metadata = session.get_modelmeta().custom_metadata_map
    names = [output.name for output in session.get_outputs()]
    maps = session.run(None, {"images": images})
else:
    import openvino
    model = openvino.Core().read_model(path)
    metadata = {key: value.value for key, value in model.get_rt_info()["orpose"].items()}
    compiled = openvino.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    names = [output.get_any_name() for output in compiled.outputs]
    answer = compiled(images)
    maps = [answer[output] for output in compiled.outputs]
assert "torch" not in [name for name, module in sys.modules.items() if module is not None]
np.savez(out, **dict(zip(names, maps)))
print(json.dumps(dict(metadata)))
"""


@pytest.fixture(params=["openvino", "onnx"])
def kind(request: pytest.FixtureRequest) -> str:
    for package in {"openvino": ["openvino"], "onnx": ["onnxruntime", "onnx"]}[request.param]:
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"{package} is not installed")
    return request.param


def suffix(kind: str) -> str:
    return {"openvino": ".xml", "onnx": ".onnx"}[kind]


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "fast.safetensors"
    header = {"licence": "Apache-2.0", "decoder": json.dumps({"keypoint_threshold": 0.11})}
    save_checkpoint(path, build_model(CONFIG, seed=3), header)
    return path


def test_the_file_runs_without_pytorch_and_answers_as_pytorch_does(
    kind: str, weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    exported = tmp_path / f"exported{suffix(kind)}"
    assert main(["export", str(weights), "--to", kind, "--out", str(exported)]) == 0
    assert str(exported) in capsys.readouterr().out
    images = torch.rand(3, 1, 24, 32)
    np.save(tmp_path / "images.npy", images.numpy())
    done = subprocess.run(
        [sys.executable, "-c", RUN_ALONE, exported, tmp_path / "images.npy", tmp_path / "maps.npz"],
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    checkpoint = load_checkpoint(weights)
    with torch.inference_mode():
        expected = checkpoint.model(images)
    maps = np.load(tmp_path / "maps.npz")
    for name, wanted in [
        *expected.stages[-1]._asdict().items(), ("visibility_logits", expected.visibility_logits)
    ]:  # fmt: skip
        np.testing.assert_allclose(maps[name], wanted.numpy(), atol=1e-4, rtol=1e-4)
    said = json.loads(done.stdout)
    assert (said["name"], said["weights_sha256"]) == ("fast", checkpoint.sha256)
    assert (said["licence"], said["trained"], said["number_format"]) == ("Apache-2.0", "yes", "float32")
    assert FastPoseConfig.from_dict(json.loads(said["config"])) == CONFIG
    assert json.loads(said["skeleton"])["joints"][0] == "nose"
    assert json.loads(said["decoder"])["keypoint_threshold"] == 0.11
    assert "(B, 1, 24, 32): depth in m over 8" in said["input"]


def test_an_exported_file_is_a_model_like_any_other(kind: str, tmp_path: Path) -> None:
    path = tmp_path / f"exported{suffix(kind)}"
    assert main(["export", "fastpose_64x48", "--to", kind, "--out", str(path)]) == 0
    frame = simulate_frame(StreamConfig("or", (480, 640), "depth", 5), 1).frame
    settings = EstimatorConfig("cpu", half_precision=False, threads=1)
    exported, shipped = (load_estimator(name, settings) for name in (path, "fastpose_64x48"))
    assert (exported.info.name, exported.info.licence) == ("exported", shipped.info.licence)
    assert exported.info.trained and exported.info.parameters == shipped.info.parameters
    assert exported.info.backend.startswith({"onnx": "onnxruntime", "openvino": "openvino"}[kind])
    (got,), (wanted,) = exported.estimate([frame]), shipped.estimate([frame])
    assert len(got) == len(wanted) > 0
    np.testing.assert_allclose(got.xy_px, wanted.xy_px, atol=0.05, equal_nan=True)
    np.testing.assert_allclose(got.sigma_px, wanted.sigma_px, rtol=1e-2, equal_nan=True)  # calibrated
    with pytest.raises(ValueError, match="expected backend auto or "):
        load_estimator(path, EstimatorConfig("cpu", "torch"))


@pytest.mark.skipif(importlib.util.find_spec("nncf") is None, reason="nncf is not installed")
def test_int8_says_what_it_costs(
    kind: str, weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    path = tmp_path / f"small{suffix(kind)}"
    numbers = ["--int8", "--calibration-frames", "3", "--development-frames", "12"]
    assert main(["export", str(weights), "--to", kind, "--out", str(path), *numbers]) == 0
    said = capsys.readouterr().out
    assert "PCK@0.2 on 12 frames of or-val-v1" in said and "in int8" in said
    estimator = load_estimator(path, EstimatorConfig("cpu", threads=1))
    assert estimator.info.backend.endswith(" int8")
    images = torch.rand(2, 1, 24, 32)
    exact = load_checkpoint(weights).model(images).stages[-1].keypoint_maps.detach()
    answer = estimator._reader._engine.predict(images).stages[-1].keypoint_maps
    assert 0 < (answer - exact).abs().max() < 0.3 * exact.abs().max()


def kinds_before_the_convolutions(path: Path) -> set[str]:
    """Return the operations between the image and the convolutions that read it."""
    if path.suffix == ".xml":
        import openvino

        model = openvino.Core().read_model(path)
        sources = {
            node: [entry.get_source_output().get_node().get_friendly_name() for entry in node.inputs()]
            for node in model.get_ordered_ops()
        }
        edges = [
            (source, node.get_friendly_name(), node.get_type_name())
            for node, names in sources.items()
            for source in names
        ]
        reached = {node.get_friendly_name() for node in model.get_parameters()}
    else:
        import onnx

        graph = onnx.load(path).graph
        made = {name: node for node in graph.node for name in node.output}
        edges = [
            (source, name, node.op_type) for name, node in made.items() for source in node.input
        ]  # in topological order
        reached = {entry.name for entry in graph.input}
    kinds = set()
    for source, name, kind in edges:
        if source in reached:
            kinds.add(kind)
            if not kind.startswith("Conv"):
                reached.add(name)
    return kinds


@pytest.mark.skipif(importlib.util.find_spec("nncf") is None, reason="nncf is not installed")
@pytest.mark.parametrize("name", ["fastpose_64x48", "untrained:depthpose_64x48@0.05"])
def test_int8_keeps_the_steps_of_the_depth_image(kind: str, name: str, tmp_path: Path) -> None:
    path = tmp_path / f"small{suffix(kind)}"
    numbers = ["--int8", "--calibration-frames", "2", "--development-frames", "0"]
    assert main(["export", name, "--to", kind, "--out", str(path), *numbers]) == 0
    kinds = kinds_before_the_convolutions(path)
    assert any(kind.startswith("Conv") for kind in kinds)
    assert not [kind for kind in kinds if "Quantize" in kind], kinds
    everywhere = path.read_text() if path.suffix == ".xml" else str(path.read_bytes())
    assert "Quantize" in everywhere


def test_what_cannot_be_exported_or_read_is_named(
    kind: str, weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    def refused(*arguments: str) -> str:
        assert main(["export", *arguments]) == 2
        return capsys.readouterr().err

    assert "ends in" in refused(str(weights), "--to", kind, "--out", str(tmp_path / "x.pt"))
    student = tmp_path / "student.safetensors"
    save_checkpoint(student, build_model(SMALL_STUDENT, seed=0))
    assert "expected a network that answers with maps" in refused(str(student), "--to", kind)
    with pytest.raises(ValueError, match="no such file"):
        load_estimator(tmp_path / f"missing{suffix(kind)}")
    foreign = tmp_path / f"foreign{suffix(kind)}"
    foreign.write_bytes(b"nothing of the kind")
    with pytest.raises(ValueError, match="not a readable network"):
        load_estimator(foreign)
    assert not list(tmp_path.glob(".*"))


def test_a_network_of_somebody_else_is_refused(tmp_path: Path) -> None:
    if "onnxruntime" not in installed_backends():
        pytest.skip("onnxruntime is not installed")
    from orpose_core.engines.graph import onnx_graph

    path = tmp_path / "foreign.onnx"
    path.write_bytes(onnx_graph(build_model(CONFIG, seed=0), 1, CONFIG.input_hw).content)
    with pytest.raises(ValueError, match=r"foreign\.onnx: expected a network that `orpose export` wrote"):
        load_estimator(path)


def test_the_decoder_is_written_in_full(weights: Path) -> None:
    metadata = load_checkpoint(weights).metadata
    assert MapSettings.from_header("x", metadata).decoder.keypoint_threshold == 0.11
