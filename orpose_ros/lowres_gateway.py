"""The gateway beside the camera: full-resolution images in, only low-resolution images out.

All nodes after the gateway receive 64x48, 80x60 or 53x40 px, in which nobody can be recognised. A
full-resolution image exists only during the callback that shrinks it: it is not kept, not queued for pairing,
not published and not logged, and its buffers are overwritten. For this reason depth and color are processed
separately. They keep their stamps, and a node that needs both pairs the small images.

    depth/image_raw (or .../compressedDepth), color/image_raw (or .../compressed), camera_info
        -> lowres/depth/image_raw, lowres/color/image_raw, lowres/camera_info

Images with lens distortion are undistorted before they are shrunk, unless they are already rectified
(parameter ``rectified``). The published camera_info is that of a pinhole camera.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
from rclpy.lifecycle import LifecyclePublisher
from rclpy.qos import QoSProfile
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_msgs.msg import Header

from orpose_core.image_ops import low_resolution_color, low_resolution_depth
from orpose_core.undistortion import Undistortion, undistortion
from orpose_ros import conversions
from orpose_ros.parameters import declaring as parameters
from orpose_ros.parameters.gateway import GatewayParameters
from orpose_ros.running import memory
from orpose_ros.running.diagnostics import NodeDiagnostics
from orpose_ros.running.input_watch import NEWEST, InputWatch, overridable_qos
from orpose_ros.running.lifecycle import SelfStartingNode, run
from orpose_ros.running.stream_agreement import Seen, StreamAgreement
from orpose_ros.streams.image_inputs import compile_decoders, subscribe_images


class LowresGateway(SelfStartingNode):
    """Shrinks a camera's images and camera_info; see the module."""

    def __init__(self, **arguments: Any) -> None:
        super().__init__("lowres_gateway", **arguments)
        self.parameters = parameters.declare(self, GatewayParameters)
        self.watch: InputWatch | None = None
        self.diagnostics: NodeDiagnostics | None = None
        self._active = False
        self._agreement = StreamAgreement(self.parameters.silence_s)
        self._camera_info: CameraInfo | None = None
        self._out: dict[str, LifecyclePublisher] = {}

    def configure(self) -> None:
        """Check the settings, and create publishers, diagnostics and subscriptions."""
        settings = self.parameters
        settings.check()
        for stream in self._streams():
            self._out[stream] = self._publisher(Image, f"lowres/{stream}/image_raw")
        self._out["camera_info"] = self._publisher(CameraInfo, "lowres/camera_info")
        self.diagnostics = self.own(NodeDiagnostics(self, "cpu", self._values, self._problems))
        with self.diagnostics.busy("compiling"):
            self._compile()
        self.watch = self.own(InputWatch(self, settings.silence_s))
        if settings.depth:
            self._subscribe("depth", self._take_depth)
        if settings.color:
            self._subscribe("color", self._take_color)
        self.watch.subscribe(CameraInfo, "camera_info", self._take_camera_info, NEWEST)

    def _subscribe(self, stream: str, take: Callable[[Any], None]) -> None:
        assert self.watch is not None and self.diagnostics is not None
        subscribe_images(self.watch, self.parameters, stream, take, missed=self.diagnostics.drop)

    def _compile(self) -> None:
        """Shrink an empty image once, so that the first real image does not wait for compilation."""
        if self.parameters.depth:
            empty = np.full((480, 640), np.nan, np.float32)
            low_resolution_depth(empty, self.parameters.size_hw, self.parameters.depth_method)
        compile_decoders(self.parameters)

    def activate(self) -> None:
        """Start publishing."""
        self._active = True
        streams = " and ".join(self._streams())
        self.get_logger().info(f"publishing {streams} at {self.parameters.resolution} px, never larger")

    def deactivate(self) -> None:
        """Stop publishing."""
        self._active = False

    def clean_up(self) -> None:
        """Destroy all that :meth:`configure` made, and forget the camera."""
        self._active = False
        super().clean_up()
        self.watch = self.diagnostics = self._camera_info = None
        self._out.clear()
        self._agreement.clear()

    def _publisher(self, kind: type, topic: str) -> LifecyclePublisher:
        # One profile for each topic, because rclpy writes the overrides into it.
        return self.own_publisher(kind, topic, QoSProfile(depth=5), qos_overriding_options=overridable_qos())

    def _streams(self) -> tuple[str, ...]:
        return tuple(stream for stream in ("depth", "color") if getattr(self.parameters, stream))

    def _take_depth(self, message: Image) -> None:
        self._pass("depth", message)

    def _take_color(self, message: Image | CompressedImage) -> None:
        self._pass("color", message)

    def _take_camera_info(self, message: CameraInfo) -> None:
        self._camera_info = None  # one that is refused must not leave the one before in use
        reading = self.parameters.reading
        intrinsics = conversions.intrinsics_of(message, reading)  # refuses one that is not calibrated
        model, coefficients = conversions.distortion_of(message, reading)
        if coefficients:
            undistortion(intrinsics, model, coefficients)  # refuses a model that is not known
        self._camera_info = message

    def _pass(self, stream: str, message: Image | CompressedImage) -> None:
        """Shrink one image and publish it with its header; the original is overwritten on return."""
        assert self.watch is not None and self.diagnostics is not None  # made before the subscription
        try:
            if self._active:
                self._pass_active(stream, message, self.watch.arrived_s)
        except ValueError:
            self.diagnostics.refuse()
            raise
        finally:
            memory.wipe_message(message)

    def _pass_active(self, stream: str, message: Image | CompressedImage, arrived_s: float) -> None:
        small, source_hw, pinhole = self._shrunk(stream, message)
        other = "color" if stream == "depth" else "depth"
        self._agreement.check(stream, other, Seen(source_hw, message.header.frame_id))
        self._out[stream].publish(small)
        if stream == self._streams()[0]:
            self._pass_camera_info(source_hw, message.header, pinhole)
        if self.diagnostics is not None:
            self.diagnostics.frame(time.monotonic() - arrived_s)

    def _shrunk(self, stream: str, message: Image | CompressedImage) -> tuple[Image, tuple[int, int], bool]:
        """Return the small image, the (height, width) of the large one, and whether it was undistorted."""
        settings, header = self.parameters, message.header
        is_depth = stream == "depth"
        image: Any = (conversions.depth_of if is_depth else conversions.color_of)(message, settings.reading)
        source_hw = image.shape[0], image.shape[1]
        lens = self._lens(source_hw, header.frame_id)
        straight: Any = image if lens is None else (lens.depth if is_depth else lens.color)(image)
        try:
            if is_depth:
                small_m = low_resolution_depth(straight, settings.size_hw, settings.depth_method)
                return (
                    conversions.depth_message(small_m, header, settings.depth_encoding),
                    source_hw,
                    lens is not None,
                )
            small_rgb = low_resolution_color(straight, settings.size_hw, settings.color_method)
            return conversions.color_message(small_rgb, header), source_hw, lens is not None
        finally:
            memory.wipe(image, straight)

    def _lens(self, size_hw: tuple[int, int], frame_id: str) -> Undistortion | None:
        """Return the undistortion of the camera's images; None if no distortion is known."""
        info = self._camera_info
        if info is None or info.header.frame_id != frame_id:
            return None
        model, coefficients = conversions.distortion_of(info, self.parameters.reading)
        intrinsics = conversions.intrinsics_of(info, self.parameters.reading)
        if not coefficients or (intrinsics.height, intrinsics.width) != size_hw:
            return None
        return undistortion(intrinsics, model, coefficients)

    def _pass_camera_info(self, source_hw: tuple[int, int], header: Header, pinhole: bool) -> None:
        """Publish the camera_info of the small image with the same stamp, if there is one that fits."""
        info, settings = self._camera_info, self.parameters
        if info is None:
            return
        camera = conversions.intrinsics_of(info, settings.reading)
        if info.header.frame_id != header.frame_id or (camera.height, camera.width) != source_hw:
            assert self.watch is not None  # it made the subscription that called
            self.watch.complain(
                "camera_info",
                f"it is for {camera.width}x{camera.height} px in frame {info.header.frame_id!r}, the images "
                f"are {source_hw[1]}x{source_hw[0]} px in frame {header.frame_id!r}; they leave without it",
            )
            return
        if pinhole or settings.rectified:
            small = conversions.camera_info_message(camera.resized(settings.size_hw), header)
        else:
            small = conversions.resized_camera_info(info, settings.size_hw, header)
        self._out["camera_info"].publish(small)

    def _values(self) -> dict[str, object]:
        return {"resolution": self.parameters.resolution, "camera_info": self._camera_info is not None}

    def _problems(self) -> list[str]:
        return [] if self.watch is None else self.watch.problems


def main(args: list[str] | None = None) -> None:
    """Run the gateway in a process that keeps no image and overwrites all memory that it frees."""
    memory.keep_no_received_image()
    memory.overwrite_freed_memory()
    run(LowresGateway, args)


if __name__ == "__main__":
    main()
