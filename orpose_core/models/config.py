"""What networks are built from: frozen dataclasses, stored in the checkpoint of each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, ClassVar, Literal, Protocol, TypeVar, get_args

from orpose_core.models.layers import TrunkInit
from orpose_core.models.rtpose import FEATURE_STRIDE
from orpose_core.models.super_resolution import UPSCALE

# Far beyond any use; a false config in a file must not make us build for hours.
_LARGEST_WIDTH = 16.0
_MOST_STAGES = 64

Architecture = Literal["depthpose", "rtpose", "sr_rtpose", "super_resolution"]
Modality = Literal["depth", "color"]
Config = TypeVar("Config")
AMapConfig = TypeVar("AMapConfig", bound="MapConfig")


class NetworkConfig(Protocol):
    """What every network's config tells; a frozen dataclass with a ``from_dict``."""

    __dataclass_fields__: ClassVar[dict[str, Any]]

    @property
    def architecture(self) -> str:
        """Name of the network's entry in :data:`orpose_core.models.builder.NETWORKS`."""

    @property
    def modality(self) -> str:
        """What the image shows, "depth" or "color"."""

    @property
    def input_hw(self) -> tuple[int, int]:
        """(height, width) of the low-resolution image that the network is meant for."""

    @property
    def in_channels(self) -> int:
        """Channels of the image that enters."""


class JointSet(Protocol):
    """What a network must know of a skeleton: its name and how many joints and limbs it has."""

    @property
    def name(self) -> str:
        """The skeleton's name."""

    @property
    def joints(self) -> Sequence[str]:
        """Names of the joints."""

    @property
    def edges(self) -> Sequence[tuple[int, int]]:
        """The limbs."""


def from_known_values(cls: type[Config], values: dict[str, Any]) -> Config:
    """Build a config of parsed JSON or YAML, lists as tuples; ValueError names an unknown key."""
    known = {f.name for f in fields(cls)}  # type: ignore[arg-type]
    unknown = sorted(set(values) - known)
    if unknown:
        raise ValueError(f"{cls.__name__}: unknown {unknown}; it has {sorted(known)}")
    return cls(**{k: tuple(v) if isinstance(v, list) else v for k, v in values.items()})


@dataclass(frozen=True, kw_only=True)
class MapConfig:
    """What all networks that answer with maps have: the image that enters, and the skeleton.

    A network of its own derives its config from this class, and the recipes of DepthPose train it.

    Attributes:
        architecture: name of the network's entry in :data:`orpose_core.models.builder.NETWORKS`.
        input_hw: (height, width) of the low-resolution image that enters.
        modality: what the image shows; color has 3 channels.
        depth_range_m: depth in meters that becomes 1.0 at the input; farther is clipped; no return is 0.
        skeleton: name of the joint set of the maps.
        paf_channels: two per limb of the skeleton; see :meth:`with_skeleton`.
        keypoint_channels: one per joint of the skeleton, and the background.
    """

    architecture: str
    input_hw: tuple[int, int] = (48, 64)
    modality: Modality = "depth"
    depth_range_m: float = 8.0
    skeleton: str = "openpose18"
    paf_channels: int = 38
    keypoint_channels: int = 19

    def __post_init__(self) -> None:
        self.check_choice("modality", get_args(Modality))
        self.check_size("input_hw")
        for name in ("depth_range_m", "paf_channels", "keypoint_channels"):
            if not getattr(self, name) > 0:
                raise ValueError(
                    f"{self._field(name)}: expected a positive number, got {getattr(self, name)}"
                )

    @property
    def in_channels(self) -> int:
        """Channels of the image that enters."""
        return 3 if self.modality == "color" else 1

    @property
    def map_hw(self) -> tuple[int, int]:
        """(height, width) of the maps; they cover the same rectangle as the image of ``input_hw``."""
        return self.input_hw

    @property
    def sr_hw(self) -> tuple[int, int]:
        """(height, width) of the SR image, where there is one."""
        return self.input_hw[0] * self.sr_scale, self.input_hw[1] * self.sr_scale

    @property
    def sr_scale(self) -> int:
        """How much larger than the input the SR image is."""
        return UPSCALE

    @property
    def gives_sr_image(self) -> bool:
        """Whether an SR image is made while the network is trained, for L_HR."""
        return False

    def without_sr_image(self: AMapConfig) -> AMapConfig:
        """Return the config of the same network without what L_HR alone would train."""
        return self

    @property
    def gives_visibility(self) -> bool:
        """Whether the network says of each joint if the camera sees it; the papers' networks do not."""
        return False

    def with_skeleton(self: AMapConfig, skeleton: JointSet) -> AMapConfig:
        """Return the config of the same network for another joint set: its channels follow the skeleton."""
        return replace(
            self,
            skeleton=skeleton.name,
            paf_channels=2 * len(skeleton.edges),
            keypoint_channels=len(skeleton.joints) + 1,
        )

    @classmethod
    def from_dict(cls: type[AMapConfig], values: dict[str, Any]) -> AMapConfig:
        """Build a config from parsed JSON or YAML; ValueError names a key that it does not know."""
        return from_known_values(cls, values)

    def check_choice(self, name: str, allowed: Sequence[Any]) -> None:
        """Raise ValueError unless a field is one of the values allowed."""
        if getattr(self, name) not in allowed:
            raise ValueError(f"{self._field(name)}: expected one of {allowed}, got {getattr(self, name)!r}")

    def check_size(self, name: str) -> None:
        """Raise ValueError unless a field is a positive (height, width)."""
        size = getattr(self, name)
        if len(size) != 2 or min(size) <= 0:
            raise ValueError(f"{self._field(name)}: expected a positive (height, width), got {size}")

    def _field(self, name: str) -> str:
        return f"{type(self).__name__}.{name}"


