"""A graph of real rclpy nodes over real DDS, for the tests of the nodes."""

from __future__ import annotations

import fcntl
import gc
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import pytest

# Before the first import of a message and the first rclpy.init, which read them. `make test` sets them too;
# here they serve a bare `pytest`. Each test process has a domain of its own: parallel runs never hear each
# other.
os.environ.setdefault("ROS_PYTHON_CHECK_FIELDS", "1")
os.environ.setdefault("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")


def _domain_of_our_own() -> int:
    """Return a ROS domain that no other test process of this machine has, and hold it until this one ends."""
    for k in range(100):
        domain = 1 + (os.getpid() + k) % 100
        lock = os.open(Path(tempfile.gettempdir(), f"orpose_test_domain_{domain}"), os.O_CREAT | os.O_RDWR)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            continue
        return domain
    raise RuntimeError("every ROS domain from 1 to 100 is in use by tests")


os.environ["ROS_DOMAIN_ID"] = str(_domain_of_our_own())

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
    from sensor_msgs.msg import CameraInfo, Image

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
            self, condition: Callable[[], Any], what: str = "condition", timeout_s: float = 60.0
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

    @pytest.fixture
    def launch() -> Callable[..., subprocess.Popen[bytes]]:
        """Start a launch file of ours with these arguments; skip where launch is not installed.

        ``prefix`` is an installation that wins over all others; ``last`` is the source of an action that
        comes after the launch file; everything else goes to ``Popen``.
        """
        pytest.importorskip("launch.actions", reason="launch is not installed here")
        pytest.importorskip("launch_ros.actions", reason="launch_ros is not installed here")
        prefixes = [p for p in os.environ.get("AMENT_PREFIX_PATH", "").split(":") if p]
        there = [p for p in (*prefixes, sys.prefix) if Path(p, "lib", "orpose_ros", "label_node").exists()]
        if not there:
            pytest.skip("the package is not installed here, neither by colcon nor by make")
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        environment = os.environ | {"AMENT_PREFIX_PATH": ":".join([*prefixes, there[0]]), "PATH": path}
        program = (
            "import sys; from launch import LaunchService, launch_description_sources as sources;"
            "service = LaunchService(argv=sys.argv[2:]);"
            "from launch.actions import IncludeLaunchDescription as Include;"
            "source = sources.PythonLaunchDescriptionSource(sys.argv[1]);"
            "given = [a.split(':=', 1) for a in sys.argv[2:]];"
            "from launch import LaunchDescription;"
            "from launch.actions import OpaqueFunction;"
            "service.include_launch_description("
            "LaunchDescription([Include(source, launch_arguments=given), {last}]));"
            "sys.exit(service.run())"
        )

        def start(
            name: str, arguments: list[str], prefix: Path | None = None, last: str = "", **options: Any
        ) -> subprocess.Popen[bytes]:
            file = Path(__file__).parents[2] / "launch" / name
            everywhere = [str(prefix)] if prefix else []
            everywhere += environment["AMENT_PREFIX_PATH"].split(":")
            options["env"] = environment | {"AMENT_PREFIX_PATH": ":".join(everywhere)}
            command = [sys.executable, "-c", program.replace("{last}", last), file, *arguments]
            return subprocess.Popen(command, **options)

        return start

    class PoseBench:
        """A pose node with a tiny random network, publishers to it and what it sends, per camera.

        With thresholds of 0 random maps give "people", always the same for the same image: enough to follow
        identities and 3D through the messages.
        """

        TINY: ClassVar[dict[str, Any]] = {
            "model": "untrained:depthpose_64x48@0.0625", "device": "cpu", "flip_test": "never", "threads": 1,
            "half_precision": False, "keypoint_threshold": 0.0, "paf_threshold": 0.0, "min_mean_score": 0.0,
            "min_joints": 4, "min_person_score": 0.0, "max_people": 3,
        }  # fmt: skip

        def __init__(self, graph: Graph, cameras: tuple[str, ...] = ("",), **settings: Any) -> None:
            from orpose_ros.msg import Skeleton2DArray, Skeleton3DArray
            from orpose_ros.pose_node import PoseNode

            start = settings.pop("start", True)
            self.graph = graph
            self.node = graph.make(PoseNode, start, **self.TINY | {"cameras": list(cameras)} | settings)
            names = {c: f"{c}/" if c else "" for c in cameras}
            color = "color" in self.node.parameters.model or "student" in self.node.parameters.model
            kinds = ["color"] if color else ["depth"]
            kinds += ["depth"] if settings.get("depth_with_color") else []
            self.images = {
                (c, kind): graph.publisher(Image, f"{n}lowres/{kind}/image_raw")
                for c, n in names.items()
                for kind in kinds
            }
            self.infos = {c: graph.publisher(CameraInfo, f"{n}lowres/camera_info") for c, n in names.items()}
            out = QoSProfile(depth=100)
            self.flat = {c: graph.collect(Skeleton2DArray, f"{n}skeletons_2d", out) for c, n in names.items()}
            self.space = {
                c: graph.collect(Skeleton3DArray, f"{n}skeletons_3d", out) for c, n in names.items()
            }
            if start:
                self.connect()

        def connect(self) -> None:
            """Spin until both directions are connected."""
            graph = self.graph
            graph.connected(*self.images.values())
            for n in (f"{c}/" if c else "" for c in self.flat):
                for kind in ("skeletons_2d", "skeletons_3d"):
                    topic = f"{n}{kind}"
                    graph.until(lambda t=topic: graph.tester.count_publishers(t), f"{topic} is there")
            graph.spin(0.1)

        def send(self, message: Any, camera: str = "", stream: str = "") -> tuple[Any, Any]:
            """Publish one image and return the 2D and the 3D message that it gives."""
            flat, space = self.flat[camera], self.space[camera]
            before = len(flat), len(space)
            self.publish(message, camera, stream)
            self.graph.until(
                lambda: len(flat) > before[0] and len(space) > before[1], "skeletons of the image arrive"
            )
            return flat[-1], space[-1]

        def publish(self, message: Any, camera: str = "", stream: str = "") -> None:
            streams = [s for c, s in self.images if c == camera]
            self.images[camera, stream or streams[0]].publish(message)

        def tell_camera(self, message: Any, camera: str = "") -> None:
            """Publish a camera_info, and spin until the node has it."""
            self.graph.connected(self.infos[camera])
            topic = f"{camera}/lowres/camera_info" if camera else "lowres/camera_info"
            before = self.node.watch.messages(topic)
            self.infos[camera].publish(message)
            self.graph.until(lambda: self.node.watch.messages(topic) > before, "camera_info arrives")

        def refused(self, message: Any, words: str, camera: str = "", stream: str = "") -> str:
            """Publish one image; expect a refusal that says these words, is counted, and no skeletons."""
            counted, sent = self.node.diagnostics.counts()["refused"], len(self.flat[camera])
            self.publish(message, camera, stream)
            said = self.graph.until(lambda: self.graph.said(words), f"a refusal that says {words!r}")
            self.graph.until(
                lambda: self.node.diagnostics.counts()["refused"] > counted, "the refusal is counted"
            )
            self.graph.spin(0.1)
            assert len(self.flat[camera]) == sent
            return said[-1]

    @pytest.fixture
    def pose_bench(graph: Graph) -> Callable[..., PoseBench]:
        return partial(PoseBench, graph)


def pytest_report_header() -> str:
    there = "collect_ignore_glob" not in globals()
    domain = os.environ["ROS_DOMAIN_ID"]
    return f"ROS: domain {domain}, this machine only" if there else "ROS: no rclpy here, test/ros is left out"
