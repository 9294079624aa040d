"""The gateway beside the camera: full-resolution images in, and only low-resolution ones out.

Everything after this node sees 64x48, 80x60 or 53x40 px, in which nobody can be recognised. A full-resolution
image lives for the one callback that shrinks it: it is not kept, not queued for pairing, not published and
not logged. That is also why depth and color pass through each by itself; they keep their stamps, and whoever
needs both pairs the small images.

    depth/image_raw, color/image_raw (or color/image_raw/compressed), camera_info
        -> lowres/depth/image_raw, lowres/color/image_raw, lowres/camera_info
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from rclpy.lifecycle import LifecyclePublisher
from rclpy.qos import HistoryPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_msgs.msg import Header

from orpose_core.image_ops import (
    COLOR_METHODS,
    DEPTH_METHODS,
    LOW_RESOLUTIONS,
    ColorMethod,
    DepthMethod,
    low_resolution_color,
    low_resolution_depth,
)
from orpose_ros import conversions, parameters
from orpose_ros.diagnostics import NodeDiagnostics
from orpose_ros.input_watch import SILENCE_S, InputWatch, overridable_qos
from orpose_ros.lifecycle import SelfStartingNode, run
from orpose_ros.parameters import parameter

# The newest image alone: an older one is of no use, and full-resolution images must not pile up.
NEWEST = QoSProfile(depth=1, history=HistoryPolicy.KEEP_LAST, reliability=ReliabilityPolicy.BEST_EFFORT)


@dataclass(frozen=True)
class GatewayParameters:
    """What the gateway can be told; all of it before it starts."""

    resolution: str = parameter(
        "64x48", "Width x height of the images that leave, px.", choices=tuple(LOW_RESOLUTIONS)
    )
    max_pixels: int = parameter(
        4800,
        "Strict upper limit of width times height of an image that leaves; a resolution above it is refused.",
        low=1,
        high=4800,
    )
    depth: bool = parameter(True, "Take depth/image_raw and publish it small.")
    color: bool = parameter(False, "Take color/image_raw and publish it small.")
    compressed_color: bool = parameter(False, "Take color/image_raw/compressed instead of color/image_raw.")
    depth_method: DepthMethod = parameter(
        "median",
        "How depth shrinks: median of the valid returns, or (as in the paper) bicubic, or another.",
        choices=DEPTH_METHODS,
    )
    color_method: ColorMethod = parameter(
        "bilinear", "How color shrinks; bilinear as in the paper.", choices=COLOR_METHODS
    )
    depth_encoding: str = parameter(
        "32FC1", "Of the depth image that leaves: m with NaN, or mm with 0.", choices=("32FC1", "16UC1")
    )
    silence_s: float = parameter(
        SILENCE_S, "An input that is silent for so long is named, s.", low=0.5, high=600.0
    )

    @property
    def size_hw(self) -> tuple[int, int]:
        """(height, width) of the images that leave, px."""
        return LOW_RESOLUTIONS[self.resolution]

    def check(self) -> None:
        """Raise ValueError unless the settings fit together."""
        height, width = self.size_hw
        if height * width > self.max_pixels:
            raise ValueError(
                f"resolution {self.resolution} has {height * width} px, but max_pixels allows "
                f"{self.max_pixels}: choose a smaller resolution or raise the limit"
            )
        if not self.depth and not self.color:
            raise ValueError("expected depth or color to be on, got neither: nothing would leave the gateway")


@dataclass(frozen=True)
class _Seen:
    """All that is remembered of a full-resolution image: no pixel."""

    size_hw: tuple[int, int]
    frame_id: str
    at_s: float  # steady clock


class LowresGateway(SelfStartingNode):
    """Shrinks a camera's images and camera_info; see the module."""

    def __init__(self, **arguments: Any) -> None:
        super().__init__("lowres_gateway", **arguments)
        self.parameters = parameters.declare(self, GatewayParameters)
        self.watch: InputWatch | None = None
        self.diagnostics: NodeDiagnostics | None = None
        self._active = False
        self._seen: dict[str, _Seen] = {}
        self._camera_info: CameraInfo | None = None
        self._out: dict[str, LifecyclePublisher] = {}

    def configure(self) -> None:
        """Check the settings, and make publishers, diagnostics and subscriptions."""
        settings = self.parameters
        settings.check()
        for stream in self._streams():
            self._out[stream] = self._publisher(Image, f"lowres/{stream}/image_raw")
        self._out["camera_info"] = self._publisher(CameraInfo, "lowres/camera_info")
        self.watch = InputWatch(self, settings.silence_s)
        self.diagnostics = NodeDiagnostics(self, "cpu", self._values, lambda: self._problems())
        if settings.depth:
            self.watch.subscribe(Image, "depth/image_raw", self._take_depth, NEWEST)
        if settings.color and settings.compressed_color:
            self.watch.subscribe(CompressedImage, "color/image_raw/compressed", self._take_color, NEWEST)
        elif settings.color:
            self.watch.subscribe(Image, "color/image_raw", self._take_color, NEWEST)
        self.watch.subscribe(CameraInfo, "camera_info", self._take_camera_info, NEWEST)

    def activate(self) -> None:
        """Let images through."""
        self._active = True
        self.get_logger().info(
            f"{' and '.join(self._streams())} leave at {self.parameters.resolution} px and not above"
        )

    def deactivate(self) -> None:
        """Let nothing through."""
        self._active = False

    def clean_up(self) -> None:
        """Destroy all that :meth:`configure` made, and forget the camera."""
        self._active = False
        if self.watch is not None:
            self.watch.close()
        if self.diagnostics is not None:
            self.diagnostics.close()
        for publisher in self._out.values():
            self.destroy_lifecycle_publisher(publisher)
        self.watch = self.diagnostics = self._camera_info = None
        self._out.clear()
        self._seen.clear()

    def _publisher(self, kind: type, topic: str) -> LifecyclePublisher:
        # A profile each: rclpy writes the overrides of the one topic into it.
        return self.create_lifecycle_publisher(
            kind, topic, QoSProfile(depth=5), qos_overriding_options=overridable_qos()
        )

    def _streams(self) -> tuple[str, ...]:
        return tuple(stream for stream in ("depth", "color") if getattr(self.parameters, stream))

    def _take_depth(self, message: Image) -> None:
        self._pass("depth", message)

    def _take_color(self, message: Image | CompressedImage) -> None:
        self._pass("color", message)

    def _take_camera_info(self, message: CameraInfo) -> None:
        conversions.intrinsics_of(message)  # refuses one that is not calibrated, and says so
        self._camera_info = message

    def _pass(self, stream: str, message: Image | CompressedImage) -> None:
        """Shrink one image and send it with its header; what was large is gone when this returns."""
        if not self._active:
            return
        arrived_s = time.monotonic()
        try:
            small, source_hw = self._shrunk(stream, message)
            self._agree(stream, source_hw, message.header.frame_id)
        except ValueError:
            assert self.diagnostics is not None  # made before the subscription that called
            self.diagnostics.refuse()
            raise
        self._out[stream].publish(small)
        if stream == self._streams()[0]:
            self._pass_camera_info(source_hw, message.header)
        if self.diagnostics is not None:
            self.diagnostics.frame(time.monotonic() - arrived_s)

    def _shrunk(self, stream: str, message: Image | CompressedImage) -> tuple[Image, tuple[int, int]]:
        """Return the small image as a message, and the (height, width) of the large one."""
        settings, header = self.parameters, message.header
        if stream == "depth":
            depth_m = conversions.depth_of(message)
            small_m = low_resolution_depth(depth_m, settings.size_hw, settings.depth_method)
            small = conversions.depth_message(small_m, header, settings.depth_encoding)
            return small, (depth_m.shape[0], depth_m.shape[1])
        rgb = conversions.color_of(message)
        small_rgb = low_resolution_color(rgb, settings.size_hw, settings.color_method)
        return conversions.color_message(small_rgb, header), (rgb.shape[0], rgb.shape[1])

    def _agree(self, stream: str, size_hw: tuple[int, int], frame_id: str) -> None:
        """Refuse an image that does not fit the other stream: 3D from such a pair would be wrong."""
        now = time.monotonic()
        self._seen[stream] = _Seen(size_hw, frame_id, now)
        other = "color" if stream == "depth" else "depth"
        seen = self._seen.get(other)
        if seen is None or now - seen.at_s > self.parameters.silence_s:
            return  # a stream that died has no say
        if seen.frame_id != frame_id:
            raise ValueError(
                f"{stream} is in frame {frame_id!r} but {other} in {seen.frame_id!r}: "
                "register the depth to the color camera"
            )
        if seen.size_hw != size_hw:
            raise ValueError(
                f"{stream} is {size_hw[1]}x{size_hw[0]} but {other} {seen.size_hw[1]}x{seen.size_hw[0]}: "
                "register the depth to the color camera"
            )

    def _pass_camera_info(self, source_hw: tuple[int, int], header: Header) -> None:
        """Send the camera_info of the small image, with the same stamp; without one that fits, none."""
        info = self._camera_info
        if info is None:
            return
        camera = conversions.intrinsics_of(info)
        if info.header.frame_id != header.frame_id or (camera.height, camera.width) != source_hw:
            assert self.watch is not None  # it made the subscription that called
            self.watch.complain(
                "camera_info",
                f"it is for {camera.width}x{camera.height} px in frame {info.header.frame_id!r}, the images "
                f"are {source_hw[1]}x{source_hw[0]} px in frame {header.frame_id!r}; they leave without it",
            )
            return
        small = conversions.resized_camera_info(info, self.parameters.size_hw, header)
        self._out["camera_info"].publish(small)

    def _values(self) -> dict[str, object]:
        return {"resolution": self.parameters.resolution, "camera_info": self._camera_info is not None}

    def _problems(self) -> list[str]:
        assert self.watch is not None  # made before the diagnostics
        return [f"{topic}: {reason}" for topic, reason in self.watch.silent.items()]


def main(args: list[str] | None = None) -> None:
    """Run the gateway."""
    run(LowresGateway, args)
