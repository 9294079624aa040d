"""Folders and bags that are damaged in any way: frames or one sentence, never a traceback, nothing unsaid.

``ORPOSE_FUZZ_CASES`` is how many are tried; `make fuzz` tries 2,000.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orpose_core.data.recordings.opening import open_recording
from orpose_core.files import write_depth, write_picture
from orpose_core.simulation import StreamConfig
from orpose_core.simulation.writers.bags import write_bag

CASES = int(os.environ.get("ORPOSE_FUZZ_CASES", "100"))
STREAM = StreamConfig("or", (24, 32), "rgbd", seed=4, frames_per_sequence=4, rate_hz=10)
MODALITIES = ("depth", "color", "rgbd")
_ANY_TIME = settings(
    max_examples=CASES, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
_NAMES = st.sampled_from(
    ["1", "2", "10", "color/1", "depth/1", "ir/1", "mask_1", "a b", "\u00e9", "depth_1", "rgb_1", "x" * 100]
)
_ENDINGS = st.sampled_from(
    [".png", ".jpg", ".tif", ".exr", ".webp", ".bmp", ".json", ".yaml", ".mcap", ".db3", ".txt", ".PNG", ""]
)


@pytest.fixture(scope="module", params=["mcap", "sqlite3"])
def bag(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_bag(STREAM, 4, tmp_path_factory.mktemp("recording") / "bag", request.param)


def read(path: Path, modality: str) -> None:
    """Read a recording to its end; whatever it is, it is said in a sentence."""
    try:
        with open_recording(path, modality) as recording:
            count = recording.frame_count()
            frames = list(recording.frames())
            said = recording.skipped.sentences()
            assert recording.taken and (len(frames) >= count or said), "something was left out in silence"
            assert len({frame.name for frame in frames}) == len(frames) or said
    except (ValueError, OSError) as error:
        assert str(error) and "\n" not in str(error) and len(str(error)) < 2000


def damage(data: st.DataObject, content: bytes) -> bytes:
    """Change a file: cut it off, empty it, or change some of its bytes."""
    how = data.draw(st.sampled_from(["cut", "empty", "bytes", "bytes", "double"]))
    if how == "cut":
        return content[: data.draw(st.integers(0, len(content)))]
    if how == "empty" or not content:
        return b""
    if how == "double":
        return content + content
    changed = bytearray(content)
    for _ in range(data.draw(st.integers(1, 8))):
        changed[data.draw(st.integers(0, len(changed) - 1))] = data.draw(st.integers(0, 255))
    return bytes(changed)


@given(st.data())
@_ANY_TIME
def test_any_folder(tmp_path: Path, data: st.DataObject) -> None:
    root = tmp_path / "ward"
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir()
    written: list[Path] = []
    for _ in range(data.draw(st.integers(0, 5))):
        path = root / f"{data.draw(_NAMES)}{data.draw(_ENDINGS)}"
        path.parent.mkdir(exist_ok=True)
        kind = data.draw(st.sampled_from(["color", "depth", "grey", "text", "camera"]))
        plain = root / "plain.png"
        if kind == "color":
            write_picture(plain, np.full((6, 8, 3), 90, np.uint8))
        elif kind == "depth":
            write_depth(plain, np.full((6, 8), 2.0, np.float32))
        elif kind == "grey":
            plain.write_bytes(cv2.imencode(".png", np.zeros((6, 8), np.uint8))[1].tobytes())
        elif kind == "camera":
            path = root / data.draw(
                st.sampled_from(["camera_info.json", "camera_info.yaml", "metadata.yaml"])
            )
            plain.write_text('{"fx": 5, "fy": 5, "cx": 4, "cy": 3, "width": 8, "height": 6}')
        else:
            plain.write_text(data.draw(st.text(max_size=50)), encoding="utf-8", errors="replace")
        content = plain.read_bytes()
        plain.unlink()
        path.write_bytes(damage(data, content) if data.draw(st.booleans()) else content)
        written.append(path)
    target = data.draw(st.sampled_from([root, root, *written]))
    read(target, data.draw(st.sampled_from(MODALITIES)))


@given(st.data())
@_ANY_TIME
def test_any_bag(bag: Path, tmp_path: Path, data: st.DataObject) -> None:
    root = tmp_path / "bag"
    shutil.rmtree(root, ignore_errors=True)
    shutil.copytree(bag, root)
    files = sorted(root.iterdir())
    for file in data.draw(st.lists(st.sampled_from(files), min_size=1, unique=True)):
        how = data.draw(st.sampled_from(["damage", "damage", "damage", "remove", "rename"]))
        if how == "damage":
            file.write_bytes(damage(data, file.read_bytes()))
        elif how == "remove":
            file.unlink()
        else:
            file.rename(root / f"other{data.draw(_ENDINGS)}")
    target = root if data.draw(st.booleans()) else next(iter(sorted(root.iterdir())), root)
    read(target, data.draw(st.sampled_from(MODALITIES)))
