"""The soak benchmark: what it measures of a short run, and that it sees what does not hold."""

from __future__ import annotations

import mmap
import os
import re
from pathlib import Path

import pytest

from orpose_core.cli import main
from orpose_ros.endurance.soak import Soak, anonymous_memory_kib, report


@pytest.mark.timeout(1500)
def test_every_image_of_a_short_run_is_accounted_for(tmp_path: Path, capfd: pytest.CaptureFixture) -> None:
    small = ["--cameras", "2", "--rate", "3", "--model", "untrained:depthpose_64x48@0.0625"]
    # Exit status 1 is no fault here: memory and latency of so short a run on a busy machine prove nothing.
    assert main(["benchmark", "soak", "--minutes", "0.1", "--out", str(tmp_path / "run"), *small]) in (0, 1)
    said = capfd.readouterr().out
    assert "holds: no error in any log" in said and "holds: every image served or counted" in said
    sent, answered = (
        int(re.search(rf"{word} ([\d,]+)", said)[1].replace(",", "")) for word in ("sent", "answered")
    )
    assert sent >= answered > 0
    for node in ("/pose_node", "/fusion_node", "/ceiling_1/lowres_gateway", "/ceiling_2/lowres_gateway"):
        assert re.search(rf"^  {node}  \d+ MiB, [+-][\d.]+%  frames [\d,]+", said, re.MULTILINE), node


def good() -> Soak:
    """What a graph that holds would measure."""
    counts = {"frames": 495, "dropped": 5, "refused": 0}
    return Soak(
        1.0,
        sent={"a": 500, "b": 500},
        answered={"a": 495, "b": 500},
        latencies_s=[0.02] * 99 + [0.03],
        memory_kib={"/pose_node": [100_000, *[200_000] * 9]},
        counts={"/a/lowres_gateway": counts, "/fusion_node": counts},
    )


def test_a_graph_that_holds_holds() -> None:
    run = good()
    assert run.holds and run.growth == {"/pose_node": 0.0} and run.unaccounted == 0
    assert "FAILS" not in "\n".join(report(run))


@pytest.mark.parametrize(
    ("field", "value", "promise"),
    [
        ("memory_kib", {"/pose_node": [100_000] * 5 + [103_000] * 5}, "memory flat within 2%"),
        ("latencies_s", [0.02] * 90 + [0.06] * 10, "latency p99 below 2.5 times the median"),
        ("latencies_s", [], "latency p99 below 2.5 times the median"),
        ("sent", {"a": 510, "b": 500}, "every image served or counted"),
        ("errors", ["[ERROR] [1.0] [pose_node]: frame lost"], "no error in any log"),
    ],
)
def test_each_promise_that_is_broken_is_named(field: str, value: object, promise: str) -> None:
    run = good()
    setattr(run, field, value)
    assert not run.holds
    assert [name for name, holds in run.verdicts.items() if not holds] == [promise]
    assert f"FAILS: {promise}" in report(run)


def test_memory_is_that_of_the_process() -> None:
    before = anonymous_memory_kib(os.getpid())
    kept = mmap.mmap(-1, 40_000_000, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)  # pages of its own
    kept.write(os.urandom(20_000_000))
    assert anonymous_memory_kib(os.getpid()) - before > 15_000
    del kept
