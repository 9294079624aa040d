"""Plays a bag into the graph, where `ros2 bag play` is not installed.

    ros2 run orpose_ros bag_replay BAG [--rate 2] [--loop] [--clock] [--paused] [--topics /a /b]
                                    [--paced-by NODE]

The recorded bytes are published unchanged, with the stamps and at the pace of the recording. The same bags
can be read as with the offline commands: also compressed ones, those without metadata, those that a recorder
never closed, and those of ROS 1.
Topics can be remapped (``--ros-args -r /old:=/new``). The QoS is that of the recording;
``qos_overrides./topic.publisher.*`` parameters change it. ``~/pause`` (std_srvs/SetBool) pauses and resumes.
With ``--paced-by``, messages are sent only when that node has room for them; see
:mod:`orpose_ros.streams.replay_pace`.
"""

from __future__ import annotations

import argparse
import threading
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import rclpy
from rclpy.duration import Duration
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.publisher import Publisher
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rclpy.utilities import remove_ros_args
from rosgraph_msgs.msg import Clock as ClockMessage
from std_srvs.srv import SetBool

from orpose_core.data.recordings.bag_messages import BagMessages, BagTopic
from orpose_ros import conversions
from orpose_ros.messages import installed_message_class
from orpose_ros.parameters import declaring as parameters
from orpose_ros.parameters.declaring import parameter
from orpose_ros.running.diagnostics import NodeDiagnostics
from orpose_ros.running.input_watch import overridable_qos
from orpose_ros.running.lifecycle import run_node
from orpose_ros.running.memory import make_room_for_full_size_images
from orpose_ros.streams.replay_pace import ReplayPace

CLOCK_PERIOD_S = 0.025
"""Longest interval between messages on /clock, s."""

OTHERS_S = 0.5
"""Time for other subscribers to appear after the first one, s."""


@dataclass(frozen=True)
class ReplayParameters:
    """Parameters of the replay."""

    bag: str = parameter("", "Folder or file of a rosbag2 (sqlite3 or mcap) or of a ROS 1 bag.")
    rate: float = parameter(1.0, "Speed, as a multiple of the recording's.", low=0.01, high=1000.0)
    loop: bool = parameter(False, "Start again at the end.")
    clock: bool = parameter(False, "Publish the time of the recording on /clock, for use_sim_time.")
    paused: bool = parameter(False, "Start paused; call ~/pause with false to play.")
    topics: tuple[str, ...] = parameter((), "Play only these topics; empty = all.")
    wait_s: float = parameter(
        5.0, "Longest wait for the first subscriber before playing, s.", low=0.0, high=600.0
    )
    paced_by: str = parameter(
        "",
        "Node that sets the pace, such as label_node: send only what it can queue, and call its ~/finish at "
        "the end.",
    )


