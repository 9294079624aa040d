"""Skeletons in the messages of other packages; packages that are not installed are left out.

[camera/]skeletons_2d, [camera/]skeletons_3d, room/skeletons_3d
-> hri_msgs (REP 155): /humans/bodies/tracked, /humans/bodies/ID/roi, /humans/bodies/ID/skeleton2d
-> vision_msgs: [camera/]detections_2d, [camera/]detections_3d, room/detections_3d
-> foxglove_msgs: [camera/]annotations
"""

from __future__ import annotations

import importlib
import time
from collections.abc import Mapping
from copy import copy
from functools import partial
from typing import Any

from rclpy.qos import QoSProfile
from std_msgs.msg import Header

from orpose_core.data.skeleton_messages import from_skeletons
from orpose_core.skeleton import by_name
from orpose_core.types import Poses
from orpose_ros.bridges.people import ImagePeople, space_people
from orpose_ros.msg import Skeleton2DArray, Skeleton3DArray
from orpose_ros.parameters import declaring as parameters
from orpose_ros.parameters.bridge import BridgeParameters
from orpose_ros.running.diagnostics import NodeDiagnostics
from orpose_ros.running.input_watch import InputWatch, overridable_qos
from orpose_ros.running.lifecycle import SelfStartingNode, run

RELIABLE = QoSProfile(depth=10)
PACKAGES = {"hri": "hri_msgs", "vision": "vision_msgs", "foxglove": "foxglove_msgs"}
GONE_S = 2.0
"""Time after which a body that was not seen, or whose camera was silent, is no longer tracked, s."""