@dataclass(frozen=True)
class ModelConfig(MapConfig):
    """All that is needed to build a network of the DepthPose paper again.

    Attributes:
        architecture: ``"super_resolution"`` is the first half of ``"sr_rtpose"``, to be trained on its own.
        width: scales every hidden channel count; 1.0 is the paper.
        sr_width: the same for the super-resolution block only; None = ``width``.
        full_hw: RTPose only: the size to which a smaller input is resampled inside the network.
        refinement_stages: 3 in the paper (5 in the original RTPose).
        sr_image: DepthPose only: whether C16, needed for L_HR, is there.
        init: initial values of the pose part, see :func:`layers.init_trunk`.
    """

    architecture: Architecture = "depthpose"
    width: float = 1.0
    sr_width: float | None = None
    full_hw: tuple[int, int] = (480, 640)
    refinement_stages: int = 3
    sr_image: bool = True
    init: TrunkInit = "he"

    @property
    def gives_sr_image(self) -> bool:
        """Whether an SR image is made while the network is trained, for L_HR."""
        return self.architecture in ("depthpose", "super_resolution") and self.sr_image

    def without_sr_image(self) -> ModelConfig:
        """Return the config of the same network without C16."""
        return replace(self, sr_image=False) if self.gives_sr_image else self

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check_choice("architecture", get_args(Architecture))
        self.check_choice("init", get_args(TrunkInit))
        self.check_size("full_hw")
        for name in ("width", "sr_width"):
            value = getattr(self, name)
            if not (value is None and name == "sr_width") and not 0 < value <= _LARGEST_WIDTH:
                raise ValueError(f"ModelConfig.{name}: expected above 0, up to {_LARGEST_WIDTH}, got {value}")
        if not 0 <= self.refinement_stages <= _MOST_STAGES:
            raise ValueError(
                f"ModelConfig.refinement_stages: expected 0 to {_MOST_STAGES}, got {self.refinement_stages}"
            )
        if self.architecture == "rtpose" and any(n % FEATURE_STRIDE for n in self.full_hw):
            raise ValueError(
                f"ModelConfig.full_hw: expected multiples of {FEATURE_STRIDE}, got {self.full_hw}"
            )

    @property
    def map_hw(self) -> tuple[int, int]:
        """(height, width) of the maps; they cover the same rectangle as the image of ``input_hw``."""
        if self.architecture == "rtpose":
            return self.full_hw[0] // FEATURE_STRIDE, self.full_hw[1] // FEATURE_STRIDE
        return self.input_hw
