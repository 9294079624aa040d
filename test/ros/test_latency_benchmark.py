"""`orpose benchmark graph`: images go over DDS to a node in a process of its own, and skeletons come back."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from orpose_ros.graph import latency


def test_the_latency_of_two_cameras_is_measured(tmp_path: Path) -> None:
    command = [
        "--cameras", "2", "--seconds", "2", "--rate", "2", "--model", "untrained:depthpose_64x48@0.0625",
        "--backend", "torch", "--threads", "1", "--flip-test", "never", "--json", str(tmp_path / "all.json"),
    ]  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-m", "orpose_core.cli", "benchmark", "graph", *command],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    (found,) = json.loads((tmp_path / "all.json").read_text())
    assert found["cameras"] == 2 and found["backend"].startswith("torch ")
    assert 0 < found["answered"] <= found["sent"] == 8
    median, p95, p99 = found["percentiles_ms"]
    assert 0 < median <= p95 <= p99 and found["first_s"] > 0
    assert 0 < found["sender_cpu"] < 1 and found["with_flip_test"] == 0
    assert "2 cameras: median " in done.stdout


def test_what_cannot_be_measured_is_said() -> None:
    command = [sys.executable, "-m", "orpose_core.cli", "benchmark", "graph"]
    for wrong in (["--cameras", "0"], ["--rate", "0"]):
        done = subprocess.run([*command, *wrong], capture_output=True, text=True)
        assert done.returncode != 0 and "expected at least 1 camera" in done.stderr


class Sender:
    """Numbers what it is told to send."""

    def __init__(self) -> None:
        self.sent: list[int] = []

    def send(self, moment: int) -> list[int]:
        self.sent.append(moment)
        return [moment]

    def spin(self, seconds: float) -> None:
        pass

    def spin_until(self, end_s: float) -> None:
        pass


def test_images_follow_those_that_count() -> None:
    """After the last image of all, cameras wait for each other as they do not while images come."""
    sender = Sender()
    assert latency._send_for(sender, 3.0, 10.0)[0] == list(range(20, 50))
    assert sender.sent == list(range(70))
