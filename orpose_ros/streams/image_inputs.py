"""The image topics of a camera, raw or as image_transport compresses them; all nodes subscribe here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rclpy.qos import QoSProfile
from sensor_msgs.msg import CompressedImage, Image

from orpose_ros import conversions
from orpose_ros.parameters.images import ImageParameters
from orpose_ros.running.input_watch import NEWEST, InputWatch

_TRANSPORTS = {"color": "compressed", "depth": "compressedDepth"}


def image_topic(settings: ImageParameters, stream: str, *namespaces: str) -> str:
    """Return the relative name of the topic with a camera's images.

    Args:
        settings: parameters of the node.
        stream: ``"color"`` or ``"depth"``.
        namespaces: where the camera's topics are; empty ones are left out.
    """
    transport = _TRANSPORTS[stream] if settings.is_compressed(stream) else ""
    parts = (*namespaces, stream, "image_raw", transport)
    return "/".join(part for part in parts if part)


def subscribe_images(
    watch: InputWatch,
    settings: ImageParameters,
    stream: str,
    take: Callable[[Any], None],
    *namespaces: str,
    qos: QoSProfile = NEWEST,
    missed: Callable[[int], None] | None = None,
) -> None:
    """Subscribe to a camera's images, be they compressed or not.

    Args:
        watch: creates the subscription.
        settings: parameters of the node.
        stream: ``"color"`` or ``"depth"``.
        take: called with each ``Image`` or ``CompressedImage``; a ValueError refuses it.
        namespaces: see :func:`image_topic`.
        qos: requested QoS.
        missed: called with the number of images that were sent but not received.
    """
    kind = CompressedImage if settings.is_compressed(stream) else Image
    watch.subscribe(kind, image_topic(settings, stream, *namespaces), take, qos, missed=missed)


def compile_decoders(settings: ImageParameters) -> None:
    """Compile what decodes the images, so that the first real image does not wait for it."""
    if settings.compressed_depth:
        conversions.compile_rvl()
