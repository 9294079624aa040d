"""Configuration of the documentation; `make docs` builds it into docs/_build/html."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

DOCS = Path(__file__).resolve().parent
sys.path[:0] = [str(DOCS.parent), str(DOCS / "extensions")]

from orpose_core import __version__  # noqa: E402  (the checkout must be on the path)

project = "orpose"
author = "The orpose developers"
copyright = f"2026, {author}"
release = version = __version__

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "sphinx_copybutton",
    "module_pages",
    "repository_pages",
    "ros_reference",
]
exclude_patterns = ["_build", "extensions", "_generated/floors.md"]
html_theme = "furo"
html_title = f"orpose {release}"
html_show_sphinx = False

# Notebooks are run, in this checkout, so that what they show is what the code does today.
os.environ["PYTHONPATH"] = str(DOCS.parent)
nb_execution_mode = "force"
nb_execution_timeout = 1800
nb_execution_raise_on_error = True
nb_execution_show_tb = True
nb_merge_streams = True

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3

autodoc_default_options = {"members": True, "show-inheritance": True}
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True


def _with_type_imports() -> None:
    """Import what the decoder of students names for type checkers alone: its signatures can then be read."""
    from orpose_core.decoding import roi
    from orpose_core.models.student.network import Student, StudentOutput

    vars(roi).update(Student=Student, StudentOutput=StudentOutput)


_with_type_imports()


def _collapse_sidebar(app: Any, page: str, template: str, context: dict[str, Any], doctree: Any) -> None:
    """Expand the sidebar only where the page shown is, which is Sphinx's default; furo expands all of it.

    With all modules in the sidebars of all pages, the time to build and the size of the result grow with the
    square of the number of modules.
    """
    if "toctree" in context:
        toctree = context["toctree"]
        context["toctree"] = lambda **options: toctree(**{**options, "collapse": True})


def setup(app: Any) -> None:
    """Register what this file adds to Sphinx."""
    app.connect("html-page-context", _collapse_sidebar, priority=400)  # before furo, at 500
