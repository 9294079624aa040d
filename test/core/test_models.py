"""The networks: the paper's numbers, their identities, and what must hold at any width."""

from __future__ import annotations

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from orpose_core.models import (
    DepthPose,
    ModelConfig,
    RTPose,
    SrRtPose,
    SuperResolver,
    build_model,
)
from orpose_core.models.layers import scaled
from orpose_core.skeleton import OPENPOSE18

TINY = {"width": 0.1, "sr_width": 0.1, "input_hw": (12, 16), "full_hw": (48, 64)}


def tiny(architecture: str, **more):
    return build_model(ModelConfig(architecture, **{**TINY, **more}), seed=1).eval()


def parameters(model) -> int:
    return sum(p.numel() for p in model.parameters())


@pytest.mark.parametrize(("input_hw", "gflops"), [((48, 64), 426.1), ((60, 80), 665.8)])
def test_depthpose_has_the_papers_size_and_cost(input_hw, gflops):
    with torch.device("meta"):
        model = build_model(ModelConfig(input_hw=input_hw, sr_image=False)).eval()
    with FlopCounterMode(display=False) as counter:
        maps = model(torch.zeros(1, 1, *input_hw, device="meta"))
    assert parameters(model) == 39_003_204
    assert counter.get_total_flops() / 1e9 == pytest.approx(gflops, abs=0.05)
    assert [tuple(s.paf_maps.shape) for s in maps.stages] == [(1, 38, *input_hw)] * 4
    assert [tuple(s.keypoint_maps.shape) for s in maps.stages] == [(1, 19, *input_hw)] * 4


def test_the_fused_input_has_249_channels():
    with torch.device("meta"):
        depthpose, rtpose = build_model(ModelConfig()), build_model(ModelConfig("rtpose"))
    assert depthpose.pose.refinement_channels == 249 == 128 + 38 + 19 + 32 + 32
    assert rtpose.pose.refinement_channels == 185 == 128 + 38 + 19
    assert depthpose.pose.refinement_stages[0].paf_branch[0].in_channels == 249


def test_the_default_channels_are_the_skeletons():
    config = ModelConfig()
    assert config.keypoint_channels == len(OPENPOSE18) + 1
    assert config.paf_channels == 2 * len(OPENPOSE18.edges)


def test_c16_is_one_convolution_and_costs_577_parameters():
    with torch.device("meta"):
        sizes = [parameters(build_model(ModelConfig(sr_image=with_c16))) for with_c16 in (True, False)]
    assert sizes[0] - sizes[1] == 64 * 9 + 1


def test_the_sr_image_is_made_in_training_or_when_asked_for():
    model = tiny("depthpose")
    image = torch.rand(2, 1, 12, 16)
    assert model(image).sr_image is None
    assert model(image, with_sr_image=True).sr_image.shape == (2, 1, 96, 128)
    assert model.train()(image).sr_image.shape == (2, 1, 96, 128)
    assert model(image, with_sr_image=False).sr_image is None
    without = tiny("depthpose", sr_image=False)
    assert without.train()(image).sr_image is None
    with pytest.raises(ValueError, match="built without C16"):
        without(image, with_sr_image=True)


@pytest.mark.parametrize("width", [0.05, 0.125, 0.25, 0.3, 0.5, 0.77])
def test_width_scales_hidden_channels_only(width):
    with torch.device("meta"):
        model = build_model(ModelConfig(width=width)).eval()
    convolutions = [m for m in model.modules() if isinstance(m, torch.nn.Conv2d)]
    outer = (1, 38, 19)
    assert all(c.out_channels % 8 == 0 or c.out_channels in outer for c in convolutions)
    assert convolutions[0].in_channels == 1
    n32, n128 = scaled(32, width), scaled(128, width)
    assert model.pose.refinement_channels == n128 + 38 + 19 + 2 * n32
    maps = model(torch.zeros(1, 1, 12, 16, device="meta"))
    assert maps.stages[-1].paf_maps.shape == (1, 38, 12, 16)


def test_width_one_keeps_every_number_of_the_paper():
    assert [scaled(n, 1.0) for n in (32, 64, 128, 256, 512)] == [32, 64, 128, 256, 512]


