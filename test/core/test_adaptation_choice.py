"""Which weights and thresholds a site gets."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from orpose_core.adaptation.choice import Choice, Choices, best_of, nearest_of_alike
from orpose_core.adaptation.options import SiteFolder
from orpose_core.adaptation.scoring import SiteFrames
from orpose_core.checkpoints.files import Checkpoint, load_checkpoint, save_checkpoint
from orpose_core.decoding.paf import PafDecoderConfig
from orpose_core.estimators.map_settings import MapSettings
from orpose_core.models import MapConfig
from orpose_core.simulation import StreamConfig, simulate_frame

pytestmark = pytest.mark.timeout(900)  # the first run compiles the renderer


@pytest.fixture(scope="module")
def start() -> Checkpoint:
    return load_checkpoint("fastpose_64x48")


@pytest.fixture(scope="module")
def frames() -> SiteFrames:
    simulated = [simulate_frame(StreamConfig("or", (48, 64), "depth", seed=3), k) for k in range(2)]
    return SiteFrames(("0", "1"), tuple(s.frame for s in simulated), tuple(s.poses for s in simulated))


def with_decoder(start: Checkpoint, **thresholds: float) -> Checkpoint:
    settings = MapSettings.from_header(start.name, start.metadata)
    settings = replace(settings, decoder=replace(settings.decoder, **thresholds))
    return replace(start, metadata=start.metadata | settings.header())


def chosen(
    start: Checkpoint, frames: SiteFrames, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[Choices, dict]:
    """Choose after a training that has changed no weight."""
    monkeypatch.setattr("orpose_core.adaptation.choice.validation_frames", lambda *asked: frames)
    monkeypatch.setattr("orpose_core.adaptation.choice.SHARES", (0.5,))
    site = SiteFolder(folder)
    site.training.mkdir(parents=True)
    site.validations.write_text(json.dumps({"joint_score": 0.2}))
    trained = site.training / "trained.safetensors"
    save_checkpoint(trained, start.model)
    assert isinstance(start.config, MapConfig)
    return best_of(site, start.config, start, trained), json.loads(site.validations.read_text())


def test_weights_are_not_credited_with_what_thresholds_do(
    start: Checkpoint, frames: SiteFrames, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    choices, said = chosen(with_decoder(start, min_person_score=0.95), frames, tmp_path, monkeypatch)
    best = choices.best
    assert said["unchanged"] < 10 < said["retuned"]
    assert said["mixtures"] == [{"share": 0.5, "f1": said["retuned"]}]
    assert best == choices.retuned and (best.share, best.changed) == (0, True)
    assert best.decoder.min_person_score < 0.95


def test_a_start_that_reads_the_site_well_stays_as_it_is(
    start: Checkpoint, frames: SiteFrames, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, _ = chosen(with_decoder(start, min_person_score=0.95), frames, tmp_path / "first", monkeypatch)
    good = first.retuned.decoder
    settings = replace(MapSettings.from_header(start.name, start.metadata), decoder=good)
    again = replace(start, metadata=start.metadata | settings.header())
    choices, _ = chosen(again, frames, tmp_path / "second", monkeypatch)
    assert choices.best == choices.unchanged and not choices.best.changed


def test_of_choices_that_are_alike_the_nearest_to_the_start_is_taken(start: Checkpoint) -> None:
    decoder = PafDecoderConfig()

    def choice(share: float, f1: float, changed: bool = True) -> Choice:
        return Choice(start, decoder, share, f1, changed)

    mixtures = [choice(0.25, 88.0), choice(0.5, 90.5), choice(0.75, 91.2), choice(1.0, 91.0)]
    assert nearest_of_alike(mixtures).share == 0.5
    unchanged, retuned = choice(0, 81.0, changed=False), choice(0, 87.0)
    assert nearest_of_alike([unchanged, retuned, *mixtures]).share == 0.5
    assert nearest_of_alike([unchanged, retuned, choice(0.25, 87.9)]) is retuned
    assert nearest_of_alike([unchanged, choice(0, 81.9), choice(0.25, 81.95)]) is unchanged
