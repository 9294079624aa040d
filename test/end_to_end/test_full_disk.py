"""A disk that runs full: one sentence, nothing half-written, and the next run goes on from there."""

from __future__ import annotations

import json
import re
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml

from orpose_core.cli import main
from orpose_core.files import read_json
from orpose_core.files.atomic import is_temporary
from orpose_core.simulation import StreamConfig
from orpose_core.simulation.writers.bags import write_bag
from orpose_core.simulation.writers.dataset import write_dataset

REPOSITORY = Path(__file__).parents[2]
STREAM = StreamConfig("or", (96, 128), "rgbd", seed=4, frames_per_sequence=6, rate_hz=10)
DEPTH_MODEL = "untrained:depthpose_64x48@0.0625"
ESTIMATE = ["--model", DEPTH_MODEL, "--no-flip", "--quiet", "--threads", "1", "--device", "cpu"]
LABEL = [
    "--detector", "untrained:fasterrcnn_mobilenet_v3_large_320_fpn", "--keypoints",
    "untrained:pose_hrnet_w4_64x64", "--device", "cpu", "--no-flip", "--quiet", "--batch", "2",
]  # fmt: skip
TINY = {
    "model.width": 0.0625, "model.sr_width": 0.0625, "model.refinement_stages": 1, "model.sr_image": False,
    "loss.hr_weight": 0, "data.render_hw": [48, 64], "engine.steps": 2, "engine.batch": 2,
    "engine.workers": 0, "engine.threads": 1, "engine.validate_steps": 0,
    "validation.frames": 0, "validation.final_frames": 0,
}  # fmt: skip
TRAIN = [f"--{key}={value}" for key, value in TINY.items()]


@contextmanager
def full_disk(largest_file: int) -> Iterator[None]:
    """Let no file grow beyond a size, as if the disk had no room for more."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (largest_file, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.fixture(scope="module")
def bag(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_bag(STREAM, 6, tmp_path_factory.mktemp("recording") / "bag")


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_dataset(STREAM, 3, tmp_path_factory.mktemp("data") / "or").parent


def contents(folder: Path) -> dict[str, bytes]:
    return {
        file.relative_to(folder).as_posix(): file.read_bytes() for file in folder.rglob("*") if file.is_file()
    }


def refused(capfd: pytest.CaptureFixture[str], largest_file: int, words: list[str]) -> str:
    """Run a command on a full disk; return its sentence."""
    capfd.readouterr()
    with full_disk(largest_file):
        assert main(words) == 2
    said = capfd.readouterr().err
    assert "Traceback" not in said
    sentences = [line for line in said.splitlines() if line.startswith("orpose ")]
    assert sentences, said
    return sentences[-1]


def check_nothing_half_written(folder: Path) -> None:
    files = [file for file in folder.rglob("*") if file.is_file()]
    assert not [file for file in files if is_temporary(file) or ".partial" in str(file)]
    for file in files:
        if file.suffix == ".json":
            read_json(file)


def test_simulate(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    for kind, limit in (("coco", 1000), ("mcap", 20_000), ("sqlite3", 20_000)):
        options = ["--frames", "2", "--size", "80x60", "--workers", "1", "--format", kind]
        whole, out = tmp_path / f"whole_{kind}", tmp_path / kind
        assert main(["simulate", "--out", str(whole), *options]) == 0
        said = refused(capfd, limit, ["simulate", "--out", str(out), *options])
        assert said.startswith("orpose simulate: ")
        assert "File too large" in said or "could not be written" in said
        assert kind != "coco" or str(out) in said
        check_nothing_half_written(tmp_path)
        assert main(["simulate", "--out", str(out), *options]) == 0
        assert kind != "coco" or contents(out) == contents(whole)


def test_a_manifest_that_could_not_be_written_does_not_lock_the_folder(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["simulate", "--out", str(tmp_path / "out"), "--frames", "1", "--size", "80x60", "--workers", "1"]
    assert "simulation.json" in refused(capsys, 50, words)
    assert main(words) == 0


def test_label(bag: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    whole, out = tmp_path / "whole", tmp_path / "out"
    assert main(["label", str(bag), "--out", str(whole), *LABEL]) == 0
    journal = (whole / "journal.jsonl").stat().st_size
    picture = max(file.stat().st_size for file in whole.rglob("images/**/*.png"))
    for limit in (picture - 1, journal - 10):
        said = refused(capfd, limit, ["label", str(bag), "--out", str(out), *LABEL])
        assert re.fullmatch(rf"orpose label: {re.escape(str(out))}/\S+: File too large\s*", said)
        check_nothing_half_written(out)
        lines = (out / "journal.jsonl").read_text().splitlines()
        assert all(json.loads(line) for line in lines)
    assert main(["label", str(bag), "--out", str(out), *LABEL]) == 0
    assert contents(out) == contents(whole)


def test_estimate(bag: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    words = ["estimate", str(bag), "--out", str(out), *ESTIMATE]
    for limit in (600, 3000):
        said = refused(capfd, limit, words)
        assert re.fullmatch(rf"orpose estimate: {re.escape(str(out))}/\S+: File too large\s*", said)
        check_nothing_half_written(out)
    assert main(words) == 0
    assert len(read_json(out / "run.json")["images"]) == 6


def test_evaluate(dataset: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    words = ["evaluate", "--dataset", "folder", "--root", str(dataset), "--model", DEPTH_MODEL]
    words += ["--out", str(out), "--device", "cpu"]
    said = refused(capfd, 500, words)
    assert re.fullmatch(rf"orpose evaluate: {re.escape(str(out))}/\S+: File too large\s*", said)
    check_nothing_half_written(out)
    assert main(words) == 0


def test_train(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    words = ["train", "depthpose", "--config", str(REPOSITORY / "training/depthpose_64x48_small.yaml")]
    words += [*TRAIN, "--out", str(out)]
    said = refused(capfd, 30_000, words)
    assert re.fullmatch(rf"orpose train: {re.escape(str(out))}/\S+: File too large\s*", said)
    check_nothing_half_written(out)


def test_experiment(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "experiment.yaml"
    config = str(REPOSITORY / "training/depthpose_64x48_small.yaml")
    steps = [{"name": "first", "train": "depthpose", "config": config}]
    path.write_text(yaml.safe_dump({"set": TINY, "steps": steps}))
    out = tmp_path / "out"
    said = refused(capfd, 30_000, ["experiment", str(path), "--out", str(out)])
    assert said.startswith("orpose experiment: ") and "first" in said
    check_nothing_half_written(out)
    assert main(["experiment", str(path), "--out", str(out)]) == 0
    assert (out / "first" / "weights.safetensors").is_file()
