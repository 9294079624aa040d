"""A graph of real rclpy nodes over real DDS, for the tests of the nodes."""

from __future__ import annotations

import gc
import os
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

# Before the first import of a message and the first rclpy.init, which read them. `make test` sets them too;
# here they serve a bare `pytest`. Each test process has a domain of its own: parallel runs never hear each
# other.
os.environ.setdefault("ROS_PYTHON_CHECK_FIELDS", "1")
os.environ.setdefault("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
os.environ["ROS_DOMAIN_ID"] = str(1 + os.getpid() % 100)

try:
    import rclpy
except ImportError:  # the core is tested without ROS
    collect_ignore_glob = ["test_*.py"]
else:
    from rcl_interfaces.msg import Log
    from rclpy.executors import SingleThreadedExecutor
    from rclpy.node import Node
    from rclpy.parameter import Parameter
    from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy

    LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    SENSOR = QoSProfile(depth=10, reliability=ReliabilityPolicy.BEST_EFFORT)

    class Graph:
        """Nodes under test in one executor, beside a node that publishes to them and listens to them.

        The test spins it by hand, so that nothing happens behind its back.
        """

        def __init__(self) -> None:
            rclpy.init()
            self.executor = SingleThreadedExecutor()
            self.nodes: list[Node] = []
            self.tester = self.add(Node("tester"))
            self.logs: list[Log] = []
            self.tester.create_subscription(
                Log,
                "/rosout",
                self.logs.append,
                QoSProfile(depth=1000, durability=DurabilityPolicy.TRANSIENT_LOCAL),
            )

        def add(self, node: Any) -> Any:
            """Let the executor spin ``node``; it is destroyed after the test."""
            self.nodes.append(node)
            self.executor.add_node(node)
            return node

        def make(self, kind: Callable[..., Any], start: bool = True, **settings: Any) -> Any:
            """Make a node with these parameters (and ``remap=["a:=b"]``) and start it."""
            remap = settings.pop("remap", [])
            arguments = ["--ros-args", *(a for r in remap for a in ("-r", r))] if remap else None
            overrides = [Parameter(name, value=value) for name, value in settings.items()]
            node = self.add(kind(parameter_overrides=overrides, cli_args=arguments))
            if start:
                assert node.start(), f"{node.get_name()} did not start"
            return node

        def publisher(self, kind: type, topic: str, qos: Any = SENSOR) -> Any:
            return self.tester.create_publisher(kind, topic, qos)

        def collect(self, kind: type, topic: str, qos: Any = SENSOR) -> list[Any]:
            """Subscribe, and return the list that the messages go to."""
            messages: list[Any] = []
            self.tester.create_subscription(kind, topic, messages.append, qos)
            return messages

        def spin(self, seconds: float) -> None:
            end = time.monotonic() + seconds
            while (left := end - time.monotonic()) > 0:
                self.executor.spin_once(timeout_sec=left)

        def until(
            self, condition: Callable[[], Any], what: str = "condition", timeout_s: float = 15.0
        ) -> Any:
            """Spin until ``condition`` holds and return its value; fail with ``what`` where it does not."""
            end = time.monotonic() + timeout_s
            while not (value := condition()):
                left = end - time.monotonic()
                if left <= 0:
                    pytest.fail(f"not within {timeout_s:g} s: {what}; the log says {self.said()}")
                self.executor.spin_once(timeout_sec=min(left, 0.05))
            return value

        def connected(self, *publishers: Any, count: int = 1) -> None:
            """Spin until each publisher of the tester has ``count`` subscribers."""
            self.until(
                lambda: all(p.get_subscription_count() >= count for p in publishers),
                "all are connected",
            )

        def said(self, words: str = "") -> list[str]:
            """Return the log lines so far that contain ``words``."""
            return [log.msg for log in self.logs if words in log.msg]

        def close(self) -> None:
            for node in reversed(self.nodes):
                if hasattr(node, "clean_up"):
                    node.clean_up()
                node.destroy_node()
            self.executor.shutdown()
            self.nodes.clear()
            # A lifecycle node keeps its handle until it is collected, and takes the /rosout publisher of
            # the next node of its name along.
            gc.collect()
            rclpy.try_shutdown()

    @pytest.fixture
    def graph() -> Iterator[Graph]:
        made = Graph()
        yield made
        made.close()


def pytest_report_header() -> str:
    there = "collect_ignore_glob" not in globals()
    domain = os.environ["ROS_DOMAIN_ID"]
    return f"ROS: domain {domain}, this machine only" if there else "ROS: no rclpy here, test/ros is left out"
