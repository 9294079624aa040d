"""`orpose adapt` on a small simulated recording: parts, trust in labels, continuing, and what comes out."""

from __future__ import annotations

import copy
import fcntl
import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from orpose_core.adaptation.adapt import adapt
from orpose_core.adaptation.choice import SHARES
from orpose_core.adaptation.finishing import _worth_scoring
from orpose_core.adaptation.options import AdaptOptions, SiteFolder
from orpose_core.adaptation.scoring import SiteFrames, scores_of
from orpose_core.adaptation.splitting import Shot, divided
from orpose_core.adaptation.survey import Survey
from orpose_core.adaptation.training import adaptable, recipe_of
from orpose_core.adaptation.trust import TrustConfig, furniture, measured_share, missed_people
from orpose_core.checkpoints.files import load_checkpoint
from orpose_core.cli import main
from orpose_core.commands.adapt import _summary
from orpose_core.data.coco_file import read_coco_file
from orpose_core.decoding.paf import PafDecoderConfig
from orpose_core.estimators import EstimatorConfig, load_estimator
from orpose_core.reports.adaptation_words import gain_words
from orpose_core.reports.html.adaptation_page import write_adaptation_page
from orpose_core.skeleton import COCO17
from orpose_core.teacher.loading import teacher_of
from orpose_core.teacher.teacher import Teacher
from orpose_core.training.depthpose.mixing import mixed
from orpose_core.training.depthpose.samples import LabelledFrame, SampleMaker
from orpose_core.training.depthpose.threshold_choice import joint_counts
from orpose_core.types import Poses, RgbdFrame

pytestmark = pytest.mark.timeout(3600)

FRAMES = 16
OPTIONS = AdaptOptions(frames=FRAMES, minutes=0.02, validate_share=0.2, test_share=0.3, batch=2, replay=0)


def shots(*recordings: int, period_s: float = 1.0, pause_at: int = -1) -> list[Shot]:
    out = []
    for number, count in enumerate(recordings):
        for i in range(count):
            pause = 60.0 if 0 <= pause_at <= i else 0.0
            out.append(Shot(f"day_{number}", int(1e9 * (1 + i * period_s + pause))))
    return out


def test_the_end_of_each_recording_is_set_aside_and_what_follows_a_border_is_left_out():
    parts = divided(shots(100, 100), "auto", 0.1, 0.2, gap_s=2.0)
    assert parts.by == "time" and parts.left_out == 4
    assert parts.train == (*range(70), *range(100, 170))
    assert parts.validate == (*range(71, 80), *range(171, 180))
    assert parts.test == (*range(81, 100), *range(181, 200))


def test_a_border_moves_to_a_pause_that_is_near():
    parts = divided(shots(100, pause_at=77), "time", 0.1, 0.2, gap_s=2.0)
    assert parts.test == tuple(range(77, 100))
    assert max(parts.validate) == 76


def test_many_recordings_are_set_aside_whole():
    parts = divided(shots(*[10] * 6), "auto", 0.1, 0.2)
    assert parts.by == "recording"
    assert parts.test == tuple(range(40, 60))
    assert parts.validate == tuple(range(30, 40))
    assert parts.train == tuple(range(30))


TODAY_NS = 1_795_000_000_000_000_000


def by_hour(recording: str, hours: float, count: int, camera: str = "") -> list[Shot]:
    """Images of ten minutes that begin some hours from now."""
    stamps = np.linspace(0, 600e9, count).astype(np.int64) + TODAY_NS + int(hours * 3600e9)
    return [Shot(recording, int(stamp), camera) for stamp in stamps]


def spans(all_shots: list[Shot], images: tuple[int, ...]) -> tuple[int, int]:
    stamps = [all_shots[i].stamp_ns for i in images]
    return min(stamps), max(stamps)


@pytest.mark.parametrize("count", [2, 6])
def test_cameras_in_bags_of_their_own_see_no_moment_in_two_parts(count):
    all_shots = [shot for k in range(count) for shot in by_hour(f"camera_{k}", 0.01 * k, 50 + 9 * k)]
    parts = divided(all_shots, "auto", 0.1, 0.2)
    assert parts.by == "time" and parts.sessions == 1
    train, validate, test = (spans(all_shots, part) for part in (parts.train, parts.validate, parts.test))
    assert validate[0] - train[1] >= 2e9 and test[0] - validate[1] >= 2e9


