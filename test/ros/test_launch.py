"""The launch file under a real launch and launch_ros, where they are installed; its settings everywhere."""

from __future__ import annotations

import dataclasses
import signal
from pathlib import Path

import pytest
import yaml
from sensor_msgs.msg import Image

from orpose_ros.audit_node import AuditNode
from orpose_ros.bridge_node import BridgeNode
from orpose_ros.fusion_node import FusionNode
from orpose_ros.lowres_gateway import GatewayParameters, LowresGateway
from orpose_ros.parameters import declaring as parameters
from orpose_ros.parameters.audit import AuditParameters
from orpose_ros.parameters.bridge import BridgeParameters
from orpose_ros.parameters.fusion import FusionParameters
from orpose_ros.parameters.label import LabelParameters
from orpose_ros.parameters.pose import PoseParameters
from orpose_ros.parameters.view import ViewParameters
from orpose_ros.pose_node import PoseNode
from orpose_ros.skeleton_markers import MarkerParameters, SkeletonMarkers
from orpose_ros.view_node import ViewNode

REPOSITORY = Path(__file__).parents[2]
CONFIG = REPOSITORY / "config" / "or_pose.yaml"
KINDS = {
    "lowres_gateway": (LowresGateway, GatewayParameters),
    "pose_node": (PoseNode, PoseParameters),
    "skeleton_markers": (SkeletonMarkers, MarkerParameters),
    "audit_node": (AuditNode, AuditParameters),
    "fusion_node": (FusionNode, FusionParameters),
    "view_node": (ViewNode, ViewParameters),
    "bridge_node": (BridgeNode, BridgeParameters),
}


def test_the_configuration_says_the_defaults_and_no_parameter_is_misspelt():
    config = yaml.safe_load(CONFIG.read_text())
    assert {f"/**/{name}" for name in KINDS} == set(config)
    for name, (_, kind) in KINDS.items():
        defaults = {field.name: field.default for field in dataclasses.fields(kind)}
        for parameter, value in config[f"/**/{name}"]["ros__parameters"].items():
            assert (parameter, value) == (parameter, defaults[parameter])
            assert type(value) is type(defaults[parameter])


@pytest.mark.parametrize(
    "kind",
    [BridgeParameters, FusionParameters, LabelParameters, MarkerParameters, PoseParameters, ViewParameters],
)
def test_namespaces_that_no_topic_can_have_are_refused(kind):
    given = {"out": "unused"} if kind is LabelParameters else {}
    for name in ("ceiling 1", "ceiling_1/", "1", "a//b", "ceiling-1", "~"):
        with pytest.raises(ValueError, match="parameter cameras: expected letters"):
            kind(cameras=(name, "other"), **given)
    assert kind(cameras=("/or_1/ceiling_1", "ceiling_2"), **given)


@pytest.mark.parametrize("namespace", ["", "/theatre/ceiling_1"])
def test_the_configuration_reaches_a_node_in_any_namespace(graph, tmp_path, namespace):
    changed = tmp_path / "config.yaml"
    changed.write_text(CONFIG.read_text().replace("silence_s: 5.0", "silence_s: 7.0"))
    arguments = ["--ros-args", "--params-file", str(changed), "-r", f"__ns:={namespace or '/'}"]
    gateway = graph.add(LowresGateway(cli_args=arguments))
    assert gateway.parameters.silence_s == 7.0 and not parameters.unknown(gateway)


@pytest.mark.timeout(400)
def test_launched_from_a_bag_skeletons_come_out(graph, launch, realdata):
    from orpose_ros.msg import Skeleton2DArray

    small = graph.collect(Image, "/lowres/depth/image_raw", 50)
    skeletons = graph.collect(Skeleton2DArray, "/skeletons_2d", 50)
    below = "/hero/head_rgbd_sensor"
    bag = realdata / "tue_rgbd" / "rosbag2_mcap_hero"
    arguments = ["model:=untrained:depthpose_64x48@0.25", "device:=cpu", f"bag:={bag}", "loop:=true"]
    arguments += [f"depth_topic:={below}/depth_registered/image"]
    arguments += [f"camera_info_topic:={below}/rgb/camera_info"]
    process = launch("or_pose.launch.py", arguments)
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
