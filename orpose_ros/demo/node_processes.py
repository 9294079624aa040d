"""The nodes of the demo, each in a process of its own."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType


class StageError(Exception):
    """A stage of the graph gave nothing, or ended."""


class NodeProcesses:
    """The nodes, each in a process of its own, with its log in a file; all ended on leaving."""

    def __init__(self, log_folder: Path) -> None:
        self._log_folder = log_folder
        self._processes: dict[str, subprocess.Popen] = {}

    def start(self, name: str, *arguments: str) -> None:
        """Start the node that the module ``orpose_ros.<name>`` has."""
        self._log_folder.mkdir(parents=True, exist_ok=True)
        code = f"from orpose_ros.{name} import main; main()"
        with self._log(name).open("wb") as log:
            self._processes[name] = subprocess.Popen(
                [sys.executable, "-c", code, "--ros-args", *arguments], stdout=log, stderr=log
            )

    def check(self) -> None:
        """Raise StageError where a node has ended."""
        for name, process in self._processes.items():
            if process.poll() is not None:
                tail = "\n".join(self._log(name).read_text(errors="replace").splitlines()[-15:])
                raise StageError(f"{name} ended with status {process.returncode}:\n{tail}")

    def warnings(self) -> list[str]:
        """Return the nodes' warnings so far, in the order of time (``[WARN] [seconds] [node]: sentence``)."""
        texts = [self._log(name).read_text(errors="replace") for name in self._processes]
        lines = [line for text in texts for line in text.splitlines()]
        lines = [line for line in lines if line.startswith(("[WARN] [", "[ERROR] [", "[FATAL] ["))]
        return sorted(lines, key=lambda line: line.split("[")[2])

    def __enter__(self) -> NodeProcesses:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for process in self._processes.values():
            if process.poll() is None:
                process.send_signal(signal.SIGINT)
        end = time.monotonic() + 5
        while any(process.poll() is None for process in self._processes.values()) and time.monotonic() < end:
            time.sleep(0.05)
        for process in self._processes.values():
            process.kill()  # does nothing to one that has ended
            process.wait()

    def _log(self, name: str) -> Path:
        return self._log_folder / f"{name}.log"
