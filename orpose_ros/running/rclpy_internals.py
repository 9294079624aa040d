"""What rclpy (Jazzy, Kilted) keeps to itself and the nodes need, in one place."""

from __future__ import annotations

import gc
from typing import Any

import rclpy
from rclpy.lifecycle import LifecycleNode
from rclpy.node import Node


def given_parameters(node: Node) -> dict[str, Any]:
    """Return the values given to ``node`` on the command line, in files and by its maker, by name.

    rclpy offers only those that were declared; names that nobody declared are what a user misspelled.
    """
    return {name: given.value for name, given in getattr(node, "_parameter_overrides", {}).items()}


def destroy_state_machine(node: LifecycleNode) -> None:
    """Destroy the state machine of a lifecycle node, which ``destroy_node`` leaves to the garbage collector.

    Until then the node lives on in the graph, and a new one of the same name cannot log to /rosout.
    """
    machine = getattr(node, "_state_machine", None)
    if machine is not None:
        machine.destroy_when_not_in_use()


def end_rclpy() -> None:
    """Shut rclpy down and leave the graph now, not only when Python destroys its objects.

    rcl holds the DDS participant until the last object of the context is gone. A process that ends before
    that stays in the graph of the others until its lease runs out.
    """
    context = rclpy.get_default_context()
    rclpy.try_shutdown()
    context.destroy()
    gc.collect()
