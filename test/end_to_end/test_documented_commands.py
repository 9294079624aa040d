"""Every command that the pages on labelling, adapting and training print runs as it is printed.

The commands of a page run one after the other in one folder, in which `recording.mcap`, `monday.mcap` and
`tuesday/` are small simulated recordings. The rules by which they differ from what is printed:

* Trainings and adaptations would take minutes to days: they get :data:`SHORT`, after the printed options.
* `torchrun` starts at most two processes, and trains a network of an eighth of the width. `...` stands for
  options that are left out.
* Two commands that begin the same run are alternatives: the later one begins anew. `adapt --truth` scores the
  run that is there.
* A command that names files which orpose does not have ends with status 2 and a message that names the file.
* `ros2` commands are not run here: the tests of the launch files do.
"""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from orpose_core.cli import main

REPOSITORY = Path(__file__).parents[2]
PAGES = ("training/README.md", "docs/labelling.md", "docs/adapting.md", "docs/training.md")
FRAMES = 12

SHORT = {
    "train depthpose": (
        "--engine.steps 2 --engine.batch 2 --engine.workers 0 --engine.threads 1 --validation.frames 0 "
        "--validation.split general-val-v1 --validation.final_frames 2 --reading.frames 0 "
        "--data.cache.frames 4"
    ),
    "benchmark train": "--config tiny --steps 1 --workers 0",
    "adapt": "--frames 12 --minutes 0.02 --threads 1 --replay 0 --keep-depth",
    "average": "--reading-frames 2 --frames 0",
    "label": "",
    "report": "",
    "experiment": None,  # a table of the paper: its own test runs a small one
}
"""What each kind of command gets after what is printed; None = it is only parsed."""

ABSENT = ("fasterrcnn_resnet50_fpn_v2_coco-dd69338a.pth", "pose_hrnet_w48_384x288.pth")
"""Files of other people, which orpose does not have."""

pytestmark = pytest.mark.timeout(3600)


def commands_of(page: Path) -> list[str]:
    """Return the command lines of a page's blocks of code, with lines that continue joined."""
    lines, fenced, language = [], False, ""
    for line in page.read_text().splitlines():
        fence = re.match(r"\s*```(\w*)", line)
        if fence:
            fenced, language = not fenced, fence[1]
        elif (fenced and language != "python") or line.startswith("    "):
            lines.append(line.strip())
    joined = re.sub(r"\\\n\s*", "", "\n".join(lines))
    return [line for line in joined.splitlines() if line.split(" ")[0] in ("orpose", "torchrun", "ros2")]


def words_of(command: str) -> list[str]:
    """Return the words of a command as a shell gives them, comments left out and patterns expanded."""
    words = [word for word in shlex.split(command, comments=True) if word != "..."]
    return [found for word in words for found in (_matches(word) if "*" in word else [word])]


def _matches(pattern: str) -> list[str]:
    return sorted(map(str, Path().glob(pattern)))


def kind_of(words: list[str]) -> str:
    """Return which entry of :data:`SHORT` a command belongs to."""
    two = " ".join(words[:2])
    return two if two in SHORT else words[0]


def value_of(option: str, words: list[str]) -> str | None:
    return words[words.index(option) + 1] if option in words else None


def begins_anew(words: list[str]) -> Path | None:
    """Return the folder of the run that a command begins, None where it continues or only reads one."""
    if kind_of(words) == "train depthpose" and "--resume" not in words:
        return Path(value_of("--out", words) or f"runs/{value_of('--config', words)}")
    begins = words[0] in ("label", "adapt") and "--out" in words and "--truth" not in words
    return Path(value_of("--out", words) or "") if begins else None


def run(words: list[str], processes: int | None) -> int:
    if processes is None:
        return main(words)
    if words[0] == "train":
        words = [*words, "--model.width", "0.125"]  # each process of the paper's width takes 4 GiB
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", str(min(processes, 2))]
    return subprocess.run([*command, "-m", "orpose_core.cli", *words], check=False).returncode


def carry_out(command: str, capfd: pytest.CaptureFixture[str]) -> None:
    """Run one printed command by the rules above."""
    words = words_of(command)
    if words[0] == "ros2":
        return
    processes = None
    if words[0] == "torchrun":
        processes = int(words[words.index("--nproc-per-node") + 1])
        words = ["orpose", *words[words.index("orpose_core.cli") + 1 :]]
    words = words[1:]
    short = SHORT[kind_of(words)]
    if short is None:
        return
    absent = [name for name in ABSENT if name in words]
    folder = begins_anew(words)
    if folder is not None and not absent:
        shutil.rmtree(folder, ignore_errors=True)
    if (export := value_of("--corrected", words)) is not None:  # what a tool of annotation would export
        Path(export).parent.mkdir(parents=True)
        shutil.copy(f"{value_of('--review', words)}/review/annotations.json", export)
    continues = "--resume" in words  # its settings are those of the run
    status = run(words + ([] if continues else short.split()), processes)
    said = capfd.readouterr()
    assert status == (2 if absent else 0), f"{command}\n{said.out}\n{said.err}"
    if absent:
        assert any(name in said.err for name in absent), said.err


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("recordings") / "ward"
    words = ["simulate", "--domain", "site", "--seed", "2", "--frames", str(FRAMES), "--frames-per-room", "4"]
    sizes = ["--size", "320x240", "--rate", "0.5", "--format", "mcap", "--workers", "1", "--out", str(out)]
    assert main([*words, *sizes]) == 0
    return out


@pytest.mark.parametrize("page", PAGES)
def test_every_command_runs_as_printed(page, recording, tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    (bag,) = recording.glob("*.mcap")
    for name in ("recording.mcap", "monday.mcap"):
        shutil.copy(bag, name)
    shutil.copytree(recording, "tuesday")
    commands = commands_of(REPOSITORY / page)
    assert commands, page
    for command in commands:
        carry_out(command, capfd)


def test_the_rules_cover_every_kind_of_command():
    for page in PAGES:
        for command in commands_of(REPOSITORY / page):
            words = words_of(command)
            if words[0] == "orpose":
                assert kind_of(words[1:]) in SHORT, command
