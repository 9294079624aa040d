"""`orpose convert`: the published files become ours with the same answers, and strangers are refused.

``data/depthpose_published_maps.npy`` was recorded from the released network (docs/checkpoints.md says how),
filled with the numbers that :func:`published_weights` makes; so this test needs neither its code nor its
weights.
"""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch

from orpose_core.checkpoints.files import load_checkpoint
from orpose_core.checkpoints.published import convert_checkpoint, initialise_from_rtpose
from orpose_core.checkpoints.torch_files import read_state_dict
from orpose_core.cli import main
from orpose_core.models import ModelConfig, build_model

DATA = Path(__file__).parent / "data"


def hashed(count: int, start: int) -> np.ndarray:
    """float32 in [-1, 1) that any machine and any library version makes alike (splitmix64)."""
    z = (np.arange(start, start + count, dtype=np.uint64) + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    z ^= z >> np.uint64(31)
    return ((z >> np.uint64(40)).astype(np.float32) / np.float32(2**24)) * 2 - 1


def published_weights() -> dict[str, torch.Tensor]:
    """Weights of the released DepthPose's names and shapes, large enough for maps of order 1."""
    weights, start = {}, 0
    for line in (DATA / "depthpose_published_keys.tsv").read_text().splitlines():
        key, text = line.split("\t")
        shape = tuple(map(int, text.split("x")))
        count = int(np.prod(shape))
        scale = (6 / np.prod(shape[1:])) ** 0.5 if len(shape) == 4 else 0.02
        weights[key] = torch.from_numpy((hashed(count, start) * np.float32(scale)).reshape(shape))
        start += count
    return weights


def rtpose_weights(**random_layers: int) -> dict[str, torch.Tensor]:
    """A published RTPose file's names and shapes: five refinements, three colors; named layers are random."""
    trunk = [(3, 64), (64, 64), (64, 128), (128, 128), (128, 256), *[(256, 256)] * 3]
    trunk += [(256, 512), (512, 512), (512, 256), (256, 128)]
    layers = [("model0", i, o, 3, n) for n, (i, o) in zip(TRUNK_PLACES, trunk, strict=True)]
    for branch, outputs in ((1, 38), (2, 19)):
        first = [(128, 128, 3)] * 3 + [(128, 512, 1), (512, outputs, 1)]
        later = [(185, 128, 7)] + [(128, 128, 7)] * 4 + [(128, 128, 1), (128, outputs, 1)]
        for stage in range(1, 7):
            sizes = first if stage == 1 else later
            layers += [(f"model{stage}_{branch}", i, o, k, 2 * n) for n, (i, o, k) in enumerate(sizes)]
    weights = {}
    for block, inputs, outputs, size, place in layers:
        key, shape = f"{block}.{place}", (outputs, inputs, size, size)
        seed = random_layers.get(key.replace(".", "_"))
        if seed is None:  # one number, seen everywhere: the file stays small
            weights[f"{key}.weight"] = torch.full((1,), 0.01).expand(shape)
        else:
            weights[f"{key}.weight"] = torch.randn(shape, generator=torch.Generator().manual_seed(seed))
        weights[f"{key}.bias"] = torch.zeros(outputs)
    return weights


TRUNK_PLACES = (0, 2, 5, 7, 10, 12, 14, 16, 19, 21, 23, 25)


def test_the_published_depthpose_gives_the_same_maps(tmp_path):
    torch.save(published_weights(), tmp_path / "depthpose_64x48.pth")
    target = tmp_path / "ours.safetensors"
    assert (
        main(
            ["convert", str(tmp_path / "depthpose_64x48.pth"), "--to", str(target), "--as", "depthpose_64x48"]
        )
        == 0
    )
    checkpoint = load_checkpoint(target)
    assert checkpoint.config == ModelConfig(sr_image=False)
    assert checkpoint.trained
    assert checkpoint.licence == "CC BY-NC-SA 4.0"
    image = torch.from_numpy((hashed(80, 10**9) * 0.5 + 0.5).reshape(1, 1, 8, 10))
    with torch.no_grad():
        stages = checkpoint.model(image).stages
    recorded = np.load(DATA / "depthpose_published_maps.npy")
    for stage, theirs in ((stages[0], recorded[0]), (stages[-1], recorded[1])):
        ours = torch.cat(stage, dim=1)[0].numpy()
        unit = np.abs(theirs).max()
        assert theirs.std() > 0.1 * unit  # maps that say something
        np.testing.assert_allclose(ours / unit, theirs / unit, atol=1e-5)
    for file in tmp_path.iterdir():  # 156 MB each
        file.unlink()


def test_data_parallel_names_and_nested_files_are_understood(tmp_path):
    weights = {"a": torch.zeros(2)}
    for content in (weights, {"state_dict": weights}, {"model": {"module.a": weights["a"]}}):
        torch.save(content, tmp_path / "a.pth")
        assert list(read_state_dict(tmp_path / "a.pth")) == ["a"]


def test_rtpose_initialises_the_pose_part_as_the_paper_says(tmp_path):
    source = tmp_path / "rtpose.pth"
    published = rtpose_weights(model0_0=1, model2_1_0=2, model4_2_0=3, model1_1_8=4)
    torch.save(published, source)
    torch.manual_seed(0)
    model = build_model(ModelConfig())
    before = model.super_resolution.c1[0].weight.clone()
    initialise_from_rtpose(model, source)
    pose = model.pose
    assert torch.equal(model.super_resolution.c1[0].weight, before)
    assert torch.equal(pose.first_stage.paf_branch[8].weight, published["model1_1.8.weight"])
    first = pose.refinement_stages[0].paf_branch[0].weight.detach()
    theirs = published["model2_1.0.weight"]
    assert torch.equal(first[:, :185], theirs)
    repeated = first[:, 185:] - theirs[:, -128:-64]
    assert 0 < repeated.std() < 0.02 * theirs.std()
    assert torch.equal(
        pose.refinement_stages[2].keypoint_branch[0].weight[:, :185], published["model4_2.0.weight"]
    )
    c4 = pose.features[0].weight.detach()
    rgb = published["model0.0.weight"]
    torch.testing.assert_close(c4[:, 3:6] * 64 / 3, rgb, atol=0.1, rtol=0)
    # 64 equal channels answer as the grey image did in all three colors.
    torch.testing.assert_close(c4.sum(dim=1), rgb.sum(dim=1), atol=0.35, rtol=0)
    first_layer = build_model(ModelConfig("rtpose", refinement_stages=0), seed=0)
    initialise_from_rtpose(first_layer, source)
    torch.testing.assert_close(first_layer.pose.features[0].weight, rgb.sum(dim=1, keepdim=True))


def test_a_converted_rtpose_says_that_it_is_not_trained(tmp_path):
    torch.save(rtpose_weights(), tmp_path / "rtpose.pth")
    said = convert_checkpoint(tmp_path / "rtpose.pth", tmp_path / "ours.safetensors", "rtpose_640x480")
    assert "to be trained" in said
    assert not load_checkpoint(tmp_path / "ours.safetensors").trained
    (tmp_path / "ours.safetensors").unlink()


def test_other_widths_are_refused(tmp_path):
    torch.save(rtpose_weights(), tmp_path / "rtpose.pth")
    with pytest.raises(ValueError, match=r"expected a network of width 1\.0, got 0\.25"):
        convert_checkpoint(tmp_path / "rtpose.pth", tmp_path / "a.safetensors", "depthpose_64x48@0.25")
    torch.save({"stage1_conv1.weight": torch.zeros(1)}, tmp_path / "depthpose.pth")
    for name in ("depthpose_64x48@0.25", "rtpose_64x48"):
        with pytest.raises(ValueError, match=r"holds a DepthPose of width 1\.0; it cannot become"):
            convert_checkpoint(tmp_path / "depthpose.pth", tmp_path / "a.safetensors", name)
    assert not (tmp_path / "a.safetensors").exists()


class Attack:
    """What a hostile pickle would run."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def test_code_in_a_file_is_refused_and_not_run(tmp_path):
    torch.save({"stage1_conv1.weight": Attack(tmp_path / "ran")}, tmp_path / "hostile.pth")
    with pytest.raises(ValueError, match="refused: expected a file of tensors alone"):
        convert_checkpoint(tmp_path / "hostile.pth", tmp_path / "a.safetensors", "depthpose_64x48")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    "content", [b"", b"PK\x03\x04cut", b"<html>not found</html>", pickle.dumps([1, 2]), b"\x80\x02}q\x00."]
)
def test_damaged_and_wrong_files_are_refused_with_a_sentence(content, tmp_path):
    path = tmp_path / "a.pth"
    path.write_bytes(content)
    with pytest.raises(
        ValueError, match=r"refused|not a readable PyTorch file|expected a (state dict|PyTorch file)"
    ) as refusal:
        read_state_dict(path)
    assert str(path) in str(refusal.value)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda w: w.pop("conv_x2_1.weight"), r"no s1\.1\.weight"),
        (lambda w: w.update({"model9.0.weight": torch.zeros(1)}), r"holds 'model9\.0\.weight'"),
        (lambda w: w.update({"stage1_conv1.weight": torch.zeros(64, 3, 3, 3)}), "instead of"),
    ],
)
def test_a_file_that_does_not_fit_is_named(change, sentence, tmp_path):
    shapes = [line.split("\t") for line in (DATA / "depthpose_published_keys.tsv").read_text().splitlines()]
    weights = {key: torch.zeros(1).expand(tuple(map(int, shape.split("x")))) for key, shape in shapes}
    change(weights)
    torch.save(weights, tmp_path / "a.pth")
    with pytest.raises(ValueError, match=sentence):
        convert_checkpoint(tmp_path / "a.pth", tmp_path / "a.safetensors", "depthpose_64x48")


def test_a_missing_file_is_one_sentence_on_the_command_line(tmp_path, capsys):
    arguments = ["convert", str(tmp_path / "none.pth"), "--to", str(tmp_path / "a.safetensors")]
    assert main([*arguments, "--as", "depthpose_64x48"]) == 2
    assert capsys.readouterr().err == f"orpose convert: {tmp_path / 'none.pth'}: no such file\n"
