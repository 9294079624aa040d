"""What `orpose simulate` does."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import cv2
from tqdm import tqdm

from orpose_core.simulation import SPLITS, SimulatedFrame, StreamConfig, simulate_frame, split_config
from orpose_core.simulation.writers.bags import STORAGES, write_bag
from orpose_core.simulation.writers.dataset import write_dataset
from orpose_core.simulation.writers.pictures import contact_sheet
from orpose_core.simulation.writers.statistics import comparison, mvor_table, simulated_table, summary

FORMATS = ("coco", *STORAGES)


def stream_of(
    split: str | None,
    domain: str,
    seed: int,
    size_hw: tuple[int, int],
    modality: str,
    cameras: int,
    frames_per_room: int,
    rate_hz: float,
) -> StreamConfig:
    """Return the stream that the options describe; a named split fixes all but size and modality."""
    if split is not None:
        return split_config(split, size_hw, modality)
    return StreamConfig(domain, size_hw, modality, seed, cameras, frames_per_room, rate_hz)


def write(config: StreamConfig, frames: int, out: str | os.PathLike, form: str, workers: int) -> str:
    """Write a recording with a progress bar; return a sentence that says where it is."""
    if form not in FORMATS:
        raise ValueError(f"--format: expected one of {', '.join(FORMATS)}, got {form!r}")
    with _Bar(frames, str(out)) as bar:
        if form == "coco":
            path = write_dataset(config, frames, out, workers, bar.show)
        else:
            path = write_bag(config, frames, out, form, workers, bar.show)
    return f"{path}: {frames} frames"


class _Bar:
    """A progress bar that appears with the first progress, so that a refused argument shows none."""

    def __init__(self, total: int, what: str) -> None:
        self.total, self.what = total, what
        self.bar: tqdm | None = None

    def __enter__(self) -> _Bar:
        return self

    def __exit__(self, *_: object) -> None:
        if self.bar is not None:
            self.bar.close()

    def show(self, done: int) -> None:
        """Show that ``done`` frames are done; what was there before a resumed run is not counted as speed."""
        if self.bar is None:
            self.bar = tqdm(total=self.total, unit="frame", desc=self.what, initial=done if done > 1 else 0)
        self.bar.update(done - self.bar.n)


def write_contact_sheet(config: StreamConfig, frames: int, path: str | os.PathLike) -> str:
    """Write a sheet of up to 12 frames, spread over the recording; return a sentence saying where it is."""
    path = Path(path)
    if path.suffix.lower() not in (".png", ".jpg"):
        raise ValueError(f"{path}: expected a contact sheet named .png or .jpg")
    count = min(12, frames)
    shown = [simulate_frame(config, i * frames // count) for i in range(count)]
    sheet = cv2.cvtColor(contact_sheet(shown), cv2.COLOR_RGB2BGR)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.stem}.{os.getpid()}.tmp{path.suffix}")
    if not cv2.imwrite(str(temporary), sheet):
        raise OSError(f"{path}: could not be written")
    temporary.replace(path)
    return f"{path}: contact sheet of {count} frames"


def compare(config: StreamConfig, frames: int, mvor_path: str | os.PathLike) -> str:
    """Return a table of a recording's statistics beside MVOR's; frames are rendered small, without sensor."""
    real = summary(mvor_table(mvor_path))
    quick = replace(config, size_hw=(240, 320), modality="depth", sensor=False)

    def rendered() -> Iterator[SimulatedFrame]:
        for i in tqdm(range(frames), unit="frame", desc="compare", leave=False):
            yield simulate_frame(quick, i)

    return comparison(summary(simulated_table(rendered())), real)


def frames_of(split: str | None, frames: int | None) -> int:
    """Return how many frames are meant: those asked for, else the whole split."""
    if frames is not None:
        if frames < 1:
            raise ValueError(f"--frames: expected at least 1, got {frames}")
        return frames
    if split is None:
        raise ValueError("--frames: expected a number of frames (or a --split, which has its own)")
    split_config(split)  # refuses a name that there is not
    return SPLITS[split].frames
