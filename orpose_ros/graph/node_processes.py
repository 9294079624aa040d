"""Nodes in processes of their own, with their logs in files."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Any


class StageError(Exception):
    """A stage of the graph published nothing, or ended."""


class NodeProcesses:
    """Nodes in processes of their own, with logs in files; all are ended when the context is left."""

    def __init__(self, log_folder: Path, **options: Any) -> None:
        """Start nothing yet.

        Args:
            log_folder: folder of the logs.
            options: options of ``subprocess.Popen``, for every node.
        """
        self._log_folder, self._options = log_folder, options
        self._processes: dict[str, subprocess.Popen] = {}

    def start(self, module: str, *arguments: str, name: str = "") -> None:
        """Start the node of module ``orpose_ros.<module>``; ``name`` distinguishes several nodes of it."""
        self._log_folder.mkdir(parents=True, exist_ok=True)
        code = f"from orpose_ros.{module} import main; main()"
        command, name = [sys.executable, "-c", code, "--ros-args", *arguments], name or module
        with self._log(name).open("wb") as log:
            self._processes[name] = subprocess.Popen(command, stdout=log, stderr=log, **self._options)

    @property
    def ids(self) -> dict[str, int]:
        """Process ids by name."""
        return {name: process.pid for name, process in self._processes.items()}

    def process(self, name: str) -> subprocess.Popen:
        """Return the process of a node."""
        return self._processes[name]

    def check(self) -> None:
        """Raise StageError if a node has ended."""
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
        return self._log_folder / f"{name.replace('/', '_')}.log"
