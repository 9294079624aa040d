"""The commands of the page on installation run as printed, and colcon builds everything in the package."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import managed_machine as machines
import pytest

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib  # pytest needs it there as well

REPOSITORY = Path(__file__).parents[2]
COLCON = shutil.which("colcon", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
pytestmark = [
    pytest.mark.skipif(COLCON is None, reason="colcon is not installed here"),
    pytest.mark.timeout(2400),
]


PAGE = REPOSITORY / "docs" / "installation.md"
ACTIVATE = "source ~/orpose_venv/bin/activate\n"
REFUSED = "externally-managed-environment"

CHECK = """
import os, sys
from orpose_ros.msg import Skeleton2DArray
import orpose_core.types
import orpose_ros.lowres_gateway, orpose_ros.pose_node
from rclpy.serialization import deserialize_message, serialize_message
array = Skeleton2DArray(skeleton_model="coco17")
assert deserialize_message(serialize_message(array), Skeleton2DArray) == array
install = os.environ["INSTALL"]
for module in (sys.modules["orpose_ros.msg"], orpose_ros.pose_node, orpose_core.types):
    assert module.__file__.startswith(install), module.__file__
from orpose_core.checkpoints.weights_file import find_weights
from orpose_core.data.skeleton_messages import message_definitions
from orpose_core.resources import find_recipe, resource_folders
for file in (find_weights("depthpose_64x48"), find_recipe("depthpose_64x48_small")):
    assert str(file).startswith(install), file
assert len(message_definitions()) == 8
for kind in ("weights", "training", "msg", "config", "rviz"):
    assert resource_folders(kind) and str(resource_folders(kind)[0]).startswith(install), kind
os.environ["AMENT_PREFIX_PATH"] = ""
assert resource_folders("weights") and str(find_weights("depthpose_64x48")).startswith(install)
"""

IMPORTS = """
import os, sys
import rclpy, torch, scipy, contourpy
assert sys.prefix == os.environ["HOME"] + "/orpose_venv", sys.prefix
assert rclpy.__file__.startswith(os.environ["ROOT"] + "/opt/ros/jazzy/"), rclpy.__file__
for module in (torch, scipy, contourpy):
    assert module.__file__.startswith(os.environ["ROOT"] + "/index/"), module.__file__
"""
"""ROS comes from ROS's folder, and every dependency from the package that pip has installed."""

LAUNCHED = """
import importlib.util, sys
import orpose_ros.stopping, orpose_ros.launching.models, orpose_ros.launching.rviz_file
if importlib.util.find_spec("launch_ros"):
    import orpose_ros.launching.nodes
assert sys.prefix == sys.base_prefix
assert not {"torch", "orpose_core"} & set(sys.modules)
"""
"""What `ros2 launch` imports, under the Python of ROS."""


@dataclass(frozen=True)
class Installation:
    """A machine on which the recipe was followed."""

    machine: machines.Machine
    before: set[str]

    @property
    def environment(self) -> Path:
        return self.machine.home / "orpose_venv"

    @property
    def workspace(self) -> Path:
        return self.machine.home / "ws"

    def sourced(self, *lines: str, base: str = "install") -> str:
        """Run lines as a service does: the environment is not active, and the checkout not to be seen."""
        sources = (self.machine.root / "opt/ros/jazzy/setup.bash", self.workspace / base / "local_setup.bash")
        done = self.machine.shell("\n".join([*(f"source {file}" for file in sources), *lines]))
        assert done.returncode == 0, f"{lines}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def script(self, name: str, text: str) -> Path:
        file = self.machine.root / name
        file.write_text(text)
        return file


def _recipe(machine: machines.Machine, source: Path) -> str:
    """Return the commands of the page, apart from the launch, which needs ROS's own command.

    The places of ROS and of the repository are replaced, and nothing else.
    """
    section = PAGE.read_text().split("\n## With ROS 2 Jazzy\n")[1].split("\n## ")[0]
    recipe = re.search(r"```bash\n(.*?)```", section, re.DOTALL)[1]
    commands, launch = recipe.rstrip().rsplit("\n", 1)
    assert launch.startswith("ros2 launch orpose_ros "), launch
    for printed, here in (
        ("/opt/ros/jazzy", f"{machine.root}/opt/ros/jazzy"),
        ("git clone <this repository>", f"cp -a {source}"),
    ):
        assert printed in commands, printed
        commands = commands.replace(printed, here)
    return commands + "\n"


def _requirements() -> list[str]:
    """Return what pip needs to build and to install orpose."""
    settings = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())
    return [*settings["build-system"]["requires"], *settings["project"]["dependencies"]]


@pytest.fixture(scope="module")
def source(tmp_path_factory) -> Path:
    """The checkout without what was made in it."""
    folder = tmp_path_factory.mktemp("repository") / "orpose"
    ignored = shutil.ignore_patterns(
        ".*", "build", "install", "log", "dist", "runs", "*_output", "_build", "__pycache__", "*.egg-info"
    )
    shutil.copytree(REPOSITORY, folder, ignore=ignored)
    return folder


@pytest.fixture
def machine(tmp_path) -> machines.Machine:
    """A machine on which nothing was done yet."""
    return machines.make_machine(tmp_path)


