"""Initial weights: from a trained network of the same kind, a super-resolution network, or a pose network."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from torch import Tensor, nn

from orpose_core.checkpoints.files import load_checkpoint
from orpose_core.checkpoints.published import initialise_from_rtpose
from orpose_core.models import DepthPose, SrRtPose, SuperResolver

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class InitConfig:
    """Initial weights; each is a name in ``weights/`` or a file.

    Attributes:
        weights: a network of the same architecture and widths, for any input size, to fine-tune.
        super_resolution: a super-resolution network that was trained separately. SR+RTPose keeps it frozen.
            DepthPose uses its block and, if L_HR is trained, its C16.
        pose: file of the published RTPose COCO weights, for the pose part. The weights of layers that have
            more input channels are repeated and perturbed (Sect. 3).
    """

    weights: str | None = None
    super_resolution: str | None = None
    pose: str | None = None


def initialise(model: nn.Module, config: InitConfig, seed: int) -> None:
    """Load the weights that ``config`` names into a new network, in place.

    Raises:
        ValueError: a file contains another kind of network, or one whose layers do not fit.
    """
    if config.super_resolution is not None:
        _load_super_resolution(model, config.super_resolution)
    if config.pose is not None:
        initialise_from_rtpose(model, config.pose, seed)
    if config.weights is not None:
        source = load_checkpoint(config.weights).model
        _copy(model, source.state_dict(), config.weights, optional=("c16.", "sr_image."))


def _load_super_resolution(model: nn.Module, name: str) -> None:
    source = load_checkpoint(name).model
    if not isinstance(source, SuperResolver):
        raise ValueError(f"{name}: expected a super-resolution network, got {type(source).__name__}")
    if isinstance(model, SrRtPose):
        target: nn.Module = model.super_resolver
    elif isinstance(model, SuperResolver):
        target = model
    elif isinstance(model, DepthPose):
        target = model.super_resolution
        if model.c16 is not None:
            _copy(model.c16, source.c16.state_dict(), name)
        source = source.super_resolution
    else:
        raise ValueError(f"init.super_resolution: a {type(model).__name__} has no super-resolution block")
    _copy(target, source.state_dict(), name)


def _copy(model: nn.Module, state: dict[str, Tensor], name: str, optional: tuple[str, ...] = ()) -> None:
    """Load a state dict with the same layers; a ValueError names layers that do not fit."""
    own = model.state_dict()
    taken = {k: v for k, v in state.items() if k in own or not k.startswith(optional or ("\0",))}
    missing = [k for k in own if k not in taken and not k.startswith(optional or ("\0",))]
    odd = [k for k, v in taken.items() if k not in own or own[k].shape != v.shape]
    if missing or odd:
        raise ValueError(
            f"{name}: these weights do not fit the network: missing {missing[:3]}, of another shape or "
            f"unknown {odd[:3]}; width, sr_width and refinement_stages must be the same"
        )
    model.load_state_dict(taken, strict=False)
    logger.info("%d tensors from %s", len(taken), name)
