"""Message classes by name, for the converters of :mod:`orpose_core.data.skeleton_messages`."""

from __future__ import annotations

import importlib
from functools import cache
from typing import Any

from orpose_core.data.skeleton_messages import MessageTypes


@cache
def _message_class(name: str) -> Any:
    package, folder, kind = name.split("/")
    return getattr(importlib.import_module(f"{package}.{folder}"), kind)


def installed_message_class(name: str) -> Any | None:
    """Return the class of ``package/msg/Type``, or None if the package is not installed."""
    try:
        return _message_class(name)
    except (ImportError, AttributeError, ValueError):
        return None


RCLPY_TYPES = MessageTypes(_message_class, lambda values, dtype: values)
"""The classes that rclpy publishes; they take lists of Python numbers."""
