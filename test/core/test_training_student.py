"""The student's recipes at miniature size: labels, scales, a few steps, resume, export, refusals."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
import yaml

from orpose_core.checkpoints.files import load_checkpoint
from orpose_core.cli import main
from orpose_core.commands.recipes import parse, train
from orpose_core.labelling.label_files import annotations_of, write_label_file
from orpose_core.models.student.config import SMALL_STUDENT, StudentConfig
from orpose_core.models.student.network import Student
from orpose_core.reports.model_card import write_card
from orpose_core.reports.student_findings import findings
from orpose_core.reports.student_report import write_student_report
from orpose_core.simulation import StreamConfig, simulate_frame
from orpose_core.simulation.writers.dataset import write_dataset
from orpose_core.skeleton import BODY24, COCO17
from orpose_core.training.augment.student import (
    ScaleConfig,
    StudentAugmentConfig,
    augmented,
    seen_by_student,
)
from orpose_core.training.engine.distributed import Processes
from orpose_core.training.engine.run_folder import RunFolder
from orpose_core.training.experiment import read_experiment, words_of
from orpose_core.training.student.initialisation import StudentInitConfig, initialise_student
from orpose_core.training.student.label_file import StudentLabelFile, exact_labels
from orpose_core.training.student.losses import StudentLossConfig, student_targets
from orpose_core.training.student.recipe import STUDENT, StudentRecipe
from orpose_core.training.student.samples import (
    StudentDataConfig,
    collate,
    joint_statistics,
    student_samples,
)
from orpose_core.types import Poses, PseudoLabels

RECIPES = Path(__file__).resolve().parents[2] / "training"
HW = (96, 128)
TINY = replace(
    SMALL_STUDENT, full_hw=HW, trunk_width=0.25, fpn_channels=16, box_channels=32, keypoint_channels=16,
    keypoint_convs=2, lifter_width=32, lifter_dropout=0.1, anchor_sizes_px=(8.0, 16.0, 32.0, 64.0, 128.0),
)  # fmt: skip
STREAM = StreamConfig(domain="or", size_hw=HW, modality="color", seed=3, crowd=2)


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `orpose simulate` writes."""
    return write_dataset(STREAM, 4, tmp_path_factory.mktemp("simulated") / "or")


@pytest.fixture(scope="module")
def labelled(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[PseudoLabels]]:
    """What `orpose label` writes, of a teacher that is not always sure."""
    folder, rng = tmp_path_factory.mktemp("labelled"), np.random.default_rng(0)
    entries, labels = [], []
    for i in range(4):
        frame = simulate_frame(STREAM, i)
        poses = frame.poses.converted(COCO17)
        scores = np.where(poses.scores > 0, rng.uniform(0.1, 1, poses.scores.shape), 0).astype(np.float32)
        soft, hard = (
            Poses(
                COCO17,
                np.where((scores > least)[..., None], poses.xy_px, np.float32(np.nan)),
                np.where(scores > least, scores, np.float32(0)),
                np.full(len(poses), 0.9, np.float32),
                poses.boxes_px,
            ).converted(BODY24)
            for least in (0.0, 0.35)
        )
        soft, hard = (replace(p, xyz_root_m=frame.poses.xyz_root_m) for p in (soft, hard))
        labels.append(PseudoLabels(soft, hard, i + 1, "abc"))
        assert frame.frame.rgb is not None
        cv2.imwrite(str(folder / f"{i}.png"), frame.frame.rgb[..., ::-1])
        entries.append(({"file_name": f"{i}.png", "width": 128, "height": 96}, annotations_of(labels[-1])))
    write_label_file(folder / "labels.json", {"teacher_sha256": "abc"}, entries)
    return folder / "labels.json", labels


def data(labels: Path, **values: object) -> StudentDataConfig:
    return replace(StudentDataConfig(labels=labels, original_hw=HW), **values)


