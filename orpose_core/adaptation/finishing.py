"""The end of an adaptation: weights are chosen, scored and written. Labels by hand may come later."""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from orpose_core.adaptation.choice import best_of
from orpose_core.adaptation.gain import gain_of, time_blocks
from orpose_core.adaptation.options import SiteFolder
from orpose_core.adaptation.pictures import WORST, write_pictures
from orpose_core.adaptation.scoring import (
    SiteFrames,
    counts_of,
    details_of,
    estimator_of,
    scores_of,
    site_frames,
    worst_frames,
)
from orpose_core.adaptation.splitting import Shot
from orpose_core.adaptation.training import adaptable
from orpose_core.checkpoints.files import Checkpoint, load_checkpoint, save_checkpoint
from orpose_core.checkpoints.history import training_facts
from orpose_core.checkpoints.weights_file import read_header
from orpose_core.data.coco_file import read_coco_file
from orpose_core.decoding.paf import PafDecoderConfig
from orpose_core.estimators import PoseEstimator, estimate_all
from orpose_core.estimators.map_settings import MapSettings
from orpose_core.files import read_json, write_json
from orpose_core.training.depthpose.label_file import LabelFile
from orpose_core.types import Poses

Bar = Callable[[str], AbstractContextManager[Callable[[int, int], object]]]
"""Opens a progress bar of a step's name; what it gives is told how much is done, of how much."""

_FOR_THE_PAGE = ("teacher", "details", "thresholds")


def check_truth(site: SiteFolder, truth: str | Path | None) -> None:
    """Refuse labels by hand that cannot be used, before anything long starts.

    Raises:
        ValueError: no COCO file, or, once the parts are there, one without an image of the test part.
    """
    if truth is None:
        return
    names = {image.file_name for image in read_coco_file(truth).images}
    if site.parts.is_file():
        test = {image.file_name for image in read_coco_file(site.part("test")).images}
        if not names & test:
            raise ValueError(
                f"{truth}: expected some of the {len(test)} images of {site.part('test')}, such as "
                f"{min(test)}, got none of them among {len(names)} images"
            )


def finish(site: SiteFolder, start: Checkpoint, trained: Path, truth: str | Path | None, bar: Bar) -> None:
    """Choose weights and thresholds, score, draw, and write the weights last: with them all is there."""
    settings = MapSettings.from_header(start.name, start.metadata)
    choices = best_of(site, adaptable(start), start, trained)
    best = choices.best
    # Scored as it is stored:
    after = replace(best.checkpoint, model=copy.deepcopy(best.checkpoint.model).half().float())
    facts = training_facts(read_header(trained))
    facts["scores"] = {}
    scores = _scored(site, start, after, best.decoder, choices.retuned.decoder, best.share, truth, bar)
    scores |= {
        "model": start.name,
        "licence": start.licence,
        "weights": site.weights.name,
        "minutes": facts["minutes"],
        "images": facts["images"],
        "steps": facts["steps"],
        "kept": not best.changed,
        "share": best.share,
        "validation": read_json(site.validations) | {"chosen": round(best.f1, 2)},
        "parts": read_json(site.parts),
        "teacher": read_json(site.label_file)["info"]["teacher"],
        "thresholds": {
            "before": asdict(settings.decoder),
            "retuned": asdict(choices.retuned.decoder),
            "after": asdict(best.decoder),
        },
    }
    _write(site, start.name, after, MapSettings(best.decoder, settings.calibration), facts, scores)


def score_again(site: SiteFolder, start: Checkpoint, truth: str | Path, bar: Bar) -> bool:
    """Score the weights that are there against labels by hand; return False where that was done before.

    Raises:
        ValueError: the depth images of the test part are gone.
    """
    facts = training_facts(read_header(site.weights))
    if facts["site"].get("truth_sha256") == _sha256(truth):
        return False
    images = site.labels / "images"
    if not images.is_dir():
        raise ValueError(
            f"{truth}: expected the depth images of the test part in {images}, but they were removed when "
            "this run was complete; run it again in another folder, with --keep-depth"
        )
    after = load_checkpoint(site.weights)
    settings = MapSettings.from_header(after.name, after.metadata)
    scores = read_json(site.scores)
    retuned = scores["thresholds"].get("retuned")
    retuned = None if retuned is None else PafDecoderConfig(**retuned)
    scores |= _scored(site, start, after, settings.decoder, retuned, scores.get("share", 1.0), truth, bar)
    _write(site, start.name, after, settings, facts, scores)
    return True


