"""The options of a labelling run."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

from orpose_core.files import MILLIMETRE_M
from orpose_core.image_ops import MAX_PRIVATE_PIXELS
from orpose_core.rotation import ROTATIONS

_LEAST = {"every": 1, "limit": 1, "batch": 1, "min_people": 0, "motion_step": 0, "balance": 0}


@dataclass(frozen=True)
class LabelOptions:
    """Which frames are labelled and what is kept of them.

    Attributes:
        keep: ``"lowres"`` writes images of at most ``low_resolution_hw``; ``"depth"`` writes depth as large
            as it was recorded and no color; ``"none"`` writes no image.
        low_resolution_hw: (height, width).
        allow_full_resolution: ``low_resolution_hw`` may be above :data:`MAX_PRIVATE_PIXELS`, although people
            can be recognised in such color images.
        every: use every k-th frame of each camera of a recording.
        rate_hz: highest number of frames per second and camera; None = all.
        motion: use a frame if at least this share of its px, in (0, 1], changed since the last frame used
            from the same camera; None = all.
        motion_step: a px has changed if it differs by more than this, in levels of 255.
        limit: highest number of frames per recording; None = all.
        min_people: frames with fewer are left out of the labels.
        balance: keep equally many images of one, two, three, and four or more people, at most this many of
            each; 0 = as many as the rarest has; None = keep all.
        batch: frames per batch; affects the last bits of the results.
        tolerance_s: largest difference between the stamps of color and depth of one frame, s.
        depth_unit_m: what one step of 16-bit depth is, m.
        rectified: the images of bags and topics are rectified: their camera is P of camera_info, not K.
        rotation: by how many degrees images are turned clockwise to be upright: 0, 90, 180 or 270. Stored
            images and labels are upright.
    """

    keep: Literal["lowres", "depth", "none"] = "lowres"
    low_resolution_hw: tuple[int, int] = (60, 80)
    allow_full_resolution: bool = False
    every: int = 1
    rate_hz: float | None = None
    motion: float | None = None
    motion_step: int = 12
    limit: int | None = None
    min_people: int = 0
    balance: int | None = None
    batch: int = 4
    tolerance_s: float = 0.05
    depth_unit_m: float = MILLIMETRE_M
    rectified: bool = False
    rotation: int = 0

    def __post_init__(self) -> None:
        if self.keep not in ("lowres", "depth", "none"):
            raise ValueError(f"keep: expected 'lowres', 'depth' or 'none', got {self.keep!r}")
        if self.rotation not in ROTATIONS:
            raise ValueError(f"rotation: expected one of {ROTATIONS} degrees, got {self.rotation}")
        height, width = self.low_resolution_hw
        if self.keep == "lowres" and self.recognisable and not self.allow_full_resolution:
            raise ValueError(
                f"low_resolution: expected at most {MAX_PRIVATE_PIXELS} px, got {width}x{height}: people can "
                "be recognized in such color images; --allow-full-resolution writes them nevertheless"
            )
        for name, least in _LEAST.items():
            value = getattr(self, name)
            if value is not None and value < least:
                raise ValueError(f"{name}: expected {least} or more, got {value}")
        if self.rate_hz is not None and not self.rate_hz > 0:
            raise ValueError(f"rate_hz: expected a number above 0, got {self.rate_hz}")
        if not 0 <= self.tolerance_s <= 3600:
            raise ValueError(f"tolerance_s: expected 0 to 3600 s, got {self.tolerance_s:g}")
        if self.motion is not None and not 0 < self.motion <= 1:
            raise ValueError(f"motion: expected a share above 0 and up to 1, got {self.motion}")

    @property
    def recognisable(self) -> bool:
        """Whether people can be recognised in the color images that are written."""
        height, width = self.low_resolution_hw
        return self.keep == "lowres" and height * width > MAX_PRIVATE_PIXELS

    def as_dict(self) -> dict[str, Any]:
        """Return the options as JSON values, which identify a run."""
        return asdict(self) | {"low_resolution_hw": list(self.low_resolution_hw)}