def test_recipes_are_read_and_have_the_schedules_of_the_paper() -> None:
    """Sect. 3.3; the small ones are alike but for what their row says."""
    schedule = {
        "fixed_1x": (1e-3, 5_000, (2_000, 3_000, 4_000)),
        **dict.fromkeys(("fixed_8x", "fixed_10x", "fixed_12x"), (1e-2, 10_000, (7_000, 8_000, 9_000))),
        "all": (1e-1, 20_000, (14_000, 16_000, 18_000)),
    }
    rows: dict[str, StudentRecipe] = {}
    for path in sorted(RECIPES.glob("student_*.yaml")):
        recipe = parse("x", StudentRecipe, ["--config", str(path), "--data.labels", "l.json"]).recipe
        if path.stem.endswith("_small"):
            rows[recipe.row] = recipe
            continue
        row = path.stem.removeprefix("student_")
        assert (recipe.optim.lr, recipe.engine.steps, recipe.optim.step_at) == schedule.pop(row)
        assert recipe.row == row and recipe.engine.batch == 32 and recipe.optim.name == "sgd"
        assert recipe.model == StudentConfig(input_hw=recipe.model.input_hw)
    assert not schedule
    ones = {row: recipe for row, recipe in rows.items() if row.startswith("single")}
    assert set(rows) == {"undistilled", "fixed_1x", "fixed_8x", "fixed_10x", "fixed_12x", "all", *ones}
    assert {(bool(r.loss.soft_2d), bool(r.loss.hard_2d)) for r in ones.values()} == {
        (True, False), (False, True), (True, True),
    }  # fmt: skip
    for row, recipe in rows.items():
        if row != "undistilled":
            assert (recipe.optim, recipe.engine) == (rows["all"].optim, rows["all"].engine)
            like = replace(recipe.model, branches="soft_hard", input_hw=rows["all"].model.input_hw)
            assert like == rows["all"].model
        if row.startswith("fixed"):
            factor = float(row.removeprefix("fixed_").removesuffix("x"))
            assert recipe.data.scale.ranges == ((factor, factor),)


def test_scales_are_drawn_as_the_paper_says() -> None:
    rng = np.random.default_rng(0)
    drawn = np.array([ScaleConfig().draw(rng) for _ in range(4000)])
    assert abs((drawn == 1).mean() - 0.30) < 0.03 and abs((drawn > 8).mean() - 0.35) < 0.03
    rest = drawn[drawn > 1]
    assert rest.min() < 2.1 and rest.max() > 11.9 and rest.min() >= 2 and rest.max() <= 12
    assert ScaleConfig(((12.0, 12.0),), ()).draw(rng) == 12
    for wrong in (((0.5, 1.0),), ((3.0, 2.0),), ()):
        with pytest.raises(ValueError, match=r"data\.scale\.ranges"):
            ScaleConfig(wrong, ())
    with pytest.raises(ValueError, match=r"data\.scale\.shares"):
        ScaleConfig(((1.0, 1.0),), (0.5, 0.5))


def test_resolution_is_lost_as_when_the_student_is_used() -> None:
    """53x40 of 640x480, also where the kept image is smaller than the original."""
    rgb = np.random.default_rng(0).integers(0, 255, (240, 320, 3), np.uint8)
    seen = seen_by_student(rgb, 12.0, (480, 640), (240, 320))
    small = cv2.resize(seen, (53, 40), interpolation=cv2.INTER_AREA).astype(float)
    from orpose_core.image_ops import low_resolution_color, seen_at_low_resolution

    expected = low_resolution_color(rgb, (40, 53))
    assert np.abs(small - expected).mean() < 8 and seen.std() < 0.6 * rgb.std()
    np.testing.assert_array_equal(seen, seen_at_low_resolution(expected, (40, 53), (240, 320)))
    np.testing.assert_array_equal(seen_by_student(rgb, 1.0, (480, 640), (240, 320)), rgb)


def test_files_of_the_simulation_are_its_truth(recording: Path) -> None:
    file = StudentLabelFile(recording)
    assert file.has_3d and file.teacher == "exact" and len(file) == 4
    for i in range(4):
        frame = simulate_frame(STREAM, i)
        found, true = file.labels(i), exact_labels(frame.poses, file.images[i].id)
        for name in ("xy_px", "scores", "boxes_px", "xyz_root_m"):
            np.testing.assert_allclose(getattr(found.soft, name), getattr(true.soft, name), atol=1e-4)
        np.testing.assert_array_equal(file.picture(i), frame.frame.rgb)
    spine = BODY24.index("spine")
    assert np.isfinite(true.soft.xyz_root_m[:, spine]).all()


