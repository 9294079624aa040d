"""Inputs that are remapped to one topic, have two publishers, or come from a latched publisher."""

from __future__ import annotations

from typing import Any

import pytest
from rclpy.node import Node
from rclpy.parameter import Parameter
from sensor_msgs.msg import CameraInfo, Image

from orpose_ros.running import input_watch
from orpose_ros.running.input_watch import NEWEST, InputWatch

LATCHED = input_watch.QoSProfile(depth=1, durability=input_watch.DurabilityPolicy.TRANSIENT_LOCAL)


def test_two_inputs_of_one_topic_are_both_closed(graph: Any) -> None:
    arguments = ["--ros-args", "-r", "left/camera_info:=/info", "-r", "right/camera_info:=/info"]
    node = graph.add(Node("listener", cli_args=arguments))
    watch, heard = InputWatch(node), {"left": 0, "right": 0}
    for camera in heard:

        def take(message: CameraInfo, camera: str = camera) -> None:
            heard[camera] += 1

        watch.subscribe(CameraInfo, f"{camera}/camera_info", take, NEWEST)
    publisher = graph.publisher(CameraInfo, "/info")
    graph.connected(publisher, count=2)
    publisher.publish(CameraInfo())
    graph.until(lambda: all(heard.values()), "both hear it")
    assert watch.messages("/info") == 2
    watch.close()
    graph.until(lambda: publisher.get_subscription_count() == 0, "neither listens any longer")


def test_a_second_publisher_is_named_after_a_while(graph: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(input_watch, "SECOND_S", 0.5)
    node = graph.add(Node("listener"))
    watch = InputWatch(node)
    watch.subscribe(Image, "depth/image_raw", lambda message: None, NEWEST)
    other = graph.add(Node("other_camera"))
    graph.publisher(Image, "depth/image_raw")
    second = other.create_publisher(Image, "depth/image_raw", 1)
    said = graph.until(lambda: graph.said("whose messages are mixed"), "the second one is named")
    assert said[0] == "/depth/image_raw: 2 publishers, whose messages are mixed: /other_camera, /tester"
    assert said[0] in watch.problems
    other.destroy_publisher(second)
    monkeypatch.setattr(input_watch, "TROUBLE_S", 0.5)
    graph.until(lambda: not watch.problems, "with one it is no problem any longer")


def test_what_gets_the_message_of_a_latched_publisher_is_said_and_right(graph: Any) -> None:
    graph.publisher(CameraInfo, "camera_info", LATCHED).publish(CameraInfo(width=64))
    watch = InputWatch(graph.add(Node("listener")), 0.5)
    watch.subscribe(CameraInfo, "camera_info", lambda message: None, NEWEST)
    graph.until(lambda: graph.said("durability set to transient_local"), "what to do is said")
    wanted = "qos_overrides./camera_info.subscription."
    heard: list[CameraInfo] = []
    overrides = [
        Parameter(f"{wanted}durability", value="transient_local"),
        Parameter(f"{wanted}reliability", value="reliable"),
    ]
    patient = InputWatch(graph.add(Node("patient_listener", parameter_overrides=overrides)))
    patient.subscribe(CameraInfo, "camera_info", heard.append, NEWEST)
    graph.until(lambda: heard, "the message of before arrives")
    watch.close()
    patient.close()
