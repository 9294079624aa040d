"""Parameters of the label node: the options of `orpose label` under the same names, and its topics."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, cast

from orpose_core.image_ops import MAX_PRIVATE_PIXELS, parse_resolution
from orpose_core.labelling.options import LabelOptions
from orpose_core.rotation import ROTATIONS
from orpose_core.teacher.loading import MOVENET, teacher_of
from orpose_core.teacher.teacher import Teacher
from orpose_ros.parameters.declaring import parameter
from orpose_ros.parameters.images import MOST_INPUT_PIXELS, ImageParameters
from orpose_ros.parameters.namespaces import check_cameras
from orpose_ros.running.input_watch import SILENCE_S

# The defaults of the core hold here too.
_OPTIONS = LabelOptions()


@dataclass(frozen=True)
class LabelParameters(ImageParameters):
    """Parameters of the label node; all are read once, before it starts."""

    out: str = parameter("", "Folder for the labels. Required.")
    recording: str = parameter("live", "Name of the recording in the labels and of its image folder.")
    cameras: tuple[str, ...] = parameter(
        ("",), "Namespaces of the cameras; empty = the node's own namespace."
    )
    depth: bool = parameter(True, "Also store registered depth, if an image is close enough in time.")
    detector: str = parameter(
        MOVENET[0],
        "movenet_multipose, a detection model of torchvision, or untrained:NAME for random weights.",
    )
    detector_weights: str = parameter("", "File of the detector's weights; MoveNet's are shipped.")
    keypoints: str = parameter(
        MOVENET[1], "movenet_thunder, a file such as pose_hrnet_w48_384x288.pth, or untrained:NAME."
    )
    lifter: str = parameter("", "File of the 2D-to-3D lifter, or untrained:; empty = labels in 2D.")
    min_box_score: float = parameter(
        0.0, "Lowest score of a person's box; 0 = the detector's own threshold.", low=0.0, high=1.0
    )
    hard_score: float = parameter(0.35, "Joints with a higher score are in the hard set.", low=0.0, high=1.0)
    scales: tuple[int, ...] = parameter(
        (), "Image sides for the detector, px; empty = its default.", low=32, high=10_000
    )
    decoding: str = parameter("quarter", "Decoding of the keypoint maps.", choices=("quarter", "dark"))
    no_flip: bool = parameter(False, "Do not use mirrored images: twice as fast.")
    device: str = parameter("auto", "auto, cpu, cuda or cuda:N.")
    keep: str = parameter(
        _OPTIONS.keep,
        "Images to store: low-resolution ones, full-size depth without color, or none.",
        choices=("lowres", "depth", "none"),
    )
    low_resolution: str = parameter("80x60", "Largest size of stored images, WxH, px.")
    max_pixels: int = parameter(
        4800,
        "Strict upper limit of width times height of a stored image, px.",
        low=1,
        high=100_000_000,
    )
    max_input_pixels: int = parameter(
        MOST_INPUT_PIXELS,
        "Compressed images with more px in their header are left out before they are decoded.",
        low=1,
        high=1_000_000_000,
    )
    rotation: int = parameter(
        _OPTIONS.rotation,
        "Clockwise rotation that makes the images of all cameras upright, degrees. Stored images and labels "
        "are upright.",
        low=0,
        high=270,
    )
    every: int = parameter(_OPTIONS.every, "Take every n-th frame of each camera.", low=1, high=1_000_000)
    rate: float = parameter(
        0.0, "Highest number of frames per second and camera; 0 = all.", low=0.0, high=1000.0
    )
    motion: float = parameter(
        0.0, "Take a frame when this share of its px has changed; 0 = all.", low=0.0, high=1.0
    )
    motion_step: int = parameter(
        _OPTIONS.motion_step, "A px has changed if it differs by more levels than this.", low=0, high=255
    )
    limit: int = parameter(0, "Highest number of frames; 0 = all.", low=0, high=1_000_000_000)
    min_people: int = parameter(_OPTIONS.min_people, "Leave out frames with fewer people.", low=0, high=1000)
    balance: int = parameter(
        -1,
        "Label images of 1, 2, 3, 4 and more people equally often, at most this many of each; "
        "0 = as many as there are of the rarest; -1 = label all.",
        low=-1,
        high=1_000_000_000,
    )
    batch: int = parameter(
        _OPTIONS.batch,
        "Frames per batch of the networks; frames wait until a batch is full.",
        low=1,
        high=256,
    )
    tolerance: float = parameter(
        _OPTIONS.tolerance_s, "Color and depth of one moment may be this far apart, s.", low=0.0, high=1.0
    )
    queue: int = parameter(
        16, "Messages of a topic that may wait; more are dropped and counted.", low=8, high=10_000
    )
    finish_idle_s: float = parameter(
        10.0,
        "Write the files when no message has arrived for this time, s; 0 = only on request or at the end.",
        low=0.0,
        high=86_400.0,
    )
    silence_s: float = parameter(
        SILENCE_S, "An input that is silent for this long is reported, s.", low=0.5, high=600.0
    )

    def __post_init__(self) -> None:
        if not self.out:
            raise ValueError("parameter out: must be given")
        if self.rotation not in ROTATIONS:
            raise ValueError(
                f"parameter rotation: expected one of {', '.join(map(str, ROTATIONS))} degrees, got "
                f"{self.rotation}"
            )
        if self.keep == "depth" and not self.depth:
            raise ValueError("parameter keep: expected lowres or none without depth, got depth")
        check_cameras(self.cameras)
        height, width = parse_resolution(self.low_resolution)
        if height * width > self.max_pixels:
            raise ValueError(
                f"parameter low_resolution: expected at most max_pixels = {self.max_pixels} px, "
                f"got {width}x{height} = {height * width}"
            )

    @property
    def privacy_problem(self) -> str:
        """The settings with which images may be stored in which people can be recognised; "" = none."""
        height, width = parse_resolution(self.low_resolution)
        if self.keep != "lowres" or height * width <= MAX_PRIVATE_PIXELS:
            return ""
        return (
            f"images of {self.low_resolution} are stored: above {MAX_PRIVATE_PIXELS} px people can be "
            "recognized"
        )

    @property
    def options(self) -> LabelOptions:
        """The settings of the core."""
        return LabelOptions(
            keep=cast(Literal["lowres", "depth", "none"], self.keep),
            low_resolution_hw=parse_resolution(self.low_resolution),
            allow_full_resolution=self.max_pixels > MAX_PRIVATE_PIXELS,
            every=self.every,
            rate_hz=self.rate or None,
            motion=self.motion or None,
            motion_step=self.motion_step,
            limit=self.limit or None,
            min_people=self.min_people,
            balance=None if self.balance < 0 else self.balance,
            batch=self.batch,
            tolerance_s=self.tolerance,
            depth_unit_m=self.depth_unit_m,
            rectified=self.rectified,
            rotation=self.rotation,
        )

    def make_teacher(self) -> Teacher:
        """Return the teacher; raise ValueError if a file is missing or does not fit."""
        return teacher_of(
            self.detector,
            self.detector_weights or None,
            self.keypoints,
            self.lifter or None,
            min_score=self.min_box_score or None,
            scales=self.scales,
            decoding="dark" if self.decoding == "dark" else "quarter",
            flip=not self.no_flip,
            hard_score=self.hard_score,
            device=self.device,
        )
