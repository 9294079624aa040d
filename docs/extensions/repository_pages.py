"""Pages of the documentation that lie elsewhere in the repository, and links that leave the documentation.

`training/README.md`, the notebook of `examples/` and the cards of `weights/` are read where they are. Links
such as ``../msg`` are right in the repository, but have no page here.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[2]
GENERATED = REPOSITORY / "docs" / "_generated"
_LINK = re.compile(r"(?<!!)\[([^\]]+)\]\(([^)#\s]+)(#[^)\s]*)?\)")


def _page(source: Path, target: Path) -> None:
    """Write a page of the repository as a page of the documentation, with its links mended."""

    def mended(match: re.Match[str]) -> str:
        text, link, anchor = match.group(1), match.group(2), match.group(3) or ""
        if "://" in link:
            return match.group(0)
        place = (source.parent / link).resolve()
        docs = REPOSITORY / "docs"
        if place.suffix == ".md" and place.is_relative_to(docs) and place.is_file():
            return f"[{text}](../{place.relative_to(docs)}{anchor})"
        if place.suffix == ".md" and place.parent == REPOSITORY / "weights" and place.is_file():
            return f"[{text}](weights_{place.name}{anchor})"
        return text if text.startswith("`") else f"`{text}`"

    content = _LINK.sub(mended, source.read_text(encoding="utf-8"))
    if not target.is_file() or target.read_text(encoding="utf-8") != content:
        target.write_text(content, encoding="utf-8")


def _write_pages(app: Any) -> None:
    GENERATED.mkdir(exist_ok=True)
    _page(REPOSITORY / "training" / "README.md", GENERATED / "training.md")
    _page(REPOSITORY / "examples" / "look.ipynb", GENERATED / "look.ipynb")
    for card in sorted((REPOSITORY / "weights").glob("*.md")):
        _page(card, GENERATED / f"weights_{card.name}")


def _mend_links(app: Any, docname: str, source: list[str]) -> None:
    """Turn a link out of docs/ into plain text, or into the page that was made of its target."""
    if docname.startswith("_generated/"):
        return
    here = (REPOSITORY / "docs" / docname).parent

    def mended(match: re.Match[str]) -> str:
        text, link, anchor = match.group(1), match.group(2), match.group(3) or ""
        if "://" in link or not link.startswith("../"):
            return match.group(0)
        place = (here / link).resolve()
        if place == REPOSITORY / "training" / "README.md":
            return f"[{text}](_generated/training.md{anchor})"
        if place == REPOSITORY / "examples" / "look.ipynb":
            return f"[{text}](_generated/look.ipynb{anchor})"
        if place.parent == REPOSITORY / "weights" and place.suffix == ".md":
            return f"[{text}](_generated/weights_{place.name}{anchor})"
        if not place.exists():
            return match.group(0)  # Sphinx names what is missing
        return text if text.startswith("`") else f"`{text}`"

    source[0] = _LINK.sub(mended, source[0])


def setup(app: Any) -> dict[str, Any]:
    """Register the extension with Sphinx."""
    app.connect("builder-inited", _write_pages, priority=100)
    app.connect("source-read", _mend_links)
    return {"parallel_read_safe": True, "version": "1"}
