"""What `orpose adapt` does, step by step; a step whose result is there is not done again."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from orpose_core.adaptation.choice import best_of
from orpose_core.adaptation.options import AdaptOptions, SiteFolder
from orpose_core.adaptation.parts import write_parts
from orpose_core.adaptation.pictures import WORST, write_pictures
from orpose_core.adaptation.scoring import (
    SiteFrames,
    details_of,
    estimator_of,
    scores_of,
    site_frames,
    worst_frames,
)
from orpose_core.adaptation.survey import survey
from orpose_core.adaptation.training import adaptable, recipe_of, train_site
from orpose_core.checkpoints.files import Checkpoint, load_checkpoint, save_checkpoint
from orpose_core.checkpoints.history import training_facts
from orpose_core.checkpoints.weights_file import read_header
from orpose_core.estimators import PoseEstimator, estimate_all
from orpose_core.estimators.map_settings import MapSettings
from orpose_core.files import read_json, write_json
from orpose_core.labelling.labelling import label_recordings
from orpose_core.reports.html.adaptation_page import write_adaptation_page
from orpose_core.reports.model_card import write_card
from orpose_core.teacher.teacher import Teacher
from orpose_core.training.depthpose.label_file import LabelFile

logger = logging.getLogger(__name__)

Say = Callable[[str], object]
Bar = Callable[[str], AbstractContextManager[Callable[[int, int], object]]]
"""Opens a progress bar of a step's name; what it gives is told how much is done, of how much."""


@dataclass(frozen=True)
class Adapted:
    """What came of an adaptation.

    Attributes:
        weights: the adapted network.
        card: its model card.
        report: page with scores and pictures.
        scores: see :func:`scores_before_and_after`.
    """

    weights: Path
    card: Path
    report: Path
    scores: dict[str, Any]


def adapt(
    sources: Sequence[str | Path],
    teacher: Teacher,
    out: str | Path,
    options: AdaptOptions,
    truth: str | Path | None = None,
    say: Say = print,
    bar: Bar | None = None,
) -> Adapted:
    """Adapt a depth network to the recordings of a site.

    A run that was killed and is started again with the same arguments continues: labels after the last
    batch, the training after its last checkpoint.

    Args:
        sources: recordings of color and of depth that is registered to it.
        teacher: labels the color.
        out: folder of everything.
        options: see :class:`AdaptOptions`.
        truth: COCO file by hand of some of the images, for scores alone; None = there is none.
        say: told what is done, line by line.
        bar: see :data:`Bar`; None = no progress is shown.

    Raises:
        ValueError: the folder holds another run, the disk is too small, or the recordings have nothing to
            learn from; says which.
    """
    site, bar = SiteFolder(Path(out)), bar or _silent
    if options.threads:
        torch.set_num_threads(options.threads)
    start = load_checkpoint(options.model)
    config = adaptable(start)
    site.path.mkdir(parents=True, exist_ok=True)
    _check_same_run(site, sources, teacher, options, start)
    every = _surveyed(sources, teacher, site, options, say)
    if not site.weights.is_file():
        if not site.parts.is_file():
            _label(sources, teacher, site, options.labelling(every), say, bar)
            say("parts: looking for labels that depth does not show")
            with bar("parts") as progress:
                write_parts(site, estimator_of(start), options, progress)
        for line in _part_lines(read_json(site.parts)):
            say(line)
        say(f"training: {options.minutes:g} min from {start.name}")
        trained = train_site(site, recipe_of(site, options, config))
        say("choice of weights on the validation part, and scores before and after on the test part")
        _finish(site, start, trained, truth, bar)
        if read_json(site.scores)["kept"]:
            say(
                f"{start.name} is kept as it is: no weights of the training did better on the validation part"
            )
    scores = read_json(site.scores)
    card = write_card(str(site.weights))
    write_adaptation_page(site.report, scores, site.pictures)
    if not options.keep_depth and (site.labels / "images").is_dir():
        shutil.rmtree(site.labels / "images")
        say(f"removed: full-size depth in {site.labels / 'images'}")
    return Adapted(site.weights, card, site.report, scores)


def _silent(name: str) -> AbstractContextManager[Callable[[int, int], object]]:
    from contextlib import nullcontext

    return nullcontext(lambda done, total: None)


def _check_same_run(
    site: SiteFolder,
    sources: Sequence[str | Path],
    teacher: Teacher,
    options: AdaptOptions,
    start: Checkpoint,
) -> None:
    """Write down what is asked, or compare it with what was asked before."""
    asked = {
        "recordings": [Path(source).resolve().name for source in sources],
        "teacher_sha256": teacher.fingerprint,
        "start_sha256": start.sha256,
        "options": options.identity(),
    }
    asked = json.loads(json.dumps(asked))
    if not site.settings.is_file():
        write_json(site.settings, asked)
        return
    before = read_json(site.settings)
    differ = [key for key in asked if before.get(key) != asked[key]]
    if differ:
        raise ValueError(
            f"{site.path}: expected the run that is there, with the same {' and '.join(differ)}, got "
            f"{', '.join(f'{key} {asked[key]} instead of {before.get(key)}' for key in differ)}; "
            "name another folder"
        )