def test_whole_sessions_are_set_aside_however_many_bags_they_have():
    all_shots = [
        shot
        for day in range(6)
        for camera in range(2)
        for shot in by_hour(f"day_{day}_camera_{camera}", 24.0 * day, 10)
    ]
    parts = divided(all_shots, "auto", 0.1, 0.2)
    assert parts.by == "recording" and parts.sessions == 6
    days = [{all_shots[i].recording[:5] for i in part} for part in (parts.train, parts.validate, parts.test)]
    assert days == [{"day_0", "day_1", "day_2"}, {"day_3"}, {"day_4", "day_5"}]


def test_parts_of_one_long_recording_are_one_recording():
    all_shots = [Shot(f"part_{i // 20}", TODAY_NS + i * 10**9) for i in range(120)]
    parts = divided(all_shots, "auto", 0.1, 0.2)
    assert parts.by == "time" and parts.sessions == 1 and parts.left_out == 2


def test_without_times_each_camera_is_divided_by_itself():
    all_shots = [Shot("folder", 0, camera) for camera in ("left", "right") for _ in range(20)]
    parts = divided(all_shots, "auto", 0.1, 0.2)
    moments = [{i % 20 for i in part} for part in (parts.train, parts.validate, parts.test)]
    assert moments == [set(range(14)), {14, 15}, {16, 17, 18, 19}]


def test_an_image_without_a_time_among_others_is_in_a_part():
    all_shots = [Shot("bag", 0 if i == 90 else TODAY_NS + i * 10**10, "left") for i in range(100)]
    parts = divided(all_shots, "time", 0.1, 0.2)
    assert sorted(parts.train + parts.validate + parts.test) == list(range(100))
    assert parts.left_out == 0


@pytest.mark.parametrize(("counts", "split"), [((3,), "time"), ((5, 5), "recording")])
def test_too_little_for_three_parts_is_refused(counts, split):
    with pytest.raises(ValueError, match="expected images in every part"):
        divided(shots(*counts), split, 0.1, 0.2)


def test_joints_without_depth_are_noticed():
    depth_m = np.full((6, 8), np.nan, np.float32)
    depth_m[:, :4] = 2.0
    joints = np.array([[1, 1], [4, 3], [6, 3], [np.nan, np.nan], [40, 3]], np.float32)
    # (4, 3) has a return beside it; (6, 3) has none; the others do not count
    assert measured_share(joints, depth_m) == pytest.approx(2 / 3)
    assert measured_share(joints[3:], depth_m) == 0


def people_at(*boxes: tuple[float, float, float, float]) -> Poses:
    m = len(boxes)
    xy = np.full((m, 17, 2), 5.0, np.float32)
    ones = np.ones((m, 17), np.float32)
    return Poses(COCO17, xy, ones, np.ones(m, np.float32), np.array(boxes, np.float32))


def test_somebody_without_a_label_is_found_and_furniture_is_not_somebody():
    found = people_at((0, 0, 10, 20), (30, 0, 40, 20))
    missed = missed_people(found, np.array([[1, 1, 11, 21]], np.float32), 0.3)
    assert missed.tolist() == [[30, 0, 40, 20]]
    rack = [[5, 5, 15, 25]] * 8
    walker = [[8 * i, 0, 8 * i + 8, 20] for i in range(8)]
    boxes = np.array(rack + walker, np.float32)
    always = furniture(boxes, [*range(8), *range(8)], 10, TrustConfig())
    assert always.tolist() == [True] * 8 + [False] * 8


def test_a_disk_that_is_too_small_is_said_before_anything_starts(tmp_path):
    found = Survey(2000, 1, 2000, 1.0, 250_000, 300_000_000)
    with pytest.raises(ValueError, match="expected 700 MB of free disk for 2000 depth images, got 300 MB"):
        found.check_disk(tmp_path)
    replace(found, stored_bytes=400_000_000).check_disk(tmp_path)  # of an interrupted run


def test_a_run_that_does_not_fit_may_be_asked_again_for_less(teacher, tmp_path, monkeypatch):
    """What was refused leaves nothing in the folder that another run is compared with."""
    found = Survey(2000, 1, 2000, 1.0, 250_000, 300_000_000)
    monkeypatch.setattr("orpose_core.adaptation.adapt.survey", lambda *asked: found)
    for frames in (FRAMES, FRAMES - 1):
        with pytest.raises(ValueError, match="label fewer with --frames"):
            adapt([tmp_path / "bag"], teacher, tmp_path / "out", replace(OPTIONS, frames=frames))


