"""One browser's view: its panels, its room, and the moment that it looks at."""

from __future__ import annotations

import time
from html import escape
from typing import Any

import numpy as np
from scipy.spatial.transform import Rotation

from orpose_core.view.camera_image import camera_svg
from orpose_core.view.history import History, Snapshot
from orpose_core.view.room_drawing import RoomDrawing, draw_room, pose_in_room, view_angle_rad
from orpose_core.view.status_html import states_html, strip_svg, summary_html

TRAIL_S = 4.0
JOINT_M = 0.07
BONE_M = 0.03
TRAIL_M = 0.02
_STEP_S = 0.01
_MOST_SIGMA_M = 0.25
_STRIP_EVERY_S = 0.5
_CAMERA_COLOR = (90, 160, 255)
_IN_ONE_COLUMN, _NARROW, _WIDE = 3, 310, 480
"""Cameras one above the other, and widths of their panel, px."""
_SPEEDS = ("0.25x", "1x", "2x", "4x")


class Screen:
    """The page of one browser; it looks at its own moment, whatever others look at.

    Args:
        client: viser's handle of the browser.
        history: what has come.
        live: whether more comes, and the page follows it until somebody scrubs.
    """

    def __init__(self, client: Any, history: History, live: bool) -> None:
        self._client, self._history, self._is_live = client, history, live
        self._follow, self._playing = live, not live
        self._at_ns = 0
        self._first_ns = 0
        self._ticked_s = time.monotonic()
        self._strip_s = 0.0
        self._shown: Any = None
        self._labels: list[Any] = []
        self._people: list[Any] = []
        self._framed = False
        from trimesh.creation import icosphere  # comes with viser, which need not be installed

        self._sphere = icosphere(subdivisions=1)
        self._frusta: dict[str, Any] = {}
        self._made_panels()
        self._made_room()

    def _made_panels(self) -> None:
        gui, live = self._client.gui, self._is_live
        gui.configure_theme(show_logo=False, show_share_button=False, dark_mode=True)
        gui.set_panel_label("orpose")
        images = gui.add_panel()
        with images.add_tab("Cameras"):
            self._images = gui.add_html("")
        images.dock_left()
        images.set_width(_NARROW if len(self._history.states()) <= _IN_ONE_COLUMN else _WIDE)
        gui.main_panel.dock_right()
        gui.main_panel.set_width(330)
        self._summary = gui.add_html("")
        self._time = gui.add_slider("time (s)", 0.0, 1.0, _STEP_S, 0.0)
        self._strip = gui.add_html("")
        self._play = gui.add_checkbox("play", self._playing)
        self._speed = gui.add_dropdown("speed", _SPEEDS, initial_value="1x")
        self._live = gui.add_checkbox("follow live", live, visible=live)
        self._states = gui.add_html("")
        with gui.add_folder("Show"):
            self._sigmas = gui.add_checkbox("uncertainty", True)
            self._trails = gui.add_checkbox("trails", True)
            self._names = gui.add_checkbox("ids and scores", True)
        self._time.on_update(self._scrubbed)
        self._play.on_update(self._played)
        self._live.on_update(self._followed)

    def _made_room(self) -> None:
        scene = self._client.scene
        scene.set_up_direction("+z")
        scene.add_grid(
            "/floor", 12.0, 12.0, cell_size=1.0, cell_color=(70, 76, 90), section_size=5.0,
            section_color=(110, 118, 136), plane_color=(34, 38, 47), plane_opacity=1.0, shadow_opacity=0.0,
        )  # fmt: skip

    # Below: what the person at the browser does; programs that set a value have no client.

    def _scrubbed(self, event: Any) -> None:
        if event.client is None:
            return
        self.show(self._first_ns + round(self._time.value * 1e9))

    def show(self, stamp_ns: int) -> None:
        """Look at a moment and stay there."""
        self._follow = self._playing = self._live.value = self._play.value = False
        self._at_ns = stamp_ns

    def _played(self, event: Any) -> None:
        if event.client is None:
            return
        self._playing = self._play.value
        if self._playing:
            self._follow = self._live.value = False
            begin, end = self._history.span_ns()
            if self._at_ns >= end:
                self._at_ns = begin

    def _followed(self, event: Any) -> None:
        if event.client is None:
            return
        self._follow = self._live.value
        if self._follow:
            self._playing = self._play.value = False

    # Below: the page's thread.

    def update(self) -> None:
        """Show the moment that this browser looks at, if it or anything else has changed."""
        begin, end = self._history.span_ns()
        self._first_ns = self._first_ns or begin
        if begin < self._first_ns:
            self._first_ns = begin  # older images came late, or time jumped back
        self._move_time(begin, end)
        wanted = (
            self._at_ns, self._history.version, self._sigmas.value, self._trails.value, self._names.value
        )  # fmt: skip
        if wanted == self._shown:
            return
        self._shown = wanted
        snapshot = self._history.at(self._at_ns, TRAIL_S if self._trails.value else 0.0, whole=self._follow)
        drawing = draw_room(snapshot)
        with self._client.atomic():
            self._show_time(begin, end)
            self._summary.content = summary_html(
                snapshot, drawing.people, self._first_ns, self._is_live and self._follow
            )
            self._images.content = self._images_html(snapshot)
            self._show_people(drawing)
            self._show_cameras(snapshot)
            self._look_at_people(drawing)

    def _look_at_people(self, drawing: RoomDrawing) -> None:
        """Once somebody is there, look at the middle of them; then the browser alone moves the view."""
        if self._framed or not len(drawing.joints_m):
            return
        self._framed = True
        x, y = np.median(drawing.joints_m[:, :2], axis=0).tolist()
        camera = self._client.camera
        camera.position = (x + 2.9, y - 3.4, 3.1)  # first: it takes the point that is looked at along
        camera.look_at, camera.up_direction = (x, y, 0.9), (0.0, 0.0, 1.0)

    def _move_time(self, begin: int, end: int) -> None:
        now_s = time.monotonic()
        passed_s, self._ticked_s = now_s - self._ticked_s, now_s
        if self._follow or not self._at_ns:
            self._at_ns = end if self._follow else begin
        elif self._playing and self._at_ns < end:
            faster = float(self._speed.value.rstrip("x"))
            self._at_ns = min(self._at_ns + round(passed_s * faster * 1e9), end)
            if self._at_ns == end and not self._is_live:
                self._at_ns = begin  # a recording starts again
        self._at_ns = min(max(self._at_ns, begin), end)

    def _show_time(self, begin: int, end: int) -> None:
        """Bring the slider, and now and then the strip and the table, to the moment."""
        low, high = (round((ns - self._first_ns) / 1e9, 2) for ns in (begin, end))
        high = max(high, low + _STEP_S)
        at = min(max(round((self._at_ns - self._first_ns) / 1e9, 2), low), high)
        if high > self._time.max:
            self._time.max = high
        self._time.value, self._time.min, self._time.max = at, low, high
        if time.monotonic() - self._strip_s >= _STRIP_EVERY_S:
            self._strip_s = time.monotonic()
            self._strip.content = strip_svg(self._history, begin, end, self._at_ns)
            self._states.content = states_html(self._history.states(), self._is_live)

    def _images_html(self, snapshot: Snapshot) -> str:
        pictures = []
        for camera in snapshot.cameras:
            view = snapshot.views.get(camera.name)
            count = "" if view is None or view.poses is None else f"{view.people} seen"
            svg = camera_svg(camera.name, view, self._sigmas.value, self._names.value)
            title = (
                f'<div style="display:flex;justify-content:space-between;padding:0.2em 0"><b>'
                f"{escape(camera.name or 'camera')}</b><span style='opacity:0.8'>{count}</span></div>"
            )
            pictures.append(f"<div>{title}{svg}</div>")
        grid = "display:grid;grid-template-columns:repeat(auto-fit,minmax(210px,1fr));gap:0.5em;padding:0.5em"
        return f'<div style="{grid}">{"".join(pictures) or "No images yet."}</div>'

    def _show_people(self, drawing: RoomDrawing) -> None:
        scene, people = self._client.scene, self._people
        for handle in people:
            handle.remove()
        people.clear()
        if len(drawing.joints_m):
            people.append(
                scene.add_point_cloud(
                    "/people/joints", drawing.joints_m, drawing.joint_colors, point_size=JOINT_M,
                    point_shape="circle", precision="float32",
                )
            )  # fmt: skip
        for name, points, colors, thickness in (
            ("bones", drawing.bones_m, drawing.bone_colors, BONE_M),
            ("trails", drawing.trails_m, drawing.trail_colors, TRAIL_M),
        ):
            if len(points):
                people.append(scene.add_line_segments(f"/people/{name}", points, colors, thickness=thickness))
        self._show_sigmas(drawing)
        while self._labels and len(self._labels) > len(drawing.labels):
            self._labels.pop().remove()
        for number, label in enumerate(drawing.labels):
            if number == len(self._labels):
                name = f"/people/labels/{number}"
                self._labels.append(self._client.scene.add_label(name, label.text, anchor="center-center"))
            handle = self._labels[number]
            handle.text, handle.position = label.text, label.at_m
            handle.visible = self._names.value

    def _show_sigmas(self, drawing: RoomDrawing) -> None:
        """Show each joint's standard deviation as a sphere; what is wider tells nothing."""
        known = drawing.sigma_m > 0
        if self._sigmas.value and known.any():
            count, radii_m = int(known.sum()), np.minimum(drawing.sigma_m[known], _MOST_SIGMA_M)
            clouds = self._client.scene.add_batched_meshes_simple(
                "/people/sigmas", self._sphere.vertices, self._sphere.faces,
                batched_wxyzs=np.tile(np.array([1.0, 0, 0, 0], np.float32), (count, 1)),
                batched_positions=drawing.joints_m[known], batched_scales=radii_m,
                batched_colors=drawing.joint_colors[known], opacity=0.15, lod="off", cast_shadow=False,
                receive_shadow=False,
            )  # fmt: skip
            self._people.append(clouds)

    def _show_cameras(self, snapshot: Snapshot) -> None:
        for number, camera in enumerate(snapshot.cameras):
            pose = pose_in_room(camera, number)
            angle, aspect = view_angle_rad(camera.place)
            view = snapshot.views.get(camera.name)
            handle = self._frusta.get(camera.name)
            if handle is None:
                handle = self._client.scene.add_camera_frustum(
                    f"/cameras/{number}", angle, aspect, scale=0.22, color=_CAMERA_COLOR, cast_shadow=False,
                    receive_shadow=False,
                )  # fmt: skip
                self._frusta[camera.name] = handle
                self._client.scene.add_label(f"/cameras/{number}/name", camera.name or "camera")
            handle.fov, handle.aspect = angle, aspect
            handle.position, handle.wxyz = pose[:3, 3], _wxyz(pose[:3, :3])
            if view is not None and view.picture is not None:
                handle.image = view.picture


def _wxyz(rotation: np.ndarray) -> np.ndarray:
    return np.roll(Rotation.from_matrix(rotation).as_quat(), 1)
