"""Parameters of the audit node."""

from __future__ import annotations

import re
from dataclasses import dataclass

from orpose_ros.parameters.declaring import parameter


@dataclass(frozen=True)
class AuditParameters:
    """Parameters of the audit node; all are read before it starts."""

    file: str = parameter("", "The append-only log; its head is stored in FILE.head.")
    images: str = parameter(
        "lowres", "Images are received only below topics of this name, to measure their size."
    )
    period_s: float = parameter(2.0, "Interval at which the graph is read, s.", low=0.1, high=60.0)

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[A-Za-z_]\w*", self.images, re.ASCII):
            # An empty name is a part of every topic's name, so that full-size images would be received.
            raise ValueError(f"parameter images: expected a name without slashes, got {self.images!r}")
