"""Self-contained HTML pages: figures and pictures are embedded."""

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
        header: headers of the columns.
        rows: cells as text.
        title: title above the table, "" = none.
    """

    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    title: str = ""


@dataclass(frozen=True)
class Picture:
    """A figure or a photograph of a low-resolution image.

    Attributes:
        uri: ``data:`` URI.
        caption: caption below the picture, "" = none.
    """

    uri: str
    caption: str = ""


@dataclass(frozen=True)
class Section:
    """A section of a page.

    Attributes:
        title: title of the section.
        text: what the section shows, and how to read it.
        tables: its tables.
        pictures: its pictures.
        items: items of a list.
        markup: further content as HTML, which is inserted unchanged.
        small: whether pictures are small and stand side by side.
    """

    title: str
    text: str = ""
    tables: Sequence[Table] = ()
    pictures: Sequence[Picture] = ()
    items: Sequence[str] = ()
    markup: str = ""
    small: bool = False


def write_html(path: Path, title: str, facts: Sequence[str], sections: Sequence[Section]) -> Path:
    """Write a page to a temporary file, rename it, and return its path.

    Args:
        path: path of the file.
        title: title of the page.
        facts: lines below the title.
        sections: sections of the page.
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
    """Return an RGB image, uint8 (h, w, 3), as a picture."""
    out = io.BytesIO()
    Image.fromarray(picture).save(out, "PNG", optimize=True)
    return Picture(_uri(out.getvalue()), caption)


def file_picture(path: Path, caption: str = "") -> Picture:
    """Return a PNG file as a picture."""
    return Picture(_uri(path.read_bytes()), caption)


def _uri(png: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"