def test_samples_are_the_teachers_labels(labelled: tuple[Path, list[PseudoLabels]]) -> None:
    path, labels = labelled
    augment = StudentAugmentConfig(flip=0.0)
    samples = student_samples(data(path, augment=augment, scale=ScaleConfig(((1.0, 1.0),), ())), TINY)
    seen = set()
    for index in range(4):
        sample = samples[index]
        assert sample.image.dtype == torch.uint8 and sample.image.shape == (3, *HW)
        near = [t for t in (student_targets(x, HW, TINY) for x in labels) if same_boxes(t, sample.targets)]
        assert len(near) == 1
        for mine, theirs in zip(sample.targets[1:], near[0][1:], strict=True):
            for a, b in zip(mine, theirs, strict=True):
                torch.testing.assert_close(a, b, atol=5e-3, rtol=0, equal_nan=True)
        seen.add(float(near[0].boxes.sum()))
    assert len(seen) == 4  # every image once, then again
    again = student_samples(data(path), TINY)
    other = student_samples(data(path), TINY)
    for index in (5, 11):
        assert torch.equal(again[index].image, other[index].image)
    assert not torch.equal(again[5].image, again[9].image)
    with pytest.raises(ValueError, match=r"data\.images = 9 .*got 4"):
        student_samples(data(path, images=9), TINY)


def same_boxes(a: object, b: object) -> bool:
    return a.boxes.shape == b.boxes.shape and torch.allclose(a.boxes, b.boxes, atol=1e-2)  # type: ignore[attr-defined]


def test_mirror_and_zoom_move_image_and_labels_together() -> None:
    frame = simulate_frame(STREAM, 1)
    labels = exact_labels(frame.poses, 1)
    assert frame.frame.rgb is not None and len(labels.soft)
    back = labels.soft.mirrored(128).mirrored(128)
    for name, value in vars(labels.soft).items():
        if isinstance(value, np.ndarray):
            np.testing.assert_allclose(getattr(back, name), value, atol=1e-4)
    once = labels.soft.mirrored(128)
    left, right = BODY24.index("left_wrist"), BODY24.index("right_wrist")
    assert labels.soft.xyz_root_m is not None and once.xyz_root_m is not None
    np.testing.assert_allclose(once.xyz_root_m[:, left, 0], -labels.soft.xyz_root_m[:, right, 0], atol=1e-6)
    mark = np.zeros((96, 128, 3), np.uint8)
    x, y = 60, 40
    mark[y - 1 : y + 2, x - 1 : x + 2] = 255
    pointed = replace(
        labels.soft, xy_px=np.where(np.isnan(labels.soft.xy_px), np.nan, [x, y]).astype(np.float32)
    )
    for seed in range(4):
        config = StudentAugmentConfig(0.5, (0.8, 1.3), 0.1)
        both = PseudoLabels(pointed, pointed, 1, "")
        image, moved = augmented(mark, both, np.random.default_rng(seed), config)
        rows, columns = np.nonzero(image[..., 0] > 200)
        found = moved.soft.xy_px[moved.soft.scores > 0]
        assert np.abs(found - [columns.mean(), rows.mean()]).max() < 1.0


def damaged(path: Path, change: Callable[[dict], object]) -> Path:
    content = json.loads(path.read_text())
    change(content)
    out = path.with_name("damaged.json")
    out.write_text(json.dumps(content))
    return out


def setting(key: str, value: object, place: int | None = None) -> Callable[[dict], object]:
    """Return what sets a key of an annotation, or one number of it."""
    return lambda a: a.__setitem__(key, value) if place is None else a[key].__setitem__(place, value)


