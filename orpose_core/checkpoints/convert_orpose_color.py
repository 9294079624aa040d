"""The students that the authors of ORPose released (detectron2's format), turned into ours."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from orpose_core.checkpoints.detectron_files import BESIDE_PARAMETERS
from orpose_core.checkpoints.files import save_checkpoint
from orpose_core.checkpoints.filling import fill_model
from orpose_core.files import read_json
from orpose_core.models import config_named
from orpose_core.models.student.config import StudentConfig
from orpose_core.models.student.network import Student

_MM_PER_M = 1000.0

_RULES: tuple[tuple[str, str], ...] = (
    (r"backbone\.fpn_lateral([2-5])", r"backbone.fpn.inner_blocks.{-2}.0"),
    (r"backbone\.fpn_output([2-5])", r"backbone.fpn.layer_blocks.{-2}.0"),
    (r"backbone\.bottom_up\.stem\.conv1\.norm", r"backbone.trunk.stem.1"),
    (r"backbone\.bottom_up\.stem\.conv1", r"backbone.trunk.stem.0"),
    (r"backbone\.bottom_up\.res([2-5])\.(\d)\.shortcut\.norm", r"backbone.trunk.stages.{-2}.\2.downsample.1"),
    (r"backbone\.bottom_up\.res([2-5])\.(\d)\.shortcut", r"backbone.trunk.stages.{-2}.\2.downsample.0"),
    (r"backbone\.bottom_up\.res([2-5])\.(\d)\.conv([123])\.norm", r"backbone.trunk.stages.{-2}.\2.bn\3"),
    (r"backbone\.bottom_up\.res([2-5])\.(\d)\.conv([123])", r"backbone.trunk.stages.{-2}.\2.conv\3"),
    (r"proposal_generator\.rpn_head\.conv", r"rpn.conv"),
    (r"proposal_generator\.rpn_head\.objectness_logits", r"rpn.logits"),
    (r"proposal_generator\.rpn_head\.anchor_deltas", r"rpn.deltas"),
    (r"roi_heads\.box_head\.fc([12])", r"box_head.fc\1"),
    (r"roi_heads\.box_predictor\.cls_score", r"box_head.logits"),
    (r"roi_heads\.box_predictor\.bbox_pred", r"box_head.deltas"),
    (r"roi_heads\.keypoint_head\.conv_fcn([1-8])", r"keypoint_head.convs.{conv}"),
    (r"roi_heads\.keypoint_head\.score_lowres", r"keypoint_head.deconvs.hard"),
    (r"roi_heads\.keypoint_head\.score_lowres_soft", r"keypoint_head.deconvs.soft"),
    (r"roi_heads\.keypoint_head\.nw2Dto3D_(hard|soft)\.w1", r"lifters.\1.linear_in"),
    (r"roi_heads\.keypoint_head\.nw2Dto3D_(hard|soft)\.batch_norm1", r"lifters.\1.norm_in"),
    (r"roi_heads\.keypoint_head\.nw2Dto3D_(hard|soft)\.w2", r"lifters.\1.linear_out"),
    (
        r"roi_heads\.keypoint_head\.nw2Dto3D_(hard|soft)\.linear_stages\.(\d)\.w([12])",
        r"lifters.\1.stages.\2.linear\3",
    ),
    (
        r"roi_heads\.keypoint_head\.nw2Dto3D_(hard|soft)\.linear_stages\.(\d)\.batch_norm([12])",
        r"lifters.\1.stages.\2.norm\3",
    ),
)
"""Stems of their names and of ours; ``{-2}`` is the level counted from 0, ``{conv}`` skips the ReLUs."""


def student_key(key: str, source: str | Path) -> str:
    """Return our name of a parameter of the released student; ValueError if it has none."""
    stem, _, kind = key.rpartition(".")
    for theirs, ours in _RULES:
        match = re.fullmatch(theirs, stem)
        if match:
            number = int(match.group(1)) if match.groups() and match.group(1).isdigit() else 0
            ours = ours.replace("{-2}", str(number - 2)).replace("{conv}", str(2 * (number - 1)))
            return f"{match.expand(ours)}.{kind}"
    raise ValueError(f"{source}: not a student of ORPose: it holds {key!r}")


def student_from_orpose_color(
    tensors: Mapping[str, Tensor],
    statistics: Mapping[str, Tensor],
    source: str | Path,
    config: StudentConfig | None = None,
) -> Student:
    """Return our student with the weights of a released one, in evaluation mode.

    Args:
        tensors: the file's state dict; what detectron2 0.2 stored beside it is left out.
        statistics: from :func:`read_h36_statistics`.
        source: named in errors.
        config: None is the paper's.

    Raises:
        ValueError: names the tensors that are unknown, missing or of another shape.
    """
    named = {
        student_key(key, source): value
        for key, value in tensors.items()
        if not BESIDE_PARAMETERS.fullmatch(key)
    }
    with torch.device("meta"):
        model = Student(config or StudentConfig())
    named |= {f"statistics.{name}": value for name, value in statistics.items()}
    fill_model(model, named, str(source))
    return model.eval()


def convert_student(
    tensors: Mapping[str, Tensor],
    source: str | Path,
    target: str | Path,
    name: str,
    h36_statistics: str | Path | None,
) -> str:
    """Write a released student as ours and return a sentence that says what was made.

    Args:
        tensors: the file's state dict.
        source: the file, named in errors and in ours.
        target: ``.safetensors`` file to write.
        name: the network wanted: ``student_80x60``, ``student_64x48`` or ``student_53x40`` for the released
            8x, 10x and 12x.
        h36_statistics: the authors' ``h36stats.json``.

    Raises:
        ValueError: no statistics, another network wanted, tensors that do not fit.
    """
    if h36_statistics is None:
        raise ValueError(
            f"{source}: a student of ORPose-Color needs the authors' Human3.6M statistics (h36stats.json)"
        )
    config = config_named(name)
    if not isinstance(config, StudentConfig) or config.trunk != "resnet50" or config.branches != "soft_hard":
        raise ValueError(f"{source}: holds the paper's student; it cannot become {name}")
    model = student_from_orpose_color(tensors, read_h36_statistics(h36_statistics), source, config)
    metadata = {
        "licence": "CC BY-NC-SA 4.0",
        "trained": "yes",
        "origin": "CAMMA-public/ORPose-Color (Srivastav et al., MICCAI 2020)",
        "converted_from": Path(source).name,
    }
    save_checkpoint(target, model, metadata)
    return f"{target}: the published student; its licence, CC BY-NC-SA 4.0, forbids commercial use"


def read_h36_statistics(path: str | Path) -> dict[str, Tensor]:
    """Read the authors' ``h36stats.json``: means and deviations of 16 joints in 2D (px) and in 3D (to m).

    Raises:
        ValueError: names the file and what it lacks.
    """
    try:
        content = read_json(path)
        values = {
            f"{what}_{d}d": np.asarray(content[f"data_{what}_{d}d"], float)[content[f"dim_to_use_{d}d"]]
            for d in (2, 3)
            for what in ("mean", "std")
        }
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise ValueError(f"{path}: expected the Human3.6M statistics of ORPose-Color ({error!r})") from None
    result = {}
    for name, value in values.items():
        d = 2 if name.endswith("2d") else 3
        if value.size != 16 * d:
            raise ValueError(f"{path}: expected 16 joints in data_{name}, got {value.size / d:g}")
        unit = 1.0 if d == 2 else _MM_PER_M
        result[name] = torch.tensor(value.reshape(16, d) / unit, dtype=torch.float32)
    return result
