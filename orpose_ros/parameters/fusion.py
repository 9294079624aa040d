"""Parameters of the fusion node, and the settings of the core that they set."""

from __future__ import annotations

from dataclasses import dataclass

from orpose_core.fusion.config import FusionConfig
from orpose_core.fusion.room import TimingConfig
from orpose_core.fusion.room_tracker import RoomTrackerConfig
from orpose_ros.parameters.declaring import parameter
from orpose_ros.parameters.namespaces import check_cameras, check_namespace
from orpose_ros.running.input_watch import SILENCE_S

_FUSION = FusionConfig()
_TRACKER = RoomTrackerConfig()
_TIMING = TimingConfig()


@dataclass(frozen=True)
class FusionParameters:
    """Parameters of the fusion node; all are read before it starts."""

    cameras: tuple[str, ...] = parameter(
        ("ceiling_1", "ceiling_2"), "Namespaces of the cameras whose skeletons are fused; two or more."
    )
    calibration: str = parameter(
        "", "File of the cameras' poses (orpose calibrate); empty = tf and camera_info."
    )
    room_frame: str = parameter("room", "Frame of the fused skeletons: z up, floor at 0.")
    images: str = parameter(
        "lowres", "Without a calibration file: name below a camera's namespace that has its camera_info."
    )
    use_depth: bool = parameter(True, "Use the metric depth of each camera's skeletons_3d.")
    max_age_s: float = parameter(
        _TIMING.max_age_s,
        "Views older than the newest by more than this are not fused, s.",
        low=0.001,
        high=2.0,
    )
    wait_s: float = parameter(_TIMING.wait_s, "Longest wait for late cameras, s.", low=0.001, high=2.0)
    live_s: float = parameter(
        _TIMING.live_s, "A camera silent for longer is not waited for, s.", low=0.01, high=60.0
    )
    max_gap_s: float = parameter(
        _TRACKER.max_gap_s, "A person not seen for longer is not published, s.", low=0.01, high=60.0
    )
    confirm_hits: int = parameter(
        _TRACKER.confirm_hits,
        "Moments after which a person seen by one camera is published.",
        low=1,
        high=100,
    )
    acceleration: float = parameter(
        _TRACKER.acceleration, "Acceleration of joints, m/s^2/sqrt(Hz): higher = less lag, lower = smoother.",
        low=0.01, high=100.0,
    )  # fmt: skip
    calibration_rad: float = parameter(
        _FUSION.calibration_rad,
        "Standard deviation of every ray due to calibration, rad.",
        low=1e-5,
        high=0.2,
    )
    min_single_joints: int = parameter(
        _FUSION.single_min_joints, "Fewest joints of a new person seen by only one camera.", low=1, high=100
    )
    max_sigma_m: float = parameter(
        _FUSION.max_sigma_m, "Joints with a larger standard deviation are unknown, m.", low=0.01, high=10.0
    )
    silence_s: float = parameter(
        SILENCE_S, "An input that is silent for this long is reported, s.", low=0.5, high=600.0
    )

    def __post_init__(self) -> None:
        if len(self.cameras) < 2 or len(set(self.cameras)) != len(self.cameras) or not all(self.cameras):
            raise ValueError(
                f"parameter cameras: expected two different namespaces or more, got {list(self.cameras)}"
            )
        check_cameras(self.cameras)
        check_namespace("images", self.images)
        if not self.room_frame:
            raise ValueError("parameter room_frame: expected a frame, got an empty name")

    @property
    def fusion(self) -> FusionConfig:
        """The fusion's settings."""
        return FusionConfig(
            calibration_rad=self.calibration_rad,
            single_min_joints=self.min_single_joints,
            max_sigma_m=self.max_sigma_m,
        )

    @property
    def tracker(self) -> RoomTrackerConfig:
        """The tracker's settings."""
        return RoomTrackerConfig(
            acceleration=self.acceleration, confirm_hits=self.confirm_hits, max_gap_s=self.max_gap_s
        )

    @property
    def timing(self) -> TimingConfig:
        """Which views belong to a moment."""
        return TimingConfig(self.max_age_s, self.wait_s, self.live_s)
