"""A simulated recording on the page: estimated while it is shown, and from the files of `orpose estimate`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from orpose_core.demo import DemoOptions, SimulatedRecording
from orpose_core.estimation.estimate import estimate_recording
from orpose_core.estimation.options import RunOptions
from orpose_core.estimators import EstimatorConfig, PoseEstimator, load_estimator
from orpose_core.image_ops import MAX_PRIVATE_PIXELS
from orpose_core.view.browser import Browser, find_chromium
from orpose_core.view.history import History, HistoryConfig
from orpose_core.view.page import Page, PageConfig
from orpose_core.view.recordings import is_results, show_recording, show_results

OPTIONS = DemoOptions(seconds=0.6, rate_hz=5.0)
CAMERA = "camera_1"


@pytest.fixture(scope="module")
def estimator() -> PoseEstimator:
    """Return a tiny network of random weights that finds somebody everywhere."""
    anybody = {"keypoint_threshold": 0.0, "paf_threshold": 0.0, "min_mean_score": 0.0, "min_joints": 4,
               "min_person_score": 0.0, "max_people": 3}  # fmt: skip
    config = EstimatorConfig(
        device="cpu", backend="torch", flip_test=False, threads=1, decoder_changes=anybody
    )
    return load_estimator("untrained:depthpose_64x48@0.0625", config)


@pytest.fixture(scope="module")
def results(estimator: PoseEstimator, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("results")
    estimate_recording(SimulatedRecording(OPTIONS), estimator, folder, RunOptions(overlays=0))
    return folder


def found_in(folder: Path) -> list[int]:
    """Return how many people each image of a run has, as its files say."""
    images = json.loads((folder / "run.json").read_text())["images"]
    people = json.loads((folder / "skeletons_3d.json").read_text())
    assert len(images) == len(people) == OPTIONS.frames
    return [len(image["people"]) for image in people]


def shown(history: History) -> list[int]:
    stamps = history.stamps(CAMERA)
    return [history.at(stamp).views[CAMERA].people for stamp, _ in stamps]


def test_results_are_shown_with_and_without_their_images(results: Path) -> None:
    assert is_results(results) and not is_results(results.parent)
    history = History(HistoryConfig(seconds=1000))
    assert show_results(results, history) == OPTIONS.frames
    assert shown(history) == found_in(results) and any(shown(history))
    assert history.at(history.span_ns()[1]).views[CAMERA].picture is None
    history = History(HistoryConfig(seconds=1000))
    show_results(results, history, images=SimulatedRecording(OPTIONS))
    picture = history.at(history.span_ns()[1]).views[CAMERA].picture
    assert picture is not None and picture.shape == (48, 64, 3)


def test_a_recording_is_estimated_while_it_is_shown(estimator: PoseEstimator, results: Path) -> None:
    history = History(HistoryConfig(seconds=1000))
    assert show_recording(SimulatedRecording(OPTIONS), estimator, history) == OPTIONS.frames
    assert shown(history) == found_in(results)
    view = history.at(history.span_ns()[0]).views[CAMERA]
    assert view.picture is not None and view.image_hw == (480, 640)
    assert view.picture.shape[0] * view.picture.shape[1] <= MAX_PRIVATE_PIXELS


def test_no_results_and_no_recording_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from orpose_core.cli import main

    pytest.importorskip("viser", reason="the extra orpose[view] is not installed")
    for words, said in (
        (["view"], "expected a SOURCE or --demo"),
        (["view", "--demo", str(tmp_path)], "expected a SOURCE or --demo"),
        (["view", str(tmp_path / "none"), "--model", "untrained:depthpose_64x48@0.0625"], "nothing is there"),
        (["view", str(tmp_path), "--images", "x"], "--images is for results"),
    ):
        assert main([*words, "--port", "0"]) == 2
        assert said in capsys.readouterr().err


def test_the_page_of_a_recording_shows_the_people_of_its_results(results: Path) -> None:
    pytest.importorskip("viser", reason="the extra orpose[view] is not installed")
    if find_chromium() is None:
        pytest.skip("Chromium is not installed")
    history = History(HistoryConfig(seconds=1000))
    show_results(results, history, images=SimulatedRecording(OPTIONS))
    page, people = Page(history, PageConfig(port=0)), found_in(results)
    try:
        with Browser(page.url) as browser:
            camera = f"document.querySelector('svg.camera[data-camera={CAMERA}]')"
            browser.until(f"{camera} !== null", 240)
            begin_ns, end_ns = history.span_ns()

            def shows(stamp_ns: int, count: int) -> None:
                seconds = (stamp_ns - begin_ns) / 1e9
                browser.until(
                    "Math.abs(parseFloat(document.querySelector('#orpose-time').innerText)"
                    f" - {seconds}) < 0.011 && {camera}?.dataset.people === '{count}'", 240,
                )  # fmt: skip
                assert browser.value(f"{camera}.querySelectorAll('g.person').length") == count

            for (stamp_ns, _), count in zip(history.stamps(CAMERA), people, strict=True):
                page.show(stamp_ns)
                shows(stamp_ns, count)
            browser.value("document.querySelector('[role=slider]').focus()")
            browser.press("Home")
            shows(begin_ns, people[0])
            browser.press("End")
            shows(end_ns, people[-1])
            browser.until("document.querySelector('canvas') !== null", 240)
            assert browser.bright_pixels() > 50
    finally:
        page.close()
