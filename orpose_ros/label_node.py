"""The label node: color images of one or several cameras in, the files of `orpose label` out.

A teacher labels images from live topics or a replay. A callback only stores the message; a worker pairs
color, depth and camera_info, and labels full batches. Full-resolution images stay in memory. Only labels and,
on request, images no larger than ``low_resolution`` are stored; no images are published.

    [camera/]color/image_raw (or .../compressed), depth/image_raw (or .../compressedDepth), camera_info
        -> files in the folder ``out``
    ~/taken (std_msgs/Header, latched): stamp and topic of each message that is safely stored, for a replay
    ~/finish (std_srvs/Trigger): label all waiting messages and write labels.json, report.json and the contact
        sheet. Until that is done, the response is no success and begins with "still labeling": call again

When told to stop, the node finishes the current batch, writes the files and ends; waiting messages are not
labelled. If there is no time for the files, the next start or its ``~/finish`` writes them, because every
label is in the journal.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NotYet
from copy import copy
from functools import partial
from pathlib import Path
from typing import Any

import rclpy
from rclpy.lifecycle import LifecyclePublisher
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CameraInfo
from std_msgs.msg import Header
from std_srvs.srv import Trigger

from orpose_core.data.recordings.bags import discover_cameras
from orpose_core.data.recordings.camera_streams import CameraTopics
from orpose_core.labelling.results import LabelSummary
from orpose_core.labelling.session import Heard, LabelSession
from orpose_core.teacher.teacher import Teacher
from orpose_ros import conversions
from orpose_ros.parameters import declaring as parameters
from orpose_ros.parameters.label import LabelParameters
from orpose_ros.running.diagnostics import NodeDiagnostics
from orpose_ros.running.input_watch import InputWatch, overridable_qos
from orpose_ros.running.lifecycle import SelfStartingNode, run
from orpose_ros.streams.backlog import Backlog, Request
from orpose_ros.streams.image_inputs import compile_decoders, image_topic, subscribe_images
from orpose_ros.streams.replay_pace import STILL_LABELLING, TAKEN

_INPUT = QoSProfile(depth=10, reliability=ReliabilityPolicy.BEST_EFFORT)
_IDLE_PERIOD_S = 0.5
_ANSWER_S = 0.5
"""Longest time for which ~/finish blocks the executor, s."""

_DEACTIVATE_S = 30.0
"""Longest time for which a deactivation labels waiting messages, s; the rest is discarded."""

_MOST_ARRIVALS = 1000


class LabelNode(SelfStartingNode):
    """Labels images and writes the files; see the module."""

    def __init__(self, **arguments: Any) -> None:
        super().__init__("label_node", **arguments)
        self.parameters = parameters.declare(self, LabelParameters)
        self.teacher: Teacher | None = None
        self.session: LabelSession | None = None
        self.watch: InputWatch | None = None
        self.diagnostics: NodeDiagnostics | None = None
        self.backlog = Backlog(self.parameters.queue, self._accepted, self._dropped)
        self._cameras: list[CameraTopics] = []
        self._taken: LifecyclePublisher | None = None
        self._worker: threading.Thread | None = None
        self._asked: Future[LabelSummary] | None = None  # by ~/finish, not answered yet
        self._arrived_s: dict[tuple[str, int], float] = {}  # the worker's
        self._heard_s: float | None = None  # when something came that is not written yet
        self._problem = ""

    def configure(self) -> None:
        """Load the teacher, open the folder, subscribe."""
        settings = self.parameters
        if settings.privacy_problem:
            self.get_logger().warning(f"PRIVACY: {settings.privacy_problem}")
        self.diagnostics = self.own(NodeDiagnostics(self, settings.device, self._values, self._problems))
        with self.diagnostics.busy("loading the teacher"):
            self.get_logger().info("loading the teacher")
            self.teacher = settings.make_teacher()
            compile_decoders(settings)
        self._announce(self.teacher)
        self._cameras = [self._topics_of(namespace) for namespace in settings.cameras]
        self.session = self.own(
            LabelSession(
                settings.recording,
                self._cameras,
                self.teacher,
                Path(settings.out).expanduser(),
                settings.options,
                most_waiting=settings.queue,
                most_pixels=settings.max_input_pixels,
                skipped=self._skipped,
            )
        )
        if self.session.frames:
            self.get_logger().info(f"{self.session.frames} frames are labeled already; going on")
        self._taken = self.own_publisher(
            Header, "~/taken", copy(TAKEN), qos_overriding_options=overridable_qos()
        )
        self.watch = self.own(InputWatch(self, settings.silence_s))
        for namespace in settings.cameras:
            self._subscribe(namespace)
        self.own_timer(_IDLE_PERIOD_S, self._look)
        self.at_clean_up(self.destroy_service, self.create_service(Trigger, "~/finish", self._finish))

    def activate(self) -> None:
        """Start labelling, and notify a waiting replay."""
        self.backlog.open()
        if self.session is not None and self.session.frames:
            self._heard_s = time.monotonic()  # a session that was killed may lack its files
        self._worker = threading.Thread(target=self._work, name="label", daemon=True)
        self._worker.start()
        self._accepted("", 0)

    def deactivate(self) -> None:
        """Label waiting messages for a limited time, and write the files."""
        self._end_worker(_DEACTIVATE_S)

    def stop(self) -> None:
        """Finish the current batch, write the files and clean up; waiting messages are not labelled."""
        self._end_worker(0.0)
        self.clean_up()

    def _end_worker(self, patience_s: float) -> None:
        worker, self._worker = self._worker, None
        if worker is None:
            return
        if patience_s:
            self.backlog.ask(close=True)
            worker.join(patience_s)
        if worker.is_alive():
            left = self.backlog.discard()
            if not patience_s:
                self.backlog.ask(close=True)
            if left:
                self.get_logger().warning(f"{left} messages that waited are not labeled")
            worker.join()

    def clean_up(self) -> None:
        """Finish, and destroy all that :meth:`configure` made."""
        self.deactivate()
        super().clean_up()
        self._cameras = []
        self.teacher = self.session = self.watch = self.diagnostics = self._taken = None

    def _announce(self, teacher: Teacher) -> None:
        """Log the teacher, with a warning if it is not trained."""
        self.get_logger().info(f"teacher {teacher.fingerprint[:12]}")
        if not teacher.trained:
            self.get_logger().warning("UNTRAINED TEACHER: it has random weights, the labels mean nothing")

    def _topics_of(self, namespace: str) -> CameraTopics:
        settings, resolve = self.parameters, self.resolve_topic_name
        color = resolve(image_topic(settings, "color", namespace))
        found = discover_cameras([(color, "sensor_msgs/msg/Image")], "color")
        camera = found[0].name if found else color  # as `orpose label` names it
        depth = resolve(image_topic(settings, "depth", namespace)) if settings.depth else None
        return CameraTopics(camera, color, depth, resolve(_camera_info_topic(namespace)))

    def _subscribe(self, namespace: str) -> None:
        assert self.watch is not None and self.diagnostics is not None
        settings = self.parameters
        for stream in ("color", "depth") if settings.depth else ("color",):
            take = partial(self._take, self.resolve_topic_name(image_topic(settings, stream, namespace)))
            missed = self.diagnostics.drop if stream == "color" else None
            subscribe_images(self.watch, settings, stream, take, namespace, qos=_INPUT, missed=missed)
        topic = _camera_info_topic(namespace)
        self.watch.subscribe(CameraInfo, topic, partial(self._take, self.resolve_topic_name(topic)), _INPUT)

    def _take(self, topic: str, message: Any) -> None:
        """Store one message; a ValueError refuses it."""
        stamp_ns = conversions.stamp_ns(message.header)
        if stamp_ns <= 0:
            self._refused()
            self._accepted(topic, stamp_ns)
            raise ValueError("expected a stamp, by which frames are known, got 0")
        self._heard_s = time.monotonic()
        self.backlog.put(topic, stamp_ns, message)

    def _finish(self, request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        """Answer ~/finish after a short time: the files are written, or labelling is still in progress."""
        if self._worker is None or self.watch is None:
            response.message = "not active"
            return response
        if self._asked is None:
            self._asked = self.backlog.ask()
        try:
            summary = self._asked.result(timeout=_ANSWER_S)
            self._asked = None
        except NotYet:
            response.message = f"{STILL_LABELLING}: {self.backlog.waiting} messages wait; ask again"
            return response
        except Exception as error:  # whatever kept the worker from writing; it has said so
            self._asked = None
            response.message = f"{type(error).__name__}: {error}"
            return response
        finally:
            self.watch.was_busy()
        response.success = True
        response.message = f"{summary.images} of {summary.frames} frames, {summary.people} people"
        return response

    def _look(self) -> None:
        """Write the files when no message has arrived for a while."""
        idle_s, heard_s = self.parameters.finish_idle_s, self._heard_s
        if not idle_s or heard_s is None or self._worker is None or self.backlog.waiting:
            return
        if time.monotonic() - heard_s > idle_s:
            self._heard_s = None
            self.backlog.ask()

    # Below: the worker's thread.

    def _work(self) -> None:
        """Label until a request arrives, write the files and answer it; repeat until the queue is closed."""
        assert self.session is not None
        while True:
            asked: list[Request] = []
            while not asked:
                self._label_until(asked)
            self._answer(asked[0])
            if asked[0].last:
                return

    def _label_until(self, asked: list[Request]) -> None:
        assert self.session is not None
        try:
            for batch in self.session.run(self._events(asked)):
                self._count(batch)
        except Exception as error:  # a full disk, say; one bad batch must not end the node
            self._failed(error)

    def _events(self, asked: list[Request]) -> Iterator[Heard]:
        colors = {camera.color for camera in self._cameras}
        for waiting in self.backlog.until_asked(asked):
            if waiting.topic in colors and waiting.message is not None:
                if len(self._arrived_s) >= _MOST_ARRIVALS:  # of frames that the options leave out
                    self._arrived_s.clear()
                self._arrived_s[waiting.topic, waiting.stamp_ns] = waiting.at_s
            yield Heard(waiting.topic, waiting.stamp_ns, waiting.message)

    def _count(self, batch: list[Any]) -> None:
        assert self.diagnostics is not None  # lives as long as the worker runs
        now, colors = time.monotonic(), {camera.name: camera.color for camera in self._cameras}
        for recorded in batch:
            at_s = self._arrived_s.pop((colors[recorded.camera] or "", recorded.frame.stamp_ns), now)
            self.diagnostics.frame(now - at_s)

    def _answer(self, request: Request) -> None:
        assert self.session is not None
        new = not self.session.is_written
        try:
            summary = self.session.write()
        except Exception as error:  # a full disk, or not one frame
            self._problem = str(error)
            self.warn_seldom(self._problem)
            request.answer.set_exception(error)
            return
        self._problem = ""
        missed = sum(count for kinds in self.session.missed.values() for count in kinds.values())
        if new:
            found = f"{summary.images} of {summary.frames} frames, {summary.people} people"
            self.get_logger().info(f"written: {found}; {missed} missed")
        request.answer.set_result(summary)

    # Of both threads.

    def _accepted(self, topic: str, stamp_ns: int) -> None:
        if self._taken is not None and rclpy.ok(context=self.context):
            self._taken.publish(Header(stamp=conversions.stamp_of(stamp_ns), frame_id=topic))

    def _dropped(self, topic: str) -> None:
        if self.diagnostics is not None and topic in {camera.color for camera in self._cameras}:
            self.diagnostics.drop()

    def _skipped(self, source: str, why: str) -> None:
        self._refused()
        self.warn_seldom(f"{source}: left out: {why}")

    def _refused(self) -> None:
        if self.diagnostics is not None:
            self.diagnostics.refuse()

    def _failed(self, error: Exception) -> None:
        self._refused()
        self.warn_seldom(f"frames lost: {type(error).__name__}: {error}")

    def _values(self) -> dict[str, object]:
        if self.session is None or self.teacher is None:
            return {}
        return {
            "teacher": self.teacher.fingerprint[:12],
            "trained": self.teacher.trained,
            "labeled, earlier sessions included": self.session.frames,
            "never came": self.session.never_came,
            "waiting": self.backlog.waiting,
            "limit (px)": self.parameters.max_pixels,
        }

    def _problems(self) -> list[str]:
        if self.watch is None or self.teacher is None:
            return []
        problems = [] if self.teacher.trained else ["untrained teacher: the labels mean nothing"]
        problems += [self.parameters.privacy_problem] if self.parameters.privacy_problem else []
        problems += self.watch.problems
        return problems + ([self._problem] if self._problem else [])


def _camera_info_topic(namespace: str) -> str:
    return f"{namespace}/camera_info" if namespace else "camera_info"


def main(args: list[str] | None = None) -> None:
    """Run the label node."""
    run(LabelNode, args)


if __name__ == "__main__":
    main()
