"""A lifecycle node that configures and activates itself."""

from __future__ import annotations

import sys
import threading
import time
import traceback
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol, TypeVar

import rclpy
from rclpy.clock import Clock, ClockType
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.lifecycle import LifecycleNode, LifecyclePublisher, LifecycleState, TransitionCallbackReturn
from rclpy.node import Node
from rclpy.qos import QoSProfile
from rclpy.signals import SignalHandlerOptions

from orpose_ros import stopping
from orpose_ros.parameters import declaring as parameters
from orpose_ros.parameters.declaring import parameter
from orpose_ros.running.input_watch import REMIND_S
from orpose_ros.running.rclpy_internals import (
    destroy_state_machine,
    end_rclpy,
    is_active,
    refuse_wrong_transitions,
)

_LOOK_S = 0.1
"""Interval at which the executor checks whether it must stop, s."""

_Node = TypeVar("_Node", bound=Node)


class _Part(Protocol):
    def close(self) -> None: ...


_PartType = TypeVar("_PartType", bound=_Part)


@dataclass(frozen=True)
class StartParameters:
    """Parameters of every node."""

    autostart: bool = parameter(
        True, "Configure and activate automatically; false leaves this to a lifecycle manager."
    )


class SelfStartingNode(LifecycleNode):
    """A lifecycle node with four hooks that may raise ValueError to refuse a transition.

    A subclass declares its parameters in ``__init__`` and overrides :meth:`configure`, :meth:`activate`,
    :meth:`deactivate` and :meth:`clean_up`, which must also undo an incomplete ``configure``. What
    ``configure`` creates with :meth:`own`, :meth:`own_publisher` and :meth:`own_timer`, or registers with
    :meth:`at_clean_up`, is destroyed by :meth:`clean_up`: the last one first, and each even if the
    destruction of another one raises.
    """

    def __init__(self, name: str, **arguments: Any) -> None:
        super().__init__(name, **arguments)
        refuse_wrong_transitions(self)
        self.start_parameters = parameters.declare(self, StartParameters)
        self._said_s: dict[str, float] = {}
        self._owned = ExitStack()

    def at_clean_up(self, destroy: Callable[..., object], *arguments: Any) -> None:
        """Call ``destroy`` with ``arguments`` when the node is cleaned up."""
        self._owned.callback(destroy, *arguments)

    def own(self, part: _PartType) -> _PartType:
        """Return a part of the node, which is closed when the node is cleaned up."""
        self.at_clean_up(part.close)
        return part

    def own_publisher(self, kind: type, topic: str, qos: QoSProfile, **options: Any) -> LifecyclePublisher:
        """Return a new publisher, which publishes only while the node is active.

        Args:
            kind: type of the messages.
            topic: name of the topic.
            qos: profile, which rclpy changes if parameters override it: one for each publisher.
            options: arguments of ``create_lifecycle_publisher``.
        """
        publisher = self.create_lifecycle_publisher(kind, topic, qos, **options)
        self.at_clean_up(self.destroy_lifecycle_publisher, publisher)
        return publisher

    def own_timer(self, period_s: float, callback: Callable[[], None]) -> None:
        """Call ``callback`` every ``period_s`` of the steady clock, whatever the time of the node is."""
        timer = self.create_timer(period_s, callback, clock=Clock(clock_type=ClockType.STEADY_TIME))
        self.at_clean_up(self.destroy_timer, timer)

    def configure(self) -> None:
        """Create models, publishers and subscriptions; a ValueError refuses the transition."""

    def activate(self) -> None:
        """Start working; a ValueError refuses the transition."""

    def deactivate(self) -> None:
        """Stop working; everything that ``configure`` created is kept."""

    def clean_up(self) -> None:
        """Destroy everything that ``configure`` created. A subclass forgets what it has of that."""
        self._owned.close()

    def warn_seldom(self, sentence: str) -> None:
        """Log a warning; repeat the same one only after some seconds."""
        now = time.monotonic()
        if now - self._said_s.get(sentence, -REMIND_S) >= REMIND_S:
            if len(self._said_s) > 20:  # sentences that name changing numbers must not pile up
                self._said_s.clear()
            self._said_s[sentence] = now
            self.get_logger().warning(sentence)

    def start(self) -> bool:
        """Configure and activate; return whether the node is active. The log contains the reason if not."""
        done = TransitionCallbackReturn.SUCCESS
        return self.trigger_configure() == done and self.trigger_activate() == done

    def destroy_node(self) -> None:
        """Destroy the node, including its state machine."""
        super().destroy_node()
        destroy_state_machine(self)

    def stop(self) -> None:
        """Stop the node for good; work that takes longer than :data:`stopping.GRACE_S` is abandoned.

        An active node is deactivated first, so that nobody is shown or tracked by others for good.
        """
        if rclpy.ok(context=self.context) and is_active(self):
            self._guarded("deactivate", self.deactivate)
        self.clean_up()

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Run :meth:`configure`; undo it if it refuses."""
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
        """Activate the publishers, then run :meth:`activate`."""
        result = super().on_activate(state)
        if result != TransitionCallbackReturn.SUCCESS:
            return result
        result = self._guarded("activate", self.activate)
        if result != TransitionCallbackReturn.SUCCESS:
            super().on_deactivate(state)
        return result

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Run :meth:`deactivate`, then deactivate the publishers."""
        result = self._guarded("deactivate", self.deactivate)
        return result if result != TransitionCallbackReturn.SUCCESS else super().on_deactivate(state)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Run :meth:`clean_up`."""
        return self._guarded("clean up", self.clean_up)

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stop and clean up, from any state."""
        if state.label == "active":
            self._guarded("deactivate", self.deactivate)
        return self._guarded("clean up", self.clean_up)

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Clean up after an unexpected error, so that the node can be configured again."""
        return self._guarded("clean up", self.clean_up)

    def _guarded(self, doing: str, hook: Callable[[], None]) -> TransitionCallbackReturn:
        # rclpy turns an exception in a transition callback into ERROR without logging it.
        try:
            hook()
        except ValueError as error:
            self.get_logger().error(f"cannot {doing}: {error}")
            return TransitionCallbackReturn.FAILURE
        except Exception:
            self.get_logger().error(f"cannot {doing}:\n{traceback.format_exc()}")
            return TransitionCallbackReturn.ERROR
        return TransitionCallbackReturn.SUCCESS


def _start_unless_managed(node: SelfStartingNode) -> bool:
    """Start a node unless a lifecycle manager is to do so; return False if it refused to start."""
    return not node.start_parameters.autostart or node.start()


def run(make_node: Callable[[], SelfStartingNode], args: list[str] | None = None) -> None:
    """Run a lifecycle node until the process is told to stop; see :func:`run_node`."""
    run_node(
        make_node,
        args,
        start=_start_unless_managed,
        is_finished=lambda node: False,
        stop=SelfStartingNode.stop,
    )


def run_node(
    make_node: Callable[[], _Node],
    args: list[str] | None,
    *,
    start: Callable[[_Node], bool],
    is_finished: Callable[[_Node], bool],
    stop: Callable[[_Node], object],
    has_failed: Callable[[_Node], bool] = lambda node: False,
) -> None:
    """Run one node until it has finished or the process is told to stop; exit with 1 if it fails.

    Args:
        make_node: returns the node. A ValueError is logged and ends the process with status 1.
        args: command line, with ``--ros-args``. None = that of the process, which then ends without Python's
            teardown. Otherwise SystemExit ends it.
        start: starts the node and returns whether it works.
        is_finished: returns whether the node has nothing left to do.
        stop: stops the node, before it is destroyed.
        has_failed: returns whether a node that has finished did not do its work.
    """
    status = stopping.work(partial(_live, make_node, args, start, is_finished, stop, has_failed))
    if args is None:
        stopping.leave(status)
    sys.exit(status)


def _live(
    make_node: Callable[[], _Node],
    args: list[str] | None,
    start: Callable[[_Node], bool],
    is_finished: Callable[[_Node], bool],
    stop: Callable[[_Node], object],
    has_failed: Callable[[_Node], bool],
    told: threading.Event,
) -> int:
    """Make a node, start it and spin until it has finished or ``told`` is set; return the exit status."""
    rclpy.init(args=args, signal_handler_options=SignalHandlerOptions.NO)
    node = None
    try:
        node = make_node()
        if not start(node):
            return 0 if told.is_set() else 1
        executor = SingleThreadedExecutor()
        executor.add_node(node)
        while rclpy.ok() and not (told.is_set() or is_finished(node)):
            executor.spin_once(timeout_sec=_LOOK_S)
        if has_failed(node) and not told.is_set():
            return 1
    except ValueError as error:
        rclpy.logging.get_logger("orpose_ros").fatal(str(error))
        return 1
    except ExternalShutdownException:
        pass
    finally:
        with ExitStack() as ends:  # each, also if one before it raises
            ends.callback(end_rclpy)
            if node is not None:
                ends.callback(node.destroy_node)
                ends.callback(stop, node)
    return 0
