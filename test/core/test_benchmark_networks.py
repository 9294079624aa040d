"""The measurements run, and measure what they say."""

from __future__ import annotations

import re

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
