"""What the command prints: whoever reads it may go away, and names of files need not be UTF-8."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from orpose_core.benchmarking.decoding import decode
from orpose_core.benchmarking.forward import forward
from orpose_core.checkpoints.weights_file import find_weights
from orpose_core.commands.recipes import parse
from orpose_core.labelling.options import LabelOptions
from orpose_core.training.depthpose.recipe import DepthPoseRecipe

REPOSITORY = Path(__file__).parents[2]
_CODE = """
import sys
from types import SimpleNamespace
from orpose_core import cli

def run(args):
    {body}

args = SimpleNamespace(verbose=False, command="estimate", run=run)
cli.build_parser = lambda words: SimpleNamespace(parse_args=lambda words: args)
sys.exit(cli.main([]))
"""


def started(body: str) -> subprocess.Popen:
    words = [sys.executable, "-c", _CODE.format(body=body)]
    return subprocess.Popen(words, cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


@pytest.mark.parametrize("body", ['[print("x" * 1000) for _ in range(1000)]', 'print("x")'])
def test_a_reader_that_goes_away_is_no_traceback(body: str) -> None:
    process = started(f"import time; time.sleep(0.5); {body}")
    process.stdout.close()
    assert process.stderr.read() == b""
    assert process.wait() == 141


def test_names_that_are_not_utf_8_can_be_said() -> None:
    out, err = started(r'print("\udcff.png"); raise ValueError("\udcff.png: no")').communicate()
    assert out == b"\\udcff.png\n" and err == b"orpose estimate: \\udcff.png: no\n"


@pytest.mark.parametrize("value", [float("inf"), float("nan"), -0.1])
def test_tolerances_that_make_no_sense(value: float) -> None:
    with pytest.raises(ValueError, match="tolerance_s: expected 0 to 3600 s"):
        LabelOptions(tolerance_s=value)


def test_benchmarks_of_nothing_are_refused() -> None:
    with pytest.raises(ValueError, match="expected at least 1 person"):
        decode(people=0)
    with pytest.raises(ValueError, match="expected at least 1 repeat"):
        forward(repeats=0)


def test_a_training_without_a_recipe_is_refused() -> None:
    for words in ([], ["--out", "x"], ["--out=x", "--max-minutes", "3"]):
        with pytest.raises(ValueError, match=r"^expected a recipe .*`orpose train depthpose --help`"):
            parse("orpose train depthpose", DepthPoseRecipe, words)


def test_a_tilde_is_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "mine.safetensors").write_bytes(b"x")
    assert find_weights("~/mine.safetensors") == tmp_path / "mine.safetensors"