@pytest.mark.parametrize(
    ("architecture", "kind"),
    [
        ("depthpose", DepthPose),
        ("rtpose", RTPose),
        ("sr_rtpose", SrRtPose),
        ("super_resolution", SuperResolver),
    ],
)
def test_batched_equals_single_and_maps_have_the_promised_size(architecture, kind):
    model = tiny(architecture)
    assert isinstance(model, kind)
    images = torch.rand(3, 1, 12, 16)
    with torch.no_grad():
        together, alone = model(images), model(images[1:2])
    for many, one in zip(together.stages, alone.stages, strict=True):
        assert tuple(many.paf_maps.shape[-2:]) == model.config.map_hw
        torch.testing.assert_close(many.paf_maps[1:2], one.paf_maps, atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(many.keypoint_maps[1:2], one.keypoint_maps, atol=1e-5, rtol=1e-4)
    if architecture in ("sr_rtpose", "super_resolution"):
        assert tuple(together.sr_image.shape[-2:]) == model.config.sr_hw == (96, 128)


def test_rtpose_resamples_a_small_image_and_takes_a_large_one_as_it_is():
    model = tiny("rtpose")
    seen = []
    model.pose.features.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    edge = torch.zeros(1, 1, 12, 16)
    edge[..., 8:] = 1.0  # bicubic interpolation overshoots at an edge
    large = torch.rand(1, 1, 48, 64)
    with torch.no_grad():
        model(edge)
        model(large)
    assert seen[0].shape == (1, 1, 48, 64)
    assert seen[0].min() >= 0.0 and seen[0].max() <= 1.0
    assert torch.equal(seen[1], large)


def test_the_papers_map_sizes():
    assert ModelConfig("rtpose", input_hw=(48, 64)).map_hw == (60, 80)
    assert ModelConfig("sr_rtpose", input_hw=(48, 64)).map_hw == (48, 64)
    assert ModelConfig("sr_rtpose", input_hw=(48, 64)).sr_hw == (384, 512)


def test_the_cascade_is_frozen_in_front_and_clips_its_image():
    model = tiny("sr_rtpose").train()
    with torch.no_grad():
        model.super_resolver.c16.bias.fill_(5.0)
    maps = model(torch.rand(1, 1, 12, 16))
    assert maps.sr_image.max() <= 1.0
    sum(m.sum() for stage in maps.stages for m in stage).backward()
    assert all(p.grad is None and not p.requires_grad for p in model.super_resolver.parameters())
    assert not model.super_resolver.training
    assert all(p.grad is not None for p in model.rtpose.parameters())


def test_every_parameter_of_depthpose_gets_a_gradient():
    model = tiny("depthpose").train()
    maps = model(torch.rand(2, 1, 12, 16))
    loss = maps.sr_image.square().mean() + sum(m.square().mean() for stage in maps.stages for m in stage)
    loss.backward()
    without = [name for name, p in model.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    # Biases of dead ReLUs may rest, whole weights may not.
    assert not [name for name in without if name.endswith("weight")]


def test_super_resolution_weights_are_orthogonal():
    model = tiny("depthpose")
    for block in (model.super_resolution.c1, model.super_resolution.c2, model.super_resolution.c3):
        layers = [m for m in block if isinstance(m, torch.nn.Conv2d)]
        for layer in layers:
            rows = layer.weight.detach().flatten(1)
            gain = 1.0 if layer is layers[-1] else 2.0
            gram = rows @ rows.T if rows.shape[0] <= rows.shape[1] else rows.T @ rows
            torch.testing.assert_close(gram, gain * torch.eye(len(gram)), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("architecture", ["depthpose", "rtpose"])
def test_a_fresh_network_passes_signal_through_and_believes_in_nobody(architecture):
    model = build_model(ModelConfig(architecture, **{**TINY, "width": 0.25}), seed=0).eval()
    with torch.no_grad():
        features = model.pose.features
        seen = []
        features.register_forward_hook(lambda *args: seen.append(args[2]))
        stages = model(torch.rand(1, 1, 12, 16)).stages
    assert seen[0].std() > 0.05  # He initialisation: with N(0, 0.01²) it is below 1e-6
    assert all(m.abs().max() < 1.0 for stage in stages for m in stage)


def test_a_seed_gives_the_same_weights_and_leaves_the_random_state_alone():
    torch.manual_seed(3)
    before = torch.random.get_rng_state()
    first = build_model(ModelConfig(**TINY), seed=5).state_dict()
    assert torch.equal(before, torch.random.get_rng_state())
    again = build_model(ModelConfig(**TINY), seed=5).state_dict()
    other = build_model(ModelConfig(**TINY), seed=6).state_dict()
    assert all(torch.equal(first[k], again[k]) for k in first)
    assert not all(torch.equal(first[k], other[k]) for k in first)


def test_color_has_three_channels():
    model = tiny("rtpose", modality="color")
    assert model(torch.rand(1, 3, 12, 16)).stages[-1].keypoint_maps.shape == (1, 19, 6, 8)


@pytest.mark.parametrize("architecture", ["depthpose", "rtpose", "sr_rtpose", "super_resolution"])
@pytest.mark.parametrize("shape", [(1, 3, 12, 16), (1, 12, 16)])
def test_images_of_another_shape_are_refused(architecture, shape):
    with pytest.raises(ValueError, match=r"expected images \(B, 1, H, W\), got"):
        tiny(architecture)(torch.rand(*shape))


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"architecture": "hourglass"}, "architecture: expected one of"),
        ({"modality": "thermal"}, "modality: expected one of"),
        ({"width": 0.0}, "width: expected above 0"),
        ({"width": 1e6}, "width: expected above 0, up to 16"),
        ({"width": float("nan")}, "width: expected above 0"),
        ({"sr_width": -1.0}, "sr_width: expected above 0"),
        ({"depth_range_m": 0.0}, "depth_range_m: expected a positive number"),
        ({"input_hw": (0, 64)}, "input_hw: expected a positive"),
        ({"refinement_stages": -1}, "refinement_stages: expected 0 to 64"),
        ({"architecture": "rtpose", "full_hw": (481, 640)}, "full_hw: expected multiples of 8"),
        ({"widht": 1.0}, r"unknown \['widht'\]"),
    ],
)
def test_a_wrong_config_is_refused_by_name(values, sentence):
    with pytest.raises(ValueError, match=sentence):
        ModelConfig.from_dict(values)
