"""A lifecycle manager: every transition that it asks for is done or refused, and none ends a node."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState, GetState
from rclpy.qos import QoSProfile
from std_msgs.msg import Header

from orpose_ros.lowres_gateway import LowresGateway
from orpose_ros.running.lifecycle import SelfStartingNode
from orpose_ros.skeleton_markers import SkeletonMarkers


class Manager:
    """Asks for transitions by the services, as a lifecycle manager does."""

    def __init__(self, graph: Any, node: str) -> None:
        self.graph = graph
        self.clients = [
            graph.tester.create_client(kind, f"/{node}/{name}")
            for kind, name in ((ChangeState, "change_state"), (GetState, "get_state"))
        ]
        for client in self.clients:
            graph.until(client.service_is_ready, "the service is there")

    def ask(self, transition: Transition) -> tuple[bool, str]:
        """Return whether it was done, and the state after it."""
        answers = []
        for client, request in zip(
            self.clients, (ChangeState.Request(transition=transition), GetState.Request()), strict=True
        ):
            answer = client.call_async(request)
            self.graph.until(answer.done, "the service answers")
            answers.append(answer.result())
        return answers[0].success, answers[1].current_state.label


@pytest.mark.parametrize("kind", [LowresGateway, SkeletonMarkers])
def test_a_transition_that_the_state_does_not_allow_is_refused(graph: Any, kind: Any) -> None:
    node = graph.make(kind)  # it has started by itself
    manager = Manager(graph, node.get_name())
    for wrong in (
        Transition(id=Transition.TRANSITION_CONFIGURE),
        Transition(id=Transition.TRANSITION_CLEANUP),
        Transition(id=99),
        Transition(label="activate"),
        Transition(label="nonsense"),
    ):
        assert manager.ask(wrong) == (False, "active")
    assert graph.said(f"transition {Transition.TRANSITION_CONFIGURE} refused")
    for right, state in (
        (Transition.TRANSITION_DEACTIVATE, "inactive"),
        (Transition.TRANSITION_CLEANUP, "unconfigured"),
        (Transition.TRANSITION_CONFIGURE, "inactive"),
        (Transition.TRANSITION_ACTIVATE, "active"),
        (Transition.TRANSITION_ACTIVE_SHUTDOWN, "finalized"),
    ):
        assert manager.ask(Transition(id=right)) == (True, state)
    assert manager.ask(Transition(id=Transition.TRANSITION_CONFIGURE)) == (False, "finalized")


class Part:
    """A part of a node, with the order in which such parts were closed."""

    def __init__(self, name: str, closed: list[str], error: str = "") -> None:
        self.name, self.closed, self.error = name, closed, error

    def close(self) -> None:
        self.closed.append(self.name)
        if self.error:
            raise RuntimeError(self.error)


class Owner(SelfStartingNode):
    """Owns parts of which one cannot be closed."""

    def __init__(self, **arguments: Any) -> None:
        self.closed: list[str] = []
        super().__init__("owner", **arguments)

    def configure(self) -> None:
        for name, error in (("first", ""), ("second", "it is stuck"), ("third", "")):
            self.own(Part(name, self.closed, error))
        self.publisher = self.own_publisher(Header, "heads", QoSProfile(depth=1))
        self.own_timer(60.0, lambda: None)


def test_clean_up_destroys_each_part_even_if_one_raises(graph: Any) -> None:
    node = graph.make(Owner)
    assert node.count_publishers("heads") == 1
    timers = len(list(node.timers))
    manager = Manager(graph, "owner")
    assert manager.ask(Transition(id=Transition.TRANSITION_DEACTIVATE)) == (True, "inactive")
    manager.ask(Transition(id=Transition.TRANSITION_CLEANUP))
    assert graph.said("it is stuck")
    assert node.closed == ["third", "second", "first"]
    assert node.publisher not in list(node.publishers) and len(list(node.timers)) == timers - 1
    node.clean_up()
    assert node.closed == ["third", "second", "first"]


STUCK = """
import rclpy
from orpose_ros.running import lifecycle
class Stuck(lifecycle.SelfStartingNode):
    def clean_up(self):
        raise RuntimeError("it is stuck")
    def destroy_node(self):
        super().destroy_node()
        print("destroyed", flush=True)
def finished(node):
    return True
try:
    lifecycle.run_node(lambda: Stuck("stuck"), [], start=Stuck.start, is_finished=finished, stop=Stuck.stop)
finally:
    print("rclpy has ended" if not rclpy.ok() else "rclpy goes on", flush=True)
"""


def test_a_node_that_cannot_clean_up_is_destroyed_and_ends_rclpy() -> None:
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    run = subprocess.run(
        [sys.executable, "-c", STUCK], env=environment, capture_output=True, text=True, timeout=300
    )
    assert run.returncode == 1
    assert run.stdout.split("\n")[:2] == ["destroyed", "rclpy has ended"], run.stdout + run.stderr
    assert "it is stuck" in run.stderr