@pytest.mark.parametrize(
    ("what", "change"),
    [
        (r"expected 51 numbers as 'keypoints_soft', got 50", lambda a: a["keypoints_soft"].pop()),
        (r"expected 'keypoints_soft', got none", lambda a: a.pop("keypoints_soft")),
        (r"expected finite numbers as 'keypoints', got nan", setting("keypoints", float("nan"), 3)),
        (r"expected finite numbers as 'bbox', got 'x'", setting("bbox", "x", 0)),
        (r"expected 4 numbers as 'bbox', got 3", lambda a: a["bbox"].pop()),
        (r"expected a 'bbox' inside the 128x96 image", setting("bbox", 500.0, 0)),
        (r"expected a 'bbox' inside the 128x96 image", setting("bbox", 0.0, 2)),
        (r"expected confidences in \[0, 1\]", setting("keypoints_soft", 1.5, 2)),
        (r"expected 51 numbers as 'keypoints3d_hard', got 'x'", setting("keypoints3d_hard", "x")),
    ],
)
def test_broken_labels_are_refused_with_image_and_annotation(
    labelled: tuple[Path, list[PseudoLabels]], what: str, change: Callable
) -> None:
    where = r"damaged\.json: annotations\[1\] \(id 2\): "
    with pytest.raises(ValueError, match=where + what):
        StudentLabelFile(damaged(labelled[0], lambda c: change(c["annotations"][1])))


def test_broken_files_are_refused(labelled: tuple[Path, list[PseudoLabels]], tmp_path: Path) -> None:
    path = labelled[0]
    with pytest.raises(ValueError, match=r"images\[2\] \(id 3\): expected a picture at .*gone\.png"):
        StudentLabelFile(damaged(path, lambda c: c["images"][2].__setitem__("file_name", "gone.png")))
    with pytest.raises(ValueError, match=r"images\[1\] \(id 2\): expected file_name, width and height"):
        StudentLabelFile(damaged(path, lambda c: c["images"][1].pop("width")))
    with pytest.raises(
        ValueError, match=r"annotations\[0\] \(id 1\): expected the id of one of the \d+ images"
    ):
        StudentLabelFile(damaged(path, lambda c: c["annotations"][0].__setitem__("image_id", 99)))
    with pytest.raises(ValueError, match="expected images with people, got none"):
        StudentLabelFile(damaged(path, lambda c: c.__setitem__("annotations", [])))
    with pytest.raises(ValueError, match=r"images\[0\] \(id 1\): expected .*0\.png of 256x96, got 128x96"):
        StudentLabelFile(damaged(path, lambda c: c["images"][0].__setitem__("width", 256))).picture(0)
    flat = damaged(path, lambda c: [a.pop(k) for a in c["annotations"] for k in ("keypoints3d_soft",)])
    recipe = StudentRecipe(data(flat), model=TINY)
    with pytest.raises(ValueError, match=r"damaged\.json: expected labels in space"):
        STUDENT.build(recipe)
    with pytest.raises(ValueError, match="source 'labels' needs a label file"):
        StudentDataConfig()
    with pytest.raises(ValueError, match="two branches"):
        StudentRecipe(data(path), model=TINY, loss=StudentLossConfig(soft_2d=0))
    with pytest.raises(ValueError, match="frozen need"):
        STUDENT.build(StudentRecipe(data(path), model=replace(TINY, norm="frozen_batch")))


