"""Every number of every network, and the one function that builds them."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_args

import torch
from torch import nn

from orpose_core.models.depthpose import DepthPose, SrRtPose
from orpose_core.models.layers import TrunkInit
from orpose_core.models.rtpose import FEATURE_STRIDE, RTPose
from orpose_core.models.super_resolution import UPSCALE, SuperResolver

if TYPE_CHECKING:  # the student's modules are loaded only where a student is
    from orpose_core.models.student.config import StudentConfig

# Far beyond any use; a false config in a file must not make us build for hours.
_LARGEST_WIDTH = 16.0
_MOST_STAGES = 64

Architecture = Literal["depthpose", "rtpose", "sr_rtpose", "super_resolution"]
Modality = Literal["depth", "color"]


@dataclass(frozen=True)
class ModelConfig:
    """All that is needed to build a network again; stored in its checkpoint.

    Attributes:
        architecture: ``"super_resolution"`` is the first half of ``"sr_rtpose"``, to be trained on its own.
        width: scales every hidden channel count; 1.0 is the paper.
        sr_width: the same for the super-resolution block alone; None = ``width``.
        input_hw: (height, width) of the low-resolution image that enters.
        modality: what the image shows; color has 3 channels.
        depth_range_m: depth in metres that becomes 1.0 at the input; farther is clipped; no return is 0.
        full_hw: RTPose only: the size to which a smaller input is resampled inside the network.
        paf_channels: two per limb of the skeleton.
        keypoint_channels: one per joint of the skeleton, and the background.
        refinement_stages: 3 in the paper (5 in the original RTPose).
        sr_image: DepthPose only: whether C16, needed for L_HR, is there.
        init: initial values of the pose part, see :func:`layers.init_trunk`.
    """

    architecture: Architecture = "depthpose"
    width: float = 1.0
    sr_width: float | None = None
    input_hw: tuple[int, int] = (48, 64)
    modality: Modality = "depth"
    depth_range_m: float = 8.0
    full_hw: tuple[int, int] = (480, 640)
    paf_channels: int = 38
    keypoint_channels: int = 19
    refinement_stages: int = 3
    sr_image: bool = True
    init: TrunkInit = "he"

    def __post_init__(self) -> None:
        for name, allowed in (("architecture", Architecture), ("modality", Modality), ("init", TrunkInit)):
            if getattr(self, name) not in get_args(allowed):
                raise ValueError(
                    f"ModelConfig.{name}: expected one of {get_args(allowed)}, got {getattr(self, name)!r}"
                )
        for name in ("depth_range_m", "paf_channels", "keypoint_channels"):
            if not getattr(self, name) > 0:
                raise ValueError(f"ModelConfig.{name}: expected a positive number, got {getattr(self, name)}")
        for name in ("width", "sr_width"):
            value = getattr(self, name)
            if not (value is None and name == "sr_width") and not 0 < value <= _LARGEST_WIDTH:
                raise ValueError(f"ModelConfig.{name}: expected above 0, up to {_LARGEST_WIDTH}, got {value}")
        if not 0 <= self.refinement_stages <= _MOST_STAGES:
            raise ValueError(
                f"ModelConfig.refinement_stages: expected 0 to {_MOST_STAGES}, got {self.refinement_stages}"
            )
        for name in ("input_hw", "full_hw"):
            size = getattr(self, name)
            if len(size) != 2 or min(size) <= 0:
                raise ValueError(f"ModelConfig.{name}: expected a positive (height, width), got {size}")
        if self.architecture == "rtpose" and any(n % FEATURE_STRIDE for n in self.full_hw):
            raise ValueError(
                f"ModelConfig.full_hw: expected multiples of {FEATURE_STRIDE}, got {self.full_hw}"
            )

    @property
    def in_channels(self) -> int:
        """Channels of the image that enters."""
        return 3 if self.modality == "color" else 1

    @property
    def map_hw(self) -> tuple[int, int]:
        """(height, width) of the maps; they cover the same rectangle as the image of ``input_hw``."""
        if self.architecture == "rtpose":
            return self.full_hw[0] // FEATURE_STRIDE, self.full_hw[1] // FEATURE_STRIDE
        return self.input_hw

    @property
    def sr_hw(self) -> tuple[int, int]:
        """(height, width) of the SR image, where there is one."""
        return self.input_hw[0] * UPSCALE, self.input_hw[1] * UPSCALE

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> ModelConfig:
        """Build a config from parsed JSON or YAML; ValueError names a key that it does not know."""
        known = {f.name for f in fields(cls)}
        unknown = sorted(set(values) - known)
        if unknown:
            raise ValueError(f"ModelConfig: unknown {unknown}; it has {sorted(known)}")
        sizes: dict[str, Any] = {k: tuple(v) for k, v in values.items() if k.endswith("_hw")}
        return cls(**{**values, **sizes})


AnyConfig: TypeAlias = "ModelConfig | StudentConfig"


def config_from_dict(values: dict[str, Any]) -> AnyConfig:
    """Build the config of whichever network ``values["architecture"]`` names."""
    if values.get("architecture") == "student":
        from orpose_core.models.student.config import StudentConfig

        return StudentConfig.from_dict(values)
    return ModelConfig.from_dict(values)


def config_of(model: nn.Module) -> AnyConfig:
    """Return the config that ``model`` was built from; ValueError if it did not come from build_model."""
    config: Any = getattr(model, "config", None)
    if not hasattr(config, "architecture"):
        raise ValueError(
            f"{type(model).__name__}: expected a network from build_model, got one without config"
        )
    return config


def build_model(config: AnyConfig, seed: int | None = None) -> nn.Module:
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
    if not isinstance(config, ModelConfig):
        from orpose_core.models.student.network import Student

        return Student(config)
    model = _network(config)
    model.config = config  # type: ignore[assignment]  # torch types every attribute as a tensor or module
    return model


def _network(config: ModelConfig) -> nn.Module:
    sr_width = config.width if config.sr_width is None else config.sr_width
    channels = config.paf_channels, config.keypoint_channels
    pose = (*channels, config.refinement_stages, config.width)
    if config.architecture == "rtpose":
        return RTPose(config.in_channels, config.full_hw, *pose, config.init, config.input_hw)
    if config.architecture == "super_resolution":
        return SuperResolver(config.in_channels, sr_width)
    if config.architecture == "sr_rtpose":
        return SrRtPose(
            SuperResolver(config.in_channels, sr_width),
            RTPose(config.in_channels, config.sr_hw, *pose, config.init),
        )
    return DepthPose(config.in_channels, *pose, sr_width, config.sr_image, config.init)
