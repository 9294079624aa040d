"""Running a network: the same answer in every layout and precision, on whatever this machine has."""

from __future__ import annotations

import pytest
import torch

from orpose_core.models import ModelConfig, build_model, inference
from orpose_core.models.inference import MapPredictor, bf16_is_fast, choose_device, processor_flags

TINY = {"width": 0.1, "sr_width": 0.1, "input_hw": (12, 16), "full_hw": (48, 64)}


@pytest.mark.parametrize("architecture", ["depthpose", "rtpose", "sr_rtpose"])
def test_float32_inference_is_the_network(architecture):
    model = build_model(ModelConfig(architecture, **TINY), seed=0).eval()
    images = torch.rand(2, 1, 12, 16)
    with torch.no_grad():
        expected = model(images).stages[-1]
    predictor = MapPredictor(model, "cpu", half_precision=False)
    maps = predictor(images)
    torch.testing.assert_close(maps.paf_maps, expected.paf_maps, atol=1e-6, rtol=1e-3)
    torch.testing.assert_close(maps.keypoint_maps, expected.keypoint_maps, atol=1e-6, rtol=1e-3)
    assert not predictor.bf16
    assert predictor.backend.endswith("cpu float32")


@pytest.mark.parametrize("architecture", ["depthpose", "rtpose", "sr_rtpose"])
def test_bf16_inference_is_near_it_and_comes_out_as_float32(architecture, monkeypatch):
    monkeypatch.setattr(inference, "bf16_is_fast", lambda _: True)
    model = build_model(ModelConfig(architecture, **TINY), seed=0)
    images = torch.rand(2, 1, 12, 16)
    exact = MapPredictor(model, "cpu", half_precision=False)(images)
    predictor = MapPredictor(model, "cpu")
    maps = predictor(images)
    assert predictor.bf16
    assert predictor.backend.endswith("cpu bf16")
    for a, b in zip(maps, exact, strict=True):
        assert a.dtype == torch.float32
        assert a.is_contiguous()
        assert (a - b).abs().max() < 0.1 * b.abs().max()


def test_nothing_is_recorded_for_gradients_and_training_mode_ends():
    model = build_model(ModelConfig(**TINY), seed=0).train()
    maps = MapPredictor(model, "cpu")(torch.rand(1, 1, 12, 16))
    assert not maps.paf_maps.requires_grad
    assert not model.training


def test_warming_up_changes_nothing():
    predictor = MapPredictor(build_model(ModelConfig(**TINY), seed=0), "cpu")
    images = torch.rand(1, 1, 12, 16)
    before = predictor(images)
    predictor.warm_up(2, 1, (12, 16))
    assert torch.equal(before.paf_maps, predictor(images).paf_maps)


def test_the_device_is_one_that_is_there():
    assert choose_device("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")
    assert choose_device("cpu").type == "cpu"
    with pytest.raises(ValueError, match="expected 'auto', 'cpu'"):
        choose_device("abacus")
    for real_but_of_no_use in ("meta", "xla", "cpu:0:1"):
        with pytest.raises(ValueError, match="expected 'auto', 'cpu'"):
            choose_device(real_but_of_no_use)
    if not torch.backends.mps.is_available():
        with pytest.raises(ValueError, match="mps is wanted, but torch finds no GPU of Apple"):
            choose_device("mps")
    with pytest.raises(ValueError, match=r"cuda:99 is wanted, but torch finds \d+ GPUs"):
        choose_device("cuda:99")


def test_each_process_of_a_machine_has_a_gpu_of_its_own(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert choose_device("auto") == torch.device("cuda")
    assert choose_device("auto", 1) == torch.device("cuda:1")
    assert choose_device("cuda:0", 1) == torch.device("cuda:0")
    assert choose_device("cpu", 1) == torch.device("cpu")
    with pytest.raises(ValueError, match=r"cuda:2 is wanted, but torch finds 2 GPUs.*one process per GPU"):
        choose_device("auto", 2)


@pytest.mark.parametrize(
    ("cpuinfo", "fast"),
    [
        ("processor\t: 0\nflags\t\t: fpu sse2 avx512f avx512_bf16\n", True),
        ("flags : amx_bf16\n", True),
        ("Features\t: fp asimd bf16\n", True),
        ("flags\t\t: fpu sse2 avx2 avx512f\n", False),
        ("processor\t: 0\n", False),
        (None, False),
    ],
)
def test_bf16_is_used_only_where_the_processor_has_it(cpuinfo, fast, tmp_path, monkeypatch):
    monkeypatch.setattr(inference, "_CPUINFO", tmp_path / "cpuinfo")
    if cpuinfo is not None:
        (tmp_path / "cpuinfo").write_text(cpuinfo)
    assert bf16_is_fast(torch.device("cpu")) is fast
    assert ("sse2" in processor_flags()) == ("sse2" in (cpuinfo or ""))


@pytest.mark.parametrize(
    ("cap", "fast"), [("", True), ("DEFAULT", True), ("avx512_core_bf16", True), ("AVX512_CORE_AMX", True),
                      ("AVX2", False), ("avx512_core_vnni", False)],
)  # fmt: skip
@pytest.mark.parametrize("name", ["ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA"])
def test_a_processor_that_must_do_without_bf16_has_none(name, cap, fast, tmp_path, monkeypatch):
    path = tmp_path / "cpuinfo"
    path.write_text("flags : sse2 avx512_bf16\n")
    monkeypatch.setattr(inference, "_CPUINFO", path)
    monkeypatch.setenv(name, cap)
    assert bf16_is_fast(torch.device("cpu")) is fast
