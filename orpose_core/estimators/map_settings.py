"""What a weights file says of how its maps are read: the decoder's thresholds, and what its sigmas mean.

Both depend on how sure a network is of what it sees, so each has its own. They are in the file's header as
JSON: ``decoder`` holds the settings of :class:`~orpose_core.decoding.paf.PafDecoderConfig` that differ from
their defaults, ``calibration`` a :class:`Calibration`. A file without them is read with the defaults.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, TypeVar

import numpy as np

from orpose_core.decoding.paf import PafDecoderConfig
from orpose_core.types import FloatArray, Poses, Visibility

Curves = tuple[tuple[float, ...], tuple[float, ...]]
Pairs = tuple[tuple[float, float], ...]
Built = TypeVar("Built")


@dataclass(frozen=True)
class SigmaModel:
    """A standard deviation, or the factor that makes one true, by a joint's score, visibility and name.

    Attributes:
        scores: ascending; between them the curves are interpolated, beyond them constant.
        curves: the value at each score, of joints that are hidden and of visible ones.
        joints: factor on the curves for each joint of the network's skeleton: (hidden, visible).
    """

    scores: tuple[float, ...]
    curves: Curves
    joints: Pairs

    def __post_init__(self) -> None:
        if not self.scores or list(self.scores) != sorted(set(self.scores)):
            raise ValueError(f"SigmaModel.scores: expected ascending numbers, got {self.scores}")
        if len(self.curves) != 2 or any(len(curve) != len(self.scores) for curve in self.curves):
            raise ValueError(
                f"SigmaModel.curves: expected two of {len(self.scores)} values, got {self.curves}"
            )
        if any(len(pair) != 2 for pair in self.joints):
            raise ValueError(f"SigmaModel.joints: expected two factors per joint, got {self.joints}")
        values = np.concatenate([np.ravel(self.curves), np.ravel(self.joints)])
        if not (np.isfinite(values).all() and (values > 0).all()):
            raise ValueError("SigmaModel: expected positive values")

    @classmethod
    def from_values(cls, values: Mapping[str, Any]) -> SigmaModel:
        """Build it of JSON values."""
        hidden, visible = (tuple(map(float, curve)) for curve in values["curves"])
        joints = tuple((float(hidden), float(visible)) for hidden, visible in values["joints"])
        return cls(tuple(map(float, values["scores"])), (hidden, visible), joints)

    def at(self, poses: Poses) -> FloatArray:
        """Return float32 (m, n), the value of each joint; what is said of absent joints means nothing."""
        if len(self.joints) != len(poses.skeleton):
            raise ValueError(
                f"SigmaModel.joints: expected {len(poses.skeleton)} joints, got {len(self.joints)}"
            )
        hidden, visible = (np.interp(poses.scores, self.scores, curve) for curve in self.curves)
        of_hidden, of_visible = np.asarray(self.joints).T
        if poses.visibility is None:
            return (visible * of_visible).astype(np.float32)
        occluded = poses.visibility == Visibility.OCCLUDED
        return np.where(occluded, hidden * of_hidden, visible * of_visible).astype(np.float32)


@dataclass(frozen=True)
class Calibration:
    """What makes standard deviations true, measured on synthetic frames.

    Attributes:
        px: ``sigma_px`` in cells of the maps. A peak's width tells next to nothing of a joint that was taken
            for another one; its height does.
        m: factor on ``sigma_m`` as :func:`orpose_core.geometry.metric_3d` gives it.
        coverage: what was measured with them on other frames: shares of joints within the radii of 68 % and
            95 %, by name.
        measured_on: which frames, in words.
        law: of the errors, whose radii these are: ``"t4"``, see :mod:`orpose_core.metrics.sigma_law`, or
            ``"normal"`` in files that were calibrated before there was that law.
    """

    px: SigmaModel
    m: SigmaModel
    coverage: Mapping[str, float] = field(default_factory=dict)
    measured_on: str = ""
    law: str = "normal"

    def in_image(self, poses: Poses, cell_px: float) -> Poses:
        """Return poses of the decoder with true ``sigma_px``; ``cell_px`` is the size of a map's cell."""
        there = poses.scores > 0
        sigma_px = np.where(there, self.px.at(poses) * np.float32(cell_px), np.float32(np.nan))
        return replace(poses, sigma_px=sigma_px)

    def in_space(self, poses: Poses) -> Poses:
        """Return poses that were looked up in depth with true ``sigma_m``."""
        if poses.sigma_m is None:
            return poses
        return replace(poses, sigma_m=poses.sigma_m * self.m.at(poses))


@dataclass(frozen=True)
class MapSettings:
    """How the maps of one network are read.

    Attributes:
        decoder: thresholds.
        calibration: of sigmas, or None where nobody measured it.
    """

    decoder: PafDecoderConfig = field(default_factory=PafDecoderConfig)
    calibration: Calibration | None = None

    @classmethod
    def from_header(cls, name: str, metadata: Mapping[str, str]) -> MapSettings:
        """Read the strings of a weights file's header; ValueError names the file ``name``."""
        decoder = _read(name, metadata, "decoder", lambda values: PafDecoderConfig(**values))
        calibration = _read(name, metadata, "calibration", _calibration)
        return cls(decoder or PafDecoderConfig(), calibration)

    def header(self) -> dict[str, str]:
        """Return the strings that :meth:`from_header` reads."""
        changed = {
            f.name: getattr(self.decoder, f.name)
            for f in fields(self.decoder)
            if getattr(self.decoder, f.name) != f.default
        }
        header = {"decoder": json.dumps(changed, sort_keys=True)} if changed else {}
        if self.calibration is not None:
            header["calibration"] = json.dumps(asdict(self.calibration), sort_keys=True)
        return header


def _calibration(values: dict[str, Any]) -> Calibration:
    px, m = (SigmaModel.from_values(values[name]) for name in ("px", "m"))
    words = {name: str(values[name]) for name in ("measured_on", "law") if name in values}
    return Calibration(px, m, dict(values.get("coverage", {})), **words)


def _read(
    name: str, metadata: Mapping[str, str], key: str, build: Callable[[dict[str, Any]], Built]
) -> Built | None:
    """Return what ``build`` makes of the JSON under a key, or None where there is none."""
    if key not in metadata:
        return None
    try:
        return build(json.loads(metadata[key]))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise ValueError(f"{name}: its header holds no {key} settings: {error}") from None
