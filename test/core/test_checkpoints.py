"""Weights on disk: what goes in comes out, and what is wrong is refused with a sentence."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import random
from dataclasses import replace
from pathlib import Path

import pytest
import safetensors.torch
import torch

from orpose_core.checkpoints.files import (
    load_checkpoint,
    save_checkpoint,
)
from orpose_core.checkpoints.keypoint_networks import load_keypoint_network
from orpose_core.checkpoints.movenet.files import MOVENETS, load_movenet
from orpose_core.checkpoints.small_detectors import load_small_detector
from orpose_core.checkpoints.weights_file import read_header, read_weights, weights_names
from orpose_core.models import (
    SMALL_STUDENT,
    DepthPose,
    ModelConfig,
    StudentConfig,
    build_model,
    config_named,
)
from orpose_core.teacher.lifting import load_lifter

REPOSITORY = Path(__file__).parents[2]

TINY = {"width": 0.1, "sr_width": 0.1, "input_hw": (12, 16), "full_hw": (48, 64)}


def tiny(architecture="depthpose", seed=0):
    return build_model(ModelConfig(architecture, **TINY), seed=seed)


@pytest.fixture
def saved(tmp_path) -> Path:
    path = tmp_path / "depthpose_tiny.safetensors"
    save_checkpoint(path, tiny(), {"licence": "Apache-2.0", "trained_on": "the synthetic room"})
    return path


@pytest.mark.parametrize("architecture", ["depthpose", "rtpose", "sr_rtpose", "super_resolution"])
def test_what_goes_in_comes_out(architecture, tmp_path):
    model = tiny(architecture).to(memory_format=torch.channels_last).eval()
    sha256 = save_checkpoint(tmp_path / "net.safetensors", model, {"licence": "MIT", "steps": "12"})
    checkpoint = load_checkpoint(tmp_path / "net.safetensors")
    assert checkpoint.config == model.config
    assert checkpoint.name == "net"
    assert checkpoint.licence == "MIT"
    assert checkpoint.trained
    assert checkpoint.metadata["steps"] == "12"
    assert checkpoint.sha256 == sha256
    assert sha256 == hashlib.sha256((tmp_path / "net.safetensors").read_bytes()).hexdigest()
    assert not checkpoint.model.training
    image = torch.rand(1, 1, 12, 16)
    with torch.no_grad():
        ours, again = model(image), checkpoint.model(image)
    for a, b in zip(ours.stages, again.stages, strict=True):
        torch.testing.assert_close(a.paf_maps, b.paf_maps)
        torch.testing.assert_close(a.keypoint_maps, b.keypoint_maps)
    frozen = [p.requires_grad for p in model.parameters()]
    assert [p.requires_grad for p in checkpoint.model.parameters()] == frozen


def test_half_precision_halves_the_file_and_keeps_the_answer(tmp_path):
    model = tiny().eval()
    save_checkpoint(tmp_path / "full.safetensors", model)
    save_checkpoint(tmp_path / "half.safetensors", model, half=True)
    full, half = ((tmp_path / f"{n}.safetensors").stat().st_size for n in ("full", "half"))
    assert half < 0.6 * full
    checkpoint = load_checkpoint(tmp_path / "half.safetensors")
    assert {p.dtype for p in checkpoint.model.parameters()} == {torch.float32}
    image = torch.rand(1, 1, 12, 16)
    with torch.no_grad():
        a, b = model(image).stages[-1].paf_maps, checkpoint.model(image).stages[-1].paf_maps
    torch.testing.assert_close(a, b, atol=1e-3, rtol=1e-2)


def test_the_same_weights_are_the_same_file(tmp_path):
    first, again, other = (
        save_checkpoint(tmp_path / f"{i}.safetensors", tiny(seed=seed)) for i, seed in enumerate((1, 1, 2))
    )
    assert first == again != other


def test_untrained_weights_say_so_in_the_file_too(tmp_path):
    save_checkpoint(tmp_path / "a.safetensors", tiny(), {"trained": "no"})
    assert not load_checkpoint(tmp_path / "a.safetensors").trained
    assert load_checkpoint(tmp_path / "a.safetensors").licence == "unknown"


def test_a_name_is_looked_up_among_the_weights(saved, tmp_path, monkeypatch):
    share = tmp_path / "prefix" / "share" / "orpose_ros" / "weights"
    share.mkdir(parents=True)
    (share / "depthpose_found.safetensors").write_bytes(saved.read_bytes())
    monkeypatch.setenv("AMENT_PREFIX_PATH", f"/nowhere:{tmp_path / 'prefix'}")
    assert load_checkpoint("depthpose_found").name == "depthpose_found"
    assert "depthpose_found" in weights_names()
    with pytest.raises(ValueError, match=r"depthpose_lost: no such file.*depthpose_found"):
        load_checkpoint("depthpose_lost")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("depthpose", ModelConfig()),
        ("depthpose_64x48", ModelConfig()),
        ("depthpose_80x60@0.25", ModelConfig(width=0.25, input_hw=(60, 80))),
        ("depthpose_64x48@0.25/0.125", ModelConfig(width=0.25, sr_width=0.125)),
        ("rtpose_640x480", ModelConfig("rtpose", input_hw=(480, 640))),
        ("sr_rtpose_80x60", ModelConfig("sr_rtpose", input_hw=(60, 80))),
        ("rtpose_color_53x40@0.5", ModelConfig("rtpose", 0.5, input_hw=(40, 53), modality="color")),
        ("student_small_single_80x60", replace(SMALL_STUDENT, branches="single", input_hw=(60, 80))),
        ("student", StudentConfig()),
    ],
)
def test_names_describe_networks(name, expected):
    assert config_named(name) == expected


@pytest.mark.parametrize(
    "name",
    ["posenet_64x48", "depthpose_64x48@", "depthpose_64x48@x", "depthpose_small", "student_64x48@0.5", ""],
)
def test_other_names_describe_none(name):
    with pytest.raises(ValueError, match="expected the name of a network such as"):
        config_named(name)


def test_untrained_weights_are_always_the_same_and_say_what_they_are():
    first, again = (load_checkpoint("untrained:depthpose_64x48@0.1") for _ in range(2))
    assert isinstance(first.model, DepthPose)
    assert not first.trained
    assert first.name == "untrained:depthpose_64x48@0.1"
    assert first.sha256 == again.sha256
    assert first.sha256 != load_checkpoint("untrained:depthpose_80x60@0.125").sha256


def rewritten(path: Path, change_header=None, change_tensors=None) -> Path:
    """The file again with another header or other tensors."""
    with safetensors.safe_open(str(path), framework="pt") as file:
        header = file.metadata()
    tensors = safetensors.torch.load_file(path)
    if change_header:
        change_header(header)
    if change_tensors:
        change_tensors(tensors)
    safetensors.torch.save_file(tensors, path, header)
    return path


def set_config(**values):
    def change(header):
        header["config"] = json.dumps({**json.loads(header["config"]), **values})

    return change


FIRST = "super_resolution.c1.0.weight"


@pytest.mark.parametrize(
    ("change_header", "change_tensors", "sentence"),
    [
        (lambda h: h.pop("format"), None, r"expected a pose network \(format orpose-2\), got format None"),
        (lambda h: h.update(format="orpose-9"), None, "got format 'orpose-9'"),
        (lambda h: h.pop("kind"), None, "expected a pose network, got weights of kind None"),
        (lambda h: h.update(kind="poem"), None, "expected a pose network, got weights of kind 'poem'"),
        (lambda h: h.update(kind="lifter"), None, "expected a pose network, got a lifter"),
        (lambda h: h.update(config="[" * 100_000), None, "its header holds no config"),
        (set_config(input_hw=None), None, "its header holds no config"),
        (set_config(refinement_stages=1e400), None, "its header holds no config"),
        (None, lambda t: t.update({FIRST: t[FIRST].to(torch.int32)}), f"{FIRST} of torch.int32 instead of"),
        (None, lambda t: t.update({FIRST: t[FIRST].to(torch.float8_e5m2)}), "of torch.float8_e5m2 instead"),
        (lambda h: h.update(config="{"), None, "its header holds no config"),
        (lambda h: h.update(config="[]"), None, "its header holds no config"),
        (lambda h: h.pop("config"), None, "its header holds no config"),
        (set_config(widht=1.0), None, r"unknown \['widht'\]"),
        (set_config(architecture="hourglass"), None, "no network is called 'hourglass'"),
        (set_config(width="wide"), None, "its header holds no config"),
        (set_config(width=0.5), None, "do not fit the network: .* instead of"),
        (set_config(width=1e6), None, "its header holds no config.*up to 16"),
        (set_config(keypoint_channels=10**18), None, "no network can be built"),
        (None, lambda t: t.pop(FIRST), f"no {FIRST}"),
        (None, lambda t: t.update(extra=torch.zeros(1)), "unexpected extra"),
        (None, lambda t: t[FIRST].fill_(float("nan")), f"{FIRST} holds values that are not finite"),
    ],
)
def test_a_wrong_file_is_refused_with_a_sentence(saved, change_header, change_tensors, sentence):
    rewritten(saved, change_header, change_tensors)
    with pytest.raises(ValueError, match=sentence) as refusal:
        load_checkpoint(saved)
    assert str(saved) in str(refusal.value)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    "damage",
    [
        lambda b: b"",
        lambda b: b[:5],
        lambda b: b[:-100],
        lambda b: b[: len(b) // 2],
        lambda b: b"<!DOCTYPE html><html>not found</html>",
        lambda b: b"\xff" * 16 + b[16:],
        lambda b: b[:8] + b"}" + b[9:],
    ],
)
def test_a_damaged_file_is_refused_with_a_sentence(saved, damage):
    saved.write_bytes(damage(saved.read_bytes()))
    with pytest.raises(ValueError, match=r"not a readable safetensors file|expected weights, but it is"):
        load_checkpoint(saved)


ODD = (
    None, -1, 0, 2**63, 10**30, 1e400, "", "x", [], {}, [[]], [-1], [0, 0], True,
    "F64", "BF16", "I64", "U8", "F8_E4M3", "BOOL", "C64", "F4", "[" * 5000,
)  # fmt: skip


def _mutated(value, rng):
    """JSON with one value somewhere in it replaced by another."""
    if isinstance(value, str) and value.startswith("{"):
        return json.dumps(_mutated(json.loads(value), rng))
    if isinstance(value, (dict, list)) and value and rng.random() < 0.85:
        key = rng.choice(list(value)) if isinstance(value, dict) else rng.randrange(len(value))
        value[key] = _mutated(value[key], rng)
        return value
    return rng.choice(ODD)


def test_whatever_a_header_says_ends_in_a_sentence_or_a_network(saved):
    whole = saved.read_bytes()
    end = 8 + int.from_bytes(whole[:8], "little")
    rng = random.Random(3)
    for n in range(300):
        if n % 3:
            header = _mutated(json.loads(whole[8:end]), rng)
            if n % 3 == 1 and isinstance(header, dict):
                header = json.loads(whole[8:end])
                header["__metadata__"] = _mutated(header["__metadata__"], rng)
            text = json.dumps(header).encode()
            damaged = len(text).to_bytes(8, "little") + text + whole[end:]
        else:
            damaged = bytearray(whole)
            damaged[rng.randrange(end)] ^= 1 << rng.randrange(8)
        saved.write_bytes(damaged)
        try:
            load_checkpoint(saved)
        except ValueError as error:
            assert str(saved) in str(error) and "\n" not in str(error)


EARLIER = [
    ("orpose-1", "network", None),
    ("orpose-stage-1", "detector", "detector"),
    ("orpose-stage-1", "keypoints", "keypoints"),
    ("orpose-lifter-1", "lifter", None),
]


@pytest.mark.parametrize(("stored", "kind", "stored_kind"), EARLIER)
def test_files_of_earlier_versions_are_read(saved, stored, kind, stored_kind):
    def change(header):
        header["format"] = stored
        del header["kind"]
        header.update({} if stored_kind is None else {"kind": stored_kind})

    rewritten(saved, change)
    assert read_weights(saved, kind).kind == kind
    other = "lifter" if kind != "lifter" else "network"
    with pytest.raises(ValueError, match=r"expected a .*, got a"):
        read_weights(saved, other)


LOADERS = {
    "network": load_checkpoint,
    "detector": load_small_detector,
    "keypoints": load_keypoint_network,
    "lifter": load_lifter,
}


@pytest.mark.parametrize("path", sorted((REPOSITORY / "weights").glob("*.safetensors")), ids=lambda p: p.stem)
def test_every_shipped_file_loads(path):
    header = read_header(path)
    network = header.config.get("network")
    if network in MOVENETS:
        load_movenet(path, network)
    else:
        LOADERS[header.kind](path)
    assert header.licence == "Apache-2.0" and header.trained


def test_a_pth_file_is_not_opened_but_told_how_to_convert(tmp_path):
    path = tmp_path / "depthpose_64x48.pth"
    path.write_bytes(pickle.dumps({}))
    with pytest.raises(ValueError, match=r"expected a \.safetensors file.*orpose convert"):
        load_checkpoint(path)
    with pytest.raises(ValueError, match="ends in"):
        save_checkpoint(path, tiny())


def test_weights_that_are_not_finite_are_not_written(tmp_path):
    model = tiny()
    with torch.no_grad():
        next(model.parameters())[0] = 1e6  # finite, but not in half precision
    save_checkpoint(tmp_path / "full.safetensors", model)
    with pytest.raises(ValueError, match="not finite"):
        save_checkpoint(tmp_path / "half.safetensors", model, half=True)
    assert [p.name for p in tmp_path.iterdir()] == ["full.safetensors"]


def test_a_failed_write_leaves_the_old_file_and_no_other(saved, monkeypatch):
    before = saved.read_bytes()

    def fail(_):
        raise OSError("no space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="no space"):
        save_checkpoint(saved, tiny(seed=9))
    assert saved.read_bytes() == before
    assert list(saved.parent.iterdir()) == [saved]


def test_a_network_from_elsewhere_is_not_saved(tmp_path):
    with pytest.raises(ValueError, match="expected a network from build_model"):
        save_checkpoint(tmp_path / "a.safetensors", torch.nn.Conv2d(1, 1, 1))
