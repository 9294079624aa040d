"""Parameters of the pose node, and the settings of the core that they set."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from orpose_core.data.reading import Reading
from orpose_core.estimators import EstimatorConfig
from orpose_core.estimators.flip_share import ALWAYS, AUTO, FLIP_TESTS, NEVER
from orpose_core.image_ops import MAX_PRIVATE_PIXELS
from orpose_core.rotation import ROTATIONS
from orpose_core.skeleton import SKELETONS
from orpose_core.tracking import OneEuroConfig, TrackerConfig
from orpose_ros.parameters.declaring import parameter
from orpose_ros.parameters.images import ImageParameters
from orpose_ros.parameters.namespaces import check_cameras, check_namespace
from orpose_ros.running.input_watch import SILENCE_S

# The defaults of the core hold here too.
_ELSE = " = the value in the weights file, or the default."
_DECODER = (
    "keypoint_threshold",
    "paf_threshold",
    "min_joints",
    "min_mean_score",
    "min_person_score",
    "max_people",
)
_TRACKER = TrackerConfig()
_SMOOTHER = OneEuroConfig()
_MOST_JOINTS = max(len(skeleton) for skeleton in SKELETONS.values())


@dataclass(frozen=True)
class PoseParameters(ImageParameters):
    """Parameters of the pose node. Those marked live can be set at any time, the others before it starts."""

    model: str = parameter(
        "fastpose_64x48",
        "Name of shipped weights, path of a checkpoint, or untrained:NAME for random weights.",
    )
    device: str = parameter("auto", "auto, cpu, cuda or cuda:N.")
    backend: str = parameter(
        "auto",
        "Engine of the network: auto (OpenVINO on a CPU if installed, otherwise PyTorch), torch, "
        "openvino or onnxruntime.",
    )
    half_precision: bool = parameter(True, "Compute in bfloat16 if that is fast.")
    threads: int = parameter(
        0, "CPU threads of the network; 0 = as many as PyTorch would use.", low=0, high=256
    )
    lanes: int = parameter(
        1,
        "OpenVINO: images that are computed at a time, each with its share of threads; 0 = one per camera, "
        "at most one per thread. More lanes answer more images of several cameras, each of them later.",
        low=0,
        high=256,
    )
    flip_test: str = parameter(
        AUTO,
        "Average over the image and its mirror image, which is more accurate and costs twice as much: auto "
        "(an image is answered without its mirror image where it or another would otherwise be dropped), "
        "always (also true) or never (also false).",
        choices=FLIP_TESTS,
        booleans=(NEVER, ALWAYS),
        live=True,
    )
    cameras: tuple[str, ...] = parameter(
        ("",), "Namespaces of the cameras, served in one batch; empty = the node's own namespace."
    )
    images: str = parameter(
        "lowres", "Name below a camera's namespace where its images are; empty = directly in it."
    )
    rotation: tuple[int, ...] = parameter(
        (0,),
        "Degrees (0, 90, 180, 270) by which images are turned clockwise to be upright: one for all cameras, "
        "or one each. Skeletons are published in the frame of the original image.",
        low=0,
        high=270,
    )
    depth_with_color: bool = parameter(
        False, "Color models: pair color with registered depth, so that 3D is metric."
    )
    slop_s: float = parameter(
        0.02, "Color and depth of one moment may be this far apart, s.", low=0.0, high=1.0
    )
    strict: bool = parameter(True, "Refuse images of more than max_pixels, so that nobody is recognizable.")
    max_pixels: int = parameter(
        4800, "Limit of width times height in strict mode, px.", low=1, high=100_000_000
    )
    metric_3d: bool = parameter(True, "Publish metric 3D if depth and camera_info are available.")
    keypoint_threshold: float = parameter(
        -1.0, f"Lowest height of a joint's peak; negative{_ELSE}", low=-1.0, high=1.0, live=True
    )
    paf_threshold: float = parameter(
        -1.0, f"Lowest part affinity of a sample on a limb; negative{_ELSE}", low=-1.0, high=1.0, live=True
    )
    min_joints: int = parameter(
        0, f"People with fewer joints are left out; 0{_ELSE}", low=0, high=_MOST_JOINTS, live=True
    )
    min_mean_score: float = parameter(
        -1.0,
        f"Lowest mean score of a person's joints and limbs; negative{_ELSE}",
        low=-1.0,
        high=1.0,
        live=True,
    )
    min_person_score: float = parameter(
        -1.0, f"Lowest score of a person; negative{_ELSE}", low=-1.0, high=1.0, live=True
    )
    max_people: int = parameter(
        0, f"Highest number of people per image; 0{_ELSE}", low=0, high=256, live=True
    )
    min_box_score: float = parameter(
        -1.0,
        f"Color students: lowest score of a person's box; negative{_ELSE}",
        low=-1.0,
        high=1.0,
        live=True,
    )
    min_keypoint_score: float = parameter(
        -1.0,
        f"Color students: joints with a lower score are absent; negative{_ELSE}",
        low=-1.0,
        high=1.0,
        live=True,
    )
    track: bool = parameter(True, "Track people, so that their ids are constant over time.")
    track_max_gap_s: float = parameter(
        _TRACKER.max_gap_s, "A person not seen for longer gets a new id, s.", low=0.01, high=60.0, live=True
    )
    smooth: bool = parameter(False, "Smooth the joints of each track (1 Euro filter).", live=True)
    smooth_min_cutoff_hz: float = parameter(
        _SMOOTHER.min_cutoff_hz, "Cutoff at rest, Hz: less = less jitter.", low=0.01, high=100.0, live=True
    )
    smooth_beta: float = parameter(
        _SMOOTHER.beta,
        "Cutoff gained per speed (Hz per m/s): more = less lag.",
        low=0.0,
        high=1000.0,
        live=True,
    )
    silence_s: float = parameter(
        SILENCE_S, "An input that is silent for this long is reported, s.", low=0.5, high=600.0
    )

    def __post_init__(self) -> None:
        check_cameras(self.cameras)
        check_namespace("images", self.images)
        if len(self.rotation) not in (1, len(self.cameras)) or not set(self.rotation) <= set(ROTATIONS):
            raise ValueError(
                f"parameter rotation: expected one of {', '.join(map(str, ROTATIONS))} for all cameras or "
                f"one for each of {len(self.cameras)}, got {list(self.rotation)}"
            )

    def rotation_of(self, camera: str) -> int:
        """Return the clockwise rotation of a camera's images, degrees."""
        return self.rotation[0] if len(self.rotation) == 1 else self.rotation[self.cameras.index(camera)]

    @property
    def reading(self) -> Reading:
        """Settings for decoding the cameras' messages; in strict mode no larger image is decoded."""
        most = self.max_pixels if self.strict else Reading.most_pixels
        return self.reading_up_to(most)

    @property
    def privacy_problem(self) -> str:
        """The settings that admit images in which people can be recognised; "" = none."""
        if not self.strict:
            return "strict is off: images of any size are processed, in which people can be recognized"
        if self.max_pixels > MAX_PRIVATE_PIXELS:
            return (
                f"max_pixels is {self.max_pixels}: in images of more than {MAX_PRIVATE_PIXELS} px people can "
                "be recognized"
            )
        return ""

    @cached_property
    def estimator(self) -> EstimatorConfig:
        """The estimator's settings."""
        return EstimatorConfig(
            device=self.device,
            backend=self.backend,
            flip_test=self.flip_test != NEVER,
            half_precision=self.half_precision,
            threads=self.threads or None,
            lanes=self.lanes or len(self.cameras),
            metric_3d=self.metric_3d,
            decoder_changes={
                name: value
                for name in _DECODER
                if (value := getattr(self, name)) >= (1 if isinstance(value, int) else 0)
            },
            roi_changes={
                name: value
                for name, value in (
                    ("min_person_score", self.min_box_score),
                    ("min_keypoint_score", self.min_keypoint_score),
                )
                if value >= 0
            },
        )

    @cached_property
    def tracker(self) -> TrackerConfig:
        """The tracker's settings."""
        smoothing = OneEuroConfig(self.smooth_min_cutoff_hz, self.smooth_beta) if self.smooth else None
        return TrackerConfig(max_gap_s=self.track_max_gap_s, smoothing=smoothing)
