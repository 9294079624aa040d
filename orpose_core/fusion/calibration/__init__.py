"""Where a room's cameras hang, from the skeletons of people who walk about in it."""

from orpose_core.fusion.calibration.rig_calibration import Calibration, CalibrationConfig, calibrate
from orpose_core.fusion.calibration.sightings import Sighting, read_sightings

__all__ = ["Calibration", "CalibrationConfig", "Sighting", "calibrate", "read_sightings"]
