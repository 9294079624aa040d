"""The label node's launch file under a real launch and launch_ros, where they are installed."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from builtin_interfaces.msg import Time
from rclpy.qos import QoSProfile
from sensor_msgs.msg import Image
from std_msgs.msg import Header
from std_srvs.srv import Trigger

from orpose_core.simulation import StreamConfig
from orpose_core.simulation.writers.bags import write_bag
from orpose_ros import conversions
from orpose_ros.parameters.label import LabelParameters
from orpose_ros.streams.replay_pace import TAKEN

CONFIG = Path(__file__).parents[2] / "config" / "label_node.yaml"
FRAMES = 3
RANDOM = ["detector:=untrained:fasterrcnn_mobilenet_v3_large_320_fpn", "min_box_score:=0.9", "batch:=2",
          "keypoints:=untrained:pose_hrnet_w4_64x64", "device:=cpu", "low_resolution:=40x30"]  # fmt: skip


def test_the_configuration_says_the_defaults_and_no_parameter_is_misspelt() -> None:
    config = yaml.safe_load(CONFIG.read_text())
    assert set(config) == {"/**/label_node"}
    defaults = {field.name: field.default for field in dataclasses.fields(LabelParameters)}
    for parameter, value in config["/**/label_node"]["ros__parameters"].items():
        assert (parameter, value) == (parameter, defaults[parameter])
        assert type(value) is type(defaults[parameter])


def test_compressed_images_come_from_the_topics_that_are_given() -> None:
    launch = pytest.importorskip("launch", reason="launch is not installed here")
    pytest.importorskip("launch_ros.actions", reason="launch_ros is not installed here")
    spec = importlib.util.spec_from_file_location(
        "label_launch", CONFIG.parents[1] / "launch/label.launch.py"
    )
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    context = launch.LaunchContext()
    for name, default, *_ in module.ARGUMENTS:
        context.launch_configurations[name] = default or ""
    context.launch_configurations.update({"out": "/labels", "cameras": "door", "color_topic": "rgb/image"})
    context.launch_configurations.update({"depth_topic": "depth/image", "compressed_depth": "true"})
    (node,) = module._nodes(context)
    remappings = {"".join(p.text for p in a): "".join(p.text for p in b) for a, b in node._Node__remappings}
    assert remappings["door/color/image_raw/compressed"] == "/door/rgb/image/compressed"
    assert remappings["door/color/image_raw"] == "/door/rgb/image"
    assert remappings["door/depth/image_raw/compressedDepth"] == "/door/depth/image/compressedDepth"
    utilities = pytest.importorskip("launch_ros.utilities", reason="launch_ros is not installed here")
    parameters = utilities.evaluate_parameters(context, node._Node__parameters)[-1]
    assert parameters["compressed_depth"] is True
    assert "compressed_color" not in parameters and "rectified" not in parameters, "as configured"
    context.launch_configurations.update({"namespace": "or_1", "bag": "/recordings/1"})
    (group,) = module._nodes(context)
    label, replay = (action for action in group.get_sub_entities() if hasattr(action, "node_executable"))
    names = [
        {"".join(p.text for p in a): "".join(p.text for p in b) for a, b in node._Node__remappings}
        for node in (label, replay)
    ]
    assert names[0]["door/depth/image_raw"] == names[1]["/door/depth/image"] == "/or_1/door/depth/image"
    context.launch_configurations["batch"] = "many"
    with pytest.raises(ValueError, match="batch:=many: expected a whole number"):
        module._nodes(context)


@pytest.mark.timeout(400)
def test_launched_with_a_bag_it_is_labelled_without_loss_and_all_ends(launch: Any, tmp_path: Path) -> None:
    config = StreamConfig(size_hw=(60, 80), modality="rgbd", frames_per_sequence=FRAMES, rate_hz=10.0)
    bag = write_bag(config, FRAMES, tmp_path / "theatre")
    process = launch(
        "label.launch.py", [f"bag:={bag}", f"out:={tmp_path / 'out'}", "cameras:=camera_1", *RANDOM]
    )
    try:
        assert process.wait(timeout=300) == 0
    finally:
        process.kill()
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["frames"] == FRAMES and report["skipped"] == []
    assert report["missed"] == {"/camera_1": {"dropped": 0, "never_came": 0}}
    images = json.loads((tmp_path / "out" / "labels.json").read_text())["images"]
    assert {(i["recording"], i["width"], i["height"]) for i in images} == {("theatre", 40, 30)}


@pytest.mark.timeout(400)
def test_launched_with_live_topics_of_any_name_the_files_are_written_when_asked_for(
    graph: Any, launch: Any, tmp_path: Path
) -> None:
    topics = {"door": "/door/rgb/image", "bed": "/bed/rgb/image"}
    publishers = {c: graph.publisher(Image, topic, QoSProfile(depth=10)) for c, topic in topics.items()}
    taken = graph.collect(Header, "/label_node/taken", TAKEN)
    arguments = [f"out:={tmp_path / 'out'}", "cameras:=door,bed", "color_topic:=rgb/image", "depth:=false"]
    process = launch("label.launch.py", [*arguments, *RANDOM])
    try:
        graph.until(lambda: taken, "it is active", timeout_s=240)
        for k, (camera, publisher) in enumerate(publishers.items()):
            header = Header(stamp=Time(sec=100 + k), frame_id="camera")
            image = conversions.color_message(np.full((48, 64, 3), 90, np.uint8), header)
            while topics[camera] not in {message.frame_id for message in taken}:
                publisher.publish(image)  # live topics are best effort
                graph.spin(0.2)
        finish = graph.tester.create_client(Trigger, "/label_node/finish")
        graph.until(finish.service_is_ready, "the service is there")
        answer = finish.call_async(Trigger.Request())
        while not (answer.done() and answer.result().success):
            if answer.done():  # still labeling
                answer = finish.call_async(Trigger.Request())
            graph.spin(0.5)
    finally:
        process.send_signal(signal.SIGINT)  # like Ctrl-C
        process.wait(timeout=120)
    images = json.loads((tmp_path / "out" / "labels.json").read_text())["images"]
    assert [(i["camera"], i["stamp_ns"]) for i in images] == [("/door", 100 * 10**9), ("/bed", 101 * 10**9)]