def _surveyed(
    sources: Sequence[str | Path], teacher: Teacher, site: SiteFolder, options: AdaptOptions, say: Say
) -> int:
    """Say what will be done, and return that every k-th frame is labelled."""
    values = read_json(site.settings)
    if site.parts.is_file():
        say(f"{site.path}: labels are there; continuing")
        return int(values["every"])
    found = survey(sources, teacher, site.path, options)
    found.check_disk(site.path)
    for line in found.lines(site.path, options):
        say(line)
    write_json(site.settings, values | {"every": values.get("every", found.every)})
    return int(values.get("every", found.every))


def _label(
    sources: Sequence[str | Path],
    teacher: Teacher,
    site: SiteFolder,
    options: Any,
    say: Say,
    bar: Bar,
) -> None:
    with bar("labels") as progress:
        summary = label_recordings(sources, teacher, site.labels, options, progress)
    for line in summary.skipped:
        say(f"skipped: {line}")
    say(f"labels: {summary.people} people in {summary.images} images; {site.labels / 'contact_sheet.png'}")


def _part_lines(facts: dict[str, Any]) -> list[str]:
    return [
        f"{name}: {part['images']} images, {part['people']} people; regions to ignore: "
        f"{part['not_in_depth']} labels that depth does not show, {part['seen_only_in_depth']} people whom "
        "only the depth network sees"
        if name != "test"
        else f"test: {part['images']} images, {part['people']} people as the teacher labeled them"
        for name, part in ((name, facts[name]) for name in ("train", "validate", "test"))
    ]


def _finish(site: SiteFolder, start: Checkpoint, trained: Path, truth: str | Path | None, bar: Bar) -> None:
    """Choose weights and thresholds, score, draw, and write the weights last: with them all is there."""
    config = adaptable(start)
    settings = MapSettings.from_header(start.name, start.metadata)
    best = best_of(site, config, start, trained)
    after, decoder = (start, settings.decoder) if best is None else (best.checkpoint, best.decoder)
    parts = {"teacher": site_frames(LabelFile(site.part("test"), site.labels), config.input_hw)}
    if truth is not None:
        labels = LabelFile(Path(truth), site.labels)
        parts["truth"] = site_frames(labels, config.input_hw, parts["teacher"].names)
        if not len(parts["truth"]):
            raise ValueError(f"{truth}: expected some of the test part's images, got none of them")
    scores = scores_before_and_after(
        parts, estimator_of(start), estimator_of(after, decoder), bar, site.pictures
    )
    facts = training_facts(read_header(trained))
    scores |= {
        "model": start.name,
        "licence": start.licence,
        "weights": site.weights.name,
        "minutes": facts["minutes"],
        "images": facts["images"],
        "steps": facts["steps"],
        "kept": best is None,
        "share": 0.0 if best is None else best.share,
        "validation": read_json(site.validations),
        "parts": read_json(site.parts),
        "teacher": read_json(site.label_file)["info"]["teacher"],
        "thresholds": {"before": asdict(settings.decoder), "after": asdict(decoder)},
    }
    write_json(site.scores, scores)
    facts["scores"], facts["site"] = {}, {"start": start.name, **scores}
    for name in ("teacher", "details", "thresholds"):  # for the page alone
        del facts["site"][name]
    write_site_weights(site.weights, after, MapSettings(decoder, settings.calibration), facts)


def write_site_weights(path: Path, network: Checkpoint, settings: MapSettings, facts: dict[str, Any]) -> None:
    """Write the weights of a site.

    Args:
        path: of the file.
        network: with the licence of the weights that the training started from.
        settings: thresholds for the site, and the calibration.
        facts: of the training.
    """
    metadata = {"training": json.dumps(facts), "licence": network.licence, **settings.header()}
    save_checkpoint(path, network.model, metadata, half=True)


def scores_before_and_after(
    parts: dict[str, SiteFrames],
    before: PoseEstimator,
    after: PoseEstimator,
    bar: Bar,
    pictures: Path,
) -> dict[str, Any]:
    """Score two networks on the test part and draw what they find.

    Args:
        parts: the test part, with the labels of the ``teacher`` and, where there are some, with ``truth`` by
            hand for some of its images.
        before: the network before the training.
        after: and after it.
        bar: see :data:`Bar`.
        pictures: folder for them.

    Returns:
        ``before`` and ``after``, each with scores by the name of the part (:func:`scoring.scores_of`), and
        ``details`` of both (:func:`scoring.details_of`) against the labels by hand, if there are any, else
        the teacher's.
    """
    test = parts["teacher"]
    found = {}
    for name, estimator in (("before", before), ("after", after)):
        with bar(name) as progress:
            found[name] = dict(
                zip(test.names, estimate_all(estimator, test.frames, progress=progress), strict=True)
            )
    scores: dict[str, Any] = {
        name: {kind: scores_of(part, [own[image] for image in part.names]) for kind, part in parts.items()}
        for name, own in found.items()
    }
    best = parts.get("truth", test)
    scores["details"] = {
        name: details_of(best, [own[image] for image in best.names]) for name, own in found.items()
    }
    worst = [frame["name"] for frame in worst_frames(scores["details"]["after"]["frames"], WORST)]
    scores["details"]["worst"] = worst
    write_pictures(pictures, parts, found, worst)
    return scores
