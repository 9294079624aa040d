"""What the pose networks give."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor


class StageMaps(NamedTuple):
    """The belief of one stage.

    Attributes:
        paf_maps: float (B, 38, h, w), part affinity fields: for each limb the x and the y component of the
            unit vector along it, 0 off the limb. The skeleton says which channels belong to
            which limb.
        keypoint_maps: float (B, 19, h, w), one map per joint in skeleton order, 1 at the joint; the last
            channel is the background, 1 where no joint is.
    """

    paf_maps: Tensor
    keypoint_maps: Tensor


class PoseMaps(NamedTuple):
    """The output of a pose network.

    Attributes:
        stages: stage 1 first; the last one is the result, the others are there for their losses. Empty for
            the super-resolution network, which knows no poses.
        sr_image: float (B, C, 8 h_in, 8 w_in), the super-resolved input in the input's units (not clipped),
            or None where the network has none or was not asked for it.
        visibility_logits: float (B, n, h, w), n joints: log-odds that the camera sees the joint of each map,
            to be read where the joint is and nowhere else; None where the network does not say.
    """

    stages: tuple[StageMaps, ...]
    sr_image: Tensor | None = None
    visibility_logits: Tensor | None = None
