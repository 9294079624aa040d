"""Networks as files of other engines: one that `orpose export` wrote, with what a reader of it must know."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from orpose_core.checkpoints.files import Checkpoint
from orpose_core.engines.choosing import AUTO, Engine, check_backend
from orpose_core.files import replacing, write_bytes
from orpose_core.models import build_model, config_from_dict
from orpose_core.models.inference import choose_device

if TYPE_CHECKING:
    import onnx
    import openvino

FORMAT = "orpose-export-1"
SUFFIX_OF = {"onnx": ".onnx", "openvino": ".xml"}
"""Ending of a file by its kind; beside an ``.xml`` file lies a ``.bin`` file with the weights."""

_BACKEND_OF = {".onnx": "onnxruntime", ".xml": "openvino"}
_SECTION = "orpose"  # of OpenVINO's rt_info


def is_exported(name_or_path: str | Path) -> bool:
    """Whether a path is that of an exported network, by its ending."""
    return Path(name_or_path).suffix in _BACKEND_OF


def write_exported(path: Path, model: onnx.ModelProto | openvino.Model, metadata: Mapping[str, str]) -> None:
    """Write a network with its metadata, all or nothing; an ``.xml`` file after its ``.bin``."""
    metadata = {**metadata, "format": FORMAT}
    if path.suffix == ".onnx":
        import onnx

        for key, value in metadata.items():
            model.metadata_props.add(key=key, value=value)
        onnx.checker.check_model(model)
        write_bytes(path, model.SerializeToString(), durable=True)
        return
    import openvino

    for key, value in metadata.items():
        model.set_rt_info(value, [_SECTION, key])
    with (
        replacing(path, durable=True) as graph,
        replacing(path.with_suffix(".bin"), durable=True) as weights,
    ):
        openvino.serialize(model, str(graph), str(weights))


@dataclass(frozen=True)
class Exported:
    """A network that was exported.

    Attributes:
        checkpoint: what the file says of itself. Its ``model`` has shapes but no values; ``sha256`` is that
            of the exported file, the one of the weights is in ``metadata["weights_sha256"]``.
        path: of the file.
    """

    checkpoint: Checkpoint
    path: Path

    def engine(
        self,
        backend: str = AUTO,
        device: str = "auto",
        half_precision: bool = True,
        threads: int | None = None,
        lanes: int = 1,
    ) -> Engine:
        """Make it ready to run; see :func:`~orpose_core.engines.choosing.choose_engine`."""
        own = _BACKEND_OF[self.path.suffix]
        if backend not in (AUTO, own):
            raise ValueError(f"{self.path}: expected backend auto or {own}, got {backend}")
        check_backend(own)
        threads, number_format = threads or torch.get_num_threads(), self.checkpoint.metadata["number_format"]
        if own == "openvino":
            from orpose_core.engines.openvino_core import openvino_core
            from orpose_core.engines.openvino_engine import OpenVinoEngine

            if choose_device(device).type != "cpu":
                raise ValueError(f"{self.path}: expected device cpu, got {device}")
            graph = openvino_core().read_model(self.path)
            return OpenVinoEngine(graph, threads, half_precision, number_format, lanes)
        from orpose_core.engines.onnxruntime_engine import OnnxRuntimeEngine

        return OnnxRuntimeEngine(self.path.read_bytes(), threads, choose_device(device), number_format)


def read_exported(name_or_path: str | Path) -> Exported:
    """Read what an exported network says of itself.

    Raises:
        ValueError: no such file, a damaged one, or one that `orpose export` did not write.
    """
    path = Path(name_or_path)
    if not path.is_file():
        raise ValueError(f"{path}: no such file")
    check_backend(_BACKEND_OF[path.suffix])
    try:
        metadata = _onnx_metadata(path) if path.suffix == ".onnx" else _openvino_metadata(path)
    except Exception as error:  # each engine has its own exceptions
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise ValueError(f"{path}: not a readable network ({first[:200]})") from None
    if metadata.pop("format", None) != FORMAT:
        raise ValueError(f"{path}: expected a network that `orpose export` wrote")
    try:
        config = config_from_dict(json.loads(metadata["config"]))
        licence, trained = metadata["licence"], metadata["trained"] == "yes"
        metadata["number_format"], metadata["weights_sha256"]
    except (LookupError, TypeError, ValueError) as error:
        raise ValueError(f"{path}: its metadata are damaged ({error!r})") from None
    with torch.device("meta"):
        model = build_model(config)
    digest = hashlib.sha256(path.read_bytes())
    if path.suffix == ".xml":
        digest.update(path.with_suffix(".bin").read_bytes())
    checkpoint = Checkpoint(model, config, path.stem, digest.hexdigest(), licence, trained, metadata)
    return Exported(checkpoint, path)


def description(
    checkpoint: Checkpoint, skeleton: Mapping[str, Any], decoder: Mapping[str, Any], number_format: str
) -> dict[str, str]:
    """Return what an exported file says of itself: all that is needed to feed it and to read its maps.

    Args:
        checkpoint: the network.
        skeleton: of the maps, JSON values.
        decoder: settings of the decoder, JSON values.
        number_format: ``"float32"`` or ``"int8"``.
    """
    config: Any = checkpoint.config
    seen = (
        f"depth in m over {config.depth_range_m:g}, clipped to [0, 1]; 0 where the camera saw nothing"
        if config.modality == "depth"
        else "RGB divided by 255"
    )
    height, width = config.input_hw
    calibration = {k: v for k, v in checkpoint.metadata.items() if k == "calibration"}
    return {
        "name": checkpoint.name,
        "weights_sha256": checkpoint.sha256,
        "licence": checkpoint.licence,
        "trained": "yes" if checkpoint.trained else "no",
        "number_format": number_format,
        "config": json.dumps(asdict(config), sort_keys=True),
        "skeleton": json.dumps(skeleton),
        "decoder": json.dumps(decoder, sort_keys=True),
        "input": f"images float32 (B, {config.in_channels}, {height}, {width}): {seen}",
        "output": "paf_maps, keypoint_maps (joints in the order of the skeleton, then the background), and "
        "visibility_logits where the network has them; float32 (B, n, h, w)",
        **calibration,
    }


def _onnx_metadata(path: Path) -> dict[str, str]:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(path.read_bytes(), options, ["CPUExecutionProvider"])
    return dict(session.get_modelmeta().custom_metadata_map)


def _openvino_metadata(path: Path) -> dict[str, str]:
    from orpose_core.engines.openvino_core import openvino_core

    info = openvino_core().read_model(path).get_rt_info()
    if _SECTION not in info:
        return {}
    section = getattr(info[_SECTION], "value", info[_SECTION])  # some versions wrap it
    return {key: str(getattr(value, "value", value)) for key, value in section.items()}
