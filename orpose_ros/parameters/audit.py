"""Parameters of the audit node."""

from __future__ import annotations

from dataclasses import dataclass

from orpose_ros.parameters.declaring import parameter


@dataclass(frozen=True)
class AuditParameters:
    """Parameters of the audit node; all are read before it starts."""

    file: str = parameter("", "The log, to which is only ever added; its head is kept in FILE.head.")
    images: str = parameter(
        "lowres", "Images are read below topics of this name only, to measure how large they are."
    )
    period_s: float = parameter(2.0, "How often the graph is looked at, s.", low=0.1, high=60.0)
