"""Parameters of the view node."""

from __future__ import annotations

from dataclasses import dataclass

from orpose_core.image_ops import MAX_PRIVATE_PIXELS
from orpose_core.view.history import HistoryConfig
from orpose_core.view.page import PageConfig
from orpose_ros.parameters.declaring import parameter
from orpose_ros.parameters.namespaces import check_cameras, check_namespace
from orpose_ros.running.input_watch import SILENCE_S

_PAGE = PageConfig()
_HISTORY = HistoryConfig()


@dataclass(frozen=True)
class ViewParameters:
    """Parameters of the view node; all are read before it starts."""

    cameras: tuple[str, ...] = parameter(
        ("",), "Namespaces of the cameras; empty = the node's own namespace."
    )
    room: str = parameter("", "Namespace of the fused skeletons; empty = no fusion.")
    calibration: str = parameter(
        "", "Calibration file (orpose calibrate); empty = tf, or side by side without it."
    )
    room_frame: str = parameter("room", "Without a calibration file: frame in which cameras are looked up.")
    images: str = parameter("lowres", "Name below a camera's namespace that has its low-resolution images.")
    modality: str = parameter("depth", "Modality of the images.", choices=("depth", "color"))
    max_pixels: int = parameter(
        _HISTORY.max_pixels, "Images of more px are refused.", low=1, high=MAX_PRIVATE_PIXELS
    )
    host: str = parameter(
        _PAGE.host, "Address of the page; 127.0.0.1 = this machine only, 0.0.0.0 = all machines."
    )
    port: int = parameter(_PAGE.port, "Port of the page; 0 = any.", low=0, high=65535)
    rate_hz: float = parameter(
        _PAGE.rate_hz, "Largest number of updates per second for a browser.", low=0.1, high=60.0
    )
    seconds: float = parameter(_HISTORY.seconds, "Length of the history, s.", low=1.0, high=3600.0)
    silence_s: float = parameter(
        SILENCE_S, "An input that is silent for this long is reported, s.", low=0.5, high=600.0
    )

    def __post_init__(self) -> None:
        check_cameras(self.cameras)
        check_namespace("room", self.room)
        check_namespace("images", self.images)

    @property
    def page(self) -> PageConfig:
        """Address and port of the page."""
        return PageConfig(self.host, self.port, self.rate_hz)

    @property
    def history(self) -> HistoryConfig:
        """Limits of the history."""
        return HistoryConfig(seconds=self.seconds, max_pixels=self.max_pixels)
