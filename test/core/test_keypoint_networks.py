"""HRNet and Simple Baselines: the authors' parameter names, the authors' outputs, and files of theirs."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import ModuleType

import pytest
import torch

from orpose_core.checkpoints.keypoint_networks import (
    keypoint_config,
    load_keypoint_network,
    random_keypoint_network,
)
from orpose_core.models.hrnet import HRNetConfig
from orpose_core.models.keypoint_networks import build_keypoint_network, standardised_crops
from orpose_core.models.simple_baselines import SimpleBaselinesConfig

DATA = Path(__file__).parent / "data"
RECORD = json.loads((DATA / "teacher_networks.json").read_text())
TINY = HRNetConfig(width=4, input_hw=(64, 64), modules=(1, 1, 1), blocks=1)


def _recorder() -> ModuleType:
    spec = importlib.util.spec_from_file_location(
        "record_teacher_networks", DATA / "record_teacher_networks.py"
    )
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


recorder = _recorder()


@pytest.mark.parametrize("name", RECORD)
def test_parameters_are_those_of_the_release(name: str) -> None:
    with torch.device("meta"):
        model = build_keypoint_network(keypoint_config(name))
    expected = RECORD[name]
    assert len(model.state_dict()) == expected["keys"]
    assert recorder.keys_sha256(model) == expected["keys_sha256"]
    assert sum(p.numel() for p in model.parameters()) == expected["parameters"]


@pytest.mark.parametrize("name", [n for n in RECORD if "101" not in n])
@torch.inference_mode()
def test_outputs_are_those_of_the_authors_code(name: str) -> None:
    model = recorder.fill_seeded(build_keypoint_network(keypoint_config(name)))
    maps = model(recorder.seeded_input(*recorder.SMALL_HW))
    assert maps.shape == (1, 17, recorder.SMALL_HW[0] // 4, recorder.SMALL_HW[1] // 4)
    expected, got = RECORD[name]["maps"], recorder.numbers_of(maps)
    tolerance = 1e-4 * expected["std"]
    assert got["mean"] == pytest.approx(expected["mean"], abs=tolerance)
    assert got["std"] == pytest.approx(expected["std"], abs=tolerance)
    assert got["values"] == pytest.approx(expected["values"], abs=tolerance)


def test_caffe_files_differ_in_what_their_names_do_not_tell() -> None:
    plain, caffe = RECORD["pose_resnet_50_256x192"], RECORD["pose_resnet_50_caffe_256x192"]
    assert plain["keys_sha256"] == caffe["keys_sha256"]
    assert plain["maps"]["values"] != caffe["maps"]["values"]


def test_names_tell_the_network() -> None:
    assert keypoint_config("pose_hrnet_w32_256x192") == HRNetConfig(32, (256, 192))
    assert keypoint_config("pose_resnet_152_384x288") == SimpleBaselinesConfig(152, (384, 288))
    assert keypoint_config("pose_resnet_50_caffe_256x192").caffe  # type: ignore[union-attr]
    with pytest.raises(ValueError, match=r"best: expected the name .* such as pose_hrnet"):
        keypoint_config("best")
    with pytest.raises(ValueError, match="50, 101, 152"):
        keypoint_config("pose_resnet_33_256x192")
    with pytest.raises(ValueError, match="multiples of 32"):
        keypoint_config("pose_hrnet_w32_250x192")
    with pytest.raises(ValueError, match="up to 64 modules and blocks"):
        HRNetConfig(blocks=10**9)  # of a false header: it would be built for ever


@pytest.mark.parametrize("layout", ["plain", "module", "state_dict", "best_state_dict"])
def test_every_layout_of_the_releases_is_read(tmp_path: Path, layout: str) -> None:
    tensors = random_keypoint_network(TINY, seed=3).model.state_dict()
    prefixed = {f"module.{k}": v for k, v in tensors.items()}
    content = {
        "plain": dict(tensors),
        "module": prefixed,
        "state_dict": {"epoch": 210, "model": "pose_hrnet", "state_dict": prefixed},
        "best_state_dict": {"epoch": 210, "best_state_dict": dict(tensors), "optimizer": {}},
    }[layout]
    torch.save(content, tmp_path / "pose_hrnet.pth")
    loaded = load_keypoint_network(tmp_path / "pose_hrnet.pth", TINY)
    assert loaded.trained and not loaded.model.training
    for key, value in loaded.model.state_dict().items():
        assert torch.equal(value, tensors[key]), key


def test_files_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    tensors = dict(random_keypoint_network(TINY).model.state_dict())
    path = tmp_path / "pose_hrnet.pth"
    torch.save({k: v for k, v in tensors.items() if k != "final_layer.bias"}, path)
    with pytest.raises(ValueError, match=r"pose_hrnet\.pth: .* do not fit the network: no final_layer\.bias"):
        load_keypoint_network(path, TINY)
    torch.save({**tensors, "fc.weight": torch.zeros(2)}, path)
    with pytest.raises(ValueError, match=r"unexpected fc\.weight"):
        load_keypoint_network(path, TINY)
    torch.save({**tensors, "final_layer.bias": torch.zeros(16)}, path)
    with pytest.raises(ValueError, match=r"final_layer\.bias of shape \(16,\) instead of \(17,\)"):
        load_keypoint_network(path, TINY)
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(ValueError, match=r"pose_hrnet\.pth"):
        load_keypoint_network(path, TINY)
    with pytest.raises(ValueError, match="no such file"):
        load_keypoint_network(tmp_path / "pose_hrnet_w48_384x288.pth")


def test_counters_of_old_files_may_be_missing(tmp_path: Path) -> None:
    tensors = random_keypoint_network(TINY).model.state_dict()
    torch.save(
        {k: v for k, v in tensors.items() if not k.endswith("num_batches_tracked")}, tmp_path / "old.pth"
    )
    load_keypoint_network(tmp_path / "old.pth", TINY)


def test_colors_enter_in_the_order_of_each_release() -> None:
    red = torch.zeros(1, 32, 32, 3, dtype=torch.uint8)
    red[..., 0] = 255
    for config, bright in ((TINY, 0), (SimpleBaselinesConfig(50, (32, 32)), 2)):
        x = standardised_crops(red, config)
        mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
        expected = [((1.0 if c == bright else 0.0) - mean[c]) / std[c] for c in range(3)]
        assert x[0, :, 5, 5].tolist() == pytest.approx(expected, abs=1e-6)


def test_random_networks_are_the_same_every_time_and_say_what_they_are() -> None:
    first, again, other = (random_keypoint_network(TINY, seed) for seed in (1, 1, 2))
    assert first.sha256 == again.sha256 != other.sha256
    assert not first.trained
