"""However a launch ends, no node of it is left behind; a node that dies comes back."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.timeout(600)
SMALL = ["model:=untrained:depthpose_64x48@0.0625", "device:=cpu", "cameras:=left,right"]
FAILURE = "OpaqueFunction(function=lambda context: 1 / 0)"


def members(session: int) -> dict[int, str]:
    """Return the commands of the processes of a session by process id, those that have ended left out."""
    found = {}
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        try:
            state, _, _, own, *_ = (folder / "stat").read_text().rsplit(")", 1)[1].split()
            if int(own) == session and state != "Z":
                found[int(folder.name)] = (folder / "cmdline").read_text().replace("\0", " ")
        except (OSError, IndexError, ValueError):
            continue
    return found


def nodes_of(session: int) -> list[int]:
    """Return the process ids of our nodes in a session."""
    return [pid for pid, command in members(session).items() if "/lib/orpose_ros/" in command]


class Launched:
    """A launch in a session of its own, as a service manager starts it, and what it says."""

    def __init__(self, launch: Any, log: Path, arguments: list[str], **options: Any) -> None:
        self.log = log
        with log.open("wb") as stream:
            self.process: subprocess.Popen[bytes] = launch(
                "or_pose.launch.py", arguments, stdin=subprocess.DEVNULL, stdout=stream,
                stderr=subprocess.STDOUT, start_new_session=True, **options,
            )  # fmt: skip

    def said(self) -> str:
        return self.log.read_text(errors="replace")

    def wait_for_nodes(self, graph: Any) -> None:
        wanted = {("pose_node", "/"), ("skeleton_markers", "/"), ("fusion_node", "/"),
                  ("lowres_gateway", "/left"), ("lowres_gateway", "/right")}  # fmt: skip
        graph.until(
            lambda: (
                self.process.poll() is not None or wanted <= set(graph.tester.get_node_names_and_namespaces())
            ),
            "all nodes are there",
            timeout_s=240,
        )
        assert self.process.poll() is None, self.said()

    def close(self) -> None:
        for pid in members(self.process.pid):
            os.kill(pid, signal.SIGKILL)
        self.process.kill()
        self.process.wait()


@pytest.fixture
def launched(launch: Any, tmp_path: Path) -> Iterator[Any]:
    made: list[Launched] = []

    def start(*arguments: str, **options: Any) -> Launched:
        made.append(Launched(launch, tmp_path / f"launch_{len(made)}.log", [*SMALL, *arguments], **options))
        return made[-1]

    yield start
    for one in made:
        one.close()


def test_without_rviz_it_goes_on_and_after_a_signal_to_all_every_node_ends_cleanly(
    graph: Any, launched: Any
) -> None:
    packages = pytest.importorskip("orpose_ros.launching.nodes", reason="launch is not installed here")
    if packages.is_installed("rviz2"):
        pytest.skip("rviz2 is installed here")
    run = launched("rviz:=true")
    run.wait_for_nodes(graph)
    assert "rviz2 is not installed: going on without RViz" in run.said()
    os.killpg(run.process.pid, signal.SIGINT)  # launch sends a second one to each node
    assert run.process.wait(timeout=120) == 0, run.said()
    assert not members(run.process.pid)
    said = run.said()
    assert said.count("process has finished cleanly") == 5, said
    assert "Traceback" not in said and "KeyboardInterrupt" not in said and "has died" not in said


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_launch_that_is_killed_leaves_no_node_behind(graph: Any, launched: Any, number: int) -> None:
    run = launched()
    run.wait_for_nodes(graph)
    run.process.send_signal(number)
    run.process.wait(timeout=120)
    graph.until(lambda: not members(run.process.pid), "all nodes end", timeout_s=120)
    assert "Traceback" not in run.said()


def test_a_launch_in_which_a_later_action_fails_leaves_no_node_behind(graph: Any, launched: Any) -> None:
    run = launched(last=FAILURE)
    assert run.process.wait(timeout=120) != 0
    assert "division by zero" in run.said()
    graph.until(lambda: not members(run.process.pid), "all nodes end", timeout_s=120)


def test_a_node_that_dies_comes_back(graph: Any, launched: Any) -> None:
    run = launched()
    run.wait_for_nodes(graph)
    before = set(nodes_of(run.process.pid))
    victim = next(p for p, command in members(run.process.pid).items() if "skeleton_markers" in command)
    os.kill(victim, signal.SIGKILL)
    graph.until(lambda: set(nodes_of(run.process.pid)) - before, "a new one is started", timeout_s=120)
    (new,) = set(nodes_of(run.process.pid)) - before
    assert "skeleton_markers" in members(run.process.pid)[new]
    assert len(nodes_of(run.process.pid)) == 5


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["model:=student_small", "color:=false"], "looks at color images: expected color:=true or auto"),
        (["depth_with_color:=true"], "is for color models"),
        (["config:=/nowhere/or_pose.yaml"], "/nowhere/or_pose.yaml: no such file"),
        (["calibration:=/nowhere/rig.yaml"], "/nowhere/rig.yaml: no such file"),
    ],
)
def test_arguments_that_do_not_fit_are_refused_before_a_node_starts(
    launched: Any, arguments: list[str], words: str
) -> None:
    run = launched(*arguments)
    assert run.process.wait(timeout=120) == 1
    assert words in run.said()
    assert "process started" not in run.said() and not nodes_of(run.process.pid)


RVIZ = """#!{python}
import pathlib, sys, time
pathlib.Path({out!r}).write_text("\\n".join(sys.argv[1:]))
time.sleep(600)
"""


@pytest.fixture
def fake_rviz(tmp_path: Path) -> tuple[Path, Path]:
    """An installation whose rviz2 writes its arguments into a file; the two."""
    prefix, out = tmp_path / "prefix", tmp_path / "rviz_arguments"
    (prefix / "share" / "ament_index" / "resource_index" / "packages").mkdir(parents=True)
    (prefix / "share" / "ament_index" / "resource_index" / "packages" / "rviz2").touch()
    program = prefix / "lib" / "rviz2" / "rviz2"
    program.parent.mkdir(parents=True)
    program.write_text(RVIZ.format(python=sys.executable, out=str(out)))
    program.chmod(0o755)
    return prefix, out


def test_rviz_shows_topics_that_there_are(
    graph: Any, launched: Any, fake_rviz: tuple[Path, Path], tmp_path: Path
) -> None:
    import yaml

    prefix, out = fake_rviz
    run = launched("rviz:=true", prefix=prefix)
    run.wait_for_nodes(graph)
    graph.until(lambda: out.exists() and out.read_text(), "RViz is started", timeout_s=120)
    option, file, *_ = out.read_text().splitlines()
    assert option == "-d"
    manager = yaml.safe_load(Path(file).read_text())["Visualization Manager"]
    assert manager["Global Options"]["Fixed Frame"] == "cameras"
    shown = {d["Topic"]["Value"] for d in manager["Displays"] if "Topic" in d}
    assert shown == {f"/{c}/{topic}" for c in ("left", "right")
                     for topic in ("skeleton_markers", "lowres/depth/image_raw")} | {
                         "/room/skeleton_markers"}  # fmt: skip
    graph.until(
        lambda: shown <= {name for name, _ in graph.tester.get_topic_names_and_types()},
        "the topics that RViz shows are there",
        timeout_s=120,
    )