@pytest.fixture(scope="module")
def installation(source, tmp_path_factory) -> Installation:
    """The machine after the commands of the page. All builds use its workspace, to compile messages once."""
    made = machines.make_machine(tmp_path_factory.mktemp("machine"))
    machines.make_index(made.root, _requirements())
    before = made.installed()
    done = made.shell(_recipe(made, source))
    assert done.returncode == 0, done.stdout + done.stderr
    return Installation(made, before)


def test_pip_is_refused_without_the_environment(machine, source):
    """So that the tests below can fail: the page's commands without those that make an environment."""
    recipe = _recipe(machine, source)
    assert recipe.count(ACTIVATE) == 1
    without = "\n".join(x for x in recipe.replace(ACTIVATE, "").splitlines() if not re.search(r"-m venv ", x))
    done = machine.shell(without)
    assert done.returncode == 1 and REFUSED in done.stderr, done.stderr


def test_rosdep_is_refused_what_it_would_install_with_pip(machine, source):
    recipe = _recipe(machine, source)
    every_key = re.sub(' --skip-keys "[^"]*"', "", recipe)
    assert every_key != recipe
    done = machine.shell(every_key)
    assert done.returncode == 1 and REFUSED in done.stderr, done.stderr


def test_everything_goes_into_the_environment_and_the_workspace(installation):
    machine = installation.machine
    assert machine.installed() == installation.before
    assert {e.name for e in machine.home.iterdir() if not e.name.startswith(".")} == {"orpose_venv", "ws"}
    assert not (machine.home / ".local").exists()
    of_the_system = machine.shell("! python3 -c 'import torch'")
    assert of_the_system.returncode == 0 and "No module named 'torch'" in of_the_system.stderr
    listed = machine.shell("~/orpose_venv/bin/pip list").stdout
    assert "\ntorch " in listed and "\norpose " not in listed, listed


def test_the_programs_run_under_the_environment(installation):
    python = installation.environment / "bin" / "python3"
    install = installation.workspace / "install" / "orpose_ros"
    programs = [*(install / "lib" / "orpose_ros").iterdir(), install / "bin" / "orpose"]
    assert {p.name for p in programs} == {p.name for p in (REPOSITORY / "scripts").iterdir() if not p.suffix}
    for program in programs:
        assert os.access(program, os.X_OK) and program.read_text().startswith(f"#!{python}\n"), program
    file = installation.script("imports.py", IMPORTS)
    installation.sourced(f"{python} {file}")
    assert "usage: bag_replay" in installation.sourced(f"{install}/lib/orpose_ros/bag_replay --help")
    assert installation.sourced("orpose --version").startswith("orpose ")


def test_a_node_starts_and_ends(installation, tmp_path):
    """The gateway, a lifecycle node, is active under the Python of the environment."""
    ros = f"source {installation.machine.root}/opt/ros/jazzy/setup.bash"
    node = f"{installation.workspace}/install/orpose_ros/lib/orpose_ros/lowres_gateway"
    start = f"{ros} && source {installation.workspace}/install/local_setup.bash && exec {node}"
    log = tmp_path / "log"
    with log.open("wb") as stream:
        process = subprocess.Popen(
            ["bash", "-c", start], env=installation.machine.variables, stdout=stream, stderr=stream, cwd="/"
        )
    try:
        end_s = time.monotonic() + 300
        while "at 64x48 px, never larger" not in log.read_text():
            assert process.poll() is None and time.monotonic() < end_s, log.read_text()
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=120) == 0, log.read_text()
    finally:
        process.kill()


def test_the_launch_files_need_the_python_of_ros_alone(installation):
    """`ros2 launch` runs under the system's Python, which sees nothing of the environment."""
    installation.sourced(f"python3 {installation.script('launched.py', LAUNCHED)}")


@pytest.mark.parametrize("options", ["", "--symlink-install"], ids=["plain", "symlink-install"])
def test_colcon_build(installation, options):
    workspace, base = installation.workspace, f"install{options}"
    if options:  # the plain build is that of the recipe
        shutil.rmtree(workspace / "build" / "orpose_ros" / "ament_cmake_python", ignore_errors=True)
        built = installation.machine.shell(
            f"source {installation.machine.root}/opt/ros/jazzy/setup.bash\n{ACTIVATE}"
            f"python -m colcon build {options} --install-base {base} --cmake-force-configure",
            workspace,
        )
        assert built.returncode == 0, built.stdout + built.stderr

    install = workspace / base / "orpose_ros"
    listed = installation.sourced(f"ctest -N --test-dir {workspace}/build/orpose_ros", base=base)
    for suite in ("core", "ros", "end_to_end"):
        assert f": {suite}\n" in listed, listed
    assert list(install.rglob("orpose_core/py.typed"))
    share = install / "share" / "orpose_ros"
    shared = ("launch/or_pose.launch.py", "config/or_pose.yaml", "rviz/or_pose.rviz", "package.xml",
              "launch/label.launch.py", "config/label_node.yaml")  # fmt: skip
    shared += ("weights/depthpose_64x48.safetensors", "training/tiny.yaml", "msg/Skeleton2D.msg",
               "examples/proximity_node.py")  # fmt: skip
    for name in shared:
        assert (share / name).is_file(), name

    # As a user does: source it, in a folder from which the checkout is not to be seen.
    inside = workspace if options else workspace / base  # links lead to the sources
    file = installation.script("check.py", CHECK)
    python = installation.environment / "bin" / "python3"
    installation.sourced(f"INSTALL={inside} {python} {file}", base=base)
