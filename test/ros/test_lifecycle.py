"""A lifecycle manager: every transition that it asks for is done or refused, and none ends a node."""

from __future__ import annotations

from typing import Any

import pytest
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState, GetState

from orpose_ros.lowres_gateway import LowresGateway
from orpose_ros.skeleton_markers import SkeletonMarkers


class Manager:
    """Asks for transitions by the services, as a lifecycle manager does."""

    def __init__(self, graph: Any, node: str) -> None:
        self.graph = graph
        self.clients = [
            graph.tester.create_client(kind, f"/{node}/{name}")
            for kind, name in ((ChangeState, "change_state"), (GetState, "get_state"))
        ]
        for client in self.clients:
            graph.until(client.service_is_ready, "the service is there")

    def ask(self, transition: Transition) -> tuple[bool, str]:
        """Return whether it was done, and the state after it."""
        answers = []
        for client, request in zip(
            self.clients, (ChangeState.Request(transition=transition), GetState.Request()), strict=True
        ):
            answer = client.call_async(request)
            self.graph.until(answer.done, "the service answers")
            answers.append(answer.result())
        return answers[0].success, answers[1].current_state.label


@pytest.mark.parametrize("kind", [LowresGateway, SkeletonMarkers])
def test_a_transition_that_the_state_does_not_allow_is_refused(graph: Any, kind: Any) -> None:
    node = graph.make(kind)  # it has started by itself
    manager = Manager(graph, node.get_name())
    for wrong in (
        Transition(id=Transition.TRANSITION_CONFIGURE),
        Transition(id=Transition.TRANSITION_CLEANUP),
        Transition(id=99),
        Transition(label="activate"),
        Transition(label="nonsense"),
    ):
        assert manager.ask(wrong) == (False, "active")
    assert graph.said(f"transition {Transition.TRANSITION_CONFIGURE} refused")
    for right, state in (
        (Transition.TRANSITION_DEACTIVATE, "inactive"),
        (Transition.TRANSITION_CLEANUP, "unconfigured"),
        (Transition.TRANSITION_CONFIGURE, "inactive"),
        (Transition.TRANSITION_ACTIVATE, "active"),
        (Transition.TRANSITION_ACTIVE_SHUTDOWN, "finalized"),
    ):
        assert manager.ask(Transition(id=right)) == (True, state)
    assert manager.ask(Transition(id=Transition.TRANSITION_CONFIGURE)) == (False, "finalized")
