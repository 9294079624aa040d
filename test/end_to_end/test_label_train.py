"""What `orpose label` writes is what `orpose train depthpose` trains on: nobody is lost between the two."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from orpose_core.cli import main
from orpose_core.simulation.stream import StreamConfig
from orpose_core.simulation.writers.bags import write_bag
from orpose_core.training.depthpose.label_file import LabelFile

pytestmark = pytest.mark.timeout(1800)

FRAMES = 6


@pytest.fixture(scope="module")
def labels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    config = StreamConfig("general", (240, 320), "rgbd", seed=5, frames_per_sequence=FRAMES, rate_hz=0.5)
    bag = write_bag(config, FRAMES, folder / "ward")
    assert main(["label", str(bag), "--out", str(folder / "labels"), "--quiet", "--device", "cpu"]) == 0
    return folder / "labels"


def test_the_teacher_in_the_box_labels_people_and_says_what_its_scores_mean(labels):
    content = json.loads((labels / "labels.json").read_text())
    assert content["info"]["teacher"]["detector"]["name"] == "movenet_multipose"
    assert content["info"]["trained"]
    thresholds = content["info"]["thresholds"]
    assert 0 < thresholds["ignored_from"] < thresholds["person_score"] < 0.7
    people = [a for a in content["annotations"] if not a.get("ignore")]
    assert len(people) >= 2
    assert all(a["score"] >= thresholds["person_score"] and a["pose_score"] > 0 for a in people)


def test_everybody_who_is_labelled_is_trained_on(labels):
    content = json.loads((labels / "labels.json").read_text())
    people = [a for a in content["annotations"] if not a.get("ignore")]
    file = LabelFile(labels / "labels.json", labels)
    assert file.person_score == content["info"]["thresholds"]["person_score"]
    assert sum(file.people_in(i) for i in range(len(file))) == len(people)
    assert file.masked() == (0, len(people))


def test_the_command_of_the_documentation_trains_on_the_labels(labels, tmp_path, caplog):
    options = [
        "--data.source", "folder", "--data.folder", str(labels), "--data.labels", str(labels / "labels.json"),
        "--data.render_hw", "[60,80]", "--data.crop_hw", "[32,40]", "--engine.steps", "2",

        "--engine.batch", "2", "--engine.workers", "0", "--validation.final_frames", "0",
        "--out", str(tmp_path / "run"),
    ]  # fmt: skip
    assert main(["train", "depthpose", "--config", "tiny", *options]) == 0
    assert (tmp_path / "run" / "weights.safetensors").is_file()
    assert "are masked" not in caplog.text


def test_a_training_that_would_mask_most_people_says_so_first(labels, tmp_path, caplog):
    content = json.loads((labels / "labels.json").read_text())
    people = [a for a in content["annotations"] if not a.get("ignore")]
    scores = sorted(a["score"] for a in people)
    threshold = scores[-1]
    options = [
        "--data.source", "folder", "--data.folder", str(labels), "--data.labels", str(labels / "labels.json"),
        "--data.render_hw", "[60,80]", "--data.person_score", str(threshold), "--engine.steps", "1",
        "--engine.batch", "1", "--engine.workers", "0", "--validation.final_frames", "0",
        "--out", str(tmp_path / "run"),
    ]  # fmt: skip
    masked = sum(score < threshold for score in scores)
    assert masked > len(scores) / 2
    assert main(["train", "depthpose", "--config", "tiny", *options]) == 0
    assert f"{masked} of {len(scores)} people are masked" in caplog.text
