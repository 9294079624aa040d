"""Whether a publishing node is already active: lifecycle nodes are asked for their state."""

from __future__ import annotations

import time
from typing import Any

from lifecycle_msgs.srv import GetState
from rclpy.node import Node

_PATIENCE_S = 1.0
"""Time after which a node that has not answered counts as busy, s."""

_AGAIN_S = 10.0
"""Time after which it is asked again, s; a restarted node does not know what was asked before."""


class PeerStates:
    """Requests the state of lifecycle nodes asynchronously."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._clients: dict[str, Any] = {}
        self._asked: dict[str, tuple[float, Any]] = {}
        self._known: dict[str, str] = {}

    def not_active(self, name: str, namespace: str) -> str | None:
        """Return why an existing node does not work yet.

        Returns:
            A sentence; "" if the node is active or not a lifecycle node; None while its answer is pending.
        """
        full = f"{namespace.rstrip('/')}/{name}"
        service = f"{full}/get_state"
        if full == self._node.get_fully_qualified_name() or not self._offers(name, namespace, service):
            return ""
        if full not in self._clients:
            self._clients[full] = self._node.create_client(GetState, service)
            return None
        asked_s, answer = self._asked.get(full, (0.0, None))
        if answer is not None and answer.done():
            self._known[full] = answer.result().current_state.label
            del self._asked[full]
        elif answer is not None and time.monotonic() - asked_s > _PATIENCE_S:
            if time.monotonic() - asked_s > _AGAIN_S:
                self._clients[full].remove_pending_request(answer)
                del self._asked[full]
            return f"{name} does not answer yet: it is busy, for example loading its model"
        if not self._clients[full].service_is_ready():
            return ""
        if full not in self._asked:
            self._asked[full] = time.monotonic(), self._clients[full].call_async(GetState.Request())
        state = self._known.pop(full, None)
        if state is None:
            return None
        return "" if state == "active" else f"{name} is {state}, not active"

    def close(self) -> None:
        """Destroy the clients."""
        for client in self._clients.values():
            self._node.destroy_client(client)
        self._clients.clear()
        self._asked.clear()

    def _offers(self, name: str, namespace: str, service: str) -> bool:
        try:
            there = self._node.get_service_names_and_types_by_node(name, namespace)
        except Exception:  # rclpy raises whatever its C part says of a node that has just gone
            return False
        return any(offered == service for offered, _ in there)
