"""What an audit log is told: changes of a graph of nodes, each as one record."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from orpose_core.audit.log import AuditLog

_LONGEST_TEXT = 120
_PATH = re.compile(r"[/\\~]|^\.|\.[A-Za-z][A-Za-z0-9]+$")
"""What can be a path, absolute or not, or the name of a file."""
_MOST_ITEMS = 32
_LOOKS = 2  # a topic is recorded once it looks the same so many times: discovery takes a moment
_GROWTH_S = 10.0  # a growing largest message, and refusals, are recorded at most so often


UNNAMED_MACHINE = "machine "
"""So begins what a machine is called before its name is known."""


@dataclass(frozen=True)
class NodeStart:
    """Who started a node.

    Attributes:
        node: full name.
        by: user.
        machine: name of the machine.
        at: when, UTC, ISO 8601.
        device: on which it computes; "" = not known.
    """

    node: str
    by: str
    machine: str
    at: str
    device: str = ""


@dataclass(frozen=True)
class TopicState:
    """Who is at the two ends of a topic.

    Attributes:
        types: of its messages.
        publishers: full names of nodes by machine, "NODE@MACHINE", in order.
        subscribers: likewise.
    """

    types: tuple[str, ...]
    publishers: tuple[str, ...]
    subscribers: tuple[str, ...]


@dataclass(frozen=True)
class ModelState:
    """A model that runs.

    Attributes:
        name: of the weights.
        sha256: of the weights.
        licence: of the weights.
        backend: what runs it.
        device: where it runs.
        trained: whether its weights were trained.
        max_pixels: largest image that it accepts, px; 0 = no limit.
    """

    name: str
    sha256: str
    licence: str
    backend: str
    device: str
    trained: bool
    max_pixels: int


class AuditTrail:
    """Turns what a node sees of the graph into records; only what changes becomes one."""

    def __init__(self, log: AuditLog) -> None:
        self.log = log
        self._nodes: dict[str, NodeStart] = {}
        self._topics: dict[str, TopicState] = {}
        self._looks: dict[str, tuple[TopicState | None, int]] = {}
        self._models: dict[str, ModelState] = {}
        self._parameters: dict[str, dict[str, Any]] = {}
        self._largest: dict[str, int] = {}
        self._recorded: dict[str, int] = {}  # largest message by topic, as it is in the log
        self._refused: dict[str, int] = {}
        self._refusals: dict[str, int] = {}  # since the last record
        self._grew_s = 0.0

    def saw_node(self, start: NodeStart) -> None:
        """Record a node that was started, or started again."""
        known = self._nodes.get(start.node)
        if known is not None and (known.at, known.device) == (start.at, start.device or known.device):
            return
        self._nodes[start.node] = start
        if known is None or known.at != start.at:
            self._refused.pop(start.node, None)
        self.log.add("node_started", **asdict(start))

    def lost_node(self, node: str) -> None:
        """Record that a node has left the graph."""
        if self._nodes.pop(node, None) is not None:
            self._parameters.pop(node, None)
            self.log.add("node_gone", node=node)

    def saw_topics(self, topics: Mapping[str, TopicState]) -> None:
        """Record topics that are new, have other ends, or are gone."""
        for name in sorted(set(topics) | set(self._topics)):
            state = topics.get(name)
            last, looks = self._looks.get(name, (None, 0))
            looks = looks + 1 if last == state else 1
            self._looks[name] = state, looks
            if looks < _LOOKS or state == self._topics.get(name):
                continue
            if state is None:
                del self._topics[name]
                self.log.add("topic_gone", topic=name)
            else:
                self._topics[name] = state
                self.log.add("topic", topic=name, **asdict(state))

    def saw_parameters(self, node: str, values: Mapping[str, Any]) -> None:
        """Record all parameters of a node, and later those that have another value."""
        plain = {name: plain_value(value) for name, value in values.items()}
        known = self._parameters.get(node)
        if known is None:
            self._parameters[node] = plain
            self.log.add("parameters", node=node, values=plain)
            return
        for name, value in plain.items():
            if name not in known or known[name] != value:
                before = known.get(name)
                known[name] = value
                self.log.add("parameter_changed", node=node, name=name, before=before, value=value)

    def knows_parameters(self, node: str) -> bool:
        """Return whether the parameters of a node are in the log."""
        return node in self._parameters

    def saw_model(self, topic: str, model: ModelState) -> None:
        """Record a model that runs; ``topic`` says which node's it is."""
        if self._models.get(topic) != model:
            self._models[topic] = model
            self.log.add("model", topic=topic, **asdict(model))

    def saw_message(self, topic: str, size: int) -> None:
        """Count a message of so many bytes; of its content nothing is known here."""
        if size > self._largest.get(topic, 0):
            self._largest[topic] = size

    def saw_refused(self, node: str, total: int) -> None:
        """Count the images that a node has refused since it was started."""
        more = total - self._refused.get(node, 0)
        self._refused[node] = total
        if more > 0:
            self._refusals[node] = self._refusals.get(node, 0) + more

    def tick(self, now_s: float) -> None:
        """Write what is written now and then, and what could not be written; ``now_s`` of a steady clock."""
        self.log.flush()
        if now_s - self._grew_s >= _GROWTH_S:
            self._grew_s = now_s
            self.settle()

    def settle(self) -> None:
        """Record the largest messages and the refusals since the last time."""
        for topic, size in self._largest.items():
            if size > self._recorded.get(topic, 0):
                self._recorded[topic] = size
                self.log.add("largest_message", topic=topic, bytes=size)
        for node, count in self._refusals.items():
            self.log.add("refused", node=node, count=count, total=self._refused[node])
        self._refusals.clear()


def plain_value(value: Any) -> Any:
    """Return the value of a parameter as it may be in a log.

    Paths may name patients, and long values could hold anything: of both the log has only a hash, which
    shows that they changed.
    """
    if isinstance(value, (bool, int)) or value is None:
        return value
    if isinstance(value, float):
        return value if abs(value) < float("inf") else str(value)
    if isinstance(value, str):
        if _PATH.search(value):
            return _digest("path", value, len(value))
        return value if len(value) <= _LONGEST_TEXT else _digest("text", value, len(value))
    items = list(value)
    if isinstance(value, (bytes, bytearray)) or len(items) > _MOST_ITEMS:
        return _digest("values", repr(items), len(items))
    return [plain_value(item) for item in items]


def _digest(kind: str, text: str, length: int) -> dict[str, Any]:
    return {"kind": kind, "length": length, "sha256": hashlib.sha256(text.encode()).hexdigest()[:16]}
