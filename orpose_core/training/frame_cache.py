"""A cache on disk of simulated frames, shared by all training runs that use the same frames.

A recording of the synthetic room is a function of its configuration, so a cache needs no index and does not
go stale: shard ``k`` holds frames ``128 k`` to ``128 k + 127``. ::

    FOLDER/or_256x192_crowd2_seed1_5f0c2a91/stream.json          what was rendered
                                           /00000.safetensors    128 frames

Each file is written under a temporary name and renamed, so a killed run leaves only complete shards, and the
next run renders the missing ones. Several training runs may share a folder: one renders, the others wait.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass, fields
from functools import lru_cache
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save as to_safetensors_bytes

from orpose_core.files import millimetres, write_bytes, write_text
from orpose_core.simulation import SimulatedFrame, StreamConfig, simulate_frame
from orpose_core.skeleton import BODY24
from orpose_core.types import FloatArray, Intrinsics, Poses, Visibility

FRAMES_PER_SHARD = 128
_FORMAT = 1
_PEOPLE_BYTES = 4096  # labels of a well-filled frame
_FRAMES_CHECKED = 6

Progress = Callable[[int], None]
"""Called with the number of frames that have been rendered."""


@dataclass(frozen=True)
class CacheConfig:
    """Whether and where simulated frames are kept.

    Attributes:
        folder: folder of all caches; None = frames are rendered when they are needed, and not kept.
        frames: number of frames of each domain in the cache. Longer runs repeat them with other
            augmentations. A frame of 256x192 takes 0.1 MB.
        seed: seed of the simulation; None = ``data.seed``. With a seed here, training runs with different
            ``data.seed`` share their frames.
        workers: number of processes that render before the training starts.
    """

    folder: Path | None = None
    frames: int = 12_000
    seed: int | None = None
    workers: int = 1

    def __post_init__(self) -> None:
        for name in ("frames", "workers"):
            if getattr(self, name) < 1:
                raise ValueError(f"data.cache.{name}: expected at least 1, got {getattr(self, name)}")


@dataclass(frozen=True)
class CachedFrame:
    """The part of a simulated frame that is in the cache.

    Attributes:
        depth_m: float32 (H, W), metres, NaN = no return.
        poses: BODY24 skeletons of all people who are at least partly visible, px of the image, with
            visibility, boxes of the visible parts, and ``xyz_cam_m``.
        intrinsics: intrinsics of the camera.
    """

    depth_m: FloatArray
    poses: Poses
    intrinsics: Intrinsics


class FrameCache:
    """The first frames of one synthetic recording.

    Args:
        folder: folder of all caches. This cache is in a subfolder named after the recording.
        stream: the recording; its modality must be depth.
        frames: number of frames.

    Raises:
        ValueError: the modality is not depth.
    """

    def __init__(self, folder: Path, stream: StreamConfig, frames: int) -> None:
        if stream.modality != "depth":
            raise ValueError(f"FrameCache: expected a recording of depth, got {stream.modality!r}")
        self.stream, self.frames = stream, frames
        self.path = folder / _name(stream)

    def __len__(self) -> int:
        return self.frames

    def fill(self, progress: Progress | None = None, workers: int = 1) -> None:
        """Render the missing frames; wait while another process fills the same cache.

        Args:
            progress: called with the number of frames rendered so far.
            workers: number of processes that render; the frames do not depend on it.

        Raises:
            ValueError: the folder holds frames of another version of the simulator, or the disk is full.
        """
        shards = range(-(-self.frames // FRAMES_PER_SHARD))
        with self._claimed():
            missing = [k for k in shards if not self._shard(k).is_file()]
            self._check_room(len(missing))
            for count, _ in enumerate(self._rendered(missing, workers), start=1):
                if progress is not None:
                    progress((len(shards) - len(missing) + count) * FRAMES_PER_SHARD)

    def _rendered(self, missing: Sequence[int], workers: int) -> Iterator[None]:
        """Render the shards ``missing``; yield after each."""
        jobs = [(self.stream, k * FRAMES_PER_SHARD, FRAMES_PER_SHARD, self._shard(k)) for k in missing]
        if min(workers, len(jobs)) <= 1:
            for job in jobs:
                _render(*job)
                yield
            return
        # Not fork: a child would inherit the locks of PyTorch's threads and hang.
        with ProcessPoolExecutor(min(workers, len(jobs)), get_context("spawn")) as pool:
            for done in as_completed([pool.submit(_render, *job) for job in jobs]):
                done.result()
                yield

    def __getitem__(self, index: int) -> CachedFrame:
        """Read a frame; raise ValueError if it is not in the cache, or its file is damaged."""
        if not 0 <= index < self.frames:
            raise ValueError(f"{self.path}: expected a frame of 0 to {self.frames - 1}, got {index}")
        shard, row = divmod(index, FRAMES_PER_SHARD)
        path = self._shard(shard)
        try:
            file = _opened(path)
            depth_mm = file.get_slice("depth_mm")[row]
            camera = file.get_slice("intrinsics")[row]
            counts = file.get_tensor("people")
            first = int(counts[:row].sum())
            mine = slice(first, first + int(counts[row]))
            # safetensors refuses an empty slice at the end of a tensor
            read = file.get_slice if counts[row] else file.get_tensor
            people = {key: read(key)[mine] for key in _PER_PERSON}
        except (OSError, SafetensorError) as error:
            raise ValueError(f"{path}: expected {FRAMES_PER_SHARD} rendered frames, got: {error}") from None
        depth_m = depth_mm.astype(np.float32) / np.float32(1000)
        depth_m[depth_mm == 0] = np.nan
        height, width = depth_mm.shape
        fx, fy, cx, cy = camera.tolist()
        return CachedFrame(depth_m, _poses(**people), Intrinsics(fx, fy, cx, cy, width, height))

    def _shard(self, k: int) -> Path:
        return self.path / f"{k:05d}.safetensors"

    @contextmanager
    def _claimed(self) -> Iterator[None]:
        """Lock this cache for filling, and check that it holds the recording that its name stands for."""
        self.path.mkdir(parents=True, exist_ok=True)
        with (self.path / ".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            manifest, wanted = self.path / "stream.json", json.dumps(_manifest(self.stream), indent=2) + "\n"
            if not manifest.is_file():
                write_text(manifest, wanted)
            elif manifest.read_text() != wanted:
                raise ValueError(f"{manifest}: expected\n{wanted}got\n{manifest.read_text()}")
            self._check_first_frames()
            yield

    def _check_first_frames(self) -> None:
        """Compare the first frames and their labels with new ones: the simulator may have changed since.

        Not the first one alone: a change may concern one kind of scene of several.
        """
        if not self._shard(0).is_file():
            return
        for index in range(min(_FRAMES_CHECKED, self.frames)):
            there, now = self[index], simulate_frame(self.stream, index)
            assert now.frame.depth_m is not None
            same = np.array_equal(millimetres(there.depth_m), millimetres(now.frame.depth_m))
            labels = [(getattr(there.poses, name), getattr(now.poses, name)) for name in _PER_PERSON]
            if not same or not all(np.array_equal(*pair, equal_nan=True) for pair in labels):
                raise ValueError(
                    f"{self.path}: expected frames of this version of the simulator, got those of another "
                    "one; delete the folder, or name another data.cache.folder"
                )

    def _check_room(self, shards: int) -> None:
        height, width = self.stream.size_hw
        needed = shards * FRAMES_PER_SHARD * (2 * height * width + _PEOPLE_BYTES)
        free = shutil.disk_usage(self.path).free
        if needed > free:
            raise ValueError(
                f"{self.path}: expected {needed / 1e9:.1f} GB for {self.frames} frames, "
                f"got {free / 1e9:.1f} GB of free disk; lower data.cache.frames"
            )


@lru_cache(maxsize=512)
def _opened(path: Path) -> Any:
    """Return a shard, memory-mapped and kept open: opening it costs more than reading a frame."""
    return safe_open(str(path), framework="np")


_PER_PERSON = ("xy_px", "xyz_cam_m", "visibility", "boxes_px")


def _render(stream: StreamConfig, first: int, count: int, path: Path) -> None:
    """Render ``count`` frames of a recording, starting at ``first``, and write them as one shard."""
    frames = [simulate_frame(stream, first + i) for i in range(count)]
    write_bytes(path, to_safetensors_bytes(_arrays(frames), {"format": str(_FORMAT)}))


def _manifest(stream: StreamConfig) -> dict[str, Any]:
    """Return the settings that identify a recording: those that differ from their defaults.

    A setting that is added later does not change the identity of earlier recordings.
    """
    settings = {f.name: getattr(stream, f.name) for f in fields(stream)}
    named = {f.name: settings[f.name] for f in fields(stream) if settings[f.name] != f.default}
    return {"format": _FORMAT, "frames_per_shard": FRAMES_PER_SHARD, "stream": named}


def _name(stream: StreamConfig) -> str:
    """Return a readable folder name that is unique to a recording."""
    height, width = stream.size_hw
    digest = hashlib.sha256(json.dumps(_manifest(stream), sort_keys=True).encode()).hexdigest()[:8]
    return f"{stream.domain}_{width}x{height}_crowd{stream.crowd}_seed{stream.seed}_{digest}"


def _arrays(frames: list[SimulatedFrame]) -> dict[str, NDArray]:
    """Return the arrays of a shard: images and cameras by frame, the people of all frames concatenated."""
    cameras = [f.frame.intrinsics for f in frames]
    arrays: dict[str, list[NDArray]] = {
        "depth_mm": [millimetres(f.frame.depth_m)[None] for f in frames if f.frame.depth_m is not None],
        "intrinsics": [np.array([[k.fx, k.fy, k.cx, k.cy]]) for k in cameras if k is not None],
        "people": [np.array([len(f.poses)]) for f in frames],
        **{key: [getattr(f.poses, key) for f in frames] for key in _PER_PERSON},
    }
    return {key: np.concatenate(parts) for key, parts in arrays.items()}


def _poses(
    xy_px: FloatArray, xyz_cam_m: FloatArray, visibility: NDArray[np.uint8], boxes_px: FloatArray
) -> Poses:
    """Return the people of one frame, as they came from the simulator."""
    return Poses(
        BODY24,
        xy_px,
        (visibility > Visibility.ABSENT).astype(np.float32),
        np.ones(len(xy_px), np.float32),
        boxes_px,
        xyz_cam_m=xyz_cam_m,
        visibility=visibility,
    )
