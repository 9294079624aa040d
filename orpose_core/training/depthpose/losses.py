"""The losses of DepthPose (Sect. 2.1), and our additions: weights for arms, a loss of visibility."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor
from torch.nn import functional

from orpose_core.models import PoseMaps
from orpose_core.skeleton import OPENPOSE18, Skeleton


@dataclass(frozen=True)
class LossConfig:
    """Weights of the terms of the loss. The defaults are those of the paper: all equal, no foreground weight.

    Attributes:
        pose_weight: weight of L_P, the sum over all stages of the mean squared errors of PAFs and keypoint
            maps.
        hr_weight: weight of L_HR, the mean squared error of the super-resolved image; 0 = train without it.
        foreground: additional weight of the error in cells whose target is 1. People cover few cells, and
            from random initial weights the loss stays on a plateau of empty maps.
        arms: additional weight of the maps of elbows and wrists, and of the limbs that end in them.
        visibility_weight: weight of the cross entropy of the visibility maps, if the network predicts them.
    """

    pose_weight: float = 1.0
    hr_weight: float = 1.0
    foreground: float = 0.0
    arms: float = 1.0
    visibility_weight: float = 0.0

    def __post_init__(self) -> None:
        if min(self.pose_weight, self.hr_weight, self.foreground, self.arms, self.visibility_weight) < 0:
            raise ValueError(f"loss: weights must not be negative, got {self}")


def masked_squared_error(
    maps: Tensor, target: Tensor, presence: Tensor, mask: Tensor, config: LossConfig, arms: Sequence[int] = ()
) -> Tensor:
    """Return the mean squared error over all cells; cells with mask 0 count as correct.

    Args:
        maps: float (B, C, h, w), of any precision; the error is computed in float32.
        target: float32 (B, C, h, w).
        presence: float32 (B, C, h, w) in [0, 1], to what degree the cell shows the joint or limb of the map.
        mask: float32 (B, 1, h, w), or (B, C, h, w) for each map; 1 = the labels are reliable.
        config: the weights ``foreground`` and ``arms``.
        arms: channels that belong to elbows and wrists.
    """
    error = (maps.float() - target).square() * mask
    if config.foreground:
        error = error * (1.0 + config.foreground * presence)
    if config.arms != 1.0 and arms:
        weights = error.new_ones(error.shape[1])
        weights[list(arms)] = config.arms
        error = error * weights[:, None, None]
    return error.mean()


def arm_channels(skeleton: Skeleton) -> tuple[list[int], list[int]]:
    """Return the PAF channels of the limbs that end in an elbow or a wrist, and these joints' channels."""
    joints = [i for i, joint in enumerate(skeleton.joints) if joint.endswith(("elbow", "wrist"))]
    limbs = [
        channels
        for edge, channels in zip(skeleton.edges, skeleton.paf_channels, strict=True)
        if not set(edge).isdisjoint(joints)
    ]
    return [channel for channels in limbs for channel in channels], joints


def limb_presence(paf_maps: Tensor, channels: Tensor) -> Tensor:
    """Return the length of each limb's PAF vector, in both of its channels.

    Args:
        paf_maps: float32 (B, 2 L, h, w).
        channels: int64 (L, 2), the channels of each limb's x and y component.
    """
    presence = paf_maps.new_empty(paf_maps.shape)
    length = paf_maps[:, channels].square().sum(dim=2).sqrt()  # (B, L, h, w)
    presence[:, channels] = length[:, :, None].expand(-1, -1, 2, -1, -1)
    return presence


def joint_presence(keypoint_maps: Tensor) -> Tensor:
    """Return the joint maps unchanged, and the background map, which is the last, as 1 - background."""
    presence = keypoint_maps.clone()
    presence[:, -1] = 1.0 - presence[:, -1]
    return presence


def pose_losses(
    maps: PoseMaps,
    batch: Mapping[str, Tensor],
    channels: Tensor,
    config: LossConfig,
    skeleton: Skeleton = OPENPOSE18,
) -> Tensor:
    """Return L_P: the errors of PAFs (L_B) and keypoint maps (L_C), summed over all stages."""
    paf_maps, keypoint_maps, mask = batch["paf_maps"], batch["keypoint_maps"], batch["mask"]
    known_pafs, known_keypoints = batch.get("known_pafs", mask), batch.get("known_keypoints", mask)
    limbs, joints = limb_presence(paf_maps, channels), joint_presence(keypoint_maps)
    arm_limbs, arm_joints = arm_channels(skeleton)
    total = paf_maps.new_zeros(())
    for stage in maps.stages:
        total = total + masked_squared_error(stage.paf_maps, paf_maps, limbs, known_pafs, config, arm_limbs)
        total = total + masked_squared_error(
            stage.keypoint_maps, keypoint_maps, joints, known_keypoints, config, arm_joints
        )
    return total


def visibility_loss(logits: Tensor, batch: Mapping[str, Tensor]) -> Tensor:
    """Return the cross entropy of the visibility of joints, at the places of the joints.

    The weight of a cell is the value of the joint's Gaussian, and 0 in masked regions. The loss of a batch
    without people is 0.

    Args:
        logits: float (B, n, h, w), log-odds.
        batch: with ``visibility_maps``, ``keypoint_maps``, ``mask`` and, if some labels lack the visibility,
            ``knows_visibility`` of :class:`orpose_core.training.depthpose.samples.SampleMaker`.
    """
    known = batch.get("knows_visibility", batch["mask"])
    weights = batch["keypoint_maps"][:, :-1] * batch["mask"] * known
    entropy = functional.binary_cross_entropy_with_logits(
        logits.float(), batch["visibility_maps"], weights, reduction="sum"
    )
    return entropy / weights.sum().clamp(min=1.0)


def hr_loss(sr_image: Tensor, high_resolution: Tensor) -> Tensor:
    """Return L_HR: the mean squared error of the super-resolved image.

    Args:
        sr_image: float (B, 1, H, W), larger than the network's input.
        high_resolution: float32 (B, 1, H, W) in [0, 1], the true image of the same size. At a smaller size
            the loss would not depend on the pattern within a cell, and the last pixel shuffle would not be
            trained.

    Raises:
        ValueError: the images have different sizes.
    """
    if sr_image.shape != high_resolution.shape:
        raise ValueError(
            f"L_HR: expected a true image of {tuple(sr_image.shape)}, the size of the super-resolved one, "
            f"got {tuple(high_resolution.shape)}"
        )
    return functional.mse_loss(sr_image.float(), high_resolution)