def _worth_scoring(
    retuned: PafDecoderConfig | None, own: PafDecoderConfig, chosen: PafDecoderConfig, share: float
) -> PafDecoderConfig | None:
    """Return the thresholds of the network before for the site; None where before or after has the same.

    Args:
        retuned: these thresholds; None = not known.
        own: those of its file.
        chosen: those of the weights that were chosen.
        share: of the trained weights in them.
    """
    return None if retuned == own or (share == 0 and retuned == chosen) else retuned


def _scored(
    site: SiteFolder,
    start: Checkpoint,
    after: Checkpoint,
    decoder: PafDecoderConfig,
    retuned: PafDecoderConfig | None,
    share: float,
    truth: str | Path | None,
    bar: Bar,
) -> dict[str, Any]:
    input_hw = adaptable(start).input_hw
    parts = {"teacher": site_frames(LabelFile(site.part("test"), site.labels), input_hw)}
    if truth is not None:
        parts["truth"] = site_frames(LabelFile(Path(truth), site.labels), input_hw, parts["teacher"].names)
    networks = {"before": estimator_of(start), "after": estimator_of(after, decoder)}
    own = MapSettings.from_header(start.name, start.metadata).decoder
    retuned = _worth_scoring(retuned, own, decoder, share)
    if retuned is not None:
        networks["retuned"] = estimator_of(start, retuned)
    images = read_coco_file(site.part("test")).images
    blocks = time_blocks([Shot.of(image.entry) for image in images])
    block_of = (
        None if blocks is None else dict(zip([i.file_name for i in images], blocks.tolist(), strict=True))
    )
    scores = scores_before_and_after(parts, networks, block_of, bar, site.pictures)
    return scores | {"truth_sha256": None if truth is None else _sha256(truth)}


def _sha256(file: str | Path) -> str:
    return hashlib.sha256(Path(file).read_bytes()).hexdigest()


def _write(
    site: SiteFolder,
    start: str,
    after: Checkpoint,
    settings: MapSettings,
    facts: dict[str, Any],
    scores: dict[str, Any],
) -> None:
    write_json(site.scores, scores)
    own = {name: value for name, value in scores.items() if name not in _FOR_THE_PAGE}
    write_site_weights(site.weights, after, settings, facts | {"site": {"start": start, **own}})


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
    networks: Mapping[str, PoseEstimator],
    blocks: Mapping[str, int] | None,
    bar: Bar,
    pictures: Path,
) -> dict[str, Any]:
    """Score networks on the test part and draw what they find.

    Args:
        parts: the test part, with the labels of the ``teacher`` and, where there are some, with ``truth`` by
            hand for some of its images.
        networks: the network ``before`` the training and ``after`` it, and ``retuned``, the one before with
            thresholds for the site, where it is neither of them.
        blocks: by image name its block of time (:func:`gain.time_blocks`); None = not known.
        bar: see :data:`Bar`.
        pictures: folder for them.

    Returns:
        By network, scores by the name of the part (:func:`scoring.scores_of`); ``retuned`` is None where it
        was not scored; ``gain`` by the name of the part (:func:`gain.gain_of`); and ``details`` of before and
        after (:func:`scoring.details_of`) against the labels by hand, if there are any, else the teacher's.
    """
    test = parts["teacher"]
    found = {}
    for name, estimator in networks.items():
        with bar(name) as progress:
            found[name] = dict(
                zip(test.names, estimate_all(estimator, test.frames, progress=progress), strict=True)
            )

    def of(name: str, part: SiteFrames) -> list[Poses]:
        return [found[name][image] for image in part.names]

    scores: dict[str, Any] = {"retuned": None} | {
        name: {kind: scores_of(part, of(name, part)) for kind, part in parts.items()} for name in found
    }
    scores["gain"] = {
        kind: _gain(part, of("before", part), of("after", part), blocks) for kind, part in parts.items()
    }
    best = parts.get("truth", test)
    scores["details"] = {name: details_of(best, of(name, best)) for name in ("before", "after")}
    worst = [frame["name"] for frame in worst_frames(scores["details"]["after"]["frames"], WORST)]
    scores["details"]["worst"] = worst
    write_pictures(pictures, parts, found, worst)
    return scores


def _gain(
    part: SiteFrames, before: list[Poses], after: list[Poses], blocks: Mapping[str, int] | None
) -> dict[str, Any]:
    own = [0 if blocks is None else blocks[name] for name in part.names]
    return gain_of(counts_of(part, before, own), counts_of(part, after, own), timed=blocks is not None)
