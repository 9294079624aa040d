"""Color frames to people with the student: the way in, the network, the way out.

Low-resolution images "are first upsampled to match the original input size", bilinearly (ORPose Sect. 3.3).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from orpose_core.decoding.roi import RoiDecoderConfig, decode_roi
from orpose_core.geometry import back_project, metric_3d
from orpose_core.image_ops import low_resolution_color
from orpose_core.models.inference import bf16_is_fast, choose_device
from orpose_core.models.student import Student
from orpose_core.skeleton import by_name
from orpose_core.types import Intrinsics, Poses, RgbdFrame, Source3D

_TORSO = ("left_hip", "right_hip", "left_shoulder", "right_shoulder")
"""Joints whose depth places a person: large, and seldom occluded all four."""


@dataclass(frozen=True)
class StudentEstimatorConfig:
    """How the student runs.

    Attributes:
        device: see :func:`inference.choose_device`.
        flip_test: average with the mirrored image: twice the time; mirroring the image mirrors the result.
        half_precision: bf16 for the convolutions, where the processor has it.
        decoder: thresholds.
        metric_3d: place people in space where the frame has depth and intrinsics.
    """

    device: str = "auto"
    flip_test: bool = False
    half_precision: bool = True
    decoder: RoiDecoderConfig = field(default_factory=RoiDecoderConfig)
    metric_3d: bool = True


def enlarge(rgb: NDArray[np.uint8], size_hw: tuple[int, int]) -> NDArray[np.uint8]:
    """Return the image at ``size_hw``, bilinear and rounded to 8 bit after each axis, as Pillow does.

    The released students were trained on images made so; one of that size already is returned as it is.
    """
    if rgb.shape[:2] == size_hw:
        return rgb
    image = Image.fromarray(np.ascontiguousarray(rgb))
    return np.asarray(image.resize((size_hw[1], size_hw[0]), Image.Resampling.BILINEAR), np.uint8)


def student_image(
    rgb: NDArray[np.uint8], input_hw: tuple[int, int], full_hw: tuple[int, int]
) -> NDArray[np.uint8]:
    """Return what the student sees of an image: never more than ``input_hw`` holds, at ``full_hw``.

    Args:
        rgb: uint8 (H, W, 3) of any size; a larger one is shrunk to ``input_hw`` first.
        input_hw: (height, width) of the low-resolution image that the network is meant for.
        full_hw: (height, width) that enters it.
    """
    height, width = rgb.shape[:2]
    if height > input_hw[0] and width > input_hw[1]:
        rgb = low_resolution_color(rgb, input_hw)
    return enlarge(rgb, full_hw)


def anchor_at_root(poses: Poses, depth_m: NDArray[np.float32], intrinsics: Intrinsics) -> Poses:
    """Give lifted people their place in space from a depth image.

    The root's depth is the median, over the torso's joints, of measured depth minus lifted offset; the root
    lies there on the ray of the pelvis in the image, and the lifted joints around it. Joints that the lifters
    do not give have the depth measured at them.

    Args:
        poses: with ``xyz_root_m``, px of the image of ``intrinsics``.
        depth_m: float32 (h, w), metres, NaN = no return.
        intrinsics: of the color image.

    Returns:
        The poses with ``xyz_cam_m``, ``source_3d`` (FUSED for lifted joints, DEPTH for measured ones) and
        ``sigma_m`` of measured joints. Without depth at the torso a person keeps only ``xyz_root_m``.
    """
    measured = metric_3d(poses, depth_m, intrinsics)
    assert measured.xyz_cam_m is not None and poses.xyz_root_m is not None
    names = [j for j in _TORSO if j in poses.skeleton.joints]
    torso = [poses.skeleton.index(j) for j in names]
    hips = [poses.skeleton.index(j) for j in names if j.endswith("hip")]
    offsets = measured.xyz_cam_m[:, torso, 2] - poses.xyz_root_m[:, torso, 2]  # (m, 4)
    seen = np.isfinite(offsets).any(axis=1)
    z_m = np.full(len(poses), np.nan, np.float32)
    z_m[seen] = np.nanmedian(offsets[seen], axis=1)
    root = back_project(poses.xy_px[:, hips].mean(axis=1), z_m, intrinsics)  # (m, 3)
    lifted = root[:, None] + poses.xyz_root_m
    known = ~np.isnan(lifted).any(axis=-1)
    no_lift = np.isnan(poses.xyz_root_m).any(axis=-1)
    xyz = np.where(known[..., None], lifted, np.where(no_lift[..., None], measured.xyz_cam_m, np.nan))
    there = ~np.isnan(xyz).any(axis=-1)
    source = np.where(known, Source3D.FUSED, np.where(there, Source3D.DEPTH, Source3D.NONE))
    source = np.where(~there & ~no_lift, Source3D.LIFTED, source)
    sigma = np.full(there.shape, np.nan, np.float32) if measured.sigma_m is None else measured.sigma_m
    return replace(
        poses,
        xyz_cam_m=xyz.astype(np.float32),
        source_3d=source.astype(np.uint8),
        sigma_m=np.where(source == Source3D.DEPTH, sigma, np.nan).astype(np.float32),
    )


class StudentEstimator:
    """A student ready to run.

    Attributes:
        device: where it runs.
        bf16: whether its convolutions run in bf16.

    Args:
        model: the student.
        config: see :class:`StudentEstimatorConfig`.
    """

    def __init__(self, model: Student, config: StudentEstimatorConfig | None = None) -> None:
        self.config = config or StudentEstimatorConfig()
        self.skeleton = by_name(self.config.decoder.skeleton)
        self.device = choose_device(self.config.device)
        self.bf16 = self.config.half_precision and bf16_is_fast(self.device)
        self.model = model.eval().to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]

    def estimate(self, frames: Sequence[RgbdFrame]) -> list[Poses]:
        """Return the people of each frame, in its px; one batch.

        Args:
            frames: with color, of any sizes.

        Raises:
            ValueError: a frame without color.
        """
        if not frames:
            return []
        images = [self._seen(frame, i) for i, frame in enumerate(frames)]
        poses = self._poses(np.stack(images), [frame.size_hw for frame in frames])
        return [self._placed(p, frame) for p, frame in zip(poses, frames, strict=True)]

    def _seen(self, frame: RgbdFrame, index: int) -> NDArray[np.uint8]:
        if frame.rgb is None:
            name = f"frame {index} ({frame.frame_id})" if frame.frame_id else f"frame {index}"
            raise ValueError(f"{name}: the student needs a color image, got depth alone")
        return student_image(frame.rgb, self.model.config.input_hw, self.model.config.full_hw)

    @torch.inference_mode()
    def _poses(self, images: NDArray[np.uint8], source_hw: Sequence[tuple[int, int]]) -> list[Poses]:
        x: Tensor = torch.from_numpy(images).to(self.device).permute(0, 3, 1, 2).float() / 255.0
        x = x.contiguous(memory_format=torch.channels_last)
        flip_test, least = self.config.flip_test, self.config.decoder.min_person_score
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.bf16):
            run = self.model.forward_with_mirror if flip_test else self.model.forward
            output = run(x, least)
        return decode_roi(self.model, output, source_hw, self.config.decoder, flip_test)

    def _placed(self, poses: Poses, frame: RgbdFrame) -> Poses:
        if not self.config.metric_3d or frame.depth_m is None or frame.intrinsics is None:
            return poses
        return anchor_at_root(poses, frame.depth_m, frame.intrinsics)

    def warm_up(self, batch: int = 1, times: int = 3) -> None:
        """Run on empty images, so that the first frame does not pay for memory and kernel selection."""
        images = np.zeros((batch, *self.model.config.full_hw, 3), np.uint8)
        for _ in range(times):
            self._poses(images, [self.model.config.input_hw] * batch)
