"""Every `orpose` command and launch argument that the README and the documentation print is accepted."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from orpose_core.cli import build_parser
from orpose_core.commands.train import TRAINED

REPOSITORY = Path(__file__).parents[2]
PAGES = sorted(
    [REPOSITORY / "README.md", REPOSITORY / "training" / "README.md", *(REPOSITORY / "docs").glob("*.md")]
)


def printed_lines(page: Path) -> list[str]:
    """Return the lines of a page's blocks of code other than Python, with lines that continue joined."""
    lines, fenced, language = [], False, ""
    for line in page.read_text(encoding="utf-8").splitlines():
        fence = re.match(r"\s*```(\w*)", line)
        if fence:
            fenced, language = not fenced, fence[1]
        elif (fenced and language != "python") or line.startswith("    "):
            lines.append(line.strip())
    return re.sub(r"\\\n\s*", "", "\n".join(lines)).splitlines()


def commands(program: str) -> list[tuple[str, str]]:
    """Return (page, command) of each printed command of a program, without what is piped into it."""
    found = []
    for page in PAGES:
        for line in printed_lines(page):
            command = re.sub(r"^\S*/bin/", "", line.rpartition(" | ")[2])
            if command.startswith(program):
                found.append((page.name, command))
    return found


@pytest.mark.parametrize(("page", "command"), commands("orpose "))
def test_a_printed_command_is_accepted(page: str, command: str, capsys: pytest.CaptureFixture[str]) -> None:
    words = [word for word in shlex.split(command, comments=True)[1:] if word != "..."]
    if words == ["--help"]:
        return
    try:
        build_parser().parse_args(words)
    except SystemExit:
        pytest.fail(f"{page}: {command}\n{capsys.readouterr().err}")
    if words[0] == "train":  # whose own options are parsed when it runs
        assert words[1] in TRAINED, command


@pytest.mark.parametrize(("page", "command"), commands("ros2 launch orpose_ros "))
def test_a_printed_launch_argument_exists(page: str, command: str) -> None:
    launch_file, *words = shlex.split(command, comments=True)[3:]
    text = (REPOSITORY / "launch" / launch_file).read_text(encoding="utf-8")
    known = set(re.findall(r'^    \(?"(\w+)"[,:]', text, re.MULTILINE))
    given = {word.partition(":=")[0] for word in words if not word.startswith("--")}
    assert given <= known, f"{page}: {command}"
