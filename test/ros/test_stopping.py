"""Processes that end with status 0 soon after they are told to, whatever runs in them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).parents[2] / "scripts"
LONGEST_S = 30.0  # the grace of 2 s, on a machine that is busy


def started(command: list[str], log: Path, **variables: str) -> subprocess.Popen[bytes]:
    environment = os.environ | {"PYTHONPATH": str(SCRIPTS.parent), "PYTHONUNBUFFERED": "1"} | variables
    with log.open("wb") as stream:
        return subprocess.Popen(command, stdout=stream, stderr=stream, env=environment)


def wait_for(log: Path, words: str, process: subprocess.Popen[bytes]) -> None:
    end_s = time.monotonic() + 200
    while words not in log.read_text():
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < end_s, f"never said {words!r}: {log.read_text()}"
        time.sleep(0.02)


def ended(process: subprocess.Popen[bytes], log: Path, *signals: int) -> None:
    """Send the signals, and expect a clean end."""
    began_s = time.monotonic()
    try:
        for number in signals:
            process.send_signal(number)
            time.sleep(0.05)
        assert process.wait(timeout=60) == 0, log.read_text()
    finally:
        process.kill()
    assert time.monotonic() - began_s < LONGEST_S
    assert "Traceback" not in log.read_text() and "KeyboardInterrupt" not in log.read_text()


NODES = {
    "pose_node": ["-p", "model:=untrained:depthpose_64x48@0.0625", "-p", "device:=cpu"],
    "lowres_gateway": [],
    "skeleton_markers": [],
}


def node(name: str, log: Path) -> subprocess.Popen[bytes]:
    return started([sys.executable, str(SCRIPTS / name), "--ros-args", *NODES[name]], log)


@pytest.mark.parametrize("signals", [(signal.SIGINT, signal.SIGINT), (signal.SIGTERM,)])
@pytest.mark.parametrize(
    ("name", "words"), [("pose_node", "warmed up"), ("lowres_gateway", "at 64x48 px, never larger")]
)
def test_a_node_at_work_ends_cleanly(tmp_path: Path, name: str, words: str, signals: tuple[int, ...]) -> None:
    process = node(name, tmp_path / "log")
    wait_for(tmp_path / "log", words, process)
    ended(process, tmp_path / "log", *signals)


def test_a_node_that_still_imports_ends_cleanly(tmp_path: Path) -> None:
    process = node("pose_node", tmp_path / "log")
    handled = Path(f"/proc/{process.pid}/status")
    end_s = time.monotonic() + 60
    while time.monotonic() < end_s:  # until the handlers are there; before that Python itself comes up
        caught = next(line for line in handled.read_text().splitlines() if line.startswith("SigCgt"))
        if int(caught.split()[1], 16) >> (signal.SIGTERM - 1) & 1:
            break
        time.sleep(0.001)
    ended(process, tmp_path / "log", signal.SIGINT, signal.SIGINT)
    assert "not trained" not in (tmp_path / "log").read_text()


def test_a_node_that_loads_its_model_ends_cleanly(tmp_path: Path) -> None:
    process = node("pose_node", tmp_path / "log")
    wait_for(tmp_path / "log", "is not trained", process)
    ended(process, tmp_path / "log", signal.SIGTERM, signal.SIGINT)


PROGRAM = """
import sys, time
from orpose_ros import stopping
def do(told):
    print("at work", flush=True)
    {body}
    return 0
sys.exit(stopping.work(do))
"""


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("time.sleep(600)", "ended as it is"),
        ("told.wait(); time.sleep(0.2); print('cleaned up', flush=True)", "cleaned up"),
    ],
)
def test_work_that_does_not_end_is_left_and_other_work_is_waited_for(
    tmp_path: Path, body: str, words: str
) -> None:
    process = started([sys.executable, "-c", PROGRAM.format(body=body)], tmp_path / "log")
    wait_for(tmp_path / "log", "at work", process)
    ended(process, tmp_path / "log", signal.SIGINT, signal.SIGTERM, signal.SIGINT)
    assert words in (tmp_path / "log").read_text()


def test_work_that_fails_has_its_own_status_and_says_why(tmp_path: Path) -> None:
    for body, status, words in (("return 3", 3, ""), ("raise ValueError('no')", 1, "ValueError: no")):
        process = started([sys.executable, "-c", PROGRAM.format(body=body)], tmp_path / "log")
        assert process.wait(timeout=60) == status
        assert words in (tmp_path / "log").read_text()


LAUNCHED = """
import os, sys, time
from orpose_ros import stopping
{before}
stopping.end_when_told()
print("at work", flush=True)
sys.exit(stopping.work(lambda told: 0 if told.wait(600) else 1))
"""
NO_PIDFD = """
def refuse(pid): raise PermissionError(1, "not allowed in this sandbox")
os.pidfd_open = refuse
"""


@pytest.mark.parametrize("before", ["", NO_PIDFD], ids=["pidfd", "no pidfd"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_process_ends_with_the_launch_that_started_it(tmp_path: Path, number: int, before: str) -> None:
    launch = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    program = [sys.executable, "-c", LAUNCHED.format(before=before)]
    process = started(program, tmp_path / "log", ORPOSE_LAUNCH_PID=str(launch.pid))
    try:
        wait_for(tmp_path / "log", "at work", process)
        assert process.poll() is None
        launch.send_signal(number)
        launch.wait(timeout=60)
        assert process.wait(timeout=60) == 0, (tmp_path / "log").read_text()
    finally:
        launch.kill()
        process.kill()


def test_a_process_whose_launch_has_ended_already_ends_at_once(tmp_path: Path) -> None:
    launch = subprocess.Popen([sys.executable, "-c", ""])
    launch.wait(timeout=60)
    program = [sys.executable, "-c", LAUNCHED.format(before="")]
    process = started(program, tmp_path / "log", ORPOSE_LAUNCH_PID=str(launch.pid))
    assert process.wait(timeout=60) == 0


def test_a_hangup_ends_a_process_but_not_under_nohup(tmp_path: Path) -> None:
    program = LAUNCHED.format(before="")
    # These tests may themselves run under nohup, which children inherit.
    heeding = "import signal; signal.signal(signal.SIGHUP, signal.SIG_DFL)\n" + program
    process = started([sys.executable, "-c", heeding], tmp_path / "log")
    wait_for(tmp_path / "log", "at work", process)
    ended(process, tmp_path / "log", signal.SIGHUP)

    ignoring = "import signal; signal.signal(signal.SIGHUP, signal.SIG_IGN)\n" + program
    process = started([sys.executable, "-c", ignoring], tmp_path / "other")
    wait_for(tmp_path / "other", "at work", process)
    process.send_signal(signal.SIGHUP)
    time.sleep(1.0)
    assert process.poll() is None
    ended(process, tmp_path / "other", signal.SIGTERM)
