"""The mean of the weights of several networks is one network, and its file says of which."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from orpose_core.checkpoints.files import load_checkpoint, save_checkpoint
from orpose_core.cli import main
from orpose_core.models import FastPoseConfig, build_model
from orpose_core.reports.model_card import card_text
from orpose_core.training.depthpose.averaging import AverageConfig, average, mean_weights
from orpose_core.training.depthpose.threshold_choice import ReadingConfig
from orpose_core.training.depthpose.validation import ValidationConfig

SMALL = FastPoseConfig(stages=1, widths=(8, 12, 16, 16), stem_channels=8, head_channels=8)
FACTS = {
    "kind": "depthpose", "processes": 1, "threads": 1, "device": "", "split": "or-val-v1", "batch_norm": True,
    "window_hw": [32, 40], "data": "the synthetic room", "domains": ["or"], "steps": 10, "images": 160,
    "minutes": 1.5, "scores": {"pck_average": 1.0},
}  # fmt: skip


def written(path: Path, seed: int, licence: str = "Apache-2.0", **facts: object) -> Path:
    metadata = {"training": json.dumps(FACTS | facts), "licence": licence}
    save_checkpoint(path, build_model(SMALL, seed=seed), metadata)
    return path


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("networks")
    return [
        written(folder / "first.safetensors", 1),
        written(folder / "second.safetensors", 2, "CC BY-NC-SA 4.0", steps=30, images=480, domains=["above"]),
    ]


def test_the_mean_is_weighted(files):
    networks = [load_checkpoint(file) for file in files]
    first, second = (network.model.state_dict() for network in networks)
    for name, value in mean_weights(networks, [3.0, 1.0]).items():
        assert value.dtype == first[name].dtype
        torch.testing.assert_close(value, 0.75 * first[name] + 0.25 * second[name])


def test_its_file_says_of_which_and_has_settings_and_scores(files, tmp_path, capsys):
    out = tmp_path / "mean.safetensors"
    words = ["--shares", "1", "3", "--reading-frames", "2", "--frames", "3"]
    assert main(["average", *map(str, files), "--out", str(out), *words]) == 0, capsys.readouterr().err
    assert capsys.readouterr().out.split() == [str(out)]
    mean = load_checkpoint(out)
    assert mean.licence == "Apache-2.0 and CC BY-NC-SA 4.0" and mean.trained
    assert {"decoder", "calibration"} <= mean.metadata.keys()
    facts = json.loads(mean.metadata["training"])
    assert [(m["share"], m["steps"], m["domains"]) for m in facts["mean_of"]] == [
        (0.25, 10, ["or"]), (0.75, 30, ["above"]),
    ]  # fmt: skip
    assert (facts["images"], facts["steps"], facts["minutes"]) == (640, 40, 3.0)
    assert facts["scores"]["frames"] >= 3 and "scores" not in facts["mean_of"][0]
    card = card_text(str(out))
    assert "The mean of the weights of 2 networks" in card
    assert "- share 0.75: 480 windows of 40x32 px of the synthetic room (domain above), 30 steps" in card


def test_networks_that_do_not_fit_are_refused(files, tmp_path):
    networks = [load_checkpoint(file) for file in files]
    with pytest.raises(ValueError, match="expected at least two networks, got 1"):
        mean_weights(networks[:1], [1.0])
    for shares in ([1.0], [1.0, 0.0], [1.0, -1.0]):
        with pytest.raises(ValueError, match="expected 2 positive shares"):
            mean_weights(networks, shares)
    other = replace(networks[1], config=replace(SMALL, input_hw=(60, 80)))
    with pytest.raises(ValueError, match=r"expected networks of one kind.* in first and .* in second"):
        mean_weights([networks[0], other], [1.0, 1.0])
    bare = tmp_path / "bare.safetensors"
    save_checkpoint(bare, build_model(SMALL, seed=3))
    few = AverageConfig(ReadingConfig(frames=1), ValidationConfig(final_frames=0))
    out = tmp_path / "out.safetensors"
    with pytest.raises(ValueError, match=r"bare\.safetensors: this file does not say how it was trained"):
        average([files[0], bare], out, config=few)
    with pytest.raises(ValueError, match="expected a network that answers with maps of depth"):
        average(["student_small", "student_small"], out, config=few)
    with pytest.raises(ValueError, match="expected frames for thresholds"):
        average(files, out, config=AverageConfig(ReadingConfig()))
    assert not out.exists()