def test_who_is_found_counts_even_on_a_region_to_ignore():
    person = people_at((0, 0, 20, 20))
    spread = np.stack(np.meshgrid(np.linspace(2, 18, 5), np.linspace(2, 18, 4)), -1).reshape(1, -1, 2)[:, :17]
    person = replace(person, xy_px=spread.astype(np.float32))
    region = people_at((0, 0, 20, 20))
    region = replace(region, xy_px=np.full_like(region.xy_px, np.nan), scores=np.zeros_like(region.scores))
    everyone = replace(
        person,
        xy_px=np.concatenate([person.xy_px, region.xy_px]),
        scores=np.concatenate([person.scores, region.scores]),
        person_scores=np.ones(2, np.float32),
        boxes_px=np.concatenate([person.boxes_px, region.boxes_px]),
        visibility=np.repeat([[2], [0]], 17, axis=1).astype(np.uint8),
    )
    part = SiteFrames(("a",), (RgbdFrame(None, np.ones((48, 64), np.float32), None),), (everyone,))
    scores = scores_of(part, [person])
    assert (scores["people"], scores["found"], scores["extra_per_frame"]) == (1, 1, 0)
    counts = joint_counts([everyone], [person])
    assert counts.correct == counts.true == counts.on_people > 0


@pytest.fixture(scope="module")
def bag(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("bags") / "ward"
    words = ["simulate", "--domain", "site", "--seed", "2", "--frames", str(FRAMES), "--frames-per-room", "4"]
    sizes = ["--size", "320x240", "--rate", "0.5", "--format", "mcap", "--workers", "1", "--out", str(out)]
    assert main([*words, *sizes]) == 0
    return out


@pytest.fixture(scope="module")
def teacher() -> Teacher:
    return teacher_of(flip=False, scales=(256,), device="cpu")


@pytest.mark.parametrize(
    ("name", "window_hw"),
    [("fastpose_64x48", (32, 40)), ("depthpose_64x48", (32, 40)), ("depthpose_80x60", (40, 50))],
)
def test_every_shipped_depth_network_gets_windows_that_fit_it(name, window_hw, tmp_path):
    options = AdaptOptions(model=name)
    recipe = recipe_of(SiteFolder(tmp_path), options, adaptable(load_checkpoint(name)))
    assert recipe.data.crop_hw == window_hw
    height, width = recipe.data.render_hw
    depth_m = np.full((height, width), 2.0, np.float32)
    person = people_at((0.1 * width, 0.1 * height, 0.6 * width, 0.9 * height))
    frame = LabelledFrame(depth_m, person, np.zeros((0, 4), np.float32))
    sample = SampleMaker(recipe.data, recipe.model)(frame, np.random.default_rng(0))
    assert sample["image"].shape == (1, *window_hw)
    assert ("high_resolution" in sample) == bool(recipe.loss.hr_weight)


class _Killed(Exception):
    pass


@pytest.fixture(scope="module")
def adapted(bag: Path, teacher: Teacher, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """A run that was killed when its training began, and started again."""
    out = tmp_path_factory.mktemp("adapted") / "ward"

    def killed(line: str) -> None:
        if line.startswith("training:"):
            raise _Killed

    with pytest.raises(_Killed):
        adapt([bag], teacher, out, OPTIONS, say=killed)
    assert not SiteFolder(out).weights.exists()
    said: list[str] = []
    kept = replace(OPTIONS, keep_depth=True)
    adapt([bag], teacher, out, kept, say=said.append)
    first = json.loads(SiteFolder(out).scores.read_text())
    _correct_by_hand(SiteFolder(out), out.parent / "truth.json")
    adapt([bag], teacher, out, kept, out.parent / "truth.json", say=said.append)
    adapt([bag], teacher, out, kept, out.parent / "truth.json", say=said.append)
    assert {k: v for k, v in first["after"].items() if k == "teacher"} == first["after"]
    again = json.loads(SiteFolder(out).scores.read_text())
    assert again["after"]["teacher"] == first["after"]["teacher"], "the weights that were scored are stored"
    adapt([bag], teacher, out, OPTIONS, say=said.append)
    return out, said


def _correct_by_hand(site: SiteFolder, truth: Path) -> None:
    """Take the last image of the test part as it is, as if somebody had looked at it."""
    content = json.loads(site.part("test").read_text())
    content["images"] = content["images"][-1:]
    own = content["images"][0]["id"]
    content["annotations"] = [a for a in content["annotations"] if a["image_id"] == own]
    truth.write_text(json.dumps(content))


def test_a_run_that_is_complete_is_scored_again_with_labels_by_hand(adapted, bag, teacher, tmp_path):
    out, said = adapted
    assert sum(line.startswith("scored again") for line in said) == 1
    site = SiteFolder(out)
    scores = json.loads(site.scores.read_text())
    assert scores["before"]["truth"]["frames"] == scores["after"]["truth"]["frames"] == 1
    assert "labels by hand" in site.report.read_text()
    assert {picture.name for picture in site.pictures.iterdir()} <= {"01.png", "worst_01.png"}
    facts = json.loads(load_checkpoint(site.weights).metadata["training"])
    assert facts["site"]["after"]["truth"] == scores["after"]["truth"]
    other = tmp_path / "other.json"
    other.write_text((out.parent / "truth.json").read_text() + " ")
    with pytest.raises(ValueError, match="were removed when this run was complete"):
        adapt([bag], teacher, out, OPTIONS, other)
    content = json.loads(other.read_text())
    content["images"][0]["file_name"] = "holiday.png"
    other.write_text(json.dumps(content))
    with pytest.raises(ValueError, match=r"expected some of the \d images of .*test.json, such as "):
        adapt([bag], teacher, out, OPTIONS, other)
    other.write_text("[]")
    with pytest.raises(ValueError, match="expected a COCO file"):
        adapt([bag], teacher, tmp_path / "new", OPTIONS, other)
    assert not (tmp_path / "new").exists()


def test_two_processes_do_not_adapt_into_one_folder(adapted, bag, teacher):
    out, _ = adapted
    handle = os.open(out, os.O_RDONLY)
    fcntl.flock(handle, fcntl.LOCK_EX)
    try:
        with pytest.raises(ValueError, match="another process is adapting into this folder"):
            adapt([bag], teacher, out, OPTIONS)
    finally:
        os.close(handle)


def test_a_run_that_was_killed_continues(adapted):
    out, said = adapted
    assert any("labels are there; continuing" in line for line in said)
    assert not any(line.startswith("labels:") for line in said)
    assert SiteFolder(out).weights.is_file()


def test_the_parts_are_apart_and_hold_everything(adapted):
    out, _ = adapted
    site = SiteFolder(out)
    facts = json.loads(site.parts.read_text())
    files = {name: read_coco_file(site.part(name)) for name in ("train", "validate", "test")}
    names = [image.file_name for file in files.values() for image in file.images]
    assert len(names) == len(set(names)) == FRAMES - facts["left_out"]
    stamps = {name: [i.entry["stamp_ns"] for i in file.images] for name, file in files.items()}
    assert max(stamps["train"]) < min(stamps["validate"]) and max(stamps["validate"]) < min(stamps["test"])
    assert facts["train"]["people"] > 0


def test_the_weights_load_as_in_pose_node_and_say_where_they_come_from(adapted):
    out, _ = adapted
    weights = SiteFolder(out).weights
    estimator = load_estimator(str(weights), EstimatorConfig(device="cpu"))
    start, own = load_checkpoint("fastpose_64x48"), load_checkpoint(weights)
    assert own.licence == start.licence and own.sha256 != start.sha256
    facts = json.loads(own.metadata["training"])
    assert facts["data"] == "recordings of this site"
    assert facts["earlier"][0]["steps"] == json.loads(start.metadata["training"])["steps"]
    depth_m = np.full((48, 64), 3.0, np.float32)
    assert len(estimator.estimate([RgbdFrame(None, depth_m, None)])) == 1
    card = weights.with_suffix(".md").read_text()
    assert "Started from fastpose_64x48 (licence Apache-2.0" in card and "recordings of this site" in card
    assert "Adapted to one site" in card and "Trained only on synthetic" not in card


def test_the_report_shows_scores_and_pictures(adapted):
    out, _ = adapted
    page = SiteFolder(out).report.read_text()
    assert page.count("data:image/png;base64,") >= 3
    assert "against the teacher" in page and "ward.safetensors" in page
    scores = json.loads(SiteFolder(out).scores.read_text())
    before, after = scores["before"]["teacher"], scores["after"]["teacher"]
    assert before["frames"] == after["frames"] > 0
    assert "F1 of joints" in page and 0 <= after["joint_f1"] <= 100


def test_the_weights_are_what_validation_prefers_by_more_than_a_point(adapted):
    out, _ = adapted
    scores = json.loads(SiteFolder(out).scores.read_text())
    said = scores["validation"]
    assert len(said["curve"]) >= 1 and max(said["curve"]) == round(said["best"], 2)
    assert {mixture["share"] for mixture in said["mixtures"]} == set(SHARES)
    best = max(said["retuned"], *(mixture["f1"] for mixture in said["mixtures"]))
    if abs(best - said["unchanged"] - 1.0) > 0.02:  # what was compared was not rounded
        assert scores["kept"] == (best - said["unchanged"] <= 1.0)
    assert not scores["kept"] or scores["share"] == 0
    assert scores["kept"] == ("unchanged" in SiteFolder(out).weights.with_suffix(".md").read_text())


def test_a_test_part_of_some_seconds_has_no_interval_and_the_report_says_so(adapted, tmp_path):
    site = SiteFolder(adapted[0])
    scores = json.loads(site.scores.read_text())
    gain = scores["gain"]["teacher"]
    before, after = (scores[name]["teacher"]["pck"]["average"] for name in ("before", "after"))
    assert gain["points"] == pytest.approx(after - before)
    assert (gain["blocks"], gain["interval"]) == (1, None)
    own = json.loads(load_checkpoint(site.weights).metadata["training"])["site"]
    assert own["gain"] == scores["gain"]
    page = write_adaptation_page(tmp_path / "page.html", scores | {"kept": False}, site.pictures).read_text()
    assert "without an interval: the test part is too short. It has 1 block of about 60 s" in page
    words = gain_words(scores, "teacher")
    assert words in site.weights.with_suffix(".md").read_text() and words in _summary(scores)


def test_new_thresholds_alone_are_said_to_be_so(adapted, tmp_path):
    site = SiteFolder(adapted[0])
    scores = json.loads(site.scores.read_text()) | {"kept": False, "share": 0.0}
    scores["retuned"] = scores["before"]
    page = write_adaptation_page(tmp_path / "page.html", scores, site.pictures).read_text()
    assert "the weights of fastpose_64x48 with new thresholds for this site" in page
    assert "before, with thresholds for the site" in page and "unchanged" not in page


def test_thresholds_alone_are_scored_unless_before_or_after_has_them():
    own, site, other = (PafDecoderConfig(min_person_score=score) for score in (0.1, 0.2, 0.3))
    assert _worth_scoring(own, own, site, 0.5) is None
    assert _worth_scoring(site, own, site, 0.0) is None
    assert _worth_scoring(site, own, site, 0.5) == site  # trained weights may get the same thresholds
    assert _worth_scoring(site, own, other, 0.5) == site


def test_a_mixture_of_weights_is_their_weighted_mean():
    start = load_checkpoint("fastpose_64x48").model
    trained = copy.deepcopy(start)
    with torch.no_grad():
        for value in trained.parameters():
            value.add_(1.0)
    for name, value in mixed(start, trained, 0.25).state_dict().items():
        own = start.state_dict()[name]
        moved = 0.25 if name in dict(start.named_parameters()) else 0.0
        torch.testing.assert_close(value, own + moved)
    with pytest.raises(ValueError, match=r"expected a share in \[0, 1\], got 2"):
        mixed(start, trained, 2)


def test_full_size_depth_is_gone_and_color_was_never_there(adapted):
    out, said = adapted
    assert not (SiteFolder(out).labels / "images").exists()
    assert any(line.startswith("removed: full-size depth") for line in said)


def test_another_run_is_refused(adapted, bag, teacher):
    out, _ = adapted
    other = AdaptOptions(frames=FRAMES, minutes=5.0)
    with pytest.raises(ValueError, match="expected the run that is there, with the same options"):
        adapt([bag], teacher, out, other)


def test_only_networks_of_depth_are_adapted(bag, teacher, tmp_path):
    with pytest.raises(ValueError, match="student_small: expected a network of depth"):
        adapt([bag], teacher, tmp_path, AdaptOptions(model="student_small"))


def test_recordings_without_depth_are_refused_with_the_reason(teacher, tmp_path):
    folder = tmp_path / "color"
    folder.mkdir()
    with pytest.raises(ValueError, match="expected a frame with color and depth"):
        adapt([folder], teacher, tmp_path / "out", OPTIONS)
