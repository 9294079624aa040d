"""The audit trail of a graph of nodes: who started what with which weights and limits.

    /diagnostics, /parameter_events, model_info, and every topic that a node of orpose publishes
        -> an append-only log, each line of which holds the hash of the one before

It records the length of each message in bytes, but no content. It never subscribes to images outside the
``lowres`` topics; it knows from the ROS graph that full-size topics exist, and which nodes publish and
subscribe to them. `orpose audit verify` and `orpose audit report` read the log.
"""

from __future__ import annotations

import time
from functools import partial
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rcl_interfaces.msg import ParameterEvent
from rclpy.parameter import parameter_value_to_python
from rclpy.qos import DurabilityPolicy, QoSProfile

from orpose_core import __version__
from orpose_core.audit.log import AuditLog
from orpose_core.audit.trail import AuditTrail, ModelState, NodeStart
from orpose_ros.graph.graph_view import GraphView
from orpose_ros.graph.message_sizes import MessageSizes
from orpose_ros.graph.parameter_reader import ParameterReader
from orpose_ros.msg import PoseModelInfo
from orpose_ros.parameters import declaring as parameters
from orpose_ros.parameters.audit import AuditParameters
from orpose_ros.running.diagnostics import NodeDiagnostics
from orpose_ros.running.lifecycle import SelfStartingNode, run
from orpose_ros.running.origin import Origin

MANY = QoSProfile(depth=1000)
LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)


class AuditNode(SelfStartingNode):
    """Writes the log; see the module."""

    def __init__(self, **arguments: Any) -> None:
        super().__init__("audit_node", **arguments)
        self.parameters = parameters.declare(self, AuditParameters)
        self.trail: AuditTrail | None = None
        self.diagnostics: NodeDiagnostics | None = None
        self._graph: GraphView | None = None
        self._sizes: MessageSizes | None = None
        self._reader: ParameterReader | None = None
        self._machines: dict[str, str] = {}  # of the nodes of orpose
        self._models: dict[str, Any] = {}  # subscriptions by topic

    def configure(self) -> None:
        """Open the log and subscribe."""
        if not self.parameters.file:
            raise ValueError("parameter file: expected the path of the log, got none")
        try:
            self.trail = AuditTrail(AuditLog(self.parameters.file))
        except OSError as error:
            raise ValueError(f"parameter file: {self.parameters.file}: {error.strerror or error}") from error
        here = Origin.here()
        self.trail.log.add("log_opened", version=__version__, by=here.by, machine=here.machine,
                           domain=self.context.get_domain_id())  # fmt: skip
        self.diagnostics = self.own(
            NodeDiagnostics(self, "cpu", self._values, self._problems, served="nodes")
        )
        self._graph = GraphView(self)
        self._sizes = self.own(MessageSizes(self, self.parameters.images, self.trail.saw_message))
        self._reader = self.own(ParameterReader(self, self._take_parameters))
        for kind, topic, take in (
            (DiagnosticArray, "/diagnostics", self._take_diagnostics),
            (ParameterEvent, "/parameter_events", self._take_event),
        ):
            self.at_clean_up(self.destroy_subscription, self.create_subscription(kind, topic, take, MANY))
        self.own_timer(self.parameters.period_s, self._look)
        self.get_logger().info(f"the head of the audit log is {self.trail.log.head}")

    def clean_up(self) -> None:
        """Write the last records first, because a busy machine may leave no time for more."""
        if self.trail is not None:
            self.trail.settle()
            self.trail.log.add("log_closed")
            self.trail.log.close()
        super().clean_up()
        for subscription in self._models.values():
            self.destroy_subscription(subscription)
        self._models, self._machines = {}, {}
        self.trail = self.diagnostics = self._graph = self._sizes = self._reader = None

    def _look(self) -> None:
        """Read the graph, and write delayed records."""
        if self.trail is None or self._graph is None or self._sizes is None or self._reader is None:
            return
        names = self._graph.nodes()
        for node in set(self._machines) - names:
            del self._machines[node]
            self._reader.forget(node)
            self.trail.lost_node(node)
        self._graph.machines = self._machines
        topics = self._graph.topics()
        self.trail.saw_topics(topics)
        self._sizes.follow(topics, set(self._machines))
        for name, state in topics.items():
            if state.types == ("orpose_ros/msg/PoseModelInfo",) and name not in self._models:
                take = partial(self._take_model, name)
                self._models[name] = self.create_subscription(PoseModelInfo, name, take, LATCHED)
        for node in self._machines:
            if not self.trail.knows_parameters(node):
                self._reader.ask(node)
        self.trail.tick(time.monotonic())

    def _take_diagnostics(self, message: DiagnosticArray) -> None:
        for status in message.status:
            self._take_status(status)

    def _take_status(self, status: DiagnosticStatus) -> None:
        values = {pair.key: pair.value for pair in status.values}
        origin = Origin.of(values)
        if origin is None or self.trail is None or self.diagnostics is None:
            return
        node = f"/{status.name}"
        self._machines[node] = origin.machine
        self.trail.saw_node(NodeStart(node, origin.by, origin.machine, origin.at, status.hardware_id))
        if values.get("refused", "").isdecimal():
            self.trail.saw_refused(node, int(values["refused"]))
        self.diagnostics.frame(0.0)

    def _take_model(self, topic: str, m: PoseModelInfo) -> None:
        if self.trail is not None:
            model = ModelState(m.name, m.sha256, m.licence, m.backend, m.device, m.trained, m.max_pixels)
            self.trail.saw_model(topic, model)

    def _take_event(self, event: ParameterEvent) -> None:
        """Record changed parameters; the parameters of a new node are requested instead."""
        if self.trail is not None and self.trail.knows_parameters(event.node):
            changed = [*event.new_parameters, *event.changed_parameters]
            self._take_parameters(event.node, {p.name: parameter_value_to_python(p.value) for p in changed})

    def _take_parameters(self, node: str, values: dict[str, Any]) -> None:
        if self.trail is not None:
            self.trail.saw_parameters(node, values)

    def _values(self) -> dict[str, object]:
        # Whoever keeps the head can detect later that the log was truncated or rewritten.
        return {} if self.trail is None else {"head": self.trail.log.head, "nodes": len(self._machines)}

    def _problems(self) -> list[str]:
        if self.trail is None or not self.trail.log.trouble:
            return []
        return [f"{self.trail.log.waiting} records could not be written: {self.trail.log.trouble}"]


def main(args: list[str] | None = None) -> None:
    """Run the node."""
    run(AuditNode, args)


if __name__ == "__main__":
    main()
