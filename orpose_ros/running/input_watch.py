"""Subscriptions that report their faults: silence is reported, and a bad message is skipped.

A silent input is the most common fault of a ROS graph, and the least visible. :class:`InputWatch` creates the
subscriptions of a node, and reports each that has received nothing for a while, with the reason: there is no
publisher, it has another type, the QoS is incompatible (and which policy), or nothing is sent or arrives.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from copy import copy
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from rclpy.clock import Clock, ClockType
from rclpy.event_handler import SubscriptionEventCallbacks
from rclpy.node import Node
from rclpy.qos import (
    DurabilityPolicy,
    HistoryPolicy,
    QoSCompatibility,
    QoSPolicyKind,
    QoSProfile,
    ReliabilityPolicy,
    qos_check_compatible,
    qos_profile_sensor_data,
)
from rclpy.qos_overriding_options import QoSOverridingOptions
from rclpy.subscription import Subscription

from orpose_ros.running.peer_states import PeerStates
from orpose_ros.running.sequence_gaps import Numbered, SequenceGaps

SILENCE_S = 5.0
"""Time without a message after which an input is reported as silent, s."""

TROUBLE_S = 10.0
"""Time for which a refused message counts as a problem, s."""

REMIND_S = 30.0
"""Interval after which the same warning is logged again, s."""

NEWEST = QoSProfile(depth=1, history=HistoryPolicy.KEEP_LAST, reliability=ReliabilityPolicy.BEST_EFFORT)
"""QoS for the images of nodes that process the newest one only.

