"""One page for each module of the core, made of its docstrings, and the page that lists them."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[2]
CORE = REPOSITORY / "orpose_core"
PAGES = REPOSITORY / "docs" / "_generated" / "modules"
# What the command line is made of has a page of its own; nobody calls it.
_WITHOUT = ("cli", "commands", "__main__")


def _summary(file: Path) -> str:
    return (ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or "").partition("\n")[0]


def _children(package: Path) -> list[Path]:
    """Return the modules and packages directly below a package."""
    entries = [p for p in package.iterdir() if (p / "__init__.py").is_file() or p.suffix == ".py"]
    return sorted(p for p in entries if p.stem not in (*_WITHOUT, "__init__"))


def _write(place: Path, written: set[Path]) -> str:
    """Write the page of a module or package and those below it; return its name."""
    name = ".".join(place.relative_to(REPOSITORY).with_suffix("").parts)
    lines = [name, "=" * len(name), "", f".. automodule:: {name}"]
    lines += ["", ""] if place.is_dir() else ["   :members:", ""]
    if place.is_dir():
        lines += [".. toctree::", "   :hidden:", ""]
        names = [_write(child, written) for child in _children(place)]
        lines += [f"   {child}" for child in names]
    page = PAGES / f"{name}.rst"
    content = "\n".join(lines) + "\n"
    if not page.is_file() or page.read_text(encoding="utf-8") != content:
        page.write_text(content, encoding="utf-8")
    written.add(page)
    return name


def _write_pages(app: Any) -> None:
    PAGES.mkdir(parents=True, exist_ok=True)
    written: set[Path] = set()
    lines = [
        "# Modules",
        "The docstrings of all modules. Only the names on the page [API](../../api.md) are kept stable",
        "between releases.\n",
        "| module | what it holds |\n|---|---|",
    ]
    names = []
    for place in _children(CORE):
        name = _write(place, written)
        names.append(name)
        summary = _summary(place / "__init__.py" if place.is_dir() else place).replace("|", "\\|")
        lines.append(f"| [`{name}`]({name}.rst) | {summary} |")
    lines += ["\n```{toctree}\n:hidden:\n", *names, "```\n"]
    index = PAGES / "index.md"
    index.write_text("\n".join(lines), encoding="utf-8")
    for stale in set(PAGES.glob("*.rst")) - written:
        stale.unlink()


def setup(app: Any) -> dict[str, Any]:
    """Register the extension with Sphinx."""
    app.connect("builder-inited", _write_pages, priority=50)
    return {"parallel_read_safe": True, "version": "1"}
