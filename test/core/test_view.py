"""What the page shows: a bounded history, images as SVG, the room as lines; and the page in a browser."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from xml.etree import ElementTree

import fusion_rooms as rooms
import numpy as np
import pytest

from orpose_core.geometry import transform_points
from orpose_core.types import Poses
from orpose_core.view.browser import Browser, find_chromium
from orpose_core.view.camera_image import camera_svg
from orpose_core.view.feeding import Feed
from orpose_core.view.history import History, HistoryConfig
from orpose_core.view.moments import CameraMoment, RoomMoment
from orpose_core.view.page import Page, PageConfig
from orpose_core.view.room_drawing import draw_room
from orpose_core.view.status_html import strip_svg

S = 1_000_000_000
BEGIN = 1_700_000_000 * S
HZ = 5


def moment(stamp_ns: int, poses: Poses | None = None, size_hw=(48, 64), image: bool = True) -> CameraMoment:
    picture = np.full((*size_hw, 3), 90, np.uint8) if image else None
    return CameraMoment(stamp_ns, size_hw, poses, picture)


def seen_people(camera, truth: np.ndarray, rng: np.random.Generator) -> Poses:
    """Return what a camera sees of bodies, in px of its image, with places in space and sigmas."""
    poses = rooms.seen(camera, truth, rng, 1.0).poses
    xyz = transform_points(camera.camera_from_room, truth[poses.track_ids]).astype(np.float32)
    sigma_px = np.where(poses.scores > 0, 12.0, np.nan).astype(np.float32)
    return replace(poses, xyz_cam_m=xyz, sigma_px=sigma_px, sigma_m=np.full(xyz.shape[:2], 0.08, np.float32))


def fill(history: History, seconds: float, people: int = 3) -> list[int]:
    """Let two cameras see people walk; return how many people each moment of the first camera has."""
    rig, rng, counts = rooms.cameras(2, 6), np.random.default_rng(0), []
    feed = Feed(history, rig)
    for k in range(round(seconds * HZ)):
        truth = rooms.bodies(people, 6, k / HZ)
        for camera in rig:
            poses = seen_people(camera, truth, rng)
            image_hw = camera.intrinsics.height, camera.intrinsics.width
            picture = np.full((48, 64, 3), (60, 70, 90), np.uint8)
            picture[::6, :, 2] += np.uint8(k)
            feed.add(camera.name, BEGIN + k * S // HZ, image_hw, poses, picture)
            if camera is rig[0]:
                counts.append(len(poses))
    feed.finish()
    return counts


def test_history_keeps_no_more_than_its_limit():
    history = History(HistoryConfig(seconds=2.0, moments=30))
    for k in range(500):
        history.add("a", moment(BEGIN + k * S // 10))
        history.add_room(RoomMoment.of_people(_nobody(), BEGIN + k * S // 10))
        assert len(history.stamps("a")) <= 22
    begin, end = history.span_ns()
    assert end == BEGIN + 499 * S // 10 and end - begin <= 2 * S
    for k in range(100):
        history.add("b", moment(end + k))
    assert len(history.stamps("b")) <= 30


def _nobody():
    from orpose_core.fusion.people import RoomPeople
    from orpose_core.skeleton import COCO17

    empty = np.zeros((0, 17))
    return RoomPeople(COCO17, np.zeros((0, 17, 3)), np.zeros((0, 17, 3, 3)), empty, np.zeros(0),
                      empty.astype(np.uint8), empty.astype(np.int64), np.zeros((0, 1), bool))  # fmt: skip


@pytest.mark.parametrize("size_hw", [(61, 80), (480, 640)])
def test_an_image_above_the_limit_is_refused(size_hw):
    history = History()
    with pytest.raises(ValueError, match=f"at most 4800 px, got {size_hw[1]}x{size_hw[0]}"):
        history.add("a", moment(BEGIN, size_hw=size_hw))
    assert history.span_ns() == (0, 0)
    history.add("a", moment(BEGIN, size_hw=(60, 80)))
    with pytest.raises(ValueError, match="1 to 4800"):
        HistoryConfig(max_pixels=4801)


def test_pieces_of_a_moment_are_put_together_and_unanswered_images_count_as_dropped():
    history, rng = History(), np.random.default_rng(0)
    camera = rooms.cameras(1, 6)[0]
    poses = seen_people(camera, rooms.bodies(2, 6), rng)
    for k in range(10):
        history.add("a", moment(BEGIN + k))
    history.add("a", CameraMoment(BEGIN + 4, (480, 640), poses))
    view = history.at(BEGIN + 4).views["a"]
    assert view.picture is not None and view.poses is poses and view.image_hw == (480, 640)
    assert history.states()["a"].dropped == 6  # 0 to 3, 5 and 6; the last three may still be at work
    assert history.at(BEGIN + 9).views["a"].poses is None
    assert history.at(BEGIN + 9, whole=True).views["a"].poses is poses
    history.drop("a", 5)
    assert history.states()["a"].dropped == 11


def test_a_clock_that_jumps_back_begins_anew():
    history = History(HistoryConfig(seconds=5))
    for k in range(20):
        history.add("a", moment(BEGIN + k * S))
    history.add("a", moment(BEGIN + 19 * S - S // 2))  # out of order, as it may happen
    assert len(history.stamps("a")) == 7
    history.add("a", moment(BEGIN + 16 * S, _empty_poses()))  # late, of an image that is there
    assert len(history.stamps("a")) == 7
    history.add("a", moment(BEGIN + 17 * S + 1))
    assert history.span_ns() == (BEGIN + 17 * S + 1,) * 2 and len(history.stamps("a")) == 1


def test_the_svg_of_a_camera_says_who_is_there_and_how_sure():
    camera = rooms.cameras(1, 6)[0]
    poses = seen_people(camera, rooms.bodies(2, 6), np.random.default_rng(0))
    shown = CameraMoment(BEGIN, (480, 640), poses, np.zeros((48, 64, 3), np.uint8))
    root = ElementTree.fromstring(camera_svg('a"<b>', shown))
    assert root.get("data-people") == str(len(poses)) and root.get("data-camera") == 'a"<b>'
    people = root.findall("g")
    assert [g.get("data-track") for g in people] == [str(i) for i in poses.track_ids]
    joints = sum(len(g.findall("circle")) for g in people)
    assert joints == int((poses.scores > 0).sum()) == sum(len(g.findall("ellipse")) for g in people)
    first = people[0].find("circle")
    at = poses.xy_px[0][poses.scores[0] > 0][0]
    expected = (at + 0.5) / 10 - 0.5  # px of the image of 64x48
    assert np.allclose([float(first.get("cx")), float(first.get("cy"))], expected, atol=0.01)
    assert float(people[0].find("ellipse").get("rx")) == pytest.approx(1.2, abs=0.01)
    assert "no image" in camera_svg("a", None)


def test_the_room_is_drawn_where_the_people_are():
    history = History()
    fill(history, 2.0)
    end = history.span_ns()[1]
    snapshot = history.at(end, 2.0)
    drawing = draw_room(snapshot)
    assert snapshot.room is not None and drawing.people == len(snapshot.room) == 3
    truth = rooms.bodies(3, 6, 2.0 - 1 / HZ).reshape(-1, 3)
    apart = np.linalg.norm(drawing.joints_m[:, None] - truth[None], axis=-1).min(axis=1)
    assert np.median(apart) < 0.15
    assert len(drawing.bones_m) == len(drawing.bone_colors) and len(drawing.labels) == 3
    assert len(drawing.trails_m) and (drawing.trails_m[..., 2] < 0.1).all()


def test_cameras_that_nobody_fuses_show_their_own_people():
    history, rng = History(), np.random.default_rng(0)
    rig, truth = rooms.cameras(2, 6), rooms.bodies(2, 6)
    people = 0
    for camera in rig:
        poses = seen_people(camera, truth, rng)
        people += len(poses)
        history.add(camera.name, CameraMoment(BEGIN, (480, 640), poses))
        history.place(camera.name, camera)
    drawing = draw_room(history.at(BEGIN))
    assert drawing.people == people
    apart = np.linalg.norm(drawing.joints_m[:, None] - truth.reshape(1, -1, 3), axis=-1).min(axis=1)
    assert apart.max() < 0.01


def test_people_tell_how_a_camera_hangs_that_nobody_has_calibrated():
    history, rng, camera = History(), np.random.default_rng(0), rooms.cameras(1, 6)[0]
    truth = rooms.bodies(3, 6)
    for k in range(4):
        poses = seen_people(camera, truth, rng)
        history.add("a", CameraMoment(BEGIN + k * S // 10, (480, 640), poses))
    snapshot = history.at(BEGIN + 3 * S // 10)
    assert snapshot.cameras[0].place is None
    level, true_up = snapshot.cameras[0].level, camera.room_from_camera[2, :3]
    assert level[2, :3] @ true_up > np.cos(np.radians(20)) > -true_up[1]  # it hangs tilted by more than that
    drawn = draw_room(snapshot).joints_m
    assert abs(drawn[:, 2].min()) < 0.2 and drawn[:, 2].max() < 2.2


def test_the_strip_shows_gaps_and_what_was_dropped():
    history = History()
    for k in range(100):
        if not 40 <= k < 60:
            poses = _empty_poses() if k != 80 else None
            history.add("a", moment(BEGIN + k * S, poses))
    begin, end = history.span_ns()
    svg = strip_svg(history, begin, end, begin)
    assert svg.count("#e5534b") == 1 and svg.count("#3fb68b") == 1


def _empty_poses() -> Poses:
    from orpose_core.skeleton import COCO17

    return Poses.nobody(COCO17)


@pytest.fixture
def chromium() -> None:
    pytest.importorskip("viser", reason="the extra orpose[view] is not installed")
    if find_chromium() is None:
        pytest.skip("Chromium is not installed")


@pytest.mark.usefixtures("chromium")
def test_the_page_in_a_browser_shows_the_people_and_can_be_scrubbed():
    history = History(HistoryConfig(seconds=1000))
    counts = fill(history, 6.0)
    page = Page(history, PageConfig(port=0))
    try:
        with Browser(page.url) as browser:
            browser.until("document.querySelector('#orpose-time') !== null", 240)
            browser.until("document.querySelectorAll('svg.camera g.person').length > 0", 240)
            _click_checkbox(browser, "play")  # off
            browser.until("document.querySelector('canvas') !== null", 240)
            slider = "document.querySelector('[role=slider]')"
            browser.value(f"{slider}.focus()")
            browser.press("Home")
            browser.until("parseFloat(document.querySelector('#orpose-time').innerText) === 0", 120)
            browser.press("End")
            browser.until("parseFloat(document.querySelector('#orpose-time').innerText) > 5.5", 120)
            _shows(browser, history, counts[-1])
            sizes = browser.value(_IMAGE_SIZES)
            assert sizes and all(w * h <= 4800 for w, h in sizes), sizes
            assert browser.bright_pixels() > 50
    finally:
        page.close()


_IMAGE_SIZES = """Promise.all([...document.querySelectorAll('svg.camera image')].map(async (e) => {
    const image = new Image(); image.src = e.href.baseVal; await image.decode();
    return [image.naturalWidth, image.naturalHeight]; }))"""


def _click_checkbox(browser: Browser, label: str) -> None:
    browser.value(
        f"[...document.querySelectorAll('label')].find(l => l.innerText.trim() === '{label}').click()"
    )


def _shows(browser: Browser, history: History, first_camera: int) -> None:
    end = history.span_ns()[1]
    room = history.at(end).room
    browser.until(f"document.querySelector('#orpose-people').innerText === '{len(room)}'", 120)
    people = browser.value(
        "[...document.querySelectorAll('svg.camera')].map(s => [s.dataset.camera, +s.dataset.people])"
    )
    assert dict(people)["camera_1"] == first_camera
    groups = browser.value("document.querySelectorAll('svg.camera[data-camera=camera_1] g.person').length")
    assert groups == first_camera


@pytest.mark.usefixtures("chromium")
def test_a_page_of_another_site_is_shown_nothing(caplog):
    import viser

    history = History()
    fill(history, 0.4)
    page = Page(history, PageConfig(port=0))
    client = partial(SimpleHTTPRequestHandler, directory=Path(viser.__file__).parent / "client" / "build")
    site = ThreadingHTTPServer(("127.0.0.1", 0), client)
    threading.Thread(target=site.serve_forever, daemon=True).start()
    try:
        there = page.url.replace("http", "ws")
        with Browser(f"http://127.0.0.1:{site.server_port}/?websocket={there}") as browser:
            end = time.monotonic() + 240
            while "another site" not in caplog.text and time.monotonic() < end:
                time.sleep(0.1)
            assert "another site" in caplog.text
            assert page.browsers == 0 and "camera_1" not in browser.value("document.body.innerText")
    finally:
        page.close()
        site.shutdown()
        site.server_close()


@pytest.mark.usefixtures("chromium")
def test_a_port_that_is_taken_is_named_and_nothing_is_shared():
    page = Page(History(), PageConfig(port=0))
    try:
        port = int(page.url.rsplit(":", 1)[1])
        with pytest.raises(ValueError, match=f"cannot listen on 127.0.0.1 port {port}"):
            Page(History(), PageConfig(port=port))
        assert page._server.request_share_url() is None
    finally:
        page.close()
    assert "page" not in {thread.name for thread in threading.enumerate()}


def test_a_browser_that_leaves_at_once_is_not_kept():
    pytest.importorskip("viser", reason="the extra orpose[view] is not installed")
    page = Page(History(), PageConfig(port=0))

    class Gone:
        client_id = 7

    try:
        page._opened(Gone())
        assert page.browsers == 0
    finally:
        page.close()
