"""Configuration of a synthetic recording, and the scene of each of its sequences."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

from orpose_core.simulation.dice import Dice
from orpose_core.simulation.people.builds import varied
from orpose_core.simulation.rooms.anywhere_scenes import anywhere_scene
from orpose_core.simulation.rooms.everyday_scenes import everyday_scene, general_scene
from orpose_core.simulation.rooms.or_scenes import or_scene
from orpose_core.simulation.rooms.parts import PARTS
from orpose_core.simulation.rooms.scenes import Scene
from orpose_core.simulation.rooms.site_scenes import site_scene
from orpose_core.simulation.splits import SPLITS

DOMAINS = ("or", "general", "everyday", "anywhere", "site", *PARTS)


_BUILDS_KEY = 1 << 20  # beyond the keys of all scenes


MODALITIES = ("depth", "color", "rgbd")


@dataclass(frozen=True)
class StreamConfig:
    """Configuration of a synthetic recording; it determines every byte of every frame.

    Attributes:
        domain: "or" (operating rooms from the ceiling), "general" (everyday rooms at eye level) or "everyday"
            (everyday rooms from any height, people at tables, too), "anywhere" (any room, camera and posture)
            or one of its parts (see :data:`parts.PARTS`), or "site" (one room and camera, each sequence is
            another day with other people).
        size_hw: (height, width) of the frames, px; the cameras have 640x480 and are scaled.
        modality: "depth", "color" or "rgbd".
        seed: 0 to 2^32 - 1.
        cameras: per room, 1 to 3 (only "or"; otherwise 1). Frame ``index`` is camera ``index % cameras``.
        frames_per_sequence: moments of one sequence (one room, the same people, smooth motion); 1 = every
            frame has its own room.
        rate_hz: moments per second of a sequence.
        rig: "mvor", "any" or "mixed": where cameras of the "or" domain hang.
        sensor: False = the exact depth of the scene, without noise and holes.
        split: name of a benchmark split (see :func:`split_config`), whose frames no seed can produce; None
            = none.
        min_area_px: people with fewer visible px (at 640x480) are left out of the poses.
        crowd: number of additional people per room, so that training sees more people per image.
        varied_builds: share of the people, 0 to 1, whose proportions are beyond those of average adults (see
            :mod:`builds`). Nothing else of a recording depends on it.
    """

    domain: str = "or"
    size_hw: tuple[int, int] = (192, 256)
    modality: str = "depth"
    seed: int = 0
    cameras: int = 1
    frames_per_sequence: int = 1
    rate_hz: float = 15.0
    rig: str = "mixed"
    sensor: bool = True
    split: str | None = None
    min_area_px: float = 150.0
    crowd: int = 0
    varied_builds: float = 0.0

    def __post_init__(self) -> None:
        if self.domain not in DOMAINS:
            raise ValueError(f"StreamConfig.domain: expected one of {DOMAINS}, got {self.domain!r}")
        if self.modality not in MODALITIES:
            raise ValueError(f"StreamConfig.modality: expected one of {MODALITIES}, got {self.modality!r}")
        if len(self.size_hw) != 2 or min(self.size_hw) < 8 or max(self.size_hw) > 4096:
            raise ValueError(f"StreamConfig.size_hw: expected two sizes of 8 to 4096 px, got {self.size_hw}")
        if not 0 <= self.seed < 1 << 32:
            raise ValueError(f"StreamConfig.seed: expected 0 to 2^32 - 1, got {self.seed}")
        most = 3 if self.domain == "or" else 1
        if not 1 <= self.cameras <= most:
            raise ValueError(
                f"StreamConfig.cameras: expected 1 to {most} in {self.domain!r}, got {self.cameras}"
            )
        if self.frames_per_sequence < 1:
            raise ValueError(
                f"StreamConfig.frames_per_sequence: expected at least 1, got {self.frames_per_sequence}"
            )
        if not self.rate_hz > 0:
            raise ValueError(f"StreamConfig.rate_hz: expected a positive rate, got {self.rate_hz}")
        if not 0 <= self.crowd <= 8:
            raise ValueError(f"StreamConfig.crowd: expected 0 to 8, got {self.crowd}")
        if not 0 <= self.varied_builds <= 1:
            raise ValueError(
                f"StreamConfig.varied_builds: expected a number in [0, 1], got {self.varied_builds}"
            )
        if self.rig not in ("mvor", "any", "mixed"):
            raise ValueError(f"StreamConfig.rig: expected mvor, any or mixed, got {self.rig!r}")
        if self.split is not None and self.split not in SPLITS:
            raise ValueError(f"StreamConfig.split: expected one of {sorted(SPLITS)}, got {self.split!r}")

    @property
    def scene_seed(self) -> int:
        """What all randomness is keyed with: the seed, or a split's own key, beyond all seeds."""
        return self.seed if self.split is None else SPLITS[self.split].key


def split_config(name: str, size_hw: tuple[int, int] = (480, 640), modality: str = "rgbd") -> StreamConfig:
    """Return the stream of a named split; ValueError lists the known names."""
    if name not in SPLITS:
        raise ValueError(f"no benchmark split is called {name!r}; there are {sorted(SPLITS)}")
    s = SPLITS[name]
    return StreamConfig(
        s.domain,
        size_hw,
        modality,
        cameras=s.cameras,
        frames_per_sequence=s.frames_per_sequence,
        rate_hz=s.rate_hz,
        rig="mvor",
        split=name,
    )


@lru_cache(maxsize=4)
def _scene(config: StreamConfig, sequence: int) -> Scene:
    scene = _scene_of_domain(config, sequence)
    if not config.varied_builds:
        return scene
    people = []
    for number, person in enumerate(scene.people):
        dice = Dice(config.scene_seed, sequence, _BUILDS_KEY, number)
        people.append(varied(person, dice) if dice.chance(config.varied_builds) else person)
    return replace(scene, people=tuple(people))


def _scene_of_domain(config: StreamConfig, sequence: int) -> Scene:
    if config.domain == "general":
        return general_scene(config.scene_seed, sequence, config.crowd)
    if config.domain == "everyday":
        return everyday_scene(config.scene_seed, sequence, config.crowd)
    if config.domain == "anywhere" or config.domain in PARTS:
        part = config.domain if config.domain in PARTS else None
        return anywhere_scene(config.scene_seed, sequence, part, config.crowd)
    if config.domain == "site":
        return site_scene(config.scene_seed, sequence, config.crowd)
    return or_scene(config.scene_seed, sequence, config.rig, config.cameras, config.crowd)


def room_key(config: StreamConfig) -> StreamConfig:
    """Return a configuration that is the same for all that share their rooms."""
    return replace(config, size_hw=(480, 640), modality="depth", sensor=True)


def scene_of(config: StreamConfig, sequence: int) -> Scene:
    """Return the room, cameras and people of a sequence."""
    return _scene(room_key(config), sequence)
