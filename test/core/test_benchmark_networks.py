"""The measurements run, and measure what they say."""

from __future__ import annotations

import re
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from orpose_core.benchmarking import estimation
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


@pytest.mark.parametrize("lanes", [1, 2])
def test_several_cameras_are_served_in_the_lanes_that_there_are(
    monkeypatch: pytest.MonkeyPatch, lanes: int
) -> None:
    served: list[int] = []
    threads, warm = set(), []

    def run(estimator: object, batch: list[int]) -> None:
        threads.add(threading.get_ident())
        served.extend(batch)
        time.sleep(0.01 * len(batch))

    monkeypatch.setattr(estimation, "_run", run)
    estimator = SimpleNamespace(lanes=lanes, warm_up=warm.append)
    assert estimation._frames_per_s(estimator, [1, 2, 3, 4], 5) > 0
    assert len(threads) == lanes and warm == [4 // lanes]
    assert sorted(served) == sorted([1, 2, 3, 4] * (len(served) // 4)), "each run takes one of each camera"
    assert estimation.Case("any").lanes == 1, "as of pose_node"
