"""The model card of a weights file as a page: its Markdown, and charts of the scores in the file's header."""

from __future__ import annotations

import re
from pathlib import Path

from orpose_core.checkpoints.history import training_facts
from orpose_core.checkpoints.weights_file import find_weights, read_header
from orpose_core.estimators.map_settings import MapSettings
from orpose_core.reports.html.charts import bars
from orpose_core.reports.html.page import Picture, Section, write_html
from orpose_core.reports.model_card import card_text

_PARTS = ("head", "shoulder", "hip", "elbow", "wrist", "average")
_COVERED = {
    "px": "in the image",
    "px_visible": "visible",
    "px_hidden": "hidden",
    "m": "in space",
    "m_visible": "visible, in space",
    "m_hidden": "hidden, in space",
}


def write_card_page(
    name_or_path: str, out: Path, real: Path | None = None, scores: Path | None = None
) -> Path:
    """Write the card of a weights file as a page and return its file.

    Args:
        name_or_path: name or path of the weights. An existing card beside them is shown, unless ``real`` or
            ``scores`` are given.
        out: file of the page.
        real: see :func:`orpose_core.reports.model_card.card_text`.
        scores: likewise.

    Raises:
        ValueError: there is no card, and the header does not describe the training.
    """
    beside = find_weights(name_or_path).with_suffix(".md")
    as_published = beside.is_file() and real is None and scores is None
    text = beside.read_text(encoding="utf-8") if as_published else card_text(name_or_path, real, scores)
    title, sections = _sections(text)
    charts = _charts(name_or_path)
    if charts:
        sections.insert(1, Section("Charts", pictures=charts))
    return write_html(out, title, (), sections)


def _sections(text: str) -> tuple[str, list[Section]]:
    """Return the title of a card in Markdown, and its sections; the first is the text before the others."""
    try:
        from markdown_it import MarkdownIt
    except ImportError:
        raise ValueError("a card as a page needs markdown-it-py: pip install markdown-it-py") from None

    reader = MarkdownIt("commonmark", {"html": False}).enable("table")
    head, *parts = re.split(r"^## ", re.sub(r"<!--.*?-->", "", text, flags=re.S), flags=re.M)
    title, _, purpose = head.partition("\n")
    sections = [Section("Purpose", markup=reader.render(purpose))]
    for part in parts:
        name, _, body = part.partition("\n")
        sections.append(Section(name.strip(), markup=reader.render(body)))
    return title.lstrip("# ").strip(), sections


def _charts(name_or_path: str) -> list[Picture]:
    """Return charts of the scores in the header: PCK by part, before and after; coverage of the sigmas."""
    header = read_header(find_weights(name_or_path))
    facts = training_facts(header)
    charts, names = [], [part.capitalize() for part in _PARTS]
    scores, site = facts.get("scores") or {}, facts.get("site")
    if all(f"pck_{part}" in scores for part in _PARTS):
        charts.append(bars(names, {"": [scores[f"pck_{part}"] for part in _PARTS]}, "PCK@0.2, %"))
    if site is not None:
        kind = "truth" if "truth" in site["after"] else "teacher"
        series = {
            name: [site[name][kind]["pck"].get(part) for part in _PARTS] for name in ("before", "after")
        }
        charts.append(bars(names, series, "strict PCK@0.2, %"))
    calibration = MapSettings.from_header(name_or_path, header.metadata).calibration
    if calibration is not None:
        kinds = [kind for kind in _COVERED if f"{kind}_68" in calibration.coverage]
        series = {
            f"within the radius of {share} %": [
                100 * calibration.coverage[f"{kind}_{share}"] for kind in kinds
            ]
            for share in (68, 95)
        }
        label = "joints within it, % (dashed: wanted)"
        charts.append(bars([_COVERED[kind] for kind in kinds], series, label, (68, 95)))
    return charts
