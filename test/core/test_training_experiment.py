"""Experiments: steps in order, those that are done left out, broken files refused by name."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from orpose_core.cli import main
from orpose_core.commands.recipes import parse
from orpose_core.commands.train import TRAINED
from orpose_core.training.depthpose.recipe import DepthPoseRecipe
from orpose_core.training.experiment import read_experiment, run_experiment, words_of

REPOSITORY = Path(__file__).parents[2]

TINY = {
    "model.width": 0.0625, "model.sr_width": 0.0625, "model.refinement_stages": 1, "model.sr_image": False,
    "loss.hr_weight": 0, "data.render_hw": [48, 64], "engine.steps": 2, "engine.batch": 2,
    "engine.workers": 0, "engine.threads": 1, "engine.validate_steps": 0,
    "validation.frames": 0, "validation.final_frames": 0,
}  # fmt: skip


def written(folder: Path, content: object) -> Path:
    path = folder / "experiment.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


def test_an_experiment_trains_and_goes_on_where_it_was(tmp_path: Path, capfd, monkeypatch) -> None:
    monkeypatch.chdir(REPOSITORY)
    config = "training/depthpose_64x48_small.yaml"
    second = {"init.weights": "{out}/first/weights.safetensors"}
    path = written(tmp_path, {"set": TINY, "steps": [
        {"name": "first", "train": "depthpose", "config": config},
        {"name": "second", "train": "depthpose", "config": config, "set": second},
        {"name": "card", "run": ["report", "card", "{out}/second/weights.safetensors"],
         "makes": "second/weights.md"},
    ]})  # fmt: skip
    out = tmp_path / "runs"
    run_experiment(path, out)
    assert (out / "second/weights.safetensors").is_file() and (out / "second/weights.md").is_file()
    asked = yaml.safe_load((out / "second/config.yaml").read_text())
    assert asked["model"]["width"] == 0.0625 and asked["data"]["render_hw"] == [48, 64]
    assert asked["init"]["weights"] == str(out / "first/weights.safetensors")

    (out / "second/results.json").unlink()  # as if killed after its last checkpoint
    (out / "second/weights.md").unlink()
    capfd.readouterr()
    run_experiment(path, out)
    said = capfd.readouterr().out
    assert "first: done before" in said and f"--resume {out / 'second'}" in said
    assert (out / "second/results.json").is_file() and (out / "second/weights.md").is_file()


def test_a_failing_step_is_named_and_ends_it(tmp_path: Path) -> None:
    steps = [{"name": "card", "run": ["report", "card", "nowhere.safetensors"]},
             {"name": "after", "run": ["simulate", "--help"], "makes": "never"}]  # fmt: skip
    path = written(tmp_path, {"steps": steps})
    with pytest.raises(ValueError, match="step 'card' ended with status 2"):
        run_experiment(path, tmp_path)
    with pytest.raises(ValueError, match=r"no step is called .'cart'.*card"):
        run_experiment(path, tmp_path, only=["cart"])


def test_trainings_run_side_by_side_unless_one_reads_the_other(tmp_path: Path, capfd, monkeypatch) -> None:
    monkeypatch.chdir(REPOSITORY)
    config = "training/depthpose_64x48_small.yaml"
    reads = {"init.weights": "{out}/first/weights.safetensors"}
    path = written(tmp_path, {"set": TINY, "steps": [
        {"name": "first", "train": "depthpose", "config": config},
        {"name": "first_again", "train": "depthpose", "config": config, "set": reads},
        {"name": "other", "train": "depthpose", "config": config},
        {"name": "card", "run": ["report", "card", "{out}/first_again/weights.safetensors"],
         "makes": "first_again/weights.md"},
    ]})  # fmt: skip
    out = tmp_path / "runs"
    run_experiment(path, out, jobs=2)
    said = [line.split(":")[0] for line in capfd.readouterr().out.splitlines()]
    assert set(said[:2]) == {"first", "other"} and said[2:] == ["first_again", "card"]
    assert (out / "first_again/weights.md").is_file()
    assert "2/2 steps" in (out / "other.log").read_text()


def test_nothing_is_begun_after_a_failure(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(REPOSITORY)
    config = "training/depthpose_64x48_small.yaml"
    path = written(tmp_path, {"set": TINY, "steps": [
        {"name": "wrong", "train": "depthpose", "config": config, "set": {"engine.steps": -1}},
        {"name": "right", "train": "depthpose", "config": config},
        {"name": "third", "train": "depthpose", "config": config},
    ]})  # fmt: skip
    out = tmp_path / "runs"
    with pytest.raises(ValueError, match=r"step 'wrong' ended with status 2 \(see .*wrong.log"):
        run_experiment(path, out, jobs=2)
    assert (out / "right/results.json").is_file() and not (out / "third").exists()
    assert "engine" in (out / "wrong.log").read_text()
    with pytest.raises(ValueError, match="at least 1 job, got 0"):
        run_experiment(path, out, jobs=0)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([], "expected a list of 'steps'"),
        ({"steps": [], "set": {}}, "expected a list of 'steps'"),
        ({"steps": [{"name": "a", "run": ["x"]}], "sets": {}}, "expected the keys steps, set and seeds"),
        ({"steps": [{"name": "a", "run": ["x"]}], "seeds": 3}, "expected seeds as a list of values to set"),
        ({"steps": [{"name": "a"}]}, r"step 1 \(a\): expected either 'train' or 'run'"),
        ({"steps": [{"name": "a", "train": "depthpose"}]}, r"step 1 \(a\): expected the 'config'"),
        ({"steps": [{"run": ["x"]}]}, "step 1: expected 'name'"),
        ({"steps": [{"name": "a", "run": ["x"], "needs": 1}]}, "step 1: expected 'name' and some of"),
        ({"steps": [{"name": "a", "run": ["x"]}] * 2}, "a different name for every step"),
    ],
)
def test_broken_files_are_refused_with_the_step(tmp_path: Path, content: object, message: str) -> None:
    with pytest.raises(ValueError, match=message) as refused:
        read_experiment(written(tmp_path, content))
    assert "experiment.yaml" in str(refused.value)


@pytest.mark.parametrize("path", sorted(REPOSITORY.glob("training/experiment_*.yaml")), ids=lambda p: p.stem)
def test_shipped_experiments_are_valid(path: Path, monkeypatch) -> None:
    """Every training is one that the command line takes, and its recipe accepts the values."""
    monkeypatch.chdir(REPOSITORY)
    for step in read_experiment(path):
        if step.train:
            assert step.train in TRAINED
        if step.train == "depthpose":
            words = words_of(step, Path("nowhere"))
            recipe = parse("test", DepthPoseRecipe, words[2:]).recipe
            if path.stem.startswith("experiment_depthpose"):
                assert step.name.startswith(recipe.row.lower().replace("+", "_") or "super_resolution")
            if step.name[-2:] in ("_1", "_2", "_3"):
                assert recipe.engine.seed + 1 == recipe.data.seed == int(step.name[-1])
                assert recipe.data.cache.folder == Path("nowhere/frames") and recipe.data.cache.seed == 1


def test_the_teacher_that_an_experiment_scores_is_shipped_or_made_by_it() -> None:
    """A name that is not there would end the experiment after hours."""
    steps = read_experiment(REPOSITORY / "training" / "experiment_student_small.yaml")
    (teacher,) = [word for step in steps for word in step.words if word.startswith("teacher:")]
    parts = dict(part.split("=") for part in teacher.removeprefix("teacher:").split(","))
    for key in ("detector_weights", "keypoints", "lifter"):
        folder, _, name = parts[key].removeprefix("{out}/").partition("/")
        shipped = REPOSITORY / "weights" / f"{parts[key]}.safetensors"
        made = name == "weights.safetensors" and folder in {step.name for step in steps if step.train}
        assert made or shipped.is_file(), parts[key]


def test_values_of_the_command_line_override_those_of_the_file(tmp_path: Path, monkeypatch) -> None:
    path = written(tmp_path, {"set": TINY, "steps": [
        {"name": "a", "train": "depthpose", "config": "c", "set": {"engine.steps": 7}},
        {"name": "b", "run": ["report"]},
    ]})  # fmt: skip
    a, b = read_experiment(path, {"engine.steps": "9", "data.cache.folder": "{out}/frames"})
    assert a.words.count("--engine.steps") == 1 and a.words[a.words.index("--engine.steps") + 1] == "9"
    assert words_of(a, Path("here"))[-4:] == ["--data.cache.folder", "here/frames", "--out", "here/a"]
    assert b.words == ("report",)
    asked = {}
    monkeypatch.setattr(
        "orpose_core.training.experiment.run_experiment", lambda *given: asked.update(all=given)
    )
    assert main(["experiment", str(path), "--set", "engine.steps=9", "optim.betas=[0.9,0.99]"]) == 0
    assert asked["all"][-1] == {"engine.steps": "9", "optim.betas": "[0.9,0.99]"}
    assert main(["experiment", str(path), "--set", "engine.steps"]) == 2


def test_every_training_is_repeated_for_each_seed(tmp_path: Path) -> None:
    steps = read_experiment(written(tmp_path, {
        "set": {"engine.steps": 5}, "seeds": [{"engine.seed": 3}, {"engine.seed": 4, "data.seed": 9}],
        "steps": [
            {"name": "first", "train": "depthpose", "config": "c"},
            {"name": "first_b", "train": "depthpose", "config": "c",
             "set": {"init.weights": "{out}/first/weights.safetensors"}},
            {"name": "table",
             "run": ["report", "depthpose", "{out}/first", "{out}/first_b", "--out", "{out}/t"]},
        ]}))  # fmt: skip
    assert [step.name for step in steps] == ["first_1", "first_2", "first_b_1", "first_b_2", "table"]
    assert steps[1].words[-4:] == ("--data.seed", "9", "--engine.seed", "4")
    assert steps[2].words[-4:] == (
        "--init.weights", "{out}/first_1/weights.safetensors", "--engine.seed", "3",
    )  # fmt: skip
    assert steps[2].makes == "first_b_1/results.json"
    assert steps[4].words == (
        "report", "depthpose", "{out}/first_1", "{out}/first_2", "{out}/first_b_1", "{out}/first_b_2",
        "--out", "{out}/t",
    )  # fmt: skip
