"""What a calibration leaves behind: a file, a launch snippet, a picture and a few sentences."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from orpose_core.files import write_text
from orpose_core.files.atomic import replacing
from orpose_core.fusion.calibration.rig_calibration import Calibration
from orpose_core.fusion.rig_files import write_rig

RIG, LAUNCH, PICTURE = "rig.yaml", "room_cameras.launch.py", "calibration.png"
_FLOORS = {
    "depth": "the depth images", "ankles": "people's ankles", "hips": "the height of people's hips",
}  # fmt: skip
_LAUNCH = '''\
"""Publishes the poses of the cameras in {rig} on tf; written by `orpose calibrate`."""

from pathlib import Path

from orpose_ros.launching.room_cameras import room_cameras


def generate_launch_description():
    return room_cameras(Path(__file__).with_name({rig!r}), room_frame={room_frame!r})
'''


def write_calibration(folder: str | os.PathLike, found: Calibration, room_frame: str = "room") -> list[Path]:
    """Write :data:`RIG`, :data:`LAUNCH` and :data:`PICTURE` into a folder; return their paths."""
    out = Path(folder)
    out.mkdir(parents=True, exist_ok=True)
    write_rig(out / RIG, found.rig)
    write_text(out / LAUNCH, launch_snippet(room_frame))
    _draw(out / PICTURE, found)
    return [out / RIG, out / LAUNCH, out / PICTURE]


def launch_snippet(room_frame: str) -> str:
    """Return a launch file that publishes the poses of the cameras in :data:`RIG` beside it on tf."""
    return _LAUNCH.format(rig=RIG, room_frame=room_frame)


def calibration_report(found: Calibration) -> str:
    """Return the figures of a calibration as text."""
    lines = [f"{found.people} people whom two cameras or more saw; floor by {_FLOORS[found.floor]}"]
    for camera in found.rig:
        x, y, z = camera.room_from_camera[:3, 3]
        off = found.residuals_px[camera.name]
        lines.append(
            f"{camera.name}: at {x:.2f} {y:.2f} {z:.2f} m, {len(off)} joints, reprojection error median "
            f"{np.median(off):.2f} px, 90 % below {np.percentile(off, 90):.2f} px of "
            f"{camera.intrinsics.width}x{camera.intrinsics.height}, depth {_too_far(camera.depth_scale)}"
        )
    return "\n".join(lines)


def _too_far(scale: float) -> str:
    percent = 100 * (1 / scale - 1)
    return f"{abs(percent):.1f} % too {'far' if percent > 0 else 'near'}"


def _draw(path: Path, found: Calibration) -> None:
    """Draw the room from above, and how far joints are from where they project."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 5), layout="constrained")
    above, errors = figure.subplots(1, 2)
    above.plot(*found.places_m.T, ".", color="0.75", markersize=2, zorder=1)
    for camera in found.rig:
        place, axis = camera.room_from_camera[:3, 3], camera.room_from_camera[:3, 2]
        (line,) = above.plot(*place[:2], "o", markersize=9, label=f"{camera.name}, {place[2]:.2f} m high")
        above.annotate(
            "",
            place[:2] + 1.2 * axis[:2],
            place[:2],
            arrowprops={"arrowstyle": "->", "color": line.get_color()},
        )
        off = np.sort(found.residuals_px[camera.name])
        errors.plot(off, np.linspace(0, 100, len(off)), color=line.get_color(), label=camera.name)
    above.set(title="The room from above; where people were", xlabel="x, m", ylabel="y, m", aspect="equal")
    errors.set(title="Reprojection error", xlabel="px", ylabel="joints, %", ylim=(0, 100))
    errors.set_xlim(0, max(float(np.percentile(np.concatenate(list(found.residuals_px.values())), 97)), 1e-3))
    for axes in (above, errors):
        axes.grid(alpha=0.3)
        axes.legend()
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png", dpi=110)
