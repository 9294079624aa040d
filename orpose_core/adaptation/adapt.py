"""What `orpose adapt` does, step by step; a step whose result is there is not done again."""

from __future__ import annotations

import json
import logging
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from orpose_core.adaptation.finishing import Bar, check_truth, finish, score_again
from orpose_core.adaptation.options import AdaptOptions, SiteFolder
from orpose_core.adaptation.parts import write_parts
from orpose_core.adaptation.scoring import estimator_of
from orpose_core.adaptation.survey import survey
from orpose_core.adaptation.training import adaptable, recipe_of, train_site
from orpose_core.checkpoints.files import Checkpoint, load_checkpoint
from orpose_core.files import lock_alone, mark_own_output, read_json, remove_temporaries, write_json
from orpose_core.labelling.labelling import label_recordings, source_names
from orpose_core.labelling.review import REVIEW
from orpose_core.reports.adaptation_words import outcome_words
from orpose_core.reports.html.adaptation_page import write_adaptation_page
from orpose_core.reports.model_card import write_card
from orpose_core.teacher.teacher import Teacher

logger = logging.getLogger(__name__)

Say = Callable[[str], object]


@dataclass(frozen=True)
class Adapted:
    """What came of an adaptation.

    Attributes:
        weights: the adapted network.
        card: its model card.
        report: page with scores and pictures.
        scores: see :func:`finishing.scores_before_and_after`.
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
    batch, the training after its last checkpoint. One that is complete is scored again if there are other
    labels by hand.

    Args:
        sources: recordings of color and of depth that is registered to it.
        teacher: labels the color.
        out: folder of everything.
        options: see :class:`AdaptOptions`.
        truth: COCO file by hand of some images of the test part, for scores alone; None = there is none.
        say: told what is done, line by line.
        bar: see :data:`finishing.Bar`; None = no progress is shown.

    Raises:
        ValueError: the folder holds another run or is written by another process, the disk is too small, the
            recordings have nothing to learn from, or ``truth`` has no image of the test part; says which.
    """
    site, bar = SiteFolder(Path(out)), bar or _silent
    if options.threads:
        torch.set_num_threads(options.threads)
    start = load_checkpoint(options.model)
    adaptable(start)
    check_truth(site, truth)
    source_names(sources)  # refuses a recording that is given twice
    mark_own_output(site.path, "adapt")
    with _alone_in(site.path):
        remove_temporaries(site.path, recursive=True)
        asked = _asked(site, sources, teacher, options, start)
        every = _surveyed(sources, teacher, site, options, asked, say)
        if not site.weights.is_file():
            _adapt(sources, teacher, site, options, start, every, truth, say, bar)
        elif truth is not None and score_again(site, start, truth, bar):
            say(f"scored again: before and after, against {truth}")
        scores = read_json(site.scores)
        card = write_card(str(site.weights))
        write_adaptation_page(site.report, scores, site.pictures)
        if not options.keep_depth:
            _remove_depth(site, say)
    return Adapted(site.weights, card, site.report, scores)


def _adapt(
    sources: Sequence[str | Path],
    teacher: Teacher,
    site: SiteFolder,
    options: AdaptOptions,
    start: Checkpoint,
    every: int,
    truth: str | Path | None,
    say: Say,
    bar: Bar,
) -> None:
    """Do what is left up to the weights."""
    if not site.parts.is_file():
        _label(sources, teacher, site, options.labelling(every), say, bar)
        say("parts: looking for labels that depth does not show")
        with bar("parts") as progress:
            write_parts(site, estimator_of(start), options, progress)
        check_truth(site, truth)
    for line in _part_lines(read_json(site.parts)):
        say(line)
    say(f"training: {options.minutes:g} min from {start.name}")
    trained = train_site(site, recipe_of(site, options, adaptable(start)))
    say("choice of weights on the validation part, and scores before and after on the test part")
    finish(site, start, trained, truth, bar)
    say(outcome_words(read_json(site.scores), start.name))


def _remove_depth(site: SiteFolder, say: Say) -> None:
    """Remove full-size depth, and what a review drew of it."""
    for images in (site.labels / "images", site.labels / REVIEW / "images"):
        if images.is_dir():
            shutil.rmtree(images)
            say(f"removed: full-size depth in {images}")


@contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """Keep other processes from adapting into a folder; ValueError if one does."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        lock_alone(handle, folder, "adapting into this folder")
        yield
    finally:
        os.close(handle)


def _silent(name: str) -> AbstractContextManager[Callable[[int, int], object]]:
    from contextlib import nullcontext

    return nullcontext(lambda done, total: None)


def _asked(
    site: SiteFolder,
    sources: Sequence[str | Path],
    teacher: Teacher,
    options: AdaptOptions,
    start: Checkpoint,
) -> dict[str, Any]:
    """Return what is asked; ValueError if the folder holds a run that was asked something else."""
    asked = {
        "recordings": [Path(source).resolve().name for source in sources],
        "teacher_sha256": teacher.fingerprint,
        "start_sha256": start.sha256,
        "options": options.identity(),
    }
    asked = json.loads(json.dumps(asked))
    before = read_json(site.settings) if site.settings.is_file() else asked
    differ = [key for key in asked if before.get(key) != asked[key]]
    if differ:
        raise ValueError(
            f"{site.path}: expected the run that is there, with the same {' and '.join(differ)}, got "
            f"{', '.join(f'{key} {asked[key]} instead of {before.get(key)}' for key in differ)}; "
            "name another folder"
        )
    return dict(before)


def _surveyed(
    sources: Sequence[str | Path],
    teacher: Teacher,
    site: SiteFolder,
    options: AdaptOptions,
    asked: dict[str, Any],
    say: Say,
) -> int:
    """Say what will be done, write down what was asked, and return that every k-th frame is labelled."""
    if site.parts.is_file():
        say(f"{site.path}: labels are there; continuing")
        return int(asked["every"])
    found = survey(sources, teacher, site.path, options)
    found.check_disk(site.path)
    for line in found.lines(site.path, options):
        say(line)
    every = int(asked.get("every", found.every))
    write_json(site.settings, asked | {"every": every})
    return every


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
