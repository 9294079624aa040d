"""A lifecycle node that configures and activates itself, and says why where it does not."""

from __future__ import annotations

import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import rclpy
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn

from orpose_ros import parameters
from orpose_ros.input_watch import REMIND_S
from orpose_ros.parameters import parameter


@dataclass(frozen=True)
class StartParameters:
    """What every node of ours has."""

    autostart: bool = parameter(
        True, "Configure and activate without being asked; false leaves it to a manager."
    )


class SelfStartingNode(LifecycleNode):
    """A lifecycle node whose work is in four hooks that may raise ValueError to refuse.

    A subclass declares its parameters in ``__init__`` and overrides :meth:`configure`, :meth:`activate`,
    :meth:`deactivate` and :meth:`clean_up` (which must undo ``configure`` even where that stopped half-way).
    Publishers made with ``create_lifecycle_publisher`` send only while the node is active.
    """

    def __init__(self, name: str, **arguments: Any) -> None:
        super().__init__(name, **arguments)
        self.start_parameters = parameters.declare(self, StartParameters)
        self._said_s: dict[str, float] = {}

    def configure(self) -> None:
        """Create what the node needs: models, publishers, subscriptions. ValueError refuses."""

    def activate(self) -> None:
        """Start working. ValueError refuses."""

    def deactivate(self) -> None:
        """Stop working; what ``configure`` made stays."""

    def clean_up(self) -> None:
        """Destroy all that ``configure`` made."""

    def warn_seldom(self, sentence: str) -> None:
        """Warn, the same thing not more often than every so many seconds."""
        now = time.monotonic()
        if now - self._said_s.get(sentence, -REMIND_S) >= REMIND_S:
            if len(self._said_s) > 20:  # sentences that name changing numbers must not pile up
                self._said_s.clear()
            self._said_s[sentence] = now
            self.get_logger().warning(sentence)

    def start(self) -> bool:
        """Configure and activate; return whether the node is active. The log says why where it is not."""
        done = TransitionCallbackReturn.SUCCESS
        return self.trigger_configure() == done and self.trigger_activate() == done

    def destroy_node(self) -> None:
        """Destroy the node, its state machine included, which rclpy leaves to the garbage collector.

        Until then the node would live on, and a new one of the same name could not log to /rosout.
        """
        super().destroy_node()
        self._state_machine.destroy_when_not_in_use()

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Run :meth:`configure`; undo it where it refuses."""
        for name in parameters.unknown(self):
            self.get_logger().warning(
                f"parameter {name} was given, but {self.get_name()} has no such parameter"
            )
        result = self._guarded("configure", self.configure)
        if result != TransitionCallbackReturn.SUCCESS:
            self._guarded("clean up", self.clean_up)
            return result
        return super().on_configure(state)

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Let the publishers send, then run :meth:`activate`."""
        result = super().on_activate(state)
        if result != TransitionCallbackReturn.SUCCESS:
            return result
        result = self._guarded("activate", self.activate)
        if result != TransitionCallbackReturn.SUCCESS:
            super().on_deactivate(state)
        return result

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Run :meth:`deactivate`, then hold the publishers."""
        result = self._guarded("deactivate", self.deactivate)
        return result if result != TransitionCallbackReturn.SUCCESS else super().on_deactivate(state)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Run :meth:`clean_up`."""
        return self._guarded("clean up", self.clean_up)

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stop and clean up, from whatever state."""
        if state.label == "active":
            self._guarded("deactivate", self.deactivate)
        return self._guarded("clean up", self.clean_up)

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Clean up after an unexpected error, so that the node can be configured again."""
        return self._guarded("clean up", self.clean_up)

    def _guarded(self, doing: str, hook: Callable[[], None]) -> TransitionCallbackReturn:
        # rclpy turns an exception of a transition callback into ERROR and says nothing of it.
        try:
            hook()
        except ValueError as error:
            self.get_logger().error(f"cannot {doing}: {error}")
            return TransitionCallbackReturn.FAILURE
        except Exception:
            self.get_logger().error(f"cannot {doing}:\n{traceback.format_exc()}")
            return TransitionCallbackReturn.ERROR
        return TransitionCallbackReturn.SUCCESS


def run(make_node: Callable[[], SelfStartingNode], args: list[str] | None = None) -> None:
    """Run one node until it is told to stop; exit with status 1 where it cannot start.

    Args:
        make_node: the node's class.
        args: command line, with ``--ros-args``; the process's own where None.
    """
    rclpy.init(args=args)
    node = None
    try:
        node = make_node()
        started = not node.start_parameters.autostart or node.start()
        if started:
            executor = SingleThreadedExecutor()
            executor.add_node(node)
            executor.spin()
    except ValueError as error:
        rclpy.logging.get_logger("orpose_ros").fatal(str(error))
        started = False
    except (KeyboardInterrupt, ExternalShutdownException):
        started = True
    finally:
        if node is not None:
            node.clean_up()
            node.destroy_node()
        rclpy.try_shutdown()
    if not started:
        sys.exit(1)
