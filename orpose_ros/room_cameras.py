"""The places of a calibration's cameras on tf, beside the frames of their drivers.

    a calibration file, /tf and /tf_static -> /tf_static

A camera's optical frame becomes a child of the room's frame. If its driver publishes transforms to the
optical frame, the root of the driver's tree does instead, even if the driver starts later: no frame gets two
parents. ``skeleton_markers`` with ``place_cameras`` does the same for the cameras whose skeletons it draws.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from orpose_core.fusion.rig import RoomCamera
from orpose_core.fusion.rig_files import read_rig
from orpose_ros.parameters import declaring as parameters
from orpose_ros.parameters.declaring import parameter
from orpose_ros.running.diagnostics import NodeDiagnostics
from orpose_ros.running.lifecycle import SelfStartingNode, run
from orpose_ros.streams import room_frame
from orpose_ros.streams.room_frame import RoomFrame

_LOOK_S = 0.5


@dataclass(frozen=True)
class RoomCamerasParameters:
    """Parameters of the places of cameras; all are read before the node starts."""

    calibration: str = parameter("", "Calibration file (orpose calibrate). Required.")
    room_frame: str = parameter("room", "Name of the room's frame.")

    def __post_init__(self) -> None:
        if not self.calibration:
            raise ValueError("parameter calibration: must be given")


class RoomCameras(SelfStartingNode):
    """Publishes where the cameras of a room are; see the module."""

    def __init__(self, **arguments: Any) -> None:
        super().__init__("room_cameras", **arguments)
        self.parameters = parameters.declare(self, RoomCamerasParameters)
        self.diagnostics: NodeDiagnostics | None = None
        self._rig: list[RoomCamera] = []
        self._frame: RoomFrame | None = None
        self._active = False

    def configure(self) -> None:
        """Read the calibration, and listen to tf."""
        settings = self.parameters
        if room_frame.TFMessage is None:
            raise ValueError("expected the package tf2_msgs, but it is not installed")
        try:
            self._rig = read_rig(settings.calibration)
        except OSError as error:
            raise ValueError(
                f"parameter calibration: {settings.calibration} cannot be read: {error}"
            ) from error
        names = [camera.name for camera in self._rig]
        self._frame = self.own(RoomFrame(self, settings.room_frame, names, settings.calibration))
        self.diagnostics = self.own(NodeDiagnostics(self, "cpu", self._values, served="cameras"))
        self.own_timer(_LOOK_S, self._look)

    def activate(self) -> None:
        """Start placing the cameras."""
        self._active = True

    def deactivate(self) -> None:
        """Place no further camera; a static transform cannot be taken back."""
        self._active = False

    def clean_up(self) -> None:
        """Destroy all that :meth:`configure` made."""
        self._active = False
        super().clean_up()
        self._frame = self.diagnostics = None
        self._rig = []

    def _look(self) -> None:
        """Place the cameras whose drivers' frames are known, and after some seconds the others."""
        if not self._active or self._frame is None:
            return
        for camera in self._rig:
            self._frame.saw(camera.name, _optical_frame(camera), patient=True)

    def _values(self) -> Mapping[str, object]:
        placed = 0 if self._frame is None else self._frame.placed
        return {"cameras placed": f"{placed} of {len(self._rig)}", "room frame": self.parameters.room_frame}


def _optical_frame(camera: RoomCamera) -> str:
    """Return the optical frame of a camera; calibration files of others do not name it."""
    return camera.frame_id or f"{camera.name}_optical_frame"


def main(args: list[str] | None = None) -> None:
    """Run the node."""
    run(RoomCameras, args)


if __name__ == "__main__":
    main()
