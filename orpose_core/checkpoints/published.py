"""Published PyTorch checkpoints, turned into ours.

Two kinds are known by their keys:

- DepthPose of CAMMA-public/ORPose-Depth: every parameter has its place in our network, so the maps are the
  same.
- RTPose (OpenPose, COCO) as ported by pytorch_Realtime_Multi-Person_Pose_Estimation: initial values of the
  pose part, as DepthPose Sect. 3 says ("we repeated the same weights and perturbed them by a small random
  number").
"""

from __future__ import annotations

import re
from pathlib import Path

import torch
from torch import Tensor, nn

from orpose_core.checkpoints.convert_orpose_color import convert_student
from orpose_core.checkpoints.files import save_checkpoint
from orpose_core.checkpoints.filling import fill_model
from orpose_core.checkpoints.movenet.conversion import convert_movenet
from orpose_core.checkpoints.movenet.files import MOVENETS
from orpose_core.checkpoints.torch_files import read_state_dict
from orpose_core.models import ModelConfig, build_model, config_named
from orpose_core.models.depthpose import DepthPose, SrRtPose
from orpose_core.models.rtpose import PoseEstimation, RTPose

_PERTURBATION = 0.01
"""Standard deviation of the perturbation, as a share of the standard deviation of the repeated weights."""


def convert_checkpoint(
    source: str | Path,
    target: str | Path,
    name: str,
    seed: int = 0,
    depth_range_m: float = 8.0,
    h36_statistics: str | Path | None = None,
) -> str:
    """Turn a published checkpoint into ours and return a sentence that says what was made.

    Args:
        source: a ``.pth`` file, or the ``.json`` file of a MoveNet of TensorFlow.js.
        target: ``.safetensors`` file to write.
        name: the network wanted, such as ``depthpose_64x48`` (its width must be 1.0) or ``movenet_thunder``.
        seed: of the perturbation, and of the layers that an RTPose file does not have.
        depth_range_m: what the input range means; the published files do not tell.
        h36_statistics: the authors' ``h36stats.json``, which a student of ORPose-Color needs.

    Raises:
        ValueError: a damaged or untrusted file, unknown keys, a network that the file does not fit.
    """
    if name in MOVENETS:
        return convert_movenet(source, target, name)
    tensors = read_state_dict(source)
    if any(key.startswith("roi_heads.") for key in tensors):
        return convert_student(tensors, source, target, name, h36_statistics)
    config = config_named(name)
    if not isinstance(config, ModelConfig):
        raise ValueError(f"{source}: holds DepthPose or RTPose; it cannot become {name}")
    sha_note = {"converted_from": Path(source).name}
    if "stage1_conv1.weight" in tensors:
        if config.architecture != "depthpose" or config.modality != "depth" or config.width != 1.0:
            raise ValueError(f"{source}: holds a DepthPose of width 1.0; it cannot become {name}")
        values = {**vars(config), "depth_range_m": depth_range_m, "sr_image": False}
        with torch.device("meta"):
            model = build_model(type(config)(**values))
        fill_model(model, {depthpose_key(key, source): value for key, value in tensors.items()}, str(source))
        metadata = {
            "licence": "CC BY-NC-SA 4.0",
            "trained": "yes",
            "origin": "CAMMA-public/ORPose-Depth (Srivastav et al., MICCAI 2019)",
        }
        made = "the published DepthPose; its licence, CC BY-NC-SA 4.0, forbids commercial use"
    else:
        model = build_model(type(config)(**{**vars(config), "depth_range_m": depth_range_m}), seed)
        initialise_from_rtpose(model, source, seed)
        metadata = {"licence": "that of the RTPose weights", "trained": "no", "origin": "RTPose (COCO)"}
        made = "initial values from RTPose, to be trained"
    save_checkpoint(target, model, {**metadata, **sha_note})
    return f"{target}: {made}"


