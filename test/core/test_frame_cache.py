"""Frames that are rendered once: the same bytes, the same samples, resumable, and never somebody else's."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from orpose_core.models import FastPoseConfig
from orpose_core.simulation import SimulatedFrame, StreamConfig, simulate_frame
from orpose_core.training import frame_cache
from orpose_core.training.depthpose.samples import DataConfig
from orpose_core.training.depthpose.streams import SimulatedSamples
from orpose_core.training.frame_cache import FRAMES_PER_SHARD, CacheConfig, FrameCache
from orpose_core.types import Visibility

STREAM = StreamConfig("or", (24, 32), "depth", 5, crowd=1)
MODEL = FastPoseConfig(input_hw=(12, 16), visibility=True)


@pytest.fixture(autouse=True)
def _small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frame_cache, "FRAMES_PER_SHARD", 4)
    monkeypatch.setattr(frame_cache, "_FRAMES_CHECKED", 4)


def contents(path: Path) -> dict[str, bytes]:
    return {f.name: f.read_bytes() for f in sorted(path.iterdir()) if f.name != ".lock"}


def test_frames_come_back_as_they_were_simulated(tmp_path: Path) -> None:
    cache = FrameCache(tmp_path, STREAM, 6)
    cache.fill()
    for index in range(6):
        there, wanted = cache[index], simulate_frame(STREAM, index)
        np.testing.assert_array_equal(there.depth_m, wanted.frame.depth_m)
        assert there.intrinsics == wanted.frame.intrinsics and len(there.poses) == len(wanted.poses)
        for name in ("xy_px", "scores", "boxes_px", "visibility", "xyz_cam_m"):
            np.testing.assert_array_equal(getattr(there.poses, name), getattr(wanted.poses, name))
    with pytest.raises(ValueError, match="expected a frame of 0 to 5, got 6"):
        cache[6]


def test_the_same_recording_has_the_same_bytes_and_its_size_is_bounded(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        FrameCache(tmp_path / folder, STREAM, 6).fill()
    (one,), (other,) = ((tmp_path / folder).iterdir() for folder in ("a", "b"))
    assert one.name == other.name and contents(one) == contents(other)
    assert len(contents(one)) == 3  # two shards of 4 and the description
    assert sum(map(len, contents(one).values())) < 8 * (2 * 24 * 32 + 4096)


def test_several_processes_render_the_same_bytes(tmp_path: Path) -> None:
    one, several = (FrameCache(tmp_path / name, STREAM, 10) for name in ("one", "several"))
    one.fill()
    told: list[int] = []
    several.fill(told.append, workers=2)
    assert contents(several.path) == contents(one.path) and told == [4, 8, 12]


def test_a_killed_run_goes_on_and_others_find_the_frames(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = FrameCache(tmp_path / "whole", STREAM, 8)
    whole.fill()
    killed = FrameCache(tmp_path / "killed", STREAM, 8)
    rendered: list[int] = []

    def dying(stream: StreamConfig, index: int) -> object:
        rendered.append(index)
        if len(rendered) == 6:
            raise KeyboardInterrupt
        return simulate_frame(stream, index)

    monkeypatch.setattr(frame_cache, "simulate_frame", dying)
    with pytest.raises(KeyboardInterrupt):
        killed.fill()
    assert sorted(contents(killed.path)) == ["00000.safetensors", "stream.json"]
    told: list[int] = []
    killed.fill(told.append)
    assert told == [8] and contents(killed.path) == contents(whole.path)
    looked_at = [0, 1, 2, 3]
    assert rendered == [0, 1, 2, 3, 4, 5, *looked_at, 4, 5, 6, 7], "the first are rendered to be compared"
    rendered.clear()
    FrameCache(tmp_path / "killed", STREAM, 8).fill()
    assert rendered == looked_at


def test_frames_of_another_simulator_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    FrameCache(tmp_path, STREAM, 4).fill()
    monkeypatch.setattr(frame_cache, "simulate_frame", lambda s, i: simulate_frame(replace(s, seed=6), i))
    with pytest.raises(ValueError, match="got those of another one"):
        FrameCache(tmp_path, STREAM, 4).fill()


def test_labels_of_another_simulator_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the same images, and only of some of them: as where one kind of scene has changed."""
    FrameCache(tmp_path, STREAM, 4).fill()

    def changed(stream: StreamConfig, index: int) -> SimulatedFrame:
        frame = simulate_frame(stream, index)
        seen = frame.poses.visibility
        assert seen is not None and len(seen)
        hidden = np.where((seen > 0) & (index == 3), np.uint8(Visibility.OCCLUDED), seen)
        return replace(frame, poses=replace(frame.poses, visibility=hidden))

    monkeypatch.setattr(frame_cache, "simulate_frame", changed)
    with pytest.raises(ValueError, match="got those of another one"):
        FrameCache(tmp_path, STREAM, 4).fill()