class BagReplay(Node):
    """Plays in a thread of its own, which :meth:`start` starts.

    Attributes:
        finished: set at the end.
        failed: whether the bag could not be played to its end.
        published: number of messages published so far.
    """

    def __init__(self, **arguments: Any) -> None:
        super().__init__("bag_replay", **arguments)
        self.parameters = parameters.declare(self, ReplayParameters)
        self.finished = threading.Event()
        self.failed = False
        self.published = 0
        self.diagnostics = NodeDiagnostics(self, "cpu", self._values, served="subscribers")
        self._stop = threading.Event()
        self._running = threading.Event()
        if not self.parameters.paused:
            self._running.set()
        self._reader = _open(self.parameters.bag)
        self._by_topic: dict[str, Publisher] = {}
        self._said_skipped: set[str] = set()
        self._make_publishers()
        self._clock_publisher = (
            self.create_publisher(ClockMessage, "/clock", 10) if self.parameters.clock else None
        )
        self.create_service(SetBool, "~/pause", self._pause)
        self._pace = (
            ReplayPace(self, self.parameters.paced_by, self._by_topic, self._stop)
            if self.parameters.paced_by
            else None
        )
        self._thread = threading.Thread(target=self._play, name="bag_replay", daemon=True)

    def start(self) -> bool:
        """Start playing, which cannot fail; return True."""
        self._thread.start()
        return True

    def clean_up(self) -> None:
        """Stop playing and close the bag."""
        self._stop.set()
        self._running.set()
        if self._thread.is_alive():
            self._thread.join()
        self._reader.close()

    def _values(self) -> dict[str, object]:
        return {"bag": Path(self.parameters.bag).name, "paused": not self._running.is_set()}

    def _make_publishers(self) -> None:
        wanted, there = self.parameters.topics, self._reader.topics
        if missing := sorted(set(wanted) - set(there)):
            raise ValueError(
                f"{self.parameters.bag}: expected the topics {', '.join(missing)}, "
                f"got {', '.join(sorted(there))}"
            )
        for topic in there.values():
            if wanted and topic.name not in wanted:
                continue
            kind = installed_message_class(topic.message_type)
            if kind is None:
                self.get_logger().warning(
                    f"{topic.name} is left out: {topic.message_type} is not installed here"
                )
                continue
            qos = _qos(topic)
            if self.parameters.paced_by:
                qos.reliability = ReliabilityPolicy.RELIABLE
            self._by_topic[topic.name] = self.create_publisher(
                kind, topic.name, qos, qos_overriding_options=overridable_qos()
            )
        if not self._by_topic:
            raise ValueError(f"{self.parameters.bag}: no topic of it can be played")

    def _play(self) -> None:
        settings, rounds = self.parameters, 0
        try:
            if self._pace is not None:
                self._pace.wait_until_ready()
            self._wait_for_subscribers()
            while not self._stop.is_set() and (rounds == 0 or settings.loop):
                self._play_once()
                rounds += 1
            self._let_arrive()
            if self._pace is not None:
                self._pace.finish()
        except Exception as error:
            if rclpy.ok(context=self.context):  # otherwise it is shutting down, and publishing fails
                self.failed = True
                self.get_logger().error(f"{settings.bag}: {type(error).__name__}: {error}")
        finally:
            self.get_logger().info(f"played {self.published} messages")
            self.finished.set()

    def _play_once(self) -> None:
        began_s, first_ns = time.monotonic(), None
        for topic, stamp_ns, data in self._reader.messages(self._by_topic):
            first_ns = stamp_ns if first_ns is None else first_ns
            due_s = began_s + (stamp_ns - first_ns) / 1e9 / self.parameters.rate
            began_s += self._wait(due_s, stamp_ns)
            if self._stop.is_set():
                return
            publisher = self._by_topic[topic]
            if self._pace is not None:
                began_s += self._pace.before(publisher, data)
                if self._stop.is_set():
                    return
            self._tell_time(stamp_ns)
            publisher.publish(data)
            if self._pace is not None:
                self._pace.after(publisher, data)
            self.published += 1
            self.diagnostics.frame(0.0)
        self._say_skipped()

    def _say_skipped(self) -> None:
        """Log what could not be read from the bag, each sentence once."""
        for sentence in self._reader.skipped.sentences():
            if sentence not in self._said_skipped:
                self._said_skipped.add(sentence)
                self.get_logger().warning(sentence)

    def _wait(self, due_s: float, stamp_ns: int) -> float:
        """Wait until the message is due, publishing the time; return how long the replay was paused, s."""
        paused_s = 0.0
        while not self._stop.is_set():
            if not self._running.is_set():
                pause_s = time.monotonic()
                self._running.wait()
                paused_s += time.monotonic() - pause_s
            left_s = due_s + paused_s - time.monotonic()
            if left_s <= 0:
                break
            self._tell_time(stamp_ns - round(left_s * self.parameters.rate * 1e9))
            self._stop.wait(min(left_s, CLOCK_PERIOD_S))
        return paused_s

    def _tell_time(self, ns: int) -> None:
        if self._clock_publisher is not None and ns >= 0:
            self._clock_publisher.publish(ClockMessage(clock=conversions.stamp_of(ns)))

    def _wait_for_subscribers(self) -> None:
        """Wait for the first subscriber, then for others: discovery can take some seconds."""
        end_s, first = time.monotonic() + self.parameters.wait_s, True
        publishers = list(self._by_topic.values())
        while time.monotonic() < end_s and not self._stop.is_set():
            subscribed = [publisher.get_subscription_count() > 0 for publisher in publishers]
            if all(subscribed):
                return
            if any(subscribed) and first:
                first, end_s = False, min(end_s, time.monotonic() + OTHERS_S)
            self._stop.wait(0.02)

    def _let_arrive(self) -> None:
        """Give reliable subscribers time to receive the last messages before the publishers go."""
        for publisher in list(self._by_topic.values()):
            publisher.wait_for_all_acked(Duration(seconds=2))

    def _pause(self, request: SetBool.Request, response: SetBool.Response) -> SetBool.Response:
        (self._running.clear if request.data else self._running.set)()
        response.success, response.message = True, "paused" if request.data else "playing"
        return response


def _open(path: str) -> BagMessages:
    if not path:
        raise ValueError("bag_replay: expected a bag, got none")
    try:
        return BagMessages(Path(path).expanduser())
    except OSError as error:
        raise ValueError(f"{path}: expected a bag, but it cannot be read: {error}") from error


def _qos(topic: BagTopic) -> QoSProfile:
    """Return the QoS of the recording's publishers; reliable and volatile if they differ.

    The history depth is not that of the recording: its publisher may have kept only one message, and a replay
    at a higher rate must not lose the others.
    """
    return QoSProfile(
        depth=100,
        reliability=ReliabilityPolicy.BEST_EFFORT if topic.best_effort else ReliabilityPolicy.RELIABLE,
        durability=DurabilityPolicy.TRANSIENT_LOCAL if topic.latched else DurabilityPolicy.VOLATILE,
    )


def _command_line(args: list[str]) -> list[Parameter]:
    """Return the options of the command line as parameters."""
    parser = argparse.ArgumentParser(prog="bag_replay", description=__doc__.splitlines()[0])
    parser.add_argument("bag", nargs="?", help="folder or file of a bag; or the parameter bag")
    parser.add_argument("--rate", type=float, help="speed, as a multiple of the recording's")
    parser.add_argument("--loop", action="store_true", default=None, help="begin again at the end")
    parser.add_argument("--clock", action="store_true", default=None, help="publish /clock")
    parser.add_argument("--paused", action="store_true", default=None, help="begin paused; see ~/pause")
    parser.add_argument("--topics", nargs="+", help="play these topics alone")
    parser.add_argument("--paced-by", metavar="NODE", help="send nothing that this node has no room for")
    given = vars(parser.parse_args(args))
    return [Parameter(name, value=value) for name, value in given.items() if value is not None]


def main(args: list[str] | None = None) -> None:
    """Play a bag and end, with status 1 if it cannot be played to its end."""
    given = _command_line(remove_ros_args(args)[1:])
    make_room_for_full_size_images()
    run_node(
        partial(BagReplay, parameter_overrides=given),
        args,
        start=BagReplay.start,
        is_finished=lambda replay: replay.finished.is_set(),
        stop=BagReplay.clean_up,
        has_failed=lambda replay: replay.failed,
    )


if __name__ == "__main__":
    main()
