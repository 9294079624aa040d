"""Parameters of the gateway."""

from __future__ import annotations

from dataclasses import dataclass

from orpose_core.data.reading import Reading
from orpose_core.image_ops import COLOR_METHODS, DEPTH_METHODS, LOW_RESOLUTIONS, ColorMethod, DepthMethod
from orpose_ros.parameters.declaring import parameter
from orpose_ros.parameters.images import MOST_INPUT_PIXELS, ImageParameters
from orpose_ros.running.input_watch import SILENCE_S


@dataclass(frozen=True)
class GatewayParameters(ImageParameters):
    """Parameters of the gateway; all are read before it starts."""

    resolution: str = parameter(
        "64x48", "Width x height of the published images, px.", choices=tuple(LOW_RESOLUTIONS)
    )
    max_pixels: int = parameter(
        4800,
        "Strict upper limit of width times height of a published image; a larger resolution is refused.",
        low=1,
        high=4800,
    )
    max_input_pixels: int = parameter(
        MOST_INPUT_PIXELS,
        "Compressed images with more px in their header are refused before they are decoded.",
        low=1,
        high=1_000_000_000,
    )
    depth: bool = parameter(True, "Publish depth/image_raw at low resolution.")
    color: bool = parameter(False, "Publish color/image_raw at low resolution.")
    depth_method: DepthMethod = parameter(
        "median",
        "How depth is shrunk: median of the valid returns, bicubic (as in the paper), or another.",
        choices=DEPTH_METHODS,
    )
    color_method: ColorMethod = parameter(
        "bilinear", "How color is shrunk; bilinear as in the paper.", choices=COLOR_METHODS
    )
    depth_encoding: str = parameter(
        "32FC1", "Encoding of the published depth: m with NaN, or mm with 0.", choices=("32FC1", "16UC1")
    )
    silence_s: float = parameter(
        SILENCE_S, "An input that is silent for this long is reported, s.", low=0.5, high=600.0
    )

    @property
    def size_hw(self) -> tuple[int, int]:
        """(height, width) of the published images, px."""
        return LOW_RESOLUTIONS[self.resolution]

    @property
    def reading(self) -> Reading:
        """Settings for decoding the camera's messages."""
        return self.reading_up_to(self.max_input_pixels)

    def check(self) -> None:
        """Raise ValueError if the settings contradict each other."""
        height, width = self.size_hw
        if height * width > self.max_pixels:
            raise ValueError(
                f"resolution {self.resolution} has {height * width} px, but max_pixels allows "
                f"{self.max_pixels}: choose a smaller resolution or raise the limit"
            )
        if not self.depth and not self.color:
            raise ValueError("expected depth or color to be on, got neither: nothing would leave the gateway")
