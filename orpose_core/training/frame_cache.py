"""Simulated frames rendered once and kept on disk, for all trainings that ask for the same ones.

A recording of the synthetic room is a function of its configuration, so a cache needs no index and never goes
stale by itself: shard ``k`` holds frames ``128 k`` to ``128 k + 127``. ::

    FOLDER/or_256x192_crowd2_seed1_5f0c2a91/stream.json          what was rendered
                                           /00000.safetensors    128 frames

Each file is written under a temporary name and renamed, so a killed run leaves whole shards, and the next one
renders what is missing. Several trainings may share a folder: one renders, the others wait for it.
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

Progress = Callable[[int], None]
"""Called with the number of frames that are there."""


@dataclass(frozen=True)
class CacheConfig:
    """Whether and where simulated frames are kept.

    Attributes:
        folder: of all caches; None = every frame is rendered when it is asked for, and forgotten.
        frames: how many of each domain are kept; then they come again, changed otherwise. A frame of 256x192
            takes 0.1 MB.
        seed: of the simulation; None = ``data.seed``. With a number of its own here, trainings that differ
            in ``data.seed`` share their frames.
        workers: how many processes render at once, before the training begins.
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
    """What a cache keeps of a simulated frame.

    Attributes:
        depth_m: float32 (H, W), metres, NaN = no return.
        poses: BODY24 of everybody of whom something is seen, px of the image, with visibility, boxes of what
            is seen, and ``xyz_cam_m``.
        intrinsics: of the camera.
    """

    depth_m: FloatArray
    poses: Poses
    intrinsics: Intrinsics


class FrameCache:
    """The first frames of one synthetic recording.

    Args:
        folder: of all caches; this one's is a folder in it, named after the recording.
        stream: the recording, of depth.
        frames: how many.

    Raises:
        ValueError: a recording of color.
    """

    def __init__(self, folder: Path, stream: StreamConfig, frames: int) -> None:
        if stream.modality != "depth":
            raise ValueError(f"FrameCache: expected a recording of depth, got {stream.modality!r}")
        self.stream, self.frames = stream, frames
        self.path = folder / _name(stream)

    def __len__(self) -> int:
        return self.frames

    def fill(self, progress: Progress | None = None, workers: int = 1) -> None:
        """Render what is missing; whoever fills the same cache meanwhile is waited for.

        Args:
            progress: is told how many frames are there.
            workers: how many processes render at once; the frames do not depend on it.

        Raises:
            ValueError: the folder holds frames of another version of the simulator, or the disk has no room.
        """
        shards = range(-(-self.frames // FRAMES_PER_SHARD))
        with self._claimed():
            missing = [k for k in shards if not self._shard(k).is_file()]
            self._check_room(len(missing))
            for count, _ in enumerate(self._rendered(missing, workers), start=1):
                if progress is not None:
                    progress((len(shards) - len(missing) + count) * FRAMES_PER_SHARD)

    def _rendered(self, missing: Sequence[int], workers: int) -> Iterator[None]:
        """Render the shards ``missing``, and yield as often as one is there."""
        jobs = [(self.stream, k * FRAMES_PER_SHARD, FRAMES_PER_SHARD, self._shard(k)) for k in missing]
        if min(workers, len(jobs)) <= 1:
            for job in jobs:
                _render(*job)
                yield
            return
        # A process that is started afresh inherits no threads of PyTorch, which would hang after a fork.
        with ProcessPoolExecutor(min(workers, len(jobs)), get_context("spawn")) as pool:
            for done in as_completed([pool.submit(_render, *job) for job in jobs]):
                done.result()
                yield

    def __getitem__(self, index: int) -> CachedFrame:
        """Read a frame; ValueError if it is beyond the cache, was not rendered, or its file is damaged."""
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
        """Keep others from filling this cache, and make sure that it holds what it is named after."""
        self.path.mkdir(parents=True, exist_ok=True)
        with (self.path / ".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            manifest, wanted = self.path / "stream.json", json.dumps(_manifest(self.stream), indent=2) + "\n"
            if not manifest.is_file():
                write_text(manifest, wanted)
            elif manifest.read_text() != wanted:
                raise ValueError(f"{manifest}: expected\n{wanted}got\n{manifest.read_text()}")
            self._check_first_frame()
            yield

    def _check_first_frame(self) -> None:
        """Render the first frame again: the simulator may have changed since."""
        if not self._shard(0).is_file():
            return
        there, now = self[0], simulate_frame(self.stream, 0)
        assert now.frame.depth_m is not None
        same_image = np.array_equal(millimetres(there.depth_m), millimetres(now.frame.depth_m))
        if not same_image or not np.array_equal(there.poses.xy_px, now.poses.xy_px, equal_nan=True):
            raise ValueError(
                f"{self.path}: expected frames of this version of the simulator, got those of another one; "
                "delete the folder, or name another data.cache.folder"
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
    """Return a shard, mapped into memory; opening it costs more than reading a frame."""
    return safe_open(str(path), framework="np")


_PER_PERSON = ("xy_px", "xyz_cam_m", "visibility", "boxes_px")


def _render(stream: StreamConfig, first: int, count: int, path: Path) -> None:
    """Render ``count`` frames of a recording from ``first`` on, and write them as one shard."""
    frames = [simulate_frame(stream, first + i) for i in range(count)]
    write_bytes(path, to_safetensors_bytes(_arrays(frames), {"format": str(_FORMAT)}))


def _manifest(stream: StreamConfig) -> dict[str, Any]:
    """Return what makes a recording what it is: settings at their defaults say nothing, new ones included."""
    settings = {f.name: getattr(stream, f.name) for f in fields(stream)}
    named = {f.name: settings[f.name] for f in fields(stream) if settings[f.name] != f.default}
    return {"format": _FORMAT, "frames_per_shard": FRAMES_PER_SHARD, "stream": named}


def _name(stream: StreamConfig) -> str:
    """Return a folder's name that people can read and that no other recording has."""
    height, width = stream.size_hw
    digest = hashlib.sha256(json.dumps(_manifest(stream), sort_keys=True).encode()).hexdigest()[:8]
    return f"{stream.domain}_{width}x{height}_crowd{stream.crowd}_seed{stream.seed}_{digest}"


def _arrays(frames: list[SimulatedFrame]) -> dict[str, NDArray]:
    """Return what a shard holds: images and cameras by frame, people of all frames one after another."""
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
    """Return the people of one frame, as the simulator gave them."""
    return Poses(
        BODY24,
        xy_px,
        (visibility > Visibility.ABSENT).astype(np.float32),
        np.ones(len(xy_px), np.float32),
        boxes_px,
        xyz_cam_m=xyz_cam_m,
        visibility=visibility,
    )
