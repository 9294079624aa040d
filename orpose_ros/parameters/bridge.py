"""Parameters of the bridge node."""

from __future__ import annotations

from dataclasses import dataclass

from orpose_ros.parameters.declaring import parameter
from orpose_ros.parameters.namespaces import check_cameras, check_namespace
from orpose_ros.running.input_watch import SILENCE_S

FORMATS = ("hri", "vision", "foxglove")


@dataclass(frozen=True)
class BridgeParameters:
    """Parameters of the bridge node; all are read before it starts."""

    cameras: tuple[str, ...] = parameter(
        ("",), "Namespaces of the cameras; empty = the node's own namespace."
    )
    room: str = parameter("", "Namespace of the fused skeletons; empty = no fusion.")
    formats: tuple[str, ...] = parameter(
        FORMATS, "Formats to publish if their packages are installed: hri, vision, foxglove."
    )
    silence_s: float = parameter(
        SILENCE_S, "An input that is silent for this long is reported, s.", low=0.5, high=600.0
    )

    def __post_init__(self) -> None:
        check_cameras(self.cameras)
        check_namespace("room", self.room)
        if not self.formats or not set(self.formats) <= set(FORMATS):
            raise ValueError(f"parameter formats: expected some of {list(FORMATS)}, got {list(self.formats)}")
