"""Files that were not fetched as they should have been: every reader says what they are."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from orpose_core.checkpoints.detectron_files import read_detectron_file
from orpose_core.checkpoints.torch_files import read_state_dict
from orpose_core.checkpoints.weights_file import read_header, read_weights
from orpose_core.commands.recipes import parse
from orpose_core.data.coco import read_coco
from orpose_core.data.coco_results import read_results
from orpose_core.data.recordings.camera_files import read_camera
from orpose_core.data.recordings.opening import open_recording
from orpose_core.files import read_color, read_depth, read_json, read_yaml, write_depth
from orpose_core.fusion.rig_files import read_rig
from orpose_core.training.depthpose.recipe import DepthPoseRecipe
from orpose_core.training.experiment import read_experiment

POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 5\n"
PAGE = b"\n<!DOCTYPE html>\n<html lang='en'><body>Sign in: please</body></html>\n"

READERS: dict[str, Callable[[Path], object]] = {
    "model.safetensors": read_weights,
    "head.safetensors": read_header,
    "model.onnx": read_weights,
    "model.pth": read_state_dict,
    "model.pkl": read_detectron_file,
    "any.json": read_json,
    "any.yaml": read_yaml,
    "labels.json": read_coco,
    "results.json": read_results,
    "camera_info.yaml": read_camera,
    "camera_info.json": read_camera,
    "rig.yaml": read_rig,
    "rig.json": read_rig,
    "experiment.yaml": read_experiment,
    "recipe.yaml": lambda path: parse("orpose train", DepthPoseRecipe, ["--config", str(path)]),
    "color.png": read_color,
    "color.jpg": lambda path: open_recording(path, "color"),
    "depth.png": read_depth,
    "depth.tif": open_recording,
    "MVOR.json": open_recording,
    "a.mcap": lambda path: open_recording(path).__enter__(),
    "a.db3": lambda path: open_recording(path).__enter__(),
    "a.bag": lambda path: open_recording(path).__enter__(),
    "a.mp4": lambda path: open_recording(path, "color"),
}


@pytest.mark.parametrize(("content", "said"), [(POINTER, "git lfs pull"), (PAGE, "it is a web page")])
@pytest.mark.parametrize("name", READERS)
def test_every_reader_says_what_a_file_is_instead(
    tmp_path: Path, name: str, content: bytes, said: str
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(ValueError, match=said) as error:
        READERS[name](path)
    assert name in str(error.value) and "\n" not in str(error.value)


def test_images_that_are_pointers_are_left_out_by_name(tmp_path: Path) -> None:
    for k in range(3):
        (tmp_path / f"{k}_depth.png").write_bytes(POINTER)
    with pytest.raises(ValueError, match=r"0_depth\.png: not read: it is a pointer of Git LFS.*3 such files"):
        open_recording(tmp_path)
    write_depth(tmp_path / "3_depth.png", np.full((48, 64), 2.0, np.float32))
    with open_recording(tmp_path) as recording:
        assert len(list(recording.frames())) == 1
        assert "git lfs pull" in recording.skipped.sentences()[0]


def test_a_long_reason_is_said_to_its_end(tmp_path: Path) -> None:
    """An error of a damaged header quotes what it could not read."""
    key = "x" * 300
    header = b'{"%s": {"dtype": "F7", "shape": [1], "data_offsets": [0, 4]}}' % key.encode()
    (tmp_path / "a.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + bytes(4))
    with pytest.raises(ValueError, match="F7"):
        read_weights(tmp_path / "a.safetensors")


def test_a_refused_pickle_gives_no_advice_to_trust_it(tmp_path: Path) -> None:
    (tmp_path / "a.pth").write_bytes(pickle.dumps({"a": pytest.raises}, protocol=2))
    with pytest.raises(ValueError, match="refused: expected a file of tensors alone") as error:
        read_state_dict(tmp_path / "a.pth")
    assert "weights_only" not in str(error.value)
