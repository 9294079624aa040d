"""A whole graph in processes of its own: cameras, gateways, pose node, fusion, and all other nodes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from orpose_ros.endurance.cameras import render_room
from orpose_ros.endurance.mark import Mark
from orpose_ros.graph.deployment import deployment
from orpose_ros.graph.node_processes import NodeProcesses, StageError

MODEL = "fastpose_64x48"
_STOP_S = 600.0  # for the cameras, on a busy machine
Say = Callable[[str], None]


class Running:
    """The graph while it runs.

    Attributes:
        nodes: the processes of the nodes.
        folder: folder for everything that they write, including their home.
    """

    def __init__(self, nodes: NodeProcesses, cameras: subprocess.Popen[bytes], folder: Path) -> None:
        self.nodes, self.folder = nodes, folder
        self._cameras = cameras

    def check(self) -> None:
        """Raise StageError if a node or the cameras have ended."""
        self.nodes.check()
        if self._cameras.poll() is not None:
            raise StageError(f"the cameras ended with status {self._cameras.returncode}")

    def stop_cameras(self) -> dict[str, int]:
        """Stop the cameras, and return the number of images of each."""
        self._cameras.send_signal(signal.SIGTERM)
        said, _ = self._cameras.communicate(timeout=_STOP_S)
        return dict(json.loads(said))


@contextmanager
def running(
    cameras: Sequence[str],
    rate_hz: float,
    folder: Path,
    given: Mapping[str, Mapping[str, Any]] | None = None,
    mark: Mark | None = None,
    say: Say = print,
) -> Iterator[Running]:
    """Start everything in a domain of its own, and end it when the context is left.

    Args:
        cameras: namespaces of the cameras.
        rate_hz: rate of each camera.
        folder: folder for everything that is written.
        given: parameters of nodes, by module.
        mark: mark to put on the images; None = no mark.
        say: prints messages about the progress.
    """
    # rclpy.init reads both. Another graph on this machine must not discover this one.
    os.environ["ROS_DOMAIN_ID"] = str(1 + os.getpid() % 100)
    os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
    folder = folder.absolute()
    home = folder / "home"
    for place in (home, folder / "tmp", folder / "ros"):
        place.mkdir(parents=True, exist_ok=True)
    say(f"rendering a room with {len(cameras)} cameras ...")
    inputs = folder.with_name(f"{folder.name}_cameras")  # beside it: marked images must not be found there
    inputs.mkdir(exist_ok=True)
    frames, rig = render_room(cameras, inputs, mark)
    kept = {name: os.environ[name] for name in ("NUMBA_CACHE_DIR",) if name in os.environ}
    environment = os.environ | {
        "HOME": str(home), "TMPDIR": str(folder / "tmp"), "ROS_HOME": str(folder / "ros"),
        "ROS_LOG_DIR": str(folder / "ros"), "PYTHONPATH": os.pathsep.join(p for p in sys.path if p),
    } | kept  # fmt: skip
    # Any port will do for the page, which nobody looks at.
    given = {"view_node": {"port": 0}, **(given or {})}
    specs = deployment(cameras, rig, folder / "audit.log", given)
    with NodeProcesses(folder / "log", env=environment, cwd=home) as nodes:
        say(f"starting {', '.join(spec.name for spec in specs)} ...")
        for spec in specs:
            nodes.start(spec.module, *spec.arguments, name=spec.name)
        command = [
            sys.executable,
            "-m",
            "orpose_ros.endurance.cameras",
            str(frames),
            "--rate",
            f"{rate_hz:g}",
        ]
        playing = subprocess.Popen(command, stdout=subprocess.PIPE, env=environment)
        try:
            yield Running(nodes, playing, folder)
        finally:
            playing.kill()
            playing.wait()
            if playing.stdout is not None:
                playing.stdout.close()
