"""The graph as a node sees it: all topics with publishers and subscribers, and the machines of the nodes."""

from __future__ import annotations

import socket
from collections.abc import Mapping, Sequence
from typing import Any

from rclpy.node import Node
from rclpy.utilities import get_rmw_implementation_identifier

from orpose_core.audit.trail import UNNAMED_MACHINE, TopicState

_VENDOR_HOST = slice(2, 4)  # the bytes of Fast DDS's GUID that say which machine
_NO_NAME = "_NODE_NAME_UNKNOWN_"  # of a participant whose nodes are not known yet


class GraphView:
    """Reads the graph.

    Attributes:
        machines: names of machines by the full name of a node, for nodes that publish it.
    """

    def __init__(self, node: Node) -> None:
        self._node = node
        self._tells_hosts = "fastrtps" in get_rmw_implementation_identifier()
        self._hosts: dict[bytes, str] = {}
        self.machines: Mapping[str, str] = {}

    def nodes(self) -> set[str]:
        """Return the full names of all nodes."""
        return {_full(name, space) for name, space in self._node.get_node_names_and_namespaces()}

    def topics(self) -> dict[str, TopicState]:
        """Return all topics with their publishers and subscribers, except topics with unknown ones."""
        self._learn_hosts()
        found = {}
        for name, types in self._node.get_topic_names_and_types():
            ends = [
                self._node.get_publishers_info_by_topic(name),
                self._node.get_subscriptions_info_by_topic(name),
            ]
            if any(info.node_name == _NO_NAME for infos in ends for info in infos):
                continue
            publishers, subscribers = (tuple(sorted({self._end(i) for i in infos})) for infos in ends)
            if publishers or subscribers:
                found[name] = TopicState(tuple(sorted(types)), publishers, subscribers)
        return found

    def _learn_hosts(self) -> None:
        """Map DDS identities to machines, with the help of nodes that publish theirs and of this one."""
        own = self._node.get_fully_qualified_name()
        for info in self._node.get_publishers_info_by_topic("/diagnostics"):
            node = _full(info.node_name, info.node_namespace)
            name = socket.gethostname() if node == own else self.machines.get(node)
            if name is not None:
                self._hosts[bytes(info.endpoint_gid)[_VENDOR_HOST]] = name

    def _end(self, info: Any) -> str:
        """Return "NODE@MACHINE"."""
        node = _full(info.node_name, info.node_namespace)
        return f"{node}@{self._machine(node, info.endpoint_gid)}"

    def _machine(self, node: str, gid: Sequence[int]) -> str:
        """Return the machine of a node: the published one, or the one that its DDS identity implies."""
        if node in self.machines:
            return self.machines[node]
        if not self._tells_hosts:
            return f"{UNNAMED_MACHINE}without a name"
        host = bytes(gid)[_VENDOR_HOST]
        return self._hosts.get(host, f"{UNNAMED_MACHINE}{host.hex()}")


def _full(name: str, namespace: str) -> str:
    return f"{namespace.rstrip('/')}/{name}"