def test_what_is_no_cache_of_this_recording_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="expected a recording of depth, got 'color'"):
        FrameCache(tmp_path, replace(STREAM, modality="color"), 4)
    with pytest.raises(ValueError, match="frames: expected at least 1, got 0"):
        CacheConfig(frames=0)
    with pytest.raises(ValueError, match="workers: expected at least 1, got 0"):
        CacheConfig(workers=0)
    cache = FrameCache(tmp_path, STREAM, 8)
    with pytest.raises(ValueError, match=r"00000\.safetensors: expected 4 rendered frames"):
        cache[0]
    cache.fill()
    shard = cache.path / "00001.safetensors"
    shard.write_bytes(shard.read_bytes()[:100])
    with pytest.raises(ValueError, match=r"00001\.safetensors: expected 4 rendered frames"):
        cache[4]
    (cache.path / "stream.json").write_text("{}")
    with pytest.raises(ValueError, match=r"stream\.json: expected"):
        cache.fill()


def test_a_disk_without_room_is_named_before_anything_is_rendered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = frame_cache.shutil.disk_usage(tmp_path)
    monkeypatch.setattr(frame_cache.shutil, "disk_usage", lambda _: usage._replace(free=1000))
    with pytest.raises(ValueError, match=r"GB of free disk; lower data\.cache\.frames"):
        FrameCache(tmp_path, STREAM, 8).fill()


def test_samples_are_those_without_a_cache_then_the_frames_come_again_changed(tmp_path: Path) -> None:
    data = DataConfig(domains=("or", "general"), render_hw=(24, 32), crowd=1, crop_hw=(8, 8), seed=5)
    cached = replace(data, cache=CacheConfig(tmp_path, 6))
    plain, kept = SimulatedSamples(data, MODEL), SimulatedSamples(cached, MODEL)
    for index in range(6):
        wanted, got = plain[index], kept[index]
        assert all(np.array_equal(wanted[name], got[name]) for name in wanted)
    again = [kept[index] for index in range(6, 12)]
    assert not any(np.array_equal(a["image"], kept[i]["image"]) for a in again for i in range(6))
    assert all(
        np.array_equal(a["image"], SimulatedSamples(cached, MODEL)[6 + i]["image"])
        for i, a in enumerate(again)
    )
    for domain in range(2):  # in another order, but each of them once
        rows = kept.places(domain, epoch=1)
        assert sorted(rows) == list(range(6)) and rows != kept.places(domain, epoch=2)


def test_trainings_of_other_seeds_share_frames(tmp_path: Path) -> None:
    data = DataConfig(domains=("or",), render_hw=(24, 32), cache=CacheConfig(tmp_path, 4, seed=9))
    for seed in (1, 2):
        SimulatedSamples(replace(data, seed=seed), MODEL)
    assert len(list(tmp_path.iterdir())) == 1
    assert os.listdir(tmp_path)[0].startswith("or_32x24_crowd0_seed9_")  # noqa: PTH208


def test_frames_without_anybody_are_read_wherever_they_stand(tmp_path: Path) -> None:
    stream = StreamConfig("empty", (24, 32), "depth", 5)
    cache = FrameCache(tmp_path, stream, 4)
    cache.fill()
    assert [len(cache[index].poses) for index in range(4)] == [0, 0, 0, 0]


def test_a_setting_at_its_default_leaves_the_name_of_a_cache(tmp_path: Path) -> None:
    """A simulator that learns a new setting still finds the frames that were rendered without it."""
    plain = FrameCache(tmp_path, StreamConfig("or", seed=5), 4)
    spelled_out = FrameCache(tmp_path, StreamConfig("or", seed=5, rig="mixed", rate_hz=15.0), 4)
    assert plain.path == spelled_out.path
    assert plain.path != FrameCache(tmp_path, StreamConfig("or", seed=5, rate_hz=5.0), 4).path


def test_each_domain_has_a_crowd_of_its_own(tmp_path: Path) -> None:
    data = DataConfig(domains=("or", "general"), domain_crowds=(2, 0))
    assert [s.crowd for s in SimulatedSamples(data, MODEL).streams.streams] == [2, 0]
    with pytest.raises(ValueError, match=r"data.domain_crowds: expected one for each"):
        DataConfig(domains=("or", "general"), domain_crowds=(2,))


def test_the_real_shards_are_of_a_size_that_is_read_quickly() -> None:
    assert 32 <= FRAMES_PER_SHARD <= 512
