"""Every command's help fits a screen, and the examples in it run as they are printed.

Commands are found in the parsers. An example is run in a folder that has the files that :data:`INPUTS` knows
how to make; whoever writes an example with another file adds that file there. An example that ends in a
comment, ``# takes hours`` or ``# needs MVOR`` say, is only parsed; one that lacks an optional package is
skipped.
"""

from __future__ import annotations

import argparse
import json
import shlex
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import fusion_rooms as rooms
import numpy as np
import pytest
import torch
import yaml

from orpose_core.audit.log import AuditLog
from orpose_core.cli import build_parser, main
from orpose_core.commands.parsers import SCREEN_COLUMNS, SCREEN_LINES
from orpose_core.files import write_depth, write_picture
from orpose_core.fusion.rig import RoomCamera
from orpose_core.simulation import StreamConfig, simulate_frame
from orpose_core.simulation.writers.bags import write_bag
from orpose_core.simulation.writers.dataset import write_dataset

pytestmark = pytest.mark.timeout(3600)

CORE = Path(__file__).parents[1] / "core"
NOT_RUN = ("takes ", "needs ")
WITHOUT_A_QUICK_EXAMPLE = {
    "orpose adapt", "orpose average", "orpose view", "orpose benchmark soak", "orpose benchmark privacy",
    "orpose report depthpose", "orpose report student", "orpose report teacher", "orpose report networks",
    "orpose report design",
}  # fmt: skip
"""They take long, or never end, or read what hours of training wrote; they have tests of their own."""


def commands(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    """Yield a parser and those of all its subcommands."""
    yield parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for below in action.choices.values():
                yield from commands(below)


def examples(parser: argparse.ArgumentParser) -> list[str]:
    """Return the command lines in the example of a parser's help."""
    _, _, text = (parser.epilog or "").partition(":\n")
    lines = text.replace("\\\n", " ").splitlines()
    return [line.strip() for line in lines if line.strip().startswith("orpose ")]


PARSERS = {parser.prog: parser for parser in commands(build_parser())}
EXAMPLES = list(dict.fromkeys(line for parser in PARSERS.values() for line in examples(parser)))


def is_run(example: str) -> bool:
    _, _, comment = example.partition("  # ")
    assert not comment or comment.startswith(NOT_RUN), f"{example}: expected a comment with {NOT_RUN}"
    return not comment


@pytest.mark.parametrize("prog", PARSERS)
def test_the_help_of_each_command_fits_a_screen_and_has_an_example(
    prog: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(SCREEN_COLUMNS))
    with pytest.raises(SystemExit) as ended:
        main([*prog.split()[1:], "--help"])
    assert ended.value.code == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) <= SCREEN_LINES
    assert max(map(len, lines[1:])) <= SCREEN_COLUMNS
    own = [example for example in examples(PARSERS[prog]) if f"{example} ".startswith(f"{prog} ")]
    assert own and all(f"  {example}" in lines for example in own)
    assert prog in WITHOUT_A_QUICK_EXAMPLE or any(map(is_run, own))


# What the examples read


def recording(path: Path) -> None:
    stream = StreamConfig("or", (480, 640), "rgbd", seed=4, frames_per_sequence=3, rate_hz=10)
    bag = write_bag(stream, 3, path.with_suffix(".bag"))
    next(bag.glob("*.mcap")).rename(path)
    shutil.rmtree(bag)


def images(path: Path) -> None:
    for k in range(2):
        frame = simulate_frame(StreamConfig("or", (480, 640), "rgbd", seed=4), k).frame
        write_depth(path / f"{k}_depth.png", frame.depth_m)
        write_picture(path / f"{k}_color.png", frame.rgb)


def truth(path: Path) -> None:
    stream = StreamConfig("or", (480, 640), "rgbd", seed=4)
    shutil.copy(write_dataset(stream, 3, path.with_suffix(".folder"), 1), path)


def results(path: Path) -> None:
    annotations = path.with_name("camma_mvor_2018.json")
    if not annotations.exists():
        truth(annotations)
    keys = ("image_id", "category_id", "bbox", "keypoints")
    people = json.loads(annotations.read_text())["annotations"]
    path.write_text(json.dumps([{key: p[key] for key in keys} | {"score": 0.9} for p in people]))


