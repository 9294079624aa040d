"""The documentation builds without a warning, and its generated pages hold what they are made of."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]

pytestmark = pytest.mark.timeout(1800)  # all modules are imported and laid out


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-b", "html", "-d", out / "doctrees",
         "docs", out / "html"],
        cwd=REPOSITORY, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return out / "html"


def test_every_message_and_module_has_its_place(site):
    messages = (site / "_generated/messages.html").read_text()
    assert all(file.stem in messages for file in (REPOSITORY / "msg").glob("*.msg"))
    pages = {page.stem for page in (site / "_generated/modules").glob("*.html")}
    assert {"orpose_core.types", "orpose_core.decoding.paf", "orpose_core.training.engine.engine"} <= pages


def test_every_node_parameter_and_command_is_listed(site):
    from orpose_core.cli import build_parser
    from orpose_ros.parameters.pose import PoseParameters

    parameters = (site / "_generated/parameters.html").read_text()
    assert all(name in parameters for name in PoseParameters.__dataclass_fields__)
    commands = (site / "_generated/commands.html").read_text()
    assert "orpose evaluate" in commands and build_parser().prog in commands


def test_the_notebook_was_run(site):
    page = (site / "_generated/look.html").read_text()
    assert re.search(r"person with score \d", page) and re.search(r"PCK@0\.2 \d", page)
    assert len(re.findall(r'<img [^>]*src="\.\./_images/\w+\.png"', page)) == 2  # in 2D, and in 3D


def test_the_sidebar_shows_only_the_branch_of_the_page(site):
    """All modules on all pages would make the size and the build time grow with their square."""
    page = (site / "_generated/modules/orpose_core.decoding.paf.html").read_text()
    sidebar = page[page.index("sidebar-tree") :]
    assert "orpose_core.decoding.peaks.html" in sidebar and "orpose_core.fusion.html" in sidebar
    assert "orpose_core.fusion.room.html" not in sidebar
