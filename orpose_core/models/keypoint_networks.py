"""The keypoint networks of a teacher, HRNet and Simple Baselines, built and fed alike."""

from __future__ import annotations

from torch import Tensor

from orpose_core.models.hrnet import HRNet, HRNetConfig
from orpose_core.models.simple_baselines import SimpleBaselines, SimpleBaselinesConfig

KeypointConfig = HRNetConfig | SimpleBaselinesConfig

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


def build_keypoint_network(config: KeypointConfig) -> HRNet | SimpleBaselines:
    """Return the network of a config, its weights random."""
    return HRNet(config) if isinstance(config, HRNetConfig) else SimpleBaselines(config)


def color_order(config: KeypointConfig) -> str:
    """Return ``"rgb"`` or ``"bgr"``, the order in which a network expects colors.

    HRNet's releases were trained with COLOR_RGB. Simple Baselines never converts what OpenCV reads, yet
    subtracts ImageNet's values in their red-first order.
    """
    return "rgb" if isinstance(config, HRNetConfig) else "bgr"


def standardised_crops(crops: Tensor, config: KeypointConfig) -> Tensor:
    """Return float32 (B, 3, H, W) as the network expects it, of uint8 (B, H, W, 3), red first."""
    x = crops.permute(0, 3, 1, 2).float() / 255.0
    if color_order(config) == "bgr":
        x = x.flip(1)
    mean, std = x.new_tensor(IMAGENET_MEAN), x.new_tensor(IMAGENET_STD)
    return (x - mean[:, None, None]) / std[:, None, None]
