"""Who started a node, where and when: every node says so in its diagnostics, and the audit node reads it."""

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
    """Where a process comes from.

    Attributes:
        by: user.
        machine: name of the machine.
        at: when the node was made, UTC, ISO 8601.
    """

    by: str
    machine: str
    at: str

    @classmethod
    def here(cls) -> Origin:
        """Return that of this process, now."""
        try:
            user = getpass.getuser()
        except (OSError, KeyError, ImportError):  # a user without a name, as in containers
            user = f"user {os.getuid()}"
        return cls(user, socket.gethostname(), datetime.now(timezone.utc).isoformat(timespec="milliseconds"))

    @classmethod
    def of(cls, values: Mapping[str, str]) -> Origin | None:
        """Return what a diagnostic status says; None where it is not that of a node of orpose."""
        if not {_BY, _ON, _AT} <= set(values):
            return None
        return cls(values[_BY], values[_ON], values[_AT])

    @property
    def values(self) -> dict[str, object]:
        """The values of a diagnostic status that say it."""
        return {_BY: self.by, _ON: self.machine, _AT: self.at}
