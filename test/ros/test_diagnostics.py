"""Diagnostics that tell the truth: rates over wall time, levels by thresholds, what keeps a node busy."""

from __future__ import annotations

import time
from typing import Any

import pytest
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus

from orpose_ros.lowres_gateway import LowresGateway
from orpose_ros.running import diagnostics, peer_states
from orpose_ros.running.diagnostics import NodeDiagnostics
from orpose_ros.running.peer_states import PeerStates
from orpose_ros.skeleton_markers import SkeletonMarkers

OK, WARN, ERROR = DiagnosticStatus.OK, DiagnosticStatus.WARN, DiagnosticStatus.ERROR


class Clock:
    """Time that passes when it is told to."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def monotonic(self) -> float:
        return self.now_s


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(diagnostics, "time", made)
    return made


@pytest.fixture
def counted(graph: Any, clock: Clock) -> NodeDiagnostics:
    made = NodeDiagnostics(graph.tester, "cpu")
    clock.now_s += 100
    return made


def values(status: DiagnosticStatus) -> dict[str, str]:
    return {pair.key: pair.value for pair in status.values}


def test_rates_are_over_wall_time(counted: NodeDiagnostics, clock: Clock) -> None:
    for _ in range(3):
        clock.now_s += 7.0
        counted.frame(0.01)
        clock.now_s += 0.005
        counted.frame(0.01)
    # Between the newest two lie 5 ms: 200 Hz would be what they alone tell.
    assert values(counted.status())["rate (Hz)"] == "0.40"
    clock.now_s += 60
    status = counted.status()
    assert values(status)["rate (Hz)"] == "0.00" and values(status)["frames"] == "6"
    assert status.message == "waiting for images"


@pytest.mark.parametrize(
    ("served", "dropped", "refused", "latency_s", "level", "words"),
    [
        (20, 0, 0, 0.01, OK, "running"),
        (0, 0, 65, 0.0, ERROR, "65 of 65 frames refused"),
        (64, 0, 1, 0.01, WARN, "1 of 65 frames refused"),
        (8, 92, 0, 4.5, ERROR, "92 of 100 frames dropped"),
        (80, 20, 0, 0.01, WARN, "20 of 100 frames dropped"),
        (20, 0, 0, 4.5, ERROR, "median latency 4.50 s"),
        (20, 0, 0, 0.7, WARN, "median latency 0.70 s"),
    ],
)
def test_the_level_follows_the_thresholds_and_faults_that_passed_are_forgotten(
    counted: NodeDiagnostics,
    clock: Clock,
    served: int,
    dropped: int,
    refused: int,
    latency_s: float,
    level: bytes,
    words: str,
) -> None:
    for _ in range(served):
        counted.frame(latency_s)
    counted.drop(dropped)
    counted.refuse(refused)
    status = counted.status()
    assert status.level == level and words in status.message
    clock.now_s += 11
    counted.frame(0.01)
    assert counted.status().level == OK
    assert counted.counts()["refused"] == refused


def test_what_keeps_a_node_busy_is_said_although_its_executor_stands_still(graph: Any) -> None:
    heard = graph.collect(DiagnosticArray, "/diagnostics", 10)
    counted = NodeDiagnostics(graph.tester)
    graph.until(lambda: graph.tester.count_subscribers("/diagnostics"), "it is connected")
    graph.spin(0.5)
    with counted.busy("loading the model"):
        time.sleep(0.3)  # nobody spins
    graph.until(lambda: any("loading the model" in m.status[0].message for m in heard), "it was said")
    assert counted.status().message == "waiting for images"


def test_an_input_whose_publisher_is_not_active_is_no_complaint(graph: Any) -> None:
    gateway = graph.make(LowresGateway, start=False)
    assert gateway.trigger_configure().name == "SUCCESS"
    from sensor_msgs.msg import Image

    from orpose_ros.running.input_watch import InputWatch

    watch = InputWatch(graph.tester, 0.5)
    watch.subscribe(Image, "lowres/depth/image_raw", lambda message: None)
    said = graph.until(lambda: graph.said("lowres_gateway is inactive, not active"), "it says why")
    assert "nothing for 0.5 s" in said[0]
    levels = {log.level for log in graph.logs if "is inactive" in log.msg}
    assert levels == {20}, "to start up is no fault"
    gateway.trigger_activate()
    watch.was_busy()
    graph.until(lambda: graph.said("QoS fits, but nothing of theirs arrives"), "an active one is one")
    watch.close()


def test_a_peer_that_was_restarted_is_asked_again(graph: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peer_states, "_AGAIN_S", 1.5)
    peers = PeerStates(graph.tester)
    first = LowresGateway()  # nobody spins it, as if it loaded a model

    def answer() -> str:
        return peers.not_active("lowres_gateway", "/") or ""

    graph.until(lambda: "does not answer yet" in answer(), "it was asked")
    first.destroy_node()
    graph.make(LowresGateway, start=False)
    graph.until(lambda: "is unconfigured, not active" in answer(), "the new one answers")
    peers.close()


def test_markers_have_diagnostics(graph: Any) -> None:
    heard = graph.collect(DiagnosticArray, "/diagnostics", 10)
    graph.make(SkeletonMarkers, silence_s=0.5)
    graph.until(
        lambda: [s for m in heard for s in m.status if "skeletons_3d: nobody publishes" in s.message],
        "the silence is a problem",
    )
