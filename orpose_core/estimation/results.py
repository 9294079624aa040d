"""What is written at the end of a run, from its frames: COCO results, 3D skeletons, the run, a table."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from orpose_core.data.coco_results import poses_as_results
from orpose_core.estimation.frame_log import FrameLog
from orpose_core.estimation.frames import Trackers
from orpose_core.estimation.options import RunOptions
from orpose_core.estimation.remarks import Remarks
from orpose_core.files import replacing
from orpose_core.types import Poses, Source3D

RESULTS, SKELETONS, RUN = "results.json", "skeletons_3d.json", "run.json"
_COLUMNS = (
    "image_id", "name", "camera", "stamp_ns", "person", "track_id", "person_score", "joint", "score", "x_px",
    "y_px", "x_cam_m", "y_cam_m", "z_cam_m", "x_root_m", "y_root_m", "z_root_m", "sigma_m", "source",
)  # fmt: skip
_IMAGE_KEYS = (
    "name", "camera", "frame_id", "stamp_ns", "width", "height", "seen_width", "seen_height",
)  # fmt: skip
_ROWS_AT_ONCE = 50_000


@dataclass
class Totals:
    """Frames, people and joints in space of a run."""

    frames: int = 0
    people: int = 0
    joints_3d: int = 0


def write_results(
    log: FrameLog, out: Path, options: RunOptions, run: Mapping[str, Any], remarks: Remarks
) -> tuple[Totals, list[Path]]:
    """Write all files of a run, one frame in memory at a time.

    Args:
        log: the frames.
        out: folder of the run.
        options: of the run.
        run: what ``run.json`` says beside its frames.
        remarks: is shown every frame.

    Returns:
        How much there is, and the files.
    """
    totals, trackers = Totals(), Trackers(options.track)
    paths = [out / name for name in (RESULTS, SKELETONS, RUN)]
    with ExitStack() as stack:
        add_result, add_skeletons = (stack.enter_context(json_list(path)) for path in paths[:2])
        add_image = stack.enter_context(json_list(paths[2], {**run, "images": None}))
        add_rows = None
        if options.format != "json":
            paths.append(out / f"joints.{options.format}")
            add_rows = stack.enter_context(_table(paths[-1]))
        for image, raw in log.entries(options.limit):
            totals.frames += 1
            image_id = totals.frames
            poses = trackers.update(image["camera"], raw, image["stamp_ns"])
            remarks.add(image, poses)
            totals.people += len(poses)
            totals.joints_3d += (
                0 if poses.source_3d is None else int((poses.source_3d != Source3D.NONE).sum())
            )
            metric = image["has_depth"] and image["has_camera"]
            add_image({"id": image_id, **{k: image[k] for k in _IMAGE_KEYS}, "metric_3d": metric})
            for result in poses_as_results(poses, image_id):
                add_result(result)
            add_skeletons({"image_id": image_id, "stamp_ns": image["stamp_ns"], "people": people_3d(poses)})
            if add_rows is not None:
                add_rows(list(_rows(image_id, image, poses)))
    return totals, paths


def people_3d(poses: Poses) -> list[dict[str, Any]]:
    """Return each person's joints in space by name, unknown ones left out; metres, optical frame."""
    people = []
    for m in range(len(poses)):
        joints: dict[str, Any] = {}
        for j, name in enumerate(poses.skeleton.joints):
            joint: dict[str, Any] = {}
            for key in ("xyz_cam_m", "xyz_root_m"):
                values = getattr(poses, key)
                if values is not None and np.isfinite(values[m, j]).all():
                    joint[key] = [round(float(v), 4) for v in values[m, j]]
            if joint:
                joint["score"] = round(float(poses.scores[m, j]), 4)
                if poses.sigma_m is not None and np.isfinite(poses.sigma_m[m, j]):
                    joint["sigma_m"] = round(float(poses.sigma_m[m, j]), 4)
                if poses.source_3d is not None:
                    joint["source"] = Source3D(int(poses.source_3d[m, j])).name.lower()
                joints[name] = joint
        person: dict[str, Any] = {"score": float(poses.person_scores[m]), "joints": joints}
        if poses.track_ids is not None:
            person["track_id"] = int(poses.track_ids[m])
        people.append(person)
    return people


