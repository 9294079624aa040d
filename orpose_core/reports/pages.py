"""Markdown pages from templates, and their common parts: tables, verdicts, phrases about a training run."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import jinja2

_PAGES = jinja2.Environment(
    loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
    undefined=jinja2.StrictUndefined,
    autoescape=False,
)


def page(template: str, **values: Any) -> str:
    """Return a page in Markdown; ``template`` is a name in ``templates/`` without its suffix."""
    return _PAGES.get_template(f"{template}.md.j2").render(values)


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table, without a newline at its end."""
    lines = [_line(header), "|" + "---|" * len(header), *map(_line, rows)]
    return "\n".join(lines)


def _line(cells: Sequence[str]) -> str:
    return "|" + "|".join(f" {cell} " if cell else " " for cell in cells) + "|"


def verdict(good: bool, part: bool = False, can_tell: bool = True) -> str:
    """Return the verdict on a finding, in bold."""
    if not can_tell:
        return "**cannot tell**"
    return "**shows**" if good else "**shows in part**" if part else "**does not show**"


def number(value: float | None, digits: int = 1, factor: float = 1.0) -> str:
    """Return a number as text with this many decimal places, or "-" if it is unknown."""
    return "-" if value is None else f"{factor * value:.{digits}f}"


def unlike(of_interest: dict[str, Iterable[Any]]) -> list[str]:
    """Return the names whose values differ among the compared runs."""
    return [name for name, values in of_interest.items() if len({str(value) for value in values}) > 1]


def shown_words(count: int, window_hw: Sequence[int] | None) -> str:
    """Return "12 images", or "12 windows of 40x32 px" if the network was trained on windows."""
    return f"{count} images" if window_hw is None else f"{count} windows of {window_hw[1]}x{window_hw[0]} px"


def domain_words(domains: Sequence[str] | None) -> str:
    """Return a phrase such as " (domains or, general)"; "" if the domains are unknown or there are none."""
    if not domains:
        return ""
    return f" (domain{'s' if len(domains) > 1 else ''} {', '.join(domains)})"


def machine_words(facts: dict[str, Any]) -> str:
    """Return a phrase, with a leading space, about the GPU or the processes and threads of a training."""
    return _on_gpu(facts) or f" in {facts['processes']} process(es) of {facts['threads']} thread(s)"


def norm_words(facts: dict[str, Any]) -> str:
    """Return a clause about batch normalization during training; "" if there was none."""
    return ", batch-normalized while training" if facts.get("batch_norm") else ""


def earlier_words(facts: dict[str, Any]) -> str:
    """Return a clause about earlier training runs; "" if there were none."""
    return "".join(
        f", after {shown_words(e['images'], e.get('window_hw'))}{domain_words(e.get('domains'))} in "
        f"{e['steps']} steps and {e['minutes']:g} minutes{_on_gpu(e)} before that"
        for e in facts.get("earlier", [])
    )


def scale_words(ranges: Sequence[Sequence[float]]) -> str:
    """Return ranges of scales as text, such as "1 to 12, 8"."""
    return ", ".join(f"{a:g} to {b:g}" if a != b else f"{a:g}" for a, b in ranges)


def _on_gpu(facts: dict[str, Any]) -> str:
    """Return " on 2 x NAME" for GPUs, "" for a CPU. The number of GPUs of earlier runs is unknown."""
    if not facts.get("device"):
        return ""
    count = facts.get("processes", 1)
    return f" on {f'{count} x ' if count > 1 else ''}{facts['device']}"


def _fixed(value: float, digits: int = 1) -> str:
    return format(value, f".{digits}f")


def _short(value: float) -> str:
    return format(value, "g")


_WORDS = (number, shown_words, domain_words, machine_words, norm_words, earlier_words, scale_words)
_PAGES.globals.update({words.__name__: words for words in _WORDS})
_PAGES.filters.update({"fixed": _fixed, "short": _short})