def test_statistics_are_those_of_the_labels_and_stay_with_the_weights(recording: Path) -> None:
    samples = student_samples(data(recording), TINY)
    found = joint_statistics(samples)
    xyz = torch.cat([student_targets(x, hw, TINY).soft.lifter_target for x, hw in samples.labels_alone(4)])
    torch.testing.assert_close(found.mean_3d, xyz.mean(dim=0), atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(
        found.std_3d, xyz.std(dim=0, correction=0).clamp(min=0.01), atol=1e-5, rtol=1e-4
    )
    model = Student(TINY)
    initialise_student(model, StudentInitConfig(), samples)
    torch.testing.assert_close(model.statistics.mean_2d, found.mean_2d)


MINIATURE = {
    "model": {**asdict(TINY)},
    "data": {"original_hw": list(HW), "augment": {"light": 0.2}, "statistics_images": 4},
    "loss": {"detection": {"anchors": 32, "regions": 16}},
    "optim": {"name": "adamw", "lr": 0.003, "schedule": "constant", "ema_decay": 0.9},
    "engine": {"batch": 2, "workers": 0, "threads": 1, "validate_steps": 0, "steps": 3},
    "validation": {"frames": 0, "final_frames": 0},
}


def test_train_resume_export(recording: Path, tmp_path: Path) -> None:
    """A run that was interrupted ends with the same bits; its file holds config and statistics."""
    config = tmp_path / "mini.yaml"
    config.write_text(yaml.safe_dump(json.loads(json.dumps(MINIATURE))))
    argv = ["--config", str(config), "--data.labels", str(recording)]
    assert train("student", [*argv, "--out", str(tmp_path / "whole")]) == 0
    assert train("student", [*argv, "--out", str(tmp_path / "parts"), "--engine.steps=1"]) == 0
    assert train("student", ["--resume", str(tmp_path / "parts"), "--engine.steps=3"]) == 0
    whole, parts = (RunFolder(tmp_path / name).load() for name in ("whole", "parts"))
    assert whole[0].step == parts[0].step == 3
    for name in ("model", "mean"):
        for key, value in whole[1][name].items():
            assert torch.equal(value, parts[1][name][key]), key
    exported = tmp_path / "student_tiny.safetensors"
    assert train("student", ["--resume", str(tmp_path / "whole"), "--export", str(exported)]) == 0
    checkpoint = load_checkpoint(exported)
    assert checkpoint.config == TINY and checkpoint.trained
    statistics = joint_statistics(student_samples(data(recording), TINY))
    assert isinstance(checkpoint.model, Student)
    torch.testing.assert_close(checkpoint.model.statistics.std_3d, statistics.std_3d, atol=1e-3, rtol=1e-3)
    assert json.loads(checkpoint.metadata["training"])["images"] == 6

    single = [*argv, "--out", str(tmp_path / "single"), "--model.branches", "single", "--engine.steps=1"]
    single += ["--loss.soft_2d=0", "--loss.soft_3d=0", f"--init.weights={exported}"]
    assert train("student", single) == 0
    with pytest.raises(ValueError, match="do not fit the network"):
        train("student", [*argv, f"--init.weights={exported}", "--model.fpn_channels=8", "--out", "unused"])
    assert not Path("unused").exists(), "a run that cannot begin leaves nothing"


def test_one_branch_starts_as_the_mean_of_two(recording: Path, tmp_path: Path) -> None:
    from orpose_core.checkpoints.files import save_checkpoint

    torch.manual_seed(0)
    two = Student(TINY).eval()
    save_checkpoint(tmp_path / "two.safetensors", two)
    one = Student(replace(TINY, branches="single")).eval()
    init = StudentInitConfig(weights=str(tmp_path / "two.safetensors"))
    initialise_student(one, init, student_samples(data(recording), one.config))
    pooled = torch.randn(2, TINY.fpn_channels, 14, 14)
    with torch.no_grad():
        torch.testing.assert_close(one.keypoint_head(pooled).mean, two.keypoint_head(pooled).mean)


def test_the_loss_falls(labelled: tuple[Path, list[PseudoLabels]], tmp_path: Path) -> None:
    values = {k: v for k, v in MINIATURE.items() if k not in ("model", "data")}
    config = tmp_path / "mini.yaml"
    config.write_text(yaml.safe_dump(values))
    recipe = parse("x", StudentRecipe, ["--config", str(config), "--data.labels", str(labelled[0])]).recipe
    recipe = replace(recipe, model=TINY, data=data(labelled[0]))
    model = STUDENT.build(recipe)
    torch.manual_seed(0)
    trainer = STUDENT.trainer(recipe, model, RunFolder(tmp_path), Processes(0, 1, torch.device("cpu")))
    batch = collate([trainer.dataset[i] for i in range(2)])
    losses = [trainer.step(trainer.model, batch) for _ in range(14)]
    assert {"rpn_objectness", "box_class", "soft_2d", "hard_3d"} <= set(losses[0])
    totals = [float(x["total"]) for x in losses]
    assert np.mean(totals[-3:]) < 0.9 * np.mean(totals[:3])
    assert len(COCO17) == trainer.mean.model.model.config.keypoints  # type: ignore[union-attr]


def test_several_scales_are_scored_in_one_go(tmp_path: Path) -> None:
    out = tmp_path / "scores"
    words = ["evaluate", "--dataset", "or-val-v1", "--model", "untrained:student_small_640x480"]
    assert main([*words, "--limit", "1", "--scale", "8", "12", "--out", str(out)]) == 0
    for scale in (8, 12):
        assert json.loads((out / f"{scale}x" / "scores.json").read_text())["scale"] == scale
    assert main([*words, "--scale", "8", "12", "--json", str(tmp_path / "x.json")]) == 2


def numbers(ap: float, mm: float = 150.0) -> dict[str, float]:
    return {"box_ap": ap, "keypoint_ap": ap, "pck": ap, "mpjpe_mm": mm, "keypoint_ap50": ap}


def test_findings_say_what_the_numbers_show() -> None:
    table = {
        "teacher": {1: numbers(40), 12: numbers(10)},
        "undistilled": {1: numbers(20), 12: numbers(5)},
        "all": {1: numbers(30, 100), 12: numbers(20)},
        "fixed_1x": {1: numbers(31)},
        "single_hard": {1: numbers(29, 99.5)},
    }
    assert [line.split("**")[1] for line in findings(table)] == ["shows", "shows in part", *["shows"] * 3]
    worse = {**table, "all": {1: numbers(22, 103), 12: numbers(9)}}
    assert [line.split("**")[1] for line in findings(worse)] == [
        "shows in part", "shows in part", "does not show", "does not show", "does not show",
    ]  # fmt: skip
    assert "+2.0 at 1x, +4.0 at 12x" in findings(worse)[0] and "9.0 against 10.0" in findings(worse)[3]
    assert "-47 at 1x, -0 at 12x mm" in findings(worse)[1]
    floor = {row: {s: numbers(ap["keypoint_ap"] / 10) for s, ap in of.items()} for row, of in table.items()}
    assert [line.split("**")[1] for line in findings(floor)][2::2] == ["cannot tell", "cannot tell"]
    bound = findings({**table, "exact": {1: numbers(45), 12: numbers(35)}})[-1]
    assert "gains +25.0 at 1x, +30.0 at 12x" in bound and "15.0 at 1x, 15.0 at 12x" in bound
    assert findings({"teacher": table["teacher"]}) == []


def test_report_and_card_from_scored_runs(recording: Path, tmp_path: Path) -> None:
    """The way of the experiment: train, score, tables, card; scores of other weights are refused."""
    config = tmp_path / "mini.yaml"
    config.write_text(yaml.safe_dump(json.loads(json.dumps(MINIATURE))))
    argv = ["--config", str(config), "--data.labels", str(recording), "--engine.steps=1"]
    runs = [tmp_path / row for row in ("undistilled", "all")]
    for run in runs:
        assert train("student", [*argv, "--row", run.name, "--out", str(run)]) == 0
        words = ["evaluate", "--dataset", "or-val-v1", "--limit", "1", "--scale", "8", "12"]
        model = str(run / "weights.safetensors")
        assert main([*words, "--model", model, "--out", str(run / "scores")]) == 0
    out = tmp_path / "results.md"
    assert main(["report", "student", *map(str, tmp_path.iterdir()), "--out", str(out)]) == 0
    text = out.read_text()
    assert "| ORPose_all | 12x |" in text and "<sub>49.5</sub>" in text and "12 frames of" in text
    assert "Not run: Teacher, ORPose_fixed_1x" in text and "2 images (1 steps of 2)" in text
    card = write_card(str(runs[1] / "weights.safetensors"), None, None, runs[1] / "scores").read_text()
    assert "| 12x |" in card and load_checkpoint(runs[1] / "weights.safetensors").sha256 in card
    with pytest.raises(ValueError, match="other weights"):
        write_card(str(runs[0] / "weights.safetensors"), None, None, runs[1] / "scores")
    (runs[0] / "weights.safetensors").write_bytes((runs[1] / "weights.safetensors").read_bytes())
    with pytest.raises(ValueError, match="scores are not those of"):
        write_student_report(runs, out)
    with pytest.raises(ValueError, match="at least one run with scores"):
        write_student_report([tmp_path], out)


def test_the_shipped_experiment_is_accepted_by_the_recipes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(RECIPES.parent)
    steps = read_experiment(RECIPES / "experiment_student_small.yaml")
    rows = {}
    for step in steps:
        if step.train == "student":
            recipe = parse("x", StudentRecipe, words_of(step, Path("nowhere"))[2:]).recipe
            assert recipe.row == step.name
            rows[step.name] = recipe
    distilled = [r for row, r in rows.items() if row != "undistilled"]
    assert len(distilled) == 9 and len({(r.engine, r.optim, r.init) for r in distilled}) == 1
    assert {s.name for s in steps} >= {f"score_{row}" for row in (*rows, "teacher")} | {"labels", "report"}