def published(path: Path) -> None:
    """Weights of the released network's names and shapes."""
    weights = {}
    for line in (CORE / "data" / "depthpose_published_keys.tsv").read_text().splitlines():
        key, shape = line.split("\t")
        weights[key] = torch.full(tuple(map(int, shape.split("x"))), 0.01)
    torch.save(weights, path)


def experiment(path: Path) -> None:
    words = ["simulate", "--frames", "1", "--workers", "1", "--out", "{out}/room"]
    path.write_text(yaml.safe_dump({"steps": [{"name": "room", "run": words, "makes": "room"}]}))


def tiny_run(path: Path) -> None:
    words = ["--engine.steps", "2", "--engine.workers", "0", "--validation.final_frames", "3"]
    assert main(["train", "depthpose", "--config", "tiny", "--out", str(path), *words]) == 0


def two_cameras(path: Path) -> None:
    """A bag of what the pose nodes of two cameras publish while two people walk about."""
    rig = _ceiling()
    rooms.write_bag(path, rig, rooms.sightings(rig, 40, seed=6))


def camchain(path: Path) -> None:
    """The same cameras as Kalibr writes them."""
    rig = _ceiling()
    chain: dict[str, dict] = {}
    for number, camera in enumerate(rig):
        k = camera.intrinsics
        chain[f"cam{number}"] = {
            "intrinsics": [k.fx, k.fy, k.cx, k.cy],
            "resolution": [k.width, k.height],
            "rostopic": f"/{camera.name}/image_raw",
        }
    step = np.linalg.inv(rig[1].room_from_camera) @ rig[0].room_from_camera
    chain["cam1"]["T_cn_cnm1"] = step.tolist()
    path.write_text(yaml.safe_dump(chain))


def _ceiling() -> list[RoomCamera]:
    return [replace(c, name=c.name.replace("camera", "ceiling")) for c in rooms.cameras(2, 6)]


def audited(path: Path) -> None:
    log = AuditLog(path)
    for k in range(3):
        log.add("event", k=k)
    log.close()


def estimated(path: Path) -> None:
    images(path.with_name("of_estimate"))
    words = ["--model", "untrained:depthpose_64x48@0.0625", "--no-flip", "--threads", "1", "--quiet"]
    assert main(["estimate", str(path.with_name("of_estimate")), "--out", str(path), *words]) == 0


def labelled(path: Path) -> None:
    images(path.with_name("to_label"))
    assert main(["label", str(path.with_name("to_label")), "--out", str(path), "--quiet"]) == 0


INPUTS: dict[str, Callable[[Path], None]] = {
    "monday.mcap": recording,
    "frames/": images,
    "camma_mvor_2018.json": truth,
    "results.json": results,
    "depthpose_64x48.pth": published,
    "mine.yaml": experiment,
    "runs/tiny": tiny_run,
    "recording": two_cameras,
    "camchain.yaml": camchain,
    "or_1.audit": audited,
    "results": estimated,
    "labels_of_monday": labelled,
}
"""Makes the files and folders that examples name; a longer path begins with one of these."""


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where each input lies once it has been made."""
    return tmp_path_factory.mktemp("shelf")


def lay_out(words: list[str], shelf: Path, here: Path) -> None:
    """Copy what a command line reads from the shelf to the folder in which it is run."""
    for word in words:
        for name, make in INPUTS.items():
            if word != name and not word.startswith(f"{name.rstrip('/')}/"):
                continue
            made = shelf / name.rstrip("/")
            if not made.exists():
                made.parent.mkdir(parents=True, exist_ok=True)
                make(made)
            target = here / name.rstrip("/")
            target.parent.mkdir(parents=True, exist_ok=True)
            (shutil.copytree if made.is_dir() else shutil.copy)(made, target)


@pytest.mark.parametrize("example", EXAMPLES)
def test_the_example_works(
    example: str,
    shelf: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    words = shlex.split(example, comments=True)[1:]
    if not is_run(example):
        assert build_parser(words).parse_args(words).command == words[0]
        return
    lay_out(words, shelf, tmp_path)
    monkeypatch.chdir(tmp_path)
    before = set(tmp_path.rglob("*"))
    capfd.readouterr()

    status = main(words)
    said = capfd.readouterr()
    if status == 2 and "pip install" in said.err:
        pytest.skip(said.err.strip())
    assert status == 0, said.err
    assert said.out.strip() or set(tmp_path.rglob("*")) > before, "it said nothing and wrote nothing"
    assert "\x1b" not in said.out + said.err, (
        "expected no control characters where nobody looks at a terminal"
    )
