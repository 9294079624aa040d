"""The page on a live graph: real nodes over real DDS, and a browser that looks at what they publish."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import fusion_rooms as rooms
import numpy as np
import pytest
from rclpy.qos import QoSProfile
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from orpose_core.data.skeleton_messages import stamp_ns_of
from orpose_core.fusion.messages import to_room_skeletons
from orpose_core.fusion.rig_files import write_rig
from orpose_core.view.browser import Browser, find_chromium
from orpose_ros import conversions
from orpose_ros.messages import RCLPY_TYPES
from orpose_ros.msg import Skeleton3DArray

pytest.importorskip("viser", reason="the extra orpose[view] is not installed")
from orpose_ros.view_node import ViewNode

RELIABLE = QoSProfile(depth=10)
S = 1_000_000_000
BEGIN = 1_700_000_000 * S


def depth_image(stamp_ns: int, size_hw: tuple[int, int] = (48, 64), frame_id: str = "optical") -> Image:
    depth = np.linspace(1.0, 4.0, size_hw[0] * size_hw[1], dtype=np.float32).reshape(size_hw)
    header = Header(frame_id=frame_id, stamp=conversions.stamp_of(stamp_ns))
    return conversions.depth_message(depth, header)


@pytest.mark.timeout(900)
def test_the_page_shows_as_many_people_as_the_messages_have(graph: Any, pose_bench: Any) -> None:
    if find_chromium() is None:
        pytest.skip("Chromium is not installed")
    bench = pose_bench(cameras=("left", "right"))
    view = graph.make(ViewNode, cameras=["left", "right"], port=0, seconds=60.0)
    for topic in ("lowres/depth/image_raw", "skeletons_2d", "skeletons_3d"):
        for camera in ("left", "right"):
            graph.until(
                lambda name=f"/{camera}/{topic}": graph.tester.count_subscribers(name) >= 1,
                f"the page listens to {camera}/{topic}",
            )
    graph.connected(*bench.images.values(), count=2)
    counts: dict[str, dict[int, int]] = {"left": {}, "right": {}}
    for k in range(6):
        for camera in ("left", "right"):
            flat, _ = bench.send(depth_image(BEGIN + k * S, frame_id=f"{camera}_optical"), camera)
            counts[camera][stamp_ns_of(flat)] = len(flat.skeletons)
    history = view.history

    def complete() -> bool:
        stamps = [history.stamps(camera) for camera in ("left", "right")]
        return all(len(s) == 6 and all(looked for _, looked in s) for s in stamps)

    graph.until(complete, "all images and skeletons are in the history", timeout_s=120)
    last = BEGIN + 5 * S
    with Browser(view.page.url) as browser:
        _wait_for_time(browser, 5.0)
        assert _people(browser) == {camera: counts[camera][last] for camera in counts}
        assert sum(_people(browser).values()) == int(browser.text("#orpose-seen")) > 0
        browser.until("document.querySelector('canvas') !== null", 240)
        assert _until_drawn(browser) > 50
        browser.value("document.querySelector('[role=slider]').focus()")
        browser.press("Home")
        _wait_for_time(browser, 0.0)
        assert _people(browser) == {camera: counts[camera][BEGIN] for camera in counts}
    status = {value.key: value.value for value in view.diagnostics.status().values}
    assert status["images without skeletons"] == "0" and status["page"] == view.page.url


def _until_drawn(browser: Browser) -> int:
    """Return how many px of cameras and people are drawn in the room, once there are any."""
    end = time.monotonic() + 240
    while not (count := browser.bright_pixels()) and time.monotonic() < end:
        time.sleep(0.5)
    return count


def _wait_for_time(browser: Browser, seconds: float) -> None:
    shown = "parseFloat(document.querySelector('#orpose-time')?.innerText)"
    browser.until(f"Math.abs({shown} - {seconds}) < 0.011", 240)


def _people(browser: Browser) -> dict[str, int]:
    """Return how many people the page shows of each camera: as it says, and as it draws."""
    shown = browser.value(
        "[...document.querySelectorAll('svg.camera')].map("
        "s => [s.dataset.camera, +s.dataset.people, s.querySelectorAll('g.person').length])"
    )
    assert all(said == drawn for _, said, drawn in shown)
    return {camera: said for camera, said, _ in shown}


@pytest.mark.timeout(300)
def test_an_image_above_the_limit_is_refused_and_never_shown(graph: Any) -> None:
    view = graph.make(ViewNode, port=0, max_pixels=3072)
    publisher = graph.publisher(Image, "lowres/depth/image_raw")
    graph.connected(publisher)
    publisher.publish(depth_image(BEGIN, (60, 80)))
    graph.until(lambda: graph.said("at most 3072 px, got 80x60 = 4800"), "the refusal is said")
    assert view.diagnostics.counts()["refused"] == 1
    assert view.history.span_ns() == (0, 0)
    publisher.publish(depth_image(BEGIN + S, (48, 64)))
    graph.until(lambda: view.history.span_ns()[1] == BEGIN + S, "one below the limit is taken")
    with pytest.raises(ValueError, match="max_pixels"):
        graph.make(ViewNode, start=False, port=0, max_pixels=4801)


@pytest.mark.timeout(300)
def test_fused_people_stand_in_the_room_with_the_cameras(graph: Any, tmp_path: Path) -> None:
    from orpose_core.fusion.room import Room

    rig = rooms.cameras(2, 6)
    write_rig(tmp_path / "rig.yaml", rig)
    names = [camera.name for camera in rig]
    view = graph.make(ViewNode, cameras=names, calibration=str(tmp_path / "rig.yaml"), room="room", port=0)
    room, rng = Room(rig, rooms.COCO17), np.random.default_rng(0)
    for k in range(4):
        for camera in rig:
            seen = rooms.seen(camera, rooms.bodies(2, 6), rng, 1.0)
            room.add(camera.name, seen.poses, BEGIN + k * S // 10)
        moment = room.fuse()
    publisher = graph.publisher(Skeleton3DArray, "room/skeletons_3d", RELIABLE)
    graph.connected(publisher)
    publisher.publish(to_room_skeletons(moment.people, RCLPY_TYPES, stamp_ns=BEGIN, frame_id="room"))
    graph.until(lambda: view.history.span_ns()[1] == BEGIN, "the moment is there")
    shown = view.history.at(BEGIN)
    assert shown.room is not None and len(shown.room) == len(moment.people) == 2
    assert np.allclose(shown.room.xyz_room_m, moment.people.xyz_room_m, atol=1e-5, equal_nan=True)
    assert [camera.place is not None for camera in shown.cameras] == [True, True]


def test_stopping_frees_the_port(graph: Any) -> None:
    view = graph.make(ViewNode, port=0)
    port = int(view.page.url.rsplit(":", 1)[1])
    view.clean_up()
    assert view.page is None
    graph.executor.remove_node(view)
    graph.nodes.remove(view)
    view.destroy_node()
    again = graph.make(ViewNode, port=port)
    assert again.page.url.endswith(f":{port}")
