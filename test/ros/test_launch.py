"""The launch file under a real launch and launch_ros, where they are installed; its settings everywhere."""

from __future__ import annotations

import dataclasses
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from sensor_msgs.msg import Image

from orpose_ros import parameters
from orpose_ros.lowres_gateway import GatewayParameters, LowresGateway
from orpose_ros.pose_node import PoseNode
from orpose_ros.pose_parameters import PoseParameters
from orpose_ros.skeleton_markers import MarkerParameters, SkeletonMarkers

REPOSITORY = Path(__file__).parents[2]
CONFIG = REPOSITORY / "config" / "or_pose.yaml"
KINDS = {
    "lowres_gateway": (LowresGateway, GatewayParameters),
    "pose_node": (PoseNode, PoseParameters),
    "skeleton_markers": (SkeletonMarkers, MarkerParameters),
}


def test_the_configuration_says_the_defaults_and_no_parameter_is_misspelt():
    config = yaml.safe_load(CONFIG.read_text())
    assert {f"/**/{name}" for name in KINDS} == set(config)
    for name, (_, kind) in KINDS.items():
        defaults = {field.name: field.default for field in dataclasses.fields(kind)}
        for parameter, value in config[f"/**/{name}"]["ros__parameters"].items():
            assert (parameter, value) == (parameter, defaults[parameter])
            assert type(value) is type(defaults[parameter])


@pytest.mark.parametrize("namespace", ["", "/theatre/ceiling_1"])
def test_the_configuration_reaches_a_node_in_any_namespace(graph, tmp_path, namespace):
    changed = tmp_path / "config.yaml"
    changed.write_text(CONFIG.read_text().replace("silence_s: 5.0", "silence_s: 7.0"))
    arguments = ["--ros-args", "--params-file", str(changed), "-r", f"__ns:={namespace or '/'}"]
    gateway = graph.add(LowresGateway(cli_args=arguments))
    assert gateway.parameters.silence_s == 7.0 and not parameters.unknown(gateway)


def _ros_launch() -> dict[str, str]:
    """Skip where launch is not installed; return the environment in which it finds our nodes."""
    pytest.importorskip("launch.actions", reason="launch is not installed here")
    pytest.importorskip("launch_ros.actions", reason="launch_ros is not installed here")
    prefixes = [p for p in os.environ.get("AMENT_PREFIX_PATH", "").split(":") if p]
    there = [p for p in (*prefixes, sys.prefix) if Path(p, "lib", "orpose_ros", "pose_node").exists()]
    if not there:
        pytest.skip("the package is not installed here, neither by colcon nor by make")
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    return os.environ | {"AMENT_PREFIX_PATH": ":".join([*prefixes, there[0]]), "PATH": path}


@pytest.mark.timeout(400)
def test_launched_from_a_bag_skeletons_come_out(graph, realdata):
    from orpose_ros.msg import Skeleton2DArray

    environment = _ros_launch()
    small = graph.collect(Image, "/lowres/depth/image_raw", 50)
    skeletons = graph.collect(Skeleton2DArray, "/skeletons_2d", 50)
    below = "/hero/head_rgbd_sensor"
    bag = realdata / "tue_rgbd" / "rosbag2_mcap_hero"
    arguments = ["model:=untrained:depthpose_64x48@0.25", "device:=cpu", f"bag:={bag}", "loop:=true"]
    arguments += [f"depth_topic:={below}/depth_registered/image"]
    arguments += [f"camera_info_topic:={below}/rgb/camera_info"]
    program = (
        "import sys; from launch import LaunchService, launch_description_sources as sources;"
        "service = LaunchService(argv=sys.argv[2:]);"
        "from launch.actions import IncludeLaunchDescription as Include;"
        "source = sources.PythonLaunchDescriptionSource(sys.argv[1]);"
        "given = [a.split(':=', 1) for a in sys.argv[2:]];"
        "from launch import LaunchDescription;"
        "service.include_launch_description("
        "LaunchDescription([Include(source, launch_arguments=given)]));"
        "sys.exit(service.run())"
    )
    file = REPOSITORY / "launch" / "or_pose.launch.py"
    process = subprocess.Popen([sys.executable, "-c", program, file, *arguments], env=environment)
    try:
        graph.until(lambda: small and skeletons, "low-resolution images and skeletons", timeout_s=240)
    finally:
        process.send_signal(signal.SIGINT)  # like Ctrl-C; after SIGTERM launch leaves its nodes behind
        process.wait(timeout=60)
        names = {"pose_node", "skeleton_markers", "lowres_gateway", "bag_replay"}
        graph.until(
            lambda: not set(graph.tester.get_node_names()) & set(names), "all nodes end", timeout_s=60
        )
    assert {(m.width, m.height) for m in small} == {(64, 48)}
    assert skeletons[0].network_input_width == 64
