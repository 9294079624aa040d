"""Who started a node, where and when. Diagnostics contain it, and the audit node reads it from there."""

from __future__ import annotations

import getpass
import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone

_BY, _ON, _AT = "started by", "started on", "started at"


@dataclass(frozen=True)
class Origin:
    """The origin of a process.

    Attributes:
        by: name of the user.
        machine: name of the machine.
        at: creation time of the node, UTC, ISO 8601.
    """

    by: str
    machine: str
    at: str

    @classmethod
    def here(cls) -> Origin:
        """Return the origin of this process, with the current time."""
        try:
            user = getpass.getuser()
        except (OSError, KeyError, ImportError):  # a user without a name, as in containers
            user = f"user {os.getuid()}"
        return cls(user, socket.gethostname(), datetime.now(timezone.utc).isoformat(timespec="milliseconds"))

    @classmethod
    def of(cls, values: Mapping[str, str]) -> Origin | None:
        """Return the origin in a diagnostic status; None if it is not that of a node of orpose."""
        if not {_BY, _ON, _AT} <= set(values):
            return None
        return cls(values[_BY], values[_ON], values[_AT])

    @property
    def values(self) -> dict[str, object]:
        """Return the values of a diagnostic status that contain the origin."""
        return {_BY: self.by, _ON: self.machine, _AT: self.at}
