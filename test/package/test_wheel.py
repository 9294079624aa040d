"""The wheel, outside the checkout and without ROS: the command, the core and the files that they need."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from orpose_core.simulation import StreamConfig
from orpose_core.simulation.writers.bags import write_bag

REPOSITORY = Path(__file__).parents[2]
CARRIED = {
    "weights": (".safetensors", ".md"),
    "training": (".yaml",),
    "msg": (".msg",),
    "config": (".yaml",),
    "rviz": (".rviz",),
}
pytestmark = pytest.mark.timeout(2400)

IMPORT_ALL = """
import importlib, pkgutil, sys

ROS = ("rclpy", "std_msgs", "sensor_msgs", "geometry_msgs", "visualization_msgs", "diagnostic_msgs",
       "std_srvs", "builtin_interfaces", "rcl_interfaces", "rosidl_runtime_py", "orpose_ros", "cv_bridge",
       "message_filters", "launch", "launch_ros", "tf2_ros")

class NoRos:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ROS:
            raise ImportError(f"{name} is ROS")

sys.meta_path.insert(0, NoRos())
import orpose_core
assert orpose_core.__file__.startswith(sys.argv[1]), orpose_core.__file__
modules = pkgutil.walk_packages(orpose_core.__path__, "orpose_core.")
names = [m.name for m in modules if not m.name.endswith("__main__")]
for name in names:
    importlib.import_module(name)
print(len(names))
"""

USE_NAMES = """
import sys
import orpose_core
from orpose_core.data.skeleton_messages import message_definitions
from orpose_core import load_estimator
from orpose_core.resources import find_recipe, resource_folders
assert orpose_core.__file__.startswith(sys.argv[1]), orpose_core.__file__
assert load_estimator("depthpose_64x48").info.trained
assert find_recipe("depthpose_64x48_small").is_file()
assert len(message_definitions()) == 8
for kind in ("weights", "training", "msg", "config", "rviz"):
    folders = resource_folders(kind)
    assert [str(f).startswith(sys.argv[1]) for f in folders] == [True], folders
"""


@dataclass(frozen=True)
class Installation:
    """Where the wheel is installed, and how it is used there."""

    modules: Path
    python: Path
    environment: dict[str, str]
    folder: Path

    def run(self, *words: str | Path) -> str:
        done = subprocess.run(
            words, env=self.environment, cwd=self.folder, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{words}\n{done.stdout}\n{done.stderr}"
        return done.stdout


def _pip(*words: str | Path) -> None:
    command: Sequence[str | Path] = (sys.executable, "-m", "pip", "--disable-pip-version-check", *words)
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def _copied(source: Path) -> Path:
    """Copy the checkout without what was made in it."""
    ignored = shutil.ignore_patterns(
        ".*", "build", "dist", "install", "log", "runs", "*_output", "_build", "_generated", "__pycache__",
        "*.egg-info",
    )  # fmt: skip
    shutil.copytree(REPOSITORY, source, ignore=ignored)
    return source


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """The wheel of a clean copy, in which an earlier build has left a module that is gone now."""
    folder = tmp_path_factory.mktemp("wheel")
    source = _copied(folder / "source")
    stale = source / "build" / "lib" / "orpose_core" / "moved_elsewhere.py"
    stale.parent.mkdir(parents=True)
    stale.write_text("raise RuntimeError('this module is gone')\n")
    _pip("wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-index", "-w", folder, source)
    (made,) = folder.glob("*.whl")
    return made


def _clean_environment() -> dict[str, str]:
    dropped = ("PYTHONPATH", "AMENT_PREFIX_PATH", "VIRTUAL_ENV")
    return {name: value for name, value in os.environ.items() if name not in dropped}


def _in_venv(folder: Path, made: Path) -> Installation:
    """Install a wheel in an environment that sees the packages of this one, but not the checkout."""
    venv.create(folder / "env", with_pip=False)
    python = folder / "env" / "bin" / "python"
    (modules,) = (folder / "env" / "lib").glob("python3*/site-packages")
    # Files like __editable__*.pth are read only in an environment's own folder: ours leads to packages alone.
    borrowed = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
    _pip("--python", python, "install", "--quiet", "--no-deps", "--no-index", made)
    (modules / "borrowed.pth").write_text("".join(f"{path}\n" for path in sorted(borrowed)))
    used_from = folder / "elsewhere"
    used_from.mkdir()
    return Installation(modules, python, _clean_environment(), used_from)


@pytest.fixture(scope="module")
def in_venv(wheel, tmp_path_factory) -> Installation:
    """The wheel in an environment of its own."""
    return _in_venv(tmp_path_factory.mktemp("venv"), wheel)


@pytest.fixture(scope="module")
def in_target(wheel, tmp_path_factory) -> Installation:
    """The wheel in a folder of `pip install --target`."""
    folder = tmp_path_factory.mktemp("target")
    _pip("install", "--quiet", "--no-deps", "--no-index", "--target", folder / "site", wheel)
    environment = {**_clean_environment(), "PYTHONPATH": str(folder / "site")}
    return Installation(folder / "site", Path(sys.executable), environment, folder)


def test_the_wheel_carries_every_file_that_is_found_by_name(wheel):
    with zipfile.ZipFile(wheel) as archive:
        inside = set(archive.namelist())
    assert "orpose_core/py.typed" in inside
    assert not [name for name in inside if "moved_elsewhere" in name or name.startswith("orpose_ros")]
    for kind, endings in CARRIED.items():
        there = {
            f"orpose_core/share/{kind}/{f.name}" for f in (REPOSITORY / kind).iterdir() if f.suffix in endings
        }
        assert there and there <= inside, sorted(there - inside)


def test_nobody_is_told_to_install_orpose_from_an_index():
    """It is on none, so that a package of that name there would be somebody else's."""
    files = [f for top in ("orpose_core", "orpose_ros", "docs") for f in (REPOSITORY / top).rglob("*.*")]
    texts = {f: f.read_text() for f in files if f.suffix in (".py", ".md", ".j2")}
    told = [f.name for f, text in texts.items() if re.search("pip install ['\"]?orpose\\b(?!_)", text)]
    assert texts and not told


