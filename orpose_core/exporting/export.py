"""What `orpose export` does: a network as a file that OpenVINO or ONNX Runtime runs without PyTorch."""

from __future__ import annotations

import os
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from orpose_core.checkpoints.files import Checkpoint, load_checkpoint
from orpose_core.engines import check_backend
from orpose_core.engines.choosing import check_answer
from orpose_core.engines.exported import SUFFIX_OF, description, write_exported
from orpose_core.engines.graph import onnx_graph
from orpose_core.estimators import EstimatorConfig, PoseEstimator, estimate_all, load_estimator
from orpose_core.estimators.map_settings import MapSettings
from orpose_core.exporting.quantising import calibration_images, quantised, torch_settings
from orpose_core.models import MapConfig
from orpose_core.skeleton import by_name
from orpose_core.training.depthpose.validation import Benchmark, ValidationConfig, benchmark_of, scores_of
from orpose_core.types import Resize

if TYPE_CHECKING:
    import onnx
    import openvino


def export(
    name_or_path: str | Path,
    to: str,
    out: str | Path | None = None,
    int8: bool = False,
    calibration_frames: int = 300,
    development_frames: int = 120,
) -> str:
    """Write a network with maps for another engine, and check that the file answers as PyTorch does.

    Args:
        name_or_path: see :func:`~orpose_core.checkpoints.files.load_checkpoint`.
        to: ``"onnx"`` or ``"openvino"``.
        out: the file to write; None = the network's name in the working folder.
        int8: quantise it, and compare its PCK with that of float32.
        calibration_frames: synthetic frames on which int8 ranges are measured.
        development_frames: of or-val-v1, on which PCK is compared; 0 = none.

    Returns:
        What was done, a few lines.

    Raises:
        ValueError: no network with maps, a package that is missing, or a file that answers otherwise.
    """
    if calibration_frames < 1 or development_frames < 0:
        raise ValueError(
            "expected at least 1 calibration frame and 0 development frames, got "
            f"{calibration_frames} and {development_frames}"
        )
    checkpoint = load_checkpoint(name_or_path)
    config = checkpoint.config
    if not isinstance(config, MapConfig):
        raise ValueError(f"{checkpoint.name}: expected a network that answers with maps")
    path = _path(checkpoint, to, out, int8)
    model = _converted(checkpoint, config, to)
    reference = PoseEstimator(checkpoint, torch_settings())
    if int8:
        model = quantised(model, calibration_images(reference, calibration_frames))
    settings = MapSettings.from_header(checkpoint.name, checkpoint.metadata)
    skeleton = by_name(config.skeleton)
    about = {"name": skeleton.name, "joints": skeleton.joints, "edges": skeleton.edges}
    number_format = "int8" if int8 else "float32"
    write_exported(
        path,
        model,
        description(
            checkpoint,
            about | {"paf_channels": skeleton.paf_channels},
            asdict(settings.decoder),
            number_format,
        ),
    )
    exported = load_estimator(path, EstimatorConfig("cpu", half_precision=False, metric_3d=False))
    lines = [f"written {os.fspath(path)}: {exported.info.backend}, sha256 {exported.info.sha256}"]
    if not int8:
        return lines[0]
    if development_frames:
        lines.append(_loss(reference, exported, config, development_frames))
    return "\n".join(lines)


def _path(checkpoint: Checkpoint, to: str, out: str | Path | None, int8: bool) -> Path:
    """Return where to write; ValueError where the ending is not that of the kind."""
    if to not in SUFFIX_OF:
        raise ValueError(f"--to: expected one of {', '.join(SUFFIX_OF)}, got {to!r}")
    stem = checkpoint.name.replace(":", "_") + ("_int8" if int8 else "")
    path = Path(f"{stem}{SUFFIX_OF[to]}") if out is None else Path(out)
    if path.suffix != SUFFIX_OF[to]:
        raise ValueError(f"{path}: expected a name that ends in {SUFFIX_OF[to]}")
    return path


def _converted(checkpoint: Checkpoint, config: MapConfig, to: str) -> onnx.ModelProto | openvino.Model:
    """Return the network as its engine has it, after a check that it answers as PyTorch does."""
    graph = onnx_graph(checkpoint.model, config.in_channels, config.input_hw).content
    if to == "openvino":
        check_backend("openvino")
        from orpose_core.engines.openvino_core import openvino_core
        from orpose_core.engines.openvino_engine import OpenVinoEngine

        check_answer(OpenVinoEngine(graph, 1, half_precision=False), checkpoint.model, config)
        return openvino_core().read_model(graph)
    check_backend("onnxruntime")
    try:
        import onnx
    except ModuleNotFoundError:
        raise ValueError("--to onnx needs the package onnx: pip install '/path/to/orpose[export]'") from None
    import torch

    from orpose_core.engines.onnxruntime_engine import OnnxRuntimeEngine

    check_answer(OnnxRuntimeEngine(graph, 1, torch.device("cpu")), checkpoint.model, config)
    return onnx.load_model_from_string(graph)


def _loss(reference: PoseEstimator, exported: PoseEstimator, config: MapConfig, frames: int) -> str:
    """Return what int8 costs, in words."""
    benchmark = benchmark_of(ValidationConfig(), config, frames)
    full, small = (_pck(estimator, benchmark, config) for estimator in (reference, exported))
    return (
        f"PCK@0.2 on {len(benchmark.frames)} frames of or-val-v1, flip test: {full:.1f} in float32, "
        f"{small:.1f} in int8 ({small - full:+.1f})"
    )


def _pck(estimator: PoseEstimator, benchmark: Benchmark, config: MapConfig) -> float:
    found = estimate_all(estimator, benchmark.frames)
    to_source = Resize(config.input_hw, benchmark.source_hw)
    return scores_of(benchmark.truth, [poses.resized(to_source) for poses in found])["pck_average"]