def depthpose_key(key: str, source: str | Path) -> str:
    """Return our name of a parameter of the released DepthPose; ValueError if it has none."""
    stems = {"conv_x2_1": "s1.1", "conv_x4_1": "s2.1", "conv_x4_2": "s2.4"}
    stem, _, kind = key.rpartition(".")
    if stem in stems:
        return f"{stems[stem]}.{kind}"
    shuffle_stage = re.fullmatch(r"stage([123])_conv([1-4])", stem)
    if shuffle_stage:
        block, conv = shuffle_stage.groups()
        return f"super_resolution.c{block}.{2 * (int(conv) - 1)}.{kind}"  # a ReLU stands between them
    return f"pose.{rtpose_key(key, source)}"


def rtpose_key(key: str, source: str | Path) -> str:
    """Return our name, within the pose part, of a parameter of RTPose; ValueError if it has none."""
    match = re.fullmatch(r"model(0|[1-6]_[12])\.(\d+)\.(weight|bias)", key)
    if match is None:
        raise ValueError(f"{source}: neither a DepthPose nor an RTPose checkpoint: it holds {key!r}")
    block, layer, kind = match.groups()
    if block == "0":
        return f"features.{layer}.{kind}"
    stage, branch = int(block[0]), "paf_branch" if block[2] == "1" else "keypoint_branch"
    place = "first_stage" if stage == 1 else f"refinement_stages.{stage - 2}"
    return f"{place}.{branch}.{layer}.{kind}"


def initialise_from_rtpose(model: nn.Module, source: str | Path, seed: int = 0) -> None:
    """Fill the pose part of ``model`` with published RTPose weights, in place (DepthPose Sect. 3).

    Stages beyond the model's are left out (the paper cuts five refinements to three). Where our layer sees
    more channels, the same weights are repeated and perturbed: S2 and S1 get those of F, and C4 those of red,
    green and blue, there divided by how often they are repeated so that the responses keep their size. A
    one-channel image gets the sum over the colors: what a grey image would have met.

    Raises:
        ValueError: a model of another width, or weights of other shapes.
    """
    pose = _pose_part(model)
    width = getattr(getattr(model, "config", None), "width", 1.0)
    if width != 1.0:
        raise ValueError(
            f"{source}: RTPose weights have the paper's channel counts; expected a network of width 1.0, "
            f"got {width}"
        )
    tensors = {rtpose_key(key, source): value for key, value in read_state_dict(source).items()}
    generator = torch.Generator().manual_seed(seed)
    wanted = pose.state_dict()
    fitted = {
        key: _fit(tensors[key].to(torch.float32), value, key, generator)
        for key, value in wanted.items()
        if key in tensors
    }
    fill_model(pose, fitted, str(source))


def _pose_part(model: nn.Module) -> PoseEstimation:
    if isinstance(model, SrRtPose):
        return model.rtpose.pose
    if isinstance(model, (DepthPose, RTPose)):
        return model.pose
    raise ValueError(f"RTPose weights need a network with a pose part, got {type(model).__name__}")


def _fit(weights: Tensor, wanted: Tensor, key: str, generator: torch.Generator) -> Tensor:
    """Return ``weights`` with as many input channels as ``wanted``; other shapes stay as they are."""
    if weights.ndim != 4 or weights.shape[1] == wanted.shape[1]:
        return weights
    have, want = weights.shape[1], wanted.shape[1]
    first_layer = key == "features.0.weight"
    if first_layer and want == 1:
        return weights.sum(dim=1, keepdim=True)
    if want < have:
        return weights  # fill_model says what was expected
    if first_layer:
        repeated = weights.repeat(1, -(-want // have), 1, 1)[:, :want] * (have / want)
        return repeated + _noise(repeated, generator)
    # RTPose's input is PAFs, keypoint maps, F; ours goes on with S2 and S1, which get the weights of F.
    f_channels = 128
    f = weights[:, -f_channels:]
    more = f.repeat(1, -(-(want - have) // f_channels), 1, 1)[:, : want - have]
    return torch.cat([weights, more + _noise(more, generator)], dim=1)


def _noise(weights: Tensor, generator: torch.Generator) -> Tensor:
    return torch.randn(weights.shape, generator=generator) * (_PERTURBATION * weights.std())
