"""All uses of private parts of rclpy (Jazzy, Kilted), in one place."""

from __future__ import annotations

import gc
from typing import Any

import rclpy
from rclpy.impl.implementation_singleton import rclpy_implementation
from rclpy.lifecycle import LifecycleNode
from rclpy.node import Node

RCLError = rclpy_implementation.RCLError


def given_parameters(node: Node) -> dict[str, Any]:
    """Return the values given to ``node`` on the command line, in files and by its creator, by name.

    rclpy provides only declared parameters; names that were not declared are misspelled.
    """
    return {name: given.value for name, given in getattr(node, "_parameter_overrides", {}).items()}


def is_active(node: LifecycleNode) -> bool:
    """Return whether a lifecycle node is in the state ``active``."""
    return bool(node._state_machine.current_state[1] == "active")


def destroy_state_machine(node: LifecycleNode) -> None:
    """Destroy the state machine of a lifecycle node, which ``destroy_node`` leaves to the garbage collector.

    Until then the node remains in the graph, and a new one of the same name cannot log to /rosout.
    """
    machine = getattr(node, "_state_machine", None)
    if machine is not None:
        machine.destroy_when_not_in_use()


def refuse_wrong_transitions(node: LifecycleNode) -> None:
    """Make the service ``~/change_state`` answer a transition that the state does not allow with no success.

    rclpy raises an error instead, which ends the executor and with it the process.
    """
    service = node._service_change_state
    change = service.callback

    def guarded(request: Any, response: Any) -> Any:
        try:
            return change(request, response)
        except RCLError as error:
            asked = request.transition.label or request.transition.id
            node.get_logger().warning(f"transition {asked} refused: {str(error).split(', at ')[0]}")
            response.success = False
            return response

    service.callback = guarded


def end_rclpy() -> None:
    """Shut rclpy down and leave the graph immediately, not only when Python destroys its objects.

    rcl keeps the DDS participant until the last object of the context is destroyed. A process that ends
    before that remains in the graph of other processes until its lease expires.
    """
    context = rclpy.get_default_context()
    rclpy.try_shutdown()
    context.destroy()
    gc.collect()