class BridgeNode(SelfStartingNode):
    """Converts skeletons to the messages of other packages; see the module."""

    def __init__(self, **arguments: Any) -> None:
        super().__init__("bridge_node", **arguments)
        self.parameters = parameters.declare(self, BridgeParameters)
        self.watch: InputWatch | None = None
        self.diagnostics: NodeDiagnostics | None = None
        self._active = False
        self._formats: dict[str, Any] = {}
        self._outputs: dict[str, Any] = {}
        self._bodies: dict[str, dict[str, float]] = {}  # of each camera: ids, and when seen (steady clock)

    def configure(self) -> None:
        """Find the installed packages, create publishers, subscribe."""
        settings = self.parameters
        self._formats = {name: module for name in settings.formats if (module := self._bridge(name))}
        if not self._formats:
            self.get_logger().warning(f"{self._nothing}: nothing is published")
        self.watch = self.own(InputWatch(self, settings.silence_s))
        self.diagnostics = self.own(
            NodeDiagnostics(self, "cpu", values=self._values, problems=self._problems, served="skeletons")
        )
        for namespace in settings.cameras:
            self._connect(namespace)
        if settings.room and "vision" in self._formats:
            self._publisher(self._formats["vision"].Detection3DArray, f"{settings.room}/detections_3d")
            take = partial(self._take_space, settings.room)
            self.watch.subscribe(Skeleton3DArray, f"{settings.room}/skeletons_3d", take, RELIABLE)
        if "hri" in self._formats:
            self._publisher(self._formats["hri"].IdsList, f"{self._formats['hri'].BODIES}/tracked")
            self.own_timer(GONE_S / 2, self._forget_silent)

    def _bridge(self, name: str) -> Any:
        """Return the module of a format; None if its package is not installed."""
        try:
            module = importlib.import_module(f"orpose_ros.bridges.{name}")
        except ImportError as error:
            self.get_logger().info(
                f"{PACKAGES[name]} is not installed, so nothing is published in it ({error})"
            )
            return None
        self.get_logger().info(f"publishing {PACKAGES[name]}")
        return module

    def _connect(self, namespace: str) -> None:
        assert self.watch is not None
        prefix = f"{namespace}/" if namespace else ""
        if "vision" in self._formats:
            self._publisher(self._formats["vision"].Detection2DArray, f"{prefix}detections_2d")
            self._publisher(self._formats["vision"].Detection3DArray, f"{prefix}detections_3d")
            space = partial(self._take_space, namespace)
            self.watch.subscribe(Skeleton3DArray, f"{prefix}skeletons_3d", space, RELIABLE, required=False)
        if "foxglove" in self._formats:
            self._publisher(self._formats["foxglove"].ImageAnnotations, f"{prefix}annotations")
        flat = partial(self._take_flat, namespace)
        self.watch.subscribe(Skeleton2DArray, f"{prefix}skeletons_2d", flat, RELIABLE)

    def _publisher(self, kind: type, topic: str) -> Any:
        made = self.create_lifecycle_publisher(
            kind, topic, copy(RELIABLE), qos_overriding_options=overridable_qos()
        )
        self._outputs[topic] = made
        return made

    def activate(self) -> None:
        """Start converting."""
        self._active = True

    def deactivate(self) -> None:
        """Stop, and publish that nobody is tracked."""
        self._bodies.clear()
        self._announce(Header(stamp=self.get_clock().now().to_msg()))
        if "hri" in self._formats:
            self._forget_publishers()
        self._active = False

    def clean_up(self) -> None:
        """Destroy all that :meth:`configure` made."""
        self._active = False
        super().clean_up()
        for publisher in self._outputs.values():  # not owned: they come and go with the people
            self.destroy_lifecycle_publisher(publisher)
        self.watch = self.diagnostics = None
        self._outputs.clear()
        self._formats.clear()
        self._bodies.clear()

    def _values(self) -> Mapping[str, object]:
        return {
            "publishes": ", ".join(PACKAGES[name] for name in self._formats),
            "bodies": sum(len(bodies) for bodies in self._bodies.values()),
        }

    @property
    def _nothing(self) -> str:
        wanted = ", ".join(PACKAGES[name] for name in self.parameters.formats)
        return f"expected one of {wanted} to be installed, found none"

    def _problems(self) -> list[str]:
        if self.watch is None:
            return []
        return ([] if self._formats else [self._nothing]) + self.watch.problems

    def _take_flat(self, namespace: str, message: Skeleton2DArray) -> None:
        """Convert the people of an image; a ValueError refuses it."""
        if not self._active:
            return
        assert self.watch is not None and self.diagnostics is not None
        size_hw = int(message.image_height), int(message.image_width)
        if min(size_hw) < 1:
            self.diagnostics.refuse()
            raise ValueError(f"expected the size of the image, got {size_hw[1]}x{size_hw[0]}")
        people = ImagePeople(message.header, from_skeletons(message), size_hw)
        prefix = f"{namespace}/" if namespace else ""
        if "vision" in self._formats:
            detections = self._formats["vision"].to_detections_2d(people)
            self._outputs[f"{prefix}detections_2d"].publish(detections)
        if "foxglove" in self._formats:
            annotations = self._formats["foxglove"].to_annotations(people)
            self._outputs[f"{prefix}annotations"].publish(annotations)
        if "hri" in self._formats:
            self._tell_bodies(namespace, people)
        self.diagnostics.frame(time.monotonic() - self.watch.arrived_s)

    def _take_space(self, namespace: str, message: Skeleton3DArray) -> None:
        if not self._active or message.kind != Skeleton3DArray.KIND_METRIC:
            return
        people = space_people(message, by_name(message.skeleton_model))
        prefix = f"{namespace}/" if namespace else ""
        detections = self._formats["vision"].to_detections_3d(people)
        self._outputs[f"{prefix}detections_3d"].publish(detections)

    def _tell_bodies(self, namespace: str, people: ImagePeople) -> None:
        """Publish the list of bodies, and the topics of each body in this image."""
        hri, now_s = self._formats["hri"], time.monotonic()
        rows = {
            hri.body_id(namespace, int(track)): row
            for row, track in enumerate(_tracks(people.poses))
            if track >= 0
        }
        self._bodies[namespace] = dict.fromkeys(rows, now_s)
        for body in rows:
            for kind, name in ((hri.NormalizedRegionOfInterest2D, "roi"), (hri.Skeleton2D, "skeleton2d")):
                topic = f"{hri.BODIES}/{body}/{name}"
                if topic not in self._outputs:  # one made now is not activated with the node
                    self._outputs[topic] = self.create_publisher(kind, topic, copy(RELIABLE))
        self._announce(people.header)
        for body, row in rows.items():
            place = f"{hri.BODIES}/{body}"
            self._outputs[f"{place}/roi"].publish(hri.to_region(people, row))
            self._outputs[f"{place}/skeleton2d"].publish(hri.to_skeleton(people, row))
        self._forget_publishers()

    def _announce(self, header: Header) -> None:
        """Publish the tracked bodies of all cameras."""
        hri = self._formats.get("hri")
        if hri is None:
            return
        bodies = [body for camera in self._bodies.values() for body in camera]
        self._outputs[f"{hri.BODIES}/tracked"].publish(hri.to_ids(bodies, header))

    def _forget_silent(self) -> None:
        """Remove the bodies of silent cameras from the list."""
        if not self._active:
            return
        now_s = time.monotonic()
        silent = [
            name for name, bodies in self._bodies.items() if bodies and now_s - min(bodies.values()) > GONE_S
        ]
        for name in silent:
            self._bodies[name] = {}
        if silent:
            self._announce(Header(stamp=self.get_clock().now().to_msg()))
            self._forget_publishers()

    def _forget_publishers(self) -> None:
        """Destroy the publishers of bodies that are no longer tracked: each has topics of its own."""
        there = {body for camera in self._bodies.values() for body in camera}
        prefix = f"{self._formats['hri'].BODIES}/"
        for topic in [t for t in self._outputs if t.startswith(prefix) and not t.endswith("/tracked")]:
            if topic.removeprefix(prefix).split("/")[0] not in there:
                self.destroy_lifecycle_publisher(self._outputs.pop(topic))


def _tracks(poses: Poses) -> list[int]:
    return [-1] * len(poses) if poses.track_ids is None else poses.track_ids.tolist()


def main(args: list[str] | None = None) -> None:
    """Run the node."""
    run(BridgeNode, args)


if __name__ == "__main__":
    main()