def test_the_whole_core_imports_where_there_is_no_ros(in_venv):
    counted = in_venv.run(in_venv.python, "-c", IMPORT_ALL, str(in_venv.modules))
    there = [
        p for p in (REPOSITORY / "orpose_core").rglob("*.py") if p.name not in ("__init__.py", "__main__.py")
    ]
    assert int(counted.split()[-1]) >= len(there), "a module did not get into the wheel"


@pytest.mark.parametrize("place", ["in_venv", "in_target"])
def test_names_lead_to_what_the_wheel_carries(place, request):
    installed: Installation = request.getfixturevalue(place)
    installed.run(installed.python, "-c", USE_NAMES, str(installed.modules))


def test_an_editable_installation_uses_the_checkout(tmp_path):
    source = _copied(tmp_path / "source")
    build = "import sys; from setuptools.build_meta import build_editable; build_editable(sys.argv[1])"
    built = subprocess.run(
        [sys.executable, "-c", build, tmp_path], cwd=source, capture_output=True, text=True
    )
    assert built.returncode == 0, built.stderr
    (made,) = tmp_path.glob("*.whl")
    installed = _in_venv(tmp_path, made)
    installed.run(installed.python, "-c", USE_NAMES, str(source))
    assert made.stat().st_size < 1e5 and not list(source.rglob("share")), "the resources were copied"


def test_the_command_works(in_venv, tmp_path):
    """Weights, message definitions and templates are found: a bag becomes poses, and those a page."""
    stream = StreamConfig("or", (480, 640), "rgbd", seed=4, frames_per_sequence=2)
    bag = write_bag(stream, 2, tmp_path / "bag", "mcap")
    orpose, folder = in_venv.python.with_name("orpose"), in_venv.folder
    found = in_venv.run(orpose, "estimate", bag, "--model", "fastpose_64x48", "--out", "found", "--quiet")
    assert found.startswith("2 frames"), found
    assert (folder / "found" / "results.json").is_file()
    in_venv.run(orpose, "report", "estimate", "found", "--out", "page.html")
    assert "fastpose_64x48" in (folder / "page.html").read_text()
