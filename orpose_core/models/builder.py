"""The table of all networks, and what is done by it: building one, and finding its config again."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import torch
from torch import nn

from orpose_core.models.config import MapConfig, ModelConfig, NetworkConfig
from orpose_core.models.depthpose import DepthPose, SrRtPose
from orpose_core.models.fastpose import FastPose, FastPoseConfig
from orpose_core.models.rtpose import RTPose
from orpose_core.models.student.config import SMALL_STUDENT, StudentConfig
from orpose_core.models.super_resolution import SuperResolver


@dataclass(frozen=True)
class Network:
    """One network, as everything else knows it.

    Attributes:
        architecture: its name, in configs, in checkpoints and on the command line.
        config: class of its config.
        build: config to network with fresh initial values.
        answer: what it gives: ``"maps"`` are :class:`~orpose_core.models.maps.PoseMaps`, read by the PAF
            decoder; ``"people"`` is a :class:`~orpose_core.models.student.network.StudentOutput`, read by the
            RoI decoder; ``"image"`` gives no poses.
        frozen_sr: whether a super-resolution network that was trained before stands in it, frozen.
        variants: words that may follow the name, and the values of the config that each stands for.
        widths: fields of the config that ``@0.25`` and ``@0.25/0.125`` after a name set, in this order.
    """

    architecture: str
    config: Any
    build: Callable[[Any], nn.Module]
    answer: Literal["maps", "people", "image"]
    frozen_sr: bool = False
    variants: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    widths: tuple[str, ...] = ()


def _pose_numbers(config: ModelConfig) -> tuple[int, int, int, float]:
    return config.paf_channels, config.keypoint_channels, config.refinement_stages, config.width


def _super_resolver(config: ModelConfig) -> SuperResolver:
    return SuperResolver(config.in_channels, config.width if config.sr_width is None else config.sr_width)


def _depthpose(config: ModelConfig) -> DepthPose:
    sr_width = config.width if config.sr_width is None else config.sr_width
    return DepthPose(config.in_channels, *_pose_numbers(config), sr_width, config.sr_image, config.init)


def _rtpose(config: ModelConfig) -> RTPose:
    numbers = _pose_numbers(config)
    return RTPose(config.in_channels, config.full_hw, *numbers, config.init, config.input_hw)


def _sr_rtpose(config: ModelConfig) -> SrRtPose:
    super_resolver = _super_resolver(config)
    return SrRtPose(
        super_resolver, RTPose(config.in_channels, config.sr_hw, *_pose_numbers(config), config.init)
    )


def _student(config: StudentConfig) -> nn.Module:
    from orpose_core.models.student.network import Student  # torchvision is loaded only where it is needed

    return Student(config)


_COLOR = {"color": {"modality": "color"}}
_STUDENTS = {"small": asdict(SMALL_STUDENT), "single": {"branches": "single"}}
_WIDTHS = ("width", "sr_width")

NETWORKS: dict[str, Network] = {
    network.architecture: network
    for network in (
        Network("depthpose", ModelConfig, _depthpose, "maps", False, _COLOR, _WIDTHS),
        Network("fastpose", FastPoseConfig, FastPose, "maps", variants=_COLOR),
        Network("rtpose", ModelConfig, _rtpose, "maps", False, _COLOR, _WIDTHS),
        Network("sr_rtpose", ModelConfig, _sr_rtpose, "maps", True, _COLOR, _WIDTHS),
        Network("super_resolution", ModelConfig, _super_resolver, "image", False, _COLOR, _WIDTHS),
        Network("student", StudentConfig, _student, "people", variants=_STUDENTS),
    )
}
"""Every network there is; a new one is one more entry (docs/extending.md)."""


def network_named(architecture: str) -> Network:
    """Return the entry of a network; ValueError lists those there are."""
    try:
        return NETWORKS[architecture]
    except KeyError:
        raise ValueError(f"no network is called {architecture!r}; there are {sorted(NETWORKS)}") from None


def network_of(config: NetworkConfig) -> Network:
    """Return the entry of the network that a config describes."""
    return network_named(config.architecture)


def map_config_of(architecture: str) -> type[MapConfig]:
    """Return the config class of a network that answers with maps; ValueError if it does not."""
    config = network_named(architecture).config
    if not issubclass(config, MapConfig):
        raise ValueError(f"{architecture}: expected a network that answers with maps")
    return config


def config_from_dict(values: dict[str, Any]) -> NetworkConfig:
    """Build the config of whichever network ``values["architecture"]`` names."""
    return network_named(values.get("architecture", "depthpose")).config.from_dict(values)


def config_of(model: nn.Module) -> NetworkConfig:
    """Return the config that ``model`` was built from; ValueError if it did not come from build_model."""
    config: Any = getattr(model, "config", None)
    if not hasattr(config, "architecture"):
        raise ValueError(
            f"{type(model).__name__}: expected a network from build_model, got one without config"
        )
    return config


def config_named(name: str) -> NetworkConfig:
    """Return the config that a name describes: ``ARCHITECTURE[_VARIANT...][_WIDTHxHEIGHT][@WIDTH[/WIDTH]]``.

    ``depthpose_80x60``, ``rtpose_color_53x40@0.25``, ``depthpose_64x48@0.25/0.125``, ``student_small``,
    ``student_single_64x48``. The size is that of the low-resolution image that the network is meant for;
    without one it is the config's default.

    Raises:
        ValueError: no network, variant or size of this name, or numbers that the config refuses.
    """
    head, at, numbers = name.partition("@")
    known = [a for a in NETWORKS if f"{head}_".startswith(f"{a}_")]
    network = NETWORKS[max(known, key=len)] if known else None
    words = head.removeprefix(network.architecture).split("_")[1:] if network else []
    values: dict[str, Any] = {}
    for word in words:
        size = re.fullmatch(r"(\d+)x(\d+)", word)
        if network is None or not (size or word in network.variants):
            network = None
            break
        values |= {"input_hw": (int(size[2]), int(size[1]))} if size else network.variants[word]
    shares = numbers.split("/") if at else []
    fine = all(re.fullmatch(r"\d*\.?\d+|\d+\.", share) for share in shares)
    if network is None or not fine or len(shares) > len(network.widths):
        raise ValueError(
            f"{name}: expected the name of a network such as depthpose_64x48, rtpose_640x480, "
            "rtpose_color_53x40, depthpose_64x48@0.25 (its width) or student_small; networks are "
            f"{', '.join(NETWORKS)}"
        )
    values |= {key: float(share) for key, share in zip(network.widths, shares, strict=False)}
    return network.config(**{"architecture": network.architecture, **values})


def build_model(config: NetworkConfig, seed: int | None = None) -> nn.Module:
    """Build a network with fresh initial values; ``.config`` of it is ``config``.

    Args:
        config: what to build.
        seed: makes the initial values the same every time and leaves the global random state alone; None
            draws them from the global one.
    """
    if seed is not None:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return build_model(config)
    network = network_of(config)
    if not isinstance(config, network.config):
        raise ValueError(
            f"{network.architecture}: expected a {network.config.__name__}, got {type(config).__name__}"
        )
    model = network.build(config)
    model.config = config  # type: ignore[assignment]  # torch types every attribute as a tensor or module
    return model
