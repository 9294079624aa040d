"""Pages of one HTML file that needs nothing else: figures and pictures are inside."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
import matplotlib
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from orpose_core import __version__
from orpose_core.files import write_text

matplotlib.use("Agg")
from matplotlib import pyplot as plt

_PAGES = jinja2.Environment(
    loader=jinja2.FileSystemLoader(Path(__file__).parents[1] / "templates"),
    trim_blocks=True,
    lstrip_blocks=True,
    undefined=jinja2.StrictUndefined,
    autoescape=True,
)


@dataclass(frozen=True)
class Table:
    """A table.

    Attributes:
        header: one word per column.
        rows: cells as text.
        title: above it, "" = none.
    """

    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    title: str = ""


@dataclass(frozen=True)
class Picture:
    """A figure or a photograph of a low-resolution image.

    Attributes:
        uri: ``data:`` URI.
        caption: below it, "" = none.
    """

    uri: str
    caption: str = ""


@dataclass(frozen=True)
class Section:
    """A part of a page.

    Attributes:
        title: above it.
        text: what it shows, and how it is read.
        tables: of it.
        pictures: of it.
        items: lines of a list.
        markup: further content as HTML, which is taken as it is.
        small: whether many pictures stand side by side.
    """

    title: str
    text: str = ""
    tables: Sequence[Table] = ()
    pictures: Sequence[Picture] = ()
    items: Sequence[str] = ()
    markup: str = ""
    small: bool = False


def write_html(path: Path, title: str, facts: Sequence[str], sections: Sequence[Section]) -> Path:
    """Write a page, all or nothing, and return its file.

    Args:
        path: of the file.
        title: of the page.
        facts: a line each, below the title.
        sections: of the page.
    """
    template = _PAGES.get_template("page.html.j2")
    write_text(path, template.render(title=title, facts=facts, sections=sections, version=__version__))
    return path


def figure_picture(figure: Any, caption: str = "") -> Picture:
    """Return a figure as a picture, and close it."""
    out = io.BytesIO()
    figure.savefig(out, format="png", dpi=100, bbox_inches="tight")
    plt.close(figure)
    return Picture(_uri(out.getvalue()), caption)


def array_picture(picture: NDArray[np.uint8], caption: str = "") -> Picture:
    """Return a picture, uint8 (h, w, 3), red first."""
    out = io.BytesIO()
    Image.fromarray(picture).save(out, "PNG", optimize=True)
    return Picture(_uri(out.getvalue()), caption)


def file_picture(path: Path, caption: str = "") -> Picture:
    """Return a PNG file as a picture."""
    return Picture(_uri(path.read_bytes()), caption)


def _uri(png: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"