@contextmanager
def json_list(path: Path, around: Mapping[str, Any] | None = None) -> Iterator[Callable[[Any], None]]:
    """Give a function that adds an item to a JSON list, which is written all or nothing.

    Args:
        path: of the file.
        around: the object in which the list stands, its value None; None = the file is the list.
    """
    head = tail = ""
    if around is not None:
        head, tail = json.dumps(around, allow_nan=False).rsplit("null", 1)
    separator = ""
    with replacing(path) as temporary, temporary.open("w", encoding="utf-8") as file:

        def add(item: Any) -> None:
            nonlocal separator
            file.write(f"{separator}\n{json.dumps(item, allow_nan=False)}")
            separator = ","

        file.write(f"{head}[")
        yield add
        file.write(f"\n]{tail}\n")


Rows = list[tuple[Any, ...]]


@contextmanager
def _table(path: Path) -> Iterator[Callable[[Rows], None]]:
    """Give a function that adds rows to a table of joints (:data:`_COLUMNS`), written all or nothing."""
    with replacing(path) as temporary:
        if path.suffix == ".parquet":
            with _parquet(temporary) as add:
                yield add
            return
        with temporary.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(_COLUMNS)
            yield writer.writerows


@contextmanager
def _parquet(path: Path) -> Iterator[Callable[[Rows], None]]:
    try:
        import pyarrow as arrow
        from pyarrow import parquet
    except ImportError:
        raise ValueError(
            "--format parquet needs pyarrow (pip install '/path/to/orpose[parquet]'); csv does not"
        ) from None
    text = ("name", "camera", "joint", "source")
    whole = ("image_id", "stamp_ns", "person", "track_id")
    kinds = {**dict.fromkeys(text, arrow.string()), **dict.fromkeys(whole, arrow.int64())}
    schema = arrow.schema([(name, kinds.get(name, arrow.float64())) for name in _COLUMNS])
    waiting: Rows = []
    with parquet.ParquetWriter(path, schema) as writer:

        def write() -> None:
            columns = list(zip(*waiting, strict=True)) or [()] * len(_COLUMNS)
            arrays = [arrow.array(c, f.type) for c, f in zip(columns, schema, strict=True)]
            writer.write_table(arrow.Table.from_arrays(arrays, schema=schema))
            waiting.clear()

        def add(rows: Rows) -> None:
            waiting.extend(rows)
            if len(waiting) >= _ROWS_AT_ONCE:
                write()

        yield add
        write()


def _rows(image_id: int, image: Mapping[str, Any], poses: Poses) -> Iterator[tuple[Any, ...]]:
    """Yield a row per joint that is there; what is unknown is None."""
    for m in range(len(poses)):
        track_id = None if poses.track_ids is None else int(poses.track_ids[m])
        for j in np.flatnonzero((poses.scores[m] > 0) | _in_space(poses, m)).tolist():
            numbers = [
                poses.scores[m, j],
                *poses.xy_px[m, j],
                *_at(poses.xyz_cam_m, m, j, 3),
                *_at(poses.xyz_root_m, m, j, 3),
                *_at(None if poses.sigma_m is None else poses.sigma_m[..., None], m, j, 1),
            ]
            source = None if poses.source_3d is None else Source3D(int(poses.source_3d[m, j])).name.lower()
            yield (
                image_id, image["name"], image["camera"], image["stamp_ns"], m, track_id,
                float(poses.person_scores[m]), poses.skeleton.joints[j],
                *(None if np.isnan(value) else float(value) for value in numbers), source,
            )  # fmt: skip


def _in_space(poses: Poses, m: int) -> Any:
    known = np.zeros(len(poses.skeleton), bool)
    for xyz in (poses.xyz_cam_m, poses.xyz_root_m):
        if xyz is not None:
            known |= np.isfinite(xyz[m]).all(axis=-1)
    return known


def _at(values: Any, m: int, j: int, count: int) -> list[float]:
    return [float("nan")] * count if values is None else values[m, j].tolist()
