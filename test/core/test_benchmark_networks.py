"""The measurements run, and measure what they say."""

from __future__ import annotations

import re
from pathlib import Path

from orpose_core.cli import main


def test_decoding_is_measured_on_people_who_are_all_found(capsys):
    assert main(["benchmark", "decode", "--people", "4"]) == 0
    said = capsys.readouterr().out
    assert said.startswith("decoding 4 of 4 people: ")
    best, median = (float(x) for x in re.findall(r"([\d.]+) (?:ms at best|median)", said))
    assert 0 < best <= median


def test_a_network_is_measured_in_both_precisions(capsys):
    arguments = ["benchmark", "forward", "--model", "untrained:depthpose_16x12@0.1", "--threads", "1"]
    assert main([*arguments, "--repeats", "2"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    assert "float32, 1 threads, batch 1: " in lines[0]
    assert "bf16" in lines[1]


def test_a_recipe_is_measured_on_real_steps(capsys):
    recipe = str(Path(__file__).parents[2] / "training" / "tiny.yaml")
    arguments = ["--config", recipe, "--steps", "2", "--threads", "1", "--workers", "0"]
    assert main(["benchmark", "train", *arguments]) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert "1 threads, 0 workers, cpu" in first
    assert float(second.split()[0]) > 0 and "of the time waiting" in second
