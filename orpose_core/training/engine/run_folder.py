"""The folder of one training run: its config, checkpoint and results."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from orpose_core.checkpoints.sealed_state import load_state, save_state
from orpose_core.files import lock_alone, remove_temporaries, write_text

FORMAT = 2
_UNSEALED_FORMAT = 1
"""Of earlier versions, without a checksum."""


@dataclass
class RunState:
    """The state of a run apart from its tensors.

    Attributes:
        step: optimizer steps taken.
        images: training images seen by all processes; the position in the data.
        seconds: time of the training steps, s, by ``engine.clock``, including the parts before a resume.
        waited_s: part of ``seconds`` spent waiting for data, s.
        other_s: time of validations and checkpoints, s.
        validations: scores, each with its ``step`` and ``images``.
        processes: number of processes that took the newest step; 0 = no step was taken.
        device: name of the GPU that took the newest step; "" = a CPU.
        earlier: the earlier training runs of the initial weights, read at the start of the run because the
            file may have changed at its end; None = unknown.
    """

    step: int = 0
    images: int = 0
    seconds: float = 0.0
    waited_s: float = 0.0
    other_s: float = 0.0
    validations: list[dict[str, float]] = field(default_factory=list)
    processes: int = 0
    device: str = ""
    earlier: list[dict[str, Any]] | None = None

    @property
    def spent_s(self) -> float:
        """Time of the run so far."""
        return self.seconds + self.other_s


class RunFolder:
    """The files of one run.

    ``config.yaml`` is the config, ``last.ckpt`` the checkpoint, ``weights.safetensors`` and ``results.json``
    are the result, and ``tensorboard/`` holds the curves.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)

    @property
    def checkpoint(self) -> Path:
        """The checkpoint to resume from."""
        return self.path / "last.ckpt"

    @property
    def config(self) -> Path:
        """The run's config, as YAML."""
        return self.path / "config.yaml"

    @property
    def weights(self) -> Path:
        """The trained network."""
        return self.path / "weights.safetensors"

    @property
    def results(self) -> Path:
        """The scores and the facts of the run, as JSON."""
        return self.path / "results.json"

    @property
    def tensorboard(self) -> Path:
        """Folder of the curves."""
        return self.path / "tensorboard"

    @contextmanager
    def held(self) -> Iterator[None]:
        """Lock the folder against training by other processes until the context or this process ends.

        Raises:
            ValueError: another process is training in the folder.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        with (self.path / ".lock").open("w") as file:
            lock_alone(file, self.path, "training in this folder")
            self._remove_leftovers()
            yield

    def _remove_leftovers(self) -> None:
        """Remove the half-written files of a process that was killed."""
        remove_temporaries(self.path)
        for file in self.path.glob(f".{self.checkpoint.name}.*"):  # as earlier versions named them
            file.unlink(missing_ok=True)

    def save(self, state: RunState, tensors: dict[str, Any]) -> None:
        """Write the checkpoint, first under a temporary name."""
        save_state(self.checkpoint, {"format": FORMAT, "state": vars(state), **tensors})

    def load(self) -> tuple[RunState, dict[str, Any]]:
        """Read the checkpoint; raise ValueError if the file is missing, damaged or of another kind."""
        if not self.checkpoint.is_file():
            raise ValueError(f"{self.checkpoint}: no checkpoint to resume from")
        try:
            content, sealed = load_state(self.checkpoint)
            if content.get("format") != (FORMAT if sealed else _UNSEALED_FORMAT):
                raise ValueError(f"format {content.get('format')!r}, expected {FORMAT} with a checksum")
            return RunState(**content.pop("state")), content
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(
                f"{self.checkpoint}: expected a training checkpoint of this project, got: {error}"
            ) from error

    def write_results(self, results: dict[str, Any]) -> None:
        """Write ``results.json``."""
        write_text(self.results, json.dumps(results, indent=2, allow_nan=False) + "\n", durable=True)

    def write_config(self, config: dict[str, Any]) -> None:
        """Write ``config.yaml``, which the same command accepts as ``--config``."""
        write_text(self.config, yaml.safe_dump(config, sort_keys=False), durable=True)
