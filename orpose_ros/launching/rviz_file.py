"""The RViz configuration for several cameras, made from that for one camera without a namespace."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

import yaml


def write_rviz_file(
    template: Path, file: Path, cameras: Sequence[str], fixed_frame: str, *, color: bool, fused: str = ""
) -> Path:
    """Write the RViz configuration for several cameras.

    Args:
        template: configuration for one camera without a namespace; displays with a topic are repeated for
            each camera.
        file: the file to write.
        cameras: namespaces of the cameras; "" = none.
        fixed_frame: fixed frame of RViz.
        color: whether to show low-resolution color as well.
        fused: namespace of the fused skeletons; "" = there are none.

    Returns:
        ``file``.
    """
    settings = yaml.safe_load(template.read_text(encoding="utf-8"))
    manager = settings["Visualization Manager"]
    manager["Global Options"]["Fixed Frame"] = fixed_frame
    displays = manager["Displays"]
    manager["Displays"] = [
        made
        for display in displays
        if color or not _topic(display).startswith("/lowres/color/")
        for made in _of_each(display, cameras, fused)
    ]
    file.write_text(yaml.safe_dump(settings, sort_keys=False), encoding="utf-8")
    return file


def _topic(display: dict[str, Any]) -> str:
    return str(display.get("Topic", {}).get("Value", ""))


def _of_each(display: dict[str, Any], cameras: Sequence[str], fused: str) -> list[dict[str, Any]]:
    """Return the display once for each camera, or unchanged if it has no topic."""
    if not _topic(display):
        return [display]
    is_skeletons = _topic(display) == "/skeleton_markers"
    made = []
    for camera in [*cameras, *([fused] if fused and is_skeletons else [])]:
        own = deepcopy(display)
        if camera:
            own["Name"] = f"{display['Name']} of {camera}"
            own["Topic"]["Value"] = f"/{camera}{_topic(display)}"
        made.append(own)
    return made
