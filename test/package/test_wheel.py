"""`pip install .` gives the `orpose` command and the core, and needs no ROS."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]

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


@pytest.fixture(scope="module")
def installed(tmp_path_factory) -> Path:
    """The unpacked wheel."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    # A clean copy: what lies in a build folder of the checkout must not get into the wheel.
    source.mkdir()
    without = shutil.ignore_patterns("__pycache__")
    shutil.copytree(REPOSITORY / "orpose_core", source / "orpose_core", ignore=without)
    for name in ("pyproject.toml", "setup.py", "LICENSE", "README.md"):
        if (REPOSITORY / name).exists():
            shutil.copy(REPOSITORY / name, source / name)
    command = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--no-deps",
        "--no-build-isolation",
        "--no-index",
    ]
    built = subprocess.run([*command, "-w", folder, source], capture_output=True, text=True)
    assert built.returncode == 0, built.stderr
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "site")
    return folder / "site"


def test_the_whole_core_imports_where_there_is_no_ros(installed):
    first = f"import sys; sys.path.insert(0, {str(installed)!r})\n"
    done = subprocess.run(
        [sys.executable, "-c", first + IMPORT_ALL, str(installed)],
        capture_output=True, text=True, cwd=installed.parent,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    there = [
        p for p in (REPOSITORY / "orpose_core").rglob("*.py") if p.name not in ("__init__.py", "__main__.py")
    ]
    assert int(done.stdout.split()[-1]) >= len(there), "a module did not get into the wheel"


def test_the_wheel_has_the_command_and_nothing_of_ros(installed):
    (points,) = installed.glob("orpose-*.dist-info/entry_points.txt")
    assert "orpose = orpose_core.cli:main" in points.read_text()
    assert not (installed / "orpose_ros").exists()
    helped = subprocess.run([sys.executable, "-m", "orpose_core.cli", "--help"], cwd=installed,
                            capture_output=True, text=True)  # fmt: skip
    assert helped.returncode == 0 and "COMMAND" in helped.stdout