In a longer queue, a busy executor finds the oldest image first, and images accumulate.
"""

SECOND_S = 30.0
"""Time after which a second publisher of a topic is reported, s; a dead one stays in the graph for 20 s."""

_LONGEST_WAIT_S = 60.0  # a larger difference is a system clock that was set

OVERRIDABLE = (
    QoSPolicyKind.HISTORY, QoSPolicyKind.DEPTH, QoSPolicyKind.RELIABILITY, QoSPolicyKind.DURABILITY,
)  # fmt: skip
"""The QoS policies that parameters ``qos_overrides.<topic>.subscription.<policy>`` can set."""


def overridable_qos() -> QoSOverridingOptions:
    """Return the options that let parameters override the QoS of a publisher or subscription."""
    return QoSOverridingOptions(policy_kinds=OVERRIDABLE)


@dataclass
class _Input:
    topic: str
    type_name: str
    required: bool
    missed: Callable[[int], None] | None = None
    subscription: Subscription | None = None
    last_s: float = field(default_factory=time.monotonic)  # of the steady clock; at first, when it was made
    messages: int = 0
    refused: int = 0
    silence: str = ""  # why, while it is silent
    trouble: str = ""  # what was wrong with a message
    trouble_s: float = 0.0  # when, by the steady clock
    second_s: float | None = None  # of the steady clock, since when several nodes publish it
    gaps: SequenceGaps = field(default_factory=SequenceGaps)
    said_s: dict[str, float] = field(default_factory=dict)


class InputWatch:
    """Creates subscriptions, guards their callbacks, and reports silent ones.

    It is not thread-safe: the node's callbacks must run in one thread, as in a single-threaded executor.

    Attributes:
        arrived_s: time at which the message of the running callback arrived on this machine, s of the steady
            clock; it may have waited in the middleware while the executor was busy.
    """

    def __init__(self, node: Node, silence_s: float = SILENCE_S) -> None:
        self.arrived_s = time.monotonic()
        self._node = node
        self._silence_s = silence_s
        self._inputs: list[_Input] = []  # two may be remapped to one topic
        self._peers = PeerStates(node)
        self._starting: set[str] = set()  # reasons that are no fault: a publisher is still starting
        # A steady clock: with use_sim_time and no player, ROS time stands still and would hide the silence.
        self._timer = node.create_timer(
            min(1.0, silence_s / 4), self._look, clock=Clock(clock_type=ClockType.STEADY_TIME)
        )

    def subscribe(
        self,
        message_type: type,
        topic: str,
        callback: Callable[[Any], None],
        qos: QoSProfile = qos_profile_sensor_data,
        required: bool = True,
        missed: Callable[[int], None] | None = None,
    ) -> Subscription:
        """Subscribe; ``callback`` may raise ValueError to refuse a message, which is logged and counted.

        Args:
            message_type: class of the message.
            topic: relative or absolute name; remappings apply.
            callback: called with each message.
            qos: requested QoS; parameters may override it (``qos_overrides``).
            required: whether to warn about silence; silent optional inputs are only listed in :attr:`silent`.
            missed: called with the number of messages that were sent but not received, according to their
                sequence numbers (:class:`SequenceGaps`): the queue of a subscription silently drops the
                oldest, and the middleware loses large messages on a busy machine.
        """
        name = self._node.resolve_topic_name(topic)
        module, kind = message_type.__module__.split(".")[0], message_type.__name__
        watched = _Input(name, f"{module}/msg/{kind}", required, missed)
        watched.subscription = self._node.create_subscription(
            message_type,
            topic,
            partial(self._receive, watched, callback),
            copy(qos),  # rclpy writes the overrides into the profile it is given
            event_callbacks=SubscriptionEventCallbacks(
                incompatible_qos=lambda event: self._look_at(watched, now=True),
                matched=partial(self._matched, watched),
                use_default_callbacks=False,
            ),
            qos_overriding_options=overridable_qos(),
        )
        self._inputs.append(watched)
        return watched.subscription

    @property
    def silent(self) -> dict[str, str]:
        """The silent topics with the reasons."""
        return {i.topic: i.silence for i in self._inputs if i.silence}

    @property
    def problems(self) -> list[str]:
        """The problems of the inputs: silent ones, and recently refused messages."""
        now, found = time.monotonic(), []
        for i in self._inputs:
            if i.silence and i.required:
                found.append(f"{i.topic}: {i.silence}")
            elif i.trouble and now - i.trouble_s < TROUBLE_S:
                found.append(f"{i.topic}: {i.trouble}")
        return found

    @property
    def refused(self) -> int:
        """Number of messages that were refused so far."""
        return sum(i.refused for i in self._inputs)

    def messages(self, topic: str) -> int:
        """Return the number of messages received on ``topic`` so far."""
        return sum(watched.messages for watched in self._of(topic))

    def was_busy(self) -> None:
        """Restart the timers of silence, after the executor was blocked."""
        for watched in self._inputs:
            watched.last_s = time.monotonic()

    def complain(self, topic: str, sentence: str) -> None:
        """Log a warning about ``topic``, at most once per interval, and report it as a problem."""
        for watched in self._of(topic):
            self._trouble(watched, sentence)

    def close(self) -> None:
        """Destroy the subscriptions and the timer."""
        self._node.destroy_timer(self._timer)
        for watched in self._inputs:
            if watched.subscription is not None:
                self._node.destroy_subscription(watched.subscription)
        self._inputs.clear()
        self._peers.close()

    def _receive(
        self, watched: _Input, callback: Callable[[Any], None], message: Any, info: Mapping[str, Any]
    ) -> None:
        watched.messages += 1
        waited_s = (time.time_ns() - (info.get("received_timestamp") or time.time_ns())) / 1e9
        self.arrived_s = time.monotonic() - min(max(waited_s, 0.0), _LONGEST_WAIT_S)
        self._count_missed(watched, info)
        watched.last_s = time.monotonic()
        if watched.silence:
            self._node.get_logger().info(f"{watched.topic}: messages arrive (again)")
            watched.silence = ""
            watched.said_s.clear()
        try:
            callback(message)
        except ValueError as error:
            self._refuse(watched, f"message refused: {error}")
        except Exception as error:  # one bad message must not end the node
            self._refuse(watched, f"message lost: {type(error).__name__}: {error}")

    def _refuse(self, watched: _Input, sentence: str) -> None:
        watched.refused += 1
        self._trouble(watched, sentence)

    def _trouble(self, watched: _Input, sentence: str) -> None:
        watched.trouble, watched.trouble_s = sentence, time.monotonic()
        self._say(watched, f"{watched.topic}: {sentence}")

    def _of(self, topic: str) -> list[_Input]:
        name = self._node.resolve_topic_name(topic)
        return [watched for watched in self._inputs if watched.topic == name]

    def _matched(self, watched: _Input, event: Any) -> None:
        if event.total_count_change > 0:  # else one has gone
            watched.gaps.matched()

    def _count_missed(self, watched: _Input, info: Mapping[str, Any]) -> None:
        """Count missing sequence numbers, which works only for a single publisher."""
        sequence, sent_ns = info.get("publication_sequence_number"), info.get("source_timestamp")
        if watched.missed is None or not sequence or not sent_ns:
            return
        missing = watched.gaps.take(Numbered(sequence, sent_ns / 1e9, self.arrived_s))
        if missing and self._node.count_publishers(watched.topic) == 1:
            watched.missed(missing)

    def _look(self) -> None:
        for watched in list(self._inputs):
            self._look_at(watched)
            self._look_for_second(watched)

    def _look_for_second(self, watched: _Input) -> None:
        """Report an input with several publishers, such as two cameras or a node that was started twice."""
        if self._node.count_publishers(watched.topic) < 2:
            watched.second_s = None
            return
        watched.second_s = watched.second_s or time.monotonic()
        if time.monotonic() - watched.second_s < SECOND_S:
            return
        publishers = self._node.get_publishers_info_by_topic(watched.topic)
        names = sorted(f"{p.node_namespace.rstrip('/')}/{p.node_name}" for p in publishers)
        self._trouble(watched, f"{len(names)} publishers, whose messages are mixed: {', '.join(names)}")

    def _look_at(self, watched: _Input, now: bool = False) -> None:
        quiet_s = time.monotonic() - watched.last_s
        if quiet_s < self._silence_s and not now:
            return
        reason = self._reason(watched)
        if not reason:
            return  # a publisher was asked whether it works yet
        starting = reason in self._starting
        if quiet_s >= self._silence_s:
            watched.silence = reason
            reason = f"nothing for {self._silence_s:g} s: {reason}"
        elif "QoS does not fit" not in reason:
            return  # the publisher that does not fit has gone again
        if watched.required or "QoS does not fit" in reason:
            self._say(watched, f"{watched.topic}: {reason}", is_wrong=not starting)

    def _reason(self, watched: _Input) -> str:
        """Return why nothing arrives, according to the publishers in the graph; "" = not known yet."""
        publishers = self._node.get_publishers_info_by_topic(watched.topic)
        if not publishers:
            return "nobody publishes it (is the name right, does the camera run?)"
        others = sorted({p.topic_type for p in publishers} - {watched.type_name})
        if others and len(others) == len({p.topic_type for p in publishers}):
            return f"it is published as {', '.join(others)}, but {watched.type_name} is expected"
        assert watched.subscription is not None  # it was made together with the watch
        for publisher in publishers:
            verdict, why = qos_check_compatible(publisher.qos_profile, watched.subscription.qos_profile)
            if verdict == QoSCompatibility.ERROR:
                return (
                    f"QoS does not fit that of the publisher {publisher.node_name}: {why.strip()} "
                    f"(qos_overrides.{watched.topic}.subscription.* can change it)"
                )
        for publisher in publishers:
            why_not = self._peers.not_active(publisher.node_name, publisher.node_namespace)
            if why_not is None:
                return ""
            if why_not:
                self._starting.add(why_not)
                return why_not
        nothing = f"{len(publishers)} publisher(s), QoS fits, but nothing of theirs arrives"
        latched = [p for p in publishers if p.qos_profile.durability == DurabilityPolicy.TRANSIENT_LOCAL]
        if latched and watched.subscription.qos_profile.durability != DurabilityPolicy.TRANSIENT_LOCAL:
            nothing += (
                f"; {latched[0].node_name} keeps its last message for late subscribers (transient local): "
                f"qos_overrides.{watched.topic}.subscription.durability set to transient_local and "
                ".reliability to reliable gets it"
            )
        return nothing

    def _say(self, watched: _Input, sentence: str, is_wrong: bool = True) -> None:
        now = time.monotonic()
        if now - watched.said_s.get(sentence, -REMIND_S) < REMIND_S:
            return
        if len(watched.said_s) > 20:  # sentences that name changing numbers must not pile up
            watched.said_s.clear()
        watched.said_s[sentence] = now
        if is_wrong:
            self._node.get_logger().warning(sentence)
        else:
            self._node.get_logger().info(sentence)
