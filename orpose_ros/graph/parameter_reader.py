"""Asynchronous, read-only access to the parameters of other nodes."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Any

from rcl_interfaces.srv import GetParameters, ListParameters
from rclpy.node import Node
from rclpy.parameter import parameter_value_to_python

_AGAIN_S = 10.0
"""Time after which a request without a response is repeated, s."""


class ParameterReader:
    """Requests all parameters of nodes.

    Args:
        node: the node that sends the requests.
        tell: called with the full name of a node and its parameters by name.
    """

    def __init__(self, node: Node, tell: Callable[[str, dict[str, Any]], None]) -> None:
        self._node, self._tell = node, tell
        self._clients: dict[str, tuple[Any, Any]] = {}
        self._asked_s: dict[str, float] = {}

    def ask(self, name: str) -> None:
        """Request the parameters of a node, unless a request is pending or it offers none yet."""
        now_s = time.monotonic()
        if now_s - self._asked_s.get(name, -_AGAIN_S) < _AGAIN_S:
            return
        if name not in self._clients:
            self._clients[name] = (
                self._node.create_client(ListParameters, f"{name}/list_parameters"),
                self._node.create_client(GetParameters, f"{name}/get_parameters"),
            )
        lister, getter = self._clients[name]
        if not (lister.service_is_ready() and getter.service_is_ready()):
            return
        self._asked_s[name] = now_s
        lister.call_async(ListParameters.Request()).add_done_callback(partial(self._get, name, getter))

    def forget(self, name: str) -> None:
        """Destroy the clients of a node that has ended."""
        self._asked_s.pop(name, None)
        for client in self._clients.pop(name, ()):
            self._node.destroy_client(client)

    def close(self) -> None:
        """Destroy all clients."""
        for name in list(self._clients):
            self.forget(name)

    def _get(self, name: str, getter: Any, listed: Any) -> None:
        if name in self._clients and listed.result() is not None:
            names = list(listed.result().result.names)
            answer = getter.call_async(GetParameters.Request(names=names))
            answer.add_done_callback(partial(self._take, name, names))

    def _take(self, name: str, names: list[str], answer: Any) -> None:
        if name in self._clients and answer.result() is not None:
            values = map(parameter_value_to_python, answer.result().values)
            self._tell(name, dict(zip(names, values, strict=False)))
