"""Labels, report and contact sheet, written from the journal at the end of a labelling run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orpose_core.files import read_json, write_json
from orpose_core.labelling.journal import Journal
from orpose_core.labelling.label_files import people_of, write_label_file
from orpose_core.labelling.options import LabelOptions
from orpose_core.labelling.picking import Balance
from orpose_core.labelling.sheet import write_label_sheet
from orpose_core.teacher.teacher import Teacher

LABELS, REPORT, SHEET = "labels.json", "report.json", "contact_sheet.png"


@dataclass(frozen=True)
class LabelSummary:
    """The result of a run.

    Attributes:
        frames: how many were looked at.
        images: how many are in the labels.
        people: how many were labelled; regions to ignore do not count.
        skipped: one line per reason for which something was left out.
        labels: the COCO file.
    """

    frames: int
    images: int
    people: int
    skipped: tuple[str, ...]
    labels: Path


def assemble(
    journal: Journal,
    out: Path,
    teacher: Teacher,
    names: Sequence[str],
    options: LabelOptions,
    more: Mapping[str, Any] | None = None,
) -> LabelSummary:
    """Write the labels and the report from the journal, one batch in memory at a time.

    Args:
        journal: of the run.
        out: its folder.
        teacher: who labelled.
        names: of the recordings.
        options: of the run.
        more: what else the report tells; its ``skipped`` come after those of the journal.

    Raises:
        ValueError: not one frame was labelled; the files are written all the same.
    """
    info = {
        "description": "pseudo labels of a teacher; nobody drew them",
        "teacher": teacher.description(),
        "teacher_sha256": teacher.fingerprint,
        "trained": teacher.trained,
        "thresholds": teacher.thresholds(),
        "kept_images": options.keep,
    }
    frames = too_few = 0
    skipped: list[str] = []
    for entry in journal.entries():
        if entry.get("finished"):
            skipped.extend(f"{names[entry['recording']]}: {why}" for why in entry["skipped"])
            continue
        frames += len(entry["frames"])
        too_few += sum("image" not in one for one in entry["frames"])
    if too_few:
        skipped.append(f"{too_few} frames with fewer than {options.min_people} people")
    balance = _balance(journal, options)
    if balance is not None:
        skipped.append(balance.sentence())
    kept = (one for one, is_kept in _with_fate(journal, balance) if is_kept)
    images, _ = write_label_file(out / LABELS, info, ((o["image"], o["annotations"]) for o in kept))
    kept = (one for one, is_kept in _with_fate(journal, balance) if is_kept)
    people = sum(len(people_of(one["annotations"])) for one in kept)
    kept = (one for one, is_kept in _with_fate(journal, balance) if is_kept)
    write_label_sheet(out / SHEET, out, kept, images)
    told = dict(more or {})
    skipped += told.pop("skipped", [])
    report = {"frames": frames, "images": images, "people": people, "skipped": skipped} | told
    write_json(out / REPORT, report)
    if frames == 0:
        raise ValueError(f"expected frames to label, got none: {'; '.join(skipped) or 'they are empty'}")
    return LabelSummary(frames, images, people, tuple(skipped), out / LABELS)


def _labelled(journal: Journal) -> Iterator[dict[str, Any]]:
    """Yield image and annotations of every frame with enough people, in order."""
    return (one for entry in journal.entries() for one in entry.get("frames", ()) if "image" in one)


def _balance(journal: Journal, options: LabelOptions) -> Balance | None:
    if options.balance is None:
        return None
    return Balance((len(people_of(one["annotations"])) for one in _labelled(journal)), options.balance)


def _with_fate(journal: Journal, balance: Balance | None) -> Iterator[tuple[dict[str, Any], bool]]:
    """Yield image and annotations of every frame with enough people, and whether it is in the labels."""
    if balance is None:
        yield from ((one, True) for one in _labelled(journal))
        return
    counts = (len(people_of(one["annotations"])) for one in _labelled(journal))
    yield from zip(_labelled(journal), balance.kept(counts), strict=True)


def remove_unlisted(journal: Journal, out: Path, options: LabelOptions) -> None:
    """Remove the images that were left out for balance; a run that is finished does not need them again."""
    balance = _balance(journal, options)
    if balance is None:
        return
    for one, is_kept in _with_fate(journal, balance):
        for key in () if is_kept else ("file_name", "depth_file_name"):
            if key in one["image"]:
                (out / one["image"][key]).unlink(missing_ok=True)


def read_summary(out: Path) -> LabelSummary:
    """Return what the process of rank 0 wrote into its report; ValueError if it wrote none."""
    if not (out / REPORT).is_file():
        raise ValueError(f"{out / REPORT}: expected the report of rank 0, but it broke off; see its message")
    report = read_json(out / REPORT)
    return LabelSummary(
        report["frames"], report["images"], report["people"], tuple(report["skipped"]), out / LABELS
    )
