"""A colcon build, plain and symlinked, gives messages, modules, nodes and data from one package."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
COLCON = shutil.which("colcon", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
pytestmark = [
    pytest.mark.skipif(COLCON is None, reason="colcon is not installed here"),
    pytest.mark.timeout(2400),
]

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


def _clean_environment() -> dict[str, str]:
    """Return an environment in which the checkout cannot stand in for the build."""
    dropped = ("PYTHONPATH", "COLCON_PREFIX_PATH", "LD_LIBRARY_PATH", "_ROS_WHEELS_BOOTSTRAP_COMPLETE")
    environment = {name: value for name, value in os.environ.items() if name not in dropped}
    environment["PATH"] = f"{Path(sys.executable).parent}:{environment['PATH']}"
    if "AMENT_PREFIX_PATH" not in environment:
        environment["AMENT_PREFIX_PATH"] = environment["CMAKE_PREFIX_PATH"] = sys.prefix
    return environment


@pytest.fixture(scope="module")
def workspace(tmp_path_factory) -> Path:
    """A workspace with a copy of the package. Both builds use it, so that messages are compiled once."""
    folder = tmp_path_factory.mktemp("workspace")
    ignored = shutil.ignore_patterns(".*", "build", "install", "log", "__pycache__", "demo_output", "runs")
    shutil.copytree(REPOSITORY, folder / "src" / "orpose_ros", ignore=ignored)
    return folder


@pytest.mark.parametrize("options", [[], ["--symlink-install"]], ids=["plain", "symlink-install"])
def test_colcon_build(workspace, options):
    environment = _clean_environment()
    base = workspace / "".join(["install", *options])
    shutil.rmtree(workspace / "build" / "orpose_ros" / "ament_cmake_python", ignore_errors=True)
    command = [
        "colcon", "build", "--packages-select", "orpose_ros", "--event-handlers", "console_direct-",
        "--install-base", base, "--cmake-force-configure",
    ]  # fmt: skip
    built = subprocess.run(
        [*command, *options], cwd=workspace, env=environment, capture_output=True, text=True
    )
    assert built.returncode == 0, built.stdout + built.stderr

    install = base / "orpose_ros"
    for node in ("lowres_gateway", "pose_node", "skeleton_markers", "bag_replay", "label_node"):
        program = install / "lib" / "orpose_ros" / node
        assert os.access(program, os.X_OK), node
        python = Path(program.read_text().splitlines()[0].removeprefix("#!"))
        assert python.is_absolute() and python.parent == Path(sys.executable).parent, python
    listed = subprocess.run(["ctest", "-N"], cwd=workspace / "build" / "orpose_ros", env=environment,
                            capture_output=True, text=True)  # fmt: skip
    for suite in ("core", "ros", "end_to_end"):
        assert f": {suite}\n" in listed.stdout, listed.stdout
    assert list(install.rglob("orpose_core/py.typed"))
    share = install / "share" / "orpose_ros"
    shared = ("launch/or_pose.launch.py", "config/or_pose.yaml", "rviz/or_pose.rviz", "package.xml",
              "launch/label.launch.py", "config/label_node.yaml")  # fmt: skip
    shared += ("weights/depthpose_64x48.safetensors", "training/tiny.yaml", "msg/Skeleton2D.msg",
               "examples/proximity_node.py")  # fmt: skip
    for name in shared:
        assert (share / name).is_file(), name

    # As a user does: source it, in a folder from which the checkout is not to be seen.
    environment["INSTALL"] = str(workspace if options else base)  # links lead to the sources
    sourced = f"source {base}/local_setup.bash; exec "
    checked = subprocess.run(["bash", "-c", sourced + '"$@"', "-", sys.executable, "-c", CHECK],
                             cwd="/", env=environment, capture_output=True, text=True)  # fmt: skip
    assert checked.returncode == 0, checked.stderr
    node = subprocess.run(
        ["bash", "-c", sourced + f"{install}/lib/orpose_ros/bag_replay --help"],
        cwd="/", env=environment, capture_output=True, text=True,
    )  # fmt: skip
    assert node.returncode == 0 and "usage: bag_replay" in node.stdout, node.stderr
    version = subprocess.run(
        ["bash", "-c", sourced + f"{install}/bin/orpose --version"],
        cwd="/", env=environment, capture_output=True, text=True,
    )  # fmt: skip
    assert version.stdout.startswith("orpose "), version.stderr
